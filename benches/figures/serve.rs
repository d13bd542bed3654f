//! The release binary as a process, and a client that costs next to nothing.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::house::Engine;

/// The longest that a start may take; projections may have to be built.
const PATIENCE: Duration = Duration::from_secs(600);
const LOOK: Duration = Duration::from_millis(20);

/// A running `letopis serve`, without limits, on a free port of loopback. Dropping it kills it.
pub struct Letopis {
    child: Child,
    pub address: SocketAddr,
    folder: PathBuf,
}

/// Memory of a process, in MB (1,000,000 bytes).
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    pub rss: f64,
    /// Shared pages counted by share.
    pub pss: f64,
    pub highest_rss: f64,
}

impl Memory {
    /// # Errors
    /// If there is no such process.
    pub fn of(process: u32) -> anyhow::Result<Self> {
        let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
        let rollup = std::fs::read_to_string(format!("/proc/{process}/smaps_rollup"))?;
        let field = |text: &str, name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
            kib.map(|kib| kib * 1_024.0 / 1e6).with_context(|| format!("no {name} in /proc/{process}"))
        };
        Ok(Self {
            rss: field(&status, "VmRSS:")?,
            pss: field(&rollup, "Pss:")?,
            highest_rss: field(&status, "VmHWM:")?,
        })
    }

    /// Of a process and all who descend from it.
    ///
    /// # Errors
    /// If there is no such process.
    pub fn of_tree(process: u32) -> anyhow::Result<Self> {
        let mut sum = Self::of(process)?;
        for entry in std::fs::read_dir(format!("/proc/{process}/task"))? {
            let children = std::fs::read_to_string(entry?.path().join("children")).unwrap_or_default();
            for child in children.split_whitespace().filter_map(|id| id.parse().ok()) {
                // It may have ended just now.
                let Ok(child) = Self::of_tree(child) else { continue };
                sum.rss += child.rss;
                sum.pss += child.pss;
                sum.highest_rss += child.highest_rss;
            }
        }
        Ok(sum)
    }
}

fn command(folder: &Path, engine: &Engine) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_letopis"));
    command.env_clear().env("LETOPIS_DATA", folder).env("NO_COLOR", "1");
    if let Engine::Postgres(url) = engine {
        command.env("LETOPIS_LOG_URL", url);
    }
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

impl Letopis {
    /// Starts it, and waits until it is ready.
    ///
    /// # Errors
    /// If it does not start; what it said is in the text.
    pub async fn start(folder: &Path, engine: &Engine) -> anyhow::Result<Self> {
        Self::start_with(folder, engine, &[]).await
    }

    /// [`Self::start`] with more variables.
    ///
    /// # Errors
    /// As there.
    pub async fn start_with(
        folder: &Path,
        engine: &Engine,
        env: &[(String, String)],
    ) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let log = folder.join("stderr.txt");
        let mut child = command(folder, engine)
            .env("LETOPIS_LISTEN", "127.0.0.1:0")
            .env("LETOPIS_RATE_LIMIT", "off")
            .envs(env.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::null())
            .stderr(File::create(&log)?)
            .spawn()?;
        let began = Instant::now();
        let address = loop {
            let said = std::fs::read_to_string(&log)?;
            if let Some(status) = child.try_wait()? {
                bail!("letopis ended with {status}:\n{said}");
            }
            // "… serving http://127.0.0.1:4711 on 127.0.0.1:4711"
            let line = said.lines().find(|line| line.contains("serving http"));
            if let Some(address) = line.and_then(|line| line.split_once(" on ")?.1.split_whitespace().next())
            {
                break address.parse()?;
            }
            ensure!(began.elapsed() < PATIENCE, "letopis does not serve:\n{said}");
            tokio::time::sleep(LOOK).await;
        };
        let letopis = Self { child, address, folder: folder.to_owned() };
        let mut connection = Connection::open(letopis.address).await?;
        while connection.ask(&get("/readyz", None, None)).await?.0 != 200 {
            ensure!(began.elapsed() < PATIENCE, "letopis does not become ready:\n{}", letopis.said());
            tokio::time::sleep(LOOK).await;
        }
        Ok(letopis)
    }

    /// What it has written to stderr.
    pub fn said(&self) -> String {
        std::fs::read_to_string(self.folder.join("stderr.txt")).unwrap_or_default()
    }

    /// # Errors
    /// If it does not end by itself.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        let id = self.child.id().context("letopis has ended by itself")?;
        let asked = Command::new("kill").args(["-TERM", &id.to_string()]).status().await?;
        ensure!(asked.success(), "letopis has ended by itself:\n{}", self.said());
        let ended = tokio::time::timeout(Duration::from_secs(30), self.child.wait()).await;
        let status = ended.context("letopis does not stop")??;
        ensure!(status.success(), "letopis ended with {status}:\n{}", self.said());
        Ok(())
    }

    /// # Errors
    /// If it has ended.
    pub fn memory(&self) -> anyhow::Result<Memory> {
        Memory::of(self.child.id().context("letopis has ended by itself")?)
    }

    /// Runs a subcommand on the folder that this one serves; what it told on stderr, each line with
    /// the seconds since its start.
    ///
    /// # Errors
    /// If it ends with anything but 0.
    pub async fn run(&self, words: &[&str]) -> anyhow::Result<Vec<(f64, String)>> {
        let began = Instant::now();
        let mut running = command(&self.folder, &Engine::Sqlite)
            .args(words)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let stderr = running.stderr.take().context("stderr is a pipe")?;
        let mut lines = BufReader::new(stderr).lines();
        let mut told = Vec::new();
        while let Some(line) = lines.next_line().await? {
            told.push((began.elapsed().as_secs_f64(), line));
        }
        let status = running.wait().await?;
        ensure!(status.success(), "letopis {}: {status}\n{told:?}", words.join(" "));
        Ok(told)
    }
}

/// A GET as bytes.
pub fn get(path: &str, token: Option<&str>, position: Option<u64>) -> Vec<u8> {
    let mut request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n");
    if let Some(token) = token {
        request.push_str(&format!("authorization: Bearer {token}\r\n"));
    }
    if let Some(position) = position {
        request.push_str(&format!("x-letopis-position: {position}\r\n"));
    }
    request.push_str("\r\n");
    request.into_bytes()
}

/// One kept-alive connection: one request, one answer.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// # Errors
    /// If nobody listens.
    pub async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; 16 * 1_024] })
    }

    /// Status and body of the answer.
    ///
    /// # Errors
    /// A connection that breaks, or an answer that is not HTTP/1.1 with a length.
    pub async fn ask(&mut self, request: &[u8]) -> anyhow::Result<(u16, &[u8])> {
        self.stream.write_all(request).await?;
        let mut held = 0;
        let (status, body, length) = loop {
            held += self.fill(held).await?;
            let Some(end) = find(&self.buffer[..held], b"\r\n\r\n") else { continue };
            let head = std::str::from_utf8(&self.buffer[..end])?;
            let status = head.get(9..12).and_then(|code| code.parse().ok()).context("not HTTP")?;
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
            });
            break (status, end + 4, length.context("an answer without a length")?);
        };
        while held < body + length {
            held += self.fill(held).await?;
        }
        Ok((status, &self.buffer[body..body + length]))
    }

    async fn fill(&mut self, held: usize) -> anyhow::Result<usize> {
        if held == self.buffer.len() {
            self.buffer.resize(held * 2, 0);
        }
        let read = self.stream.read(&mut self.buffer[held..]).await?;
        ensure!(read > 0, "the connection was closed");
        Ok(read)
    }
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}
