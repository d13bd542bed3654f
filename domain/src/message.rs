//! Message: what became of one after it was sent. Stream: `chat~number`; empty while nobody has touched
//! it.
//!
//! What is deleted stays so: nothing follows but reports.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::aggregate::{Decider, aggregate};
use crate::ids::{ChatId, PersonId};
use crate::personal::{Personal, Personals, Text, Visit};
use crate::problem::{FieldError, Kind};
use crate::views::ReportReason;
use crate::{Problem, Timestamp};

/// How often a message may be edited.
pub const MOST_EDITS: u32 = 100;
/// Different emoji on one message.
pub const MOST_EMOJI: usize = 20;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum MessageEvent {
    MessageEdited {
        chat: ChatId,
        number: u64,
        author: PersonId,
        text: Personal<Text>,
        at: Timestamp,
    },
    /// By its author.
    MessageDeleted {
        chat: ChatId,
        number: u64,
        by: PersonId,
        at: Timestamp,
    },
    /// By a moderator.
    MessageRemoved {
        chat: ChatId,
        number: u64,
        by: PersonId,
        at: Timestamp,
    },
    ReactionSet {
        chat: ChatId,
        number: u64,
        person: PersonId,
        /// Absent: taken back.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        emoji: Option<String>,
        at: Timestamp,
    },
    MessageReported {
        chat: ChatId,
        number: u64,
        by: PersonId,
        reason: ReportReason,
        at: Timestamp,
    },
}

impl MessageEvent {
    /// Which message it is about.
    pub fn place(&self) -> (ChatId, u64) {
        match self {
            Self::MessageEdited { chat, number, .. }
            | Self::MessageDeleted { chat, number, .. }
            | Self::MessageRemoved { chat, number, .. }
            | Self::ReactionSet { chat, number, .. }
            | Self::MessageReported { chat, number, .. } => (*chat, *number),
        }
    }
}

#[derive(Clone, Debug)]
pub struct MessageCommand {
    pub chat: ChatId,
    pub number: u64,
    pub by: PersonId,
    pub wish: Wish,
    pub at: Timestamp,
}

#[derive(Clone, Debug)]
pub enum Wish {
    Edit(Text),
    Delete,
    Remove,
    React(Option<String>),
    Report(ReportReason),
}

/// What a decision needs to know of the chat and of the message as it was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessageFacts {
    /// Who sent it; `None` if there is none that the person may read.
    pub author: Option<PersonId>,
    pub forwarded: bool,
    pub attachments: usize,
    /// Whether the person may write in the chat now.
    pub may_write: bool,
    /// Whether the person is in the chat.
    pub is_member: bool,
    /// Whether the person may remove others' messages.
    pub moderates: bool,
}

/// What a message's stream adds up to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    pub edits: u32,
    pub deleted: bool,
    pub reactions: BTreeMap<PersonId, String>,
    pub reported_by: BTreeSet<PersonId>,
}

impl Message {
    fn react(
        &self,
        (chat, number, person, at): (ChatId, u64, PersonId, Timestamp),
        emoji: Option<String>,
    ) -> Result<Vec<MessageEvent>, Problem> {
        if self.reactions.get(&person) == emoji.as_ref() {
            return Ok(Vec::new());
        }
        if let Some(emoji) = &emoji {
            crate::text::check_emoji("/emoji", emoji).map_err(Problem::field)?;
            let others = self.reactions.iter().filter(|(who, _)| **who != person);
            let mut different: BTreeSet<&String> = others.map(|(_, emoji)| emoji).collect();
            different.insert(emoji);
            if different.len() > MOST_EMOJI {
                return Err(Problem::field(
                    FieldError::new("/emoji", "too-many-emoji").with("max", MOST_EMOJI),
                ));
            }
        }
        Ok(vec![MessageEvent::ReactionSet { chat, number, person, emoji, at }])
    }
}

impl Decider for Message {
    type Facts = MessageFacts;

    fn decide(&self, command: MessageCommand, facts: &MessageFacts) -> Result<Vec<MessageEvent>, Problem> {
        let MessageCommand { chat, number, by, wish, at } = command;
        let author = facts.author.ok_or(Kind::NotFound)?;
        if !facts.is_member {
            return Err(Kind::NotPermitted.into());
        }
        match wish {
            Wish::Delete if author == by && self.deleted => Ok(Vec::new()),
            Wish::Delete if author == by => Ok(vec![MessageEvent::MessageDeleted { chat, number, by, at }]),
            Wish::Remove if facts.moderates && self.deleted => Ok(Vec::new()),
            Wish::Remove if facts.moderates => {
                Ok(vec![MessageEvent::MessageRemoved { chat, number, by, at }])
            }
            Wish::Delete | Wish::Remove => Err(Kind::NotPermitted.into()),
            Wish::Edit(_) if author != by || facts.forwarded || !facts.may_write => {
                Err(Kind::NotPermitted.into())
            }
            Wish::React(_) if !facts.may_write => Err(Kind::NotPermitted.into()),
            Wish::Report(_) if author == by => Err(Problem::field(FieldError::new("/number", "oneself"))),
            Wish::Report(_) if self.reported_by.contains(&by) => Ok(Vec::new()),
            Wish::Report(reason) => Ok(vec![MessageEvent::MessageReported { chat, number, by, reason, at }]),
            Wish::Edit(_) | Wish::React(_) if self.deleted => Err(Kind::MessageDeleted.into()),
            Wish::Edit(text) => {
                crate::text::check_message("/text", &text.0, facts.attachments).map_err(Problem::field)?;
                if self.edits >= MOST_EDITS {
                    return Err(Problem::field(
                        FieldError::new("/text", "too-many-edits").with("max", MOST_EDITS),
                    ));
                }
                Ok(vec![MessageEvent::MessageEdited { chat, number, author, text: text.into(), at }])
            }
            Wish::React(emoji) => self.react((chat, number, by, at), emoji),
        }
    }

    fn evolve(&mut self, event: &MessageEvent) {
        match event {
            MessageEvent::MessageEdited { .. } => self.edits += 1,
            MessageEvent::MessageDeleted { .. } | MessageEvent::MessageRemoved { .. } => {
                self.deleted = true;
                self.reactions.clear();
            }
            MessageEvent::ReactionSet { person, emoji, .. } => match emoji {
                Some(emoji) => {
                    self.reactions.insert(*person, emoji.clone());
                }
                None => {
                    self.reactions.remove(person);
                }
            },
            MessageEvent::MessageReported { by, .. } => {
                self.reported_by.insert(*by);
            }
        }
    }
}

impl Personals for MessageEvent {
    fn personals(&mut self, visit: Visit<'_>) {
        if let Self::MessageEdited { author, text, .. } = self {
            visit("text", *author, text);
        }
    }
}

aggregate!(Message as "Message", MessageCommand, MessageEvent {
    MessageEdited = "1",
    MessageDeleted = "1",
    MessageRemoved = "1",
    ReactionSet = "1",
    MessageReported = "1",
}, MessageFacts);

#[cfg(test)]
#[path = "message_spec.rs"]
mod spec;
