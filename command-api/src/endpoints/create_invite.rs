//! `create_invite`: a link into a group.

use axum::Json;
use axum::extract::State;
use chronicle::Halt;
use domain::Timestamp;
use domain::aggregate::Event;
use domain::chat::{Chat, ChatCommand, ChatEvent, ChatFacts};
use domain::group::USUAL_INVITE;
use domain::ids::{InviteId, invite_owner};
use domain::problem::Kind;
use domain::requests::{CreateInvite, InviteCreated};

use super::INVITE;
use crate::asking::{Key, Signed};
use crate::body::Body;
use crate::openapi::Problems;
use crate::refusal::Refusal;
use crate::state::CommandState;

/// Makes an invitation into a group, which whoever holds its token may accept; owners and admins may.
#[utoipa::path(
    post,
    path = "/command/v1/create_invite",
    operation_id = "create_invite",
    params(("Idempotency-Key" = uuid::Uuid, Header, description = "A UUID, version 7 preferred")),
    request_body = CreateInvite,
    responses((status = 200, body = InviteCreated), Problems),
    security(("bearer" = []), ("cookie" = []))
)]
pub async fn create_invite(
    State(state): State<CommandState>,
    who: Signed,
    Key(key): Key,
    Body(request): Body<CreateInvite>,
) -> Result<Json<InviteCreated>, Refusal> {
    let envelope = state.by(&who, "create_invite", key, &request);
    let (by, at) = (who.person, envelope.at);
    let CreateInvite { chat_id: chat, expires_in, uses } = request;
    let expires_at = at.plus(expires_in.map_or(USUAL_INVITE, |seconds| {
        i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(Timestamp::SECOND)
    }));
    let invite = InviteId(state.new_id(at));
    let token = state.keyring().invite_token(invite);
    let done = state
        .executor
        .execute(envelope, move |ledger| {
            let create = ChatCommand::CreateInvite { by, invite, expires_at, uses, at };
            ledger.decide::<Chat>(chat, create, &ChatFacts::default())?;
            ledger.set_claim(INVITE, &token, Some(invite_owner(chat, invite)))?;
            Ok::<(), Halt>(())
        })
        .await?;
    match done.events.first() {
        Some(Event::Chat(ChatEvent::InviteCreated { invite, expires_at, .. })) => Ok(Json(InviteCreated {
            position: done.position,
            invite_id: *invite,
            token: state.keyring().invite_token(*invite),
            expires_at: *expires_at,
        })),
        _ => Err(Kind::Internal.into()),
    }
}
