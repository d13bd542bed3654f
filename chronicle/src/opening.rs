//! Opening a log: writing its first event in an empty one, checking it in any other.

use std::sync::Arc;

use domain::aggregate::{Any, Decider, Event, StreamId, replay};
use domain::chronicle::{Chronicle, ChronicleCommand, ChronicleEvent, FORMAT};
use domain::{Problem, Timestamp};
use uuid::Uuid;

use crate::format::{Metadata, event_id};
use crate::log::{Appended, Batch, Head, Log, LogError, Recorded};

/// What keeps a log from being opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenLogError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("this log has format {found}, and this letopis knows {FORMAT}: use a newer letopis")]
    NewerFormat { found: u32 },
    #[error("event 1 does not open a chronicle: this is not a letopis log")]
    NotALog,
    #[error("the chronicle can't be opened: {0}")]
    Refused(#[from] Problem),
}

/// The id of the log in `log`, if it has its first event.
///
/// # Errors
/// A newer format, or a first event that is not a chronicle's.
pub async fn log_id(log: &dyn Log) -> Result<Option<Uuid>, OpenLogError> {
    let Some(first) = log.read(0, 1).await?.into_iter().next() else { return Ok(None) };
    // The format is read before anything else of the event: a newer one may look otherwise.
    let payload: serde_json::Value =
        serde_json::from_str(&first.payload).map_err(|_| OpenLogError::NotALog)?;
    if let Some(found) = payload.pointer("/ChronicleOpened/format").and_then(serde_json::Value::as_u64)
        && found > u64::from(FORMAT)
    {
        return Err(OpenLogError::NewerFormat { found: u32::try_from(found).unwrap_or(u32::MAX) });
    }
    match first.decode() {
        Ok(Event::Chronicle(ChronicleEvent::ChronicleOpened { log_id, .. })) if first.position == 1 => {
            Ok(Some(log_id))
        }
        _ => Err(OpenLogError::NotALog),
    }
}

/// Writes event 1 of a new log. If another process was faster, its log id is the one.
///
/// # Errors
/// If the log can't be written.
pub async fn open_chronicle(log: &dyn Log, new_id: Uuid, at: Timestamp) -> Result<Uuid, OpenLogError> {
    if let Some(log_id) = log_id(log).await? {
        return Ok(log_id);
    }
    let chronicle = Chronicle::default();
    let events = chronicle.decide(ChronicleCommand::Open { log_id: new_id, at }, &())?;
    let stream = StreamId::of::<Chronicle>(new_id);
    debug_assert_eq!(replay::<Chronicle>(&events).log_id, Some(new_id));
    let mut batch = Batch::default();
    for (ordinal, event) in (0_u32..).zip(events) {
        let event = Chronicle::event(event);
        let mut metadata = Metadata::default();
        metadata.set("key", Some(new_id));
        metadata.set("operation", Some("open"));
        metadata.set("ordinal", Some(ordinal));
        metadata.set("scope", Some("open"));
        batch.events.push(Recorded {
            position: u64::from(ordinal) + 1,
            event_id: event_id("open", new_id, ordinal),
            recorded_at: at,
            aggregate_type: stream.kind.name().to_owned(),
            aggregate_id: stream.id.clone(),
            sequence: u64::from(ordinal) + 1,
            event_type: event.event_type(),
            event_version: event.event_version(),
            payload: event.encode().map_err(|_| OpenLogError::NotALog)?,
            metadata: metadata.encode(),
        });
    }
    match log.append(Head::default(), Arc::new(batch)).await? {
        Appended::Committed => Ok(new_id),
        Appended::Fenced | Appended::Repeats(_) => log_id(log).await?.ok_or(OpenLogError::NotALog),
    }
}
