//! `edit_message`: another wording of one's own message.

use axum::Json;
use axum::extract::State;
use domain::message::Wish;
use domain::personal::Text;
use domain::requests::{Done, EditMessage};

use super::message;
use crate::asking::{Key, Signed};
use crate::body::Body;
use crate::openapi::Problems;
use crate::refusal::Refusal;
use crate::state::CommandState;

/// Changes the text of one's own message, where one may still write; others see that, and what it was.
#[utoipa::path(
    post,
    path = "/command/v1/edit_message",
    operation_id = "edit_message",
    params(("Idempotency-Key" = uuid::Uuid, Header, description = "A UUID, version 7 preferred")),
    request_body = EditMessage,
    responses((status = 200, body = Done), Problems),
    security(("bearer" = []), ("cookie" = []))
)]
pub async fn edit_message(
    State(state): State<CommandState>,
    who: Signed,
    key: Key,
    Body(request): Body<EditMessage>,
) -> Result<Json<Done>, Refusal> {
    let place = (request.chat_id, request.number);
    let wish = Wish::Edit(Text(request.text.clone()));
    message::touch(&state, "edit_message", wish, place, &who, key, &request).await
}
