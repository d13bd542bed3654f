//! The commands: `POST /command/v1/<command>`, described by `/command/openapi.json`.
//!
//! One endpoint one file, under [`endpoints`]: its shape, its documentation, its decision. To add
//! one: a file there, a line in [`endpoints::router`]. An endpoint
//!
//! 1. asks for what it needs by extractor, in this order: [`asking::Signed`] or
//!    [`asking::Anyone`] (who asks, as the gateway found out), [`asking::Key`] (the
//!    Idempotency-Key), [`body::Body`];
//! 2. checks the body and does what is expensive;
//! 3. hands an envelope and a closure to the executor, and makes its answer of the events that come
//!    back and of nothing else, so that a repeat gets the same one.

pub mod asking;
pub mod body;
pub mod endpoints;
mod known_device;
pub mod openapi;
pub mod passwords;
pub mod refusal;
pub mod signed_in;
pub mod state;
pub mod throttle;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use domain::problem::Kind;

pub use refusal::Refusal;
pub use state::{CommandState, Photos, Registration};

/// The largest body of a command, in bytes.
pub const LARGEST_BODY: usize = 64 * 1024;

/// The OpenAPI document.
pub fn document() -> utoipa::openapi::OpenApi {
    endpoints::router().split_for_parts().1
}

/// Everything under `/command`. The gateway comes before it.
pub fn router(state: CommandState) -> Router {
    let (routes, document) = endpoints::router().split_for_parts();
    let document = openapi::served(document);
    routes
        .route("/command/openapi.json", axum::routing::get(move || async move { document.clone() }))
        .route("/command", axum::routing::any(nothing))
        .route("/command/", axum::routing::any(nothing))
        .route("/command/{*path}", axum::routing::any(nothing))
        .method_not_allowed_fallback(async || Refusal::from(Kind::MethodNotAllowed))
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .with_state(state)
}

async fn nothing() -> Refusal {
    Kind::NotFound.into()
}
