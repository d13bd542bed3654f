//! The key store in a PostgreSQL database of its own, which several processes share.
//!
//! The port blocks, and sqlx does not: a thread with a runtime of its own does the I/O. Opened keys are
//! cached, so this is off the path of commands. What processes tell each other of destroyed keys is in
//! `nodes`.

mod nodes;

use std::sync::mpsc::sync_channel;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use sqlx::postgres::{PgConnectOptions, PgRow};
use sqlx::{Connection, Executor, PgConnection, Row};
use tokio::sync::mpsc;
use uuid::Uuid;

use self::nodes::Lease;
use super::{
    Forget, Found, Identity, KeyId, KeyStore, StoreError, WrappedKek, WrappedKey, WrappedSecret, blocking,
    failed,
};
use crate::postgres::{PATIENCE, connect, connect_to_write, explain, options};

/// Each migration's number is its index plus one; each notes itself in `keys_schema`.
const MIGRATIONS: &[&str] = &[include_str!("../../../migrations/postgres/keys/1.sql")];
const MIGRATION_LOCK: i64 = 0x006c_6574_6f70_6b73;
const DESTROY: &str = include_str!("postgres/sql/destroy.sql");
const NEWEST: &str = include_str!("postgres/sql/newest_key.sql");
/// One subject's keys are made and destroyed by one process at a time.
const LOCK_SUBJECT: &str = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))";
/// After so long without an answer it counts as failed.
const ANSWER: Duration = Duration::from_secs(5);
/// After a failed connection others fail at once for so long, instead of waiting one by one.
const RESPITE: Duration = Duration::from_secs(1);
/// How long a process may use opened keys from memory without hearing from the database.
const LEASE: Duration = Duration::from_secs(10);

type Job = Box<dyn for<'a> FnOnce(&'a mut Link) -> BoxFuture<'a, ()> + Send>;

/// Keys in one PostgreSQL database.
pub struct PostgresKeyStore {
    jobs: mpsc::UnboundedSender<Job>,
    options: PgConnectOptions,
    lease: Arc<Lease>,
    watching: OnceLock<nodes::Watch>,
}

impl std::fmt::Debug for PostgresKeyStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PostgresKeyStore")
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        failed(error)
    }
}

/// A thread's own runtime.
fn runtime() -> Result<tokio::runtime::Runtime, StoreError> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)
}

impl PostgresKeyStore {
    /// Connects to the database of `url` and makes the tables in an empty one.
    ///
    /// # Errors
    /// It can't be reached, holds a log, or a newer version wrote it; the text says what to do.
    pub fn open(url: &str) -> Result<Self, StoreError> {
        Self::with_lease(url, LEASE)
    }

    pub(super) fn with_lease(url: &str, lease: Duration) -> Result<Self, StoreError> {
        let options = options(url).map_err(failed)?;
        let (jobs, mut todo) = mpsc::unbounded_channel::<Job>();
        let runtime = runtime()?;
        let mut link = Link { options: options.clone(), connection: None, down: None };
        std::thread::Builder::new()
            .name("keys".into())
            .spawn(move || {
                runtime.block_on(async {
                    while let Some(job) = todo.recv().await {
                        job(&mut link).await;
                    }
                });
            })
            .map_err(failed)?;
        let lease = Arc::new(Lease::new(lease));
        let store = Self { jobs, options, lease, watching: OnceLock::new() };
        let node = store.call(|connection| Box::pin(prepare(connection)))?;
        store.lease.is_of(node.map_err(failed)?);
        Ok(store)
    }

    /// As if the process had been paused for long.
    #[cfg(test)]
    pub(super) fn lapse(&self) {
        self.lease.lapses();
    }

