//! What the SQLite adapters share: one writer, a few readers, off the async threads.
//!
//! `synchronous=NORMAL` suffices: rows and checkpoint are one transaction, so a power cut costs
//! the last seconds of both, and the projection goes on from there.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::ids::EventId;
use domain::personal::Sealed;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, Transaction, TransactionBehavior};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::Checkpoint;
use crate::error::{Result, StoreError};

const CHECKPOINT: &str = include_str!("../../migrations/sqlite/checkpoint.sql");
/// Readers kept open between calls; more are opened when more are needed at once.
const IDLE_READERS: usize = 4;
/// Prepared statements kept by each connection.
const STATEMENTS: usize = 64;

/// The tables of a port. A file with another version is thrown away: the log has it all.
pub(crate) struct Schema {
    pub version: u32,
    pub sql: &'static str,
    /// Emptied when the projection starts anew.
    pub tables: &'static [&'static str],
}

/// A database of one port. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Sqlite(Arc<Inner>);

struct Inner {
    path: PathBuf,
    schema: &'static Schema,
    writer: Mutex<Connection>,
    readers: Mutex<Vec<Connection>>,
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::Error as Sql;
        match error {
            Sql::FromSqlConversionFailure(..)
            | Sql::IntegralValueOutOfRange(..)
            | Sql::InvalidColumnType(..) => Self::Unreadable { engine: "sqlite", message: error.to_string() },
            error => Self::Engine { engine: "sqlite", message: error.to_string() },
        }
    }
}

impl Sqlite {
    /// Opens or makes the file.
    pub fn open(path: &Path, schema: &'static Schema) -> Result<Self> {
        let mut writer = Connection::open(path)?;
        tune(&writer)?;
        writer.pragma_update(None, "journal_mode", "WAL")?;
        writer.pragma_update(None, "synchronous", "NORMAL")?;
        let tx = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let version: u32 = tx.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if version != schema.version {
            let tables: Vec<String> = tx
                .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")?
                .query_map([], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            for table in tables {
                tx.execute_batch(&format!("DROP TABLE \"{table}\""))?;
            }
            tx.execute_batch(CHECKPOINT)?;
            tx.execute_batch(schema.sql)?;
            tx.pragma_update(None, "user_version", schema.version)?;
        }
        tx.commit()?;
        Ok(Self(Arc::new(Inner {
            path: path.to_owned(),
            schema,
            writer: Mutex::new(writer),
            readers: Mutex::default(),
        })))
    }

    /// Runs `act` on one snapshot.
    pub async fn read<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Transaction<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let inner = self.0.clone();
        blocking(move || {
            let idle = inner.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut reader = match idle {
                Some(reader) => reader,
                None => inner.reader()?,
            };
            let tx = reader.transaction()?;
            let found = act(&tx)?;
            tx.finish()?;
            let mut readers = inner.readers.lock().unwrap_or_else(PoisonError::into_inner);
            if readers.len() < IDLE_READERS {
                readers.push(reader);
            }
            Ok(found)
        })
        .await
    }

    /// Runs `act` and moves the checkpoint, all or nothing.
    pub async fn write(
        &self,
        checkpoint: Checkpoint,
        act: impl FnOnce(&Transaction<'_>) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        self.writing(move |tx, _| {
            checkpoint.supersedes(read_checkpoint(tx)?.as_ref())?;
            act(tx)?;
            put_checkpoint(tx, &checkpoint)
        })
        .await
    }

    /// See [`crate::ReadModel::checkpoint`].
    pub async fn checkpoint(&self) -> Result<Option<Checkpoint>> {
        self.read(|tx| Ok(read_checkpoint(tx)?)).await
    }

    /// See [`crate::ReadModel::take_over`].
    pub async fn take_over(&self, fresh: Checkpoint) -> Result<Checkpoint> {
        self.writing(move |tx, _| {
            let mut checkpoint = read_checkpoint(tx)?.unwrap_or(fresh);
            checkpoint.epoch += 1;
            put_checkpoint(tx, &checkpoint)?;
            Ok(checkpoint)
        })
        .await
    }

    /// See [`crate::ReadModel::reset`].
    pub async fn reset(&self, checkpoint: Checkpoint) -> Result<()> {
        self.writing(move |tx, schema| {
            checkpoint.supersedes(read_checkpoint(tx)?.as_ref())?;
            for table in schema.tables {
                tx.execute_batch(&format!("DELETE FROM {table}"))?;
            }
            put_checkpoint(tx, &checkpoint)
        })
        .await
    }

    async fn writing<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Transaction<'_>, &'static Schema) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let inner = self.0.clone();
        blocking(move || {
            let mut writer = inner.writer.lock().unwrap_or_else(PoisonError::into_inner);
            let tx = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let done = act(&tx, inner.schema)?;
            tx.commit()?;
            Ok(done)
        })
        .await
    }
}

