//! The connection that writes, and what became of what was sent on it.
//!
//! A process has one batch under way at a time, so it has one such connection. One on which anything
//! failed is not used again: a fresh one finds the server that is there now.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::ids::EventId;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgDatabaseError, PgSeverity};
use sqlx::query::Query;
use sqlx::{Executor, PgConnection, Postgres, Row};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::timeout;
use uuid::Uuid;

use super::clock::DatabaseClock;
use super::follow::Announcer;
use super::{AFTER, all, head_of, signed, unavailable};
use crate::log::{Appended, Batch, Head, LockedLog, LogError, Pool, Recorded};
use crate::postgres::{PATIENCE, connect_to_write, within};

const APPEND: &str = include_str!("../sql/postgres_append.sql");
const PROBE: &str = include_str!("../sql/postgres_probe.sql");
/// `BEGIN` goes along, for one round trip less.
const LOCK: &str = "BEGIN; SELECT position, event_id, recorded_at FROM head FOR UPDATE";
/// After so long without an answer it counts as lost. Longer than the server lets a paused process
/// keep the lock (`sql/postgres_session.sql`).
const ANSWER: Duration = Duration::from_secs(10);
/// A connection may have died unnoticed; this many are tried before the lock is said to be out of reach.
const TRIES: u32 = 2;

#[derive(Debug)]
pub(super) struct Writer {
    options: PgConnectOptions,
    connection: Arc<Mutex<Option<PgConnection>>>,
}

/// The connection, while one uses it. Dropped without [`Seat::keep`] it is closed.
pub(super) struct Seat {
    connection: PgConnection,
    slot: OwnedMutexGuard<Option<PgConnection>>,
    /// Whether it was open before: then the server may have gone since.
    used: bool,
}

impl Seat {
    pub(super) fn keep(mut self) {
        *self.slot = Some(self.connection);
    }
}

impl Writer {
    pub(super) fn new(options: PgConnectOptions) -> Self {
        Self { options, connection: Arc::default() }
    }

    pub(super) async fn seat(&self) -> sqlx::Result<Seat> {
        let mut slot = self.connection.clone().lock_owned().await;
        if let Some(connection) = slot.take() {
            return Ok(Seat { connection, slot, used: true });
        }
        let connection = connect_to_write(&self.options, PATIENCE).await?;
        Ok(Seat { connection, slot, used: false })
    }

    pub(super) async fn append(&self, fence: Head, batch: &Batch) -> Result<Appended, LogError> {
        let mut seat = self.seat().await.map_err(unavailable)?;
        let appended = answered(append(&mut seat.connection, fence, batch)).await?;
        seat.keep();
        Ok(appended)
    }

    /// A pool of one.
    pub(super) fn pool(&self) -> Pool {
        let (size, idle) = match self.connection.try_lock() {
            Ok(slot) => (u32::from(slot.is_some()), u32::from(slot.is_some())),
            Err(_in_use) => (1, 0),
        };
        Pool { name: "log-writer", size, idle }
    }

    /// `fsync` and `synchronous_commit` as this connection has them.
    pub(super) async fn durability(&self) -> sqlx::Result<(String, String)> {
        let mut seat = self.seat().await?;
        let row = sqlx::query("SELECT current_setting('fsync'), current_setting('synchronous_commit')")
            .fetch_one(&mut seat.connection);
        let row = within(row).await?;
        seat.keep();
        Ok((row.get(0), row.get(1)))
    }

    /// Takes the head's lock and reads what came after `after`.
    pub(super) async fn lock(
        &self,
        after: u64,
        limit: usize,
    ) -> Result<(Seat, Head, Vec<Recorded>), LogError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let mut seat = self.seat().await.map_err(unavailable)?;
            match answered(read_locked(&mut seat.connection, after, limit)).await {
                Ok((head, delta)) => return Ok((seat, head, delta)),
                // Nothing was to be written, so nothing can have been.
                Err(LogError::Lost(_)) if seat.used && tries < TRIES => {}
                Err(LogError::Lost(error)) => return Err(LogError::Unavailable(error)),
                Err(error) => return Err(error),
            }
        }
    }
}

async fn read_locked(
    connection: &mut PgConnection,
    after: u64,
    limit: usize,
) -> sqlx::Result<(Head, Vec<Recorded>)> {
    let head = head_of(&connection.fetch_one(LOCK).await?)?;
    if head.position <= after {
        return Ok((head, Vec::new()));
    }
    // A second statement, so that its snapshot has what was committed while one waited.
    let rows = sqlx::query(AFTER)
        .bind(signed(after))
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(connection)
        .await?;
    Ok((head, all(&rows)?))
}

