//! Chat: who is in it and how far its numbers go. Stream: the chat's id.
//!
//! The state never grows with the messages: a message's number leads to its event through
//! [`Chat::runs`], so that message n is one read by key.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::aggregate::{Decider, aggregate};
use crate::ids::{ChatId, MessageId, PersonId};
use crate::personal::{Personal, Personals, Text, Visit};
use crate::problem::{FieldError, Kind};
use crate::{Problem, Timestamp};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum ChatEvent {
    DirectChatCreated {
        chat: ChatId,
        by: PersonId,
        with: PersonId,
        at: Timestamp,
    },
    MessageSent {
        chat: ChatId,
        author: PersonId,
        message_id: MessageId,
        /// Dense in the chat: 1, 2, 3 …
        number: u64,
        text: Personal<Text>,
        sent_at: Timestamp,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reply_to: Option<u64>,
    },
}

#[derive(Clone, Debug)]
pub enum ChatCommand {
    CreateDirect { chat: ChatId, by: PersonId, with: PersonId, at: Timestamp },
    Send { author: PersonId, message_id: MessageId, text: Text, reply_to: Option<u64>, at: Timestamp },
}

/// What a decision needs to know of the two people of a direct chat.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChatFacts {
    pub friends: bool,
    /// Whether either has blocked the other.
    pub blocked: bool,
}

/// Consecutive messages in consecutive events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Number of its first message.
    pub first: u64,
    /// Sequence in the stream of the event that holds it.
    pub sequence: u64,
}

/// What a chat's stream adds up to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chat {
    pub chat: Option<ChatId>,
    pub members: Vec<PersonId>,
    pub last_number: u64,
    pub last_sent_at: Timestamp,
    /// The number of each member's own newest message, of those who have sent one.
    pub own_last: BTreeMap<PersonId, u64>,
    /// Events so far.
    pub sequence: u64,
    pub runs: Vec<Run>,
}

impl Chat {
    pub fn has_member(&self, person: PersonId) -> bool {
        self.members.contains(&person)
    }

    /// The other one of a direct chat.
    pub fn peer_of(&self, person: PersonId) -> Option<PersonId> {
        self.members.iter().copied().find(|member| *member != person)
    }

    /// How far `person` has read by sending: up to their own newest message; 0 without one.
    pub fn read_by_sending(&self, person: PersonId) -> u64 {
        self.own_last.get(&person).copied().unwrap_or(0)
    }

    /// Sequence in the stream of the event that holds message `number`.
    pub fn sequence_of(&self, number: u64) -> Option<u64> {
        if number == 0 || number > self.last_number {
            return None;
        }
        let run = self.runs.partition_point(|run| run.first <= number).checked_sub(1)?;
        let Run { first, sequence } = self.runs[run];
        Some(sequence + (number - first))
    }
}

impl Decider for Chat {
    type Facts = ChatFacts;

    fn decide(&self, command: ChatCommand, facts: &ChatFacts) -> Result<Vec<ChatEvent>, Problem> {
        match command {
            ChatCommand::CreateDirect { chat, by, with, at } => {
                if by == with {
                    return Err(Problem::field(FieldError::new("/user_id", "oneself")));
                }
                if self.chat.is_some() {
                    return Err(Kind::Conflict.into());
                }
                if !facts.friends || facts.blocked {
                    return Err(Kind::NotPermitted.into());
                }
                Ok(vec![ChatEvent::DirectChatCreated { chat, by, with, at }])
            }
            ChatCommand::Send { author, message_id, text, reply_to, at } => {
                let chat = self.chat.filter(|_| self.has_member(author)).ok_or(Kind::NotFound)?;
                if !facts.friends || facts.blocked {
                    return Err(Kind::NotPermitted.into());
                }
                crate::text::check_text("/text", &text.0).map_err(Problem::field)?;
                if reply_to.is_some_and(|number| self.sequence_of(number).is_none()) {
                    return Err(Problem::field(FieldError::new("/reply_to", "no-such-message")));
                }
                Ok(vec![ChatEvent::MessageSent {
                    chat,
                    author,
                    message_id,
                    number: self.last_number + 1,
                    text: text.into(),
                    sent_at: at.max(self.last_sent_at),
                    reply_to,
                }])
            }
        }
    }

    fn evolve(&mut self, event: &ChatEvent) {
        self.sequence += 1;
        match event {
            ChatEvent::DirectChatCreated { chat, by, with, .. } => {
                self.chat = Some(*chat);
                self.members = vec![*by, *with];
            }
            ChatEvent::MessageSent { author, number, sent_at, .. } => {
                let goes_on =
                    self.runs.last().is_some_and(|run| run.sequence + (number - run.first) == self.sequence);
                if !goes_on {
                    self.runs.push(Run { first: *number, sequence: self.sequence });
                }
                self.own_last.insert(*author, *number);
                self.last_number = *number;
                self.last_sent_at = *sent_at;
            }
        }
    }
}

impl Personals for ChatEvent {
    fn personals(&mut self, visit: Visit<'_>) {
        if let Self::MessageSent { author, text, .. } = self {
            visit("text", *author, text);
        }
    }
}

aggregate!(Chat as "Chat", ChatCommand, ChatEvent {
    DirectChatCreated = "1",
    MessageSent = "1",
}, ChatFacts);

#[cfg(test)]
#[path = "chat_spec.rs"]
mod spec;
