//! `rename_chat`: another title for a group.

use axum::Json;
use axum::extract::State;
use domain::Problem;
use domain::chat::ChatCommand;
use domain::personal::Title;
use domain::requests::{Done, RenameChat};
use domain::text::check_title;

use super::group;
use crate::asking::{Key, Signed};
use crate::body::Body;
use crate::openapi::Problems;
use crate::refusal::Refusal;
use crate::state::CommandState;

/// Gives a group another title; its owners and admins may.
#[utoipa::path(
    post,
    path = "/command/v1/rename_chat",
    operation_id = "rename_chat",
    params(("Idempotency-Key" = uuid::Uuid, Header, description = "A UUID, version 7 preferred")),
    request_body = RenameChat,
    responses((status = 200, body = Done), Problems),
    security(("bearer" = []), ("cookie" = []))
)]
pub async fn rename_chat(
    State(state): State<CommandState>,
    who: Signed,
    key: Key,
    Body(request): Body<RenameChat>,
) -> Result<Json<Done>, Refusal> {
    check_title("/title", &request.title).map_err(Problem::field)?;
    let (by, title) = (who.person, Title(request.title.trim().to_owned()));
    state.ensure_key(who.person).await?;
    let done = group::decide(&state, "rename_chat", &who, key, &request, request.chat_id, move |at| {
        ChatCommand::Rename { by, title: title.clone(), at }
    })
    .await?;
    Ok(Json(Done { position: done.position }))
}
