//! The log in one SQLite file.
//!
//! One thread owns the writing connection; a batch is one transaction with WAL and
//! `synchronous=FULL`, so that SQLite syncs the WAL before it answers. Readers have connections of
//! their own. A second process may append to the same file: the fence is checked inside the
//! transaction (`BEGIN IMMEDIATE`), which is also the head's lock.

mod writer;

use std::path::{Path, PathBuf};
use std::sync::mpsc as blocking;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use domain::Timestamp;
use domain::aggregate::StreamId;
use domain::ids::{ChatId, EventId, PersonId};
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, Row, TransactionBehavior, params};
use tokio::sync::{oneshot, watch};

use self::writer::{Announcer, Order, write_all};
use super::recent::Recent;
use super::{Appended, Batch, ClaimKey, Head, LockedLog, Log, LogError, Recorded, announce};
use crate::reactions::{Reactions, SqliteReactions};
use crate::snapshots::{Snapshots, SqliteSnapshots};

/// Each migration's number is its index plus one, and `user_version` the last one's.
const MIGRATIONS: &[&str] = &[
    include_str!("../../../migrations/sqlite/log/1.sql"),
    include_str!("../../../migrations/sqlite/log/2.sql"),
];
/// How long one waits for another process's transaction.
const BUSY: Duration = Duration::from_secs(10);
/// Pages in the WAL before it is checkpointed; rarer checkpoints make appends faster.
const CHECKPOINT_PAGES: i64 = 8_000;
const READERS: usize = 4;
/// How often a file that another process appends to is looked at.
const POLL: Duration = Duration::from_millis(200);

const HEAD: &str = "SELECT position, event_id, recorded_at FROM head WHERE one = 1";
const COLUMNS: &str = "SELECT position, event_id, recorded_at, aggregate_type, aggregate_id, sequence, \
                       event_type, event_version, payload, metadata FROM events";

/// The log in one SQLite file. Dropping the last handle closes it.
#[derive(Debug)]
pub struct SqliteLog {
    path: PathBuf,
    orders: blocking::Sender<Order>,
    readers: Arc<Mutex<Vec<Connection>>>,
    head: watch::Sender<Head>,
    snapshots: SqliteSnapshots,
    reactions: SqliteReactions,
    recent: Arc<Recent>,
    poll: tokio::task::JoinHandle<()>,
}

impl Drop for SqliteLog {
    fn drop(&mut self) {
        self.poll.abort();
    }
}

impl SqliteLog {
    /// Opens the file, and makes its tables in an empty one. Needs a tokio runtime.
    ///
    /// # Errors
    /// [`LogError::Corrupt`] for a file that is no log or has a newer schema;
    /// [`LogError::Unavailable`] if it can't be opened.
    pub fn open(path: &Path) -> Result<Arc<Self>, LogError> {
        let mut writer = Connection::open(path).map_err(|error| named(path, &error))?;
        prepare(&mut writer, path)?;
        let head = read_head(&writer).map_err(lost)?;
        let head = watch::Sender::new(head);
        let (orders, inbox) = blocking::channel();
        let recent = Arc::<Recent>::default();
        let announcer = Announcer { head: head.clone(), recent: recent.clone() };
        std::thread::Builder::new()
            .name("log-writer".into())
            .spawn(move || write_all(writer, &inbox, &announcer))
            .map_err(|error| LogError::Unavailable(error.to_string()))?;
        let readers = Arc::new(Mutex::new(Vec::new()));
        let poll = tokio::spawn(follow(path.to_owned(), readers.clone(), head.clone()));
        let snapshots = SqliteSnapshots::beside(path);
        let (path, reactions) = (path.to_owned(), SqliteReactions::new(path));
        Ok(Arc::new(Self { path, orders, readers, head, snapshots, reactions, recent, poll }))
    }

    /// Folds the WAL into the file, so that the file alone is the log; for an orderly stop.
    ///
    /// # Errors
    /// [`LogError::Unavailable`]; nothing is lost by it.
    pub async fn fold(&self) -> Result<(), LogError> {
        let (reply, answer) = oneshot::channel();
        self.order(Order::Fold { reply })?;
        answer.await.unwrap_or_else(|_| Err(LogError::Unavailable("the log's writer has stopped".into())))
    }

    /// `journal_mode` and `synchronous` (2 is FULL) as the connection that writes has them.
    ///
    /// # Errors
    /// [`LogError::Unavailable`] if it does not answer.
    pub async fn durability(&self) -> Result<(String, i64), LogError> {
        let (reply, answer) = oneshot::channel();
        self.order(Order::Durability { reply })?;
        answer.await.unwrap_or_else(|_| Err(LogError::Unavailable("the log's writer has stopped".into())))
    }

