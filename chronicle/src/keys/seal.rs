//! Sealing personal data: `s1.<key id>.<base64url(nonce, ciphertext, tag)>`, XChaCha20-Poly1305,
//! bound to its place in the log.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::ids::{EventId, PersonId};
use domain::personal::{PersonalType, Sealed, from_plaintext};
use uuid::Uuid;

use super::wrap::{self, lines};
use super::{Keyring, KeyringError, StoreError};

/// Where in the log a sealed value lies; moved anywhere else it does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    pub log_id: Uuid,
    pub aggregate_type: &'a str,
    pub aggregate_id: &'a str,
    pub event_id: EventId,
    /// The field's wire name.
    pub field: &'a str,
}

impl Place<'_> {
    fn associated_data(&self) -> Vec<u8> {
        lines(&[
            "letopis-seal/1",
            &self.log_id.to_string(),
            self.aggregate_type,
            self.aggregate_id,
            &self.event_id.to_string(),
            self.field,
        ])
    }
}

/// Why something could not be sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// [`Keyring::ensure`] comes first.
    #[error("the subject has no key yet")]
    NoKey,
    #[error("the subject's keys were destroyed")]
    Destroyed,
    #[error(transparent)]
    Keyring(KeyringError),
}

/// Why a sealed value could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its key was destroyed: its subject was erased.
    #[error("its key was destroyed")]
    Destroyed,
    /// It was damaged, moved to another place, or sealed with a key that this store never had.
    #[error("it cannot be read")]
    Unreadable,
    #[error(transparent)]
    Store(StoreError),
}

impl From<KeyringError> for SealError {
    fn from(error: KeyringError) -> Self {
        match error {
            KeyringError::Destroyed => Self::Destroyed,
            error => Self::Keyring(error),
        }
    }
}

impl From<KeyringError> for OpenError {
    fn from(error: KeyringError) -> Self {
        match error {
            KeyringError::Destroyed => Self::Destroyed,
            KeyringError::Store(error) => Self::Store(error),
            _ => Self::Unreadable,
        }
    }
}

impl Keyring {
    /// Seals `plaintext` at `place` under the newest key of `subject`.
    ///
    /// # Errors
    /// `NoKey` before [`Keyring::ensure`], `Destroyed` after the subject was erased, `Keyring`.
    pub fn seal(&self, place: &Place<'_>, subject: PersonId, plaintext: &str) -> Result<String, SealError> {
        let mut buffer = Uuid::encode_buffer();
        let subject: &str = subject.0.as_hyphenated().encode_lower(&mut buffer);
        let open = self.newest(subject)?.ok_or(SealError::NoKey)?;
        let sealed =
            wrap::encrypt(&open.key, &*self.0.entropy, plaintext.as_bytes(), &place.associated_data());
        let mut token = format!("s1.{}.", open.key_id.as_str());
        URL_SAFE_NO_PAD.encode_string(sealed, &mut token);
        Ok(token)
    }

    /// Opens what was sealed at `place`.
    ///
    /// # Errors
    /// `Destroyed`, `Unreadable` or `Store`.
    pub fn open(&self, place: &Place<'_>, token: &str) -> Result<String, OpenError> {
        let (key_id, body) =
            token.strip_prefix("s1.").and_then(|rest| rest.split_once('.')).ok_or(OpenError::Unreadable)?;
        let open = self.by_id(key_id)?.ok_or(OpenError::Unreadable)?;
        let body = URL_SAFE_NO_PAD.decode(body).map_err(|_| OpenError::Unreadable)?;
        let plain = wrap::decrypt(&open.key, &body, &place.associated_data()).ok_or(OpenError::Unreadable)?;
        String::from_utf8(plain.to_vec()).map_err(|_| OpenError::Unreadable)
    }

    /// Opens a personal value, upcasting an older version of its plaintext.
    ///
    /// # Errors
    /// As [`Keyring::open`]; `Unreadable` for a version that this program does not know.
    pub fn open_as<T: PersonalType>(&self, place: &Place<'_>, sealed: &Sealed) -> Result<T, OpenError> {
        from_plaintext(&self.open(place, &sealed.token)?).ok_or(OpenError::Unreadable)
    }
}
