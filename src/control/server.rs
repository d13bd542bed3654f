//! The side of `serve`.

use std::fs::{self, DirBuilder, Permissions};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use chronicle::log::Head;
use projectors::Projections;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::LONGEST_PATH;
use super::protocol::{Ask, Reply, Request, VERSION, Who};

/// A request's longest line, in bytes.
const LONGEST_LINE: u64 = 16 * 1024;
/// Connections at once; more are closed.
const MOST: usize = 16;
/// How long a connection may take to say what it wants, and to read a line.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two stages of the same kind.
const BETWEEN: Duration = Duration::from_millis(200);

/// What answers.
#[derive(Clone)]
pub struct Desk {
    pub projections: Projections,
    pub who: Who,
    pub head: watch::Receiver<Head>,
}

/// A socket that is listened on. [`Control::ended`] is to be awaited once its token is cancelled.
#[derive(Debug)]
pub struct Control {
    task: tokio::task::JoinHandle<()>,
}

impl Control {
    /// Until nobody is connected and the socket is gone.
    pub async fn ended(self) {
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the control socket broke off");
        }
    }
}

/// Listens until `stop`. The caller holds the data folder's lock, so a socket that is there is a
/// dead process's.
///
/// # Errors
/// If the socket can't be made, with what to do.
pub fn listen(data: &Path, desk: Desk, stop: CancellationToken) -> anyhow::Result<Control> {
    let path = super::path(data);
    let listener = bind(data, &path)?;
    let task = tokio::spawn(async move {
        accept(listener, desk, &stop).await;
        if let Err(error) = fs::remove_file(&path)
            && error.kind() != ErrorKind::NotFound
        {
            tracing::warn!(%error, "the control socket stays behind; the next start replaces it");
        }
    });
    Ok(Control { task })
}

/// Made in a folder that only its owner may enter and moved when its mode is right: at no moment
/// can somebody else connect, and a dead process's socket is replaced at once.
fn bind(data: &Path, path: &Path) -> anyhow::Result<UnixListener> {
    let folder = data.join("control.new");
    let made = folder.join("s");
    for path in [path, &made] {
        let bytes = path.as_os_str().as_bytes().len();
        if bytes > LONGEST_PATH {
            bail!(
                "LETOPIS_DATA is too long a path for the control socket in it ({bytes} bytes of {LONGEST_PATH}): \
                 name a shorter one, a symbolic link for instance"
            );
        }
    }
    let done = || {
        if let Err(error) = fs::remove_dir_all(&folder)
            && error.kind() != ErrorKind::NotFound
        {
            return Err(error);
        }
        DirBuilder::new().mode(0o700).create(&folder)?;
        let listener = UnixListener::bind(&made)?;
        fs::set_permissions(&made, Permissions::from_mode(0o600))?;
        fs::rename(&made, path)?;
        fs::remove_dir(&folder)?;
        Ok(listener)
    };
    done().with_context(|| format!("the control socket {} can't be made", path.display()))
}

async fn accept(listener: UnixListener, desk: Desk, stop: &CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        let connected = tokio::select! {
            () = stop.cancelled() => break,
            connected = listener.accept() => connected,
            Some(_) = connections.join_next() => continue,
        };
        match connected {
            Ok((stream, _)) if connections.len() < MOST => {
                let desk = desk.clone();
                connections.spawn(async move {
                    if let Err(error) = converse(stream, &desk).await {
                        tracing::debug!(%error, "a control connection ended early");
                    }
                });
            }
            // Dropped, and so closed.
            Ok(_) => tracing::warn!("too many control connections; one was closed"),
            Err(error) => {
                tracing::warn!(%error, "a control connection can't be taken");
                tokio::time::sleep(BETWEEN).await;
            }
        }
    }
    // A rebuild goes on in its runner or at the next start; only the telling ends.
    connections.shutdown().await;
}

