//! Who asks, and under which key.

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use domain::Problem;
use domain::caller::{Caller, Client, RequestId};
use domain::ids::{PersonId, SessionId};
use domain::problem::{FieldError, Kind};
use uuid::Uuid;

use crate::refusal::Refusal;

const KEY: &str = "Idempotency-Key";

/// A request, signed in or not.
#[derive(Clone, Debug)]
pub struct Anyone {
    pub client: Client,
    pub request_id: String,
}

/// A request of somebody who is signed in.
#[derive(Clone, Debug)]
pub struct Signed {
    pub person: PersonId,
    pub session: SessionId,
    pub by_cookie: bool,
    pub anyone: Anyone,
}

/// The Idempotency-Key that the request came with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(pub Uuid);

impl<S: Sync> FromRequestParts<S> for Anyone {
    type Rejection = Refusal;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let Some(client) = parts.extensions.get::<Client>().cloned() else {
            tracing::error!("a request came past the gateway");
            return Err(Kind::Internal.into());
        };
        let request_id =
            parts.extensions.get::<RequestId>().map(|RequestId(id)| id.to_string()).unwrap_or_default();
        Ok(Self { client, request_id })
    }
}

impl<S: Sync> FromRequestParts<S> for Signed {
    type Rejection = Refusal;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let anyone = Anyone::from_request_parts(parts, state).await?;
        let Caller { person, session, by_cookie } =
            parts.extensions.get::<Caller>().copied().ok_or(Kind::Unauthenticated)?;
        Ok(Self { person, session, by_cookie, anyone })
    }
}

impl<S: Sync> FromRequestParts<S> for Key {
    type Rejection = Refusal;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        key(&parts.headers)?.ok_or_else(|| unreadable("required"))
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for Key {
    type Rejection = Refusal;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Refusal> {
        key(&parts.headers)
    }
}

fn key(headers: &HeaderMap) -> Result<Option<Key>, Refusal> {
    let mut values = headers.get_all(KEY).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value
            .to_str()
            .ok()
            .and_then(|text| Uuid::try_parse(text).ok())
            .map(|key| Some(Key(key)))
            .ok_or_else(|| unreadable("unreadable")),
        (Some(_), Some(_)) => Err(unreadable("unreadable")),
    }
}

fn unreadable(code: &'static str) -> Refusal {
    let problem = Problem::new(Kind::Malformed).detail("the header Idempotency-Key must hold one UUID");
    Problem { errors: vec![FieldError::new(KEY, code)], ..problem }.into()
}
