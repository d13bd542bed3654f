//! A server of a test's own, to be killed: `./dev stack` with a folder and ports apart.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};

use tempfile::TempDir;

/// Ports that a stack takes, rounded.
const PORTS: u16 = 20;

pub struct Own {
    folder: TempDir,
    port: u16,
    name: &'static str,
}

impl Own {
    /// Starts one by its name in `./dev stack`, and waits until it is ready.
    pub async fn start(name: &'static str) -> Self {
        let folder = tempfile::Builder::new().prefix("letopis-own-").tempdir().expect("a folder");
        let own = Self { folder, port: free_ports(), name };
        own.up().await;
        own
    }

    /// Starts it again.
    pub async fn up(&self) {
        self.stack(&["up", self.name]).await;
    }

    /// Its URL, as the variable `LETOPIS_TEST_…` would have it.
    pub async fn url(&self) -> String {
        let variable = format!("LETOPIS_TEST_{}=", self.name.to_uppercase());
        let env = self.stack(&["env", "--test"]).await;
        let url = env.lines().find_map(|line| line.strip_prefix(&variable));
        url.expect("a URL").to_owned()
    }

    /// Sends SIGKILL to all of its processes; answers when none listens any more.
    pub async fn kill(&self) {
        let pid = std::fs::read_to_string(self.folder.path().join(self.name).join("pid")).expect("started");
        let mut all = vec![pid.split_whitespace().next().expect("its id").to_owned()];
        let mut at = 0;
        while let Some(parent) = all.get(at) {
            let children = Command::new("pgrep").args(["-P", parent]).output().expect("pgrep");
            all.extend(String::from_utf8_lossy(&children.stdout).lines().map(str::to_owned));
            at += 1;
        }
        let killed = Command::new("kill").arg("-9").args(&all).status().expect("kill");
        assert!(killed.success());
        let lives = || all.iter().any(|pid| state(pid).is_some_and(|state| state != "Z"));
        for _ in 0..2_000 {
            if !lives() {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("it does not die");
    }

    fn script(&self, words: &[&str]) -> Command {
        let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../dev"));
        command.arg("stack").args(words);
        command.env("LETOPIS_STACK", self.folder.path()).env("LETOPIS_STACK_PORT", self.port.to_string());
        command
    }

    async fn stack(&self, words: &[&str]) -> String {
        let mut script = self.script(words);
        let ran = tokio::task::spawn_blocking(move || script.output().expect("there is ./dev"));
        let ran = ran.await.expect("no panic");
        assert!(ran.status.success(), "./dev stack {words:?}: {}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8_lossy(&ran.stdout).into_owned()
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        match self.script(&["down", "--delete"]).output() {
            Ok(ran) if ran.status.success() => {}
            ended => eprintln!("a server is left over: {ended:?}"),
        }
    }
}

/// As the kernel has it; `None` where there is no such process.
fn state(pid: &str) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(stat.rsplit_once(") ")?.1.split(' ').next()?.to_owned())
}

/// The first of free ports in a row, others at every call, below those that the kernel gives out: they stay free
/// until a server has them, and while it is down.
pub fn free_ports() -> u16 {
    static TRIED: AtomicU16 = AtomicU16::new(0);
    let begin = (std::process::id() % 300) as u16;
    (0..300)
        .map(|_| 26_000 + (begin + TRIED.fetch_add(1, Ordering::Relaxed)) % 300 * PORTS)
        .find(|first| (*first..first + PORTS).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok()))
        .expect("free ports in a row")
}
