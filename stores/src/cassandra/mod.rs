//! What a port on Cassandra stands on: a session, its statements, and its tables.
//!
//! Every write of rows is `USING TIMESTAMP <position>` of the event that it shows, not the
//! microseconds of a clock: so a write that comes again, late, or from a writer of before loses to
//! what a later position has written, on every replica, and no machine's clock matters. What is
//! written in one place from several kinds of events lies in cells of its own.
//!
//! Reads and writes are LOCAL_QUORUM. The pointer and the checkpoints are changed by lightweight
//! transactions (LOCAL_SERIAL) alone.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use scylla::client::PoolSize;
use scylla::client::execution_profile::ExecutionProfile;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::deserialize::row::DeserializeRow;
use scylla::errors::{DbError, ExecutionError, PrepareError, RequestAttemptError};
use scylla::policies::load_balancing::DefaultPolicy;
use scylla::response::query_result::QueryResult;
use scylla::serialize::row::SerializeRow;
use scylla::statement::batch::{Batch, BatchType};
use scylla::statement::prepared::PreparedStatement;
use scylla::statement::{Consistency, SerialConsistency};
use scylla::value::{CqlValue, Row};

use crate::error::{Result, StoreError};
use crate::guard::{Guard, Limits};

mod checkpoint;
mod inspect;
mod nodes;
mod place;

pub(crate) use checkpoint::Checkpoints;
pub(crate) use inspect::inspect;
pub(crate) use place::Place;

pub(crate) const ENGINE: &str = "cassandra";

const LIMITS: Limits = Limits { timeout: Duration::from_secs(3), attempts: 3 };
/// Of a change to the tables, which all servers have to agree on.
const TABLE_LIMITS: Limits = Limits { timeout: Duration::from_secs(30), attempts: 2 };
/// Connections to each server.
const POOL: NonZeroUsize = NonZeroUsize::new(2).expect("two");
/// Of the first connection.
const PATIENCE: Duration = Duration::from_secs(10);

const KEYSPACE: &str = include_str!("../../../migrations/cassandra/keyspace.cql");
const TABLES: &str = "SELECT table_name FROM system_schema.tables WHERE keyspace_name = ?";

/// A session on a keyspace. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Cassandra(Arc<Inner>);

struct Inner {
    session: Session,
    guard: Guard,
    place: Place,
}

impl Cassandra {
    /// Connects, whether or not the keyspace is there.
    ///
    /// # Errors
    /// Nothing that answers, or that lets nobody in by these words.
    pub async fn connect(place: Place) -> Result<Self> {
        let mut policy = DefaultPolicy::builder().token_aware(true);
        if let Some(datacenter) = &place.datacenter {
            policy = policy.prefer_datacenter(datacenter.clone()).permit_dc_failover(false);
        }
        let profile = ExecutionProfile::builder()
            .consistency(Consistency::LocalQuorum)
            .serial_consistency(Some(SerialConsistency::LocalSerial))
            .speculative_execution_policy(None)
            .load_balancing_policy(policy.build())
            .request_timeout(Some(TABLE_LIMITS.timeout))
            .build();
        let mut builder = SessionBuilder::new()
            .known_nodes(&place.hosts)
            .connection_timeout(LIMITS.timeout)
            .pool_size(PoolSize::PerHost(POOL))
            .keyspaces_to_fetch([place.keyspace.clone()])
            .default_execution_profile_handle(profile.into_handle());
        if let Some((user, password)) = &place.credentials {
            builder = builder.user(user, password);
        }
        let late = |_| engine(format!("no answer within {} s", PATIENCE.as_secs()));
        let session = tokio::time::timeout(PATIENCE, builder.build()).await.map_err(late)?.map_err(engine)?;
        Ok(Self(Arc::new(Inner { session, guard: Guard::new(ENGINE, LIMITS), place })))
    }

    /// Makes the keyspace and what all generations share, where they are not there.
    pub async fn make(&self) -> Result<()> {
        if !self.has_keyspace().await? {
            self.change_tables(&self.0.place.create_keyspace()).await?;
        }
        let tables = self.tables().await?;
        if !["pointer", "checkpoints"].iter().all(|name| tables.iter().any(|table| table == name)) {
            self.change_tables(KEYSPACE).await?;
        }
        Ok(())
    }

    /// Whether the keyspace and what all generations share are there.
    pub async fn find(&self) -> Result<bool> {
        Ok(self.tables().await?.iter().any(|table| table == "pointer"))
    }

    async fn has_keyspace(&self) -> Result<bool> {
        const FOUND: &str = "SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = ?";
        let found = self.prepare(FOUND).await?;
        Ok(!self.rows::<(String,)>(&found, (&self.0.place.keyspace,)).await?.is_empty())
    }

    /// The names of the keyspace's tables.
    pub async fn tables(&self) -> Result<Vec<String>> {
        let tables = self.prepare(TABLES).await?;
        let rows = self.rows::<(String,)>(&tables, (&self.0.place.keyspace,)).await?;
        Ok(rows.into_iter().map(|(name,)| name).collect())
    }

    /// CQL with the keyspace's name for `$k`: a session without a keyspace of its own never means another.
    fn qualified(&self, cql: &str) -> String {
        cql.replace("$k", &self.0.place.keyspace)
    }

    /// Runs the statements of a `.cql` file one by one, each of which may be run again.
    pub async fn change_tables(&self, cql: &str) -> Result<()> {
        let guard = Guard::new(ENGINE, TABLE_LIMITS);
        let cql = self.qualified(cql);
        for statement in statements(&cql) {
            let run = || async { self.0.session.query_unpaged(statement, ()).await.map_err(failed) };
            guard.read(run).await?;
        }
        Ok(())
    }

