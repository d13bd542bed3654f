//! The log in PostgreSQL.
//!
//! A batch is one statement (`sql/postgres_append.sql`) and so one transaction: the fence is an
//! update of the head's row, whose lock is also the log's lock. `synchronous_commit` is on for the
//! connections that write, so that PostgreSQL answers after it has synced its WAL. Followers are
//! woken by a NOTIFY a batch, sent outside the transaction; polling is the net beneath.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::Timestamp;
use domain::aggregate::StreamId;
use domain::ids::EventId;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgListener, PgPoolOptions, PgRow};
use sqlx::query::Query;
use sqlx::{Executor, PgConnection, PgPool, Postgres, Row, Transaction};
use tokio::sync::watch;
use uuid::Uuid;

use super::{Appended, Batch, ClaimKey, Head, LockedLog, Log, LogError, Pool, Recorded, announce};
use crate::snapshots::{PostgresSnapshots, Snapshots};

/// Each migration's number is its index plus one; each notes itself in `log_schema`.
const MIGRATIONS: &[&str] = &[
    include_str!("../../../migrations/postgres/log/1.sql"),
    include_str!("../../../migrations/postgres/log/2.sql"),
];
const APPEND: &str = include_str!("sql/postgres_append.sql");
const PROBE: &str = include_str!("sql/postgres_probe.sql");
const CHANNEL: &str = "letopis_log";
/// How often the head is looked at when no notification comes.
const POLL: Duration = Duration::from_millis(500);
/// How long one waits for a connection.
const PATIENCE: Duration = Duration::from_secs(5);
/// Connections that read, and that write: one batch is under way at a time, or one lock is held.
const READERS: u32 = 8;
const WRITERS: u32 = 2;
/// Two processes that make the tables at once do it one after the other.
const MIGRATION_LOCK: i64 = 0x006c_6574_6f70_6973;

const HEAD: &str = "SELECT position, event_id, recorded_at FROM head";
const COLUMNS: &str = "SELECT position, event_id, recorded_at, aggregate_type, aggregate_id, sequence, \
                       event_type, event_version, payload::text AS payload, metadata::text AS metadata FROM events";

/// The log in one PostgreSQL database.
#[derive(Debug)]
pub struct PostgresLog {
    readers: PgPool,
    writers: PgPool,
    head: watch::Sender<Head>,
    snapshots: PostgresSnapshots,
    follow: tokio::task::JoinHandle<()>,
}

impl Drop for PostgresLog {
    fn drop(&mut self) {
        self.follow.abort();
    }
}

impl PostgresLog {
    /// Connects to the database of `url` and makes the tables in an empty one.
    ///
    /// # Errors
    /// [`LogError::Corrupt`] for a database that is not in UTF8, is no log or has a newer schema;
    /// [`LogError::Unavailable`] if it can't be reached.
    pub async fn open(url: &str) -> Result<Arc<Self>, LogError> {
        let options: PgConnectOptions =
            url.parse().map_err(|error| LogError::Corrupt(format!("not a PostgreSQL URL: {error}")))?;
        let options = options.application_name("letopis");
        let writers = PgPoolOptions::new()
            .max_connections(WRITERS)
            .acquire_timeout(PATIENCE)
            .after_connect(|connection, _| {
                Box::pin(async move {
                    connection.execute("SET synchronous_commit = on").await?;
                    Ok(())
                })
            })
            .connect_with(options.clone())
            .await
            .map_err(unavailable)?;
        let readers = PgPoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(PATIENCE)
            .connect_lazy_with(options);
        prepare(&writers).await?;
        let head = watch::Sender::new(read_head(&readers).await?);
        let follow = tokio::spawn(follow(readers.clone(), head.clone()));
        let snapshots = PostgresSnapshots::new(readers.clone());
        Ok(Arc::new(Self { readers, writers, head, snapshots, follow }))
    }

