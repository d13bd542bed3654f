//! What the commands of a group share: one decision of its stream alone.

use chronicle::{Done, Halt};
use domain::aggregate::Event;
use domain::chat::{Chat, ChatCommand, ChatEvent, ChatFacts};
use domain::ids::ChatId;
use domain::{Problem, Timestamp};
use serde::Serialize;

use crate::asking::{Key, Signed};
use crate::state::CommandState;

pub(super) async fn decide(
    state: &CommandState,
    operation: &'static str,
    who: &Signed,
    Key(key): Key,
    request: &impl Serialize,
    chat: ChatId,
    command: impl Fn(Timestamp) -> ChatCommand + Send + Sync + 'static,
) -> Result<Done, Problem> {
    let envelope = state.by(who, operation, key, request);
    let at = envelope.at;
    state
        .executor
        .execute(envelope, move |ledger| {
            ledger.decide::<Chat>(chat, command(at), &ChatFacts::default())?;
            Ok::<(), Halt>(())
        })
        .await
}

/// The chat that somebody has come into with a command, or was in already, as it noted.
pub(super) fn entered(done: &Done) -> Option<ChatId> {
    match done.events.first() {
        Some(Event::Chat(
            event @ (ChatEvent::DirectChatCreated { .. }
            | ChatEvent::GroupCreated { .. }
            | ChatEvent::MemberJoined { .. }),
        )) => Some(event.chat()),
        _ => done.note.as_deref().and_then(|note| note.parse().ok()),
    }
}
