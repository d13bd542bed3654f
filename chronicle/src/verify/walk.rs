//! The log by position: one event after the other, each seen once.

use std::collections::HashMap;

use domain::Timestamp;
use domain::account::AccountEvent;
use domain::aggregate::{Event, StreamId};
use domain::chat::ChatEvent;
use domain::chronicle::{ChronicleEvent, FORMAT};
use domain::friendship::FriendshipEvent;
use domain::ids::{Pair, message_stream_id, read_marker_id};
use domain::personal::Personals;
use domain::session::SessionEvent;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::RESTORE;
use super::claims::Expected;
use super::report::{Check, Faults};
use crate::format::Metadata;
use crate::keys::{Keyring, OpenError, Place};
use crate::log::{Head, LogError, Recorded, stream_of};

/// What is remembered of a stream: how many events it has, and a running hash of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub count: u64,
    /// The highest sequence.
    pub last: u64,
    pub digest: [u8; 16],
    /// An event of it can't be read, so that there is nothing to compare.
    pub broken: bool,
}

/// The running hash after one more event, in the form in which any reader has it.
pub(super) fn digest(
    before: [u8; 16],
    event_type: &str,
    version: &str,
    payload: &str,
    metadata: &str,
) -> [u8; 16] {
    let mut hash = Sha256::new_with_prefix(before);
    for part in [event_type, version, payload, metadata] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let mut short = [0; 16];
    short.copy_from_slice(&hash.finalize()[..16]);
    short
}

/// What a chat's messages have come to.
#[derive(Clone, Copy, Debug, Default)]
struct Numbers {
    last: u64,
    sent_at: Timestamp,
}

/// The walk's state; bounded by streams and people.
pub(super) struct Walk<'k> {
    keys: Option<&'k Keyring>,
    log_id: Option<Uuid>,
    last: Head,
    events: u64,
    streams: HashMap<StreamId, Seen>,
    numbers: HashMap<String, Numbers>,
    messages: u64,
    opened: u64,
    destroyed: u64,
    expected: Expected,
    positions: Faults,
    chronicle: Faults,
    times: Faults,
    ids: Faults,
    sequences: Faults,
    payloads: Faults,
    places: Faults,
    numbered: Faults,
    sealed: Faults,
}

/// What the walk comes to.
pub(super) struct Walked {
    pub log_id: Option<Uuid>,
    pub events: u64,
    pub streams: HashMap<StreamId, Seen>,
    pub checks: Vec<Check>,
}

impl<'k> Walk<'k> {
    pub fn new(keys: Option<&'k Keyring>) -> Self {
        Self {
            keys,
            log_id: None,
            last: Head::default(),
            events: 0,
            streams: HashMap::new(),
            numbers: HashMap::new(),
            messages: 0,
            opened: 0,
            destroyed: 0,
            expected: Expected::default(),
            positions: Faults::default(),
            chronicle: Faults::default(),
            times: Faults::default(),
            ids: Faults::default(),
            sequences: Faults::default(),
            payloads: Faults::default(),
            places: Faults::default(),
            numbered: Faults::default(),
            sealed: Faults::default(),
        }
    }

    /// Everything up to here was taken.
    pub fn position(&self) -> u64 {
        self.last.position
    }

