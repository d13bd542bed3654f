//! What goes in and out of the committer.

use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;

use domain::Problem;
use domain::ids::EventId;

use super::world::{Halt, World};
use crate::log::{ClaimKey, Head};

/// What the committer holds and writes. The product's is [`crate::executor::Ledger`]'s; the
/// simulation has a small one.
pub trait Model: Clone + Debug + Eq + Hash + 'static {
    type Stream: Clone + Eq + Hash + Ord + Debug;
    type State: Clone + Debug;
    type Event: Clone + Debug;
    type Command: Command<Self> + Debug;

    fn initial(stream: &Self::Stream) -> Self::State;
    fn evolve(state: &mut Self::State, event: &Self::Event);
    fn event_id(event: &Self::Event) -> EventId;
}

/// A command with its time, ids and randomness fixed, so that deciding it again is deterministic.
pub trait Command<M: Model> {
    /// The id of the first event it would write: its idempotency key in the log.
    fn first_event(&self) -> EventId;
    /// Equal for equal requests.
    fn request(&self) -> &str;
    /// Reads and appends in `world`.
    ///
    /// # Errors
    /// [`Halt`]: refused, or something is not in the cache yet.
    fn decide(&self, world: &mut World<'_, M>) -> Result<(), Halt<M>>;
}

/// Names whoever waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket(pub u64);

/// An event that is decided and not yet written.
#[derive(Clone, Debug)]
pub struct Draft<M: Model> {
    pub stream: M::Stream,
    pub sequence: u64,
    pub event: M::Event,
}

/// An event that somebody else wrote.
#[derive(Clone, Debug)]
pub struct Foreign<M: Model> {
    pub stream: M::Stream,
    pub sequence: u64,
    pub event: M::Event,
}

/// A batch to be written behind `fence`.
#[derive(Debug)]
pub struct Proposal<M: Model> {
    pub fence: Head,
    pub events: Vec<Draft<M>>,
    /// One a claim: the index of the event it goes with, and its owner from now on.
    pub claims: Vec<(ClaimKey, usize, Option<String>)>,
    pub probes: Vec<EventId>,
}

/// What a command is told.
#[derive(Debug)]
pub enum Answer<M: Model> {
    /// Durable. `position` is of its last event, or what it looked at if it wrote none.
    Done {
        position: u64,
        events: Vec<M::Event>,
        note: Option<String>,
    },
    Refused(Problem),
    /// Its key was used before: the answer is what the log has under this first event.
    Repeat(EventId),
}

/// What is to be done now.
#[derive(Debug)]
pub enum Output<M: Model> {
    /// Read a stream; answer by [`super::Committer::stream_read`] or [`super::Committer::read_failed`].
    ReadStream(M::Stream),
    /// Read a claim; answer by [`super::Committer::claim_read`] or [`super::Committer::read_failed`].
    ReadClaim(ClaimKey),
    /// Write the batch if the fence holds; answer by [`super::Committer::appended`].
    Append(Arc<Proposal<M>>),
    /// Take the lock; answer by [`super::Committer::locked`] or [`super::Committer::failed`].
    Lock {
        after: u64,
    },
    /// Write under the lock that was taken, and give it back; answer by [`super::Committer::appended`].
    AppendLocked(Arc<Proposal<M>>),
    /// Give the lock back.
    Unlock,
    Answer(Vec<Ticket>, Answer<M>),
}

/// Work done again, counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Batches sent again after their answer was lost.
    pub resends: u64,
    /// Commands decided again because others had changed what they rest on.
    pub decided_again: u64,
}

/// What became of a batch.
#[derive(Clone, Debug)]
pub enum Written {
    /// It is durable; the head is now this.
    Committed(Head),
    Fenced,
    Repeats(Vec<EventId>),
    /// Nothing was written.
    Unavailable,
    /// Nobody knows.
    Lost,
}
