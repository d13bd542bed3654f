//! `set_role`: what somebody may do in a group.

use axum::Json;
use axum::extract::State;
use domain::chat::ChatCommand;
use domain::requests::{Done, SetRole};

use super::group;
use crate::asking::{Key, Signed};
use crate::body::Body;
use crate::openapi::Problems;
use crate::refusal::Refusal;
use crate::state::CommandState;

/// Makes somebody an owner, an admin or a member; owners may. There is always an owner.
#[utoipa::path(
    post,
    path = "/command/v1/set_role",
    operation_id = "set_role",
    params(("Idempotency-Key" = uuid::Uuid, Header, description = "A UUID, version 7 preferred")),
    request_body = SetRole,
    responses((status = 200, body = Done), Problems),
    security(("bearer" = []), ("cookie" = []))
)]
pub async fn set_role(
    State(state): State<CommandState>,
    who: Signed,
    key: Key,
    Body(request): Body<SetRole>,
) -> Result<Json<Done>, Refusal> {
    let (by, person, role) = (who.person, request.user_id, request.role);
    let done = group::decide(&state, "set_role", &who, key, &request, request.chat_id, move |at| {
        ChatCommand::SetRole { by, person, role, at }
    })
    .await?;
    Ok(Json(Done { position: done.position }))
}
