# Every real server of letopis on loopback, without Docker. Sourced by ./dev.
#
# There are two kinds of stack. The standing one is the developer's: `./dev stack up`, it keeps its data, it stays. A
# private one is a test run's: fresh data on free ports, gone with the script.

stack_help() {
  cat <<'HELP'
./dev stack up            start what does not run; wait until all are ready; say where they are
./dev stack down          stop them (their data stays; `down --delete` deletes it)
./dev stack status        what runs, since when, and how much memory it takes
./dev stack logs [NAME…]  the last lines of their logs
./dev stack env           variables that put letopis on them:    env $(./dev stack env) ./dev run
./dev stack env --test    variables that put the tests on them:  env $(./dev stack env --test) cargo test -p stores

postgres (log, keys, directory), keydb (sessions, live), elasticsearch (search), cassandra (timeline), s3 (blobs).
A name or several after up, down or status mean these alone.

  LETOPIS_STACK       where their data lies; default is a folder under the temporary folder
  LETOPIS_STACK_PORT  the first of their 15 ports on 127.0.0.1; default is 11400
HELP
}

# --- The stack that is meant ---------------------------------------------------------------------------------------

# Others than its owner must pass the folder, since not every server runs as root.
stack_parent() {
  local parent
  for parent in "${TMPDIR:-/tmp}" /tmp /var/tmp; do
    if [ -d "$parent" ] && passable "$parent"; then echo "${parent%/}"; return; fi
  done
  fail "No temporary folder can be passed by the users postgres and nobody: set LETOPIS_STACK to a folder that can"
}

standing_stack() {
  stack_kind=standing
  stack=${LETOPIS_STACK-}
  [ -n "$stack" ] || stack=$(stack_parent)/letopis-stack-$(id -u)
  stack_made || return
  stack_port=${LETOPIS_STACK_PORT:-$(cat "$stack/port" 2>/dev/null || echo 11400)}
  [[ $stack_port =~ ^[0-9]+$ && $stack_port -ge 1024 && $stack_port -le $((65535 - stack_width)) ]] ||
    fail "LETOPIS_STACK_PORT is $stack_port: it has to be a number from 1024 to $((65535 - stack_width))"
  if [ "$(cat "$stack/port" 2>/dev/null)" != "$stack_port" ]; then
    local name
    for name in "${stack_servers[@]}"; do
      ! server_lives "$name" || fail "The stack runs on ports from $(cat "$stack/port"): ./dev stack down, and then up"
    done
    echo "$stack_port" >"$stack/port"
  fi
}

stack_made() {
  mkdir -p "$stack" && [ -O "$stack" ] || fail "$stack belongs to somebody else; set LETOPIS_STACK"
  stack=$(cd "$stack" && pwd -P) && chmod 755 "$stack"
  passable "$stack" || fail "The users postgres and nobody can't pass $stack: set LETOPIS_STACK to a folder that they can"
}

# Sets $stack and $stack_port to those of a new one, which ends with this script.
private_stack() {
  stack_kind=private
  # Nobody wants its data after a power cut, and a disk that syncs for seconds would hold up every answer.
  keydb_fsync=${keydb_fsync-no}
  stack_reap
  stack=$(mktemp -d "$(stack_parent)/letopis-private-$(id -u).XXXXXX")
  echo "$$ $(process_start $$)" >"$stack/owner"
  trap stack_ends EXIT
  stack_made
  export LETOPIS_STACKS_BEGUN=$stack/begun
  local i
  for i in {1..50}; do
    # Below those ports that the kernel gives out, and beside those that tests pick for servers of their own.
    stack_port=$((12000 + 20 * (RANDOM % 390)))
    if [ -z "$(taken_ports $(seq 0 $((stack_width - 1))))" ]; then echo "$stack_port" >"$stack/port"; return; fi
  done
  fail "There are no $stack_width free ports in a row"
}
stack_ends() {
  local name left
  rm -f "$stack/owner"
  ends $(jobs -p)
  for name in "${stack_servers[@]}"; do server_ends "$name"; done
  # Stacks that tests have started and could not end.
  while read -r left; do
    if [ -O "$left/port" ]; then (stack=$left stack_port=$(cat "$left/port") && stack_ends); fi
  done < <(cat "$stack/begun" 2>/dev/null)
  rm -rf "$stack"
}

