//! A log in SQLite, read beside whoever writes it.

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use domain::Timestamp;
use domain::aggregate::StreamId;
use domain::ids::EventId;
use sqlite_es::SqliteEventRepository;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions, SqliteRow};
use sqlx::{Connection, Executor, Row, SqliteConnection};
use uuid::Uuid;

use super::stock::{self, Stock};
use super::{Changes, ClaimRow, MembershipRow, Source};
use crate::log::{ClaimKey, Head, LogError, Recorded};

const BUSY: Duration = Duration::from_secs(10);
/// Connections of the stock repository.
const READERS: u32 = 4;

/// A log's file, opened for reading; and for putting its claims right, if asked for.
#[derive(Debug)]
pub struct SqliteSource {
    connection: SqliteConnection,
    repository: Stocked,
}

struct Stocked(SqliteEventRepository);

impl std::fmt::Debug for Stocked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SqliteEventRepository")
    }
}

fn failed(error: sqlx::Error) -> LogError {
    match &error {
        sqlx::Error::Database(known) if known.message().contains("no such table") => {
            LogError::Corrupt(format!("this is no letopis log: {known}"))
        }
        _ => LogError::Unavailable(error.to_string()),
    }
}

impl SqliteSource {
    /// Opens the log in `path`, which must be there.
    ///
    /// # Errors
    /// [`LogError::Corrupt`] if there is no log, [`LogError::Unavailable`] if it can't be read.
    pub async fn open(path: &Path, writable: bool) -> Result<Self, LogError> {
        if !path.is_file() {
            return Err(LogError::Corrupt(format!("there is no log at {}", path.display())));
        }
        let options = SqliteConnectOptions::new().filename(path).busy_timeout(BUSY).read_only(true);
        let pool = SqlitePoolOptions::new().max_connections(READERS).connect_lazy_with(options.clone());
        let writing = options.clone().read_only(false).pragma("synchronous", "FULL");
        let connection = SqliteConnection::connect_with(if writable { &writing } else { &options });
        let connection = connection
            .await
            .map_err(|error| LogError::Unavailable(format!("{}: {error}", path.display())))?;
        Ok(Self { connection, repository: Stocked(SqliteEventRepository::new(pool)) })
    }

    async fn run(&mut self, statement: &'static str) -> Result<(), LogError> {
        self.connection.execute(statement).await.map_err(failed)?;
        Ok(())
    }
}

