//! `GET /chats/{chat_id}/messages/{number}/versions`: the wordings of a message.

use axum::Json;
use axum::extract::State;
use domain::ids::ChatId;
use domain::problem::Kind;
use domain::views::{List, Version};

use super::Answer;
use crate::refusal::of_store;
use crate::request::{Asker, Ids, Params, Wanted};
use crate::state::{QueryState, TIMELINE};
use crate::views::{edited_text, sent_text};

/// All wordings of a message, the first one first; none once it was deleted or its author erased. Whoever has
/// left sees those from before. One page.
#[utoipa::path(
    get,
    path = "/chats/{chat_id}/messages/{number}/versions",
    operation_id = "versions",
    params(
        ("chat_id" = ChatId, Path),
        ("number" = u64, Path),
        ("X-Letopis-Position" = Option<u64>, Header, description = "Show at least this position"),
    ),
    responses(
        (status = 200, body = List<Version>),
        (status = 404, description = "not-found, also for a message that one may not read"),
    ),
)]
pub async fn versions(
    Asker(caller): Asker,
    Ids(chat_id, number): Ids<ChatId, u64>,
    Wanted(wanted): Wanted,
    params: Params,
    State(state): State<QueryState>,
) -> Answer<List<Version>> {
    params.only(&[])?;
    let position = state.shown(&[TIMELINE], wanted).await?;
    let timeline = state.stores.timeline.serving();
    let me = timeline.membership(chat_id, caller.person).await.map_err(of_store)?;
    let me = me.filter(|me| me.shows(number)).ok_or(Kind::NotFound)?;
    let row = timeline.message(chat_id, number).await.map_err(of_store)?.ok_or(Kind::NotFound)?;
    let mut items = Vec::new();
    if row.touch.deleted.is_none() {
        let edits = timeline.edits(chat_id, number).await.map_err(of_store)?;
        if let Some(text) = sent_text(&state, &row)? {
            items.push(Version { text, at: row.sent_at });
        }
        for edit in edits.into_iter().filter(|edit| !me.is_past(edit.position)) {
            if let Some(text) = edited_text(&state, &row, &edit.text)? {
                items.push(Version { text, at: edit.at });
            }
        }
    }
    Ok(Json(List { items, next: None, prev: None, position }))
}
