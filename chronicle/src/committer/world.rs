//! What a command sees while it is decided, and what it would write.

use domain::Problem;

use super::cache::Cache;
use super::{Decided, Draft, Model};
use crate::log::ClaimKey;

/// Something that a decision reads and that is not in the cache.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Need<M: Model> {
    Stream(M::Stream),
    Claim(ClaimKey),
}

/// Why a decision stopped.
#[derive(Debug)]
pub enum Halt<M: Model> {
    /// It goes on when this was read.
    Missing(Need<M>),
    Refused(Box<Problem>),
}

impl<M: Model> From<Problem> for Halt<M> {
    fn from(problem: Problem) -> Self {
        Self::Refused(Box::new(problem))
    }
}

impl<M: Model> From<domain::problem::Kind> for Halt<M> {
    fn from(kind: domain::problem::Kind) -> Self {
        Problem::new(kind).into()
    }
}

/// The states that a decision reads; what it appends shows in them at once.
#[derive(Debug)]
pub struct World<'a, M: Model> {
    cache: &'a Cache<M>,
    /// States that this command itself has moved on, where it looked at them again.
    moved: Vec<(M::Stream, M::State)>,
    decided: Decided<M>,
}

impl<'a, M: Model> World<'a, M> {
    pub(super) fn new(cache: &'a Cache<M>) -> Self {
        Self { cache, moved: Vec::new(), decided: Decided::default() }
    }

    pub(super) fn into_decided(self) -> Decided<M> {
        self.decided
    }

    /// The state of a stream.
    ///
    /// # Errors
    /// [`Halt::Missing`] if it is not in the cache.
    pub fn state(&mut self, stream: &M::Stream) -> Result<&M::State, Halt<M>> {
        self.note_read(stream);
        if let Some(index) = self.moved.iter().position(|(moved, _)| moved == stream) {
            return Ok(&self.moved[index].1);
        }
        let (state, _) =
            self.cache.seen(stream).ok_or_else(|| Halt::Missing(Need::Stream(stream.clone())))?;
        if !self.decided.drafts.iter().any(|draft| draft.stream == *stream) {
            return Ok(state);
        }
        let mut state = state.clone();
        for draft in self.decided.drafts.iter().filter(|draft| draft.stream == *stream) {
            M::evolve(&mut state, &draft.event);
        }
        self.moved.push((stream.clone(), state));
        Ok(&self.moved[self.moved.len() - 1].1)
    }

    /// The sequence that the next event in `stream` gets.
    ///
    /// # Errors
    /// [`Halt::Missing`] if the stream is not in the cache.
    pub fn next_sequence(&mut self, stream: &M::Stream) -> Result<u64, Halt<M>> {
        self.note_read(stream);
        let (_, sequence) =
            self.cache.seen(stream).ok_or_else(|| Halt::Missing(Need::Stream(stream.clone())))?;
        let own = self.decided.drafts.iter().filter(|draft| draft.stream == *stream).count() as u64;
        Ok(sequence + own + 1)
    }

    /// Appends an event.
    ///
    /// # Errors
    /// [`Halt::Missing`] if the stream is not in the cache.
    pub fn append(&mut self, stream: M::Stream, event: M::Event) -> Result<(), Halt<M>> {
        let sequence = self.next_sequence(&stream)?;
        if let Some((_, state)) = self.moved.iter_mut().find(|(moved, _)| *moved == stream) {
            M::evolve(state, &event);
        }
        self.decided.drafts.push(Draft { stream, sequence, event });
        Ok(())
    }

    /// Events appended so far.
    pub fn appended(&self) -> usize {
        self.decided.drafts.len()
    }

    /// Who owns a claim.
    ///
    /// # Errors
    /// [`Halt::Missing`] if it is not in the cache.
    pub fn claim(&mut self, claim: &ClaimKey) -> Result<Option<&String>, Halt<M>> {
        if !self.decided.claim_reads.contains(claim) {
            self.decided.claim_reads.push(claim.clone());
        }
        if let Some(index) = self.decided.claims.iter().rposition(|(own, _)| own == claim) {
            return Ok(self.decided.claims[index].1.as_ref());
        }
        self.cache.claim_seen(claim).ok_or_else(|| Halt::Missing(Need::Claim(claim.clone())))
    }

    /// Gives a claim an owner, or gives it up. Goes with the events of this command.
    ///
    /// # Errors
    /// [`Halt::Missing`] if it is not in the cache.
    pub fn set_claim(&mut self, claim: ClaimKey, owner: Option<String>) -> Result<(), Halt<M>> {
        self.claim(&claim)?;
        self.decided.claims.push((claim, owner));
        Ok(())
    }

    /// Something for the answer of a command that writes nothing.
    pub fn note(&mut self, note: String) {
        self.decided.outcome = Ok(Some(note));
    }

    fn note_read(&mut self, stream: &M::Stream) {
        if !self.decided.reads.contains(stream) {
            self.decided.reads.push(stream.clone());
        }
    }
}
