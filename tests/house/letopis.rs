//! The binary as a process.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The longest that anything here is waited for; a quiet machine needs a hundredth of it.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The longest that a subcommand may take: some build all rows anew, on servers that are slow to make tables.
pub const PATIENCE_WITH_COMMANDS: Duration = Duration::from_secs(300);

/// A data folder, gone with the test.
pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::Builder::new().prefix("letopis-house-").tempdir().expect("a temporary folder"))
    }

    /// LETOPIS_DATA; made by the first start.
    pub fn data(&self) -> PathBuf {
        self.0.path().join("data")
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.data().join(name)
    }

    /// A place beside the data.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// What every start of these tests has in common.
    pub fn settings(&self) -> Settings {
        Settings {
            data: self.data(),
            variables: vec![
                ("LETOPIS_LISTEN".into(), "127.0.0.1:0".into()),
                ("LETOPIS_RATE_LIMIT".into(), "off".into()),
            ],
            wrapper: Vec::new(),
        }
    }

    /// Starts it without limits on a free port, and waits until it is ready.
    pub async fn start(&self) -> Letopis {
        self.settings().start().await
    }
}

/// How a subcommand ended, and what it said.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// How it is started.
#[derive(Clone)]
pub struct Settings {
    data: PathBuf,
    variables: Vec<(String, String)>,
    wrapper: Vec<String>,
}

impl Settings {
    /// Sets a variable; the last value counts.
    pub fn with(mut self, variable: &str, value: impl ToString) -> Self {
        self.variables.push((variable.to_owned(), value.to_string()));
        self
    }

    /// Runs it under another program that must leave it the process that was started.
    pub fn under(mut self, wrapper: &[&str]) -> Self {
        self.wrapper = wrapper.iter().map(|&word| word.to_owned()).collect();
        self
    }

