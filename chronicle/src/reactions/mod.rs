//! How far reactors have come. A reactor does something outside when it reads an event (makes sizes
//! of a picture, sends a mail), so what it has done belongs to the log and is never rebuilt.
//!
//! One process runs a reactor, under an epoch; another takes it over once that one is silent. A
//! crash between doing and writing it down does it once more, so reactions must bear that.

mod postgres;
mod sqlite;

use std::fmt;

use async_trait::async_trait;
use domain::ids::EventId;
use uuid::Uuid;

use crate::log::{Head, LogError};

pub use postgres::PostgresReactions;
pub use sqlite::SqliteReactions;

/// How far a reactor has come, and who runs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reacted {
    /// Everything up to here was reacted to.
    pub position: u64,
    /// The event at `position`; `None` at 0.
    pub event_id: Option<EventId>,
    /// Rises with everybody who takes it over.
    pub epoch: u64,
    /// Rises while the holder lives.
    pub beat: u64,
    /// Nil where nobody runs it.
    pub holder: Uuid,
}

/// Keeps one row a reactor, in the log's database.
#[async_trait]
pub trait Reactions: Send + Sync + fmt::Debug {
    /// How far `reactor` has come; `None` if it is new.
    ///
    /// # Errors
    /// If the engine does not answer; so with the others.
    async fn of(&self, reactor: &str) -> Result<Option<Reacted>, LogError>;

    /// Makes `holder` the one who runs `reactor`, under a higher epoch. A new reactor begins at
    /// `head`.
    async fn take_over(&self, reactor: &str, holder: Uuid, head: Head) -> Result<Reacted, LogError>;

    /// Writes down that everything up to `position` was reacted to. False if another holder has
    /// taken over: then nothing is written.
    async fn reacted(
        &self,
        reactor: &str,
        epoch: u64,
        position: u64,
        event_id: EventId,
    ) -> Result<bool, LogError>;

    /// Says that the holder of `epoch` lives, or that it lets go. False as above.
    async fn beat(&self, reactor: &str, epoch: u64, lets_go: bool) -> Result<bool, LogError>;
}
