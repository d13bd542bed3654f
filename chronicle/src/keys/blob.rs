//! Sealing blobs: `letopis-blob/1\n ‖ key id ‖ nonce ‖ ciphertext ‖ tag`, XChaCha20-Poly1305, bound to
//! the log and to the blob's owner.

use domain::ids::PersonId;

use super::wrap::{self, lines};
use super::{Keyring, OpenError, SealError, subject_of};

const MAGIC: &[u8] = b"letopis-blob/1\n";
/// Characters of a key's id.
const KEY_ID: usize = 16;

impl Keyring {
    fn blob_aad(&self, owner: &str) -> Vec<u8> {
        lines(&["letopis-blob/1", &self.log_id().to_string(), owner])
    }

    /// Seals a blob under the newest key of `owner`.
    ///
    /// # Errors
    /// `NoKey` before [`Keyring::ensure`], `Destroyed` after the owner was erased, `Keyring`.
    pub fn seal_blob(&self, owner: PersonId, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let owner = subject_of(owner);
        let open = self.newest(&owner)?.ok_or(SealError::NoKey)?;
        let sealed = wrap::encrypt(&open.key, &*self.0.entropy, plain, &self.blob_aad(&owner));
        debug_assert_eq!(open.key_id.as_str().len(), KEY_ID);
        Ok([MAGIC, open.key_id.as_str().as_bytes(), &sealed].concat())
    }

    /// Opens a blob of `owner`.
    ///
    /// # Errors
    /// `Destroyed`, `Unreadable` (somebody else's, too) or `Store`.
    pub fn open_blob(&self, owner: PersonId, sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        let rest = sealed.strip_prefix(MAGIC).ok_or(OpenError::Unreadable)?;
        let (key_id, body) = rest.split_at_checked(KEY_ID).ok_or(OpenError::Unreadable)?;
        let key_id = std::str::from_utf8(key_id).map_err(|_| OpenError::Unreadable)?;
        let open = self.by_id(key_id)?.ok_or(OpenError::Unreadable)?;
        let plain = wrap::decrypt(&open.key, body, &self.blob_aad(&subject_of(owner)));
        Ok(plain.ok_or(OpenError::Unreadable)?.to_vec())
    }
}
