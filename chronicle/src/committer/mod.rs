//! The committer: a state machine that decides commands in order and writes them in batches.
//!
//! It does no I/O and reads no clock: [`Committer::poll`] says what is to be done, and the other
//! methods tell it what came of that. So a seeded simulation can drive two of them against one
//! model log (`tests/simulation.rs`), and `crate::executor` drives one against a real log.
//!
//! What it relies on:
//! - the cache is durable state, and an overlay of what queued commands will have written. A command
//!   is decided on the overlay and answered when its batch is durable;
//! - a batch is fenced by the head that the committer believes in. If that is still the head, then
//!   nothing else was written since, and every decision in the batch still holds;
//! - the believed head moves only when every event up to it was applied to the cache;
//! - a stream or claim that is read from the log is taken only if the reading saw every foreign
//!   event that was applied already. Own events can't be missed: a stream that isn't cached has none
//!   under way.

mod cache;
mod protocol;
mod world;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use domain::Problem;
use domain::ids::EventId;
use domain::problem::Kind;

use crate::log::{ClaimKey, Head};
use cache::Cache;
pub use protocol::{Answer, Command, Draft, Foreign, Model, Output, Proposal, Tally, Ticket, Written};
pub use world::{Halt, Need, World};

/// At most this many commands in a batch: more gain little and lengthen the tail.
pub const LARGEST_BATCH: usize = 300;
/// After a failed fence this many batches that met no stranger are written lock-first.
pub const LOCKED_BATCHES: u32 = 50;
/// Behind by more events than this, the cache is dropped instead of being brought up to date.
pub const FAR_BEHIND: usize = 10_000;
/// A lost batch is sent again this often before the lock settles what became of it.
const RESENDS: u32 = 3;
/// A command is decided again this often before it is answered with a conflict.
const MOST_DECISIONS: u32 = 100;

#[derive(Debug)]
struct Entry<M: Model> {
    tickets: Vec<Ticket>,
    command: M::Command,
    decisions: u32,
    decided: Decided<M>,
}

/// What deciding a command led to, and what that rests on.
#[derive(Debug)]
struct Decided<M: Model> {
    outcome: Result<Option<String>, Problem>,
    drafts: Vec<Draft<M>>,
    claims: Vec<(ClaimKey, Option<String>)>,
    reads: Vec<M::Stream>,
    claim_reads: Vec<ClaimKey>,
}

impl<M: Model> Default for Decided<M> {
    fn default() -> Self {
        Self {
            outcome: Ok(None),
            drafts: Vec::new(),
            claims: Vec::new(),
            reads: Vec::new(),
            claim_reads: Vec::new(),
        }
    }
}

/// Streams and claims that are no longer what some decision read.
#[derive(Debug)]
struct Touched<M: Model> {
    streams: HashSet<M::Stream>,
    claims: HashSet<ClaimKey>,
    all_claims: bool,
}

impl<M: Model> Default for Touched<M> {
    fn default() -> Self {
        Self { streams: HashSet::new(), claims: HashSet::new(), all_claims: false }
    }
}

impl<M: Model> Touched<M> {
    fn add(&mut self, decided: &Decided<M>) {
        self.streams.extend(decided.drafts.iter().map(|draft| draft.stream.clone()));
        self.claims.extend(decided.claims.iter().map(|(claim, _)| claim.clone()));
    }

    fn concerns(&self, decided: &Decided<M>) -> bool {
        decided.reads.iter().any(|stream| self.streams.contains(stream))
            || decided.drafts.iter().any(|draft| self.streams.contains(&draft.stream))
            || (self.all_claims && !decided.claim_reads.is_empty())
            || decided.claim_reads.iter().any(|claim| self.claims.contains(claim))
    }
}

#[derive(Debug)]
enum Phase<M: Model> {
    Idle,
    /// The first `entries` of the queue are being written.
    Writing {
        proposal: Arc<Proposal<M>>,
        entries: usize,
        locked: bool,
        sent: u32,
    },
    Locking,
    /// The lock is held, and the next batch goes under it.
    Locked,
}