    fn command(&self) -> Command {
        let mut words = self.wrapper.clone();
        words.push(env!("CARGO_BIN_EXE_letopis").to_owned());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).env_clear().env("LETOPIS_DATA", &self.data).env("NO_COLOR", "1");
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null());
        command
    }

    fn spawn(&self) -> Child {
        let mut command = self.command();
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        command.spawn().unwrap_or_else(|error| panic!("{command:?} must be there: {error}"))
    }

    /// Runs a subcommand to its end.
    pub async fn run(&self, words: &[&str]) -> Ran {
        let mut command = self.command();
        command.args(words);
        let ran = tokio::task::spawn_blocking(move || command.output().expect("it runs"));
        let ran = tokio::time::timeout(PATIENCE_WITH_COMMANDS, ran).await;
        let ran = ran.expect("it ends").expect("no panic");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ran { code: ran.status.code(), stdout: text(&ran.stdout), stderr: text(&ran.stderr) }
    }

    /// Starts it, and waits until it is ready.
    pub async fn start(&self) -> Letopis {
        let letopis = self.launch().await;
        let http = reqwest::Client::new();
        let url = format!("http://{}/readyz", letopis.address);
        until("it is ready", async || {
            let answer = http.get(&url).send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
        letopis
    }

    /// Starts it, and waits until it listens.
    pub async fn launch(&self) -> Letopis {
        let mut child = self.spawn();
        let stderr = Stderr::read(&mut child);
        let mut running = Running { child, stderr };
        let address = until("it serves", async || {
            let text = running.stderr.text();
            if let Some(status) = running.child.try_wait().expect("a child can be asked") {
                panic!("it ended with {status} instead of serving:\n{text}");
            }
            // "… serving http://127.0.0.1:4711 on 127.0.0.1:4711"
            let line = text.lines().find(|line| line.contains("serving http"))?;
            line.split_once(" on ")?.1.split_whitespace().next()?.parse().ok()
        })
        .await;
        Letopis { running, address }
    }

    /// Starts it and kills it after `time`, wherever it is then.
    pub async fn cut_short(&self, time: Duration) {
        let mut child = self.spawn();
        let stderr = Stderr::read(&mut child);
        let mut running = Running { child, stderr };
        if let Ok(status) = tokio::time::timeout(time, running.ended()).await {
            panic!("it ended with {status} instead of starting:\n{}", running.stderr.whole());
        }
    }

    /// Starts it where it must refuse to; what it said.
    pub async fn refused(&self) -> String {
        let mut child = self.spawn();
        let stderr = Stderr::read(&mut child);
        let mut running = Running { child, stderr };
        let status = running.ended().await;
        let said = running.stderr.whole();
        assert!(!status.success(), "it ended as if all were well:\n{said}");
        assert!(!said.contains("serving http"), "it served before it refused:\n{said}");
        assert!(!said.contains("panicked"), "a refusal is no panic:\n{said}");
        said
    }
}

/// What a process writes to stderr, read as it comes.
#[derive(Clone)]
struct Stderr {
    text: Arc<Mutex<String>>,
    reader: Arc<Mutex<Option<std::thread::JoinHandle<()>>>>,
}

impl Stderr {
    fn read(child: &mut Child) -> Self {
        let text = Arc::new(Mutex::new(String::new()));
        let lines = BufReader::new(child.stderr.take().expect("stderr is a pipe"));
        let into = text.clone();
        let reader = std::thread::spawn(move || {
            for line in lines.split(b'\n').map_while(Result::ok) {
                let mut text = into.lock().unwrap_or_else(PoisonError::into_inner);
                text.push_str(&String::from_utf8_lossy(&line));
                text.push('\n');
            }
        });
        Self { text, reader: Arc::new(Mutex::new(Some(reader))) }
    }

    fn text(&self) -> String {
        self.text.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All of it, once the process has ended.
    fn whole(&self) -> String {
        let reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(reader) = reader {
            reader.join().expect("reading lines does not panic");
        }
        self.text()
    }
}

/// A process that does not outlive its test.
struct Running {
    child: Child,
    stderr: Stderr,
}

impl Running {
    async fn ended(&mut self) -> ExitStatus {
        until("the process ends", async || self.child.try_wait().expect("a child can be asked")).await
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- stderr of letopis\n{}", self.stderr.text());
        }
    }
}

/// A running letopis.
pub struct Letopis {
    running: Running,
    pub address: SocketAddr,
}

impl Letopis {
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The most memory that it has held so far, in KiB.
    pub fn highest_memory(&self) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.running.child.id())).expect("it runs");
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("the kernel counts it");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
    }

    /// Sends SIGKILL and answers when the kernel has ended it; all that it said.
    pub async fn kill(mut self) -> String {
        self.running.child.kill().expect("it runs");
        let status = self.running.ended().await;
        assert!(status.code().is_none(), "it had ended by itself with {status}");
        self.running.stderr.whole()
    }

    /// Sends SIGTERM; it ends with 0 in time. Answers all that it said.
    pub async fn stop(mut self) -> String {
        self.terminate();
        let began = Instant::now();
        let status = self.running.ended().await;
        let took = began.elapsed();
        let said = self.running.stderr.whole();
        assert_eq!(status.code(), Some(0), "after SIGTERM:\n{said}");
        assert!(took < Duration::from_secs(30), "it took {took:?} to stop:\n{said}");
        said
    }

    /// Sends SIGTERM and does not wait.
    pub fn terminate(&self) {
        signal(self.running.child.id(), "TERM");
    }

    /// Lets it stand still until [`Letopis::resume`].
    pub fn pause(&self) {
        signal(self.running.child.id(), "STOP");
    }

    pub fn resume(&self) {
        signal(self.running.child.id(), "CONT");
    }

    /// Waits until `look` finds what it looks for in what it has said so far: a line may be read after
    /// the answer that came after it.
    pub async fn says<T>(&self, what: &str, look: impl Fn(&str) -> Option<T>) -> T {
        let text = || self.running.stderr.text();
        let found = in_time(async || look(&text())).await;
        found.unwrap_or_else(|| panic!("it does not say {what}:\n{}", text()))
    }
}

/// Sends a signal to a process that runs.
pub fn signal(process: u32, name: &str) {
    let words = ["-c", "kill -s \"$1\" \"$2\"", "sh", name, &process.to_string()];
    let status = Command::new("sh").args(words).status();
    assert!(status.expect("there is a shell").success(), "process {process} runs");
}

/// Looks again and again until `look` finds something.
pub async fn until<T>(what: &str, look: impl AsyncFnMut() -> Option<T>) -> T {
    within(PATIENCE, what, look).await
}

/// The same with another patience.
pub async fn within<T>(patience: Duration, what: &str, look: impl AsyncFnMut() -> Option<T>) -> T {
    looked(patience, look).await.unwrap_or_else(|| panic!("waited {patience:?} until {what}"))
}

/// The same as [`until`]; `None` if it takes too long.
pub async fn in_time<T>(look: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    looked(PATIENCE, look).await
}

async fn looked<T>(patience: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    let looking = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(10));
        loop {
            ticks.tick().await;
            if let Some(found) = look().await {
                return found;
            }
        }
    };
    tokio::time::timeout(patience, looking).await.ok()
}

/// Copies the files of a folder, not of those in it.
pub fn copy_files(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        if entry.file_type().expect("a type").is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name())).expect("copied");
        }
    }
}