    /// The next event.
    ///
    /// # Errors
    /// If the key store can't be read; what is wrong with the event is noted.
    pub fn take(&mut self, event: &Recorded) -> Result<(), LogError> {
        let position = event.position;
        self.events += 1;
        match position.saturating_sub(self.last.position) {
            1 => {}
            2 => self.positions.add(format!("position {} is missing", position - 1)),
            _ => self.positions.add(format!(
                "positions {} to {} are missing",
                self.last.position + 1,
                position - 1
            )),
        }
        if event.recorded_at < self.last.recorded_at {
            let (before, now) = (self.last.recorded_at.0, event.recorded_at.0);
            self.times
                .add(format!("position {position} was recorded at {now}, and the one before at {before}"));
        }
        self.last = event.head();
        let metadata = Metadata::decode(&event.metadata);
        match &metadata {
            Ok(known) if known.event_id() == Some(event.event_id) => {}
            Ok(_) => self.ids.add(format!("position {position} has an event_id that its key does not give")),
            Err(_) => {
                self.ids.add(format!("position {position} has metadata that are no flat object of strings"))
            }
        }
        let stream = match stream_of(event) {
            Ok(stream) => stream,
            Err(error) => {
                self.payloads.add(format!("position {position}: {error}"));
                return Ok(());
            }
        };
        self.sequence(event, &stream);
        let decoded = event.decode().map_err(|error| error.to_string()).and_then(|decoded| {
            let payload = decoded.encode().map_err(|error| error.to_string())?;
            Ok((decoded, payload))
        });
        let (mut decoded, payload) = match decoded {
            Ok(decoded) => decoded,
            Err(error) => {
                self.payloads.add(format!("position {position}: {error}"));
                self.streams.entry(stream).or_default().broken = true;
                return Ok(());
            }
        };
        let metadata = metadata.map(|known| known.encode()).unwrap_or_default();
        let seen = self.streams.entry(stream.clone()).or_default();
        seen.digest = digest(seen.digest, &event.event_type, &event.event_version, &payload, &metadata);
        if position == 1 {
            self.first(event, &decoded);
        } else if matches!(decoded, Event::Chronicle(ChronicleEvent::ChronicleOpened { .. })) {
            self.chronicle.add(format!("position {position} opens a chronicle once more"));
        }
        if !says_its_stream(&decoded, &stream.id) {
            self.places.add(format!("position {position} speaks of another than its stream {stream}"));
        }
        self.number(position, &decoded);
        self.open(event, &mut decoded)?;
        self.expected.take(self.keys.zip(self.log_id()), event, &decoded)
    }

    /// The log's id; where event 1 does not say it, the keys do.
    fn log_id(&self) -> Option<Uuid> {
        self.log_id.or(self.keys.map(Keyring::log_id))
    }

    fn first(&mut self, event: &Recorded, decoded: &Event) {
        match decoded {
            Event::Chronicle(ChronicleEvent::ChronicleOpened { log_id, format, .. }) => {
                self.log_id = Some(*log_id);
                if event.aggregate_id != log_id.to_string() {
                    self.chronicle.add("event 1 lies in the stream of another log");
                }
                if *format > FORMAT {
                    self.chronicle
                        .add(format!("format {format} is newer than this letopis, which knows {FORMAT}"));
                }
                if let Some(keys) = self.keys.filter(|keys| keys.log_id() != *log_id) {
                    self.chronicle.add(format!("the keys at hand are of log {}", keys.log_id()));
                }
            }
            _ => self.chronicle.add(format!("event 1 is a {}, and opens no chronicle", event.event_type)),
        }
    }

    fn sequence(&mut self, event: &Recorded, stream: &StreamId) {
        let (position, sequence) = (event.position, event.sequence);
        let seen = self.streams.entry(stream.clone()).or_default();
        let expected = seen.last + 1;
        if sequence != expected {
            self.sequences.add(format!(
                "position {position} is number {sequence} of {stream}, where {expected} belongs"
            ));
        }
        seen.count += 1;
        // What follows a gap is judged by itself.
        seen.last = sequence.max(seen.last);
    }

    /// Messages are numbered without a hole, and their time never falls.
    fn number(&mut self, position: u64, decoded: &Event) {
        let Event::Chat(ChatEvent::MessageSent { chat, number, sent_at, .. }) = decoded else { return };
        self.messages += 1;
        let known = self.numbers.entry(chat.to_string()).or_default();
        if *number != known.last + 1 {
            let expected = known.last + 1;
            self.numbered.add(format!(
                "position {position} is message {number} of its chat, where {expected} belongs"
            ));
        }
        if *sent_at < known.sent_at {
            self.numbered.add(format!("position {position} was sent before the message before it"));
        }
        *known = Numbers { last: *number, sent_at: *sent_at };
    }