# ends PID…: ends what goes on beside, with all that it has begun.
ends() {
  local pid
  for pid in "$@"; do
    ends $(pgrep -P "$pid")
    kill "$pid" 2>/dev/null || true
  done
}

# Ends private stacks whose script was killed before it could.
stack_reap() {
  local left pid start
  for left in "$(stack_parent)/letopis-private-$(id -u)".*; do
    [ -O "$left" ] && read -r pid start 2>/dev/null <"$left/owner" || continue
    [ "$(process_start "$pid")" != "$start" ] || continue
    say "An earlier run left its servers in $left: they end now"
    (stack=$left stack_port=$(cat "$left/port" 2>/dev/null || echo 0) && stack_ends)
  done
}

# --- Processes and ports -------------------------------------------------------------------------------------------

# Prints when a process started, in the kernel's ticks; nothing where there is none. Ids are used again, with another start.
process_start() {
  local line fields
  { read -r line <"/proc/$1/stat"; } 2>/dev/null || return 0
  # "4711 (any name) S 1 …"; a zombie has ended.
  read -ra fields <<<"${line##*) }"
  [ "${fields[0]}" = Z ] || echo "${fields[19]}"
}

# server_pid NAME: prints the id of its process, if that is still the one that was started.
server_pid() {
  local pid start
  { read -r pid start <"$stack/$1/pid"; } 2>/dev/null || return 1
  [ -n "$start" ] && [ "$(process_start "$pid")" = "$start" ] && echo "$pid"
}
server_lives() { server_pid "$1" >/dev/null; }

listens() { { exec 3<>"/dev/tcp/127.0.0.1/$1"; } 2>/dev/null && exec 3<&-; }
# taken_ports OFFSET…: prints those ports of the stack on which somebody listens.
taken_ports() {
  local offset
  for offset in "$@"; do ! (listens $((stack_port + offset))) || echo $((stack_port + offset)); done
}

# What a configuration's @WORDS@ stand for in $folder.
filled() {
  sed -e "s|@FOLDER@|$folder|g" -e "s|@PORT@|$(port "$name")|g" \
    -e "s|@STORAGE_PORT@|$(port cassandra 1)|g" -e "s|@TRANSPORT_PORT@|$(port elasticsearch 1)|g"
}

# --- Starting and ending one ---------------------------------------------------------------------------------------

