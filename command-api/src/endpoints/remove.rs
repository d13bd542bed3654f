//! `remove`: withdraws a request or ends a friendship.

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

/// Withdraws one's own request, or ends a friendship.
#[utoipa::path(
    post,
    path = "/command/v1/remove",
    operation_id = "remove",
    params(("Idempotency-Key" = uuid::Uuid, Header, description = "A UUID, version 7 preferred")),
    request_body = Person,
    responses((status = 200, body = Done), Problems),
    security(("bearer" = []), ("cookie" = []))
)]
pub async fn remove(
    State(state): State<CommandState>,
    who: Signed,
    key: Key,
    Body(request): Body<Person>,
) -> Result<Json<Done>, Refusal> {
    friendship::decide(&state, "remove", Wish::Remove, &who, key, &request).await
}
