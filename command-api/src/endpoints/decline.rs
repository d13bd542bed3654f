//! `decline`: turns somebody's request down.

use axum::Json;
use axum::extract::State;
use domain::friendship::Wish;
use domain::requests::{Done, Person};

use super::friendship;
use crate::asking::{Key, Signed};
use crate::body::Body;
use crate::openapi::Problems;
use crate::refusal::Refusal;
use crate::state::CommandState;

/// Turns a pending request down, silently: whoever asked goes on seeing it as sent. Without one: `no-such-request`.
#[utoipa::path(
    post,
    path = "/command/v1/decline",
    operation_id = "decline",
    params(("Idempotency-Key" = uuid::Uuid, Header, description = "A UUID, version 7 preferred")),
    request_body = Person,
    responses((status = 200, body = Done), Problems),
    security(("bearer" = []), ("cookie" = []))
)]
pub async fn decline(
    State(state): State<CommandState>,
    who: Signed,
    key: Key,
    Body(request): Body<Person>,
) -> Result<Json<Done>, Refusal> {
    friendship::decide(&state, "decline", Wish::Decline, &who, key, &request).await
}
