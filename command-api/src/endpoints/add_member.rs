//! `add_member`: a friend comes into a group.

use axum::Json;
use axum::extract::State;
use chronicle::Halt;
use domain::chat::{Chat, ChatCommand, ChatFacts};
use domain::ids::Pair;
use domain::requests::{ChatPerson, Done};

use super::facts;
use crate::asking::{Key, Signed};
use crate::body::Body;
use crate::openapi::Problems;
use crate::refusal::Refusal;
use crate::state::CommandState;

/// Brings a friend of one's own in; owners and admins may. Nothing happens to whoever is in it.
#[utoipa::path(
    post,
    path = "/command/v1/add_member",
    operation_id = "add_member",
    params(("Idempotency-Key" = uuid::Uuid, Header, description = "A UUID, version 7 preferred")),
    request_body = ChatPerson,
    responses((status = 200, body = Done), Problems),
    security(("bearer" = []), ("cookie" = []))
)]
pub async fn add_member(
    State(state): State<CommandState>,
    who: Signed,
    Key(key): Key,
    Body(request): Body<ChatPerson>,
) -> Result<Json<Done>, Refusal> {
    let envelope = state.by(&who, "add_member", key, &request);
    let (by, at) = (who.person, envelope.at);
    let ChatPerson { chat_id: chat, user_id: person } = request;
    let done = state
        .executor
        .execute(envelope, move |ledger| {
            let facts = match Pair::of(by, person) {
                Some(pair) => facts::of_pair(ledger, pair, None)?,
                None => ChatFacts::default(),
            };
            ledger.decide::<Chat>(chat, ChatCommand::Add { by, person, at }, &facts)?;
            Ok::<(), Halt>(())
        })
        .await?;
    Ok(Json(Done { position: done.position }))
}
