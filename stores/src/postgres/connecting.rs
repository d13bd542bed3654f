//! From a URL to connections, and words for whoever wrote it.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, Executor, PgConnection, PgPool};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use url::Url;

use super::{NAME, code};
use crate::error::{Result, StoreError};

/// Connections of a process: for queries, and for its writer with a load beside it, an index that is
/// being made, and the lease.
pub(crate) const READERS: u32 = 8;
pub(crate) const WRITERS: u32 = 4;
/// And for the time of a comparison, one for either generation.
pub(crate) const SUMMARIES: u32 = 2;
/// A connection is waited for so long.
const ACQUIRE: Duration = Duration::from_secs(1);
/// At a start, for a server that is starting too.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(50);
/// A pooled connection shows within this time that it still leads somewhere.
const SIGN_OF_LIFE: Duration = Duration::from_millis(500);
const READER: &str = include_str!("sql/reader.sql");
const WRITER: &str = include_str!("sql/writer.sql");

/// What a URL says.
#[derive(Clone)]
pub(crate) struct Place {
    pub options: PgConnectOptions,
    /// Of the port; a generation's is this with its number.
    pub schema: String,
}

impl Place {
    /// Reads `postgres://user@host:port/database?schema=name`.
    ///
    /// # Errors
    /// [`StoreError::Refused`], without the URL: that may hold a password.
    pub fn of(url: &str, default: &str) -> Result<Self> {
        let looks = format!("it looks like postgres://<user>@<host>:<port>/<database>?schema={default}");
        let unread = |error: &dyn std::fmt::Display| {
            StoreError::Refused(format!("not a PostgreSQL URL ({error}): {looks}"))
        };
        let mut parsed = Url::parse(url).map_err(|error| unread(&error))?;
        let (ours, theirs): (Vec<_>, Vec<_>) =
            parsed.query_pairs().into_owned().partition(|(name, _)| name == "schema");
        parsed.query_pairs_mut().clear().extend_pairs(theirs);
        let schema = ours.into_iter().next_back().map_or_else(|| default.to_owned(), |(_, schema)| schema);
        check(&schema)?;
        let options: PgConnectOptions = parsed.as_str().parse().map_err(|error| unread(&error))?;
        // What is slow is in the metrics; a statement's text in a log line helps nobody.
        Ok(Self { options: options.application_name(NAME).disable_statement_logging(), schema })
    }

    /// Connects; a server that is starting, restarting or full is tried again for a while.
    ///
    /// # Errors
    /// [`StoreError::Refused`]: what is in the way, and what to do.
    pub async fn connect(&self) -> Result<PgConnection> {
        let deadline = Instant::now() + PATIENCE;
        let mut last = sqlx::Error::PoolTimedOut;
        let connected = loop {
            match timeout_at(deadline, PgConnection::connect_with(&self.options)).await {
                Ok(Err(error)) if passes(&error) && Instant::now() + PAUSE < deadline => {
                    last = error;
                    sleep(PAUSE).await;
                }
                Ok(connected) => break connected,
                Err(_elapsed) => break Err(last),
            }
        };
        connected.map_err(|error| StoreError::Refused(self.explain(&error)))
    }

    /// For queries.
    pub fn readers(&self) -> PgPool {
        pool(READERS, READER).connect_lazy_with(self.options.clone())
    }

    /// For the port's one writer.
    pub fn writers(&self) -> PgPool {
        pool(WRITERS, WRITER).connect_lazy_with(self.options.clone())
    }

    pub fn database(&self) -> &str {
        self.options.get_database().unwrap_or_else(|| self.options.get_username())
    }