/// The state machine. See the module's text.
#[derive(Debug)]
pub struct Committer<M: Model> {
    head: Head,
    cache: Cache<M>,
    queue: VecDeque<Entry<M>>,
    waiting: Vec<(Need<M>, Entry<M>)>,
    reading: HashSet<Need<M>>,
    /// First event ids of the commands in `queue` and `waiting`.
    under_way: HashSet<EventId>,
    /// Position up to which foreign events were applied.
    foreign_horizon: u64,
    phase: Phase<M>,
    /// Batches still to be written lock-first.
    lock_first: u32,
    /// Batches lost under the lock since the last that was written.
    lost_locked: u32,
    outputs: VecDeque<Output<M>>,
    tally: Tally,
}

impl<M: Model> Committer<M> {
    /// Starts at `head` with nothing cached; keeps about `most_streams` streams.
    pub fn new(head: Head, most_streams: usize) -> Self {
        Self {
            head,
            cache: Cache::new(most_streams),
            queue: VecDeque::new(),
            waiting: Vec::new(),
            reading: HashSet::new(),
            under_way: HashSet::new(),
            foreign_horizon: head.position,
            phase: Phase::Idle,
            lock_first: 0,
            lost_locked: 0,
            outputs: VecDeque::new(),
            tally: Tally::default(),
        }
    }

    /// The head it believes in.
    pub fn head(&self) -> Head {
        self.head
    }

    /// What it has done more than once so far.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// How many commands are queued or wait for a read.
    pub fn backlog(&self) -> usize {
        self.queue.len() + self.waiting.len()
    }

    /// The durable state of a cached stream, and its sequence.
    pub fn durable(&self, stream: &M::Stream) -> Option<(&M::State, u64)> {
        self.cache.durable(stream)
    }

    /// Takes a command. The same command under way already shares its answer.
    pub fn submit(&mut self, ticket: Ticket, command: M::Command) {
        let first = command.first_event();
        if self.under_way.insert(first) {
            self.decide(Entry { tickets: vec![ticket], command, decisions: 0, decided: Decided::default() });
            return;
        }
        let entries = self.queue.iter_mut().chain(self.waiting.iter_mut().map(|(_, entry)| entry));
        for entry in entries {
            if entry.command.first_event() == first && entry.command.request() == command.request() {
                entry.tickets.push(ticket);
                return;
            }
        }
        self.outputs.push_back(Output::Answer(vec![ticket], Answer::Refused(Kind::KeyReused.into())));
    }

    /// What is to be done now; `None` until something new is told.
    pub fn poll(&mut self) -> Option<Output<M>> {
        if self.outputs.is_empty() {
            self.advance();
        }
        self.outputs.pop_front()
    }

    fn advance(&mut self) {
        match self.phase {
            Phase::Idle if self.queue.is_empty() => {}
            Phase::Idle if self.lock_first > 0 => {
                self.phase = Phase::Locking;
                self.outputs.push_back(Output::Lock { after: self.head.position });
            }
            Phase::Idle => {
                let proposal = self.write(false);
                self.outputs.push_back(Output::Append(proposal));
            }
            Phase::Locked if self.queue.is_empty() => {
                self.phase = Phase::Idle;
                self.outputs.push_back(Output::Unlock);
            }
            Phase::Locked => {
                let proposal = self.write(true);
                self.outputs.push_back(Output::AppendLocked(proposal));
            }
            Phase::Locking | Phase::Writing { .. } => {}
        }
    }

    fn write(&mut self, locked: bool) -> Arc<Proposal<M>> {
        let entries = self.queue.len().min(LARGEST_BATCH);
        let mut proposal =
            Proposal { fence: self.head, events: Vec::new(), claims: Vec::new(), probes: Vec::new() };
        let mut claims: HashMap<ClaimKey, (usize, Option<String>)> = HashMap::new();
        for entry in self.queue.iter().take(entries) {
            proposal.probes.push(entry.command.first_event());
            proposal.events.extend(entry.decided.drafts.iter().cloned());
            let with = proposal.events.len().saturating_sub(1);
            for (claim, owner) in &entry.decided.claims {
                claims.insert(claim.clone(), (with, owner.clone()));
            }
        }
        proposal.claims = claims.into_iter().map(|(claim, (with, owner))| (claim, with, owner)).collect();
        proposal.claims.sort_by(|a, b| a.0.cmp(&b.0));
        let proposal = Arc::new(proposal);
        self.phase = Phase::Writing { proposal: proposal.clone(), entries, locked, sent: 1 };
        proposal
    }

