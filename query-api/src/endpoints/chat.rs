//! `GET /chats/{chat_id}`: one chat.

use axum::Json;
use axum::extract::State;
use domain::ids::ChatId;
use domain::problem::Kind;
use domain::views::ChatAnswer;

use super::Answer;
use crate::refusal::of_store;
use crate::request::{Asker, Id, Params, Wanted};
use crate::state::{DIRECTORY, QueryState, TIMELINE};
use crate::views::chats;

/// One chat of the signed-in person.
#[utoipa::path(
    get,
    path = "/chats/{chat_id}",
    operation_id = "chat",
    params(
        ("chat_id" = ChatId, Path),
        ("X-Letopis-Position" = Option<u64>, Header, description = "Show at least this position"),
    ),
    responses((status = 200, body = ChatAnswer), (status = 404, description = "not-found, also for a chat one isn't in")),
)]
pub async fn chat(
    Asker(caller): Asker,
    Id(chat_id): Id<ChatId>,
    Wanted(wanted): Wanted,
    params: Params,
    State(state): State<QueryState>,
) -> Answer<ChatAnswer> {
    params.only(&[])?;
    let position = state.shown(&[TIMELINE, DIRECTORY], wanted).await?;
    let row = state.stores.timeline.serving().chat_of(chat_id, caller.person).await.map_err(of_store)?;
    let row = row.ok_or(Kind::NotFound)?;
    let chat = chats(&state, caller.person, &[row]).await?.pop().ok_or(Kind::NotFound)?;
    Ok(Json(ChatAnswer { chat, position }))
}
