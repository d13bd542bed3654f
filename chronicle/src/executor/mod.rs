//! The executor: runs the committer against a log.
//!
//! A handler describes a command as an [`Envelope`] and a closure over a [`Ledger`]; the closure
//! reads aggregates, decides and thereby appends. It may run several times, so it has no effects of
//! its own. What it appends is sealed before it is evolved, written in one batch with whatever else
//! is queued, and answered when it is durable.

mod task;

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use domain::aggregate::{Any, Event, State, StreamId};
use domain::ids::{EventId, PersonId, SessionId};
use domain::problem::Kind;
use domain::{Problem, Timestamp};
use tokio::sync::{mpsc, oneshot};
use tracing::Instrument;
use uuid::Uuid;

use crate::clock::Clock;
use crate::committer::{Answer, Command, Halt as AnyHalt, Model, World};
use crate::format::{Metadata, Scope, event_id};
use crate::keys::Keyring;
use crate::ledger::{Ledger, Write};
use crate::log::{ClaimKey, Log, LogError, Recorded};
use crate::metrics;
use crate::snapshots;
use task::Input;

/// The product's side of the committer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Letopis {}

/// Why a decision stopped.
pub type Halt = AnyHalt<Letopis>;

impl Model for Letopis {
    type Stream = StreamId;
    type State = State;
    type Event = Arc<Write>;
    type Command = Order;

    fn initial(stream: &StreamId) -> State {
        stream.kind.initial()
    }
    fn evolve(state: &mut State, write: &Arc<Write>) {
        state.evolve(&write.event);
    }
    fn event_id(write: &Arc<Write>) -> EventId {
        write.event_id
    }
}

/// Everything about a command but what it does; fixed when it arrives.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// Whose Idempotency-Key it is.
    pub scope: Scope,
    pub operation: &'static str,
    pub actor: Option<PersonId>,
    pub session: Option<SessionId>,
    pub key: Uuid,
    /// The request's body; only its keyed hash is kept.
    pub request: Vec<u8>,
    /// The id of the HTTP request.
    pub correlation: String,
    pub at: Timestamp,
}

/// What a command came to.
#[derive(Clone, Debug)]
pub struct Done {
    /// Of its last event, or what it looked at if it changed nothing.
    pub position: u64,
    /// Its events, sealed, in order. The answer to a client is made of these alone, so that a
    /// repeat gets the same one.
    pub events: Vec<Event>,
    /// What the closure noted, of a command that changed nothing.
    pub note: Option<String>,
    /// Whether these events were written for an earlier request with the same key.
    pub repeated: bool,
}

type Decide = Box<dyn Fn(&mut Ledger<'_, '_>) -> Result<(), Halt> + Send + Sync>;

/// A command as the committer has it.
pub struct Order {
    envelope: Envelope,
    first_event: EventId,
    request: String,
    log_id: Uuid,
    keyring: Keyring,
    decide: Decide,
    /// Of the request, so that what is said while deciding bears its id.
    span: tracing::Span,
}

impl fmt::Debug for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Order").field("operation", &self.envelope.operation).finish_non_exhaustive()
    }
}

impl Command<Letopis> for Order {
    fn first_event(&self) -> EventId {
        self.first_event
    }
    fn request(&self) -> &str {
        &self.request
    }
    fn decide(&self, world: &mut World<'_, Letopis>) -> Result<(), Halt> {
        let mut ledger = Ledger::new(world, &self.envelope, &self.request, self.log_id, &self.keyring);
        self.span.in_scope(|| (self.decide)(&mut ledger))
    }
}

/// Takes commands. Cheap to clone.
#[derive(Clone)]
pub struct Executor {
    inbox: mpsc::Sender<Input>,
    log: Arc<dyn Log>,
    log_id: Uuid,
    keyring: Keyring,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executor").field("log", &self.log).finish_non_exhaustive()
    }
}

impl Executor {
    /// Starts the committing task at the log's head. It ends when the last handle is dropped and
    /// what was queued is written.
    ///
    /// # Errors
    /// If the head can't be read.
    pub async fn start(
        log: Arc<dyn Log>,
        log_id: Uuid,
        keyring: Keyring,
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, tokio::task::JoinHandle<()>), LogError> {
        let (inbox, running) = task::start(log.clone(), clock.clone()).await?;
        Ok((Self { inbox, log, log_id, keyring, clock }, running))
    }

    pub fn log_id(&self) -> Uuid {
        self.log_id
    }
    pub fn log(&self) -> &Arc<dyn Log> {
        &self.log
    }
    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Decides and writes, or finds what was written under the same key before.
    ///
    /// # Errors
    /// What the decision refused; `key-reused`; `unavailable` when the log can't be written. After
    /// `unavailable` the same request with the same key is safe.
    pub async fn execute(
        &self,
        envelope: Envelope,
        decide: impl Fn(&mut Ledger<'_, '_>) -> Result<(), Halt> + Send + Sync + 'static,
    ) -> Result<Done, Problem> {
        let (operation, began) = (envelope.operation, Instant::now());
        let span = tracing::debug_span!("command", operation);
        let done = self.run(envelope, Box::new(decide)).instrument(span).await;
        metrics::command(operation, &done, began);
        done
    }

