//! What a command's closure works with: the committer's world in the domain's terms.

use std::sync::Arc;

use cqrs_es::Aggregate;
use domain::Problem;
use domain::aggregate::{Any, DecodeError, Event, StreamId};
use domain::ids::{EventId, PersonId};
use domain::personal::Personals;
use domain::problem::Kind;
use uuid::Uuid;

use crate::committer::World;
use crate::executor::{Envelope, Halt, Letopis};
use crate::format::{LARGEST_LEAF, Metadata, event_id};
use crate::keys::{Keyring, Place};
use crate::log::{ClaimKey, Recorded};

/// What surrounds payload and metadata in a leaf takes at most this many bytes.
const LEAF_MARGIN: usize = 600;

/// An event as it will be written.
#[derive(Debug)]
pub struct Write {
    pub event_id: EventId,
    /// Sealed.
    pub event: Event,
    pub payload: String,
    pub metadata: String,
}

impl Write {
    /// What somebody else has written.
    pub(crate) fn of(recorded: &Recorded) -> Result<Self, DecodeError> {
        Ok(Self {
            event_id: recorded.event_id,
            event: recorded.decode()?,
            payload: recorded.payload.clone(),
            metadata: recorded.metadata.clone(),
        })
    }

    /// Who comes into which chat with it.
    pub(crate) fn membership(&self) -> Option<(Vec<PersonId>, String)> {
        let Event::Chat(event) = &self.event else { return None };
        let newcomers = event.newcomers();
        (!newcomers.is_empty()).then(|| (newcomers, event.chat().to_string()))
    }
}

/// Reads aggregates and decides. See [`crate::executor`].
#[derive(Debug)]
pub struct Ledger<'a, 'w> {
    world: &'a mut World<'w, Letopis>,
    envelope: &'a Envelope,
    request: &'a str,
    log_id: Uuid,
    keyring: &'a Keyring,
}

impl<'a, 'w> Ledger<'a, 'w> {
    pub(crate) fn new(
        world: &'a mut World<'w, Letopis>,
        envelope: &'a Envelope,
        request: &'a str,
        log_id: Uuid,
        keyring: &'a Keyring,
    ) -> Self {
        Self { world, envelope, request, log_id, keyring }
    }

    /// The state of an aggregate, with what this command has appended so far.
    ///
    /// # Errors
    /// [`Halt`]: pass it on; the closure runs again when the stream was read.
    pub fn read<A: Any>(&mut self, id: impl std::fmt::Display) -> Result<&A, Halt> {
        let state = self.world.state(&StreamId::of::<A>(id))?;
        A::of(state).ok_or_else(|| Kind::Internal.into())
    }

    /// Decides `command` on the aggregate's state and appends what it comes to.
    ///
    /// # Errors
    /// [`Halt`]: refused, or something is to be read first.
    pub fn decide<A: Any>(
        &mut self,
        id: impl std::fmt::Display,
        command: <A as Aggregate>::Command,
        facts: &A::Facts,
    ) -> Result<(), Halt> {
        let stream = StreamId::of::<A>(id);
        let state = self.world.state(&stream)?;
        let events = A::of(state).ok_or(Problem::new(Kind::Internal))?.decide(command, facts)?;
        for event in events {
            let write = self.seal(&stream, A::event(event))?;
            self.world.append(stream.clone(), Arc::new(write))?;
        }
        Ok(())
    }

    /// Who owns a claim.
    ///
    /// # Errors
    /// [`Halt`]: pass it on.
    pub fn claim(&mut self, kind: &str, value: &str) -> Result<Option<String>, Halt> {
        let claim = self.claim_key(kind, value);
        Ok(self.world.claim(&claim)?.cloned())
    }

    /// Gives a claim its owner, or gives it up with `None`; written with this command's events.
    ///
    /// # Errors
    /// [`Halt`]: pass it on.
    pub fn set_claim(&mut self, kind: &str, value: &str, owner: Option<String>) -> Result<(), Halt> {
        let claim = self.claim_key(kind, value);
        self.world.set_claim(claim, owner)
    }

    /// Something for the answer of a command that changes nothing.
    pub fn note(&mut self, note: impl ToString) {
        self.world.note(note.to_string());
    }

    fn claim_key(&self, kind: &str, value: &str) -> ClaimKey {
        ClaimKey { kind: kind.to_owned(), key: self.keyring.claim_key(kind, value) }
    }

    fn seal(&self, stream: &StreamId, mut event: Event) -> Result<Write, Problem> {
        let Envelope { scope, key, operation, actor, session, correlation, .. } = self.envelope;
        let ordinal = self.world.appended() as u32;
        let scope = scope.to_string();
        let event_id = event_id(&scope, *key, ordinal);
        let mut failed = None;
        event.personals(&mut |field, subject, personal| {
            let Some(plaintext) = personal.clear() else { return };
            let place = Place {
                log_id: self.log_id,
                aggregate_type: stream.kind.name(),
                aggregate_id: &stream.id,
                event_id,
                field,
            };
            match self.keyring.seal(&place, subject, &plaintext) {
                Ok(token) => personal.seal(token, event_id),
                Err(error) => failed = Some(error),
            }
        });
        if let Some(error) = failed {
            tracing::error!(%error, operation, "sealing failed");
            return Err(Kind::Unavailable.into());
        }
        let mut metadata = Metadata::default();
        metadata.set("actor", *actor);
        metadata.set("correlation", Some(correlation));
        metadata.set("key", Some(key));
        metadata.set("operation", Some(operation));
        metadata.set("ordinal", Some(ordinal));
        metadata.set("request", Some(self.request));
        metadata.set("scope", Some(scope));
        metadata.set("session", *session);
        let metadata = metadata.encode();
        let payload = event.encode().map_err(|error| {
            tracing::error!(%error, operation, "an event can't be written");
            Problem::new(Kind::Internal)
        })?;
        if payload.len() + metadata.len() + LEAF_MARGIN > LARGEST_LEAF {
            return Err(Problem::new(Kind::TooLarge).detail("an event takes at most 65,535 bytes"));
        }
        Ok(Write { event_id, event, payload, metadata })
    }
}