# server_starts NAME: starts it unless it runs, and waits until it is ready.
server_starts() {
  local name=$1 folder=$stack/$1 began=$SECONDS pid taken words as working=$stack/$1
  if ! server_lives "$name"; then
    wanted || return
    read -ra taken <<<"$(taken_ports $(ports "$name") | tr '\n' ' ')"
    if [ ${#taken[@]} -gt 0 ]; then
      say "$name can't start: somebody else listens on port ${taken[*]} (set LETOPIS_STACK_PORT to the first of $stack_width free ones)"
      return 1
    fi
    mkdir -p "$folder/data" "$folder/tmp" && chmod 755 "$folder" && : >"$folder/log" || return
    "${name}_prepares" || { say "$name can't start:"; tail -n 30 "$folder/log" >&2; return 1; }
    # A session of its own, so that an interrupt on the terminal reaches this script alone; nothing of the caller's
    # environment; no file of his held open.
    (cd "$working" && exec setsid env -i PATH="$PATH" HOME="$folder/tmp" TMPDIR="$folder/tmp" ES_TMPDIR="$folder/tmp" \
      LIBFFI_TMPDIR="$folder/tmp" LANG=C.UTF-8 "${as[@]}" "${words[@]}" </dev/null >>"$folder/log" 2>&1 9<&-) &
    pid=$!
    echo "$pid $(process_start $pid)" >"$folder/pid"
    wanted || { server_ends "$name"; return 1; }
  fi
  until "${name}_answers"; do
    if ! server_lives "$name" || [ $((SECONDS - began)) -gt 600 ]; then
      server_lives "$name" && say "$name is not ready after 600 s:" || say "$name ended while it was starting:"
      tail -n 30 "$folder/log" >&2
      return 1
    fi
    sleep 0.2
  done
  "${name}_settles" || return
  say "$("${name}_version") is ready on 127.0.0.1:$(port "$name"), after $((SECONDS - began)) s"
}

# Whether the script of a private stack still wants it: what starts beside it may come too late.
wanted() { [ $stack_kind = standing ] || [ -e "$stack/owner" ]; }

# server_ends NAME: in order, or at once in a private stack, whose data nobody needs.
server_ends() {
  local pid signal=TERM i
  [ -e "$stack/$1" ] || return 0
  pid=$(server_pid "$1") || { rm -f "$stack/$1/pid"; return 0; }
  # PostgreSQL ends its processes itself: fast by INT, at once by QUIT.
  case $stack_kind:$1 in standing:postgres) signal=INT ;; private:postgres) signal=QUIT ;; private:*) signal=KILL ;; esac
  if [ "$1" = postgres ]; then kill -s $signal "$pid"; else kill -s $signal -- "-$pid"; fi 2>/dev/null || true
  for ((i = 0; i < 300; i++)); do
    server_lives "$1" || break
    sleep 0.1
  done
  if server_lives "$1"; then
    say "$1 did not stop within 30 s: it is killed"
    kill -s KILL -- "-$pid" 2>/dev/null || true
  fi
  rm -f "$stack/$1/pid"
  # SeaweedFS keeps sockets outside of its folder.
  [ "$1" != s3 ] || for i in $(ports s3); do rm -f /tmp/seaweedfs-*-$((stack_port + i)).sock; done
}

# --- All together --------------------------------------------------------------------------------------------------

# stack_up NAME…: installs and starts these beside each other.
stack_up() {
  local name code=0 pids=()
  for name in "$@"; do
    ({ "${name}_is_there" || { say "$name could not be installed"; false; }; } && server_starts "$name") &
    pids+=($!)
  done
  for name in "${pids[@]}"; do wait "$name" || code=1; done
  return $code
}

stack_env() {
  cat <<ENV
LETOPIS_LOG_URL=postgres://app@127.0.0.1:$(port postgres)/letopis_log
LETOPIS_KEYS_URL=postgres://app@127.0.0.1:$(port postgres)/letopis_keys
LETOPIS_DIRECTORY_URL=postgres://app@127.0.0.1:$(port postgres)/letopis_directory
LETOPIS_SESSIONS_URL=keydb://127.0.0.1:$(port keydb)/0
LETOPIS_LIVE_URL=keydb://127.0.0.1:$(port keydb)/0
LETOPIS_SEARCH_URL=elasticsearch://127.0.0.1:$(port elasticsearch)/letopis
LETOPIS_TIMELINE_URL=cassandra://127.0.0.1:$(port cassandra)/letopis
LETOPIS_BLOBS_URL=s3://letopis
ENV
  s3_variables
}
# Where each is, without a database, keyspace or prefix: every test has its own.
stack_env_of_tests() {
  cat <<ENV
LETOPIS_TEST_POSTGRES=postgres://app@127.0.0.1:$(port postgres)
LETOPIS_TEST_KEYDB=keydb://127.0.0.1:$(port keydb)
LETOPIS_TEST_ELASTICSEARCH=elasticsearch://127.0.0.1:$(port elasticsearch)
LETOPIS_TEST_CASSANDRA=cassandra://127.0.0.1:$(port cassandra)
LETOPIS_TEST_S3=s3://letopis-test
ENV
  s3_variables
}
s3_variables() {
  cat <<ENV
AWS_ENDPOINT_URL_S3=http://127.0.0.1:$(port s3)
AWS_REGION=$s3_region
AWS_ACCESS_KEY_ID=$s3_access_key
AWS_SECRET_ACCESS_KEY=$s3_secret_key
ENV
}

