//! Whose credentials a request carries: an access token in the Authorization header or in the
//! access cookie, never in both.

use axum::http::{HeaderMap, header};
use domain::caller::{Caller, access_cookie, cookie_value, refresh_cookie};
use domain::ids::{PersonId, SessionId};
use domain::problem::Kind;
use domain::{Problem, Timestamp};
use moka::sync::Cache;
use sha2::{Digest, Sha256};

/// Commands by which one signs in: whatever credentials come with them are not looked at.
const OPEN: &[&str] = &["register", "authorize", "refresh"];

/// Tokens whose signature is remembered as good.
const REMEMBERED: u64 = 10_000;

/// What a good access token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    pub person: PersonId,
    pub session: SessionId,
    pub expires_at: Timestamp,
}

/// Port: verifies access tokens.
pub trait Tokens: Send + Sync {
    /// `None` for a token that is not ours, not good, or no more good at `now`.
    fn verify(&self, token: &str, now: Timestamp) -> Option<Verified>;
}

/// A token and what carried it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carried<'a> {
    pub token: &'a str,
    pub by_cookie: bool,
}

/// Whether a path belongs to one of the APIs, where credentials mean something.
pub fn is_api(path: &str) -> bool {
    path.starts_with("/command/v1/") || path.starts_with("/query/v1/")
}

/// Whether a path signs in.
pub fn is_open(path: &str) -> bool {
    path.strip_prefix("/command/v1/").is_some_and(|command| OPEN.contains(&command))
}

/// Whether one of our cookies came along.
pub fn carries_cookie(headers: &HeaderMap, secure: bool) -> bool {
    cookie(headers, access_cookie(secure)).is_some() || cookie(headers, refresh_cookie(secure)).is_some()
}

/// The one token of a request; `None` if it has none.
///
/// # Errors
/// `malformed` for two of them, `unauthenticated` for an Authorization that is no bearer token.
pub fn carried(headers: &HeaderMap, secure: bool) -> Result<Option<Carried<'_>>, Problem> {
    let mut authorizations = headers.get_all(header::AUTHORIZATION).iter();
    let by_cookie = cookie(headers, access_cookie(secure));
    match (authorizations.next(), authorizations.next(), by_cookie) {
        (None, _, token) => Ok(token.map(|token| Carried { token, by_cookie: true })),
        (Some(authorization), None, None) => {
            let value = authorization.to_str().unwrap_or_default();
            let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
            if !scheme.eq_ignore_ascii_case("bearer") || token.trim().is_empty() {
                return Err(
                    Problem::new(Kind::Unauthenticated).detail("Authorization must be a bearer token")
                );
            }
            Ok(Some(Carried { token: token.trim(), by_cookie: false }))
        }
        _ => Err(Problem::new(Kind::Malformed)
            .detail("credentials came twice: a cookie or an Authorization header, not both")),
    }
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    cookie_value(headers.get_all(header::COOKIE).iter().map(|value| value.as_bytes()), name)
}

/// Verifies tokens, remembering those whose signature was good. That saves the signature's cost
/// alone: the end of a token's life is looked at every time, and so is its session, elsewhere.
pub struct Credentials {
    tokens: Box<dyn Tokens>,
    good: Cache<[u8; 32], Verified>,
}

impl Credentials {
    pub fn new(tokens: impl Tokens + 'static) -> Self {
        Self { tokens: Box::new(tokens), good: Cache::new(REMEMBERED) }
    }

    /// # Errors
    /// `unauthenticated`
    pub fn resolve(&self, carried: &Carried<'_>, now: Timestamp) -> Result<Caller, Problem> {
        let hash: [u8; 32] = Sha256::digest(carried.token).into();
        let verified = match self.good.get(&hash) {
            Some(verified) if now < verified.expires_at => verified,
            _ => {
                let verified = self.tokens.verify(carried.token, now).ok_or(Kind::Unauthenticated)?;
                self.good.insert(hash, verified);
                verified
            }
        };
        let Verified { person, session, .. } = verified;
        Ok(Caller { person, session, by_cookie: carried.by_cookie })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().expect("a header value"));
        }
        headers
    }

    #[test]
    fn a_token_comes_by_header_or_by_cookie() {
        let bearer = headers(&[("authorization", "Bearer a.b.c")]);
        assert_eq!(carried(&bearer, true), Ok(Some(Carried { token: "a.b.c", by_cookie: false })));
        let cookie = headers(&[("cookie", "x=1; __Host-letopis-access=a.b.c")]);
        assert_eq!(carried(&cookie, true), Ok(Some(Carried { token: "a.b.c", by_cookie: true })));
        assert_eq!(carried(&headers(&[("cookie", "x=1")]), true), Ok(None));
        assert_eq!(carried(&HeaderMap::new(), true), Ok(None));
    }

    #[test]
    fn a_cookie_without_its_prefix_counts_on_loopback_alone() {
        let cookie = headers(&[("cookie", "letopis-access=a.b.c")]);
        assert_eq!(carried(&cookie, true), Ok(None));
        assert!(!carries_cookie(&cookie, true));
        assert!(carries_cookie(&cookie, false));
        assert!(carried(&cookie, false).is_ok_and(|it| it.is_some()));
    }

    #[test]
    fn credentials_that_come_twice_are_malformed() {
        for twice in [
            headers(&[("authorization", "Bearer a"), ("cookie", "__Host-letopis-access=b")]),
            headers(&[("authorization", "Bearer a"), ("authorization", "Bearer b")]),
        ] {
            assert!(carried(&twice, true).expect_err("two tokens").is(Kind::Malformed));
        }
        let basic = headers(&[("authorization", "Basic YTpi")]);
        assert!(carried(&basic, true).expect_err("no bearer").is(Kind::Unauthenticated));
    }

    #[test]
    fn only_signing_in_is_open() {
        assert!(is_open("/command/v1/authorize"));
        assert!(!is_open("/command/v1/revoke"));
        assert!(!is_open("/command/v1/authorize/x"));
        assert!(!is_open("/query/v1/refresh"));
    }

    struct Counting(Arc<AtomicUsize>);
    impl Tokens for Counting {
        fn verify(&self, token: &str, now: Timestamp) -> Option<Verified> {
            self.0.fetch_add(1, Ordering::SeqCst);
            let id = uuid::Uuid::from_u128(1);
            let good = Verified { person: id.into(), session: id.into(), expires_at: Timestamp(100) };
            (token == "good" && now < good.expires_at).then_some(good)
        }
    }

    #[test]
    fn the_cache_saves_the_signature_and_nothing_else() {
        let verified = Arc::new(AtomicUsize::new(0));
        let credentials = Credentials::new(Counting(verified.clone()));
        let resolve = |token, now| credentials.resolve(&Carried { token, by_cookie: true }, Timestamp(now));
        assert!(resolve("good", 1).is_ok_and(|caller| caller.by_cookie));
        assert!(resolve("good", 99).is_ok());
        assert_eq!(verified.load(Ordering::SeqCst), 1, "the second time it was remembered");
        assert!(resolve("good", 100).expect_err("it has run out").is(Kind::Unauthenticated));
        for _ in 0..2 {
            assert!(resolve("bad", 1).expect_err("not ours").is(Kind::Unauthenticated));
        }
    }
}
