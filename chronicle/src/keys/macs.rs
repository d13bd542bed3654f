//! Keyed hashes: HMAC-SHA-256 under the store's named secrets.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::ids::{InviteId, SessionId};
use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::Keyring;
use super::wrap::{Key, lines};

pub(super) struct MacKeys {
    pub claims: Key,
    pub requests: Key,
    pub refresh: Key,
    pub cursors: Key,
    pub invites: Key,
}

pub(super) fn base64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn keyed(key: &[u8; 32], data: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(data);
    mac
}

pub(super) fn mac(key: &[u8; 32], data: &[u8]) -> [u8; 32] {
    keyed(key, data).finalize().into_bytes().into()
}

fn refresh_data(session: &str, generation: &str) -> Vec<u8> {
    lines(&["letopis-refresh/1", session, generation])
}

impl Keyring {
    /// The key of a claim, 64 lower-case hexadecimal digits. `kind` carries the version of the
    /// algorithm that made `value`, as `email/1`.
    pub fn claim_key(&self, kind: &str, value: &str) -> String {
        hex::encode(mac(&self.0.macs.claims, format!("{kind}\n{value}").as_bytes()))
    }

    /// What tells one request body from another under the same Idempotency-Key, 64 hexadecimal
    /// digits.
    pub fn request_hmac(&self, request: &[u8]) -> String {
        hex::encode(mac(&self.0.macs.requests, request))
    }

    /// Authenticates what a cursor says.
    pub fn cursor_mac(&self, cursor: &[u8]) -> [u8; 32] {
        mac(&self.0.macs.cursors, cursor)
    }

    /// Whether `tag` authenticates `cursor`, in constant time.
    pub fn is_cursor_mac(&self, cursor: &[u8], tag: &[u8]) -> bool {
        keyed(&self.0.macs.cursors, cursor).verify_slice(tag).is_ok()
    }

    /// The secret of an invitation, always the same: 256 bits, `i1.<base64url(HMAC)>`. Nobody stores it; a
    /// claim under its keyed hash leads back to the invitation.
    pub fn invite_token(&self, invite: InviteId) -> String {
        let data = lines(&["letopis-invite/1", &invite.to_string()]);
        format!("i1.{}", base64(&mac(&self.0.macs.invites, &data)))
    }

    /// The refresh token of a session's generation, always the same:
    /// `r1.<session>.<generation>.<base64url(HMAC)>`.
    pub fn refresh_token(&self, session: SessionId, generation: u64) -> String {
        let (session, generation) = (session.to_string(), generation.to_string());
        let tag = base64(&mac(&self.0.macs.refresh, &refresh_data(&session, &generation)));
        format!("r1.{session}.{generation}.{tag}")
    }

    /// Which session and generation a refresh token is of; `None` if it is none of ours. Compared
    /// in constant time. Whether that generation still counts is the session's to say.
    pub fn read_refresh_token(&self, token: &str) -> Option<(SessionId, u64)> {
        let mut parts = token.strip_prefix("r1.")?.split('.');
        let (session, generation, tag) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        let tag = URL_SAFE_NO_PAD.decode(tag).ok()?;
        // The MAC covers the very text, so another spelling of the same ids fails here.
        if session.contains('\n') || generation.contains('\n') {
            return None;
        }
        keyed(&self.0.macs.refresh, &refresh_data(session, generation)).verify_slice(&tag).ok()?;
        Some((session.parse().ok()?, generation.parse().ok()?))
    }
}
