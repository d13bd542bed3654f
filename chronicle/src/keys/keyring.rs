//! The opened key store: makes, caches and destroys keys.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use uuid::Uuid;

use super::wrap::{self, Key, lines};
use super::{
    Forgotten, Found, Identity, KeyId, KeyStore, MasterKey, StoreError, WrappedKek, WrappedKey,
    WrappedSecret, blocking, macs,
};
use crate::entropy::Entropy;

/// Opened keys that are held at most; beyond it all are dropped and loaded again as they are asked for.
const CACHED: usize = 20_000;

pub(super) const CLAIMS: &str = "claims";
pub(super) const REQUESTS: &str = "requests";
pub(super) const REFRESH: &str = "refresh";
pub(super) const CURSORS: &str = "cursors";
pub(super) const INVITES: &str = "invites";
pub(super) const SIGNING: &str = "signing";
/// What every store holds; one that lacks a later addition gets it when it is opened.
const SECRETS: [&str; 6] = [CLAIMS, REQUESTS, REFRESH, CURSORS, INVITES, SIGNING];

/// Why a key store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    #[error(
        "the key store is empty, but the log has begun; put back the key store that belongs to log {0} (without \
         it nothing personal in the log can be read)"
    )]
    NotBegun(Uuid),
    #[error("the key store has begun already, for log {0}")]
    Begun(Uuid),
    #[error(
        "the key store belongs to log {store}, not to log {log}; put the right one in place or set \
         LETOPIS_KEYS_URL"
    )]
    OtherLog { store: Uuid, log: Uuid },
    #[error(
        "the master key is not the one that this key store was made with; set LETOPIS_MASTER_KEY to the right file"
    )]
    WrongMaster,
    #[error("the key store is damaged at {0}; restore it from a backup")]
    Damaged(String),
    #[error("the keys of this subject were destroyed")]
    Destroyed,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A data key in the clear.
pub(super) struct OpenKey {
    pub key_id: KeyId,
    pub subject: String,
    pub key: Key,
}

/// What is known without asking the store.
#[derive(Clone)]
enum Known {
    Live(Arc<OpenKey>),
    Destroyed,
}

#[derive(Default)]
struct Cache {
    by_id: HashMap<String, Known>,
    by_subject: HashMap<String, Known>,
}

impl Cache {
    fn make_room(&mut self) {
        if self.by_id.len() >= CACHED || self.by_subject.len() >= CACHED {
            *self = Self::default();
        }
    }
}

/// An opened key store. Cheap to clone; calls block for a short read, [`Keyring::ensure`] and
/// [`Keyring::destroy`] for a durable write.
#[derive(Clone)]
pub struct Keyring(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub store: Arc<dyn KeyStore>,
    pub entropy: Arc<dyn Entropy>,
    pub log_id: Uuid,
    keks: BTreeMap<u32, Key>,
    kek: u32,
    pub macs: macs::MacKeys,
    /// Ascending by version.
    signing: RwLock<Vec<(u32, Key)>>,
    cache: RwLock<Cache>,
    /// Held from reading the store until the cache shows it, so that nothing destroyed in between
    /// comes back.
    changing: Mutex<()>,
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keyring({})", self.0.log_id)
    }
}

fn check_of(master: &MasterKey, log_id: Uuid) -> Vec<u8> {
    macs::mac(&master.0, &lines(&["letopis-master-check/1", &log_id.to_string()])).to_vec()
}

fn kek_aad(log_id: Uuid, version: u32) -> Vec<u8> {
    lines(&["letopis-kek/1", &log_id.to_string(), &version.to_string()])
}

fn key_aad(log_id: Uuid, kek: u32, key_id: &str, subject: &str) -> Vec<u8> {
    lines(&["letopis-key/1", &log_id.to_string(), &kek.to_string(), key_id, subject])
}

fn secret_aad(log_id: Uuid, kek: u32, name: &str, version: u32) -> Vec<u8> {
    lines(&["letopis-secret/1", &log_id.to_string(), &kek.to_string(), name, &version.to_string()])
}