    /// Runs `work` on the thread's connection, once more if that had died unnoticed: so `work` must do
    /// no harm when it is done twice.
    fn call<T: Send + 'static>(
        &self,
        work: impl for<'a> Fn(&'a mut PgConnection) -> BoxFuture<'a, sqlx::Result<T>> + Send + Sync + 'static,
    ) -> Result<T, StoreError> {
        let (sender, answer) = sync_channel(1);
        let job = job(move |link| {
            Box::pin(async move {
                // Whoever asked waits for as long as it takes.
                let _ = sender.send(link.run(&work).await);
            })
        });
        self.jobs.send(job).map_err(|_| failed("its thread has ended"))?;
        blocking(|| answer.recv()).map_err(|_| failed("its thread has ended"))?
    }
}

fn job(job: impl for<'a> FnOnce(&'a mut Link) -> BoxFuture<'a, ()> + Send + 'static) -> Job {
    Box::new(job)
}

/// The thread's connection.
struct Link {
    options: PgConnectOptions,
    connection: Option<PgConnection>,
    /// When connecting failed, and how.
    down: Option<(Instant, String)>,
}

impl Link {
    async fn run<T>(
        &mut self,
        work: &(impl for<'a> Fn(&'a mut PgConnection) -> BoxFuture<'a, sqlx::Result<T>> + Send + Sync),
    ) -> Result<T, StoreError> {
        loop {
            let (mut connection, used) = match self.connection.take() {
                Some(connection) => (connection, true),
                None => (self.connect().await?, false),
            };
            match tokio::time::timeout(ANSWER, work(&mut connection)).await {
                Ok(Ok(done)) => {
                    self.connection = Some(connection);
                    return Ok(done);
                }
                Ok(Err(error)) if used && error.as_database_error().is_none() => {}
                Ok(Err(error)) => return Err(error.into()),
                Err(_elapsed) => return Err(failed("PostgreSQL did not answer in time")),
            }
        }
    }

    async fn connect(&mut self) -> Result<PgConnection, StoreError> {
        if let Some((since, error)) = &self.down
            && since.elapsed() < RESPITE
        {
            return Err(failed(error.clone()));
        }
        // Whoever seals and opens waits here: with patience once, and not each time.
        let patience = if self.down.is_some() { RESPITE } else { PATIENCE };
        match connect_to_write(&self.options, patience).await {
            Ok(connection) => {
                self.down = None;
                Ok(connection)
            }
            Err(error) => {
                let said = explain(&error, &self.options);
                self.down = Some((Instant::now(), said.clone()));
                Err(failed(said))
            }
        }
    }
}

