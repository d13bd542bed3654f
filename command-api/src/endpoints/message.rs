//! Messages that were sent: how one is found, what it says now, and what the commands that touch one
//! share.
//!
//! As it was sent it never changes, so it is read before the decision; who may see it and what became of
//! it the decision reads itself.

use axum::Json;
use chronicle::keys::{OpenError, Place};
use chronicle::{Halt, Ledger};
use domain::Problem;
use domain::aggregate::{Decider, Event, StreamId};
use domain::chat::{Attachment, Chat, ChatEvent, first_author};
use domain::ids::{ChatId, PersonId, message_stream_id};
use domain::message::{Message, MessageCommand, MessageEvent, MessageFacts, Wish};
use domain::personal::{PersonalType, Sealed, Text};
use domain::problem::Kind;
use domain::requests::Done;
use domain::views::Role;
use serde::Serialize;

use super::{facts, unavailable};
use crate::asking::{Key, Signed};
use crate::refusal::Refusal;
use crate::state::CommandState;

/// Events of a message's stream that are read at once.
const PAGE: usize = 256;

/// A message as it was sent.
pub(super) struct Sent {
    pub author: PersonId,
    pub forwarded_from: Option<PersonId>,
    pub attachments: Vec<Attachment>,
    text: Sealed,
    /// Where in the log whoever asks has left the chat: how the message reads since then is not theirs to know.
    until: Option<u64>,
}

impl Sent {
    /// Whose key it is sealed under: of who wrote it first.
    pub fn first_author(&self) -> PersonId {
        first_author(self.author, self.forwarded_from)
    }
}

/// Message `number` of `chat`, if `person` may read it.
///
/// # Errors
/// `not-found`; `unavailable` when the log can't be read.
pub(super) async fn sent(
    state: &CommandState,
    person: PersonId,
    chat: ChatId,
    number: u64,
) -> Result<Sent, Problem> {
    let holder = state.executor.state::<Chat>(chat).await?;
    let sequence = holder.sequence_of(number).filter(|_| holder.shows(person, number));
    let sequence = sequence.ok_or(Kind::NotFound)?;
    let stream = StreamId::of::<Chat>(chat);
    let recorded = state.executor.log().event(&stream, sequence).await.map_err(unavailable)?;
    match recorded.map(|recorded| recorded.decode()) {
        Some(Ok(Event::Chat(ChatEvent::MessageSent {
            author, text, attachments, forwarded_from, ..
        }))) => {
            let text = text.sealed().cloned().ok_or(Kind::Internal)?;
            let until = left_at(state, chat, &holder, person).await?;
            Ok(Sent { author, forwarded_from, attachments, text, until })
        }
        _ => {
            tracing::error!(%stream, sequence, "a message is not where its chat says");
            Err(Kind::Internal.into())
        }
    }
}

/// The position at which somebody left who is not in the chat any more. It stands between the last message that
/// they may read and the next one. Whoever came and went again without a word between has read nothing new then: of
/// their leavings the one that followed a word counts.
async fn left_at(
    state: &CommandState,
    chat: ChatId,
    holder: &Chat,
    person: PersonId,
) -> Result<Option<u64>, Problem> {
    if holder.has_member(person) {
        return Ok(None);
    }
    let last = holder.last_shown(person);
    let mut sequence = holder.sequence_of(last).ok_or(Kind::NotFound)?;
    let (stream, mut left) = (StreamId::of::<Chat>(chat), None);
    'read: loop {
        let (page, _) = state.executor.log().stream(&stream, sequence, PAGE).await.map_err(unavailable)?;
        for recorded in &page {
            match recorded.decode() {
                Ok(Event::Chat(
                    ChatEvent::MemberLeft { person: who, .. } | ChatEvent::MemberRemoved { person: who, .. },
                )) if who == person => left = Some(recorded.position),
                Ok(Event::Chat(ChatEvent::MessageSent { .. })) => break 'read,
                _ => {}
            }
            sequence = recorded.sequence;
        }
        if page.len() < PAGE {
            break;
        }
    }
    left.ok_or(Kind::Internal.into()).map(Some)
}

