//! `accept_invite`: into a group by a link.

use axum::Json;
use axum::extract::State;
use chronicle::Halt;
use domain::chat::{Chat, ChatCommand, ChatFacts};
use domain::ids::read_invite_owner;
use domain::problem::Kind;
use domain::requests::{AcceptInvite, ChatCreated};

use super::{INVITE, group, user_exists};
use crate::asking::{Key, Signed};
use crate::body::Body;
use crate::openapi::Problems;
use crate::refusal::Refusal;
use crate::state::CommandState;

/// Comes into a group by an invitation. One that is over, revoked or unknown is not found; who is in the
/// group already is told where it leads.
#[utoipa::path(
    post,
    path = "/command/v1/accept_invite",
    operation_id = "accept_invite",
    params(("Idempotency-Key" = uuid::Uuid, Header, description = "A UUID, version 7 preferred")),
    request_body = AcceptInvite,
    responses((status = 200, body = ChatCreated), Problems),
    security(("bearer" = []), ("cookie" = []))
)]
pub async fn accept_invite(
    State(state): State<CommandState>,
    who: Signed,
    Key(key): Key,
    Body(request): Body<AcceptInvite>,
) -> Result<Json<ChatCreated>, Refusal> {
    let envelope = state.by(&who, "accept_invite", key, &request);
    let (person, at, token) = (who.person, envelope.at, request.token);
    let done = state
        .executor
        .execute(envelope, move |ledger| {
            user_exists(ledger, person)?;
            let owner = ledger.claim(INVITE, &token.0)?;
            let (chat, invite) = owner.as_deref().and_then(read_invite_owner).ok_or(Kind::NotFound)?;
            let join = ChatCommand::Join { person, invite, at };
            ledger.decide::<Chat>(chat, join, &ChatFacts::default())?;
            ledger.note(chat);
            Ok::<(), Halt>(())
        })
        .await?;
    let chat_id = group::entered(&done).ok_or(Kind::Internal)?;
    Ok(Json(ChatCreated { position: done.position, chat_id }))
}
