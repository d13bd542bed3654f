//! Devices on which somebody has signed in before: a cookie says so of one account. Guesses from
//! elsewhere, from behind the same network too, do not slow such a device, and it has few of its own.
//!
//! The cookie is no credential: whoever takes it may guess as often as a stranger, apart from them.

use axum::http::{HeaderMap, HeaderValue, header};
use chronicle::keys::Keyring;
use domain::caller::{cookie_value, device_cookie};
use uuid::Uuid;

/// Seconds for which a device stays known: a year.
const AGE: u64 = 365 * 24 * 60 * 60;

/// `account` is the keyed hash of its email address.
fn token(keyring: &Keyring, account: &str, device: Uuid) -> String {
    let proof = keyring.claim_key("device/1", &format!("{account}\n{device}"));
    format!("{device}.{proof}")
}

/// The device that signs in, if it is known to have signed in to `account`.
pub(crate) fn of(keyring: &Keyring, headers: &HeaderMap, account: &str, secure: bool) -> Option<Uuid> {
    let cookies = headers.get_all(header::COOKIE).iter().map(|value| value.as_bytes());
    let said = cookie_value(cookies, device_cookie(secure))?;
    let device = said.split_once('.')?.0.parse().ok()?;
    let known: bool =
        subtle::ConstantTimeEq::ct_eq(token(keyring, account, device).as_bytes(), said.as_bytes()).into();
    known.then_some(device)
}

/// The header that makes a browser known.
pub(crate) fn remember(keyring: &Keyring, account: &str, device: Uuid, secure: bool) -> HeaderValue {
    let (name, token) = (device_cookie(secure), token(keyring, account, device));
    let secure = if secure { "; Secure" } else { "" };
    let cookie = format!("{name}={token}; Path=/; Max-Age={AGE}; HttpOnly; SameSite=Strict{secure}");
    HeaderValue::try_from(cookie).expect("ids and hexadecimal digits")
}