/// What a message says now, or said when whoever asks left, and how often it was edited until now.
///
/// # Errors
/// `message-deleted`, also where its author's key was destroyed; `unavailable`.
pub(super) async fn wording(
    state: &CommandState,
    (chat, number): (ChatId, u64),
    sent: &Sent,
) -> Result<(Text, u32), Problem> {
    let stream = StreamId::of::<Message>(message_stream_id(chat, number));
    let (mut message, mut latest, mut sequence) = (Message::default(), None, 0);
    loop {
        let (page, _) = state.executor.log().stream(&stream, sequence, PAGE).await.map_err(unavailable)?;
        for recorded in &page {
            let Ok(Event::Message(event)) = recorded.decode() else {
                tracing::error!(%stream, "what became of a message can't be read");
                return Err(Kind::Internal.into());
            };
            message.evolve(&event);
            if let MessageEvent::MessageEdited { text, .. } = event
                && sent.until.is_none_or(|until| recorded.position <= until)
            {
                latest = text.sealed().cloned();
            }
            sequence = recorded.sequence;
        }
        if page.len() < PAGE {
            break;
        }
    }
    if message.deleted {
        return Err(Kind::MessageDeleted.into());
    }
    let text = match &latest {
        Some(edited) => open(state, &stream, "text", edited)?,
        None => open(state, &StreamId::of::<Chat>(chat), "text", &sent.text)?,
    };
    Ok((text, message.edits))
}

/// Opens what lies sealed in `field` of an event of `stream`.
///
/// # Errors
/// `message-deleted` where its key was destroyed; `unavailable`.
pub(super) fn open<T: PersonalType>(
    state: &CommandState,
    stream: &StreamId,
    field: &str,
    sealed: &Sealed,
) -> Result<T, Problem> {
    let place = Place {
        log_id: state.executor.log_id(),
        aggregate_type: stream.kind.name(),
        aggregate_id: &stream.id,
        event_id: sealed.event_id.ok_or(Kind::Internal)?,
        field,
    };
    state.keyring().open_as::<T>(&place, sealed).map_err(|error| match error {
        OpenError::Destroyed => Kind::MessageDeleted.into(),
        OpenError::Unreadable => {
            tracing::error!(%stream, field, "a message can't be opened");
            Kind::Internal.into()
        }
        OpenError::Store(error) => {
            tracing::error!(%error, "a key can't be read");
            Kind::Unavailable.into()
        }
    })
}

/// What is to be known of the message as it was sent.
#[derive(Clone, Copy)]
struct Known {
    author: PersonId,
    forwarded: bool,
    attachments: usize,
}

/// Does what somebody wishes of a message.
pub(super) async fn touch(
    state: &CommandState,
    operation: &'static str,
    wish: Wish,
    (chat, number): (ChatId, u64),
    who: &Signed,
    Key(key): Key,
    request: &impl Serialize,
) -> Result<Json<Done>, Refusal> {
    let envelope = state.by(who, operation, key, request);
    let (by, at) = (who.person, envelope.at);
    let sent = match sent(state, by, chat, number).await {
        Ok(sent) => sent,
        // They may have done it, and have lost sight of the message since.
        Err(problem) => {
            let done = state.executor.repeated(&envelope).await?.ok_or(problem)?;
            return Ok(Json(Done { position: done.position }));
        }
    };
    let known = Known {
        author: sent.author,
        forwarded: sent.forwarded_from.is_some(),
        attachments: sent.attachments.len(),
    };
    let writes = matches!(wish, Wish::Edit(_) | Wish::React(_));
    let two = async { if writes { facts::two_of(state, chat, by).await } else { Ok(None) } };
    let done = facts::decided(state, two, |group| {
        let wish = wish.clone();
        state.executor.execute(envelope.clone(), move |ledger| {
            let facts = of_message(ledger, (chat, number), by, known, group)?;
            let command = MessageCommand { chat, number, by, wish: wish.clone(), at };
            ledger.decide::<Message>(message_stream_id(chat, number), command, &facts)?;
            Ok::<(), Halt>(())
        })
    })
    .await?;
    Ok(Json(Done { position: done.position }))
}

fn of_message(
    ledger: &mut Ledger<'_, '_>,
    (chat, number): (ChatId, u64),
    person: PersonId,
    Known { author, forwarded, attachments }: Known,
    group: Option<ChatId>,
) -> Result<MessageFacts, Halt> {
    let may_talk = facts::of_chat(ledger, chat, person, group)?.may_talk();
    let holder = ledger.read::<Chat>(chat)?;
    let is_member = holder.has_member(person);
    let leads = holder.role_of(person).is_some_and(|role| role != Role::Member);
    Ok(MessageFacts {
        author: holder.shows(person, number).then_some(author),
        forwarded,
        attachments,
        may_write: is_member && !holder.dissolved && (holder.is_group() || may_talk),
        is_member,
        moderates: holder.is_group() && leads,
    })
}