    /// Why a connection was not to be had, and what to do.
    fn explain(&self, error: &sqlx::Error) -> String {
        let (host, port) = (self.options.get_host(), self.options.get_port());
        let (database, user) = (self.database(), self.options.get_username());
        match code(error).as_deref() {
            Some("3D000") => format!(
                "PostgreSQL at {host}:{port} has no database {database}: make it with CREATE DATABASE {database} \
                 TEMPLATE template0 ENCODING 'UTF8'"
            ),
            Some("53300") => format!(
                "PostgreSQL at {host}:{port} has no connection left: raise its max_connections (a directory takes up \
                 to {}), or end those that hold them",
                READERS + WRITERS + SUMMARIES
            ),
            Some(code) if code.starts_with("28") => format!(
                "PostgreSQL at {host}:{port} does not let {user} into {database} ({error}): check user, password and \
                 pg_hba.conf"
            ),
            Some(_) => format!("PostgreSQL at {host}:{port} said: {error}"),
            None => format!("no PostgreSQL answers at {host}:{port} ({error})"),
        }
    }
}

/// A schema's name goes into statements, and a generation's is made of it: what could be taken for
/// something else is refused.
fn check(schema: &str) -> Result<()> {
    let plain = schema.starts_with(|first: char| first.is_ascii_lowercase() || first == '_')
        && schema.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && schema.len() <= 40;
    let reserved = schema == "public" || schema == "information_schema" || schema.starts_with("pg_");
    let numbered = schema
        .rsplit_once('_')
        .is_some_and(|(_, end)| !end.is_empty() && end.chars().all(|c| c.is_ascii_digit()));
    if plain && !reserved && !numbered {
        return Ok(());
    }
    Err(StoreError::Refused(format!(
        "schema {schema:?} cannot be used: name one of its own, of at most 40 of a-z, 0-9 and _, that does not \
         end in a number, as ?schema=letopis_directory"
    )))
}

/// sqlx's own test of a connection waits without end, and while it waits after use the connection
/// counts as taken: so they are tested here, before and after.
fn pool(most: u32, session: &'static str) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(most)
        .acquire_timeout(ACQUIRE)
        .after_connect(move |connection, _| {
            Box::pin(async move { connection.execute(session).await.map(|_done| ()) })
        })
        .test_before_acquire(false)
        .before_acquire(|connection, _| Box::pin(lives(connection)))
        .after_release(|connection, _| Box::pin(lives(connection)))
}

/// Reads on to the end of what was asked before.
async fn lives(connection: &mut PgConnection) -> sqlx::Result<bool> {
    Ok(timeout(SIGN_OF_LIFE, connection.ping()).await.is_ok_and(|answered| answered.is_ok()))
}

/// Whether trying again soon may help.
fn passes(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) => true,
        // Starting up or shutting down; no connection left.
        _ => matches!(code(error).as_deref(), Some("57P01" | "57P02" | "57P03" | "53300")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(url: &str) -> Result<Place> {
        Place::of(url, "letopis_directory")
    }

    #[test]
    fn the_schema_is_taken_out_of_the_url_and_checked() {
        let url = "postgres://app:secret@db:5433/letopis?application_name=x&schema=people";
        let found = place(url).expect("read");
        assert_eq!((found.schema.as_str(), found.database()), ("people", "letopis"));
        assert_eq!((found.options.get_host(), found.options.get_port()), ("db", 5433));
        assert_eq!(place("postgres://app@db/letopis").expect("read").schema, "letopis_directory");
        for schema in ["", "public", "pg_catalog", "people_2", "People", "a\"b", "1a", &"a".repeat(41)] {
            let refused = place(&format!("postgres://app@db/letopis?schema={schema}")).err();
            assert!(
                matches!(&refused, Some(StoreError::Refused(said)) if said.contains("?schema=")),
                "{schema}"
            );
        }
    }

    #[test]
    fn what_is_no_url_is_refused_without_being_told() {
        for url in
            ["postgres:", "postgres://app:secret@db:notaport/x", "postgres://app:secret@db/x?sslmode=maybe"]
        {
            let Err(StoreError::Refused(said)) = place(url) else { continue };
            assert!(said.contains("postgres://<user>") && !said.contains("secret"), "{said}");
        }
    }
}
