//! ReadMarker: how far one person has read in one chat, and how they keep it: pinned, muted. Stream:
//! `chat~person`.

use serde::{Deserialize, Serialize};

use crate::aggregate::{Decider, aggregate};
use crate::ids::{ChatId, PersonId};
use crate::personal::{Personals, Visit};
use crate::problem::{FieldError, Kind};
use crate::{Problem, Timestamp};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum ReadMarkerEvent {
    ReadUpTo {
        chat: ChatId,
        person: PersonId,
        number: u64,
        at: Timestamp,
    },
    /// Both, as they are from now on.
    ChatPrefsSet {
        chat: ChatId,
        person: PersonId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        muted_until: Option<Timestamp>,
        pinned: bool,
        at: Timestamp,
    },
}

impl ReadMarkerEvent {
    /// Whose it is.
    pub fn place(&self) -> (ChatId, PersonId) {
        match self {
            Self::ReadUpTo { chat, person, .. } | Self::ChatPrefsSet { chat, person, .. } => (*chat, *person),
        }
    }
}

#[derive(Clone, Debug)]
pub struct ReadMarkerCommand {
    pub chat: ChatId,
    pub person: PersonId,
    pub wish: Wish,
    pub at: Timestamp,
}

#[derive(Clone, Copy, Debug)]
pub enum Wish {
    /// Everything up to and including this number.
    Read(u64),
    /// What is absent stays as it is. The inner one of `muted_until` absent: not any more.
    Keep { muted_until: Option<Option<Timestamp>>, pinned: Option<bool> },
}

/// What a decision needs to know of the chat.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadFacts {
    /// Whether the person is in the chat, or was.
    pub may_read: bool,
    /// The number of the newest message that the person may read; 0 if there is none.
    pub last_number: u64,
    /// The number of the person's own newest message, up to which sending it was reading.
    pub own_last: u64,
}

/// What a marker's stream adds up to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadMarker {
    /// The highest that was read.
    pub number: u64,
    pub muted_until: Option<Timestamp>,
    pub pinned: bool,
}

impl Decider for ReadMarker {
    type Facts = ReadFacts;

    fn decide(&self, command: ReadMarkerCommand, facts: &ReadFacts) -> Result<Vec<ReadMarkerEvent>, Problem> {
        let ReadMarkerCommand { chat, person, wish, at } = command;
        if !facts.may_read {
            return Err(Kind::NotFound.into());
        }
        match wish {
            Wish::Read(number) if number > facts.last_number => {
                Err(Problem::field(FieldError::new("/number", "too-large").with("max", facts.last_number)))
            }
            Wish::Read(number) if number <= self.number.max(facts.own_last) => Ok(Vec::new()),
            Wish::Read(number) => Ok(vec![ReadMarkerEvent::ReadUpTo { chat, person, number, at }]),
            Wish::Keep { muted_until, pinned } => {
                let muted_until = muted_until.unwrap_or(self.muted_until);
                let pinned = pinned.unwrap_or(self.pinned);
                if (muted_until, pinned) == (self.muted_until, self.pinned) {
                    return Ok(Vec::new());
                }
                Ok(vec![ReadMarkerEvent::ChatPrefsSet { chat, person, muted_until, pinned, at }])
            }
        }
    }

    fn evolve(&mut self, event: &ReadMarkerEvent) {
        match event {
            ReadMarkerEvent::ReadUpTo { number, .. } => self.number = self.number.max(*number),
            ReadMarkerEvent::ChatPrefsSet { muted_until, pinned, .. } => {
                (self.muted_until, self.pinned) = (*muted_until, *pinned);
            }
        }
    }
}

impl Personals for ReadMarkerEvent {
    fn personals(&mut self, _: Visit<'_>) {}
}

aggregate!(ReadMarker as "ReadMarker", ReadMarkerCommand, ReadMarkerEvent {
    ReadUpTo = "1",
    ChatPrefsSet = "1",
}, ReadFacts);

#[cfg(test)]
#[path = "read_marker_spec.rs"]
mod spec;