    /// `fsync` and `synchronous_commit` as the connections that write have them.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn durability(&self) -> Result<(String, String), LogError> {
        let row = sqlx::query("SELECT current_setting('fsync'), current_setting('synchronous_commit')")
            .fetch_one(&self.writers)
            .await
            .map_err(unavailable)?;
        Ok((row.get(0), row.get(1)))
    }

    fn announce(&self, head: Head) {
        announce(&self.head, head);
        let readers = self.readers.clone();
        tokio::spawn(async move {
            // A lost notification costs a poll's time.
            let _ = sqlx::query("SELECT pg_notify($1, $2)")
                .bind(CHANNEL)
                .bind(head.position.to_string())
                .execute(&readers)
                .await;
        });
    }
}

/// Follows the head: woken by notifications, and by the clock where none comes.
async fn follow(readers: PgPool, head: watch::Sender<Head>) {
    let mut listener = None;
    loop {
        if listener.is_none() {
            listener = listen(&readers).await.ok();
        }
        match &mut listener {
            Some(connected) => match tokio::time::timeout(POLL, connected.recv()).await {
                Ok(Ok(_)) | Err(_) => {}
                Ok(Err(_)) => listener = None,
            },
            None => tokio::time::sleep(POLL).await,
        }
        if let Ok(seen) = read_head(&readers).await {
            announce(&head, seen);
        }
    }
}

async fn listen(readers: &PgPool) -> sqlx::Result<PgListener> {
    let mut listener = PgListener::connect_with(readers).await?;
    listener.listen(CHANNEL).await?;
    Ok(listener)
}

