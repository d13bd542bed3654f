//! The key store in an SQLite file of its own.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};
use uuid::Uuid;

use super::{Found, Identity, KeyId, KeyStore, StoreError, WrappedKek, WrappedKey, WrappedSecret, failed};

/// Each migration's number is its index plus one, kept in `user_version`.
const MIGRATIONS: &[&str] = &[include_str!("../../../migrations/sqlite/keys/0001_keys.sql")];

/// Keys in one SQLite file (`keys.db`), one connection.
pub struct SqliteKeyStore {
    connection: Mutex<Connection>,
}

impl std::fmt::Debug for SqliteKeyStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SqliteKeyStore")
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        failed(error)
    }
}

impl SqliteKeyStore {
    /// Opens or makes the file and brings its schema up to date.
    ///
    /// # Errors
    /// The file cannot be opened, or a newer version wrote it.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let mut connection = Connection::open(path)?;
        connection.pragma_update(None, "secure_delete", "ON")?;
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", "ON")?;
        connection.busy_timeout(std::time::Duration::from_secs(5))?;
        migrate(&mut connection)?;
        Ok(Self { connection: Mutex::new(connection) })
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        // A panic leaves no transaction open (dropping one rolls it back), so the connection is good.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let done: usize = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if done > MIGRATIONS.len() {
        return Err(failed(format!(
            "its schema has version {done}, this program knows {}; use the newer program",
            MIGRATIONS.len()
        )));
    }
    for migration in &MIGRATIONS[done..] {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "user_version", MIGRATIONS.len())?;
    transaction.commit()?;
    Ok(())
}

fn key_row(row: &Row<'_>) -> rusqlite::Result<WrappedKey> {
    Ok(WrappedKey {
        key_id: KeyId(row.get(0)?),
        subject: row.get(1)?,
        kek: row.get(2)?,
        wrapped: row.get(3)?,
    })
}

fn newest(connection: &Connection, subject: &str) -> Result<Found, StoreError> {
    let key = connection
        .prepare_cached(include_str!("sql/select_newest_key.sql"))?
        .query_row([subject], key_row)
        .optional()?;
    if let Some(key) = key {
        return Ok(Found::Live(key));
    }
    let destroyed: bool = connection
        .prepare_cached(include_str!("sql/select_destroyed_subject.sql"))?
        .query_row([subject], |row| row.get(0))?;
    Ok(if destroyed { Found::Destroyed } else { Found::Unknown })
}

fn insert_secret(connection: &Connection, secret: &WrappedSecret) -> Result<(), StoreError> {
    connection.execute(
        include_str!("sql/insert_secret.sql"),
        params![secret.name, secret.version, secret.kek, secret.wrapped],
    )?;
    Ok(())
}

impl KeyStore for SqliteKeyStore {
    fn identity(&self) -> Result<Option<Identity>, StoreError> {
        let row: Option<(String, Vec<u8>)> = self
            .connection()
            .query_row(include_str!("sql/select_identity.sql"), [], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        row.map(|(log_id, master_check)| {
            Ok(Identity { log_id: Uuid::parse_str(&log_id).map_err(failed)?, master_check })
        })
        .transpose()
    }

    fn begin(
        &self,
        identity: &Identity,
        kek: &WrappedKek,
        secrets: &[WrappedSecret],
    ) -> Result<(), StoreError> {
        let mut connection = self.connection();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute(
            include_str!("sql/insert_identity.sql"),
            params![identity.log_id.to_string(), identity.master_check],
        )?;
        transaction.execute(include_str!("sql/insert_kek.sql"), params![kek.version, kek.wrapped])?;
        for secret in secrets {
            insert_secret(&transaction, secret)?;
        }
        transaction.commit()?;
        Ok(())
    }

    fn keks(&self) -> Result<Vec<WrappedKek>, StoreError> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(include_str!("sql/select_keks.sql"))?;
        let rows =
            statement.query_map([], |row| Ok(WrappedKek { version: row.get(0)?, wrapped: row.get(1)? }))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn secrets(&self) -> Result<Vec<WrappedSecret>, StoreError> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(include_str!("sql/select_secrets.sql"))?;
        let rows = statement.query_map([], |row| {
            Ok(WrappedSecret {
                name: row.get(0)?,
                version: row.get(1)?,
                kek: row.get(2)?,
                wrapped: row.get(3)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn add_secret(&self, secret: &WrappedSecret) -> Result<(), StoreError> {
        insert_secret(&self.connection(), secret)
    }

    fn key(&self, key_id: &str) -> Result<Found, StoreError> {
        let connection = self.connection();
        let key = connection
            .prepare_cached(include_str!("sql/select_key.sql"))?
            .query_row([key_id], key_row)
            .optional()?;
        if let Some(key) = key {
            return Ok(Found::Live(key));
        }
        let destroyed: bool = connection
            .prepare_cached(include_str!("sql/select_destroyed_key.sql"))?
            .query_row([key_id], |row| row.get(0))?;
        Ok(if destroyed { Found::Destroyed } else { Found::Unknown })
    }

    fn newest_key(&self, subject: &str) -> Result<Found, StoreError> {
        newest(&self.connection(), subject)
    }

    fn add_first_key(&self, key: &WrappedKey) -> Result<Found, StoreError> {
        let mut connection = self.connection();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let found = newest(&transaction, &key.subject)?;
        if !matches!(found, Found::Unknown) {
            return Ok(found);
        }
        transaction.execute(
            include_str!("sql/insert_key.sql"),
            params![key.key_id.as_str(), key.subject, key.kek, key.wrapped],
        )?;
        transaction.commit()?;
        Ok(Found::Live(key.clone()))
    }

    fn destroy(&self, subject: &str) -> Result<(), StoreError> {
        let mut connection = self.connection();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute(include_str!("sql/note_destroyed_subject.sql"), [subject])?;
        transaction.execute(include_str!("sql/note_destroyed_keys.sql"), [subject])?;
        transaction.execute(include_str!("sql/delete_keys.sql"), [subject])?;
        transaction.commit()?;
        // Older pages linger in the write-ahead log until it is folded back and cut off.
        let busy: bool = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        if busy {
            return Err(failed("a reader kept its write-ahead log from being cut off; destroy again"));
        }
        Ok(())
    }
}
