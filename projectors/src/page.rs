//! What is read of the log at once, decoded.

use chronicle::log::{Log, Recorded};
use domain::Timestamp;
use domain::aggregate::Kind;
use domain::ids::EventId;

use crate::halt::{Fault, Halt};
use crate::projection::Entry;

/// A stretch of the log without a hole, as one projection reads it.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    /// The last position before it.
    pub after: u64,
    /// Its last position, and the event there.
    pub position: u64,
    pub event_id: EventId,
    /// When its first event was recorded.
    pub begins: Timestamp,
    /// Its events of the aggregates that the projection reads.
    pub entries: Vec<Entry>,
    /// Of their payloads, as the log has them.
    pub bytes: usize,
    /// Those of them, or of unknown aggregates, that cannot be read.
    pub broken: Vec<Broken>,
}

/// An event that cannot be read.
#[derive(Clone, Debug)]
pub(crate) struct Broken {
    pub position: u64,
    pub recorded_at: Timestamp,
    pub aggregate_type: String,
    pub event_type: String,
    pub stream: String,
    pub sequence: u64,
    pub why: String,
}

impl Page {
    /// Decodes what follows `after`; `None` of nothing. Events of aggregates that are not in
    /// `reads` are passed over undecoded.
    ///
    /// # Errors
    /// [`Halt::Hole`]
    pub fn decode(after: u64, recorded: Vec<Recorded>, reads: &[Kind]) -> Result<Option<Self>, Halt> {
        let Some(first) = recorded.first() else { return Ok(None) };
        let mut page = Self {
            after,
            position: after,
            event_id: first.event_id,
            begins: first.recorded_at,
            entries: Vec::with_capacity(recorded.len()),
            bytes: 0,
            broken: Vec::new(),
        };
        for recorded in recorded {
            let (expected, found) = (page.position + 1, recorded.position);
            if found != expected {
                return Err(Halt::Hole { expected, found });
            }
            (page.position, page.event_id) = (found, recorded.event_id);
            if Kind::named(&recorded.aggregate_type).is_none_or(|kind| reads.contains(&kind)) {
                page.bytes += recorded.payload.len();
                match recorded.decode() {
                    Ok(event) => page.entries.push(Entry::of(recorded, event)),
                    Err(error) => page.broken.push(Broken {
                        position: recorded.position,
                        recorded_at: recorded.recorded_at,
                        stream: format!("{}/{}", recorded.aggregate_type, recorded.aggregate_id),
                        aggregate_type: recorded.aggregate_type,
                        event_type: recorded.event_type,
                        sequence: recorded.sequence,
                        why: error.to_string(),
                    }),
                }
            }
        }
        Ok(Some(page))
    }

    /// Reads and decodes at most `limit` events.
    pub async fn read(
        log: &dyn Log,
        after: u64,
        limit: usize,
        reads: &'static [Kind],
    ) -> Result<Option<Self>, Fault> {
        let recorded = log.read(after, limit).await?;
        Ok(Self::decode(after, recorded, reads)?)
    }

    /// Both as one; `next` follows.
    pub fn and(mut self, next: Self) -> Self {
        self.entries.extend(next.entries);
        self.broken.extend(next.broken);
        let bytes = self.bytes + next.bytes;
        Self { position: next.position, event_id: next.event_id, bytes, ..self }
    }
}

/// Whether an event must not be passed over: it takes something away from somebody who would
/// otherwise keep it. Told by its type, so that it is known of events that cannot be read.
pub fn is_vital(aggregate_type: &str, event_type: &str) -> bool {
    match aggregate_type {
        "Session" => matches!(event_type, "SessionRevoked" | "RefreshReuseDetected"),
        // An erasure, whichever aggregate tells of it.
        _ => event_type.ends_with("Erased"),
    }
}
