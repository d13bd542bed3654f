//! `GET /invite`: what an invitation leads to.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use domain::problem::Kind;
use domain::views::Invitation;

use super::Answer;
use crate::request::{Asker, Params, Wanted, malformed};
use crate::state::{DIRECTORY, QueryState};
use crate::views::{People, title};

/// In a header, since what stands in a URL is written into logs.
const HEADER: &str = "X-Letopis-Invite";

/// What the holder of an invitation is invited into. One that is unknown, over or revoked is not found;
/// whoever was removed from the group is refused, as in accepting it.
#[utoipa::path(
    get,
    path = "/invite",
    operation_id = "invite",
    params(
        ("X-Letopis-Invite" = String, Header, description = "The invitation's secret: what stands behind `#` in its link"),
        ("X-Letopis-Position" = Option<u64>, Header, description = "Show at least this position"),
    ),
    responses(
        (status = 200, body = Invitation),
        (status = 403, description = "cross-site, or not-permitted for whoever was removed from the group"),
        (status = 404, description = "not-found"),
    ),
)]
pub async fn invite(
    Asker(caller): Asker,
    Wanted(wanted): Wanted,
    params: Params,
    headers: HeaderMap,
    State(state): State<QueryState>,
) -> Answer<Invitation> {
    params.only(&[])?;
    let mut tokens = headers.get_all("x-letopis-invite").iter();
    let token = match (tokens.next(), tokens.next()) {
        (None, _) => return Err(malformed(HEADER, "required")),
        (Some(token), None) => token.to_str().map_err(|_| malformed(HEADER, "unreadable"))?,
        _ => return Err(malformed(HEADER, "unreadable")),
    };
    let position = state.shown(&[DIRECTORY], wanted).await?;
    let (chat_id, invite_id) = state.invitations.find(token).await?.ok_or(Kind::NotFound)?;
    let chat = state.invitations.chat(chat_id).await?;
    let now = state.invitations.now();
    let invite = chat.invites.get(&invite_id).filter(|invite| invite.is_open(now) && !chat.dissolved);
    let invite = invite.ok_or(Kind::NotFound)?;
    if chat.removed.contains(&caller.person) {
        return Err(Kind::NotPermitted.into());
    }
    let people = People::read(&state, caller.person, [invite.by]).await?;
    let title = chat.title.as_ref().map(|sealed| title(&state, chat_id, sealed)).transpose()?;
    Ok(Json(Invitation {
        chat_id,
        title: title.unwrap_or_default(),
        member_count: chat.members.len() as u64,
        by: people.author(invite.by),
        joined: chat.has_member(caller.person),
        position,
    }))
}