/// Makes the tables, or says why not; answers a name for this process.
async fn prepare(connection: &mut PgConnection) -> sqlx::Result<Result<Uuid, String>> {
    let mut transaction = connection.begin().await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(MIGRATION_LOCK).execute(&mut *transaction).await?;
    let there = |table: &'static str| sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL").bind(table);
    if there("log_schema").fetch_one(&mut *transaction).await? {
        return Ok(Err(
            "the database holds a log, and keys never lie beside what they seal: make the key store a \
                       database of its own (CREATE DATABASE), and name that"
                .to_owned(),
        ));
    }
    let known: bool = there("keys_schema").fetch_one(&mut *transaction).await?;
    let done = if known {
        let version: i64 =
            sqlx::query_scalar("SELECT max(version) FROM keys_schema").fetch_one(&mut *transaction).await?;
        usize::try_from(version).unwrap_or(usize::MAX)
    } else {
        if there("keys").fetch_one(&mut *transaction).await? {
            return Ok(Err(
                "the database has a table keys that is no key store: name an empty database".to_owned()
            ));
        }
        0
    };
    let Some(missing) = MIGRATIONS.get(done..) else {
        return Ok(Err(format!(
            "its schema has version {done}, this program knows {}; use the newer program",
            MIGRATIONS.len()
        )));
    };
    for migration in missing {
        transaction.execute(*migration).await?;
    }
    let node = sqlx::query_scalar("SELECT gen_random_uuid()").fetch_one(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(Ok(node))
}

fn version(row: &PgRow, column: &str) -> sqlx::Result<u32> {
    let version: i64 = row.try_get(column)?;
    u32::try_from(version).map_err(|error| sqlx::Error::Decode(error.into()))
}

fn key_row(row: &PgRow) -> sqlx::Result<WrappedKey> {
    Ok(WrappedKey {
        key_id: KeyId(row.try_get("key_id")?),
        subject: row.try_get("subject")?,
        kek: version(row, "kek")?,
        wrapped: row.try_get("wrapped")?,
    })
}

/// What `find` finds, or whether `destroyed` knows of it.
async fn found(
    connection: &mut PgConnection,
    find: &'static str,
    destroyed: &'static str,
    name: &str,
) -> sqlx::Result<Found> {
    if let Some(row) = sqlx::query(find).bind(name).fetch_optional(&mut *connection).await? {
        return Ok(Found::Live(key_row(&row)?));
    }
    let destroyed: bool = sqlx::query_scalar(destroyed).bind(name).fetch_one(connection).await?;
    Ok(if destroyed { Found::Destroyed } else { Found::Unknown })
}

async fn newest(connection: &mut PgConnection, subject: &str) -> sqlx::Result<Found> {
    let destroyed = "SELECT EXISTS (SELECT FROM destroyed_subjects WHERE subject = $1)";
    found(connection, NEWEST, destroyed, subject).await
}

async fn insert_secret(connection: &mut PgConnection, secret: &WrappedSecret) -> sqlx::Result<()> {
    sqlx::query("INSERT INTO secrets (name, version, kek, wrapped) VALUES ($1, $2, $3, $4)")
        .bind(&secret.name)
        .bind(i64::from(secret.version))
        .bind(i64::from(secret.kek))
        .bind(&secret.wrapped)
        .execute(connection)
        .await?;
    Ok(())
}

async fn begin(
    connection: &mut PgConnection,
    identity: &Identity,
    kek: &WrappedKek,
    secrets: &[WrappedSecret],
) -> sqlx::Result<()> {
    let mut transaction = connection.begin().await?;
    sqlx::query("INSERT INTO identity (only_row, log_id, master_check) VALUES (true, $1, $2)")
        .bind(identity.log_id)
        .bind(&identity.master_check)
        .execute(&mut *transaction)
        .await?;
    sqlx::query("INSERT INTO keks (version, wrapped) VALUES ($1, $2)")
        .bind(i64::from(kek.version))
        .bind(&kek.wrapped)
        .execute(&mut *transaction)
        .await?;
    for secret in secrets {
        insert_secret(&mut transaction, secret).await?;
    }
    transaction.commit().await
}

async fn add_first_key(connection: &mut PgConnection, key: &WrappedKey) -> sqlx::Result<Found> {
    let mut transaction = connection.begin().await?;
    sqlx::query(LOCK_SUBJECT).bind(&key.subject).execute(&mut *transaction).await?;
    let known = newest(&mut transaction, &key.subject).await?;
    if !matches!(known, Found::Unknown) {
        return Ok(known);
    }
    sqlx::query("INSERT INTO keys (key_id, subject, kek, wrapped) VALUES ($1, $2, $3, $4)")
        .bind(key.key_id.as_str())
        .bind(&key.subject)
        .bind(i64::from(key.kek))
        .bind(&key.wrapped)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(Found::Live(key.clone()))
}

async fn destroy(connection: &mut PgConnection, subject: &str) -> sqlx::Result<()> {
    let mut transaction = connection.begin().await?;
    sqlx::query(LOCK_SUBJECT).bind(subject).execute(&mut *transaction).await?;
    sqlx::query(DESTROY).bind(subject).execute(&mut *transaction).await?;
    transaction.commit().await?;
    // The row's place is free for others from now on. What still lies on its page, in the WAL and in
    // backups opens with the key encryption key alone.
    if let Err(error) = connection.execute("VACUUM keys").await {
        tracing::warn!(%error, "the place of a destroyed key was not freed");
    }
    Ok(())
}

impl KeyStore for PostgresKeyStore {
    fn identity(&self) -> Result<Option<Identity>, StoreError> {
        self.call(|connection| {
            Box::pin(async {
                let query = "SELECT log_id, master_check FROM identity";
                let row = sqlx::query(query).fetch_optional(connection).await?;
                row.map(|row| {
                    Ok(Identity {
                        log_id: row.try_get("log_id")?,
                        master_check: row.try_get("master_check")?,
                    })
                })
                .transpose()
            })
        })
    }

    fn begin(
        &self,
        identity: &Identity,
        kek: &WrappedKek,
        secrets: &[WrappedSecret],
    ) -> Result<(), StoreError> {
        let all = Arc::new((identity.clone(), kek.clone(), secrets.to_vec()));
        self.call(move |connection| {
            let all = all.clone();
            Box::pin(async move { begin(connection, &all.0, &all.1, &all.2).await })
        })
    }

    fn keks(&self) -> Result<Vec<WrappedKek>, StoreError> {
        self.call(|connection| {
            Box::pin(async {
                let query = "SELECT version, wrapped FROM keks ORDER BY version";
                let rows = sqlx::query(query).fetch_all(connection).await?;
                let kek = |row: &PgRow| {
                    Ok(WrappedKek { version: version(row, "version")?, wrapped: row.try_get("wrapped")? })
                };
                rows.iter().map(kek).collect()
            })
        })
    }

    fn secrets(&self) -> Result<Vec<WrappedSecret>, StoreError> {
        self.call(|connection| {
            Box::pin(async {
                let query = "SELECT name, version, kek, wrapped FROM secrets ORDER BY name, version";
                let rows = sqlx::query(query).fetch_all(connection).await?;
                let secret = |row: &PgRow| {
                    Ok(WrappedSecret {
                        name: row.try_get("name")?,
                        version: version(row, "version")?,
                        kek: version(row, "kek")?,
                        wrapped: row.try_get("wrapped")?,
                    })
                };
                rows.iter().map(secret).collect()
            })
        })
    }

    fn add_secret(&self, secret: &WrappedSecret) -> Result<(), StoreError> {
        let secret = secret.clone();
        self.call(move |connection| {
            let secret = secret.clone();
            Box::pin(async move { insert_secret(connection, &secret).await })
        })
    }

    fn key(&self, key_id: &str) -> Result<Found, StoreError> {
        let key_id = key_id.to_owned();
        self.call(move |connection| {
            let key_id = key_id.clone();
            Box::pin(async move {
                let find = "SELECT key_id, subject, kek, wrapped FROM keys WHERE key_id = $1";
                let destroyed = "SELECT EXISTS (SELECT FROM destroyed_keys WHERE key_id = $1)";
                found(connection, find, destroyed, &key_id).await
            })
        })
    }

    fn newest_key(&self, subject: &str) -> Result<Found, StoreError> {
        let subject = subject.to_owned();
        self.call(move |connection| {
            let subject = subject.clone();
            Box::pin(async move { newest(connection, &subject).await })
        })
    }

    fn add_first_key(&self, key: &WrappedKey) -> Result<Found, StoreError> {
        let key = key.clone();
        self.call(move |connection| {
            let key = key.clone();
            Box::pin(async move { add_first_key(connection, &key).await })
        })
    }

    fn destroy(&self, subject: &str) -> Result<(), StoreError> {
        let subject = subject.to_owned();
        self.call(move |connection| {
            let subject = subject.clone();
            Box::pin(async move { destroy(connection, &subject).await })
        })
    }

    fn may_remember(&self) -> bool {
        self.lease.holds()
    }

    fn watch(&self, forget: Forget) -> Result<(), StoreError> {
        let watch = nodes::watch(&self.options, self.lease.clone(), forget)?;
        self.watching.set(watch).map_err(|_| failed("it is watched already"))
    }

    fn forgotten_elsewhere(&self, subject: &str) -> Result<(), StoreError> {
        let deadline = Instant::now() + 3 * self.lease.length();
        loop {
            let (node, name) = (self.lease.node(), subject.to_owned());
            let held = self.call(move |connection| {
                let name = name.clone();
                Box::pin(async move { nodes::holds(connection, node, &name).await })
            })?;
            if !held {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(failed("another process does not let go of a destroyed key; destroy again"));
            }
            blocking(|| std::thread::sleep(Duration::from_millis(20)));
        }
    }
}
