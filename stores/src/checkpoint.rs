//! How far a read model has come, kept with its rows.

use async_trait::async_trait;
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
    /// Counts rebuilds.
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

    /// Refuses this checkpoint where `held` belongs to a newer writer.
    ///
    /// # Errors
    /// [`StoreError::StaleEpoch`]
    pub(crate) fn supersedes(&self, held: Option<&Self>) -> Result<()> {
        match held {
            Some(held) if held.epoch > self.epoch => {
                Err(StoreError::StaleEpoch { mine: self.epoch, theirs: held.epoch })
            }
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

/// The side of a port that a projection writes to.
#[async_trait]
pub trait ReadModel: Send + Sync {
    /// What an event changes in the rows. Each carries the event's position, holds absolute
    /// values, and does nothing to a row that a later position has changed.
    type Change: Clone + Send + Sync + 'static;

    /// What the rows show now; `None` before the first writer.
    async fn checkpoint(&self) -> Result<Option<Checkpoint>>;

    /// Makes the caller the one writer: raises the epoch and answers the checkpoint to go on
    /// from, or `fresh` with epoch 1 where there is none.
    async fn take_over(&self, fresh: Checkpoint) -> Result<Checkpoint>;

    /// Puts the changes, in their order, and the checkpoint in one transaction.
    ///
    /// # Errors
    /// [`StoreError::StaleEpoch`] where another writer has taken over; nothing is written then.
    async fn write(&self, changes: Vec<Self::Change>, checkpoint: Checkpoint) -> Result<()>;

    /// Throws every row away and puts `checkpoint` in the place of the one held.
    ///
    /// # Errors
    /// [`StoreError::StaleEpoch`]
    async fn reset(&self, checkpoint: Checkpoint) -> Result<()>;
}