    async fn run(&self, envelope: Envelope, decide: Decide) -> Result<Done, Problem> {
        let scope = envelope.scope.to_string();
        let key = envelope.key;
        let first_event = event_id(&scope, key, 0);
        let request = self.request_of(&envelope);
        let order = Order {
            envelope,
            first_event,
            request: request.clone(),
            log_id: self.log_id,
            keyring: self.keyring.clone(),
            decide,
            span: tracing::Span::current(),
        };
        let (sender, answer) = oneshot::channel();
        self.inbox.send(Input::Submit(order, sender)).await.map_err(|_| stopping())?;
        match answer.await.map_err(|_| stopping())? {
            Answer::Done { position, events, note } => Ok(Done {
                position,
                events: events.into_iter().map(|write| write.event.clone()).collect(),
                note,
                repeated: false,
            }),
            Answer::Refused(problem) => Err(problem),
            Answer::Repeat(_) => self.recall(&scope, key, &request).await,
        }
    }

    fn request_of(&self, envelope: &Envelope) -> String {
        let mut hashed = Vec::with_capacity(envelope.request.len() + 32);
        hashed.extend_from_slice(envelope.operation.as_bytes());
        hashed.push(b'\n');
        hashed.extend_from_slice(&envelope.request);
        self.keyring.request_hmac(&hashed)
    }

    /// What was written under the envelope's key before, for whoever would do something expensive
    /// first.
    ///
    /// # Errors
    /// `key-reused`; `unavailable` when the log can't be read.
    pub async fn repeated(&self, envelope: &Envelope) -> Result<Option<Done>, Problem> {
        let scope = envelope.scope.to_string();
        let first = event_id(&scope, envelope.key, 0);
        if self.log.by_ids(&[first]).await.map_err(unavailable)?.is_empty() {
            return Ok(None);
        }
        self.recall(&scope, envelope.key, &self.request_of(envelope)).await.map(Some)
    }

    /// What was written under this key.
    async fn recall(&self, scope: &str, key: Uuid, request: &str) -> Result<Done, Problem> {
        const AT_ONCE: u32 = 8;
        let mut recorded: Vec<Recorded> = Vec::new();
        loop {
            let from = recorded.len() as u32;
            let ids: Vec<EventId> =
                (from..from + AT_ONCE).map(|ordinal| event_id(scope, key, ordinal)).collect();
            let found = self.log.by_ids(&ids).await.map_err(unavailable)?;
            let complete = found.len() < ids.len();
            recorded.extend(found);
            if complete {
                break;
            }
        }
        recorded.sort_by_key(|event| event.position);
        let (Some(first), Some(last)) = (recorded.first(), recorded.last()) else {
            return Err(Kind::Unavailable.into());
        };
        let metadata = Metadata::decode(&first.metadata).map_err(|_| Problem::new(Kind::Internal))?;
        if metadata.get("request") != Some(request) {
            return Err(Kind::KeyReused.into());
        }
        let position = last.position;
        let events = recorded.iter().map(Recorded::decode).collect::<Result<_, _>>().map_err(|error| {
            tracing::error!(%error, "a recorded command can't be read");
            Problem::new(Kind::Internal)
        })?;
        Ok(Done { position, events, note: None, repeated: true })
    }

    /// The durable state of an aggregate.
    ///
    /// # Errors
    /// `unavailable` when the log can't be read.
    pub async fn state<A: Any>(&self, id: impl fmt::Display) -> Result<A, Problem> {
        let stream = StreamId::of::<A>(id);
        let (sender, answer) = oneshot::channel();
        self.inbox.send(Input::Peek(stream.clone(), sender)).await.map_err(|_| stopping())?;
        let state = match answer.await.map_err(|_| stopping())? {
            Some(state) => state,
            None => snapshots::load(&*self.log, &stream).await.map_err(unavailable)?.state,
        };
        Ok(A::of(&state).cloned().unwrap_or_default())
    }

    /// Who owns a claim, as the log has it.
    ///
    /// # Errors
    /// `unavailable` when the log can't be read.
    pub async fn claim(&self, kind: &str, value: &str) -> Result<Option<String>, Problem> {
        let claim = ClaimKey { kind: kind.to_owned(), key: self.keyring.claim_key(kind, value) };
        Ok(self.log.claim(&claim).await.map_err(unavailable)?.0)
    }
}

fn stopping() -> Problem {
    Problem::new(Kind::Unavailable).detail("this server is stopping")
}

fn unavailable(error: LogError) -> Problem {
    tracing::warn!(%error, "the log can't be read");
    Problem::new(Kind::Unavailable)
}
