//! The log: a gapless, durable, ordered history, and what a batch may do to it.
//!
//! [`Log`] is the port; its engines lie beside it. Every engine passes the one contract suite in
//! `tests/contract/`.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use domain::Timestamp;
use domain::aggregate::{DecodeError, Event, Kind, StreamId};
use domain::ids::{ChatId, EventId, PersonId};
use domain::personal::Personals;
use tokio::sync::watch;

use crate::reactions::Reactions;
use crate::snapshots::Snapshots;

pub mod postgres;
mod recent;
pub mod sqlite;

/// The end of the log as somebody knows it. Two heads are the same history if they are equal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Position of the newest event; 0 in an empty log.
    pub position: u64,
    pub event_id: Option<EventId>,
    pub recorded_at: Timestamp,
}

/// One event as it stands in the log: the exact text that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    pub position: u64,
    pub event_id: EventId,
    pub recorded_at: Timestamp,
    pub aggregate_type: String,
    pub aggregate_id: String,
    pub sequence: u64,
    pub event_type: String,
    pub event_version: String,
    pub payload: String,
    pub metadata: String,
}

impl Recorded {
    /// Reads the payload; sealed values are bound to this event so that they can be opened.
    ///
    /// # Errors
    /// An event that this build does not know, or a payload that does not fit.
    pub fn decode(&self) -> Result<Event, DecodeError> {
        let mut event =
            Event::decode(&self.aggregate_type, &self.event_type, &self.event_version, &self.payload)?;
        event.personals(&mut |_, _, field| field.bind(self.event_id));
        Ok(event)
    }

    /// The head of the log when this is its newest event.
    pub fn head(&self) -> Head {
        Head { position: self.position, event_id: Some(self.event_id), recorded_at: self.recorded_at }
    }
}

/// A unique name: its kind with the algorithm's version, and a keyed hash of what is claimed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClaimKey {
    pub kind: String,
    pub key: String,
}

/// From this batch on the claim has this owner; none gives it up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimChange {
    pub claim: ClaimKey,
    pub owner: Option<String>,
    /// Of the event that it goes with.
    pub position: u64,
}

/// Somebody came into a chat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    pub person: PersonId,
    pub chat: String,
    pub position: u64,
}

/// What is written in one transaction, or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Positions follow the fence without a hole.
    pub events: Vec<Recorded>,
    /// The first event id of every command in the batch, of those that write nothing too. If one of
    /// them is in the log already, its command is a repeat and nothing is written.
    pub probes: Vec<EventId>,
    /// At most one a key.
    pub claims: Vec<ClaimChange>,
    pub memberships: Vec<Membership>,
}

/// What became of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Appended {
    /// It is durable.
    Committed,
    /// Nothing was written: the head is another one.
    Fenced,
    /// Nothing was written: these probes are in the log already.
    Repeats(Vec<EventId>),
}

/// A pool of connections as it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    pub name: &'static str,
    /// Connections, idle ones included.
    pub size: u32,
    pub idle: u32,
}

/// Why the log did not do it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LogError {
    /// Nothing was written, and trying again may help (a full disk, a busy engine).
    #[error("the log is not available: {0}")]
    Unavailable(String),
    /// It may have been written or not.
    #[error("the log's answer was lost: {0}")]
    Lost(String),
    /// What is stored is not a log that this build can use.
    #[error("{0}")]
    Corrupt(String),
}

/// The log on one engine. Cheap to share; all methods may be called at once.
#[async_trait]
pub trait Log: Send + Sync + fmt::Debug {
    /// The engine's name, for metrics.
    fn engine(&self) -> &'static str {
        "other"
    }

    /// Its pools of connections, for metrics.
    fn pools(&self) -> Vec<Pool> {
        Vec::new()
    }

    /// The newest event.
    async fn head(&self) -> Result<Head, LogError>;

    /// Writes `batch` if the head equals `fence`, durably before it answers.
    async fn append(&self, fence: Head, batch: Arc<Batch>) -> Result<Appended, LogError>;

    /// Takes the head's lock, so that nobody else appends until it is given back, and reads what
    /// came after `after` (at most `limit` events).
    async fn lock(&self, after: u64, limit: usize) -> Result<Box<dyn LockedLog>, LogError>;

    /// At most `limit` events with a position above `after`, in order.
    async fn read(&self, after: u64, limit: usize) -> Result<Vec<Recorded>, LogError>;

    /// At most `limit` events of one stream with a sequence above `after`, in order, and the head
    /// that was there when they were read.
    async fn stream(
        &self,
        stream: &StreamId,
        after: u64,
        limit: usize,
    ) -> Result<(Vec<Recorded>, Head), LogError>;

    /// One event of a stream, read by key.
    async fn event(&self, stream: &StreamId, sequence: u64) -> Result<Option<Recorded>, LogError>;

    /// The owner of a claim, and the head that was there when it was read.
    async fn claim(&self, claim: &ClaimKey) -> Result<(Option<String>, Head), LogError>;

    /// Chats that both have ever come into, direct ones included, the earliest first; at most `limit`.
    /// Whether they are in them still, their streams say.
    async fn common_chats(
        &self,
        one: PersonId,
        other: PersonId,
        limit: usize,
    ) -> Result<Vec<ChatId>, LogError>;

    /// Events by id; those that are not there are left out.
    async fn by_ids(&self, ids: &[EventId]) -> Result<Vec<Recorded>, LogError>;

    /// Follows the head; it may lag, and never goes back.
    fn watch(&self) -> watch::Receiver<Head>;

    /// Where states of its long streams are kept.
    fn snapshots(&self) -> &dyn Snapshots;

    /// How far reactors have come.
    fn reactions(&self) -> &dyn Reactions;
}

/// The log while its head is locked. Dropping it gives the lock back and writes nothing.
#[async_trait]
pub trait LockedLog: Send {
    /// The head under the lock.
    fn head(&self) -> Head;
    /// What came after the position that was asked for.
    fn delta(&self) -> &[Recorded];
    /// Writes a batch that follows [`Self::head`] and gives the lock back.
    async fn append(self: Box<Self>, batch: Arc<Batch>) -> Result<Appended, LogError>;
}

/// Tells followers of a head that is newer than the one they know.
fn announce(head: &watch::Sender<Head>, seen: Head) {
    head.send_if_modified(|known| {
        let newer = seen.position > known.position;
        if newer {
            *known = seen;
        }
        newer
    });
}

/// Reads the stream's kind and id of a recorded event.
///
/// # Errors
/// An aggregate type that this build does not know.
pub fn stream_of(event: &Recorded) -> Result<StreamId, DecodeError> {
    let kind = Kind::named(&event.aggregate_type).ok_or_else(|| DecodeError::Unknown {
        aggregate_type: event.aggregate_type.clone(),
        event_type: event.event_type.clone(),
        event_version: event.event_version.clone(),
    })?;
    Ok(StreamId { kind, id: event.aggregate_id.clone() })
}
