//! JSON bodies; whatever is wrong with one is a problem.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use domain::Problem;
use domain::problem::{FieldError, Kind};
use serde::de::DeserializeOwned;

use crate::refusal::Refusal;

/// A body of type `T`, sent as `application/json`.
#[derive(Debug)]
pub struct Body<T>(pub T);

/// As [`Body`], but a request without a body means `{}`.
#[derive(Debug)]
pub struct BodyOrNone<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Refusal;
    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let json = is_json(&request);
        let bytes = bytes(request, state).await?;
        if !json {
            return Err(unsupported());
        }
        read(&bytes).map(Self)
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for BodyOrNone<T> {
    type Rejection = Refusal;
    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let json = is_json(&request);
        let bytes = bytes(request, state).await?;
        if bytes.is_empty() {
            return read(b"{}").map(Self);
        }
        if !json {
            return Err(unsupported());
        }
        read(&bytes).map(Self)
    }
}

fn is_json(request: &Request) -> bool {
    let value = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = value.unwrap_or_default().split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

fn unsupported() -> Refusal {
    Problem::new(Kind::UnsupportedType).detail("send application/json").into()
}

async fn bytes<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Refusal> {
    Bytes::from_request(request, state).await.map_err(|rejection| {
        if rejection.into_response().status() == StatusCode::PAYLOAD_TOO_LARGE {
            Problem::new(Kind::TooLarge).detail("a command takes at most 64 KiB").into()
        } else {
            Problem::new(Kind::Malformed).detail("the body broke off").into()
        }
    })
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(bytes).map_err(|error| {
        let problem = match fault(&error.to_string()) {
            Some(field) => Problem { errors: vec![field], ..Problem::new(Kind::Malformed) },
            None => Problem::new(Kind::Malformed),
        };
        problem.detail(format!("the body is not what this command takes: {error}")).into()
    })
}

/// Which field serde's words blame. All bodies are flat.
fn fault(words: &str) -> Option<FieldError> {
    let named = |before: &str| {
        let (name, _) = words.strip_prefix(before)?.split_once('`')?;
        Some(format!("/{}", name.replace('~', "~0").replace('/', "~1")))
    };
    if let Some(pointer) = named("missing field `") {
        return Some(FieldError::new(pointer, "required"));
    }
    named("unknown field `").map(|pointer| FieldError::new(pointer, "unknown-field"))
}

#[cfg(test)]
mod tests {
    use domain::requests::Authorize;

    use super::*;

    fn refused(body: &str) -> Problem {
        read::<Authorize>(body.as_bytes()).expect_err("refused").0
    }

    #[test]
    fn a_field_that_is_missing_or_unknown_is_named() {
        let missing = refused(r#"{"email":"a@b"}"#);
        assert_eq!(
            (missing.errors[0].pointer.as_str(), missing.errors[0].code.as_str()),
            ("/password", "required")
        );
        let unknown = refused(r#"{"email":"a@b","password":"x","role~/x":1}"#);
        assert_eq!(unknown.errors[0].pointer, "/role~0~1x");
        assert_eq!(unknown.errors[0].code, "unknown-field");
        assert!(refused("{").errors.is_empty());
        assert!(refused(r#"{"email":7,"password":"x"}"#).is(Kind::Malformed));
    }
}