/// The lock: an open transaction that holds the head's row.
pub(super) struct Held {
    pub seat: Option<Seat>,
    pub head: Head,
    pub delta: Vec<Recorded>,
    pub announcer: Announcer,
    pub clock: Arc<DatabaseClock>,
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
        if !batch.events.is_empty() {
            self.clock.check()?;
        }
        let Some(mut seat) = self.seat.take() else {
            return Err(LogError::Unavailable("the lock was given back".into()));
        };
        let appended = answered(append(&mut seat.connection, self.head, &batch)).await?;
        if appended != Appended::Committed {
            self.seat = Some(seat);
            return Ok(appended);
        }
        answered(seat.connection.execute("COMMIT")).await?;
        seat.keep();
        self.announcer.announce(&batch);
        Ok(appended)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Outside a runtime the connection just closes, which rolls back too.
        if let (Some(mut seat), Ok(runtime)) = (self.seat.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(async move {
                if answered(seat.connection.execute("ROLLBACK")).await.is_ok() {
                    seat.keep();
                }
            });
        }
    }
}

/// Waits for an answer, and says what its absence means.
async fn answered<T>(statement: impl Future<Output = sqlx::Result<T>>) -> Result<T, LogError> {
    match timeout(ANSWER, statement).await {
        Ok(answer) => answer.map_err(|error| after_sending(&error)),
        Err(_elapsed) => {
            Err(LogError::Lost(format!("PostgreSQL did not answer within {} s", ANSWER.as_secs())))
        }
    }
}

/// What became of a statement that failed. Only an ERROR of the server itself says that its
/// transaction was rolled back: a full disk (53100), a lock not had in time (55P03), a server that
/// became a standby (25006). With anything else nobody knows:
/// - FATAL or PANIC ends the connection, and may come after the commit: a server that is stopped
///   (57P01, 57P02) while it waits for a standby has committed already;
/// - of class 57 (the operator stepped in) and 08 (the connection, also in the words of a pooler),
///   and for 40003, not even an ERROR is trusted;
/// - a connection that broke says nothing at all.
fn after_sending(error: &sqlx::Error) -> LogError {
    let said = error.as_database_error().and_then(|said| said.try_downcast_ref::<PgDatabaseError>());
    match said {
        Some(said) if is_rolled_back(said.severity(), said.code()) => {
            LogError::Unavailable(error.to_string())
        }
        _ => LogError::Lost(error.to_string()),
    }
}

fn is_rolled_back(severity: PgSeverity, code: &str) -> bool {
    matches!(severity, PgSeverity::Error)
        && !(code.starts_with("57") || code.starts_with("08") || code == "40003")
}

fn append_query(fence: Head, batch: &Batch) -> Query<'_, Postgres, PgArguments> {
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
        .bind(column!(events, |event| event.aggregate_type.as_str()))
        .bind(column!(events, |event| event.aggregate_id.as_str()))
        .bind(column!(events, |event| signed(event.sequence)))
        .bind(column!(events, |event| event.event_type.as_str()))
        .bind(column!(events, |event| event.event_version.as_str()))
        .bind(column!(events, |event| event.payload.as_str()))
        .bind(column!(events, |event| event.metadata.as_str()))
        .bind(column!(claims, |change| change.claim.kind.as_str()))
        .bind(column!(claims, |change| change.claim.key.as_str()))
        .bind(column!(claims, |change| change.owner.as_deref()))
        .bind(column!(claims, |change| signed(change.position)))
        .bind(column!(memberships, |membership| membership.person.to_string()))
        .bind(column!(memberships, |membership| membership.chat.as_str()))
        .bind(column!(memberships, |membership| signed(membership.position)))
}

/// A batch without events just reads the head and looks its keys up.
fn probe_query(fence: Head, batch: &Batch) -> Query<'_, Postgres, PgArguments> {
    sqlx::query(PROBE)
        .bind(batch.probes.iter().map(|id| id.0).collect::<Vec<Uuid>>())
        .bind(signed(fence.position))
        .bind(fence.event_id.map(|id| id.0))
}

async fn append(connection: &mut PgConnection, fence: Head, batch: &Batch) -> sqlx::Result<Appended> {
    let query = if batch.events.is_empty() { probe_query(fence, batch) } else { append_query(fence, batch) };
    // sqlx reads on until the server is ready for the next query, and so past the commit.
    let row = query.fetch_one(connection).await?;
    let (committed, fence_held): (bool, bool) = (row.try_get("committed")?, row.try_get("fence_held")?);
    let repeats: Vec<Uuid> = row.try_get("repeats")?;
    Ok(match (committed, fence_held) {
        (true, _) => Appended::Committed,
        (false, true) if !repeats.is_empty() => {
            let repeats: Vec<EventId> = repeats.into_iter().map(EventId).collect();
            Appended::Repeats(batch.probes.iter().copied().filter(|probe| repeats.contains(probe)).collect())
        }
        (false, _) => Appended::Fenced,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_error_of_the_statement_itself_says_that_nothing_was_written() {
        let rolled_back = ["53100", "55P03", "25006", "23505", "40001", "42P01", "58030"];
        for code in rolled_back {
            assert!(is_rolled_back(PgSeverity::Error, code), "{code}");
        }
        for code in ["57014", "57P01", "57P02", "08006", "08P01", "40003"] {
            assert!(!is_rolled_back(PgSeverity::Error, code), "{code}");
        }
        for code in ["57P01", "25P03", "53100", "XX000"] {
            assert!(!is_rolled_back(PgSeverity::Fatal, code), "{code}");
            assert!(!is_rolled_back(PgSeverity::Panic, code), "{code}");
        }
    }
}
