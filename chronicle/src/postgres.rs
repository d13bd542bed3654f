//! What the engines on PostgreSQL share: connecting, with patience for a server that is just
//! starting, and words for whoever started letopis.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgDatabaseError, PgListener, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, Executor, PgConnection};
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// How long one waits for a connection.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
/// After so long without an answer a question counts as failed: having a connection, and being answered.
const ANSWER: Duration = Duration::from_secs(10);
/// A pooled connection shows within this time that it still leads somewhere.
const SIGN_OF_LIFE: Duration = Duration::from_secs(1);
const SESSION: &str = include_str!("log/sql/postgres_session.sql");
/// For whatever reads or writes a log's rows.
pub(crate) const PLANNER: &str = include_str!("log/sql/postgres_planner.sql");
const PAUSE: Duration = Duration::from_millis(50);
/// What a process holds at most: readers, a writer, a notifier, a listener, three for keys.
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
    let prepared = async {
        connection.execute(SESSION).await?;
        connection.execute(PLANNER).await
    };
    at_most(patience, prepared).await?;
    Ok(connection)
}

/// Waits for an answer, but not without end: of a flow that was dropped on its way, neither side hears
/// for many minutes. Whatever `asked` holds is dropped with it: a connection of one's own is closed, one
/// of [`readers`] is used again only if it answers after all.
///
/// # Errors
/// As sqlx has it; `Io` if there was no answer.
pub(crate) async fn within<T>(asked: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    at_most(ANSWER, asked).await
}

async fn at_most<T>(patience: Duration, asked: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    timeout(patience, asked).await.unwrap_or_else(|_elapsed| {
        let said = format!("PostgreSQL did not answer within {} s", patience.as_secs());
        Err(sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, said)))
    })
}

/// A pool for reading. sqlx's own test of a connection waits without end, and while it waits after
/// use the connection counts as taken: so they are tested here, before and after.
pub(crate) fn readers(most: u32) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(most)
        .acquire_timeout(PATIENCE)
        .after_connect(|connection, _| {
            Box::pin(async move { connection.execute(PLANNER).await.map(|_done| ()) })
        })
        .test_before_acquire(false)
        .before_acquire(|connection, _| Box::pin(lives(connection)))
        .after_release(|connection, _| Box::pin(lives(connection)))
}

/// Reads on to the end of what was asked before.
async fn lives(connection: &mut PgConnection) -> sqlx::Result<bool> {
    Ok(timeout(SIGN_OF_LIFE, connection.ping()).await.is_ok_and(|answered| answered.is_ok()))
}

/// Listens on `channel`. On a pool of its own: a listener that is dropped waits for the server before it
/// gives its place back.
///
/// # Errors
/// As sqlx has it.
pub(crate) async fn listen(options: &PgConnectOptions, channel: &str) -> sqlx::Result<PgListener> {
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(PATIENCE)
        .max_lifetime(None)
        .idle_timeout(None)
        .connect_lazy_with(options.clone());
    within(async {
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.listen(channel).await?;
        Ok(listener)
    })
    .await
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
