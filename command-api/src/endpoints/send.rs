//! `send`: a message into a chat.

use axum::Json;
use axum::extract::State;
use chronicle::Halt;
use domain::Problem;
use domain::aggregate::Event;
use domain::chat::{Chat, ChatCommand, ChatEvent, ChatFacts};
use domain::friendship::Friendship;
use domain::ids::{MessageId, Pair};
use domain::personal::Text;
use domain::problem::Kind;
use domain::requests::{Send, Sent};
use domain::text::check_text;

use crate::asking::{Key, Signed};
use crate::body::Body;
use crate::openapi::Problems;
use crate::refusal::Refusal;
use crate::state::CommandState;

/// Sends a message. Its id is the Idempotency-Key, its text is kept exactly as sent.
#[utoipa::path(
    post,
    path = "/command/v1/send",
    operation_id = "send",
    params(("Idempotency-Key" = uuid::Uuid, Header, description = "A UUID, version 7 preferred; becomes the message's id")),
    request_body = Send,
    responses((status = 200, body = Sent), Problems),
    security(("bearer" = []), ("cookie" = []))
)]
pub async fn send(
    State(state): State<CommandState>,
    who: Signed,
    Key(key): Key,
    Body(request): Body<Send>,
) -> Result<Json<Sent>, Refusal> {
    check_text("/text", &request.text).map_err(Problem::field)?;
    let envelope = state.by(&who, "send", key, &request);
    let (author, at, message_id) = (who.person, envelope.at, MessageId(key));
    let Send { chat_id, text, reply_to } = request;
    let done = state
        .executor
        .execute(envelope, move |ledger| {
            let chat = ledger.read::<Chat>(chat_id)?;
            let peer =
                chat.has_member(author).then(|| chat.members.iter().find(|it| **it != author)).flatten();
            let pair = peer.and_then(|peer| Pair::of(author, *peer));
            let facts = match pair {
                Some(pair) => {
                    let link = ledger.read::<Friendship>(pair)?;
                    ChatFacts { friends: link.are_friends(), blocked: link.is_blocked() }
                }
                None => ChatFacts::default(),
            };
            let send = ChatCommand::Send { author, message_id, text: Text(text.clone()), reply_to, at };
            ledger.decide::<Chat>(chat_id, send, &facts)?;
            Ok::<(), Halt>(())
        })
        .await?;
    match done.events.first() {
        Some(Event::Chat(ChatEvent::MessageSent { message_id, number, sent_at, .. })) => Ok(Json(Sent {
            position: done.position,
            message_id: *message_id,
            number: *number,
            sent_at: *sent_at,
        })),
        _ => Err(Kind::Internal.into()),
    }
}
