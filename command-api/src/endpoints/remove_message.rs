//! `remove_message`: a moderator takes a message away.

use axum::Json;
use axum::extract::State;
use domain::message::Wish;
use domain::requests::{ChatMessage, Done};

use super::message;
use crate::asking::{Key, Signed};
use crate::body::Body;
use crate::openapi::Problems;
use crate::refusal::Refusal;
use crate::state::CommandState;

/// Deletes anybody's message in a group; its owners and admins may. Deleted already, nothing happens.
#[utoipa::path(
    post,
    path = "/command/v1/remove_message",
    operation_id = "remove_message",
    params(("Idempotency-Key" = uuid::Uuid, Header, description = "A UUID, version 7 preferred")),
    request_body = ChatMessage,
    responses((status = 200, body = Done), Problems),
    security(("bearer" = []), ("cookie" = []))
)]
pub async fn remove_message(
    State(state): State<CommandState>,
    who: Signed,
    key: Key,
    Body(request): Body<ChatMessage>,
) -> Result<Json<Done>, Refusal> {
    let place = (request.chat_id, request.number);
    let wish = Wish::Remove;
    message::touch(&state, "remove_message", wish, place, &who, key, &request).await
}
