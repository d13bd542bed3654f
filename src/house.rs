//! Opening the data folder: its lock, the master key, the key store, the log. What does not belong
//! together is refused by name.

use std::fs::{DirBuilder, File, TryLockError};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use chronicle::keys::{
    KeyStore, Keyring, MasterKey, PostgresKeyStore, SqliteKeyStore, create_master_key, read_master_key,
};
use chronicle::log::Log;
use chronicle::log::postgres::PostgresLog;
use chronicle::log::sqlite::SqliteLog;
use chronicle::opening::{log_id, open_chronicle};
use chronicle::{Clock, entropy::Entropy};
use uuid::Uuid;

use crate::config::{Config, Place};

/// How long a start waits for the one before it to let go of the folder.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// The folder, opened. The lock is held until it is dropped; the kernel lets go of a killed
/// process's.
pub struct House {
    pub log: Arc<dyn Log>,
    pub log_id: Uuid,
    pub keyring: Keyring,
    /// The folder's own name among the processes that share engines.
    pub node: Uuid,
    /// The log's file, where it is one.
    file: Option<Arc<SqliteLog>>,
    _lock: File,
}

impl House {
    /// Opens the folder, and makes what an empty one lacks.
    ///
    /// # Errors
    /// Another process has it; the master key is missing over existing data; log, key store and
    /// master key are not of one installation; a log of a newer format.
    pub async fn open(
        config: &Config,
        clock: &Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> anyhow::Result<Self> {
        let data = &config.data;
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(data)
            .with_context(|| format!("LETOPIS_DATA={} can't be made", data.display()))?;
        config.refuse_shared_files()?;
        let lock = lock(&data.join("lock")).await?;
        let (log, file): (Arc<dyn Log>, _) = match config.log()? {
            Place::Sqlite(path) => {
                let file = SqliteLog::open(&path).context("the log can't be opened")?;
                (file.clone(), Some(file))
            }
            Place::Postgres(url) => {
                let log = PostgresLog::open(&url, clock.clone()).await;
                let log = log.context("LETOPIS_LOG_URL: the log can't be opened")?;
                refuse_keys_beside(&log, config).await?;
                (log, None)
            }
        };
        let known = log_id(&*log).await.context("the log can't be opened")?;
        let master_file = config.master_key_file();
        let open_master = |has_keys: bool| master_key(&master_file, known.is_none() && !has_keys, &*entropy);
        // Over existing data a missing master key is refused before anything is made.
        let (store, master): (Arc<dyn KeyStore>, _) = match config.keys()? {
            Place::Sqlite(path) => {
                let master = open_master(has_content(&path))?;
                (Arc::new(SqliteKeyStore::open(&path).context("the key store can't be opened")?), master)
            }
            Place::Postgres(url) => {
                let store = PostgresKeyStore::open(&url)
                    .context("LETOPIS_KEYS_URL: the key store can't be opened")?;
                let master = open_master(store.identity().context("the key store can't be read")?.is_some())?;
                (Arc::new(store), master)
            }
        };
        let begun = store.identity().context("the key store can't be read")?.map(|identity| identity.log_id);
        let keyring = match (known, begun) {
            (Some(log_id), None) => bail!(
                "log {log_id} has no key store: what LETOPIS_KEYS_URL names (or keys.db in LETOPIS_DATA) is empty. \
                 Restore it from the backup that belongs to this log"
            ),
            // A start that was cut short between the two goes on here.
            (known, Some(begun)) => Keyring::unlock(store, &master, known.unwrap_or(begun), entropy.clone())?,
            (None, None) => {
                let new_id = crate::machine::new_id(&**clock, &*entropy);
                Keyring::begin(store, &master, new_id, entropy.clone())?
            }
        };
        let log_id = open_chronicle(&*log, keyring.log_id(), clock.now()).await?;
        if log_id != keyring.log_id() {
            bail!("the key store is of log {}, and this is log {log_id}", keyring.log_id());
        }
        let node = node(&data.join("node"), || crate::machine::new_id(&**clock, &*entropy))?;
        Ok(Self { log, log_id, keyring, node, file, _lock: lock })
    }

    /// Leaves the folder in order: the log is one file again. Once nobody appends any more.
    pub async fn close(self) {
        if let Some(file) = &self.file
            && let Err(error) = file.fold().await
        {
            tracing::warn!(%error, "the log keeps its write-ahead log beside it");
        }
    }
}

/// Whoever gets hold of the log's database must not have its keys with it.
async fn refuse_keys_beside(log: &PostgresLog, config: &Config) -> anyhow::Result<()> {
    if let Place::Postgres(keys) = config.keys()?
        && log.is_in_database(&keys).await.context("LETOPIS_KEYS_URL: the key store can't be opened")?
    {
        bail!(
            "LETOPIS_LOG_URL and LETOPIS_KEYS_URL lead to one database, and keys never lie beside what they seal: \
             make the key store a database of its own (CREATE DATABASE), and name that"
        );
    }
    Ok(())
}

/// The name in `file`, which is made where there is none. One that was lost costs some seconds of
/// waiting for a holder of leases that is no more.
fn node(file: &Path, new: impl FnOnce() -> Uuid) -> anyhow::Result<Uuid> {
    let known = std::fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok());
    if let Some(known) = known {
        return Ok(known);
    }
    let node = new();
    std::fs::write(file, format!("{node}\n"))
        .with_context(|| format!("{} can't be written", file.display()))?;
    Ok(node)
}

fn has_content(file: &Path) -> bool {
    std::fs::metadata(file).is_ok_and(|found| found.len() > 0)
}

fn master_key(file: &Path, is_new: bool, entropy: &dyn Entropy) -> anyhow::Result<MasterKey> {
    if is_new && !file.exists() {
        return Ok(create_master_key(file, entropy)?);
    }
    if !file.exists() {
        bail!(
            "the master key {} is missing, and there is data that only it opens: put it back, or name its file in \
             LETOPIS_MASTER_KEY",
            file.display()
        );
    }
    Ok(read_master_key(file)?)
}

/// Takes the lock; waits for whoever is about to let go of it.
///
/// # Errors
/// Another process keeps it.
pub async fn lock(path: &Path) -> anyhow::Result<File> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .with_context(|| format!("{} can't be opened", path.display()))?;
    let taken = async {
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(()),
                Err(TryLockError::WouldBlock) => tokio::time::sleep(Duration::from_millis(50)).await,
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    };
    match tokio::time::timeout(LOCK_PATIENCE, taken).await {
        Ok(taken) => taken.with_context(|| format!("{} can't be locked", path.display()))?,
        Err(_elapsed) => bail!(
            "another letopis is running on this data folder ({} is locked): stop it, or set LETOPIS_DATA to another \
             folder",
            path.display()
        ),
    }
    Ok(file)
}
