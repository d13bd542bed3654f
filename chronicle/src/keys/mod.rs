//! The key store: master key (from outside) → key encryption keys → keys and named secrets.
//!
//! - [`KeyStore`] is the port: it keeps wrapped bytes and never sees a key. [`SqliteKeyStore`] is
//!   the embedded engine, a file of its own beside the log's; [`PostgresKeyStore`] is a database of its
//!   own, which several processes share.
//! - [`Keyring`] is what everyone uses: it opens the store with the master key, makes, opens,
//!   caches and destroys keys, seals and opens personal data, and computes the keyed hashes.
//! - [`MasterKey`] comes from a file.
//!
//! Another engine implements [`KeyStore`] and passes the tests of [`Keyring`] (`tests.rs`).

mod blob;
mod keyring;
mod macs;
mod master;
mod postgres;
mod seal;
mod sqlite;
#[cfg(test)]
mod tests;
mod wrap;

use domain::ids::PersonId;
use uuid::Uuid;

pub use keyring::{Keyring, KeyringError};
pub use master::{MasterKey, MasterKeyError, create_master_key, read_master_key};
pub use postgres::PostgresKeyStore;
pub use seal::{OpenError, Place, SealError};
pub use sqlite::SqliteKeyStore;

/// Waits without keeping a runtime's other tasks from running.
fn blocking<T>(wait: impl FnOnce() -> T) -> T {
    match tokio::runtime::Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(tokio::runtime::RuntimeFlavor::MultiThread) => tokio::task::block_in_place(wait),
        _ => wait(),
    }
}

/// The id of a key: 16 base64url characters. It names a key, never a person.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeyId(pub(crate) String);

impl KeyId {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whose keys a store holds and with which master key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub log_id: Uuid,
    /// A MAC under the master key.
    pub master_check: Vec<u8>,
}

/// A key encryption key, wrapped by the master key.
#[derive(Clone, Debug)]
pub struct WrappedKek {
    pub version: u32,
    pub wrapped: Vec<u8>,
}

/// A subject's key, wrapped by the KEK of version `kek`.
#[derive(Clone, Debug)]
pub struct WrappedKey {
    pub key_id: KeyId,
    pub subject: String,
    pub kek: u32,
    pub wrapped: Vec<u8>,
}

/// One version of a named secret, wrapped by the KEK of version `kek`.
#[derive(Clone, Debug)]
pub struct WrappedSecret {
    pub name: String,
    pub version: u32,
    pub kek: u32,
    pub wrapped: Vec<u8>,
}

/// What a store knows of a key or of a subject's newest key.
#[derive(Clone, Debug)]
pub enum Found {
    Live(WrappedKey),
    Destroyed,
    Unknown,
}

/// The engine failed; nothing can be said about the keys.
#[derive(Debug, thiserror::Error)]
#[error("the key store failed: {0}")]
pub struct StoreError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
    StoreError(error.into())
}

/// Keeps wrapped keys. Calls block for the time of a durable write at most; whatever changes
/// something is durable when it returns.
pub trait KeyStore: Send + Sync {
    /// `None` for a store that was never begun.
    fn identity(&self) -> Result<Option<Identity>, StoreError>;
    /// Begins a store: identity, first KEK and first secrets in one transaction.
    fn begin(
        &self,
        identity: &Identity,
        kek: &WrappedKek,
        secrets: &[WrappedSecret],
    ) -> Result<(), StoreError>;
    fn keks(&self) -> Result<Vec<WrappedKek>, StoreError>;
    /// All versions of all secrets, a name's versions in ascending order.
    fn secrets(&self) -> Result<Vec<WrappedSecret>, StoreError>;
    fn add_secret(&self, secret: &WrappedSecret) -> Result<(), StoreError>;
    fn key(&self, key_id: &str) -> Result<Found, StoreError>;
    /// The subject's newest key.
    fn newest_key(&self, subject: &str) -> Result<Found, StoreError>;
    /// Adds a key unless its subject has one or was destroyed; answers what the subject has now.
    fn add_first_key(&self, key: &WrappedKey) -> Result<Found, StoreError>;
    /// Destroys all keys of a subject, those of later attempts included.
    fn destroy(&self, subject: &str) -> Result<(), StoreError>;

    /// Whether opened keys may be used from memory at this moment. An engine that one process has for
    /// itself has nobody to hear from.
    fn may_remember(&self) -> bool {
        true
    }
    /// From now on calls `forget` with what others destroy, on a thread of its own.
    fn watch(&self, _forget: Forget) -> Result<(), StoreError> {
        Ok(())
    }
    /// Waits until no other process uses a destroyed key of `subject` from memory.
    fn forgotten_elsewhere(&self, _subject: &str) -> Result<(), StoreError> {
        Ok(())
    }
}

/// What is to be dropped from memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forgotten {
    Subjects(Vec<String>),
    All,
}

/// Drops opened keys from memory before it returns.
pub type Forget = Box<dyn Fn(Forgotten) + Send + Sync>;

/// The subject that a person's keys belong to.
pub fn subject_of(person: PersonId) -> String {
    person.to_string()
}
