//! `GET /friends`: people one is linked with.

use axum::Json;
use axum::extract::State;
use domain::ids::PersonId;
use domain::views::{List, Person};
use stores::directory::{LinkState, LinkedQuery};

use super::Answer;
use crate::refusal::of_store;
use crate::request::{Asker, Cursors, Direction, Params, Wanted, malformed};
use crate::state::{DIRECTORY, QueryState};
use crate::views::linked;

/// Friends, requests and blocked people, by name.
#[utoipa::path(
    get,
    path = "/friends",
    operation_id = "friends",
    params(
        ("state" = Option<String>, Query, description = "accepted (the default), incoming, outgoing or blocked"),
        ("limit" = Option<u64>, Query, description = "1 to 200, else 50"),
        ("cursor" = Option<String>, Query, description = "`next` or `prev` of an earlier answer"),
        ("X-Letopis-Position" = Option<u64>, Header, description = "Show at least this position"),
    ),
    responses((status = 200, body = List<Person>), (status = 422, description = "invalid")),
)]
pub async fn friends(
    Asker(caller): Asker,
    Wanted(wanted): Wanted,
    params: Params,
    State(state): State<QueryState>,
) -> Answer<List<Person>> {
    let params = params.only(&["state", "limit", "cursor"])?;
    let name = params.text("state").unwrap_or("accepted");
    let link = match name {
        "accepted" => LinkState::Accepted,
        "incoming" => LinkState::Incoming,
        "outgoing" => LinkState::Outgoing,
        "blocked" => LinkState::Blocked,
        _ => return Err(malformed("state", "unreadable")),
    };
    let limit = params.limit()?;
    let cursors = Cursors::new(&state.keyring, caller.person, &("friends", name));
    let cursor = cursors.read::<(String, PersonId)>(&params)?;
    let back = cursor.as_ref().is_some_and(|cursor| cursor.direction == Direction::Prev);
    let onward = cursor.is_some() && !back;
    let key = cursor.map(|cursor| cursor.key);
    let (before, after) = if back { (key, None) } else { (None, key) };

    let position = state.shown(&[DIRECTORY], wanted).await?;
    let query = LinkedQuery { state: link, after, before, limit: limit + 1 };
    let mut rows = state.stores.directory.serving().linked(caller.person, query).await.map_err(of_store)?;
    // One more than was asked for tells whether the list goes on; going back it is the first.
    let more = rows.len() > limit;
    if more && back {
        rows.remove(0);
    }
    rows.truncate(limit);
    let key = |row: &stores::directory::Linked| (row.user.sort_key.clone(), row.user.user_id);
    let next = rows.last().filter(|_| back || more).map(|row| cursors.write(Direction::Next, key(row)));
    let prev =
        rows.first().filter(|_| onward || (back && more)).map(|row| cursors.write(Direction::Prev, key(row)));
    let items = rows.iter().map(|row| linked(caller.person, row)).collect();
    Ok(Json(List { items, next, prev, position }))
}