    /// What became of the batch under way.
    pub fn appended(&mut self, written: Written) {
        let Phase::Writing { proposal, entries, locked, sent } =
            std::mem::replace(&mut self.phase, Phase::Idle)
        else {
            debug_assert!(false, "nothing is being written");
            return;
        };
        match written {
            Written::Committed(head) => {
                self.lost_locked = 0;
                if locked {
                    self.lock_first = self.lock_first.saturating_sub(1);
                }
                self.committed(entries, head);
            }
            // Under the lock the fence can't fail but by a lost lock; both are settled by locking.
            Written::Fenced => self.lock_first = LOCKED_BATCHES,
            Written::Repeats(ids) => self.repeated(&ids),
            Written::Unavailable => self.give_up(entries),
            // Nor is it settled by the lock: whoever waits is told, and may ask again under the key.
            Written::Lost if locked && self.lost_locked >= RESENDS => {
                self.lost_locked = 0;
                self.lock_first = LOCKED_BATCHES;
                self.give_up(entries);
            }
            Written::Lost if locked || sent > RESENDS => {
                self.lost_locked += u32::from(locked);
                self.lock_first = LOCKED_BATCHES;
            }
            Written::Lost => {
                self.tally.resends += 1;
                self.outputs.push_back(Output::Append(proposal.clone()));
                self.phase = Phase::Writing { proposal, entries, locked, sent: sent + 1 };
            }
        }
    }

    fn committed(&mut self, entries: usize, head: Head) {
        let mut position = self.head.position;
        self.head = head;
        for entry in self.queue.drain(..entries).collect::<Vec<_>>() {
            let Entry { tickets, command, decided, .. } = entry;
            position += decided.drafts.len() as u64;
            self.cache.make_durable(&decided.drafts, &decided.claims);
            let answer = match decided.outcome {
                Err(problem) => Answer::Refused(problem),
                Ok(note) => Answer::Done {
                    position: if decided.drafts.is_empty() { head.position } else { position },
                    events: decided.drafts.into_iter().map(|draft| draft.event).collect(),
                    note,
                },
            };
            self.answer(tickets, command.first_event(), answer);
        }
        debug_assert_eq!(position, head.position, "a committed batch ends at the head");
    }

    fn repeated(&mut self, ids: &[EventId]) {
        let ids: HashSet<EventId> = ids.iter().copied().collect();
        self.rebase(Touched::default(), |entry| {
            let first = entry.command.first_event();
            ids.contains(&first).then_some(Answer::Repeat(first))
        });
    }

    fn give_up(&mut self, entries: usize) {
        let mut left = entries;
        self.rebase(Touched::default(), |_| {
            let gone = left > 0;
            left = left.saturating_sub(1);
            gone.then(|| Answer::Refused(Kind::Unavailable.into()))
        });
    }

    /// The lock was taken: `delta` is what came after the believed head, `head` is the head now.
    /// With `complete` false there is more than [`FAR_BEHIND`] of it, and `delta` is not used.
    pub fn locked(&mut self, head: Head, delta: &[Foreign<M>], complete: bool) {
        debug_assert!(matches!(self.phase, Phase::Locking), "the lock was not asked for");
        self.phase = Phase::Locked;
        if head == self.head {
            return;
        }
        self.lock_first = LOCKED_BATCHES;
        let mut touched = Touched { all_claims: true, ..Touched::default() };
        let mut settled = HashSet::new();
        if complete {
            for foreign in delta {
                touched.streams.insert(foreign.stream.clone());
                settled.insert(M::event_id(&foreign.event));
                self.cache.apply_foreign(foreign);
            }
            self.cache.forget_claims();
        } else {
            self.cache.clear();
        }
        self.head = head;
        self.foreign_horizon = head.position;
        self.rebase_if(touched, !complete, |entry| {
            let first = entry.command.first_event();
            settled.contains(&first).then_some(Answer::Repeat(first))
        });
    }

    /// The lock could not be taken: everybody in the queue is told to try again.
    pub fn failed(&mut self) {
        self.phase = Phase::Idle;
        let entries = self.queue.len();
        self.give_up(entries);
    }

