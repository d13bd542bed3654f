//! Problems as responses.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use domain::Problem;
use domain::problem::Kind;
use stores::StoreError;

/// A refused query: answered as `application/problem+json`.
#[derive(Debug)]
pub struct Refusal(pub Problem);

impl<P: Into<Problem>> From<P> for Refusal {
    fn from(problem: P) -> Self {
        Self(problem.into())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self.0).unwrap_or_default();
        let mut response =
            (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response();
        if let Some(seconds) = self.0.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// What an engine's failure means to whoever asked. Says so in the log.
pub fn of_store(error: StoreError) -> Refusal {
    tracing::error!(%error, "a read model did not answer");
    // Damaged rows are made anew by a rebuild: a later attempt may find them whole.
    Kind::Unavailable.into()
}

pub async fn not_found() -> Refusal {
    Kind::NotFound.into()
}

pub async fn method_not_allowed() -> Refusal {
    Kind::MethodNotAllowed.into()
}