async fn converse(stream: UnixStream, desk: &Desk) -> std::io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut line = Vec::new();
    let mut limited = BufReader::new(reader.take(LONGEST_LINE));
    let read = timeout(PATIENCE, limited.read_until(b'\n', &mut line)).await;
    let asked = match read {
        Err(_elapsed) => Err(Reply::refused("nothing was asked in time")),
        Ok(Err(error)) => return Err(error),
        Ok(Ok(0)) => return Ok(()),
        Ok(Ok(_)) => understood(&line),
    };
    let (tell, mut told) = mpsc::channel(1);
    let answering = async {
        match asked {
            Ok(ask) => answer(desk, ask, &tell).await,
            Err(refused) => drop(tell.send(refused).await),
        }
        drop(tell);
    };
    let telling = async {
        while let Some(reply) = told.recv().await {
            let mut line = serde_json::to_vec(&reply)?;
            line.push(b'\n');
            timeout(PATIENCE, writer.write_all(&line)).await??;
        }
        writer.shutdown().await
    };
    // Whoever hangs up is told no more: the channel closes, and answering ends.
    tokio::select! {
        biased;
        told = telling => told,
        () = async { answering.await; std::future::pending().await } => Ok(()),
    }
}

fn understood(line: &[u8]) -> Result<Ask, Reply> {
    if line.last() != Some(&b'\n') {
        return Err(Reply::refused(format!("a request is one line of at most {LONGEST_LINE} bytes")));
    }
    let value: serde_json::Value = serde_json::from_slice(line)
        .map_err(|error| Reply::refused(format!("a request is one line of JSON: {error}")))?;
    match value.get("version").and_then(serde_json::Value::as_u64) {
        Some(version) if version == u64::from(VERSION) => {}
        found => {
            return Err(Reply::refused(format!(
                "this letopis ({}) speaks version {VERSION} of the control protocol, and was asked in {}: use one \
                 program on both sides",
                env!("CARGO_PKG_VERSION"),
                found.map_or("none".to_owned(), |found| found.to_string())
            )));
        }
    }
    let request: Request =
        serde_json::from_value(value).map_err(|error| Reply::refused(format!("nothing to ask: {error}")))?;
    Ok(request.ask)
}

/// Does what is asked and tells of it, the last reply last. Ends early when nobody listens; what
/// was begun goes on.
pub async fn answer(desk: &Desk, ask: Ask, tell: &mpsc::Sender<Reply>) {
    let refused =
        |refusal: projectors::Refusal| Reply::Refused { why: refusal.to_string(), refusal: Some(refusal) };
    let last = match ask {
        Ask::Who => Reply::Who { who: desk.who.at(*desk.head.borrow()) },
        Ask::Status => Reply::Status { projections: desk.projections.status() },
        Ask::Retry { name, stream } => match desk.projections.retry(&name, stream.as_deref()).await {
            Ok(streams) => Reply::Retried { streams },
            Err(refusal) => refused(refusal),
        },
        Ask::Rebuild { name, accept } => match desk.projections.rebuild(&name, accept).await {
            Ok(mut stages) => loop {
                let stage = stages.borrow_and_update().clone();
                let reply = Reply::Stage { stage };
                if reply.is_last() {
                    break reply;
                }
                if tell.send(reply).await.is_err() {
                    return;
                }
                let wait = async {
                    tokio::time::sleep(BETWEEN).await;
                    stages.changed().await
                };
                let changed = tokio::select! {
                    () = tell.closed() => return,
                    changed = wait => changed,
                };
                if changed.is_err() && !stages.borrow().is_end() {
                    break Reply::refused(format!(
                        "the rebuild of {name} was broken off by a stop: it goes on when letopis is started again"
                    ));
                }
            },
            Err(refusal) => refused(refusal),
        },
    };
    // Nobody listens any more: then it was done for nobody.
    let _ = tell.send(last).await;
}
