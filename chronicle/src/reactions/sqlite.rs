//! Reactors' rows in the log's file, by a connection of their own: each writing is one short
//! transaction beside the appends.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use domain::ids::EventId;
use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::{Reacted, Reactions};
use crate::log::{Head, LogError};

const FIND: &str = "SELECT position, event_id, epoch, beat, holder FROM reactors WHERE name = ?1";
const TAKE_OVER: &str = include_str!("sql/sqlite_take_over.sql");
const REACTED: &str = "UPDATE reactors SET position = ?3, event_id = ?4 WHERE name = ?1 AND epoch = ?2";
const BEAT: &str = "
    UPDATE reactors SET beat = beat + 1, holder = CASE WHEN ?3 THEN '' ELSE holder END
    WHERE name = ?1 AND epoch = ?2";
const BUSY: Duration = Duration::from_secs(10);

/// In the log's file, which has its tables.
#[derive(Clone, Debug)]
pub struct SqliteReactions {
    path: PathBuf,
    /// Opened when it is first needed.
    connection: Arc<Mutex<Option<Connection>>>,
}

impl SqliteReactions {
    pub fn new(log: &Path) -> Self {
        Self { path: log.to_owned(), connection: Arc::default() }
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
                None => {
                    let connection = Connection::open(&path)?;
                    connection.busy_timeout(BUSY)?;
                    connection.pragma_update(None, "synchronous", "FULL")?;
                    connection
                }
            };
            let done = work(&connection)?;
            *held = Some(connection);
            Ok(done)
        });
        let worked = worked.await.map_err(|error| LogError::Unavailable(error.to_string()))?;
        worked.map_err(|error: rusqlite::Error| LogError::Unavailable(format!("reactors: {error}")))
    }
}

/// What is no id is nobody's.
fn reacted(row: &Row<'_>) -> rusqlite::Result<Reacted> {
    let event_id: Option<String> = row.get(1)?;
    let holder: String = row.get(4)?;
    Ok(Reacted {
        position: row.get(0)?,
        event_id: event_id.and_then(|id| id.parse().ok()),
        epoch: row.get(2)?,
        beat: row.get(3)?,
        holder: holder.parse().unwrap_or_default(),
    })
}

#[async_trait]
impl Reactions for SqliteReactions {
    async fn of(&self, reactor: &str) -> Result<Option<Reacted>, LogError> {
        let reactor = reactor.to_owned();
        self.with(move |connection| connection.query_row(FIND, [reactor], reacted).optional()).await
    }

    async fn take_over(&self, reactor: &str, holder: Uuid, head: Head) -> Result<Reacted, LogError> {
        let reactor = reactor.to_owned();
        self.with(move |connection| {
            let event_id = head.event_id.map(|id| id.to_string());
            connection.query_row(
                TAKE_OVER,
                params![reactor, head.position, event_id, holder.to_string()],
                reacted,
            )
        })
        .await
    }

    async fn reacted(
        &self,
        reactor: &str,
        epoch: u64,
        position: u64,
        event_id: EventId,
    ) -> Result<bool, LogError> {
        let reactor = reactor.to_owned();
        self.with(move |connection| {
            let written =
                connection.execute(REACTED, params![reactor, epoch, position, event_id.to_string()])?;
            Ok(written == 1)
        })
        .await
    }

    async fn beat(&self, reactor: &str, epoch: u64, lets_go: bool) -> Result<bool, LogError> {
        let reactor = reactor.to_owned();
        self.with(move |connection| Ok(connection.execute(BEAT, params![reactor, epoch, lets_go])? == 1))
            .await
    }
}
