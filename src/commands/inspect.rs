//! What there is, opened beside whoever serves: for looking, and for nothing else.

use std::sync::Arc;

use anyhow::{Context, bail};
use chronicle::keys::{KeyStore, Keyring, PostgresKeyStore, SqliteKeyStore, read_master_key};
use chronicle::verify::Source;
use chronicle::verify::postgres::PostgresSource;
use chronicle::verify::sqlite::SqliteSource;
use domain::aggregate::Event;
use domain::chronicle::ChronicleEvent;
use uuid::Uuid;

use crate::config::{Config, Place};
use crate::machine::SystemEntropy;

/// The log.
///
/// # Errors
/// If there is none, or it can't be read.
pub async fn log(config: &Config, writable: bool) -> anyhow::Result<Box<dyn Source>> {
    Ok(match config.log()? {
        Place::Sqlite(path) => {
            Box::new(SqliteSource::open(&path, writable).await.context("the log can't be read")?)
        }
        Place::Postgres(url) => Box::new(
            PostgresSource::open(&url, writable).await.context("LETOPIS_LOG_URL: the log can't be read")?,
        ),
    })
}

/// The log's id, if its first event says it.
///
/// # Errors
/// If the log can't be read.
pub async fn log_id(log: &mut dyn Source) -> anyhow::Result<Option<Uuid>> {
    let first = log.read(0, 1).await?.into_iter().next();
    Ok(match first.and_then(|first| first.decode().ok()) {
        Some(Event::Chronicle(ChronicleEvent::ChronicleOpened { log_id, .. })) => Some(log_id),
        _ => None,
    })
}

/// The key store, which is not made where there is none.
///
/// # Errors
/// If there is none, or it can't be read.
pub fn key_store(config: &Config) -> anyhow::Result<Arc<dyn KeyStore>> {
    Ok(match config.keys()? {
        Place::Sqlite(path) if !path.is_file() => {
            bail!("there is no key store at {}: put back the one that belongs to this log", path.display())
        }
        Place::Sqlite(path) => Arc::new(SqliteKeyStore::open(&path).context("the key store can't be read")?),
        Place::Postgres(url) => {
            Arc::new(PostgresKeyStore::open(&url).context("LETOPIS_KEYS_URL: the key store can't be read")?)
        }
    })
}

/// The keys of the log `log_id`.
///
/// # Errors
/// A missing or wrong master key, or a key store that is another log's.
pub fn keys(config: &Config, log_id: Uuid) -> anyhow::Result<Keyring> {
    let master = read_master_key(&config.master_key_file())?;
    Ok(Keyring::unlock(key_store(config)?, &master, log_id, Arc::new(SystemEntropy))?)
}

/// The URL of every projection that has rows, by its name.
pub fn ports(config: &Config) -> [(&'static str, String); 4] {
    let urls = config.urls();
    [
        ("sessions", urls.sessions),
        ("directory", urls.directory),
        ("timeline", urls.timeline),
        ("search", urls.search),
    ]
}

/// The URL of every engine of the read side, by its port's name.
pub fn engines(config: &Config) -> Vec<(&'static str, String)> {
    let live = ("live", config.urls().live);
    ports(config).into_iter().chain([live]).collect()
}