fn new_secret(
    entropy: &dyn Entropy,
    log_id: Uuid,
    (kek, by): (u32, &Key),
    name: &str,
    version: u32,
) -> (Key, WrappedSecret) {
    let key = wrap::random_key(entropy);
    let wrapped = wrap::encrypt(by, entropy, &*key, &secret_aad(log_id, kek, name, version));
    (key, WrappedSecret { name: name.to_owned(), version, kek, wrapped })
}

impl Keyring {
    /// Begins an empty key store for the log `log_id`, and unlocks it.
    ///
    /// # Errors
    /// `Begun`, or `Store`.
    pub fn begin(
        store: Arc<dyn KeyStore>,
        master: &MasterKey,
        log_id: Uuid,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, KeyringError> {
        if let Some(identity) = store.identity()? {
            return Err(KeyringError::Begun(identity.log_id));
        }
        let kek = wrap::random_key(&*entropy);
        let wrapped = wrap::encrypt(&master.0, &*entropy, &*kek, &kek_aad(log_id, 1));
        let secrets = SECRETS.map(|name| new_secret(&*entropy, log_id, (1, &kek), name, 1).1);
        let identity = Identity { log_id, master_check: check_of(master, log_id) };
        store.begin(&identity, &WrappedKek { version: 1, wrapped }, &secrets)?;
        Self::unlock(store, master, log_id, entropy)
    }

    /// Unlocks the key store of the log `log_id`.
    ///
    /// # Errors
    /// `NotBegun`, `OtherLog`, `WrongMaster`, `Damaged`, or `Store`.
    pub fn unlock(
        store: Arc<dyn KeyStore>,
        master: &MasterKey,
        log_id: Uuid,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, KeyringError> {
        let identity = store.identity()?.ok_or(KeyringError::NotBegun(log_id))?;
        if identity.log_id != log_id {
            return Err(KeyringError::OtherLog { store: identity.log_id, log: log_id });
        }
        if identity.master_check != check_of(master, log_id) {
            return Err(KeyringError::WrongMaster);
        }
        let mut keks = BTreeMap::new();
        for WrappedKek { version, wrapped } in store.keks()? {
            let key = wrap::unwrap_key(&master.0, &wrapped, &kek_aad(log_id, version))
                .ok_or_else(|| KeyringError::Damaged(format!("key encryption key {version}")))?;
            keks.insert(version, key);
        }
        let (&kek, by) =
            keks.last_key_value().ok_or_else(|| KeyringError::Damaged("key encryption keys".to_owned()))?;

        let mut secrets: BTreeMap<String, Vec<(u32, Key)>> = BTreeMap::new();
        for WrappedSecret { name, version, kek, wrapped } in store.secrets()? {
            let key = keks
                .get(&kek)
                .and_then(|by| wrap::unwrap_key(by, &wrapped, &secret_aad(log_id, kek, &name, version)))
                .ok_or_else(|| KeyringError::Damaged(format!("secret {name} {version}")))?;
            secrets.entry(name).or_default().push((version, key));
        }
        for name in SECRETS {
            if !secrets.contains_key(name) {
                let (key, secret) = new_secret(&*entropy, log_id, (kek, by), name, 1);
                store.add_secret(&secret)?;
                secrets.insert(name.to_owned(), vec![(1, key)]);
            }
        }
        let mut newest = |name: &str| {
            secrets
                .remove(name)
                .and_then(|mut versions| versions.pop())
                .map(|(_, key)| key)
                .expect("the loop above put one there")
        };
        let macs = macs::MacKeys {
            claims: newest(CLAIMS),
            requests: newest(REQUESTS),
            refresh: newest(REFRESH),
            cursors: newest(CURSORS),
            invites: newest(INVITES),
        };
        let signing = RwLock::new(secrets.remove(SIGNING).unwrap_or_default());
        let (cache, changing) = (RwLock::default(), Mutex::default());
        let keyring =
            Self(Arc::new(Inner { store, entropy, log_id, keks, kek, macs, signing, cache, changing }));
        let watched = Arc::downgrade(&keyring.0);
        keyring.0.store.watch(Box::new(move |forgotten| {
            if let Some(inner) = watched.upgrade() {
                Self(inner).forget(&forgotten);
            }
        }))?;
        Ok(keyring)
    }

    /// The log that these keys belong to.
    pub fn log_id(&self) -> Uuid {
        self.0.log_id
    }

    /// Makes a durable key for the subject if it has none; answers the newest.
    ///
    /// # Errors
    /// `Destroyed` if the subject's keys were destroyed: it never gets another one. `Damaged`, `Store`.
    pub fn ensure(&self, subject: &str) -> Result<KeyId, KeyringError> {
        match self.newest(subject) {
            Ok(Some(open)) => return Ok(open.key_id.clone()),
            Ok(None) => {}
            Err(error) => return Err(error),
        }
        let mut id = [0; 12];
        self.0.entropy.fill(&mut id);
        let key_id = KeyId(macs::base64(&id));
        let key = wrap::random_key(&*self.0.entropy);
        let aad = key_aad(self.0.log_id, self.0.kek, key_id.as_str(), subject);
        let wrapped = wrap::encrypt(&self.0.keks[&self.0.kek], &*self.0.entropy, &*key, &aad);
        let made = WrappedKey { key_id, subject: subject.to_owned(), kek: self.0.kek, wrapped };
        let kept = self.changing(|| self.remember(subject, self.0.store.add_first_key(&made)?));
        match kept? {
            Some(open) => Ok(open.key_id.clone()),
            None => Err(KeyringError::Damaged(format!("key {}", made.key_id.as_str()))),
        }
    }

    /// Destroys the subject's keys, durably, and drops them from memory, that of every other process
    /// included. What they sealed can never be read again, and the subject never gets another key.
    /// Repeating it does no harm.
    ///
    /// # Errors
    /// `Store`: try again until it succeeds.
    pub fn destroy(&self, subject: &str) -> Result<(), KeyringError> {
        self.changing(|| {
            let destroyed = self.0.store.destroy(subject);
            self.drop_from_memory(subject);
            destroyed
        })?;
        // Not while others wait for `changing`: two that destroy at once would wait for one another.
        Ok(self.0.store.forgotten_elsewhere(subject)?)
    }

    /// Drops what another process destroyed.
    fn forget(&self, forgotten: &Forgotten) {
        self.changing(|| match forgotten {
            Forgotten::Subjects(subjects) => {
                subjects.iter().for_each(|subject| self.drop_from_memory(subject))
            }
            Forgotten::All => {
                *self.0.cache.write().unwrap_or_else(PoisonError::into_inner) = Cache::default();
            }
        });
    }

    fn drop_from_memory(&self, subject: &str) {
        let mut cache = self.0.cache.write().unwrap_or_else(PoisonError::into_inner);
        cache.by_subject.remove(subject);
        cache.by_id.retain(|_, known| !matches!(known, Known::Live(open) if open.subject == subject));
    }

    /// Loads the newest keys of these subjects, so that sealing does not wait for the store.
    ///
    /// # Errors
    /// `Damaged` or `Store`; subjects without keys are passed over.
    pub fn preload<'a>(&self, subjects: impl IntoIterator<Item = &'a str>) -> Result<(), KeyringError> {
        for subject in subjects {
            match self.newest(subject) {
                Ok(_) | Err(KeyringError::Destroyed) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Adds a version of the key that signs access tokens. It signs from now on; the older ones go
    /// on verifying.
    ///
    /// # Errors
    /// `Store`.
    pub fn rotate_signing_key(&self) -> Result<(), KeyringError> {
        self.changing(|| {
            let mut signing = self.0.signing.write().unwrap_or_else(PoisonError::into_inner);
            let version = signing.last().map_or(1, |(version, _)| version + 1);
            let by = (self.0.kek, &self.0.keks[&self.0.kek]);
            let (key, secret) = new_secret(&*self.0.entropy, self.0.log_id, by, SIGNING, version);
            self.0.store.add_secret(&secret)?;
            signing.push((version, key));
            Ok(())
        })
    }

    /// Ed25519 seeds of all signing keys, the newest last.
    pub(crate) fn signing_seeds(&self) -> Vec<Key> {
        let signing = self.0.signing.read().unwrap_or_else(PoisonError::into_inner);
        signing.iter().map(|(_, seed)| seed.clone()).collect()
    }

    /// Does `change` while nobody else changes anything. Whoever waits for a slow store, or for one who
    /// waits for it, keeps no task from running.
    pub(super) fn changing<T>(&self, change: impl FnOnce() -> T) -> T {
        blocking(|| {
            let _changing = self.0.changing.lock().unwrap_or_else(PoisonError::into_inner);
            change()
        })
    }

    /// The subject's newest key; `None` if it never had one.
    pub(super) fn newest(&self, subject: &str) -> Result<Option<Arc<OpenKey>>, KeyringError> {
        let look = || {
            if !self.0.store.may_remember() {
                return None;
            }
            let cache = self.0.cache.read().unwrap_or_else(PoisonError::into_inner);
            cache.by_subject.get(subject).cloned()
        };
        let opened = |known| match known {
            Known::Live(open) => Ok(Some(open)),
            Known::Destroyed => Err(KeyringError::Destroyed),
        };
        if let Some(known) = look() {
            return opened(known);
        }
        self.changing(|| match look() {
            Some(known) => opened(known),
            None => self.remember(subject, self.0.store.newest_key(subject)?),
        })
    }

    /// The key with this id; `None` if there never was one.
    pub(super) fn by_id(&self, key_id: &str) -> Result<Option<Arc<OpenKey>>, KeyringError> {
        let look = || {
            if !self.0.store.may_remember() {
                return None;
            }
            let cache = self.0.cache.read().unwrap_or_else(PoisonError::into_inner);
            cache.by_id.get(key_id).cloned()
        };
        if let Some(known) = look() {
            return match known {
                Known::Live(open) => Ok(Some(open)),
                Known::Destroyed => Err(KeyringError::Destroyed),
            };
        }
        self.changing(|| match self.0.store.key(key_id)? {
            Found::Unknown => Ok(None),
            Found::Live(wrapped) => {
                let open = Arc::new(self.unwrap(&wrapped)?);
                let mut cache = self.0.cache.write().unwrap_or_else(PoisonError::into_inner);
                cache.make_room();
                cache.by_id.insert(key_id.to_owned(), Known::Live(open.clone()));
                Ok(Some(open))
            }
            Found::Destroyed => {
                let mut cache = self.0.cache.write().unwrap_or_else(PoisonError::into_inner);
                cache.make_room();
                cache.by_id.insert(key_id.to_owned(), Known::Destroyed);
                Err(KeyringError::Destroyed)
            }
        })
    }

    /// Puts what the store says of a subject into the cache. The caller holds `changing`.
    fn remember(&self, subject: &str, found: Found) -> Result<Option<Arc<OpenKey>>, KeyringError> {
        let known = match found {
            Found::Unknown => return Ok(None),
            Found::Destroyed => Known::Destroyed,
            Found::Live(wrapped) => Known::Live(Arc::new(self.unwrap(&wrapped)?)),
        };
        let mut cache = self.0.cache.write().unwrap_or_else(PoisonError::into_inner);
        cache.make_room();
        cache.by_subject.insert(subject.to_owned(), known.clone());
        match known {
            Known::Destroyed => Err(KeyringError::Destroyed),
            Known::Live(open) => {
                cache.by_id.insert(open.key_id.0.clone(), Known::Live(open.clone()));
                Ok(Some(open))
            }
        }
    }

    fn unwrap(&self, wrapped: &WrappedKey) -> Result<OpenKey, KeyringError> {
        let aad = key_aad(self.0.log_id, wrapped.kek, wrapped.key_id.as_str(), &wrapped.subject);
        let key = self
            .0
            .keks
            .get(&wrapped.kek)
            .and_then(|by| wrap::unwrap_key(by, &wrapped.wrapped, &aad))
            .ok_or_else(|| KeyringError::Damaged(format!("key {}", wrapped.key_id.as_str())))?;
        Ok(OpenKey { key_id: wrapped.key_id.clone(), subject: wrapped.subject.clone(), key })
    }
}
