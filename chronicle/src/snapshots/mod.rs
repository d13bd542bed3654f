//! Snapshots: states of long streams, kept beside the log so that a cold start reads one of them
//! and the few events after it.
//!
//! They are no part of the log: no promise rests on them, no append waits for one, and all of them
//! may be thrown away. One is taken only under the shape that it was written under
//! ([`domain::aggregate::Kind::shape`]), and only if the log still has its event.

mod postgres;
mod sqlite;

use std::fmt;

use async_trait::async_trait;
use domain::aggregate::{State, StreamId};
use domain::ids::EventId;

use crate::log::{Head, Log, LogError, Recorded};

pub use postgres::PostgresSnapshots;
pub use sqlite::SqliteSnapshots;

/// A state is kept whenever its stream has grown by this many events.
pub const EVERY: u64 = 1_000;
/// Events of a stream that are read at once. A stream no longer than this is read without looking
/// for a snapshot.
const PAGE: usize = 256;
/// The same once it is known that there are many.
const LONG_PAGE: usize = 5_000;

/// A state as it was right after one event of its stream. What is personal in it is sealed, as in
/// the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    pub stream: StreamId,
    pub shape: String,
    pub sequence: u64,
    /// Of the event at `sequence`.
    pub event_id: EventId,
    /// JSON.
    pub state: String,
}

/// Keeps one snapshot a stream.
#[async_trait]
pub trait Snapshots: Send + Sync + fmt::Debug {
    /// The snapshot of a stream, if it has this shape.
    ///
    /// # Errors
    /// If the engine does not answer.
    async fn find(&self, stream: &StreamId, shape: &str) -> Result<Option<Snapshot>, LogError>;

    /// Keeps `snapshot` in the place of the stream's other one.
    ///
    /// # Errors
    /// If it can't be written; nobody need care.
    async fn keep(&self, snapshot: Snapshot) -> Result<(), LogError>;
}

/// What a stream adds up to.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub state: State,
    /// Of its newest event; 0 without one.
    pub sequence: u64,
    /// Everything in the log up to here was seen.
    pub head: Head,
    /// What may be kept, where much had to be read.
    pub snapshot: Option<Snapshot>,
}

/// Reads a stream: from its snapshot if it is long and has one, else from the start.
///
/// # Errors
/// If the log can't be read, or holds an event that this build does not know.
pub async fn load(log: &dyn Log, stream: &StreamId) -> Result<Loaded, LogError> {
    let mut adding = Adding { state: stream.kind.initial(), sequence: 0, event_id: None, since: 0 };
    let (events, mut head) = log.stream(stream, 0, PAGE).await?;
    if events.len() < PAGE {
        adding.add(&events)?;
        return Ok(Loaded { state: adding.state, sequence: adding.sequence, head, snapshot: None });
    }
    match usable(log, stream).await {
        Some((state, snapshot)) => {
            adding = Adding {
                state,
                sequence: snapshot.sequence,
                event_id: Some(snapshot.event_id),
                since: snapshot.sequence,
            };
        }
        None => adding.add(&events)?,
    }
    loop {
        let (events, seen) = log.stream(stream, adding.sequence, LONG_PAGE).await?;
        head = seen;
        adding.add(&events)?;
        if events.len() < LONG_PAGE {
            break;
        }
    }
    let Adding { state, sequence, event_id, since } = adding;
    let snapshot = match event_id {
        Some(event_id) if sequence - since >= EVERY => take(stream, &state, sequence, event_id),
        _ => None,
    };
    Ok(Loaded { state, sequence, head, snapshot })
}

/// A state as a snapshot; `None` if it can't be written down, which is nobody's loss.
pub fn take(stream: &StreamId, state: &State, sequence: u64, event_id: EventId) -> Option<Snapshot> {
    match serde_json::to_string(state) {
        Ok(state) => {
            Some(Snapshot { stream: stream.clone(), shape: stream.kind.shape(), sequence, event_id, state })
        }
        Err(error) => {
            tracing::error!(%stream, %error, "a state can't be kept as a snapshot");
            None
        }
    }
}

/// Keeps a snapshot; says so if that fails, and goes on.
pub async fn keep(log: &dyn Log, snapshot: Snapshot) {
    if let Err(error) = log.snapshots().keep(snapshot).await {
        tracing::warn!(%error, "a snapshot was not kept; the next cold start reads more events");
    }
}

/// The stream's snapshot, if it is one of this very history. A snapshot that can't be had costs
/// time and nothing else.
async fn usable(log: &dyn Log, stream: &StreamId) -> Option<(State, Snapshot)> {
    let found = match log.snapshots().find(stream, &stream.kind.shape()).await {
        Ok(found) => found?,
        Err(error) => {
            tracing::warn!(%error, "snapshots can't be read; streams are read from their starts");
            return None;
        }
    };
    let event = log.event(stream, found.sequence).await.ok()??;
    if event.event_id != found.event_id {
        tracing::warn!(%stream, sequence = found.sequence, "a snapshot is of another history; it is passed over");
        return None;
    }
    let state: State = serde_json::from_str(&found.state).ok()?;
    (state.kind() == stream.kind).then_some((state, found))
}

struct Adding {
    state: State,
    sequence: u64,
    event_id: Option<EventId>,
    /// Where the adding began.
    since: u64,
}

impl Adding {
    fn add(&mut self, events: &[Recorded]) -> Result<(), LogError> {
        for event in events {
            if event.sequence != self.sequence + 1 {
                return Err(LogError::Corrupt(format!(
                    "{}/{} goes on with sequence {} after {}",
                    event.aggregate_type, event.aggregate_id, event.sequence, self.sequence
                )));
            }
            self.state.evolve(&event.decode().map_err(|error| LogError::Corrupt(error.to_string()))?);
            self.sequence = event.sequence;
            self.event_id = Some(event.event_id);
        }
        Ok(())
    }
}
