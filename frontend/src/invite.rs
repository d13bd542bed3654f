//! The token of an invitation on its way: out of the address, and across signing in.
//!
//! Whoever holds it may come in, so it stands behind `#`, where no request carries it, and is kept only for this
//! tab and only until signing in is done.

use crate::browser::window;

const KEPT: &str = "letopis:invite";

/// The token that the page's address ends in.
pub fn from_address() -> Option<String> {
    let hash = window().location().hash().ok()?;
    token_of(&hash).map(str::to_owned)
}

/// Tokens are of letters, digits, `-` and `_`; what has anything else in it is none.
fn token_of(hash: &str) -> Option<&str> {
    let token = hash.strip_prefix('#').unwrap_or(hash);
    let good = |c: char| c.is_ascii_alphanumeric() || "-_.~".contains(c);
    (!token.is_empty() && token.len() <= 256 && token.chars().all(good)).then_some(token)
}

/// The whole link.
pub fn link(token: &str) -> String {
    format!("{}/invite#{token}", window().location().origin().unwrap_or_default())
}

fn area() -> Option<web_sys::Storage> {
    window().session_storage().ok().flatten()
}

/// Keeps the token of the address until somebody has signed in.
pub fn keep() {
    if let Some((area, token)) = area().zip(from_address()) {
        let _ = area.set_item(KEPT, &token);
    }
}

pub fn is_kept() -> bool {
    area().is_some_and(|area| matches!(area.get_item(KEPT), Ok(Some(_))))
}

/// The kept token, which is not kept any more.
pub fn take() -> Option<String> {
    let area = area()?;
    let token = area.get_item(KEPT).ok().flatten()?;
    let _ = area.remove_item(KEPT);
    token_of(&token).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::token_of;

    #[test]
    fn a_token_is_what_stands_behind_the_hash() {
        assert_eq!(token_of("#aZ0-_"), Some("aZ0-_"));
        for hash in ["", "#", "#a b", "#<script>", "#a/b"] {
            assert_eq!(token_of(hash), None, "{hash}");
        }
    }
}
