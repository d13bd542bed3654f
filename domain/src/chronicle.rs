//! Chronicle: the log's own story. One stream, named by the log's id; event 1 of every log is its
//! first.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::aggregate::{Decider, aggregate};
use crate::personal::{Personals, Visit};
use crate::problem::Kind;
use crate::{Problem, Timestamp};

/// The format that this build writes. A log of a newer one is refused.
pub const FORMAT: u32 = 1;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum ChronicleEvent {
    ChronicleOpened { log_id: Uuid, format: u32, at: Timestamp },
}

#[derive(Clone, Debug)]
pub enum ChronicleCommand {
    Open { log_id: Uuid, at: Timestamp },
}

/// What the chronicle's own stream adds up to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chronicle {
    pub log_id: Option<Uuid>,
    pub format: u32,
}

impl Decider for Chronicle {
    type Facts = ();

    fn decide(&self, command: ChronicleCommand, _: &()) -> Result<Vec<ChronicleEvent>, Problem> {
        let ChronicleCommand::Open { log_id, at } = command;
        match self.log_id {
            None => Ok(vec![ChronicleEvent::ChronicleOpened { log_id, format: FORMAT, at }]),
            Some(_) => Err(Kind::Conflict.into()),
        }
    }

    fn evolve(&mut self, event: &ChronicleEvent) {
        let ChronicleEvent::ChronicleOpened { log_id, format, .. } = event;
        self.log_id = Some(*log_id);
        self.format = *format;
    }
}

impl Personals for ChronicleEvent {
    fn personals(&mut self, _: Visit<'_>) {}
}

aggregate!(Chronicle as "Chronicle", ChronicleCommand, ChronicleEvent {
    ChronicleOpened = "1",
}, ());

#[cfg(test)]
#[path = "chronicle_spec.rs"]
mod spec;
