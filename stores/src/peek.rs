//! What the rows of an engine show, read beside whoever writes them: nothing is opened for
//! writing, made, or put right.

use std::fs;
use std::path::Path;

use domain::ids::EventId;
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use serde::Deserialize;
use uuid::Uuid;

use crate::checkpoint::{Checkpoint, Parked};
use crate::directory::postgres::PostgresDirectories;
use crate::error::{Result, StoreError};
use crate::search::Elastic;
use crate::shared;
use crate::timeline::CassandraTimelines;

/// The generation that is served, and where it is.
#[derive(Clone, Debug)]
pub struct Peeked {
    pub generation: u64,
    /// `None` before the first event.
    pub checkpoint: Option<Checkpoint>,
    /// How many streams are parked.
    pub parked: u64,
}

/// Looks at the engine of a port's URL; `None` for one that keeps nothing, or was not made yet.
///
/// # Errors
/// Rows that can't be read.
pub async fn peek(port: &str, url: &str) -> Result<Option<Peeked>> {
    let Some((scheme, path)) = url.split_once(':') else { return Ok(None) };
    let look = match (port, scheme) {
        ("directory", "postgres" | "postgresql") => {
            return shared::peek(PostgresDirectories::open(url).await?).await;
        }
        ("sessions", "keydb" | "keydbs") => {
            return shared::peek(crate::sessions::keydb::space(url).await?).await;
        }
        ("search", "elasticsearch" | "elasticsearchs") => {
            return shared::peek(Elastic::connect(url).await?).await;
        }
        ("timeline", "cassandra") => return CassandraTimelines::peek(url).await,
        (_, "sqlite") => sqlite,
        (_, "tantivy") => tantivy,
        _ => return Ok(None),
    };
    let path = Path::new(path);
    let Ok(current) = fs::read_to_string(path.join("CURRENT")) else { return Ok(None) };
    let Ok(generation) = current.trim().parse::<u64>() else {
        let message = format!("{} names no generation", path.join("CURRENT").display());
        return Err(StoreError::Damaged { engine: "folder", message });
    };
    let (checkpoint, parked) = look(&path.join(generation.to_string()))?;
    Ok(Some(Peeked { generation, checkpoint, parked }))
}

fn sqlite(folder: &Path) -> Result<(Option<Checkpoint>, u64)> {
    let file = folder.join("rows.db");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let rows = Connection::open_with_flags(file, flags)?;
    rows.busy_timeout(std::time::Duration::from_secs(5))?;
    let checkpoint = rows
        .query_row(
            "SELECT log_id, generation, epoch, code_version, position, event_id FROM checkpoint",
            [],
            |row| {
                Ok(Checkpoint {
                    log_id: Uuid::from_bytes(row.get(0)?),
                    generation: row.get(1)?,
                    epoch: row.get(2)?,
                    code_version: row.get(3)?,
                    position: row.get(4)?,
                    event_id: row.get::<_, Option<[u8; 16]>>(5)?.map(|id| EventId(Uuid::from_bytes(id))),
                })
            },
        )
        .optional()?;
    let parked = rows.query_row("SELECT count(*) FROM parked", [], |row| row.get(0))?;
    Ok((checkpoint, parked))
}

/// What tantivy keeps beside its segments, and in it what the search keeps there.
#[derive(Deserialize)]
struct Meta {
    payload: Option<String>,
}

#[derive(Deserialize)]
struct Payload {
    checkpoint: Checkpoint,
    #[serde(default)]
    parked: Vec<Parked>,
}

fn tantivy(folder: &Path) -> Result<(Option<Checkpoint>, u64)> {
    let unreadable = |error: String| StoreError::Unreadable { engine: "tantivy", message: error };
    let meta = fs::read_to_string(folder.join("meta.json")).map_err(|error| unreadable(error.to_string()))?;
    let meta: Meta = serde_json::from_str(&meta).map_err(|error| unreadable(error.to_string()))?;
    let Some(payload) = meta.payload else { return Ok((None, 0)) };
    let payload: Payload = serde_json::from_str(&payload).map_err(|error| unreadable(error.to_string()))?;
    Ok((Some(payload.checkpoint), payload.parked.len() as u64))
}
