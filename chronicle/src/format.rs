//! What surrounds an event's payload in the log: its id, its metadata, its largest size.

use std::collections::BTreeMap;

use domain::ids::{EventId, PersonId, SessionId};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid, Version};

/// The largest leaf of the transparency log, in bytes; a larger event is refused.
pub const LARGEST_LEAF: usize = 65_535;

/// Whose Idempotency-Keys they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    Person(PersonId),
    /// Of a command without a person, as `register`.
    Operation(&'static str),
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Person(person) => person.fmt(f),
            Self::Operation(operation) => f.write_str(operation),
        }
    }
}

/// The id of event number `ordinal` (from 0) of the command with this key: a UUIDv8 from SHA-256
/// that keeps the 48 time bits of a UUIDv7 key, so that ids lie in the index near their time.
pub fn event_id(scope: &str, key: Uuid, ordinal: u32) -> EventId {
    let hash = Sha256::digest(format!("letopis-event/1\n{scope}\n{key}\n{ordinal}\n"));
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    if key.get_version() == Some(Version::SortRand) {
        bytes[..6].copy_from_slice(&key.as_bytes()[..6]);
    }
    EventId(Builder::from_custom_bytes(bytes).into_uuid())
}

/// An event's metadata: a flat JSON object of strings with sorted keys, as cqrs-es reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Metadata(BTreeMap<String, String>);

impl Metadata {
    /// Sets `name`, or leaves it out if there is no value.
    pub fn set(&mut self, name: &str, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.0.insert(name.to_owned(), value.to_string());
        }
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Reads the text that [`Self::encode`] wrote.
    ///
    /// # Errors
    /// Anything but a flat object of strings.
    pub fn decode(text: &str) -> serde_json::Result<Self> {
        serde_json::from_str(text)
    }

    pub fn encode(&self) -> String {
        serde_json::to_string(&self.0).expect("a map of strings is JSON")
    }

    pub fn session(&self) -> Option<SessionId> {
        self.get("session").and_then(|id| id.parse().ok())
    }

    /// The id that the event with this metadata must have.
    pub fn event_id(&self) -> Option<EventId> {
        let key = self.get("key")?.parse().ok()?;
        Some(event_id(self.get("scope")?, key, self.get("ordinal")?.parse().ok()?))
    }
}

/// The lines of an event's leaf in the transparency log.
pub fn leaf(log_id: Uuid, event: &crate::log::Recorded) -> String {
    format!(
        "letopis/1\n{log_id}\n{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}\n",
        event.position,
        event.event_id,
        event.recorded_at.0,
        event.aggregate_type,
        event.aggregate_id,
        event.sequence,
        event.event_type,
        event.event_version,
        event.metadata,
        event.payload,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_id_keeps_the_time_of_its_key_and_nothing_else() {
        let key: Uuid = "0193543c-2b00-7abc-8def-0123456789ab".parse().expect("a UUIDv7");
        let (first, second) = (event_id("register", key, 0), event_id("register", key, 1));
        assert_eq!(first.0.as_bytes()[..6], key.as_bytes()[..6]);
        assert_eq!(first.0.get_version(), Some(Version::Custom));
        assert_ne!(first, second);
        assert_ne!(first, event_id("authorize", key, 0));
        assert_eq!(first, event_id("register", key, 0));
        // Written once, true for ever: a changed algorithm would forget every key.
        assert_eq!(first.to_string(), "0193543c-2b00-8750-870d-ce0ac55bee62");
    }

    #[test]
    fn metadata_is_a_flat_object_with_sorted_keys() {
        let mut metadata = Metadata::default();
        metadata.set("session", Some("s"));
        metadata.set("actor", Some("a"));
        metadata.set("causation", None::<String>);
        assert_eq!(metadata.encode(), r#"{"actor":"a","session":"s"}"#);
    }
}
