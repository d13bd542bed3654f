//! `add`: asks somebody to be a friend.

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

/// Asks to be friends; if the other one has asked already, they are friends.
#[utoipa::path(
    post,
    path = "/command/v1/add",
    operation_id = "add",
    params(("Idempotency-Key" = uuid::Uuid, Header, description = "A UUID, version 7 preferred")),
    request_body = Person,
    responses((status = 200, body = Done), Problems),
    security(("bearer" = []), ("cookie" = []))
)]
pub async fn add(
    State(state): State<CommandState>,
    who: Signed,
    key: Key,
    Body(request): Body<Person>,
) -> Result<Json<Done>, Refusal> {
    friendship::decide(&state, "add", Wish::Add, &who, key, &request).await
}
