//! The executor: runs the committer against a log.
//!
//! A handler describes a command as an [`Envelope`] and a closure over a [`Ledger`]; the closure
//! reads aggregates, decides and thereby appends. It may run several times, so it has no effects of
//! its own. What it appends is sealed before it is evolved, written in one batch with whatever else
//! is queued, and answered when it is durable.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use domain::aggregate::{Any, Event, State, StreamId};
use domain::ids::{EventId, PersonId, SessionId};
use domain::problem::Kind;
use domain::{Problem, Timestamp};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use crate::clock::Clock;
use crate::committer::{
    Answer, Command, Committer, FAR_BEHIND, Foreign, Halt as AnyHalt, Model, Need, Output, Proposal, Ticket,
    World, Written,
};
use crate::format::{Metadata, Scope, event_id};
use crate::keys::Keyring;
use crate::ledger::{Ledger, Write};
use crate::log::{
    Appended, Batch, ClaimChange, ClaimKey, Head, LockedLog, Log, LogError, Membership, Recorded, stream_of,
};

/// Streams that the committer keeps.
const MOST_STREAMS: usize = 50_000;
/// Commands that may wait to be taken in.
const INBOX: usize = 4_096;

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
        (self.decide)(&mut ledger)
    }
}

enum Input {
    Submit(Order, oneshot::Sender<Answer<Letopis>>),
    Peek(StreamId, oneshot::Sender<Option<State>>),
    StreamRead(StreamId, Result<(State, u64, Head), LogError>),
    ClaimRead(ClaimKey, Result<(Option<String>, Head), LogError>),
    Locked(Result<Locked, LogError>),
    Appended(Written),
}

