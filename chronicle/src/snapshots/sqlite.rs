//! Snapshots in an SQLite file of their own, beside the log's, so that writing one takes no lock
//! of the log.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use domain::aggregate::StreamId;
use rusqlite::{Connection, OptionalExtension, params};

use super::{Snapshot, Snapshots};
use crate::log::LogError;

const SCHEMA: &str = include_str!("../../../migrations/sqlite/snapshots/schema.sql");
const FIND: &str = include_str!("sql/sqlite_find.sql");
const KEEP: &str = include_str!("sql/sqlite_keep.sql");

/// Snapshots of the log in one file.
#[derive(Clone, Debug)]
pub struct SqliteSnapshots {
    path: PathBuf,
    /// Opened when it is first needed.
    connection: Arc<Mutex<Option<Connection>>>,
}

impl SqliteSnapshots {
    /// Beside the log in `log`: `log.db` has `log.snapshots.db`.
    pub fn beside(log: &Path) -> Self {
        Self { path: log.with_extension("snapshots.db"), connection: Arc::default() }
    }

    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, LogError> {
        let Self { path, connection } = self.clone();
        let worked = tokio::task::spawn_blocking(move || {
            let mut held = connection.lock().unwrap_or_else(PoisonError::into_inner);
            let connection = match held.take() {
                Some(connection) => connection,
                None => open(&path)?,
            };
            let done = work(&connection)?;
            // After an error it is opened anew: the file may have been taken away or mended.
            *held = Some(connection);
            Ok(done)
        });
        let worked = worked.await.map_err(|error| LogError::Unavailable(error.to_string()))?;
        worked.map_err(|error: rusqlite::Error| LogError::Unavailable(format!("snapshots: {error}")))
    }
}

/// A file that is no database is made anew: nothing is lost with it.
fn open(path: &Path) -> rusqlite::Result<Connection> {
    match prepare(path) {
        Err(error)
            if matches!(
                error.sqlite_error_code(),
                Some(rusqlite::ErrorCode::NotADatabase | rusqlite::ErrorCode::DatabaseCorrupt)
            ) =>
        {
            tracing::warn!(path = %path.display(), "the file of snapshots is damaged and made anew");
            for end in ["", "-wal", "-shm"] {
                let mut file = path.as_os_str().to_owned();
                file.push(end);
                // What is not there need not go.
                let _ = std::fs::remove_file(file);
            }
            prepare(path)
        }
        other => other,
    }
}

fn prepare(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // A snapshot that a power cut takes is made again.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.execute_batch(SCHEMA)?;
    Ok(connection)
}

#[async_trait]
impl Snapshots for SqliteSnapshots {
    async fn find(&self, stream: &StreamId, shape: &str) -> Result<Option<Snapshot>, LogError> {
        let (stream, shape) = (stream.clone(), shape.to_owned());
        self.with(move |connection| {
            connection
                .prepare_cached(FIND)?
                .query_row(params![stream.kind.name(), stream.id, shape], |row| {
                    let event_id: [u8; 16] = row.get(1)?;
                    Ok((row.get(0)?, event_id, row.get(2)?))
                })
                .optional()
                .map(|found| {
                    found.map(|(sequence, event_id, state)| Snapshot {
                        stream,
                        shape,
                        sequence,
                        event_id: domain::ids::EventId(uuid::Uuid::from_bytes(event_id)),
                        state,
                    })
                })
        })
        .await
    }

    async fn keep(&self, snapshot: Snapshot) -> Result<(), LogError> {
        self.with(move |connection| {
            let Snapshot { stream, shape, sequence, event_id, state } = snapshot;
            connection.prepare_cached(KEEP)?.execute(params![
                stream.kind.name(),
                stream.id,
                shape,
                sequence,
                event_id.0.as_bytes(),
                state
            ])?;
            Ok(())
        })
        .await
    }
}
