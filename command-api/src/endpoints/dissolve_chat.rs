//! `dissolve_chat`: the end of a group.

use axum::Json;
use axum::extract::State;
use domain::chat::ChatCommand;
use domain::requests::{Chat, Done};

use super::group;
use crate::asking::{Key, Signed};
use crate::body::Body;
use crate::openapi::Problems;
use crate::refusal::Refusal;
use crate::state::CommandState;

/// Ends a group for all; owners may. It stays readable.
#[utoipa::path(
    post,
    path = "/command/v1/dissolve_chat",
    operation_id = "dissolve_chat",
    params(("Idempotency-Key" = uuid::Uuid, Header, description = "A UUID, version 7 preferred")),
    request_body = Chat,
    responses((status = 200, body = Done), Problems),
    security(("bearer" = []), ("cookie" = []))
)]
pub async fn dissolve_chat(
    State(state): State<CommandState>,
    who: Signed,
    key: Key,
    Body(request): Body<Chat>,
) -> Result<Json<Done>, Refusal> {
    let by = who.person;
    let done = group::decide(&state, "dissolve_chat", &who, key, &request, request.chat_id, move |at| {
        ChatCommand::Dissolve { by, at }
    })
    .await?;
    Ok(Json(Done { position: done.position }))
}
