//! A PostgreSQL of a test's own, to be killed, and a way to it that loses answers.

use std::net::SocketAddr;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sqlx::{Connection, Executor, PgConnection};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, watch};

const PATIENCE: Duration = Duration::from_secs(60);

/// Where one of PostgreSQL's programs is: on the PATH, or where Debian has it.
#[expect(clippy::disallowed_methods, reason = "programs are found on the PATH")]
fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
    versions.sort();
    folders.extend(versions.into_iter().rev());
    folders.into_iter().map(|folder| folder.join(name)).find(|program| program.exists()).unwrap_or_else(
        || {
            panic!(
                "there is no {name}: run ./dev test, which installs PostgreSQL, or apt-get install postgresql"
            )
        },
    )
}

/// PostgreSQL does not run as root; its package brings a user.
fn owner() -> Option<(u32, u32)> {
    let id = |arguments: &[&str]| {
        let output = Command::new("id").args(arguments).output().expect("id");
        String::from_utf8_lossy(&output.stdout).trim().parse::<u32>().ok()
    };
    if id(&["-u"]) != Some(0) {
        return None;
    }
    let found = id(&["-u", "postgres"]).zip(id(&["-g", "postgres"]));
    Some(found.expect("there is no user postgres: run ./dev test, which installs PostgreSQL"))
}

/// A port below those that the kernel gives out, another at every call: it stays free until the server has it, and
/// while it is down.
fn free_port() -> u16 {
    static TRIED: AtomicU16 = AtomicU16::new(0);
    let begin = (std::process::id() % 150 * 40) as u16;
    (0..6_000)
        .map(|_| 14_000 + (begin + TRIED.fetch_add(1, Ordering::Relaxed)) % 6_000)
        .find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a free port")
}

pub struct Server {
    pub folder: TempDir,
    port: u16,
    settings: Vec<String>,
    postmaster: Option<Child>,
}

