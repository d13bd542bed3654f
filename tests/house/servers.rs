//! Real engines of a test's own, to be killed, started again and given older data: `./dev stack`
//! with a folder and ports apart.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use tokio::sync::{Mutex, MutexGuard};

use crate::letopis::{Settings, until};
use crate::postgres::kill_tree;

/// Servers by the names of `./dev stack`, which end with it.
pub struct Servers {
    folder: TempDir,
    port: u16,
    names: Vec<&'static str>,
    _turn: MutexGuard<'static, ()>,
}

/// One test at a time has servers of its own: some gigabytes, and all of a small machine while they
/// start.
static TURN: Mutex<()> = Mutex::const_new(());

impl Servers {
    /// Starts these, beside each other, and waits until all are ready.
    pub async fn start(names: &[&'static str]) -> Self {
        let folder = tempfile::Builder::new().prefix("letopis-servers-").tempdir().expect("a folder");
        let _turn = TURN.lock().await;
        let servers = Self { folder, port: free_ports(), names: names.to_vec(), _turn };
        let words: Vec<&str> = ["up"].into_iter().chain(names.iter().copied()).collect();
        servers.stack(&words).await;
        servers
    }

    /// Puts a letopis on those that run; `place` tells it apart from others on the same servers.
    pub async fn under(&self, mut settings: Settings) -> Settings {
        let env = self.stack(&["env"]).await;
        for line in env.lines() {
            let (name, value) = line.split_once('=').expect("NAME=value");
            // The log and its keys are what has to be there when an engine is not.
            let ours = match name {
                "LETOPIS_LOG_URL" | "LETOPIS_KEYS_URL" => false,
                "LETOPIS_SESSIONS_URL" | "LETOPIS_LIVE_URL" => self.names.contains(&"keydb"),
                "LETOPIS_DIRECTORY_URL" => self.names.contains(&"postgres"),
                "LETOPIS_SEARCH_URL" => self.names.contains(&"elasticsearch"),
                "LETOPIS_TIMELINE_URL" => self.names.contains(&"cassandra"),
                _ => self.names.contains(&"s3"),
            };
            if ours {
                settings = settings.with(name, value);
            }
        }
        settings
    }

    /// Starts one again.
    pub async fn up(&self, name: &'static str) {
        self.stack(&["up", name]).await;
    }

    /// Sends SIGKILL to all of a server's processes; answers when the kernel has ended them.
    pub async fn kill(&self, name: &str) {
        let pid = std::fs::read_to_string(self.of(name).join("pid")).expect("it was started");
        let pid: u32 = pid.split_whitespace().next().and_then(|pid| pid.parse().ok()).expect("its id");
        let killed = kill_tree(pid);
        // Waited for by whoever adopted them, too: PostgreSQL takes the id of one that was not for a
        // server that runs.
        let is_gone = |id: &u32| !Path::new(&format!("/proc/{id}")).exists();
        until("its processes have ended", async || killed.iter().all(is_gone).then_some(())).await;
    }

    /// Copies the data of one that does not run.
    pub fn save(&self, name: &str) {
        for data in self.data_of(name) {
            copied(&data, &data.with_extension("saved"));
        }
    }

    /// Gives one that does not run the data that it had when it was last saved.
    pub fn restore(&self, name: &str) {
        for data in self.data_of(name) {
            std::fs::remove_dir_all(&data).expect("its data");
            copied(&data.with_extension("saved"), &data);
        }
    }

    /// Where a server keeps its data: Cassandra's latest is in its commit log alone.
    fn data_of(&self, name: &str) -> Vec<PathBuf> {
        let all = ["data", "commitlog"].map(|data| self.of(name).join(data));
        all.into_iter().filter(|data| data.exists()).collect()
    }

    fn of(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn script(&self, words: &[&str]) -> Command {
        let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("dev"));
        command.arg("stack").args(words);
        command.env("LETOPIS_STACK", self.folder.path()).env("LETOPIS_STACK_PORT", self.port.to_string());
        command
    }

    /// Runs `./dev stack`; what it printed.
    async fn stack(&self, words: &[&str]) -> String {
        let mut script = self.script(words);
        let ran = tokio::task::spawn_blocking(move || script.output().expect("there is ./dev"));
        let ran = ran.await.expect("no panic");
        let said = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "./dev stack {}: {said}", words.join(" "));
        String::from_utf8_lossy(&ran.stdout).into_owned()
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        match self.script(&["down", "--delete"]).output() {
            Ok(ran) if ran.status.success() => {}
            ended => eprintln!("servers are left over: {ended:?}"),
        }
    }
}

/// With owners and modes.
fn copied(from: &Path, to: &Path) {
    if to.exists() {
        std::fs::remove_dir_all(to).expect("an older copy");
    }
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(copied.expect("there is cp").success(), "{} cannot be copied", from.display());
}

/// The first of 20 free ports in a row, below those that the kernel gives out.
fn free_ports() -> u16 {
    for _ in 0..100 {
        let mut random = [0; 2];
        getrandom::fill(&mut random).expect("random numbers");
        let first = 20_000 + (u16::from_le_bytes(random) % 300) * 20;
        if (first..first + 20).all(|port| std::net::TcpListener::bind(("127.0.0.1", port)).is_ok()) {
            return first;
        }
    }
    panic!("no 20 free ports in a row between 20000 and 26000")
}
