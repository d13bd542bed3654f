//! The log in PostgreSQL.
//!
//! A batch is one statement (`sql/postgres_append.sql`) and so one transaction: the fence is an
//! update of the head's row, whose lock is also the log's lock. `synchronous_commit` is on for the
//! connection that writes (`writer`), so that PostgreSQL answers after it has synced its WAL. Others
//! are woken by a NOTIFY a flush (`follow`); a process whose clock is wrong does not write (`clock`).

mod clock;
mod follow;
mod writer;

use std::sync::Arc;

use async_trait::async_trait;
use domain::Timestamp;
use domain::aggregate::StreamId;
use domain::ids::{ChatId, EventId, PersonId};
use sqlx::postgres::PgRow;
use sqlx::{Connection, Executor, PgConnection, PgExecutor, PgPool, Row};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use uuid::Uuid;

use self::clock::DatabaseClock;
use self::follow::Announcer;
use self::writer::{Held, Writer};
use super::{Appended, Batch, ClaimKey, Head, LockedLog, Log, LogError, Pool, Recorded};
use crate::clock::Clock;
use crate::postgres::{self, connect, explain, within};
use crate::reactions::{PostgresReactions, Reactions};
use crate::snapshots::{PostgresSnapshots, Snapshots};

/// Each migration's number is its index plus one; each notes itself in `log_schema`.
const MIGRATIONS: &[&str] = &[
    include_str!("../../../migrations/postgres/log/1.sql"),
    include_str!("../../../migrations/postgres/log/2.sql"),
    include_str!("../../../migrations/postgres/log/3.sql"),
];
/// Connections that read.
const READERS: u32 = 8;
/// Two processes that make the tables at once do it one after the other.
const MIGRATION_LOCK: i64 = 0x006c_6574_6f70_6973;
/// Held in the log's database while another connection looks whether it meets it.
const DATABASE_LOCK: i64 = 0x006c_6574_6f70_6974;

const HEAD: &str = "SELECT position, event_id, recorded_at FROM head";
const AFTER: &str = "SELECT position, event_id, recorded_at, aggregate_type, aggregate_id, sequence, \
                     event_type, event_version, payload::text AS payload, metadata::text AS metadata FROM events \
                     WHERE position > $1 ORDER BY position LIMIT $2";
const COLUMNS: &str = "SELECT position, event_id, recorded_at, aggregate_type, aggregate_id, sequence, \
                       event_type, event_version, payload::text AS payload, metadata::text AS metadata FROM events";

/// The log in one PostgreSQL database.
#[derive(Debug)]
pub struct PostgresLog {
    readers: PgPool,
    writer: Writer,
    announcer: Announcer,
    clock: Arc<DatabaseClock>,
    snapshots: PostgresSnapshots,
    reactions: PostgresReactions,
    following: JoinHandle<()>,
}

impl Drop for PostgresLog {
    fn drop(&mut self) {
        self.following.abort();
    }
}

impl PostgresLog {
    /// Connects to the database of `url` and makes the tables in an empty one. `clock` is compared
    /// with the database's; while they are apart nothing is written.
    ///
    /// # Errors
    /// [`LogError::Corrupt`] for a database that is not in UTF8, is no log or has a newer schema;
    /// [`LogError::Unavailable`] if it can't be reached. Both say what to do.
    pub async fn open(url: &str, clock: Arc<dyn Clock>) -> Result<Arc<Self>, LogError> {
        let options = postgres::options(url).map_err(LogError::Corrupt)?;
        let writer = Writer::new(options.clone());
        // The first connection has its words for whoever started letopis; a pool would only say
        // that it waited too long.
        let mut first =
            connect(&options).await.map_err(|error| LogError::Unavailable(explain(&error, &options)))?;
        prepare(&mut first).await?;
        close(first).await;
        let (fsync, _) = writer.durability().await.map_err(unavailable)?;
        if fsync != "on" {
            tracing::error!(
                "PostgreSQL runs with fsync={fsync}: a power cut loses what was acknowledged; set it on"
            );
        }
        let readers = postgres::readers(READERS).connect_lazy_with(options.clone());
        let clock = Arc::new(DatabaseClock::new(clock));
        clock.read(&readers).await.map_err(unavailable)?;
        let announcer = Announcer::new(answered(read_head(&readers)).await?);
        tokio::spawn(announcer.clone().notify(options.clone()));
        let following = tokio::spawn(announcer.clone().follow(readers.clone(), options, clock.clone()));
        let snapshots = PostgresSnapshots::new(readers.clone());
        let reactions = PostgresReactions::new(readers.clone());
        Ok(Arc::new(Self { readers, writer, announcer, clock, snapshots, reactions, following }))
    }

