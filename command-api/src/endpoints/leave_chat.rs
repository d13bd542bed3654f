//! `leave_chat`: one goes out of a group.

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

/// Leaves a group. Its last owner hands over to the admin, else the member, who is in it longest; the last
/// one in it ends it.
#[utoipa::path(
    post,
    path = "/command/v1/leave_chat",
    operation_id = "leave_chat",
    params(("Idempotency-Key" = uuid::Uuid, Header, description = "A UUID, version 7 preferred")),
    request_body = Chat,
    responses((status = 200, body = Done), Problems),
    security(("bearer" = []), ("cookie" = []))
)]
pub async fn leave_chat(
    State(state): State<CommandState>,
    who: Signed,
    key: Key,
    Body(request): Body<Chat>,
) -> Result<Json<Done>, Refusal> {
    let person = who.person;
    let done = group::decide(&state, "leave_chat", &who, key, &request, request.chat_id, move |at| {
        ChatCommand::Leave { person, at }
    })
    .await?;
    Ok(Json(Done { position: done.position }))
}