impl Server {
    /// Makes one and starts it, with settings as `max_connections=5`.
    pub async fn start(settings: &[&str]) -> Self {
        let folder = TempDir::new().expect("a folder");
        if let Some((user, group)) = owner() {
            chown(folder.path(), Some(user), Some(group)).expect("given away");
        }
        let settings = settings.iter().map(|setting| (*setting).to_owned()).collect();
        let mut server = Self { folder, port: free_port(), settings, postmaster: None };
        let made = server
            .command("initdb")
            .args(["-U", "app", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"])
            .output()
            .expect("initdb");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        server.run().await;
        server
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(program(name));
        command.arg("-D").arg(self.folder.path().join("data")).current_dir("/");
        if let Some((user, group)) = owner() {
            command.uid(user).gid(group);
        }
        command
    }

    pub fn url(&self, database: &str) -> String {
        format!("postgres://app@127.0.0.1:{}/{database}", self.port)
    }

    /// Starts it, and waits until it takes connections.
    pub async fn run(&mut self) {
        let said = std::fs::File::options().create(true).append(true).open(self.folder.path().join("said"));
        let mut command = self.command("postgres");
        command.args(["-p", &self.port.to_string(), "-c", "listen_addresses=127.0.0.1"]);
        command.arg("-c").arg(format!("unix_socket_directories={}", self.folder.path().display()));
        for setting in &self.settings {
            command.args(["-c", setting]);
        }
        command.stdout(Stdio::null()).stderr(said.expect("a file"));
        self.postmaster = Some(command.spawn().expect("postgres"));
        let began = Instant::now();
        while PgConnection::connect(&self.url("postgres")).await.is_err() {
            let said = || std::fs::read_to_string(self.folder.path().join("said")).unwrap_or_default();
            assert!(began.elapsed() < PATIENCE, "it takes no connections: {}", said());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// An empty database.
    pub async fn database(&self) -> String {
        let mut admin = PgConnection::connect(&self.url("postgres")).await.expect("connects");
        admin.execute("CREATE DATABASE letopis TEMPLATE template0 ENCODING 'UTF8'").await.expect("made");
        // Its place is free again.
        admin.close().await.expect("closed");
        self.url("letopis")
    }

    /// As a power cut would: the postmaster and all its processes at once.
    pub fn kill(&mut self) {
        let Some(mut postmaster) = self.postmaster.take() else { return };
        let mut processes = vec![postmaster.id()];
        processes.extend(children_of(postmaster.id()));
        let ids = processes.iter().map(u32::to_string);
        // Some may have ended meanwhile.
        let _ = Command::new("kill").arg("-9").args(ids).stderr(Stdio::null()).status();
        postmaster.wait().expect("ended");
        let began = Instant::now();
        while processes.iter().any(|process| is_alive(*process)) {
            assert!(began.elapsed() < PATIENCE, "it does not die");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Fields after the name of `/proc/<id>/stat`: its state, and its parent.
fn stat(process: u32) -> Option<(String, u32)> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    Some((fields.next()?.to_owned(), fields.next()?.parse().ok()?))
}

fn is_alive(process: u32) -> bool {
    stat(process).is_some_and(|(state, _)| state != "Z")
}

fn children_of(parent: u32) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").expect("/proc").flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter(|id| stat(*id).is_some_and(|(_, of)| of == parent)).collect()
}

/// Between a log and its server. It reads nothing of what it carries; but before it hands on an answer it
/// asks the server itself whether the head is where it must not be seen.
pub struct Proxy {
    address: SocketAddr,
    trap: Arc<Trap>,
}

struct Trap {
    /// A connection that has carried more bytes of answers than this carries no more, and stays open;
    /// 0 for never.
    stalls: AtomicU64,
    /// No connection carries an answer, and those that were there then never do again; all stay open.
    swallows: AtomicBool,
    /// Answers are cut off from this position on; 0 for never.
    at: AtomicU64,
    cuts: watch::Sender<u64>,
    direct: Mutex<PgConnection>,
}

impl Trap {
    async fn springs(&self) -> bool {
        let at = self.at.load(Ordering::SeqCst);
        if at == 0 {
            return false;
        }
        let mut direct = self.direct.lock().await;
        let head: i64 =
            sqlx::query_scalar("SELECT position FROM head").fetch_one(&mut *direct).await.expect("a head");
        let springs = head.unsigned_abs() >= at;
        if springs && self.at.swap(0, Ordering::SeqCst) != 0 {
            self.cuts.send_modify(|cuts| *cuts += 1);
        }
        springs
    }
}

impl Proxy {
    /// Before the server of this URL.
    pub async fn before(url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let direct = Mutex::new(PgConnection::connect(url).await.expect("connects"));
        let trap = Arc::new(Trap {
            stalls: AtomicU64::new(0),
            swallows: AtomicBool::new(false),
            at: AtomicU64::new(0),
            cuts: watch::Sender::new(0),
            direct,
        });
        let server = server_of(url).to_owned();
        let carried = trap.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&server).await.expect("the server");
                tokio::spawn(carry(client, server, carried.clone()));
            }
        });
        Self { address, trap }
    }

    /// The same URL, by way of it.
    pub fn url(&self, url: &str) -> String {
        url.replace(server_of(url), &self.address.to_string())
    }

    /// The next answer that leaves the server when its head is there is lost, and every connection with
    /// it.
    pub fn lose_the_answer_at(&self, position: u64) {
        self.trap.at.store(position, Ordering::SeqCst);
    }

    /// A connection on which more is answered is as of a paused process: open, and nobody reads.
    pub fn stall_beyond(&self, bytes: u64) {
        self.trap.stalls.store(bytes, Ordering::SeqCst);
    }

    /// As a firewall that forgets what it let through: answers vanish, and nobody is told.
    pub fn swallow(&self, swallows: bool) {
        self.trap.swallows.store(swallows, Ordering::SeqCst);
    }

    pub fn cuts(&self) -> u64 {
        *self.trap.cuts.borrow()
    }
}

/// `host:port` of a URL.
fn server_of(url: &str) -> &str {
    let rest = url.rsplit_once('@').expect("a user").1;
    rest.split_once('/').map_or(rest, |(server, _)| server)
}

async fn carry(client: TcpStream, server: TcpStream, trap: Arc<Trap>) {
    let mut cut = trap.cuts.subscribe();
    cut.mark_unchanged();
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let stalled = AtomicBool::new(false);
    let asked = async {
        let _ = tokio::io::copy(&mut from_client, &mut to_server).await;
        if stalled.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
    };
    let answered = async {
        let (mut bytes, mut carried) = (vec![0; 65_536], 0);
        loop {
            let most = trap.stalls.load(Ordering::SeqCst);
            if most > 0 && carried > most {
                stalled.store(true, Ordering::SeqCst);
                std::future::pending::<()>().await;
            }
            let read = from_server.read(&mut bytes).await;
            if trap.swallows.load(Ordering::SeqCst) {
                stalled.store(true, Ordering::SeqCst);
                std::future::pending::<()>().await;
            }
            match read {
                Ok(count @ 1..) if !trap.springs().await => {
                    carried += count as u64;
                    if to_client.write_all(&bytes[..count]).await.is_err() {
                        return;
                    }
                }
                _ => return,
            }
        }
    };
    // Whichever ends first ends both.
    tokio::select! {
        () = asked => {}
        () = answered => {}
        _ = cut.changed() => {}
    }
}
