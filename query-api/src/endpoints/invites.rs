//! `GET /chats/{chat_id}/invites`: the open invitations into a group.

use std::cmp::Reverse;

use axum::Json;
use axum::extract::State;
use domain::ids::ChatId;
use domain::problem::Kind;
use domain::views::{Invite, List, Role};

use super::Answer;
use crate::request::{Asker, Id, Params, Wanted};
use crate::state::{DIRECTORY, QueryState};
use crate::views::People;

/// The invitations that may still be accepted, the newest first; for owners and admins. One page.
#[utoipa::path(
    get,
    path = "/chats/{chat_id}/invites",
    operation_id = "invites",
    params(
        ("chat_id" = ChatId, Path),
        ("X-Letopis-Position" = Option<u64>, Header, description = "Show at least this position"),
    ),
    responses(
        (status = 200, body = List<Invite>),
        (status = 403, description = "cross-site, or not-permitted for whoever may not invite"),
        (status = 404, description = "not-found, also for a chat one isn't in"),
    ),
)]
pub async fn invites(
    Asker(caller): Asker,
    Id(chat_id): Id<ChatId>,
    Wanted(wanted): Wanted,
    params: Params,
    State(state): State<QueryState>,
) -> Answer<List<Invite>> {
    params.only(&[])?;
    let position = state.shown(&[DIRECTORY], wanted).await?;
    let chat = state.invitations.chat(chat_id).await?;
    if !chat.may_read(caller.person) {
        return Err(Kind::NotFound.into());
    }
    let may_invite = matches!(chat.role_of(caller.person), Some(Role::Owner | Role::Admin));
    if !chat.is_group() || chat.dissolved || !may_invite {
        return Err(Kind::NotPermitted.into());
    }
    let now = state.invitations.now();
    let mut open: Vec<_> = chat.invites.iter().filter(|(_, invite)| invite.is_open(now)).collect();
    open.sort_by_key(|(invite_id, invite)| (Reverse(invite.created_at), **invite_id));
    let people = People::read(&state, caller.person, open.iter().map(|(_, invite)| invite.by)).await?;
    let items = open
        .into_iter()
        .map(|(invite_id, invite)| Invite {
            invite_id: *invite_id,
            token: state.keyring.invite_token(*invite_id),
            by: people.author(invite.by),
            created_at: invite.created_at,
            expires_at: invite.expires_at,
            uses_left: invite.uses_left,
        })
        .collect();
    Ok(Json(List { items, next: None, prev: None, position }))
}