    /// Every sealed value opens where it lies: whoever moved or changed it had not the key.
    fn open(&mut self, event: &Recorded, decoded: &mut Event) -> Result<(), LogError> {
        let Some((keys, log_id)) = self.keys.zip(self.log_id()) else { return Ok(()) };
        let mut failed = None;
        decoded.personals(&mut |field, _, personal| {
            let Some(token) = personal.token() else { return };
            let place = Place {
                log_id,
                aggregate_type: &event.aggregate_type,
                aggregate_id: &event.aggregate_id,
                event_id: event.event_id,
                field,
            };
            match keys.open(&place, token) {
                Ok(_) => self.opened += 1,
                Err(OpenError::Destroyed) => self.destroyed += 1,
                Err(OpenError::Unreadable) => {
                    self.sealed.add(format!("position {}: {field} does not open here", event.position));
                }
                Err(OpenError::Store(error)) => failed = Some(error),
            }
        });
        match failed {
            Some(error) => Err(LogError::Unavailable(error.to_string())),
            None => Ok(()),
        }
    }

    /// What it comes to when `head` is what the head's row says.
    pub fn finish(mut self, head: Head, doubled: &[String]) -> (Walked, Expected) {
        if self.log_id.is_none() && self.chronicle.is_empty() {
            self.chronicle.add("no readable event 1 opens a chronicle");
        }
        let mut heads = Faults::default();
        if head != self.last {
            heads.add(format!(
                "the head's row says {}, and the last event is {}",
                said(head),
                said(self.last)
            ));
        }
        for id in doubled {
            self.ids.add(format!("event_id {id} stands more than once"));
        }
        let events = self.events;
        let counted = |what: &str| format!("{events} {what}");
        let sealed = match self.keys {
            None => Check::unchecked("sealed values", "no keys at hand"),
            Some(_) => {
                let counted =
                    format!("{} opened, {} of people whose keys were destroyed", self.opened, self.destroyed);
                self.sealed.check("sealed values", counted, RESTORE)
            }
        };
        let checks = vec![
            self.chronicle.check("chronicle", "event 1 opens the chronicle", RESTORE),
            self.positions.check("positions", format!("1 to {}", self.last.position), RESTORE),
            heads.check("head", said(self.last), RESTORE),
            self.times.check("times", counted("times that never fall"), RESTORE),
            self.ids.check("event ids", counted("ids, each its key's"), RESTORE),
            self.sequences.check("sequences", format!("{} streams", self.streams.len()), RESTORE),
            self.payloads.check("payloads", counted("events decode"), RESTORE),
            self.places.check("places", counted("events in the stream they speak of"), RESTORE),
            self.numbered.check("numbers", format!("{} messages", self.messages), RESTORE),
            sealed,
        ];
        let walked = Walked { log_id: self.log_id, events, streams: self.streams, checks };
        (walked, self.expected)
    }
}

fn said(head: Head) -> String {
    match head.event_id {
        Some(id) => format!("position {} ({id})", head.position),
        None => format!("position {}", head.position),
    }
}

/// Whether an event names the aggregate in whose stream it lies.
fn says_its_stream(event: &Event, id: &str) -> bool {
    let pair = |a, b| Pair::of(a, b).is_some_and(|pair| pair.to_string() == id);
    match event {
        Event::Account(
            AccountEvent::AccountRegistered { person, .. } | AccountEvent::PasswordChanged { person, .. },
        ) => person.to_string() == id,
        Event::User(event) => event.person().to_string() == id,
        Event::Session(
            SessionEvent::SessionStarted { session, .. }
            | SessionEvent::SessionRefreshed { session, .. }
            | SessionEvent::RefreshReuseDetected { session, .. }
            | SessionEvent::SessionRevoked { session, .. },
        ) => session.to_string() == id,
        Event::Friendship(event) => match *event {
            FriendshipEvent::FriendRequested { from, to, .. } => pair(from, to),
            FriendshipEvent::FriendAccepted { by, from, .. }
            | FriendshipEvent::FriendDeclined { by, from, .. } => pair(by, from),
            FriendshipEvent::FriendRemoved { by, other, .. }
            | FriendshipEvent::PersonBlocked { by, other, .. }
            | FriendshipEvent::PersonUnblocked { by, other, .. } => pair(by, other),
        },
        Event::Chat(event) => event.chat().to_string() == id,
        Event::Message(event) => {
            let (chat, number) = event.place();
            message_stream_id(chat, number) == id
        }
        Event::ReadMarker(event) => {
            let (chat, person) = event.place();
            read_marker_id(chat, person) == id
        }
        Event::Chronicle(ChronicleEvent::ChronicleOpened { log_id, .. }) => log_id.to_string() == id,
    }
}
