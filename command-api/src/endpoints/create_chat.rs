//! `create_chat`: the direct chat of two friends.

use axum::Json;
use axum::extract::State;
use chronicle::Halt;
use domain::Problem;
use domain::aggregate::Event;
use domain::chat::{Chat, ChatCommand, ChatEvent, ChatFacts};
use domain::friendship::Friendship;
use domain::ids::{ChatId, Pair};
use domain::problem::{FieldError, Kind};
use domain::requests::{ChatCreated, CreateChat};
use domain::user::User;

use crate::asking::{Key, Signed};
use crate::body::Body;
use crate::openapi::Problems;
use crate::refusal::Refusal;
use crate::state::CommandState;

/// Opens the direct chat with a friend. A pair has one: if there is one already, that is the answer.
#[utoipa::path(
    post,
    path = "/command/v1/create_chat",
    operation_id = "create_chat",
    params(("Idempotency-Key" = uuid::Uuid, Header, description = "A UUID, version 7 preferred")),
    request_body = CreateChat,
    responses((status = 200, body = ChatCreated), Problems),
    security(("bearer" = []), ("cookie" = []))
)]
pub async fn create_chat(
    State(state): State<CommandState>,
    who: Signed,
    Key(key): Key,
    Body(request): Body<CreateChat>,
) -> Result<Json<ChatCreated>, Refusal> {
    let (by, with) = (who.person, request.user_id);
    let pair = Pair::of(by, with).ok_or_else(|| Problem::field(FieldError::new("/user_id", "oneself")))?;
    let envelope = state.by(&who, "create_chat", key, &request);
    let at = envelope.at;
    let chat = ChatId(state.new_id(at));
    let done = state
        .executor
        .execute(envelope, move |ledger| {
            if ledger.read::<User>(with)?.person.is_none() {
                return Err(Kind::NotFound.into());
            }
            let direct = pair.to_string();
            if let Some(existing) = ledger.claim("direct/1", &direct)? {
                ledger.note(existing);
                return Ok(());
            }
            let link = ledger.read::<Friendship>(pair)?;
            let facts = ChatFacts { friends: link.are_friends(), blocked: link.is_blocked() };
            ledger.decide::<Chat>(chat, ChatCommand::CreateDirect { chat, by, with, at }, &facts)?;
            ledger.set_claim("direct/1", &direct, Some(chat.to_string()))?;
            Ok::<(), Halt>(())
        })
        .await?;
    let chat_id = match done.events.first() {
        Some(Event::Chat(ChatEvent::DirectChatCreated { chat, .. })) => Some(*chat),
        _ => done.note.as_deref().and_then(|note| note.parse().ok()),
    };
    Ok(Json(ChatCreated { position: done.position, chat_id: chat_id.ok_or(Kind::Internal)? }))
}
