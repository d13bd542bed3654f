//! The log in one SQLite file.
//!
//! One thread owns the writing connection; a batch is one transaction with WAL and
//! `synchronous=FULL`, so that SQLite syncs the WAL before it answers. Readers have connections of
//! their own. A second process may append to the same file: the fence is checked inside the
//! transaction (`BEGIN IMMEDIATE`), which is also the head's lock.

use std::path::{Path, PathBuf};
use std::sync::mpsc as blocking;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use domain::Timestamp;
use domain::aggregate::StreamId;
use domain::ids::EventId;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, Row, TransactionBehavior, params};
use tokio::sync::{oneshot, watch};

use super::recent::Recent;
use super::{Appended, Batch, ClaimKey, Head, LockedLog, Log, LogError, Recorded, announce};
use crate::snapshots::{Snapshots, SqliteSnapshots};

const SCHEMA: &str = include_str!("../../../migrations/sqlite/log/1.sql");
const SCHEMA_VERSION: i64 = 1;
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

type Reply<T> = oneshot::Sender<Result<T, LogError>>;

enum Order {
    Append { fence: Head, batch: Arc<Batch>, reply: Reply<Appended> },
    Lock { after: u64, limit: usize, reply: Reply<Held> },
    Fold { reply: Reply<()> },
    Durability { reply: Reply<(String, i64)> },
}

/// The lock as the writing thread holds it: it waits for a batch, or for this to be dropped.
struct Held {
    head: Head,
    delta: Vec<Recorded>,
    order: blocking::Sender<(Arc<Batch>, Reply<Appended>)>,
}

