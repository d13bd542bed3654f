//! `accept`: takes up somebody's request.

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

/// Takes up a pending request. Without one: `no-such-request`.
#[utoipa::path(
    post,
    path = "/command/v1/accept",
    operation_id = "accept",
    params(("Idempotency-Key" = uuid::Uuid, Header, description = "A UUID, version 7 preferred")),
    request_body = Person,
    responses((status = 200, body = Done), Problems),
    security(("bearer" = []), ("cookie" = []))
)]
pub async fn accept(
    State(state): State<CommandState>,
    who: Signed,
    key: Key,
    Body(request): Body<Person>,
) -> Result<Json<Done>, Refusal> {
    friendship::decide(&state, "accept", Wish::Accept, &who, key, &request).await
}
