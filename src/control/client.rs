//! The side of a subcommand.

use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, bail};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use super::protocol::{Ask, Reply, Request, VERSION};

/// A connection to the process that has the data folder.
#[derive(Debug)]
pub struct Connected(UnixStream);

/// Connects, if somebody listens.
///
/// # Errors
/// A socket that is not ours to use.
pub async fn connect(data: &Path) -> anyhow::Result<Option<Connected>> {
    let path = super::path(data);
    match UnixStream::connect(&path).await {
        Ok(stream) => Ok(Some(Connected(stream))),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => Ok(None),
        // Longer than a socket's address can be: no letopis can have made one.
        Err(error) if error.kind() == ErrorKind::InvalidInput => Ok(None),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            bail!("{} belongs to somebody else: run this as the user whom letopis runs as", path.display())
        }
        Err(error) => Err(error).with_context(|| path.display().to_string()),
    }
}

impl Connected {
    /// Asks, and tells every reply before the last, which it answers.
    ///
    /// # Errors
    /// If the connection breaks off, or what comes is not understood.
    pub async fn ask(self, ask: Ask, told: &mut (dyn FnMut(Reply) + Send)) -> anyhow::Result<Reply> {
        let (reader, mut writer) = self.0.into_split();
        let mut line = serde_json::to_vec(&Request { version: VERSION, ask })?;
        line.push(b'\n');
        writer.write_all(&line).await.context("the running letopis hung up")?;
        let mut lines = BufReader::new(reader).lines();
        while let Some(line) = lines.next_line().await.context("the running letopis hung up")? {
            let reply: Reply = serde_json::from_str(&line).context(
                "the running letopis answers in a way that this program does not know: use one program",
            )?;
            if reply.is_last() {
                return Ok(reply);
            }
            told(reply);
        }
        bail!("the running letopis hung up before it had answered: it was stopped, or see its log")
    }
}
