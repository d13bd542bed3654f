//! `revoke_invite`: an invitation ends.

use axum::Json;
use axum::extract::State;
use domain::chat::ChatCommand;
use domain::requests::{Done, RevokeInvite};

use super::group;
use crate::asking::{Key, Signed};
use crate::body::Body;
use crate::openapi::Problems;
use crate::refusal::Refusal;
use crate::state::CommandState;

/// Ends an invitation before its time; owners and admins may. Nothing happens if it is over already.
#[utoipa::path(
    post,
    path = "/command/v1/revoke_invite",
    operation_id = "revoke_invite",
    params(("Idempotency-Key" = uuid::Uuid, Header, description = "A UUID, version 7 preferred")),
    request_body = RevokeInvite,
    responses((status = 200, body = Done), Problems),
    security(("bearer" = []), ("cookie" = []))
)]
pub async fn revoke_invite(
    State(state): State<CommandState>,
    who: Signed,
    key: Key,
    Body(request): Body<RevokeInvite>,
) -> Result<Json<Done>, Refusal> {
    let (by, invite) = (who.person, request.invite_id);
    let done = group::decide(&state, "revoke_invite", &who, key, &request, request.chat_id, move |at| {
        ChatCommand::RevokeInvite { by, invite, at }
    })
    .await?;
    Ok(Json(Done { position: done.position }))
}