    /// `fsync` and `synchronous_commit` as the connection that writes has them.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn durability(&self) -> Result<(String, String), LogError> {
        self.writer.durability().await.map_err(unavailable)
    }

    /// Whether `url` leads to the log's own database, by whatever name: a lock that is taken here
    /// is met there, and locks are a database's own.
    ///
    /// # Errors
    /// If either can't be reached.
    pub async fn is_in_database(&self, url: &str) -> Result<bool, LogError> {
        let options = postgres::options(url).map_err(LogError::Corrupt)?;
        let mut other =
            connect(&options).await.map_err(|error| LogError::Unavailable(explain(&error, &options)))?;
        let free: bool = answered(async {
            let mut here = self.readers.begin().await?;
            let lock = sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(DATABASE_LOCK);
            lock.execute(&mut *here).await?;
            // Shared, so that two processes that look at once do not meet each other.
            let free = sqlx::query_scalar("SELECT pg_try_advisory_xact_lock_shared($1)")
                .bind(DATABASE_LOCK)
                .fetch_one(&mut other)
                .await?;
            here.rollback().await?;
            Ok(free)
        })
        .await?;
        close(other).await;
        Ok(!free)
    }
}

/// Leaves in order; a server that is gone already is no loss.
async fn close(connection: PgConnection) {
    let _ = connection.close().await;
}

async fn prepare(connection: &mut PgConnection) -> Result<(), LogError> {
    let mut transaction = connection.begin().await.map_err(unavailable)?;
    let encoding: String = sqlx::query_scalar("SELECT current_setting('server_encoding')")
        .fetch_one(&mut *transaction)
        .await
        .map_err(unavailable)?;
    if encoding != "UTF8" {
        return Err(LogError::Corrupt(format!(
            "the log's database is in {encoding}: make one with CREATE DATABASE … ENCODING 'UTF8'"
        )));
    }
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(MIGRATION_LOCK)
        .execute(&mut *transaction)
        .await
        .map_err(unavailable)?;
    let there = |table: &'static str| sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL").bind(table);
    let known: bool = there("log_schema").fetch_one(&mut *transaction).await.map_err(unavailable)?;
    let done = if known {
        let version: i64 = sqlx::query_scalar("SELECT max(version) FROM log_schema")
            .fetch_one(&mut *transaction)
            .await
            .map_err(unavailable)?;
        usize::try_from(version).unwrap_or(usize::MAX)
    } else {
        for (table, what) in [
            ("events", "a table events that is no letopis log: name an empty database"),
            ("keys_schema", "a key store: the log needs a database of its own, name an empty one"),
        ] {
            let foreign: bool = there(table).fetch_one(&mut *transaction).await.map_err(unavailable)?;
            if foreign {
                return Err(LogError::Corrupt(format!("the database has {what}")));
            }
        }
        0
    };
    let Some(missing) = MIGRATIONS.get(done..) else {
        return Err(LogError::Corrupt(format!(
            "the log has schema {done}, and this letopis knows {}: use a newer letopis",
            MIGRATIONS.len()
        )));
    };
    for migration in missing {
        transaction.execute(*migration).await.map_err(unavailable)?;
    }
    transaction.commit().await.map_err(unavailable)
}

async fn read_head<'e>(reader: impl PgExecutor<'e>) -> sqlx::Result<Head> {
    head_of(&sqlx::query(HEAD).fetch_one(reader).await?)
}

fn head_of(row: &PgRow) -> sqlx::Result<Head> {
    Ok(Head {
        position: unsigned(row.try_get("position")?),
        event_id: row.try_get::<Option<Uuid>, _>("event_id")?.map(EventId),
        recorded_at: Timestamp(row.try_get("recorded_at")?),
    })
}

fn recorded(row: &PgRow) -> sqlx::Result<Recorded> {
    Ok(Recorded {
        position: unsigned(row.try_get("position")?),
        event_id: EventId(row.try_get("event_id")?),
        recorded_at: Timestamp(row.try_get("recorded_at")?),
        aggregate_type: row.try_get("aggregate_type")?,
        aggregate_id: row.try_get("aggregate_id")?,
        sequence: unsigned(row.try_get("sequence")?),
        event_type: row.try_get("event_type")?,
        event_version: row.try_get("event_version")?,
        payload: row.try_get("payload")?,
        metadata: row.try_get("metadata")?,
    })
}

fn all(rows: &[PgRow]) -> sqlx::Result<Vec<Recorded>> {
    rows.iter().map(recorded).collect()
}

