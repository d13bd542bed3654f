//! The committing task: does the committer's I/O against one log.

use std::collections::HashMap;
use std::sync::Arc;

use domain::aggregate::{State, StreamId};
use domain::ids::EventId;
use tokio::sync::{mpsc, oneshot};

use super::{Letopis, Order};
use crate::clock::Clock;
use crate::committer::{Answer, Committer, FAR_BEHIND, Foreign, Need, Output, Proposal, Ticket, Written};
use crate::ledger::Write;
use crate::log::{
    Appended, Batch, ClaimChange, ClaimKey, Head, LockedLog, Log, LogError, Membership, Recorded, stream_of,
};
use crate::metrics;
use crate::snapshots::{self, Loaded, Snapshot};

/// Streams that the committer keeps.
const MOST_STREAMS: usize = 50_000;
/// Commands that may wait to be taken in.
const INBOX: usize = 4_096;
/// Snapshots that may wait to be kept.
const UNKEPT: usize = 64;

/// What the task is told.
pub(super) enum Input {
    Submit(Order, oneshot::Sender<Answer<Letopis>>),
    Peek(StreamId, oneshot::Sender<Option<State>>),
    StreamRead(StreamId, Result<Loaded, LogError>),
    ClaimRead(ClaimKey, Result<(Option<String>, Head), LogError>),
    Locked(Result<Locked, LogError>),
    Appended(Written),
}

pub(super) struct Locked {
    log: Box<dyn LockedLog>,
    delta: Vec<Foreign<Letopis>>,
    complete: bool,
}

/// Starts the task at the log's head. It ends when the last sender is gone and what was queued is
/// written.
///
/// # Errors
/// If the head can't be read.
pub(super) async fn start(
    log: Arc<dyn Log>,
    clock: Arc<dyn Clock>,
) -> Result<(mpsc::Sender<Input>, tokio::task::JoinHandle<()>), LogError> {
    let committer = Committer::new(log.head().await?, MOST_STREAMS);
    let (inbox, inputs) = mpsc::channel(INBOX);
    let task = Task {
        committer,
        keeper: keeper(log.clone()),
        log,
        clock,
        back: inbox.downgrade(),
        waiting: HashMap::new(),
        tickets: 0,
        locked: None,
        grown: Vec::new(),
        metrics: metrics::Committing::default(),
    };
    Ok((inbox, tokio::spawn(task.run(inputs))))
}

/// Keeps snapshots beside everything else, in the order they come: this process replaces no later one of a stream by an
/// earlier one.
fn keeper(log: Arc<dyn Log>) -> mpsc::Sender<Snapshot> {
    let (sender, mut snapshots) = mpsc::channel(UNKEPT);
    tokio::spawn(async move {
        while let Some(snapshot) = snapshots.recv().await {
            snapshots::keep(&*log, snapshot).await;
        }
    });
    sender
}

struct Task {
    committer: Committer<Letopis>,
    keeper: mpsc::Sender<Snapshot>,
    log: Arc<dyn Log>,
    clock: Arc<dyn Clock>,
    back: mpsc::WeakSender<Input>,
    waiting: HashMap<Ticket, oneshot::Sender<Answer<Letopis>>>,
    tickets: u64,
    locked: Option<Box<dyn LockedLog>>,
    /// What the batch under way makes large enough to be kept.
    grown: Vec<Grown>,
    metrics: metrics::Committing,
}

/// A stream, and sequence and id of its last event in a batch.
type Grown = (StreamId, u64, EventId);

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
            self.metrics.note(self.committer.backlog() + inputs.len(), self.committer.tally());
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
                // Another process may have written what the cache does not show yet: then the log is read.
                let current = self.log.watch().borrow().position <= self.committer.head().position;
                let state = self.committer.durable(&stream).filter(|_| current);
                // Whoever asked may have gone; that is nobody's loss.
                let _ = sender.send(state.map(|(state, _)| state.clone()));
            }
            Input::StreamRead(stream, Ok(Loaded { state, sequence, head, snapshot })) => {
                self.keep(snapshot);
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
            Input::Appended(written) => {
                let grown = std::mem::take(&mut self.grown);
                let committed = matches!(written, Written::Committed(_));
                self.committer.appended(written);
                if committed {
                    self.keep_grown(grown);
                }
            }
        }
    }

    fn act(&mut self, output: Output<Letopis>) {
        match output {
            Output::Answer(tickets, answer) => self.tell(tickets, answer),
            Output::ReadStream(stream) => self.spawn(|log| async move {
                let read = snapshots::load(&*log, &stream).await;
                Input::StreamRead(stream, read)
            }),
            Output::ReadClaim(claim) => self.spawn(|log| async move {
                let read = log.claim(&claim).await;
                Input::ClaimRead(claim, read)
            }),
            Output::Append(proposal) => {
                let (batch, head) = self.batch(&proposal);
                let size = metrics::Size::of(&proposal);
                self.spawn(move |log| async move {
                    let append = log.append(proposal.fence, batch);
                    Input::Appended(written(metrics::appending(log.engine(), size, append).await, head))
                });
            }
            Output::AppendLocked(proposal) => {
                let (batch, head) = self.batch(&proposal);
                let locked = self.locked.take();
                let size = metrics::Size::of(&proposal);
                self.spawn(move |log| async move {
                    let appended = match locked {
                        Some(locked) => metrics::appending(log.engine(), size, locked.append(batch)).await,
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

    /// Has a snapshot kept. One that is not costs the next cold start time and nothing else.
    fn keep(&self, snapshot: Option<Snapshot>) {
        if let Some(snapshot) = snapshot
            && self.keeper.try_send(snapshot).is_err()
        {
            tracing::debug!("a snapshot is not kept: others wait before it");
        }
    }

    /// Keeps the streams that have grown by a batch that was written.
    fn keep_grown(&self, grown: Vec<Grown>) {
        for (stream, last, event_id) in grown {
            if let Some((state, sequence)) = self.committer.durable(&stream)
                && sequence == last
            {
                self.keep(snapshots::take(&stream, state, sequence, event_id));
            }
        }
    }

    /// Gives the proposal its positions and its time.
    fn batch(&mut self, proposal: &Proposal<Letopis>) -> (Arc<Batch>, Head) {
        let fence = proposal.fence;
        let recorded_at = self.clock.now().max(fence.recorded_at);
        let mut batch = Batch { probes: proposal.probes.clone(), ..Batch::default() };
        for (position, draft) in (fence.position + 1..).zip(&proposal.events) {
            let write = &draft.event;
            if let Some((newcomers, chat)) = write.membership() {
                batch.memberships.extend(newcomers.into_iter().map(|person| Membership {
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
        self.grown = grown(proposal);
        (Arc::new(batch), head)
    }
}

/// The streams that pass a multiple of [`snapshots::EVERY`] in `proposal`.
fn grown(proposal: &Proposal<Letopis>) -> Vec<Grown> {
    let passes = |sequence: u64| sequence.is_multiple_of(snapshots::EVERY);
    let mut grown = Vec::new();
    for draft in proposal.events.iter().filter(|draft| passes(draft.sequence)) {
        let last = proposal.events.iter().rfind(|last| last.stream == draft.stream).unwrap_or(draft);
        grown.push((draft.stream.clone(), last.sequence, last.event.event_id));
    }
    grown
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
