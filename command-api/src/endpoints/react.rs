//! `react`: an emoji on a message.

use axum::Json;
use axum::extract::State;
use domain::message::Wish;
use domain::requests::{Done, React};

use super::message;
use crate::asking::{Key, Signed};
use crate::body::Body;
use crate::openapi::Problems;
use crate::refusal::Refusal;
use crate::state::CommandState;

/// Sets one's reaction to a message in the place of another, or takes it back.
#[utoipa::path(
    post,
    path = "/command/v1/react",
    operation_id = "react",
    params(("Idempotency-Key" = uuid::Uuid, Header, description = "A UUID, version 7 preferred")),
    request_body = React,
    responses((status = 200, body = Done), Problems),
    security(("bearer" = []), ("cookie" = []))
)]
pub async fn react(
    State(state): State<CommandState>,
    who: Signed,
    key: Key,
    Body(request): Body<React>,
) -> Result<Json<Done>, Refusal> {
    let place = (request.chat_id, request.number);
    let wish = Wish::React(request.emoji.clone());
    message::touch(&state, "react", wish, place, &who, key, &request).await
}
