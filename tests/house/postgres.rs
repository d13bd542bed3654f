//! A PostgreSQL of a test's own, to be killed, starved and paused.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use sqlx::{Connection, PgConnection};

use crate::letopis::until;

/// A server on a data folder. Its processes end with it.
pub struct Server {
    folder: PathBuf,
    port: u16,
    /// Words before every program: how it comes into a namespace or to another user.
    wrapper: Vec<String>,
    /// Of `initdb`, and of the server.
    options: (Vec<String>, Vec<String>),
    postmaster: Option<Child>,
    _kept: Option<tempfile::TempDir>,
}

/// The one on the PATH, or the newest of Debian's, which puts none there.
fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path =
        std::env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.exists());
    let debians = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let debians = debians.filter_map(|version| Some(version.ok()?.path().join("bin").join(name)));
    on_path.or_else(|| debians.filter(|program| program.exists()).max()).unwrap_or_else(|| {
        panic!("there is no {name}: run ./dev test, which installs PostgreSQL, or apt-get install postgresql")
    })
}

/// PostgreSQL refuses to run as root; its package brings a user for it.
pub fn as_its_user() -> Vec<String> {
    if !is_root() {
        return Vec::new();
    }
    ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"].map(str::to_owned).to_vec()
}

pub fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().expect("there is id");
    id.stdout.starts_with(b"0\n")
}

impl Server {
    /// A new one in a folder of its own.
    pub async fn new() -> Self {
        let kept = tempfile::Builder::new().prefix("letopis-postgres-").tempdir().expect("a folder");
        if is_root() {
            let owned = Command::new("chown").arg("postgres:").arg(kept.path()).status();
            assert!(
                owned.expect("there is chown").success(),
                "there is no user postgres: run ./dev test, which installs PostgreSQL"
            );
        }
        let folder = kept.path().join("data");
        let mut server = Self::at(folder, as_its_user(), &[], &[]).await;
        server._kept = Some(kept);
        server
    }

    /// A new one on this data folder, reached through `wrapper`.
    pub async fn at(folder: PathBuf, wrapper: Vec<String>, initdb: &[&str], server: &[&str]) -> Self {
        let owned = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        let options = (owned(initdb), owned(server));
        let mut server = Self { folder, port: free_port(), wrapper, options, postmaster: None, _kept: None };
        server.init();
        server.start().await;
        server
    }

    fn command(&self, name: &str) -> Command {
        let mut words = self.wrapper.clone();
        words.push(program(name).to_str().expect("a plain path").to_owned());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).current_dir("/").stdin(Stdio::null()).process_group(0);
        command
    }

    fn init(&self) {
        let made = self
            .command("initdb")
            .args(["-U", "app", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "-D"])
            .arg(&self.folder)
            .args(&self.options.0)
            .output()
            .expect("initdb runs");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
    }

    /// Starts it, again or for the first time, and waits until it takes connections.
    pub async fn start(&mut self) {
        assert!(self.postmaster.is_none(), "it runs already");
        let log = tempfile::NamedTempFile::new().expect("a file");
        let stderr = File::options().append(true).open(log.path()).expect("the file");
        let mut command = self.command("postgres");
        command.arg("-D").arg(&self.folder).args(["-p", &self.port.to_string()]);
        for setting in ["listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=60"] {
            command.args(["-c", setting]);
        }
        for setting in &self.options.1 {
            command.args(["-c", setting]);
        }
        let mut postmaster = command.stdout(Stdio::null()).stderr(stderr).spawn().expect("postgres runs");
        let url = format!("{}/postgres", self.url());
        until("PostgreSQL takes connections", async || {
            if let Some(status) = postmaster.try_wait().expect("a child can be asked") {
                let said = std::fs::read_to_string(log.path()).unwrap_or_default();
                panic!("PostgreSQL ended with {status}:\n{said}");
            }
            PgConnection::connect(&url).await.ok()
        })
        .await;
        self.postmaster = Some(postmaster);
    }

    /// Without a database.
    pub fn url(&self) -> String {
        format!("postgres://app@127.0.0.1:{}", self.port)
    }

    /// Sends SIGKILL to all its processes at once; answers when the kernel has ended them.
    pub async fn kill(&mut self) {
        let mut postmaster = self.postmaster.take().expect("it runs");
        let killed = kill_with_children(&mut postmaster);
        until("its children have ended", async || killed.iter().all(|id| has_ended(*id)).then_some(())).await;
    }

    /// Whether it ended by itself. It can be started again then.
    pub fn has_ended(&mut self) -> bool {
        let Some(postmaster) = &mut self.postmaster else { return true };
        if postmaster.try_wait().expect("a child can be asked").is_some() {
            self.postmaster = None;
        }
        self.postmaster.is_none()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(postmaster) = &mut self.postmaster {
            kill_with_children(postmaster);
        }
    }
}

/// The children that were killed with it.
fn kill_with_children(postmaster: &mut Child) -> Vec<u32> {
    let killed = kill_tree(postmaster.id());
    postmaster.wait().expect("a child can be waited for");
    killed
}

/// Sends SIGKILL to a process and to all that descend from it: those that were killed.
pub fn kill_tree(id: u32) -> Vec<u32> {
    let kill = |id: u32, signal: &str| {
        // It may have ended just now.
        let words = ["-c", "kill -s \"$1\" \"$2\" 2>/dev/null", "sh", signal, &id.to_string()];
        let _ = Command::new("sh").args(words).status();
    };
    // Stopped, it makes no more of them.
    kill(id, "STOP");
    let mut killed: Vec<u32> = children_of(id).into_iter().flat_map(kill_tree).collect();
    kill(id, "KILL");
    killed.push(id);
    killed
}

/// The status fields of a process after its name: state, parent, …
fn status_of(id: u32) -> Option<Vec<String>> {
    let status = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // "4711 (any name) S 1 …"
    Some(status.rsplit_once(") ")?.1.split(' ').map(str::to_owned).collect())
}

/// A zombie that nobody has waited for has ended, too.
fn has_ended(id: u32) -> bool {
    status_of(id).is_none_or(|fields| fields[0] == "Z" || fields[0] == "X")
}

fn children_of(parent: u32) -> Vec<u32> {
    std::fs::read_dir(Path::new("/proc"))
        .expect("a Linux machine")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|id| status_of(*id).is_some_and(|fields| fields[1] == parent.to_string()))
        .collect()
}

/// A port below those that the kernel gives out, so that it stays free while the server is down.
fn free_port() -> u16 {
    for _ in 0..100 {
        let mut random = [0; 2];
        getrandom::fill(&mut random).expect("random numbers");
        let port = 26_000 + u16::from_le_bytes(random) % 6_000;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port between 26000 and 32000")
}