async fn prepare(writers: &PgPool) -> Result<(), LogError> {
    let mut transaction = writers.begin().await.map_err(unavailable)?;
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
    let known: bool = sqlx::query_scalar("SELECT to_regclass('log_schema') IS NOT NULL")
        .fetch_one(&mut *transaction)
        .await
        .map_err(unavailable)?;
    let done = if known {
        let version: i64 = sqlx::query_scalar("SELECT max(version) FROM log_schema")
            .fetch_one(&mut *transaction)
            .await
            .map_err(unavailable)?;
        usize::try_from(version).unwrap_or(usize::MAX)
    } else {
        let foreign: bool = sqlx::query_scalar("SELECT to_regclass('events') IS NOT NULL")
            .fetch_one(&mut *transaction)
            .await
            .map_err(unavailable)?;
        if foreign {
            return Err(LogError::Corrupt(
                "the database has a table events that is no letopis log: name an empty database".into(),
            ));
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

async fn read_head(readers: &PgPool) -> Result<Head, LogError> {
    let row = sqlx::query(HEAD).fetch_one(readers).await.map_err(unavailable)?;
    head_of(&row).map_err(unavailable)
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

fn all(rows: &[PgRow]) -> Result<Vec<Recorded>, LogError> {
    rows.iter().map(recorded).collect::<sqlx::Result<_>>().map_err(unavailable)
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

/// What became of a statement that failed: PostgreSQL says so itself, and then nothing was written;
/// or the connection broke, and nobody knows. A server that is being shut down (class 57P) may have
/// committed before it said so.
fn after_sending(error: sqlx::Error) -> LogError {
    match &error {
        sqlx::Error::Database(said) if !said.code().is_some_and(|code| code.starts_with("57P")) => {
            LogError::Unavailable(error.to_string())
        }
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => LogError::Unavailable(error.to_string()),
        _ => LogError::Lost(error.to_string()),
    }
}

fn append_query(fence: Head, batch: &Batch) -> Query<'static, Postgres, PgArguments> {
    let Batch { events, probes, claims, memberships } = batch;
    let head = events.last().map_or(fence, Recorded::head);
    let ids = |ids: &[EventId]| ids.iter().map(|id| id.0).collect::<Vec<Uuid>>();
    macro_rules! column {
        ($rows:expr, |$row:ident| $value:expr) => {
            $rows.iter().map(|$row| $value).collect::<Vec<_>>()
        };
    }
    sqlx::query(APPEND)
        .bind(ids(probes))
        .bind(signed(fence.position))
        .bind(fence.event_id.map(|id| id.0))
        .bind(signed(head.position))
        .bind(head.event_id.map(|id| id.0))
        .bind(head.recorded_at.0)
        .bind(column!(events, |event| signed(event.position)))
        .bind(column!(events, |event| event.event_id.0))
        .bind(column!(events, |event| event.recorded_at.0))
        .bind(column!(events, |event| event.aggregate_type.clone()))
        .bind(column!(events, |event| event.aggregate_id.clone()))
        .bind(column!(events, |event| signed(event.sequence)))
        .bind(column!(events, |event| event.event_type.clone()))
        .bind(column!(events, |event| event.event_version.clone()))
        .bind(column!(events, |event| event.payload.clone()))
        .bind(column!(events, |event| event.metadata.clone()))
        .bind(column!(claims, |change| change.claim.kind.clone()))
        .bind(column!(claims, |change| change.claim.key.clone()))
        .bind(column!(claims, |change| change.owner.clone()))
        .bind(column!(claims, |change| signed(change.position)))
        .bind(column!(memberships, |membership| membership.person.to_string()))
        .bind(column!(memberships, |membership| membership.chat.clone()))
        .bind(column!(memberships, |membership| signed(membership.position)))
}

/// A batch without events just reads the head and looks its keys up.
fn probe_query(fence: Head, batch: &Batch) -> Query<'static, Postgres, PgArguments> {
    sqlx::query(PROBE)
        .bind(batch.probes.iter().map(|id| id.0).collect::<Vec<Uuid>>())
        .bind(signed(fence.position))
        .bind(fence.event_id.map(|id| id.0))
}

async fn append(connection: &mut PgConnection, fence: Head, batch: &Batch) -> Result<Appended, LogError> {
    let query = if batch.events.is_empty() { probe_query(fence, batch) } else { append_query(fence, batch) };
    let row = query.fetch_one(connection).await.map_err(after_sending)?;
    let (committed, fence_held): (bool, bool) = (row.get("committed"), row.get("fence_held"));
    let repeats: Vec<Uuid> = row.get("repeats");
    Ok(match (committed, fence_held) {
        (true, _) => Appended::Committed,
        (false, true) if !repeats.is_empty() => {
            let repeats: Vec<EventId> = repeats.into_iter().map(EventId).collect();
            Appended::Repeats(batch.probes.iter().copied().filter(|probe| repeats.contains(probe)).collect())
        }
        (false, _) => Appended::Fenced,
    })
}

#[async_trait]
impl Log for PostgresLog {
    fn engine(&self) -> &'static str {
        "postgres"
    }

    fn pools(&self) -> Vec<Pool> {
        let pool = |name, pool: &PgPool| Pool {
            name,
            size: pool.size(),
            idle: u32::try_from(pool.num_idle()).unwrap_or(u32::MAX),
        };
        vec![pool("log-readers", &self.readers), pool("log-writers", &self.writers)]
    }

    async fn head(&self) -> Result<Head, LogError> {
        read_head(&self.readers).await
    }

    async fn append(&self, fence: Head, batch: Arc<Batch>) -> Result<Appended, LogError> {
        let mut connection = self.writers.acquire().await.map_err(unavailable)?;
        let appended = append(&mut connection, fence, &batch).await?;
        if let (Appended::Committed, Some(last)) = (&appended, batch.events.last()) {
            self.announce(last.head());
        }
        Ok(appended)
    }

    async fn lock(&self, after: u64, limit: usize) -> Result<Box<dyn LockedLog>, LogError> {
        let mut transaction = self.writers.begin().await.map_err(unavailable)?;
        let row = sqlx::query("SELECT position, event_id, recorded_at FROM head FOR UPDATE")
            .fetch_one(&mut *transaction)
            .await
            .map_err(unavailable)?;
        let head = head_of(&row).map_err(unavailable)?;
        // A second statement, so that its snapshot has what was committed while one waited.
        let rows = sqlx::query(&format!("{COLUMNS} WHERE position > $1 ORDER BY position LIMIT $2"))
            .bind(signed(after))
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(&mut *transaction)
            .await
            .map_err(unavailable)?;
        let delta = all(&rows)?;
        let (known, readers) = (self.head.clone(), self.readers.clone());
        Ok(Box::new(Held { transaction, head, delta, known, readers }))
    }

    async fn read(&self, after: u64, limit: usize) -> Result<Vec<Recorded>, LogError> {
        let rows = sqlx::query(&format!("{COLUMNS} WHERE position > $1 ORDER BY position LIMIT $2"))
            .bind(signed(after))
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(&self.readers)
            .await
            .map_err(unavailable)?;
        all(&rows)
    }

    async fn stream(
        &self,
        stream: &StreamId,
        after: u64,
        limit: usize,
    ) -> Result<(Vec<Recorded>, Head), LogError> {
        // Read before the stream, and so a head that the reading has seen all of.
        let head = read_head(&self.readers).await?;
        let rows = sqlx::query(&format!(
            "{COLUMNS} WHERE aggregate_type = $1 AND aggregate_id = $2 AND sequence > $3 ORDER BY sequence LIMIT $4"
        ))
        .bind(stream.kind.name())
        .bind(&stream.id)
        .bind(signed(after))
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&self.readers)
        .await
        .map_err(unavailable)?;
        Ok((all(&rows)?, head))
    }

    async fn event(&self, stream: &StreamId, sequence: u64) -> Result<Option<Recorded>, LogError> {
        let row = sqlx::query(&format!(
            "{COLUMNS} WHERE aggregate_type = $1 AND aggregate_id = $2 AND sequence = $3"
        ))
        .bind(stream.kind.name())
        .bind(&stream.id)
        .bind(signed(sequence))
        .fetch_optional(&self.readers)
        .await
        .map_err(unavailable)?;
        row.as_ref().map(recorded).transpose().map_err(unavailable)
    }

    async fn claim(&self, claim: &ClaimKey) -> Result<(Option<String>, Head), LogError> {
        let head = read_head(&self.readers).await?;
        let owner = sqlx::query_scalar("SELECT owner FROM claims WHERE kind = $1 AND key = $2")
            .bind(&claim.kind)
            .bind(&claim.key)
            .fetch_optional(&self.readers)
            .await
            .map_err(unavailable)?;
        Ok((owner, head))
    }

    async fn by_ids(&self, ids: &[EventId]) -> Result<Vec<Recorded>, LogError> {
        let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
        let rows = sqlx::query(&format!("{COLUMNS} WHERE event_id = ANY ($1) ORDER BY position"))
            .bind(ids)
            .fetch_all(&self.readers)
            .await
            .map_err(unavailable)?;
        all(&rows)
    }

    fn watch(&self) -> watch::Receiver<Head> {
        self.head.subscribe()
    }

    fn snapshots(&self) -> &dyn Snapshots {
        &self.snapshots
    }
}

/// The lock: an open transaction that holds the head's row.
struct Held {
    transaction: Transaction<'static, Postgres>,
    head: Head,
    delta: Vec<Recorded>,
    known: watch::Sender<Head>,
    readers: PgPool,
}

#[async_trait]
impl LockedLog for Held {
    fn head(&self) -> Head {
        self.head
    }
    fn delta(&self) -> &[Recorded] {
        &self.delta
    }
    async fn append(mut self: Box<Self>, batch: Arc<Batch>) -> Result<Appended, LogError> {
        let appended = append(&mut self.transaction, self.head, &batch).await?;
        if appended == Appended::Committed {
            self.transaction.commit().await.map_err(after_sending)?;
            if let Some(last) = batch.events.last() {
                announce(&self.known, last.head());
                // A lost notification costs a poll's time.
                let _ = sqlx::query("SELECT pg_notify($1, $2)")
                    .bind(CHANNEL)
                    .bind(last.position.to_string())
                    .execute(&self.readers)
                    .await;
            }
        }
        Ok(appended)
    }
}
