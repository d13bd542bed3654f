//! Snapshots in a table of the log's database.

use async_trait::async_trait;
use domain::aggregate::StreamId;
use domain::ids::EventId;
use sqlx::{PgPool, Row};

use super::{Snapshot, Snapshots};
use crate::log::LogError;
use crate::postgres::within;

const FIND: &str = include_str!("sql/postgres_find.sql");
const KEEP: &str = include_str!("sql/postgres_keep.sql");

/// Snapshots of the log in one database, by connections that do not append.
#[derive(Clone, Debug)]
pub struct PostgresSnapshots(PgPool);

impl PostgresSnapshots {
    /// Through `pool`, whose database has the log's tables.
    pub fn new(pool: PgPool) -> Self {
        Self(pool)
    }
}

#[async_trait]
impl Snapshots for PostgresSnapshots {
    async fn find(&self, stream: &StreamId, shape: &str) -> Result<Option<Snapshot>, LogError> {
        let row =
            sqlx::query(FIND).bind(stream.kind.name()).bind(&stream.id).bind(shape).fetch_optional(&self.0);
        let row = within(row).await.map_err(unavailable)?;
        row.map(|row| {
            let sequence: i64 = row.try_get(0)?;
            Ok(Snapshot {
                stream: stream.clone(),
                shape: shape.to_owned(),
                sequence: sequence.unsigned_abs(),
                event_id: EventId(row.try_get(1)?),
                state: row.try_get(2)?,
            })
        })
        .transpose()
        .map_err(unavailable)
    }

    async fn keep(&self, snapshot: Snapshot) -> Result<(), LogError> {
        let kept = sqlx::query(KEEP)
            .bind(snapshot.stream.kind.name())
            .bind(snapshot.stream.id)
            .bind(snapshot.shape)
            .bind(i64::try_from(snapshot.sequence).unwrap_or(i64::MAX))
            .bind(snapshot.event_id.0)
            .bind(snapshot.state)
            .execute(&self.0);
        within(kept).await.map_err(unavailable)?;
        Ok(())
    }
}

fn unavailable(error: sqlx::Error) -> LogError {
    LogError::Unavailable(format!("snapshots: {error}"))
}
