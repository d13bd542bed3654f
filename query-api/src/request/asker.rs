//! Who asks, about what, and how fresh the answer must be.

use std::str::FromStr;

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use domain::caller::Caller;
use domain::problem::Kind;

use super::params::malformed;
use crate::refusal::Refusal;
use crate::state::QueryState;

/// The signed-in person who asks.
pub struct Asker(pub Caller);

impl FromRequestParts<QueryState> for Asker {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &QueryState) -> Result<Self, Refusal> {
        parts.extensions.get::<Caller>().copied().map(Self).ok_or(Kind::Unauthenticated.into())
    }
}

/// `X-Letopis-Position`: the position that the answer has to show, if it can within five seconds.
pub struct Wanted(pub Option<u64>);

impl FromRequestParts<QueryState> for Wanted {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &QueryState) -> Result<Self, Refusal> {
        const NAME: &str = "X-Letopis-Position";
        let mut values = parts.headers.get_all("x-letopis-position").iter();
        match (values.next(), values.next()) {
            (None, _) => Ok(Self(None)),
            (Some(value), None) => {
                let position = value.to_str().ok().and_then(|value| value.parse().ok());
                position.map(|position| Self(Some(position))).ok_or_else(|| malformed(NAME, "unreadable"))
            }
            _ => Err(malformed(NAME, "unreadable")),
        }
    }
}

/// The id in the path.
pub struct Id<T>(pub T);

impl<T: FromStr> FromRequestParts<QueryState> for Id<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &QueryState) -> Result<Self, Refusal> {
        let params = path(parts, state).await?;
        part(&params, 0).map(Self)
    }
}

/// The id in the path, and what comes behind it.
pub struct Ids<T, U>(pub T, pub U);

impl<T: FromStr, U: FromStr> FromRequestParts<QueryState> for Ids<T, U> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &QueryState) -> Result<Self, Refusal> {
        let params = path(parts, state).await?;
        Ok(Self(part(&params, 0)?, part(&params, 1)?))
    }
}

async fn path(parts: &mut Parts, state: &QueryState) -> Result<RawPathParams, Refusal> {
    RawPathParams::from_request_parts(parts, state).await.map_err(|_not_utf8| malformed("path", "unreadable"))
}

fn part<T: FromStr>(params: &RawPathParams, at: usize) -> Result<T, Refusal> {
    let (name, value) = params.iter().nth(at).ok_or(Kind::NotFound)?;
    value.parse().map_err(|_| malformed(name, "unreadable"))
}