    /// A stream as it was read when `as_of` was the head.
    pub fn stream_read(&mut self, stream: M::Stream, as_of: u64, state: M::State, sequence: u64) {
        if as_of < self.foreign_horizon {
            self.outputs.push_back(Output::ReadStream(stream));
            return;
        }
        self.cache.insert(stream.clone(), state, sequence);
        self.found(&Need::Stream(stream));
    }

    /// A claim as it was read when `as_of` was the head.
    pub fn claim_read(&mut self, claim: ClaimKey, as_of: u64, owner: Option<String>) {
        if as_of < self.foreign_horizon {
            self.outputs.push_back(Output::ReadClaim(claim));
            return;
        }
        self.cache.insert_claim(claim.clone(), owner);
        self.found(&Need::Claim(claim));
    }

    /// What was to be read can't be: whoever waits for it is told to try again.
    pub fn read_failed(&mut self, need: &Need<M>) {
        self.reading.remove(need);
        let (failed, rest): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.waiting).into_iter().partition(|(missing, _)| missing == need);
        self.waiting = rest;
        for (_, entry) in failed {
            self.answer(
                entry.tickets,
                entry.command.first_event(),
                Answer::Refused(Kind::Unavailable.into()),
            );
        }
    }

    fn found(&mut self, need: &Need<M>) {
        self.reading.remove(need);
        let (ready, rest): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.waiting).into_iter().partition(|(missing, _)| missing == need);
        self.waiting = rest;
        for (_, entry) in ready {
            self.decide(entry);
        }
    }

    /// Decides on the overlay, and queues the entry or lets it wait for what is missing.
    fn decide(&mut self, mut entry: Entry<M>) {
        entry.decisions += 1;
        if entry.decisions > MOST_DECISIONS {
            self.answer(entry.tickets, entry.command.first_event(), Answer::Refused(Kind::Conflict.into()));
            return;
        }
        let mut world = World::new(&self.cache);
        match entry.command.decide(&mut world) {
            Ok(()) => entry.decided = world.into_decided(),
            Err(Halt::Refused(problem)) => {
                let mut decided = world.into_decided();
                decided.drafts.clear();
                decided.claims.clear();
                decided.outcome = Err(*problem);
                entry.decided = decided;
            }
            Err(Halt::Missing(need)) => {
                if self.reading.insert(need.clone()) {
                    self.outputs.push_back(match &need {
                        Need::Stream(stream) => Output::ReadStream(stream.clone()),
                        Need::Claim(claim) => Output::ReadClaim(claim.clone()),
                    });
                }
                self.waiting.push((need, entry));
                return;
            }
        }
        self.cache.overlay(&entry.decided.drafts, &entry.decided.claims);
        self.queue.push_back(entry);
    }

    fn rebase(&mut self, touched: Touched<M>, settle: impl FnMut(&Entry<M>) -> Option<Answer<M>>) {
        self.rebase_if(touched, false, settle);
    }

    /// Builds the overlay anew. Entries that `settle` answers leave the queue; those that read or
    /// wrote what was touched, by others or by an entry that left or changed, are decided again in
    /// their old order; the others stand.
    fn rebase_if(
        &mut self,
        mut touched: Touched<M>,
        all: bool,
        mut settle: impl FnMut(&Entry<M>) -> Option<Answer<M>>,
    ) {
        self.cache.drop_overlay();
        for mut entry in std::mem::take(&mut self.queue) {
            if let Some(answer) = settle(&entry) {
                touched.add(&entry.decided);
                self.answer(entry.tickets, entry.command.first_event(), answer);
            } else if all || touched.concerns(&entry.decided) || !self.cache.holds(&entry.decided.drafts) {
                touched.add(&entry.decided);
                entry.decided = Decided::default();
                let before = self.queue.len();
                self.tally.decided_again += 1;
                self.decide(entry);
                // What it wrote this time is new to those behind it, if it was queued again.
                if let Some(again) = self.queue.get(before) {
                    touched.add(&again.decided);
                }
            } else {
                self.cache.overlay(&entry.decided.drafts, &entry.decided.claims);
                self.queue.push_back(entry);
            }
        }
    }

    fn answer(&mut self, tickets: Vec<Ticket>, first: EventId, answer: Answer<M>) {
        self.under_way.remove(&first);
        self.outputs.push_back(Output::Answer(tickets, answer));
    }
}