impl Inner {
    fn reader(&self) -> Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let reader = Connection::open_with_flags(&self.path, flags)?;
        tune(&reader)?;
        Ok(reader)
    }
}

fn tune(connection: &Connection) -> Result<()> {
    connection.busy_timeout(Duration::from_secs(5))?;
    // KiB, where negative. Small: the system caches the file anyway.
    connection.pragma_update(None, "cache_size", -1024)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(())
}

async fn blocking<T: Send + 'static>(act: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let stopped =
        |error: tokio::task::JoinError| StoreError::Engine { engine: "sqlite", message: error.to_string() };
    tokio::task::spawn_blocking(act).await.map_err(stopped)?
}

fn read_checkpoint(tx: &Transaction<'_>) -> rusqlite::Result<Option<Checkpoint>> {
    tx.prepare_cached("SELECT log_id, generation, epoch, code_version, position, event_id FROM checkpoint")?
        .query_row([], |row| {
            Ok(Checkpoint {
                log_id: id(row, 0)?,
                generation: row.get(1)?,
                epoch: row.get(2)?,
                code_version: row.get(3)?,
                position: row.get(4)?,
                event_id: row.get::<_, Option<[u8; 16]>>(5)?.map(|id| EventId(Uuid::from_bytes(id))),
            })
        })
        .optional()
}

fn put_checkpoint(tx: &Transaction<'_>, checkpoint: &Checkpoint) -> Result<()> {
    let event_id = checkpoint.event_id.map(|id| *id.0.as_bytes());
    tx.prepare_cached(
        "INSERT INTO checkpoint VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (one) DO UPDATE SET
            log_id = excluded.log_id, generation = excluded.generation, epoch = excluded.epoch,
            code_version = excluded.code_version, position = excluded.position,
            event_id = excluded.event_id",
    )?
    .execute((
        checkpoint.log_id.as_bytes(),
        checkpoint.generation,
        checkpoint.epoch,
        checkpoint.code_version,
        checkpoint.position,
        event_id,
    ))?;
    Ok(())
}

/// An id that lies in `column` as 16 bytes.
pub(crate) fn id<T: From<Uuid>>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    row.get::<_, [u8; 16]>(column).map(|bytes| T::from(Uuid::from_bytes(bytes)))
}

/// A sealed value from its token and its event's id.
pub(crate) fn sealed(row: &Row<'_>, token: usize, event_id: usize) -> rusqlite::Result<Sealed> {
    let event_id = row.get::<_, Option<[u8; 16]>>(event_id)?;
    Ok(Sealed { token: row.get(token)?, event_id: event_id.map(|id| EventId(Uuid::from_bytes(id))) })
}

/// The event id beside a sealed value, as it is stored.
pub(crate) fn event_of(sealed: &Sealed) -> Option<[u8; 16]> {
    sealed.event_id.map(|id| *id.0.as_bytes())
}

/// A unit variant by its wire name, so that rows and answers spell it alike.
pub(crate) fn name_of<T: Serialize>(variant: T) -> String {
    match serde_json::to_value(variant) {
        Ok(serde_json::Value::String(name)) => name,
        _ => String::new(),
    }
}

/// The reverse of [`name_of`].
pub(crate) fn named<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let name: String = row.get(column)?;
    serde_json::from_value(serde_json::Value::String(name)).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, error.into())
    })
}