    async fn read_with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, LogError> {
        let (path, readers) = (self.path.clone(), self.readers.clone());
        tokio::task::spawn_blocking(move || with_reader(&path, &readers, work))
            .await
            .map_err(|error| LogError::Unavailable(error.to_string()))?
    }

    fn order(&self, order: Order) -> Result<(), LogError> {
        self.orders.send(order).map_err(|_| LogError::Unavailable("the log's writer has stopped".into()))
    }
}

/// Wakes those who follow the log when another process has appended to it.
async fn follow(path: PathBuf, readers: Arc<Mutex<Vec<Connection>>>, head: watch::Sender<Head>) {
    let mut ticks = tokio::time::interval(POLL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let (path, readers) = (path.clone(), readers.clone());
        let seen = tokio::task::spawn_blocking(move || with_reader(&path, &readers, read_head)).await;
        if let Ok(Ok(seen)) = seen {
            announce(&head, seen);
        }
    }
}

fn with_reader<T>(
    path: &Path,
    readers: &Mutex<Vec<Connection>>,
    work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> Result<T, LogError> {
    let idle = readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
    let reader = match idle {
        Some(reader) => reader,
        None => open_reader(path).map_err(|error| named(path, &error))?,
    };
    let result = work(&reader).map_err(|error| LogError::Unavailable(error.to_string()));
    let mut idle = readers.lock().unwrap_or_else(PoisonError::into_inner);
    if idle.len() < READERS {
        idle.push(reader);
    }
    result
}

fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let reader = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    reader.busy_timeout(BUSY)?;
    reader.set_prepared_statement_cache_capacity(32);
    Ok(reader)
}

fn prepare(writer: &mut Connection, path: &Path) -> Result<(), LogError> {
    let failed = |error: rusqlite::Error| named(path, &error);
    writer.busy_timeout(BUSY).map_err(failed)?;
    writer.set_prepared_statement_cache_capacity(64);
    writer.pragma_update(None, "journal_mode", "WAL").map_err(failed)?;
    writer.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
    writer.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES).map_err(failed)?;
    let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    let version: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(failed)?;
    if version == 0 {
        let tables: i64 = transaction
            .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
            .map_err(failed)?;
        if tables > 0 {
            return Err(LogError::Corrupt(format!("{} is a database, but no letopis log", path.display())));
        }
    }
    let known = MIGRATIONS.len();
    let Some(missing) = usize::try_from(version).ok().and_then(|done| MIGRATIONS.get(done..)) else {
        return Err(LogError::Corrupt(format!(
            "{} has log schema {version}, and this letopis knows {known}: use a newer letopis",
            path.display()
        )));
    };
    for migration in missing {
        transaction.execute_batch(migration).map_err(failed)?;
    }
    if !missing.is_empty() {
        transaction.pragma_update(None, "user_version", known as i64).map_err(failed)?;
    }
    transaction.commit().map_err(failed)
}

fn named(path: &Path, error: &rusqlite::Error) -> LogError {
    let message = format!("{}: {error}", path.display());
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => LogError::Corrupt(message),
        _ => LogError::Unavailable(message),
    }
}

fn lost(error: rusqlite::Error) -> LogError {
    LogError::Unavailable(error.to_string())
}

fn read_head(connection: &Connection) -> rusqlite::Result<Head> {
    connection.prepare_cached(HEAD)?.query_row([], |row| {
        let event_id: Option<String> = row.get(1)?;
        Ok(Head {
            position: row.get(0)?,
            event_id: event_id.map(|id| parse_id(&id)).transpose()?,
            recorded_at: Timestamp(row.get(2)?),
        })
    })
}

fn parse_id(text: &str) -> rusqlite::Result<EventId> {
    text.parse().map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(error))
    })
}

fn recorded(row: &Row<'_>) -> rusqlite::Result<Recorded> {
    Ok(Recorded {
        position: row.get(0)?,
        event_id: parse_id(row.get_ref(1)?.as_str()?)?,
        recorded_at: Timestamp(row.get(2)?),
        aggregate_type: row.get(3)?,
        aggregate_id: row.get(4)?,
        sequence: row.get(5)?,
        event_type: row.get(6)?,
        event_version: row.get(7)?,
        payload: row.get(8)?,
        metadata: row.get(9)?,
    })
}

fn read_after(connection: &Connection, after: u64, limit: usize) -> rusqlite::Result<Vec<Recorded>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    connection
        .prepare_cached(&format!("{COLUMNS} WHERE position > ?1 ORDER BY position LIMIT ?2"))?
        .query_map(params![after, limit], recorded)?
        .collect()
}

