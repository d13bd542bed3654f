//! What every aggregate is: a state, `decide` and `evolve`; and any of them behind one type, so
//! that the write side can hold streams of all kinds side by side.

use serde::{Deserialize, Serialize};
use std::fmt;

use crate::Problem;
use crate::account::{Account, AccountEvent};
use crate::chat::{Chat, ChatEvent};
use crate::chronicle::{Chronicle, ChronicleEvent};
use crate::friendship::{Friendship, FriendshipEvent};
use crate::message::{Message, MessageEvent};
use crate::personal::{Personals, Visit};
use crate::read_marker::{ReadMarker, ReadMarkerEvent};
use crate::session::{Session, SessionEvent};
use crate::user::{User, UserEvent};

/// An aggregate as two pure functions over its state. Its `cqrs_es::Aggregate` only forwards to
/// them.
pub trait Decider: cqrs_es::Aggregate + Clone {
    /// What a decision needs to know of other streams, read from aggregates and never from a
    /// projection.
    type Facts;

    /// The events that `command` means now; none if it changes nothing.
    ///
    /// # Errors
    /// The problem that the person who asked is told.
    fn decide(&self, command: Self::Command, facts: &Self::Facts) -> Result<Vec<Self::Event>, Problem>;

    /// The state after `event`. Never fails: what was written has happened.
    fn evolve(&mut self, event: &Self::Event);
}

/// Implements `cqrs_es::Aggregate` for a [`Decider`] and `cqrs_es::DomainEvent` for its event enum.
macro_rules! aggregate {
    ($state:ident as $type:literal, $command:ty, $event:ident {
        $($variant:ident = $version:literal $(| $older:literal)*),* $(,)?
    }, $facts:ty) => {
        impl cqrs_es::DomainEvent for $event {
            fn event_type(&self) -> String {
                self.type_name().to_owned()
            }
            fn event_version(&self) -> String {
                match self { $(Self::$variant { .. } => $version),* }.to_owned()
            }
        }

        impl $event {
            /// Every event type with the version that is written now.
            pub const TYPES: &'static [(&'static str, &'static str)] = &[$((stringify!($variant), $version)),*];

            /// Every event type with a version that can be read: today's, and those before it, whose
            /// payloads are today's without what was added.
            pub const READABLE: &'static [(&'static str, &'static str)] =
                &[$((stringify!($variant), $version), $((stringify!($variant), $older),)*)*];

            /// The event type as the log has it.
            pub fn type_name(&self) -> &'static str {
                match self { $(Self::$variant { .. } => stringify!($variant)),* }
            }
        }

        impl cqrs_es::Aggregate for $state {
            const TYPE: &'static str = $type;
            type Command = $command;
            type Event = $event;
            type Error = $crate::Problem;
            type Services = $facts;

            async fn handle(
                &mut self,
                command: Self::Command,
                facts: &Self::Services,
                sink: &cqrs_es::event_sink::EventSink<Self>,
            ) -> Result<(), Self::Error> {
                for event in $crate::aggregate::Decider::decide(self, command, facts)? {
                    sink.write(event, self).await;
                }
                Ok(())
            }

            fn apply(&mut self, event: Self::Event) {
                $crate::aggregate::Decider::evolve(self, &event);
            }
        }
    };
}
pub(crate) use aggregate;

/// A stored event that this build cannot read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    #[error(
        "unknown event {aggregate_type}/{event_type} version {event_version}: this log was written by a newer letopis"
    )]
    Unknown { aggregate_type: String, event_type: String, event_version: String },
    #[error("unreadable payload of {aggregate_type}/{event_type}: {source}")]
    Unreadable { aggregate_type: String, event_type: String, source: serde_json::Error },
}