/// The log in one SQLite file. Dropping the last handle closes it.
#[derive(Debug)]
pub struct SqliteLog {
    path: PathBuf,
    orders: blocking::Sender<Order>,
    readers: Arc<Mutex<Vec<Connection>>>,
    head: watch::Sender<Head>,
    snapshots: SqliteSnapshots,
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
        Ok(Arc::new(Self { path: path.to_owned(), orders, readers, head, snapshots, recent, poll }))
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
    match version {
        SCHEMA_VERSION => {}
        0 => {
            let tables: i64 = transaction
                .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
                .map_err(failed)?;
            if tables > 0 {
                return Err(LogError::Corrupt(format!(
                    "{} is a database, but no letopis log",
                    path.display()
                )));
            }
            transaction.execute_batch(SCHEMA).map_err(failed)?;
            transaction.pragma_update(None, "user_version", SCHEMA_VERSION).map_err(failed)?;
        }
        newer => {
            return Err(LogError::Corrupt(format!(
                "{} has log schema {newer}, and this letopis knows {SCHEMA_VERSION}: use a newer letopis",
                path.display()
            )));
        }
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

/// Tells of what was written.
struct Announcer {
    head: watch::Sender<Head>,
    recent: Arc<Recent>,
}

impl Announcer {
    fn tell(&self, result: &Result<Appended, LogError>, batch: &Arc<Batch>) {
        if let (Ok(Appended::Committed), Some(last)) = (result, batch.events.last()) {
            self.recent.add(batch);
            announce(&self.head, last.head());
        }
    }
}

fn durability(writer: &Connection) -> rusqlite::Result<(String, i64)> {
    let journal = writer.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
    Ok((journal, writer.query_row("PRAGMA synchronous", [], |row| row.get(0))?))
}

/// The writing thread: until the last handle is gone.
fn write_all(mut writer: Connection, inbox: &blocking::Receiver<Order>, announcer: &Announcer) {
    while let Ok(order) = inbox.recv() {
        match order {
            Order::Append { fence, batch, reply } => {
                let result = append(&mut writer, fence, &batch);
                announcer.tell(&result, &batch);
                // Nobody waits any more when the runtime is gone.
                let _ = reply.send(result);
            }
            Order::Lock { after, limit, reply } => hold(&mut writer, after, limit, reply, announcer),
            Order::Durability { reply } => {
                // Nobody waits any more when the runtime is gone.
                let _ = reply.send(durability(&writer).map_err(lost));
            }
            Order::Fold { reply } => {
                let folded = writer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
                let _ = reply.send(folded.map_err(lost));
            }
        }
    }
}

fn append(writer: &mut Connection, fence: Head, batch: &Batch) -> Result<Appended, LogError> {
    let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate).map_err(lost)?;
    let result = write(&transaction, fence, batch).map_err(lost)?;
    if result == Appended::Committed && !batch.events.is_empty() {
        commit(transaction)?;
    }
    Ok(result)
}

/// A failed COMMIT that leaves the transaction open has written nothing, nor has one that found the
/// disk full: the frame that commits is the last that is written. After any other nobody knows.
fn commit(transaction: rusqlite::Transaction<'_>) -> Result<(), LogError> {
    match transaction.execute_batch("COMMIT") {
        Ok(()) => Ok(()),
        Err(error)
            if !transaction.is_autocommit() || error.sqlite_error_code() == Some(ErrorCode::DiskFull) =>
        {
            Err(LogError::Unavailable(error.to_string()))
        }
        Err(error) => Err(LogError::Lost(error.to_string())),
    }
}

fn hold(writer: &mut Connection, after: u64, limit: usize, reply: Reply<Held>, announcer: &Announcer) {
    let taken = writer.transaction_with_behavior(TransactionBehavior::Immediate).and_then(|transaction| {
        let head = read_head(&transaction)?;
        let delta = read_after(&transaction, after, limit)?;
        Ok((transaction, head, delta))
    });
    let (transaction, fence, delta) = match taken {
        Ok(taken) => taken,
        Err(error) => {
            let _ = reply.send(Err(lost(error)));
            return;
        }
    };
    let (order, orders) = blocking::channel::<(Arc<Batch>, Reply<Appended>)>();
    if reply.send(Ok(Held { head: fence, delta, order })).is_err() {
        return;
    }
    // Waits until the holder writes or lets go; the transaction rolls back by being dropped.
    let Ok((batch, reply)) = orders.recv() else { return };
    let result = write(&transaction, fence, &batch).map_err(lost).and_then(|appended| {
        if appended == Appended::Committed {
            commit(transaction)?;
        }
        Ok(appended)
    });
    announcer.tell(&result, &batch);
    let _ = reply.send(result);
}

/// Everything of a batch inside a transaction. Writes nothing unless it is to be committed.
fn write(transaction: &Connection, fence: Head, batch: &Batch) -> rusqlite::Result<Appended> {
    if read_head(transaction)? != fence {
        return Ok(Appended::Fenced);
    }
    let mut repeats = Vec::new();
    {
        let mut known = transaction.prepare_cached("SELECT 1 FROM events WHERE event_id = ?1")?;
        for probe in &batch.probes {
            if known.exists([probe.to_string()])? {
                repeats.push(*probe);
            }
        }
    }
    if !repeats.is_empty() {
        return Ok(Appended::Repeats(repeats));
    }
    let mut insert = transaction.prepare_cached(
        "INSERT INTO events (position, event_id, recorded_at, aggregate_type, aggregate_id, sequence, \
         event_type, event_version, payload, metadata) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?;
    for event in &batch.events {
        insert.execute(params![
            event.position,
            event.event_id.to_string(),
            event.recorded_at.0,
            event.aggregate_type,
            event.aggregate_id,
            event.sequence,
            event.event_type,
            event.event_version,
            event.payload,
            event.metadata,
        ])?;
    }
    for change in &batch.claims {
        match &change.owner {
            Some(owner) => transaction
                .prepare_cached(
                    "INSERT INTO claims (kind, key, owner, position) VALUES (?1, ?2, ?3, ?4) \
                     ON CONFLICT (kind, key) DO UPDATE SET owner = excluded.owner, position = excluded.position",
                )?
                .execute(params![change.claim.kind, change.claim.key, owner, change.position])?,
            None => transaction
                .prepare_cached("DELETE FROM claims WHERE kind = ?1 AND key = ?2")?
                .execute(params![change.claim.kind, change.claim.key])?,
        };
    }
    for membership in &batch.memberships {
        transaction
            .prepare_cached(
                "INSERT INTO memberships (person, chat, position) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            )?
            .execute(params![membership.person.to_string(), membership.chat, membership.position])?;
    }
    if let Some(last) = batch.events.last() {
        transaction
            .prepare_cached("UPDATE head SET position = ?1, event_id = ?2, recorded_at = ?3 WHERE one = 1")?
            .execute(params![last.position, last.event_id.to_string(), last.recorded_at.0])?;
    }
    Ok(Appended::Committed)
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
}

#[async_trait]
impl LockedLog for Held {
    fn head(&self) -> Head {
        self.head
    }
    fn delta(&self) -> &[Recorded] {
        &self.delta
    }
    async fn append(self: Box<Self>, batch: Arc<Batch>) -> Result<Appended, LogError> {
        let (reply, answer) = oneshot::channel();
        self.order
            .send((batch, reply))
            .map_err(|_| LogError::Unavailable("the log's lock was lost".into()))?;
        answer.await.unwrap_or_else(|_| Err(LogError::Lost("the log's writer has stopped".into())))
    }
}
