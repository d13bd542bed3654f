//! Reactors' rows in the log's database.

use async_trait::async_trait;
use domain::ids::EventId;
use sqlx::postgres::PgRow;
use sqlx::{PgPool, Row};
use uuid::Uuid;

use super::{Reacted, Reactions};
use crate::log::{Head, LogError};
use crate::postgres::within;

const FIND: &str = "SELECT position, event_id, epoch, beat, holder FROM reactors WHERE name = $1";
const TAKE_OVER: &str = include_str!("sql/postgres_take_over.sql");
const REACTED: &str = "UPDATE reactors SET position = $3, event_id = $4 WHERE name = $1 AND epoch = $2";
const BEAT: &str = "
    UPDATE reactors SET beat = beat + 1, holder = CASE WHEN $3 THEN NULL ELSE holder END
    WHERE name = $1 AND epoch = $2";

/// By connections that do not append.
#[derive(Clone, Debug)]
pub struct PostgresReactions(PgPool);

impl PostgresReactions {
    /// Through `pool`, whose database has the log's tables.
    pub fn new(pool: PgPool) -> Self {
        Self(pool)
    }
}

fn unavailable(error: sqlx::Error) -> LogError {
    LogError::Unavailable(format!("reactors: {error}"))
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn reacted(row: &PgRow) -> sqlx::Result<Reacted> {
    let unsigned = |column: &str| row.try_get::<i64, _>(column).map(i64::unsigned_abs);
    Ok(Reacted {
        position: unsigned("position")?,
        event_id: row.try_get::<Option<Uuid>, _>("event_id")?.map(EventId),
        epoch: unsigned("epoch")?,
        beat: unsigned("beat")?,
        holder: row.try_get::<Option<Uuid>, _>("holder")?.unwrap_or_default(),
    })
}

#[async_trait]
impl Reactions for PostgresReactions {
    async fn of(&self, reactor: &str) -> Result<Option<Reacted>, LogError> {
        let row = sqlx::query(FIND).bind(reactor).fetch_optional(&self.0);
        let row = within(row).await.map_err(unavailable)?;
        row.as_ref().map(reacted).transpose().map_err(unavailable)
    }

    async fn take_over(&self, reactor: &str, holder: Uuid, head: Head) -> Result<Reacted, LogError> {
        let row = sqlx::query(TAKE_OVER)
            .bind(reactor)
            .bind(signed(head.position))
            .bind(head.event_id.map(|id| id.0))
            .bind(holder)
            .fetch_one(&self.0);
        reacted(&within(row).await.map_err(unavailable)?).map_err(unavailable)
    }

    async fn reacted(
        &self,
        reactor: &str,
        epoch: u64,
        position: u64,
        event_id: EventId,
    ) -> Result<bool, LogError> {
        let written = sqlx::query(REACTED)
            .bind(reactor)
            .bind(signed(epoch))
            .bind(signed(position))
            .bind(event_id.0)
            .execute(&self.0);
        Ok(within(written).await.map_err(unavailable)?.rows_affected() == 1)
    }

    async fn beat(&self, reactor: &str, epoch: u64, lets_go: bool) -> Result<bool, LogError> {
        let beaten = sqlx::query(BEAT).bind(reactor).bind(signed(epoch)).bind(lets_go).execute(&self.0);
        Ok(within(beaten).await.map_err(unavailable)?.rows_affected() == 1)
    }
}
