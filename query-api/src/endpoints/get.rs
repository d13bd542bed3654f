//! `GET /chats/{chat_id}/messages`: the history of a chat.

use axum::Json;
use axum::extract::State;
use domain::ids::ChatId;
use domain::problem::Kind;
use domain::views::Messages;
use stores::timeline::{Keep, MessageQuery};

use super::Answer;
use crate::refusal::{Refusal, of_store};
use crate::request::{Asker, Cursors, Direction, Id, Params, Wanted};
use crate::state::{DIRECTORY, QueryState, TIMELINE};
use crate::views::{Memberships, history, lines, messages};

/// Messages, the oldest first. `from`, `to`, `before` and `after` choose the list and combine. With
/// `after`, or with `from` and no `before`, the answer begins at its oldest end; else it is its
/// newest page. Of a group there are only those that one may read, and `lines` are what happened in it
/// above each message of the page, and after the chat's newest: at most 500, the newest.
#[utoipa::path(
    get,
    path = "/chats/{chat_id}/messages",
    operation_id = "get",
    params(
        ("chat_id" = ChatId, Path),
        ("from" = Option<String>, Query, description = "RFC 3339: sent at or after it"),
        ("to" = Option<String>, Query, description = "RFC 3339: sent before it"),
        ("before" = Option<u64>, Query, description = "A number: only lower ones"),
        ("after" = Option<u64>, Query, description = "A number: only higher ones"),
        ("limit" = Option<u64>, Query, description = "1 to 200, else 50"),
        ("cursor" = Option<String>, Query, description = "`next` or `prev` of an earlier answer to the same parameters"),
        ("X-Letopis-Position" = Option<u64>, Header, description = "Show at least this position"),
    ),
    responses(
        (status = 200, body = Messages),
        (status = 404, description = "not-found, also for a chat one isn't in"),
        (status = 422, description = "invalid"),
    ),
)]
pub async fn get(
    Asker(caller): Asker,
    Id(chat_id): Id<ChatId>,
    Wanted(wanted): Wanted,
    params: Params,
    State(state): State<QueryState>,
) -> Answer<Messages> {
    let params = params.only(&["from", "to", "before", "after", "limit", "cursor"])?;
    let (from, to) = (params.time("from")?, params.time("to")?);
    // No engine counts further than this.
    let number =
        |name| Ok::<_, Refusal>(params.parsed::<u64>(name)?.map(|number| number.min(i64::MAX as u64)));
    let (mut before, mut after) = (number("before")?, number("after")?);
    let limit = params.limit()?;
    let cursors = Cursors::new(&state.keyring, caller.person, &("get", chat_id, from, to, before, after));
    let cursor = cursors.read::<u64>(&params)?;
    let is_open_ended = to.is_none() && before.is_none();

    let forward = match &cursor {
        Some(cursor) => cursor.direction == Direction::Next,
        None => after.is_some() || (from.is_some() && before.is_none()),
    };
    match &cursor {
        Some(cursor) if forward => after = after.max(Some(cursor.key)),
        Some(cursor) => before = Some(before.map_or(cursor.key, |before| before.min(cursor.key))),
        None => {}
    }

    let position = state.shown(&[TIMELINE, DIRECTORY], wanted).await?;
    let timeline = state.stores.timeline.serving();
    let me = timeline.membership(chat_id, caller.person).await.map_err(of_store)?.ok_or(Kind::NotFound)?;
    let keep = if forward { Keep::Oldest } else { Keep::Newest };
    let query = MessageQuery { from, to, before, after, keep, limit: limit + 1 };
    let mut rows = history(&*timeline, &me, query).await.map_err(of_store)?;
    // One more than was asked for tells whether the list goes on.
    let more = rows.len() > limit;
    if more && !forward {
        rows.remove(0);
    }
    rows.truncate(limit);
    let (onward, back) = match &cursor {
        Some(cursor) if cursor.direction == Direction::Next => (more, true),
        Some(_) => (true, more),
        None => (more && forward, more && !forward),
    };
    let next = rows.last().filter(|_| onward).map(|row| cursors.write(Direction::Next, row.number));
    let prev = rows.first().filter(|_| back).map(|row| cursors.write(Direction::Prev, row.number));
    let at_end = is_open_ended && if forward { !more } else { cursor.is_none() };
    let lines = if !rows.is_empty() {
        lines::of_page(&state, &me, &rows, at_end).await?
    } else if at_end && from.is_none() {
        lines::of_empty_page(&state, &me).await?
    } else {
        Vec::new()
    };
    let lines = lines::views(&state, caller.person, &lines).await?;
    let mine = Memberships::from([(chat_id, me.into())]);
    let items = messages(&state, caller.person, &mine, rows).await?;
    Ok(Json(Messages { items, lines, next, prev, position }))
}
