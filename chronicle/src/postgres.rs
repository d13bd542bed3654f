//! What the engines on PostgreSQL share: connecting, with patience for a server that is just
//! starting, and words for whoever started letopis.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgDatabaseError};
use sqlx::{ConnectOptions, Executor, PgConnection};
use tokio::time::{Instant, sleep, timeout_at};

/// How long one waits for a connection.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
const SESSION: &str = include_str!("log/sql/postgres_session.sql");
/// For whatever reads or writes a log's rows.
pub(crate) const PLANNER: &str = include_str!("log/sql/postgres_planner.sql");
const PAUSE: Duration = Duration::from_millis(50);
/// What a process holds at most: readers, a writer, a notifier, two for keys.
const CONNECTIONS: u32 = 14;

/// Reads a `postgres:` URL.
///
/// # Errors
/// What is wrong with it, without the URL: that may hold a password.
pub(crate) fn options(url: &str) -> Result<PgConnectOptions, String> {
    let options: PgConnectOptions = url.parse().map_err(|error| {
        format!("not a PostgreSQL URL ({error}): it looks like postgres://<user>@<host>:<port>/<database>")
    })?;
    // What is slow is in the metrics; a statement's text in a log line helps nobody.
    Ok(options.application_name("letopis").disable_statement_logging())
}

/// Connects; a server that is starting, restarting or full is tried again for a while.
///
/// # Errors
/// As sqlx has it.
pub(crate) async fn connect(options: &PgConnectOptions) -> sqlx::Result<PgConnection> {
    connect_within(options, PATIENCE).await
}

async fn connect_within(options: &PgConnectOptions, patience: Duration) -> sqlx::Result<PgConnection> {
    let deadline = Instant::now() + patience;
    let mut last = sqlx::Error::PoolTimedOut;
    loop {
        match timeout_at(deadline, options.connect()).await {
            Ok(Err(error)) if passes(&error) && Instant::now() + PAUSE < deadline => {
                last = error;
                sleep(PAUSE).await;
            }
            Ok(connected) => return connected,
            Err(_elapsed) => return Err(last),
        }
    }
}

/// Connects for writing: `synchronous_commit` is on, and no lock is held or waited for without end.
///
/// # Errors
/// As sqlx has it.
pub(crate) async fn connect_to_write(
    options: &PgConnectOptions,
    patience: Duration,
) -> sqlx::Result<PgConnection> {
    let mut connection = connect_within(options, patience).await?;
    connection.execute(SESSION).await?;
    connection.execute(PLANNER).await?;
    Ok(connection)
}

/// Whether trying again soon may help.
fn passes(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) => true,
        // Starting up or shutting down; no connection left.
        _ => matches!(code(error).as_deref(), Some("57P01" | "57P02" | "57P03" | "53300")),
    }
}

/// PostgreSQL's own SQLSTATE.
pub(crate) fn code(error: &sqlx::Error) -> Option<String> {
    Some(error.as_database_error()?.try_downcast_ref::<PgDatabaseError>()?.code().to_owned())
}

/// Why a connection was not to be had, and what to do.
pub(crate) fn explain(error: &sqlx::Error, options: &PgConnectOptions) -> String {
    let (host, port) = (options.get_host(), options.get_port());
    let database = options.get_database().unwrap_or_else(|| options.get_username());
    let user = options.get_username();
    match code(error).as_deref() {
        Some("3D000") => format!(
            "PostgreSQL at {host}:{port} has no database {database}: make it with CREATE DATABASE {database} \
             TEMPLATE template0 ENCODING 'UTF8'"
        ),
        Some("53300") => format!(
            "PostgreSQL at {host}:{port} has no connection left: raise its max_connections (a letopis process takes \
             up to {CONNECTIONS}), or end those that hold them"
        ),
        Some(code) if code.starts_with("28") => format!(
            "PostgreSQL at {host}:{port} does not let {user} into {database} ({error}): check user, password and \
             pg_hba.conf"
        ),
        Some(_) => format!("PostgreSQL at {host}:{port} said: {error}"),
        None => format!(
            "no PostgreSQL answers at {host}:{port} ({error}): start it, or name the right host and port"
        ),
    }
}
