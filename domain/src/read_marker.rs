//! ReadMarker: how far one person has read in one chat. Stream: `chat~person`.

use serde::{Deserialize, Serialize};

use crate::aggregate::{Decider, aggregate};
use crate::ids::{ChatId, PersonId};
use crate::personal::{Personals, Visit};
use crate::problem::{FieldError, Kind};
use crate::{Problem, Timestamp};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum ReadMarkerEvent {
    ReadUpTo { chat: ChatId, person: PersonId, number: u64, at: Timestamp },
}

#[derive(Clone, Debug)]
pub struct MarkRead {
    pub chat: ChatId,
    pub person: PersonId,
    pub number: u64,
    pub at: Timestamp,
}

/// What a decision needs to know of the chat.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadFacts {
    pub is_member: bool,
    /// The number of the chat's newest message; 0 if it has none.
    pub last_number: u64,
    /// The number of the person's own newest message, up to which sending it was reading.
    pub own_last: u64,
}

/// What a marker's stream adds up to: the highest number read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadMarker {
    pub number: u64,
}

impl Decider for ReadMarker {
    type Facts = ReadFacts;

    fn decide(&self, command: MarkRead, facts: &ReadFacts) -> Result<Vec<ReadMarkerEvent>, Problem> {
        let MarkRead { chat, person, number, at } = command;
        if !facts.is_member {
            return Err(Kind::NotFound.into());
        }
        if number > facts.last_number {
            return Err(Problem::field(
                FieldError::new("/number", "too-large").with("max", facts.last_number),
            ));
        }
        if number <= self.number.max(facts.own_last) {
            return Ok(Vec::new());
        }
        Ok(vec![ReadMarkerEvent::ReadUpTo { chat, person, number, at }])
    }

    fn evolve(&mut self, event: &ReadMarkerEvent) {
        let ReadMarkerEvent::ReadUpTo { number, .. } = event;
        self.number = self.number.max(*number);
    }
}

impl Personals for ReadMarkerEvent {
    fn personals(&mut self, _: Visit<'_>) {}
}

aggregate!(ReadMarker as "ReadMarker", MarkRead, ReadMarkerEvent {
    ReadUpTo = "1",
}, ReadFacts);

#[cfg(test)]
#[path = "read_marker_spec.rs"]
mod spec;
