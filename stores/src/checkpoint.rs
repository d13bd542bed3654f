//! How far a read model has come, kept with its rows.

use domain::Timestamp;
use domain::ids::EventId;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::{Result, StoreError};

/// What a read model's rows are a replay of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The log that was read.
    pub log_id: Uuid,
    /// Which of the port's generations this is.
    pub generation: u64,
    /// Counts writers; an older one is refused.
    pub epoch: u64,
    /// The version of the projection's code that wrote the rows.
    pub code_version: u32,
    /// Everything up to here is in the rows; 0 is nothing.
    pub position: u64,
    /// The event at `position`; `None` at 0.
    pub event_id: Option<EventId>,
}

impl Checkpoint {
    /// Before the first event of a log.
    pub fn start(log_id: Uuid, code_version: u32) -> Self {
        Self { log_id, generation: 1, epoch: 0, code_version, position: 0, event_id: None }
    }

    /// What a new writer goes on from: what is `held`, or `fresh`, under an epoch above both.
    pub(crate) fn taken_over(held: Option<Self>, fresh: Self) -> Self {
        let epoch = held.as_ref().map_or(0, |held| held.epoch).max(fresh.epoch) + 1;
        Self { epoch, ..held.unwrap_or(fresh) }
    }

    /// Refuses this checkpoint where `held` belongs to another writer, or is not at the position
    /// that it `follows`.
    ///
    /// # Errors
    /// [`StoreError::StaleEpoch`], [`StoreError::WentBack`]
    pub(crate) fn supersedes(
        &self,
        engine: &'static str,
        held: Option<&Self>,
        follows: Option<u64>,
    ) -> Result<()> {
        if let Some(held) = held
            && held.epoch != self.epoch
        {
            return Err(StoreError::StaleEpoch { mine: self.epoch, theirs: held.epoch });
        }
        let held = held.map_or(0, |held| held.position);
        match follows {
            Some(expected) if expected != held => Err(StoreError::WentBack { engine, expected, held }),
            _ => Ok(()),
        }
    }
}

/// A stream that a projection passes over from here on, because of an event that it could not apply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parked {
    /// As `Chat/<id>`.
    pub stream: String,
    /// Of the first event that was not applied.
    pub position: u64,
    /// That event's place in its stream.
    pub sequence: u64,
    pub why: String,
    /// When that event was recorded.
    pub since: Timestamp,
}
