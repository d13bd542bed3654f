//! What `send` and `forward` share: a message goes into a chat, and with it all that it carries.

use axum::Json;
use chronicle::{Done, Halt, Ledger};
use domain::Timestamp;
use domain::aggregate::Event;
use domain::chat::{Attachment, Chat, ChatCommand, ChatEvent};
use domain::ids::{ChatId, MessageId, PersonId};
use domain::personal::Text;
use domain::problem::Kind;
use domain::requests::Sent;

use super::{attachments, facts};
use crate::refusal::Refusal;

/// A message on its way in.
pub(super) struct Sending {
    pub author: PersonId,
    pub chat: ChatId,
    pub message_id: MessageId,
    pub text: Text,
    pub reply_to: Option<u64>,
    pub attachments: Vec<Attachment>,
    pub forwarded_from: Option<PersonId>,
    pub at: Timestamp,
}

impl Sending {
    /// Whether it may; `group` is one that both of a direct chat may be in.
    pub fn decide(&self, ledger: &mut Ledger<'_, '_>, group: Option<ChatId>) -> Result<(), Halt> {
        let Self { author, chat, message_id, reply_to, forwarded_from, at, .. } = *self;
        let facts = facts::of_chat(ledger, chat, author, group)?;
        let number = ledger.read::<Chat>(chat)?.last_number + 1;
        let (text, attachments) = (self.text.clone(), self.attachments.clone());
        let send = ChatCommand::Send { author, message_id, text, reply_to, attachments, forwarded_from, at };
        ledger.decide::<Chat>(chat, send, &facts)?;
        attachments::claim(ledger, &self.attachments, (chat, number))
    }
}

pub(super) fn answer(done: &Done) -> Result<Json<Sent>, Refusal> {
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
