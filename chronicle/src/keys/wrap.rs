//! Wrapping one key by another: XChaCha20-Poly1305, `nonce ‖ ciphertext ‖ tag`.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use crate::entropy::Entropy;

/// Bytes of a nonce.
pub(super) const NONCE: usize = 24;
/// Bytes of a tag.
#[cfg(test)]
pub(super) const TAG: usize = 16;

/// 32 secret bytes, zeroed when dropped.
pub(super) type Key = Zeroizing<[u8; 32]>;

pub(super) fn random_key(entropy: &dyn Entropy) -> Key {
    let mut key = Zeroizing::new([0; 32]);
    entropy.fill(&mut *key);
    key
}

/// Associated data: a list of lines, so that no two lists of parts read the same.
pub(super) fn lines(parts: &[&str]) -> Vec<u8> {
    let mut data = Vec::with_capacity(parts.iter().map(|part| part.len() + 1).sum());
    for part in parts {
        debug_assert!(!part.contains('\n'), "a part is one line");
        data.extend_from_slice(part.as_bytes());
        data.push(b'\n');
    }
    data
}

pub(super) fn encrypt(key: &[u8; 32], entropy: &dyn Entropy, plain: &[u8], aad: &[u8]) -> Vec<u8> {
    let mut nonce = [0; NONCE];
    entropy.fill(&mut nonce);
    let sealed = XChaCha20Poly1305::new(key.into())
        .encrypt(XNonce::from_slice(&nonce), Payload { msg: plain, aad })
        .expect("the cipher refuses only plaintexts beyond 256 GiB");
    [&nonce[..], &sealed].concat()
}

/// `None` if the bytes are not what was encrypted with this key and these associated data.
pub(super) fn decrypt(key: &[u8; 32], sealed: &[u8], aad: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, body) = sealed.split_at_checked(NONCE)?;
    XChaCha20Poly1305::new(key.into())
        .decrypt(XNonce::from_slice(nonce), Payload { msg: body, aad })
        .ok()
        .map(Zeroizing::new)
}

pub(super) fn unwrap_key(by: &[u8; 32], wrapped: &[u8], aad: &[u8]) -> Option<Key> {
    let plain = decrypt(by, wrapped, aad)?;
    let mut key = Zeroizing::new([0; 32]);
    if plain.len() != key.len() {
        return None;
    }
    key.copy_from_slice(&plain);
    Some(key)
}
