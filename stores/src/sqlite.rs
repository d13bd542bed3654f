//! What the SQLite adapters share: one writer, a few readers, off the async threads.
//!
//! `synchronous=NORMAL` suffices: rows and checkpoint are one transaction, so a power cut costs
//! the last seconds of both, and the projection goes on from there.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use domain::Timestamp;
use domain::ids::EventId;
use domain::personal::Sealed;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, Row, Transaction, TransactionBehavior};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::error::{Result, StoreError};
use crate::read_model::{Batch, Parking, Sum, Summary, Summing};
use crate::{Checkpoint, Parked};

const CHECKPOINT: &str = include_str!("../../migrations/sqlite/checkpoint.sql");
/// Readers kept open between calls; more are opened when more are needed at once.
const IDLE_READERS: usize = 4;
/// Prepared statements kept by each connection.
const STATEMENTS: usize = 64;
/// In a generation's folder.
const ROWS: &str = "rows.db";
/// KiB, where negative. Small: the system caches the file anyway.
const CACHE: i64 = -1024;
/// Of the writer, which comes back to the same pages.
const WRITER_CACHE: i64 = -4096;
/// The WAL is folded once it has so many pages of 4 KiB. Rarely: a page that is written often is
/// then folded once.
const WAL_PAGES: i64 = 4_000;
const LOAD_WAL_PAGES: i64 = 20_000;

const INDEXES: &str = "SELECT count(*) FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL";
const PARKED: &str = "SELECT stream, position, sequence, why, since FROM parked ORDER BY stream";
const PARK: &str = "
    INSERT INTO parked VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (stream) DO UPDATE SET
        position = excluded.position, sequence = excluded.sequence, why = excluded.why,
        since = excluded.since";
const UNPARK: &str = "DELETE FROM parked WHERE stream = ?1";

/// The tables of a port.
pub(crate) struct Schema {
    /// A file with another version is no file of this build: its rows are made anew.
    pub version: u32,
    pub sql: &'static str,
    /// The secondary indexes, each `IF NOT EXISTS`: made last in a load.
    pub indexes: &'static str,
    /// What is counted and summed.
    pub tables: &'static [&'static str],
}

/// A database of one generation of a port. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Sqlite(Arc<Inner>);

struct Inner {
    path: PathBuf,
    schema: &'static Schema,
    writer: Mutex<Connection>,
    readers: Mutex<Vec<Connection>>,
    damage: OnceLock<String>,
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::Error as Sql;
        match error {
            Sql::FromSqlConversionFailure(..)
            | Sql::IntegralValueOutOfRange(..)
            | Sql::InvalidColumnType(..) => Self::Unreadable { engine: "sqlite", message: error.to_string() },
            error if is_damage(&error) => Self::Damaged { engine: "sqlite", message: error.to_string() },
            error => Self::Engine { engine: "sqlite", message: error.to_string() },
        }
    }
}

fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::Error as Sql;
    let (code, message) = match error {
        Sql::SqliteFailure(failure, message) => (failure.code, message.as_deref()),
        Sql::SqlInputError { error, msg, .. } => (error.code, Some(msg.as_str())),
        _ => return false,
    };
    // A file that was cut off to nothing is an empty database.
    matches!(code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
        || message.is_some_and(|message| message.starts_with("no such table"))
}

impl Sqlite {
    /// Opens the rows in a generation's folder, or makes them.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] for a file that is something else.
    pub fn open(folder: &Path, schema: &'static Schema) -> Result<Self> {
        let path = folder.join(ROWS);
        let mut writer = Connection::open(&path)?;
        tune(&writer)?;
        writer.pragma_update(None, "journal_mode", "WAL")?;
        writer.pragma_update(None, "synchronous", "NORMAL")?;
        let tx = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let version: u32 = tx.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if version == 0 {
            tx.execute_batch(CHECKPOINT)?;
            tx.execute_batch(schema.sql)?;
            tx.pragma_update(None, "user_version", schema.version)?;
        } else if version != schema.version {
            let message = format!("its tables are of version {version}, not {}", schema.version);
            return Err(StoreError::Damaged { engine: "sqlite", message });
        }
        let indexes: u64 = tx.query_row(INDEXES, [], |row| row.get(0))?;
        tx.commit()?;
        if indexes == 0 {
            load_form(&writer)?
        } else {
            serving_form(&writer)?
        }
        Ok(Self(Arc::new(Inner {
            path,
            schema,
            writer: Mutex::new(writer),
            readers: Mutex::default(),
            damage: OnceLock::new(),
        })))
    }

