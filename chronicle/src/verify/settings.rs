//! What a PostgreSQL server is set to, for whoever wants to know whether a log or keys are safe on it.

use crate::clock::Clock;
use domain::Timestamp;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, Executor, PgConnection, Row};

use crate::log::LogError;

/// As the server says it, on a connection set up as one that commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// As `150018`.
    pub version_num: u32,
    /// As `15.18`.
    pub version: String,
    pub encoding: String,
    pub fsync: String,
    pub full_page_writes: String,
    pub synchronous_commit: String,
    /// A standby takes no events.
    pub in_recovery: bool,
    pub max_connections: u64,
    /// Of them, those in use now.
    pub connections: u64,
    /// The same for two URLs exactly if they lead to one database.
    pub identity: String,
    /// Whether nothing was made in it yet.
    pub is_empty: bool,
    /// How far the clocks are apart at least, in microseconds: the server's minus ours, without
    /// what the round trip may account for.
    pub clock_apart: i64,
}

/// Asks the server of `url`.
///
/// # Errors
/// [`LogError::Corrupt`] for a URL that is none, [`LogError::Unavailable`] if nobody answers.
pub async fn settings(url: &str, clock: &dyn Clock) -> Result<Settings, LogError> {
    let options: PgConnectOptions =
        url.parse().map_err(|error| LogError::Corrupt(format!("not a PostgreSQL URL: {error}")))?;
    let failed = |error: sqlx::Error| LogError::Unavailable(error.to_string());
    let mut connection =
        PgConnection::connect_with(&options.application_name("letopis doctor")).await.map_err(failed)?;
    connection.execute("SET synchronous_commit = on").await.map_err(failed)?;
    // The first statement of a connection has more to do than to look at a clock.
    let row = sqlx::query(include_str!("sql/postgres_settings.sql"))
        .fetch_one(&mut connection)
        .await
        .map_err(failed)?;
    let mut apart = None;
    for _ in 0..3 {
        let before = clock.now();
        let theirs = sqlx::query_scalar("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
            .fetch_one(&mut connection)
            .await
            .map_err(failed)?;
        let now = outside(before, Timestamp(theirs), clock.now());
        apart = Some(apart.map_or(now, |known: i64| if now.abs() < known.abs() { now } else { known }));
    }
    let text = |column: &str| row.try_get::<String, _>(column).map_err(failed);
    let number = |column: &str| {
        row.try_get::<i64, _>(column).map(|number| u64::try_from(number).unwrap_or(0)).map_err(failed)
    };
    let found = Settings {
        version_num: number("version_num")? as u32,
        version: text("version")?,
        encoding: text("encoding")?,
        fsync: text("fsync")?,
        full_page_writes: text("full_page_writes")?,
        synchronous_commit: text("synchronous_commit")?,
        in_recovery: row.try_get("in_recovery").map_err(failed)?,
        max_connections: number("max_connections")?,
        connections: number("connections")?,
        identity: text("identity")?,
        is_empty: row.try_get("is_empty").map_err(failed)?,
        clock_apart: apart.unwrap_or(0),
    };
    // It was asked, and has answered; how it parts changes nothing.
    let _ = connection.close().await;
    Ok(found)
}

/// How far `theirs` lies outside of the time in which it was read.
fn outside(before: Timestamp, theirs: Timestamp, after: Timestamp) -> i64 {
    (theirs.0 - after.0).max(0) + (theirs.0 - before.0).min(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_answer_is_no_skew() {
        let at = |theirs| outside(Timestamp(100), Timestamp(theirs), Timestamp(900));
        assert_eq!((at(100), at(500), at(900)), (0, 0, 0));
        assert_eq!((at(40), at(1_000)), (-60, 100));
    }
}
