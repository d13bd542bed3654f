//! `GET /chats/{chat_id}/members`: who is in a chat.

use axum::Json;
use axum::extract::State;
use domain::ids::{ChatId, PersonId};
use domain::problem::Kind;
use domain::views::{List, Member, Role};
use stores::timeline::MemberRow;

use super::Answer;
use crate::refusal::of_store;
use crate::request::{Asker, Cursors, Id, Params, Wanted, window};
use crate::state::{DIRECTORY, QueryState, TIMELINE};
use crate::views::People;

/// Owners, admins, members; each by how much had been said when they came, then by id.
type Key = (u8, u64, PersonId);

fn key(row: &MemberRow) -> Key {
    let role = match row.role {
        Role::Owner => 0,
        Role::Admin => 1,
        Role::Member => 2,
    };
    (role, row.joined_number, row.person)
}

/// Those who are in a chat that the signed-in person is in: owners, admins, members; each by when they
/// came.
#[utoipa::path(
    get,
    path = "/chats/{chat_id}/members",
    operation_id = "members",
    params(
        ("chat_id" = ChatId, Path),
        ("limit" = Option<u64>, Query, description = "1 to 200, else 50"),
        ("cursor" = Option<String>, Query, description = "`next` or `prev` of an earlier answer"),
        ("X-Letopis-Position" = Option<u64>, Header, description = "Show at least this position"),
    ),
    responses(
        (status = 200, body = List<Member>),
        (status = 403, description = "cross-site, or not-permitted for somebody who has left"),
        (status = 404, description = "not-found, also for a chat one isn't in"),
        (status = 422, description = "invalid"),
    ),
)]
pub async fn members(
    Asker(caller): Asker,
    Id(chat_id): Id<ChatId>,
    Wanted(wanted): Wanted,
    params: Params,
    State(state): State<QueryState>,
) -> Answer<List<Member>> {
    let params = params.only(&["limit", "cursor"])?;
    let limit = params.limit()?;
    let cursors = Cursors::new(&state.keyring, caller.person, &("members", chat_id));
    let cursor = cursors.read::<Key>(&params)?;

    let position = state.shown(&[TIMELINE, DIRECTORY], wanted).await?;
    let mut rows = state.stores.timeline.serving().members(chat_id).await.map_err(of_store)?;
    let me = rows.iter().find(|row| row.person == caller.person).ok_or(Kind::NotFound)?;
    if me.left {
        return Err(Kind::NotPermitted.into());
    }
    rows.retain(|row| !row.left);
    rows.sort_by_key(key);
    let range = window(&rows, key, cursor.as_ref(), limit);
    let (next, prev) = cursors.around(&rows, key, &range);
    let page = &rows[range];
    let people = People::read(&state, caller.person, page.iter().map(|row| row.person)).await?;
    let items = page
        .iter()
        .filter_map(|row| Some(Member { person: people.person(row.person)?, role: row.role }))
        .collect();
    Ok(Json(List { items, next, prev, position }))
}
