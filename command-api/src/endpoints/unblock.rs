//! `unblock`: takes one's block back.

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

/// Takes one's block back; the friendship is not restored.
#[utoipa::path(
    post,
    path = "/command/v1/unblock",
    operation_id = "unblock",
    params(("Idempotency-Key" = uuid::Uuid, Header, description = "A UUID, version 7 preferred")),
    request_body = Person,
    responses((status = 200, body = Done), Problems),
    security(("bearer" = []), ("cookie" = []))
)]
pub async fn unblock(
    State(state): State<CommandState>,
    who: Signed,
    key: Key,
    Body(request): Body<Person>,
) -> Result<Json<Done>, Refusal> {
    friendship::decide(&state, "unblock", Wish::Unblock, &who, key, &request).await
}