macro_rules! any {
    ($($state:ident, $event:ident, $source:literal;)*) => {
        /// An event of any aggregate.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Event { $($state($event)),* }

        /// A state of any aggregate.
        #[derive(Clone, Debug, Serialize, Deserialize)]
        pub enum State { $($state($state)),* }

        /// The kinds of aggregates.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind { $($state),* }

        impl Kind {
            pub const ALL: &'static [Kind] = &[$(Kind::$state),*];

            /// The aggregate type as the log has it.
            pub fn name(self) -> &'static str {
                match self { $(Self::$state => <$state as cqrs_es::Aggregate>::TYPE),* }
            }

            /// The kind of an aggregate type, if it is ours.
            pub fn named(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|kind| kind.name() == name)
            }

            /// Every event type of this kind with the version that is written now.
            pub fn event_types(self) -> &'static [(&'static str, &'static str)] {
                match self { $(Self::$state => $event::TYPES),* }
            }

            /// Every event type of this kind with each version that can be read.
            pub fn readable(self) -> &'static [(&'static str, &'static str)] {
                match self { $(Self::$state => $event::READABLE),* }
            }

            /// Changes whenever the state may come to look or to be made otherwise: a hash of the
            /// sources that say so. States that are kept are kept under it.
            pub fn shape(self) -> String {
                let hash = match self {
                    $(Self::$state => const { fingerprint(&[include_str!($source), SHARED]) }),*
                };
                format!("{hash:016x}")
            }

            /// The state before the first event.
            pub fn initial(self) -> State {
                match self { $(Self::$state => State::$state($state::default())),* }
            }
        }

        impl Event {
            pub fn kind(&self) -> Kind {
                match self { $(Self::$state(_) => Kind::$state),* }
            }
            /// The event type as the log has it.
            pub fn type_name(&self) -> &'static str {
                match self { $(Self::$state(event) => event.type_name()),* }
            }
            pub fn event_type(&self) -> String {
                self.type_name().to_owned()
            }
            pub fn event_version(&self) -> String {
                match self { $(Self::$state(event) => cqrs_es::DomainEvent::event_version(event)),* }
            }

            /// The payload as it is written: the event's JSON.
            ///
            /// # Errors
            /// If personal data in it is not sealed.
            pub fn encode(&self) -> serde_json::Result<String> {
                match self { $(Self::$state(event) => serde_json::to_string(event)),* }
            }

            /// Reads a stored event; older versions are upcast here.
            ///
            /// # Errors
            /// An unknown aggregate, event or version, or a payload that does not fit.
            pub fn decode(
                aggregate_type: &str,
                event_type: &str,
                event_version: &str,
                payload: &str,
            ) -> Result<Self, DecodeError> {
                let known = Kind::named(aggregate_type)
                    .filter(|kind| kind.readable().contains(&(event_type, event_version)))
                    .ok_or_else(|| DecodeError::Unknown {
                        aggregate_type: aggregate_type.to_owned(),
                        event_type: event_type.to_owned(),
                        event_version: event_version.to_owned(),
                    })?;
                let unreadable = |source| DecodeError::Unreadable {
                    aggregate_type: aggregate_type.to_owned(),
                    event_type: event_type.to_owned(),
                    source,
                };
                let event = match known { $(Kind::$state => serde_json::from_str(payload).map(Self::$state)),* }
                    .map_err(unreadable)?;
                // The payload names its event too. Where they differ, somebody wrote one of them.
                if event.type_name() != event_type {
                    return Err(unreadable(serde::de::Error::custom("the payload is another event")));
                }
                Ok(event)
            }
        }

        impl Personals for Event {
            fn personals(&mut self, visit: Visit<'_>) {
                match self { $(Self::$state(event) => event.personals(visit)),* }
            }
        }

        impl State {
            pub fn kind(&self) -> Kind {
                match self { $(Self::$state(_) => Kind::$state),* }
            }

            /// Applies an event of the same kind; one of another kind is left alone.
            pub fn evolve(&mut self, event: &Event) {
                match (self, event) {
                    $((Self::$state(state), Event::$state(event)) => state.evolve(event),)*
                    (state, event) => debug_assert!(false, "{:?} met {:?}", state.kind(), event.kind()),
                }
            }
        }

        $(
            impl Any for $state {
                const KIND: Kind = Kind::$state;
                fn of(state: &State) -> Option<&Self> {
                    match state { State::$state(state) => Some(state), _ => None }
                }
                fn event(event: Self::Event) -> Event {
                    Event::$state(event)
                }
            }
        )*
    };
}

/// What the states of several aggregates are made of.
const SHARED: &str = concat!(
    include_str!("ids.rs"),
    include_str!("personal.rs"),
    include_str!("timestamp.rs"),
    include_str!("views.rs")
);

/// FNV-1a over `sources`: it tells versions of our own files apart and withstands nobody.
const fn fingerprint(sources: &[&str]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut source = 0;
    while source < sources.len() {
        let bytes = sources[source].as_bytes();
        let mut byte = 0;
        while byte < bytes.len() {
            hash = (hash ^ bytes[byte] as u64).wrapping_mul(0x0000_0100_0000_01b3);
            byte += 1;
        }
        source += 1;
    }
    hash
}

/// An aggregate that [`State`] and [`Event`] can hold.
pub trait Any: Decider + 'static {
    const KIND: Kind;
    fn of(state: &State) -> Option<&Self>;
    fn event(event: Self::Event) -> Event;
}

any! {
    Account, AccountEvent, "account.rs";
    Session, SessionEvent, "session.rs";
    User, UserEvent, "user.rs";
    Friendship, FriendshipEvent, "friendship.rs";
    Chat, ChatEvent, "chat.rs";
    Message, MessageEvent, "message.rs";
    ReadMarker, ReadMarkerEvent, "read_marker.rs";
    Chronicle, ChronicleEvent, "chronicle.rs";
}

/// Names one stream of events.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    pub kind: Kind,
    pub id: String,
}

impl StreamId {
    pub fn of<A: Any>(id: impl fmt::Display) -> Self {
        Self { kind: A::KIND, id: id.to_string() }
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.name(), self.id)
    }
}

impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The state that `events` lead to.
pub fn replay<'a, A: Decider>(events: impl IntoIterator<Item = &'a A::Event>) -> A
where
    A::Event: 'a,
{
    let mut state = A::default();
    for event in events {
        state.evolve(event);
    }
    state
}

/// States read from JSON are what they were, whatever holds them.
#[cfg(test)]
pub(crate) fn survives_json<S: Serialize + serde::de::DeserializeOwned + PartialEq + fmt::Debug>(state: &S) {
    let json = serde_json::to_string(state).expect("a state serialises");
    assert_eq!(&serde_json::from_str::<S>(&json).expect("and is read back"), state);
}