/// An id that is none is nobody's.
fn id(text: &str) -> EventId {
    text.parse().unwrap_or(EventId(Uuid::nil()))
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn recorded(row: &SqliteRow) -> sqlx::Result<Recorded> {
    Ok(Recorded {
        position: unsigned(row.try_get(0)?),
        event_id: id(row.try_get(1)?),
        recorded_at: Timestamp(row.try_get(2)?),
        aggregate_type: row.try_get(3)?,
        aggregate_id: row.try_get(4)?,
        sequence: unsigned(row.try_get(5)?),
        event_type: row.try_get(6)?,
        event_version: row.try_get(7)?,
        payload: row.try_get(8)?,
        metadata: row.try_get(9)?,
    })
}

#[async_trait]
impl Source for SqliteSource {
    async fn integrity(&mut self) -> Result<Option<Vec<String>>, LogError> {
        let found: Vec<String> = sqlx::query_scalar("PRAGMA integrity_check(10)")
            .fetch_all(&mut self.connection)
            .await
            .map_err(failed)?;
        Ok(Some(found.into_iter().filter(|line| line != "ok").collect()))
    }

    async fn head(&mut self) -> Result<Head, LogError> {
        let row = sqlx::query("SELECT position, event_id, recorded_at FROM head WHERE one = 1")
            .fetch_optional(&mut self.connection)
            .await
            .map_err(failed)?;
        let Some(row) = row else { return Ok(Head::default()) };
        Ok(Head {
            position: unsigned(row.try_get(0).map_err(failed)?),
            event_id: row.try_get::<Option<&str>, _>(1).map_err(failed)?.map(id),
            recorded_at: Timestamp(row.try_get(2).map_err(failed)?),
        })
    }

    async fn read(&mut self, after: u64, limit: usize) -> Result<Vec<Recorded>, LogError> {
        let rows = sqlx::query(include_str!("sql/sqlite_events.sql"))
            .bind(after as i64)
            .bind(limit as i64)
            .fetch_all(&mut self.connection)
            .await
            .map_err(failed)?;
        rows.iter().map(recorded).collect::<sqlx::Result<_>>().map_err(failed)
    }

    async fn freeze(&mut self) -> Result<(), LogError> {
        // A transaction sees what there is at its first read.
        self.run("BEGIN DEFERRED").await?;
        self.head().await.map(drop)
    }

    async fn lock(&mut self) -> Result<(), LogError> {
        self.run("BEGIN IMMEDIATE").await
    }

    async fn mend(&mut self, changes: &Changes) -> Result<(), LogError> {
        for claim in &changes.drop_claims {
            sqlx::query("DELETE FROM claims WHERE kind = ?1 AND key = ?2")
                .bind(&claim.kind)
                .bind(&claim.key)
                .execute(&mut self.connection)
                .await
                .map_err(failed)?;
        }
        for ClaimRow { claim, owner, position } in &changes.put_claims {
            sqlx::query("INSERT OR REPLACE INTO claims (kind, key, owner, position) VALUES (?1, ?2, ?3, ?4)")
                .bind(&claim.kind)
                .bind(&claim.key)
                .bind(owner)
                .bind(*position as i64)
                .execute(&mut self.connection)
                .await
                .map_err(failed)?;
        }
        for MembershipRow { person, chat, .. } in &changes.drop_memberships {
            sqlx::query("DELETE FROM memberships WHERE person = ?1 AND chat = ?2")
                .bind(person)
                .bind(chat)
                .execute(&mut self.connection)
                .await
                .map_err(failed)?;
        }
        for MembershipRow { person, chat, position } in &changes.put_memberships {
            sqlx::query("INSERT OR REPLACE INTO memberships (person, chat, position) VALUES (?1, ?2, ?3)")
                .bind(person)
                .bind(chat)
                .bind(*position as i64)
                .execute(&mut self.connection)
                .await
                .map_err(failed)?;
        }
        self.run("COMMIT").await
    }

    async fn let_go(&mut self) -> Result<(), LogError> {
        self.run("ROLLBACK").await
    }

    async fn doubled_ids(&mut self) -> Result<Vec<String>, LogError> {
        sqlx::query_scalar("SELECT event_id FROM events GROUP BY event_id HAVING count(*) > 1 LIMIT 10")
            .fetch_all(&mut self.connection)
            .await
            .map_err(failed)
    }

    async fn claims(&mut self, after: Option<&ClaimKey>, limit: usize) -> Result<Vec<ClaimRow>, LogError> {
        let (kind, key) = after.map_or(("", ""), |after| (&after.kind, &after.key));
        let rows = sqlx::query(
            "SELECT kind, key, owner, position FROM claims WHERE (kind, key) > (?1, ?2) ORDER BY kind, key LIMIT ?3",
        )
        .bind(kind)
        .bind(key)
        .bind(limit as i64)
        .fetch_all(&mut self.connection)
        .await
        .map_err(failed)?;
        let row = |row: &SqliteRow| {
            let claim = ClaimKey { kind: row.try_get(0)?, key: row.try_get(1)? };
            Ok(ClaimRow { claim, owner: row.try_get(2)?, position: unsigned(row.try_get(3)?) })
        };
        rows.iter().map(row).collect::<sqlx::Result<_>>().map_err(failed)
    }

    async fn memberships(
        &mut self,
        after: Option<&MembershipRow>,
        limit: usize,
    ) -> Result<Vec<MembershipRow>, LogError> {
        let (person, chat) = after.map_or(("", ""), |after| (&after.person, &after.chat));
        let rows = sqlx::query(
            "SELECT person, chat, position FROM memberships WHERE (person, chat) > (?1, ?2) \
             ORDER BY person, chat LIMIT ?3",
        )
        .bind(person)
        .bind(chat)
        .bind(limit as i64)
        .fetch_all(&mut self.connection)
        .await
        .map_err(failed)?;
        let row = |row: &SqliteRow| {
            Ok(MembershipRow {
                person: row.try_get(0)?,
                chat: row.try_get(1)?,
                position: unsigned(row.try_get(2)?),
            })
        };
        rows.iter().map(row).collect::<sqlx::Result<_>>().map_err(failed)
    }

    async fn stock(&self, stream: &StreamId, known: u64) -> Result<Stock, LogError> {
        stock::read(&self.repository.0, stream, known).await
    }
}
