//! A log in PostgreSQL, read beside whoever writes it.

use async_trait::async_trait;
use domain::Timestamp;
use domain::aggregate::StreamId;
use domain::ids::EventId;
use postgres_es::PostgresEventRepository;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgRow};
use sqlx::{Connection, Executor, PgConnection, Row};

use super::stock::{self, Stock};
use super::{Changes, ClaimRow, MembershipRow, Source};
use crate::log::{ClaimKey, Head, LogError, Recorded};

/// Connections of the stock repository.
const READERS: u32 = 4;

/// A log's database, opened for reading; and for putting its claims right, if asked for.
#[derive(Debug)]
pub struct PostgresSource {
    connection: PgConnection,
    repository: Stocked,
}

struct Stocked(PostgresEventRepository);

impl std::fmt::Debug for Stocked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PostgresEventRepository")
    }
}

fn failed(error: sqlx::Error) -> LogError {
    match &error {
        // undefined_table
        sqlx::Error::Database(known) if known.code().as_deref() == Some("42P01") => {
            LogError::Corrupt(format!("this is no letopis log: {known}"))
        }
        _ => LogError::Unavailable(error.to_string()),
    }
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

impl PostgresSource {
    /// Connects to the database of `url`.
    ///
    /// # Errors
    /// [`LogError::Corrupt`] for a URL that is none, [`LogError::Unavailable`] if nobody answers.
    pub async fn open(url: &str, writable: bool) -> Result<Self, LogError> {
        let options: PgConnectOptions =
            url.parse().map_err(|error| LogError::Corrupt(format!("not a PostgreSQL URL: {error}")))?;
        let options = options.application_name("letopis log verify");
        let pool = PgPoolOptions::new().max_connections(READERS).connect_lazy_with(options.clone());
        let mut connection = PgConnection::connect_with(&options).await.map_err(failed)?;
        let setting =
            if writable { "SET synchronous_commit = on" } else { "SET default_transaction_read_only = on" };
        connection.execute(setting).await.map_err(failed)?;
        Ok(Self { connection, repository: Stocked(PostgresEventRepository::new(pool)) })
    }

    async fn run(&mut self, statement: &'static str) -> Result<(), LogError> {
        self.connection.execute(statement).await.map_err(failed)?;
        Ok(())
    }
}

fn recorded(row: &PgRow) -> sqlx::Result<Recorded> {
    Ok(Recorded {
        position: unsigned(row.try_get(0)?),
        event_id: EventId(row.try_get(1)?),
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
impl Source for PostgresSource {
    async fn integrity(&mut self) -> Result<Option<Vec<String>>, LogError> {
        // PostgreSQL has no check of its own that an ordinary role may run.
        Ok(None)
    }

    async fn head(&mut self) -> Result<Head, LogError> {
        let row = sqlx::query("SELECT position, event_id, recorded_at FROM head")
            .fetch_optional(&mut self.connection)
            .await
            .map_err(failed)?;
        let Some(row) = row else { return Ok(Head::default()) };
        Ok(Head {
            position: unsigned(row.try_get(0).map_err(failed)?),
            event_id: row.try_get::<Option<uuid::Uuid>, _>(1).map_err(failed)?.map(EventId),
            recorded_at: Timestamp(row.try_get(2).map_err(failed)?),
        })
    }

    async fn read(&mut self, after: u64, limit: usize) -> Result<Vec<Recorded>, LogError> {
        let rows = sqlx::query(include_str!("sql/postgres_events.sql"))
            .bind(after as i64)
            .bind(limit as i64)
            .fetch_all(&mut self.connection)
            .await
            .map_err(failed)?;
        rows.iter().map(recorded).collect::<sqlx::Result<_>>().map_err(failed)
    }

    async fn freeze(&mut self) -> Result<(), LogError> {
        // The snapshot is taken by the first statement after this.
        self.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        self.head().await.map(drop)
    }

    async fn lock(&mut self) -> Result<(), LogError> {
        self.run("BEGIN").await?;
        self.run("SELECT FROM head FOR UPDATE").await
    }

    async fn mend(&mut self, changes: &Changes) -> Result<(), LogError> {
        let Changes { put_claims, drop_claims, put_memberships, drop_memberships } = changes;
        macro_rules! column {
            ($rows:expr, $type:ty, $of:expr) => {
                $rows.iter().map($of).collect::<Vec<$type>>()
            };
        }
        sqlx::query(include_str!("sql/postgres_mend.sql"))
            .bind(column!(drop_claims, String, |claim| claim.kind.clone()))
            .bind(column!(drop_claims, String, |claim| claim.key.clone()))
            .bind(column!(put_claims, String, |row| row.claim.kind.clone()))
            .bind(column!(put_claims, String, |row| row.claim.key.clone()))
            .bind(column!(put_claims, String, |row| row.owner.clone()))
            .bind(column!(put_claims, i64, |row| row.position as i64))
            .bind(column!(drop_memberships, String, |row| row.person.clone()))
            .bind(column!(drop_memberships, String, |row| row.chat.clone()))
            .bind(column!(put_memberships, String, |row| row.person.clone()))
            .bind(column!(put_memberships, String, |row| row.chat.clone()))
            .bind(column!(put_memberships, i64, |row| row.position as i64))
            .execute(&mut self.connection)
            .await
            .map_err(failed)?;
        self.run("COMMIT").await
    }

    async fn let_go(&mut self) -> Result<(), LogError> {
        self.run("ROLLBACK").await
    }

    async fn doubled_ids(&mut self) -> Result<Vec<String>, LogError> {
        sqlx::query_scalar("SELECT event_id::text FROM events GROUP BY event_id HAVING count(*) > 1 LIMIT 10")
            .fetch_all(&mut self.connection)
            .await
            .map_err(failed)
    }

    async fn claims(&mut self, after: Option<&ClaimKey>, limit: usize) -> Result<Vec<ClaimRow>, LogError> {
        let (kind, key) = after.map_or(("", ""), |after| (&after.kind, &after.key));
        let rows = sqlx::query(
            "SELECT kind, key, owner, position FROM claims WHERE (kind, key) > ($1, $2) ORDER BY kind, key LIMIT $3",
        )
        .bind(kind)
        .bind(key)
        .bind(limit as i64)
        .fetch_all(&mut self.connection)
        .await
        .map_err(failed)?;
        let row = |row: &PgRow| {
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
            "SELECT person, chat, position FROM memberships WHERE (person, chat) > ($1, $2) \
             ORDER BY person, chat LIMIT $3",
        )
        .bind(person)
        .bind(chat)
        .bind(limit as i64)
        .fetch_all(&mut self.connection)
        .await
        .map_err(failed)?;
        let row = |row: &PgRow| {
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