#[async_trait]
impl Log for SqliteLog {
    fn engine(&self) -> &'static str {
        "sqlite"
    }

    async fn head(&self) -> Result<Head, LogError> {
        self.read_with(read_head).await
    }

    async fn append(&self, fence: Head, batch: Arc<Batch>) -> Result<Appended, LogError> {
        let (reply, answer) = oneshot::channel();
        self.order(Order::Append { fence, batch, reply })?;
        answer.await.unwrap_or_else(|_| Err(LogError::Lost("the log's writer has stopped".into())))
    }

    async fn lock(&self, after: u64, limit: usize) -> Result<Box<dyn LockedLog>, LogError> {
        let (reply, answer) = oneshot::channel();
        self.order(Order::Lock { after, limit, reply })?;
        let held = answer
            .await
            .unwrap_or_else(|_| Err(LogError::Unavailable("the log's writer has stopped".into())))?;
        Ok(Box::new(held))
    }

    async fn read(&self, after: u64, limit: usize) -> Result<Vec<Recorded>, LogError> {
        if let Some(recent) = self.recent.after(after, limit) {
            return Ok(recent);
        }
        self.read_with(move |connection| read_after(connection, after, limit)).await
    }

    async fn stream(
        &self,
        stream: &StreamId,
        after: u64,
        limit: usize,
    ) -> Result<(Vec<Recorded>, Head), LogError> {
        let (stream, limit) = (stream.clone(), i64::try_from(limit).unwrap_or(i64::MAX));
        self.read_with(move |connection| {
            // One transaction, so that the head is of the moment in which the stream is read.
            let transaction = connection.unchecked_transaction()?;
            let head = read_head(&transaction)?;
            let events = transaction
                .prepare_cached(&format!(
                    "{COLUMNS} WHERE aggregate_type = ?1 AND aggregate_id = ?2 AND sequence > ?3 \
                     ORDER BY sequence LIMIT ?4"
                ))?
                .query_map(params![stream.kind.name(), stream.id, after, limit], recorded)?
                .collect::<rusqlite::Result<_>>()?;
            Ok((events, head))
        })
        .await
    }

    async fn event(&self, stream: &StreamId, sequence: u64) -> Result<Option<Recorded>, LogError> {
        let stream = stream.clone();
        self.read_with(move |connection| {
            connection
                .prepare_cached(&format!(
                    "{COLUMNS} WHERE aggregate_type = ?1 AND aggregate_id = ?2 AND sequence = ?3"
                ))?
                .query_row(params![stream.kind.name(), stream.id, sequence], recorded)
                .optional()
        })
        .await
    }

    async fn claim(&self, claim: &ClaimKey) -> Result<(Option<String>, Head), LogError> {
        let claim = claim.clone();
        self.read_with(move |connection| {
            let transaction = connection.unchecked_transaction()?;
            let head = read_head(&transaction)?;
            let owner = transaction
                .prepare_cached("SELECT owner FROM claims WHERE kind = ?1 AND key = ?2")?
                .query_row(params![claim.kind, claim.key], |row| row.get(0))
                .optional()?;
            Ok((owner, head))
        })
        .await
    }

    async fn common_chats(
        &self,
        one: PersonId,
        other: PersonId,
        limit: usize,
    ) -> Result<Vec<ChatId>, LogError> {
        self.read_with(move |connection| {
            let mut query = connection.prepare_cached(include_str!("sql/sqlite_common_chats.sql"))?;
            let found =
                query.query_map(params![one.to_string(), other.to_string(), limit], |row| row.get(0))?;
            found.collect::<rusqlite::Result<Vec<String>>>()
        })
        .await?
        .iter()
        .map(|chat| chat.parse().map_err(|_| LogError::Corrupt(format!("{chat:?} is no chat"))))
        .collect()
    }

    async fn by_ids(&self, ids: &[EventId]) -> Result<Vec<Recorded>, LogError> {
        let ids = ids.to_vec();
        self.read_with(move |connection| {
            let mut query = connection.prepare_cached(&format!("{COLUMNS} WHERE event_id = ?1"))?;
            let mut found = Vec::new();
            for id in ids {
                found.extend(query.query_row([id.to_string()], recorded).optional()?);
            }
            Ok(found)
        })
        .await
    }

    fn watch(&self) -> watch::Receiver<Head> {
        self.head.subscribe()
    }

    fn snapshots(&self) -> &dyn Snapshots {
        &self.snapshots
    }

    fn reactions(&self) -> &dyn Reactions {
        &self.reactions
    }
}
