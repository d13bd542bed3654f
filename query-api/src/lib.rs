//! The queries: `GET /query/v1/…`, each answered from the read models, and the live WebSocket.
//!
//! One endpoint is one file in [`endpoints`]: its parameters, its documentation, its handler. What
//! they share: [`request`] (who asks, parameters, cursors, the position to wait for) and [`views`]
//! (joining rows into what a person may see). A new endpoint is a file there and a line in
//! [`router`].

use axum::Router;
use axum::routing::any;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

mod endpoints;
mod live;
mod openapi;
mod refusal;
mod request;
mod state;
mod views;

pub use refusal::Refusal;
pub use state::{Head, Invitations, Means, QueryState, Standing};

/// The OpenAPI document.
pub fn document() -> utoipa::openapi::OpenApi {
    openapi::complete(routes().split_for_parts().1)
}

/// Every query, with its description.
fn routes() -> OpenApiRouter<QueryState> {
    let v1 = OpenApiRouter::new()
        .routes(routes!(endpoints::me::me))
        .routes(routes!(endpoints::sessions::sessions))
        .routes(routes!(endpoints::search_user::search_user))
        .routes(routes!(endpoints::user::user))
        .routes(routes!(endpoints::photo::photo))
        .routes(routes!(endpoints::friends::friends))
        .routes(routes!(endpoints::get_chats::get_chats))
        .routes(routes!(endpoints::chat::chat))
        .routes(routes!(endpoints::members::members))
        .routes(routes!(endpoints::invites::invites))
        .routes(routes!(endpoints::invite::invite))
        .routes(routes!(endpoints::get::get))
        .routes(routes!(endpoints::versions::versions))
        .routes(routes!(endpoints::blob::blob))
        .routes(routes!(endpoints::live::live));
    OpenApiRouter::with_openapi(openapi::frame()).nest("/query/v1", v1)
}

/// Serves `/query/v1/…` and `/query/openapi.json`. Expects `domain::caller::Client` in every
/// request's extensions and `domain::caller::Caller` in those of signed-in people.
pub fn router(state: QueryState) -> Router {
    let (queries, api) = routes().split_for_parts();
    let api = openapi::complete(api);
    queries
        .route("/query/openapi.json", axum::routing::get(|| async move { axum::Json(api) }))
        .route("/query", any(refusal::not_found))
        .route("/query/", any(refusal::not_found))
        .route("/query/{*path}", any(refusal::not_found))
        .method_not_allowed_fallback(refusal::method_not_allowed)
        .with_state(state)
}
