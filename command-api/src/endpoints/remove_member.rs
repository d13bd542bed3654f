//! `remove_member`: somebody is put out of a group.

use axum::Json;
use axum::extract::State;
use domain::chat::ChatCommand;
use domain::requests::{ChatPerson, Done};

use super::group;
use crate::asking::{Key, Signed};
use crate::body::Body;
use crate::openapi::Problems;
use crate::refusal::Refusal;
use crate::state::CommandState;

/// Puts somebody out; owners and admins may, an admin only members. Nothing happens to whoever is not in it.
#[utoipa::path(
    post,
    path = "/command/v1/remove_member",
    operation_id = "remove_member",
    params(("Idempotency-Key" = uuid::Uuid, Header, description = "A UUID, version 7 preferred")),
    request_body = ChatPerson,
    responses((status = 200, body = Done), Problems),
    security(("bearer" = []), ("cookie" = []))
)]
pub async fn remove_member(
    State(state): State<CommandState>,
    who: Signed,
    key: Key,
    Body(request): Body<ChatPerson>,
) -> Result<Json<Done>, Refusal> {
    let (by, person) = (who.person, request.user_id);
    let done = group::decide(&state, "remove_member", &who, key, &request, request.chat_id, move |at| {
        ChatCommand::Remove { by, person, at }
    })
    .await?;
    Ok(Json(Done { position: done.position }))
}