    /// Prepares a statement that may be run again.
    pub async fn prepare(&self, cql: &str) -> Result<PreparedStatement> {
        let cql = self.qualified(cql);
        let prepare = || async { self.0.session.prepare(cql.as_str()).await.map_err(unprepared) };
        let mut statement = self.0.guard.read(prepare).await?;
        statement.set_is_idempotent(true);
        Ok(statement)
    }

    /// Prepares a statement that must not be: a lightweight transaction, whose answer says whether
    /// this very run did something.
    pub async fn prepare_once(&self, cql: &str) -> Result<PreparedStatement> {
        let mut statement = self.prepare(cql).await?;
        statement.set_is_idempotent(false);
        Ok(statement)
    }

    /// The rows of a read.
    pub async fn rows<R>(&self, statement: &PreparedStatement, values: impl SerializeRow) -> Result<Vec<R>>
    where
        R: for<'frame, 'metadata> DeserializeRow<'frame, 'metadata>,
    {
        let read = || async {
            let answer = self.0.session.execute_unpaged(statement, &values).await.map_err(failed)?;
            typed(answer)
        };
        let rows = self.0.guard.read(read).await?;
        tracing::trace!(target: "stores::cassandra::read", rows = rows.len() as u64);
        Ok(rows)
    }

    /// Writes what may be written again.
    pub async fn write(&self, statement: &PreparedStatement, values: impl SerializeRow) -> Result<()> {
        let write =
            || async { self.0.session.execute_unpaged(statement, &values).await.map(drop).map_err(failed) };
        self.0.guard.read(write).await
    }

    /// Writes rows of one partition at once.
    pub async fn write_all<V: SerializeRow>(&self, statement: &PreparedStatement, rows: &[V]) -> Result<()> {
        let mut batch = Batch::new(BatchType::Unlogged);
        batch.set_is_idempotent(true);
        for _ in rows {
            batch.append_statement(statement.clone());
        }
        let write = || async { self.0.session.batch(&batch, rows).await.map(drop).map_err(failed) };
        self.0.guard.read(write).await
    }

    /// Runs a lightweight transaction once; whether it was applied.
    pub async fn decide(&self, statement: &PreparedStatement, values: impl SerializeRow) -> Result<bool> {
        let act = async {
            let answer = self.0.session.execute_unpaged(statement, &values).await.map_err(failed)?;
            let rows: Vec<Row> = typed(answer)?;
            let applied = rows.first().and_then(|row| row.columns.first()?.as_ref());
            match applied {
                Some(CqlValue::Boolean(applied)) => Ok(*applied),
                _ => Err(unreadable("a lightweight transaction does not say whether it was applied")),
            }
        };
        self.0.guard.once(act).await
    }

    pub fn place(&self) -> &Place {
        &self.0.place
    }

    pub fn session(&self) -> &Session {
        &self.0.session
    }
}

/// The statements of a `.cql` file, without its comments.
fn statements(cql: &str) -> impl Iterator<Item = &str> {
    cql.split(';').map(str::trim).filter(|statement| {
        statement.lines().any(|line| !line.trim().is_empty() && !line.trim_start().starts_with("--"))
    })
}

pub(crate) fn typed<R>(answer: QueryResult) -> Result<Vec<R>>
where
    R: for<'frame, 'metadata> DeserializeRow<'frame, 'metadata>,
{
    let answer = answer.into_rows_result().map_err(unreadable)?;
    answer.rows::<R>().map_err(unreadable)?.collect::<std::result::Result<_, _>>().map_err(unreadable)
}

pub(crate) fn engine(error: impl ToString) -> StoreError {
    StoreError::Engine { engine: ENGINE, message: error.to_string() }
}

pub(crate) fn unreadable(error: impl ToString) -> StoreError {
    StoreError::Unreadable { engine: ENGINE, message: error.to_string() }
}

fn unprepared(error: PrepareError) -> StoreError {
    match &error {
        PrepareError::AllAttemptsFailed { first_attempt, .. } => answered(first_attempt),
        _ => engine(error),
    }
}

pub(crate) fn failed(error: ExecutionError) -> StoreError {
    match &error {
        ExecutionError::LastAttemptError(attempt) => answered(attempt),
        ExecutionError::PrepareError(error) => unprepared(error.clone()),
        _ => engine(error),
    }
}

fn answered(error: &RequestAttemptError) -> StoreError {
    match error {
        // A table that is not there, or is another.
        RequestAttemptError::DbError(DbError::Invalid | DbError::SyntaxError, message) => {
            StoreError::Damaged { engine: ENGINE, message: message.clone() }
        }
        // Cassandra says so, too, while it cannot look up who may do what: a moment later it may know.
        RequestAttemptError::DbError(DbError::Unauthorized, message) => StoreError::Engine {
            engine: ENGINE,
            message: format!("{message}: grant it to the user that the URL names, or name another"),
        },
        _ => engine(error),
    }
}

/// Cassandra knows no unsigned numbers; no position, number or epoch comes near the difference.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The reverse of [`signed`].
pub(crate) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_run_statement_by_statement() {
        let all: Vec<&str> = statements(KEYSPACE).collect();
        assert_eq!(all.len(), 2);
        assert!(all.iter().all(|statement| statement.contains("CREATE TABLE IF NOT EXISTS")), "{all:?}");
    }
}