# unnamed_servers NAME…: prints those for which the caller has named none in LETOPIS_TEST_….
unnamed_servers() {
  local name variable
  for name in "$@"; do
    variable=LETOPIS_TEST_${name^^}
    [ -n "${!variable-}" ] || echo "$name"
  done
}
# stack_exports NAME…: puts tests on these servers of the private stack.
stack_exports() {
  local name line
  for name in "$@"; do
    while read -r line; do
      case $name:$line in s3:AWS_* | *:LETOPIS_TEST_"${name^^}"=*) export "${line?}" ;; esac
    done < <(stack_env_of_tests)
  done
}
# needs_servers NAME…: a private stack with what of these the caller has not named, ready and exported.
needs_servers() {
  local names
  read -ra names <<<"$(unnamed_servers "$@" | tr '\n' ' ')"
  [ ${#names[@]} -gt 0 ] || return 0
  private_stack && step "Starting the servers" stack_up "${names[@]}" && stack_exports "${names[@]}"
}

# --- ./dev stack ---------------------------------------------------------------------------------------------------

stack_status() {
  local name pid state code=0
  for name in "$@"; do
    if pid=$(server_pid "$name"); then
      if "${name}_answers"; then state="$("${name}_version"), ready"; else state='runs, does not answer'; code=1; fi
      printf '%-14s %-40s 127.0.0.1:%-6s pid %-8s %s MB\n' "$name" "$state" "$(port "$name")" "$pid" "$(memory "$pid")"
    else
      if [ -e "$stack/$name/pid" ]; then state='ended by itself: ./dev stack logs says why'; else state=stopped; fi
      printf '%-14s %s\n' "$name" "$state"
      code=1
    fi
  done
  return $code
}
# Resident memory of a process's whole session, in MB. What processes share counts in each.
memory() {
  ps -e -o ppid=,pid=,sess=,rss= | awk -v leader="$1" '$3 == leader || $1 == leader { sum += $4 } END { print int(sum / 1024) }'
}

stack_command() {
  local act=${1-} name names=() rest=()
  [ $# -eq 0 ] || shift
  case $act in up | down | status | logs | env) ;; *) stack_help; [ "$act" = help ] || [ -z "$act" ]; return ;; esac
  for name in "$@"; do
    case " ${stack_servers[*]} " in *" $name "*) names+=("$name") ;; *) rest+=("$name") ;; esac
  done
  case $act:${rest[*]-} in *: | down:--delete | env:--test) ;; *) fail "./dev stack $act has nothing for: ${rest[*]} (servers: ${stack_servers[*]})" ;; esac
  [ ${#names[@]} -gt 0 ] || names=("${stack_servers[@]}")
  [ "$act" = env ] || [ -r /proc/self/stat ] || fail "./dev stack needs Linux. deploy/compose.yaml has the same servers in Docker"
  standing_stack
  case $act in
    up)
      [ -z "${LETOPIS_STACKS_BEGUN-}" ] || echo "$stack" >>"$LETOPIS_STACKS_BEGUN"
      (flock 9 && stack_up "${names[@]}") 9>"$stack/lock" || fail "The stack is not up"
      ;;
    down)
      # What is deleted needs no order.
      [ -z "${rest[*]-}" ] || stack_kind=private
      (
        flock 9
        for name in "${names[@]}"; do
          { server_ends "$name" && say "$name is stopped" && { [ -z "${rest[*]-}" ] || rm -rf "${stack:?}/$name"; }; } &
        done
        wait
      ) 9>"$stack/lock"
      ;;
    status) stack_status "${names[@]}" ;;
    logs) for name in "${names[@]}"; do printf '==> %s\n' "$stack/$name/log"; tail -n 100 "$stack/$name/log" 2>/dev/null || true; done ;;
    env) if [ -n "${rest[*]-}" ]; then stack_env_of_tests; else stack_env; fi ;;
  esac
}