struct Locked {
    log: Box<dyn LockedLog>,
    delta: Vec<Foreign<Letopis>>,
    complete: bool,
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
        let head = log.head().await?;
        let (inbox, inputs) = mpsc::channel(INBOX);
        let task = Task {
            committer: Committer::new(head, MOST_STREAMS),
            log: log.clone(),
            clock: clock.clone(),
            back: inbox.downgrade(),
            waiting: HashMap::new(),
            tickets: 0,
            locked: None,
        };
        let running = tokio::spawn(task.run(inputs));
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
        let scope = envelope.scope.to_string();
        let key = envelope.key;
        let first_event = event_id(&scope, key, 0);
        let mut hashed = Vec::with_capacity(envelope.request.len() + 32);
        hashed.extend_from_slice(envelope.operation.as_bytes());
        hashed.push(b'\n');
        hashed.extend_from_slice(&envelope.request);
        let request = self.keyring.request_hmac(&hashed);
        let order = Order {
            envelope,
            first_event,
            request: request.clone(),
            log_id: self.log_id,
            keyring: self.keyring.clone(),
            decide: Box::new(decide),
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
            None => load(&*self.log, &stream).await.map_err(unavailable)?.0,
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

/// Reads a stream and adds it up.
async fn load(log: &dyn Log, stream: &StreamId) -> Result<(State, u64, Head), LogError> {
    let (events, head) = log.stream(stream, 0).await?;
    let mut state = stream.kind.initial();
    for event in &events {
        state.evolve(&event.decode().map_err(|error| LogError::Corrupt(error.to_string()))?);
    }
    Ok((state, events.last().map_or(0, |event| event.sequence), head))
}

struct Task {
    committer: Committer<Letopis>,
    log: Arc<dyn Log>,
    clock: Arc<dyn Clock>,
    back: mpsc::WeakSender<Input>,
    waiting: HashMap<Ticket, oneshot::Sender<Answer<Letopis>>>,
    tickets: u64,
    locked: Option<Box<dyn LockedLog>>,
}

impl Task {
    async fn run(mut self, mut inputs: mpsc::Receiver<Input>) {
        // Inputs that are there already are taken in before a batch is made.
        const AT_ONCE: usize = 256;
        let mut taken = Vec::with_capacity(AT_ONCE);
        while inputs.recv_many(&mut taken, AT_ONCE).await > 0 {
            for input in taken.drain(..) {
                self.take(input);
            }
            while let Some(output) = self.committer.poll() {
                self.act(output);
            }
        }
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::Submit(order, sender) => {
                self.tickets += 1;
                let ticket = Ticket(self.tickets);
                self.waiting.insert(ticket, sender);
                self.committer.submit(ticket, order);
            }
            Input::Peek(stream, sender) => {
                // Whoever asked may have gone; that is nobody's loss.
                let _ = sender.send(self.committer.durable(&stream).cloned());
            }
            Input::StreamRead(stream, Ok((state, sequence, head))) => {
                self.committer.stream_read(stream, head.position, state, sequence);
            }
            Input::StreamRead(stream, Err(error)) => {
                tracing::warn!(%error, "a stream can't be read");
                self.committer.read_failed(&Need::Stream(stream));
            }
            Input::ClaimRead(claim, Ok((owner, head))) => {
                self.committer.claim_read(claim, head.position, owner)
            }
            Input::ClaimRead(claim, Err(error)) => {
                tracing::warn!(%error, "a claim can't be read");
                self.committer.read_failed(&Need::Claim(claim));
            }
            Input::Locked(Ok(locked)) => {
                self.committer.locked(locked.log.head(), &locked.delta, locked.complete);
                self.locked = Some(locked.log);
            }
            Input::Locked(Err(error)) => {
                tracing::warn!(%error, "the log's lock can't be taken");
                self.committer.failed();
            }
            Input::Appended(written) => self.committer.appended(written),
        }
    }

    fn act(&mut self, output: Output<Letopis>) {
        match output {
            Output::Answer(tickets, answer) => self.tell(tickets, answer),
            Output::ReadStream(stream) => self.spawn(|log| async move {
                let read = load(&*log, &stream).await;
                Input::StreamRead(stream, read)
            }),
            Output::ReadClaim(claim) => self.spawn(|log| async move {
                let read = log.claim(&claim).await;
                Input::ClaimRead(claim, read)
            }),
            Output::Append(proposal) => {
                let (batch, head) = self.batch(&proposal);
                self.spawn(move |log| async move {
                    Input::Appended(written(log.append(proposal.fence, batch).await, head))
                });
            }
            Output::AppendLocked(proposal) => {
                let (batch, head) = self.batch(&proposal);
                let locked = self.locked.take();
                self.spawn(move |_| async move {
                    let appended = match locked {
                        Some(locked) => locked.append(batch).await,
                        None => Ok(Appended::Fenced),
                    };
                    Input::Appended(written(appended, head))
                });
            }
            Output::Lock { after } => {
                self.spawn(move |log| async move { Input::Locked(lock(&*log, after).await) })
            }
            Output::Unlock => self.locked = None,
        }
    }

    fn tell(&mut self, mut tickets: Vec<Ticket>, answer: Answer<Letopis>) {
        let last = tickets.pop();
        for ticket in tickets {
            let copy = match &answer {
                Answer::Done { position, events, note } => {
                    Answer::Done { position: *position, events: events.clone(), note: note.clone() }
                }
                Answer::Refused(problem) => Answer::Refused(problem.clone()),
                Answer::Repeat(first) => Answer::Repeat(*first),
            };
            self.send(ticket, copy);
        }
        if let Some(ticket) = last {
            self.send(ticket, answer);
        }
    }

    fn send(&mut self, ticket: Ticket, answer: Answer<Letopis>) {
        if let Some(sender) = self.waiting.remove(&ticket) {
            // A client that hung up does not undo what was written.
            let _ = sender.send(answer);
        }
    }

    fn spawn<F>(&self, work: impl FnOnce(Arc<dyn Log>) -> F)
    where
        F: Future<Output = Input> + Send + 'static,
    {
        let work = work(self.log.clone());
        let Some(back) = self.back.upgrade() else { return };
        tokio::spawn(async move {
            // Holding the inbox open until the answer is in: what was begun is finished.
            let input = work.await;
            let _ = back.send(input).await;
        });
    }

    /// Gives the proposal its positions and its time.
    fn batch(&self, proposal: &Proposal<Letopis>) -> (Arc<Batch>, Head) {
        let fence = proposal.fence;
        let recorded_at = self.clock.now().max(fence.recorded_at);
        let mut batch = Batch { probes: proposal.probes.clone(), ..Batch::default() };
        for (position, draft) in (fence.position + 1..).zip(&proposal.events) {
            let write = &draft.event;
            if let Some((person, chat)) = write.membership() {
                batch.memberships.extend(person.map(|person| Membership {
                    person,
                    chat: chat.clone(),
                    position,
                }));
            }
            batch.events.push(Recorded {
                position,
                event_id: write.event_id,
                recorded_at,
                aggregate_type: draft.stream.kind.name().to_owned(),
                aggregate_id: draft.stream.id.clone(),
                sequence: draft.sequence,
                event_type: write.event.event_type(),
                event_version: write.event.event_version(),
                payload: write.payload.clone(),
                metadata: write.metadata.clone(),
            });
        }
        batch.claims = proposal
            .claims
            .iter()
            .map(|(claim, with, owner)| ClaimChange {
                claim: claim.clone(),
                owner: owner.clone(),
                position: fence.position + 1 + *with as u64,
            })
            .collect();
        let head = batch.events.last().map_or(fence, Recorded::head);
        (Arc::new(batch), head)
    }
}

fn written(appended: Result<Appended, LogError>, head: Head) -> Written {
    match appended {
        Ok(Appended::Committed) => Written::Committed(head),
        Ok(Appended::Fenced) => Written::Fenced,
        Ok(Appended::Repeats(ids)) => Written::Repeats(ids),
        Err(LogError::Lost(error)) => {
            tracing::warn!(error, "a batch's answer was lost");
            Written::Lost
        }
        Err(error) => {
            tracing::warn!(%error, "a batch was not written");
            Written::Unavailable
        }
    }
}

async fn lock(log: &dyn Log, after: u64) -> Result<Locked, LogError> {
    let log = log.lock(after, FAR_BEHIND + 1).await?;
    let complete = log.delta().len() <= FAR_BEHIND;
    let mut delta = Vec::new();
    if complete {
        for event in log.delta() {
            let corrupt = |error: domain::aggregate::DecodeError| LogError::Corrupt(error.to_string());
            delta.push(Foreign {
                stream: stream_of(event).map_err(corrupt)?,
                sequence: event.sequence,
                event: Arc::new(Write::of(event).map_err(corrupt)?),
            });
        }
    }
    Ok(Locked { log, delta, complete })
}