    /// Runs `act` on one snapshot.
    pub async fn read<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Transaction<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.blocking(move |inner| inner.read(act)).await
    }

    /// Runs one statement on the caller's thread: for a row by its key, which takes less time than
    /// going to another thread and back. A reader never waits for the writer.
    pub fn read_here<T>(&self, act: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        self.0.noting(|inner| inner.reading(|reader| act(reader)))
    }

    /// Writes a batch: its changes by `apply`, what is parked, and the checkpoint, all or nothing.
    pub async fn put<C: Send + Sync + 'static>(
        &self,
        batch: Arc<Batch<C>>,
        apply: impl FnOnce(&Transaction<'_>, &[C]) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        self.writing(move |tx| {
            batch.checkpoint.supersedes("sqlite", read_checkpoint(tx)?.as_ref(), batch.follows)?;
            apply(tx, &batch.changes)?;
            batch.parking.iter().try_for_each(|change| put_parking(tx, change))?;
            put_checkpoint(tx, &batch.checkpoint)
        })
        .await
    }

    /// See [`crate::ReadModel::checkpoint`]; so with the others.
    pub async fn checkpoint(&self) -> Result<Option<Checkpoint>> {
        self.read(|tx| Ok(read_checkpoint(tx)?)).await
    }

    pub async fn take_over(&self, fresh: Checkpoint) -> Result<Checkpoint> {
        self.writing(move |tx| {
            let checkpoint = Checkpoint::taken_over(read_checkpoint(tx)?, fresh);
            put_checkpoint(tx, &checkpoint)?;
            Ok(checkpoint)
        })
        .await
    }

    pub async fn parked(&self) -> Result<Vec<Parked>> {
        self.read(|tx| {
            let mut found = tx.prepare_cached(PARKED)?;
            let rows = found.query_map([], |row| {
                Ok(Parked {
                    stream: row.get(0)?,
                    position: row.get(1)?,
                    sequence: row.get(2)?,
                    why: row.get(3)?,
                    since: Timestamp(row.get(4)?),
                })
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    pub async fn index(&self) -> Result<()> {
        self.blocking(|inner| {
            let mut writer = inner.writer.lock().unwrap_or_else(PoisonError::into_inner);
            // Rolled back on any error: a transaction left open would be everybody's.
            let tx = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let indexes: u64 = tx.query_row(INDEXES, [], |row| row.get(0))?;
            if indexes == 0 {
                tx.execute_batch(inner.schema.indexes)?;
            }
            tx.commit()?;
            serving_form(&writer)
        })
        .await
    }

    pub async fn summary(&self) -> Result<Summing> {
        // A reader of its own: it may be busy for long.
        let (reader, position) = self
            .blocking(|inner| {
                let reader = inner.reader()?;
                reader.execute_batch("BEGIN")?;
                // The first read is what takes the snapshot.
                let position = reader.query_row("SELECT position FROM checkpoint", [], |row| row.get(0));
                Ok((reader, position.optional()?.unwrap_or(0)))
            })
            .await?;
        let this = self.clone();
        Ok(Box::pin(async move {
            this.blocking(move |inner| {
                let mut summary = Summary { position, ..Summary::default() };
                for table in inner.schema.tables {
                    summary.tables.insert((*table).to_owned(), sum(&reader, table)?);
                }
                Ok(summary)
            })
            .await
        }))
    }

    /// Folds the WAL into the file.
    pub async fn settle(&self) -> Result<()> {
        self.blocking(|inner| {
            let writer = inner.writer.lock().unwrap_or_else(PoisonError::into_inner);
            Ok(writer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?)
        })
        .await
    }

    pub fn damage(&self) -> Option<String> {
        self.0.damage.get().cloned()
    }

    async fn writing<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Transaction<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.blocking(move |inner| {
            let mut writer = inner.writer.lock().unwrap_or_else(PoisonError::into_inner);
            let tx = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let done = act(&tx)?;
            tx.commit()?;
            Ok(done)
        })
        .await
    }

    /// Off the async threads; remembers damage that it meets.
    async fn blocking<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Inner) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let inner = self.0.clone();
        let stopped = |error: tokio::task::JoinError| StoreError::Engine {
            engine: "sqlite",
            message: error.to_string(),
        };
        tokio::task::spawn_blocking(move || inner.noting(act)).await.map_err(stopped)?
    }
}

impl Inner {
    /// Remembers damage that `act` meets.
    fn noting<T>(&self, act: impl FnOnce(&Self) -> Result<T>) -> Result<T> {
        let done = act(self);
        if let Err(error) = &done
            && error.is_damage()
        {
            self.damage.get_or_init(|| error.to_string());
        }
        done
    }

    /// Runs `act` on one snapshot.
    fn read<T>(&self, act: impl FnOnce(&Transaction<'_>) -> Result<T>) -> Result<T> {
        self.reading(|reader| {
            let tx = reader.transaction()?;
            let found = act(&tx)?;
            tx.finish()?;
            Ok(found)
        })
    }

    /// Lends a reader, and keeps it for the next unless something failed.
    fn reading<T>(&self, act: impl FnOnce(&mut Connection) -> Result<T>) -> Result<T> {
        let idle = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut reader = match idle {
            Some(reader) => reader,
            None => self.reader()?,
        };
        let found = act(&mut reader)?;
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if readers.len() < IDLE_READERS {
            readers.push(reader);
        }
        Ok(found)
    }

    fn reader(&self) -> Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let reader = Connection::open_with_flags(&self.path, flags)?;
        tune(&reader)?;
        Ok(reader)
    }
}

fn tune(connection: &Connection) -> Result<()> {
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.pragma_update(None, "cache_size", CACHE)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(())
}

/// While a new generation is loaded: pages stay in memory for longer, and the WAL is folded seldom.
fn load_form(writer: &Connection) -> Result<()> {
    writer.pragma_update(None, "cache_size", -16_384)?;
    writer.pragma_update(None, "wal_autocheckpoint", LOAD_WAL_PAGES)?;
    Ok(())
}

fn serving_form(writer: &Connection) -> Result<()> {
    writer.pragma_update(None, "cache_size", WRITER_CACHE)?;
    writer.pragma_update(None, "wal_autocheckpoint", WAL_PAGES)?;
    Ok(())
}

/// Every row's columns, each with its type and length, so that no two rows read alike.
fn sum(reader: &Connection, table: &str) -> Result<Sum> {
    let mut sum = Sum::default();
    let mut rows = reader.prepare(&format!("SELECT * FROM {table}"))?;
    let columns = rows.column_count();
    let mut rows = rows.query([])?;
    let mut canonical = Vec::with_capacity(512);
    while let Some(row) = rows.next()? {
        canonical.clear();
        for column in 0..columns {
            let number;
            let (kind, bytes): (u8, &[u8]) = match row.get_ref(column)? {
                ValueRef::Null => (b'n', &[]),
                ValueRef::Integer(value) => {
                    number = value.to_be_bytes();
                    (b'i', &number)
                }
                ValueRef::Real(value) => {
                    number = value.to_be_bytes();
                    (b'r', &number)
                }
                ValueRef::Text(text) => (b't', text),
                ValueRef::Blob(blob) => (b'b', blob),
            };
            canonical.push(kind);
            canonical.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
            canonical.extend_from_slice(bytes);
        }
        sum.add(&canonical);
    }
    Ok(sum)
}

fn put_parking(tx: &Transaction<'_>, change: &Parking) -> Result<()> {
    match change {
        Parking::Park(parked) => tx.prepare_cached(PARK)?.execute((
            &parked.stream,
            parked.position,
            parked.sequence,
            &parked.why,
            parked.since.0,
        ))?,
        Parking::Unpark(stream) => tx.prepare_cached(UNPARK)?.execute([stream])?,
    };
    Ok(())
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

/// The writing side of a port whose adapter wraps [`Sqlite`]; `$apply` puts changes into a
/// transaction.
macro_rules! read_model {
    ($port:ty, $change:ty, $apply:path) => {
        #[async_trait::async_trait]
        impl crate::ReadModel for $port {
            type Change = $change;

            async fn checkpoint(&self) -> crate::Result<Option<crate::Checkpoint>> {
                self.0.checkpoint().await
            }
            async fn take_over(&self, fresh: crate::Checkpoint) -> crate::Result<crate::Checkpoint> {
                self.0.take_over(fresh).await
            }
            async fn put(&self, batch: std::sync::Arc<crate::Batch<$change>>) -> crate::Result<()> {
                self.0.put(batch, $apply).await
            }
            async fn parked(&self) -> crate::Result<Vec<crate::Parked>> {
                self.0.parked().await
            }
            async fn index(&self) -> crate::Result<()> {
                self.0.index().await
            }
            async fn summary(&self) -> crate::Result<crate::Summing> {
                self.0.summary().await
            }
            async fn settle(&self) -> crate::Result<()> {
                self.0.settle().await
            }
            fn damage(&self) -> Option<String> {
                self.0.damage()
            }
        }
    };
}
pub(crate) use read_model;

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
