//! `GET /chats`: the chat list.

use std::cmp::Reverse;

use axum::Json;
use axum::extract::State;
use domain::Timestamp;
use domain::ids::ChatId;
use domain::views::{Chat, List};
use stores::timeline::ChatOf;

use super::Answer;
use crate::refusal::of_store;
use crate::request::{Asker, Cursors, Params, Wanted, window};
use crate::state::{DIRECTORY, QueryState, TIMELINE};
use crate::views::{active_at, chats};

/// Pinned ones first, then the latest active, then by id.
type Key = (Reverse<bool>, Reverse<Timestamp>, ChatId);

fn key(row: &ChatOf) -> Key {
    (Reverse(row.me.pinned), Reverse(active_at(row)), row.chat.chat_id)
}

/// The chats of the signed-in person, those they have left too: pinned ones first, then by their last
/// activity.
#[utoipa::path(
    get,
    path = "/chats",
    operation_id = "get_chats",
    params(
        ("limit" = Option<u64>, Query, description = "1 to 200, else 50"),
        ("cursor" = Option<String>, Query, description = "`next` or `prev` of an earlier answer"),
        ("X-Letopis-Position" = Option<u64>, Header, description = "Show at least this position"),
    ),
    responses((status = 200, body = List<Chat>), (status = 422, description = "invalid")),
)]
pub async fn get_chats(
    Asker(caller): Asker,
    Wanted(wanted): Wanted,
    params: Params,
    State(state): State<QueryState>,
) -> Answer<List<Chat>> {
    let params = params.only(&["limit", "cursor"])?;
    let limit = params.limit()?;
    let cursors = Cursors::new(&state.keyring, caller.person, &"get_chats");
    let cursor = cursors.read::<Key>(&params)?;

    let position = state.shown(&[TIMELINE, DIRECTORY], wanted).await?;
    let mut rows = state.stores.timeline.serving().chats_of(caller.person).await.map_err(of_store)?;
    rows.sort_by_cached_key(key);
    let range = window(&rows, key, cursor.as_ref(), limit);
    let (next, prev) = cursors.around(&rows, key, &range);
    let items = chats(&state, caller.person, &rows[range]).await?;
    Ok(Json(List { items, next, prev, position }))
}