/// Positions and sequences are counted from 1 and never near the end of an i64.
fn unsigned(value: i64) -> u64 {
    value.unsigned_abs()
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn unavailable(error: sqlx::Error) -> LogError {
    LogError::Unavailable(error.to_string())
}

/// What was read, or that it can't be had now.
async fn answered<T>(asked: impl Future<Output = sqlx::Result<T>>) -> Result<T, LogError> {
    within(asked).await.map_err(unavailable)
}

#[async_trait]
impl Log for PostgresLog {
    fn engine(&self) -> &'static str {
        "postgres"
    }

    fn pools(&self) -> Vec<Pool> {
        let idle = u32::try_from(self.readers.num_idle()).unwrap_or(u32::MAX);
        vec![Pool { name: "log-readers", size: self.readers.size(), idle }, self.writer.pool()]
    }

    async fn head(&self) -> Result<Head, LogError> {
        answered(read_head(&self.readers)).await
    }

    async fn append(&self, fence: Head, batch: Arc<Batch>) -> Result<Appended, LogError> {
        if !batch.events.is_empty() {
            self.clock.check()?;
        }
        let appended = self.writer.append(fence, &batch).await?;
        if appended == Appended::Committed {
            self.announcer.announce(&batch);
        }
        Ok(appended)
    }

    async fn lock(&self, after: u64, limit: usize) -> Result<Box<dyn LockedLog>, LogError> {
        let (seat, head, delta) = self.writer.lock(after, limit).await?;
        let (announcer, clock) = (self.announcer.clone(), self.clock.clone());
        Ok(Box::new(Held { seat: Some(seat), head, delta, announcer, clock }))
    }

    async fn read(&self, after: u64, limit: usize) -> Result<Vec<Recorded>, LogError> {
        if let Some(recent) = self.announcer.recent.after(after, limit) {
            return Ok(recent);
        }
        let rows = sqlx::query(AFTER)
            .bind(signed(after))
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(&self.readers);
        all(&answered(rows).await?).map_err(unavailable)
    }

    async fn stream(
        &self,
        stream: &StreamId,
        after: u64,
        limit: usize,
    ) -> Result<(Vec<Recorded>, Head), LogError> {
        answered(async {
            // Read before the stream, and so a head that the reading has seen all of.
            let mut reader = self.readers.acquire().await?;
            let head = read_head(&mut *reader).await?;
            let rows = sqlx::query(&format!(
                "{COLUMNS} WHERE aggregate_type = $1 AND aggregate_id = $2 AND sequence > $3 ORDER BY sequence LIMIT $4"
            ))
            .bind(stream.kind.name())
            .bind(&stream.id)
            .bind(signed(after))
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(&mut *reader)
            .await?;
            Ok((all(&rows)?, head))
        })
        .await
    }

    async fn event(&self, stream: &StreamId, sequence: u64) -> Result<Option<Recorded>, LogError> {
        let query = format!("{COLUMNS} WHERE aggregate_type = $1 AND aggregate_id = $2 AND sequence = $3");
        let row = sqlx::query(&query)
            .bind(stream.kind.name())
            .bind(&stream.id)
            .bind(signed(sequence))
            .fetch_optional(&self.readers);
        answered(row).await?.as_ref().map(recorded).transpose().map_err(unavailable)
    }

    async fn claim(&self, claim: &ClaimKey) -> Result<(Option<String>, Head), LogError> {
        answered(async {
            let mut reader = self.readers.acquire().await?;
            let head = read_head(&mut *reader).await?;
            let owner = sqlx::query_scalar("SELECT owner FROM claims WHERE kind = $1 AND key = $2")
                .bind(&claim.kind)
                .bind(&claim.key)
                .fetch_optional(&mut *reader)
                .await?;
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
        let found = sqlx::query_scalar(include_str!("sql/postgres_common_chats.sql"))
            .bind(one.to_string())
            .bind(other.to_string())
            .bind(signed(limit as u64))
            .fetch_all(&self.readers);
        let chats: Vec<String> = answered(found).await?;
        let read =
            |chat: &String| chat.parse().map_err(|_| LogError::Corrupt(format!("{chat:?} is no chat")));
        chats.iter().map(read).collect()
    }

    async fn by_ids(&self, ids: &[EventId]) -> Result<Vec<Recorded>, LogError> {
        let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
        let query = format!("{COLUMNS} WHERE event_id = ANY ($1) ORDER BY position");
        let rows = sqlx::query(&query).bind(ids).fetch_all(&self.readers);
        all(&answered(rows).await?).map_err(unavailable)
    }

    fn watch(&self) -> watch::Receiver<Head> {
        self.announcer.watch()
    }

    fn snapshots(&self) -> &dyn Snapshots {
        &self.snapshots
    }

    fn reactions(&self) -> &dyn Reactions {
        &self.reactions
    }
}
