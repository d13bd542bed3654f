//! What the committer holds: durable states, and over them what queued commands will have written.

use std::collections::HashMap;

use super::{Draft, Foreign, Model};
use crate::log::ClaimKey;

#[derive(Clone, Debug)]
struct Held<S> {
    state: S,
    sequence: u64,
    /// Tick of its last use.
    used: u64,
}

/// A stream as it will be.
#[derive(Debug)]
struct Ahead<S> {
    state: S,
    sequence: u64,
    /// Queued events in it.
    queued: usize,
}

/// Durable state plus overlay.
#[derive(Debug)]
pub(super) struct Cache<M: Model> {
    durable: HashMap<M::Stream, Held<M::State>>,
    ahead: HashMap<M::Stream, Ahead<M::State>>,
    claims: HashMap<ClaimKey, Option<String>>,
    claims_ahead: HashMap<ClaimKey, (Option<String>, usize)>,
    most: usize,
    tick: u64,
}

impl<M: Model> Cache<M> {
    pub(super) fn new(most: usize) -> Self {
        Self {
            durable: HashMap::new(),
            ahead: HashMap::new(),
            claims: HashMap::new(),
            claims_ahead: HashMap::new(),
            most,
            tick: 0,
        }
    }

    /// The state that a decision sees, and its sequence.
    pub(super) fn seen(&self, stream: &M::Stream) -> Option<(&M::State, u64)> {
        match self.ahead.get(stream) {
            Some(ahead) => Some((&ahead.state, ahead.sequence)),
            None => self.durable.get(stream).map(|held| (&held.state, held.sequence)),
        }
    }

    /// The owner that a decision sees; the outer `None` is "not in the cache".
    pub(super) fn claim_seen(&self, claim: &ClaimKey) -> Option<Option<&String>> {
        match self.claims_ahead.get(claim) {
            Some((owner, _)) => Some(owner.as_ref()),
            None => self.claims.get(claim).map(Option::as_ref),
        }
    }

    pub(super) fn durable(&self, stream: &M::Stream) -> Option<(&M::State, u64)> {
        self.durable.get(stream).map(|held| (&held.state, held.sequence))
    }

    /// Whether every stream that `drafts` go to is at hand.
    pub(super) fn holds(&self, drafts: &[Draft<M>]) -> bool {
        drafts.iter().all(|draft| self.seen(&draft.stream).is_some())
    }

    /// Puts a queued command's writes over what is durable.
    pub(super) fn overlay(&mut self, drafts: &[Draft<M>], claims: &[(ClaimKey, Option<String>)]) {
        self.tick += 1;
        for draft in drafts {
            let ahead = match self.ahead.get_mut(&draft.stream) {
                Some(ahead) => ahead,
                None => {
                    let (state, sequence) = match self.durable.get_mut(&draft.stream) {
                        Some(held) => {
                            held.used = self.tick;
                            (held.state.clone(), held.sequence)
                        }
                        None => {
                            debug_assert!(false, "{:?} was decided on without being held", draft.stream);
                            (M::initial(&draft.stream), draft.sequence - 1)
                        }
                    };
                    self.ahead.entry(draft.stream.clone()).or_insert(Ahead { state, sequence, queued: 0 })
                }
            };
            M::evolve(&mut ahead.state, &draft.event);
            ahead.sequence += 1;
            ahead.queued += 1;
            debug_assert_eq!(ahead.sequence, draft.sequence, "drafts of a stream are consecutive");
        }
        for (claim, owner) in claims {
            let ahead = self.claims_ahead.entry(claim.clone()).or_default();
            ahead.0.clone_from(owner);
            ahead.1 += 1;
        }
    }

    /// A queued command's writes are durable now.
    pub(super) fn make_durable(&mut self, drafts: &[Draft<M>], claims: &[(ClaimKey, Option<String>)]) {
        for draft in drafts {
            let Some(ahead) = self.ahead.get_mut(&draft.stream) else { continue };
            ahead.queued -= 1;
            if ahead.queued == 0 {
                // Nothing is queued behind it, so the overlay's state is the durable one.
                if let Some(Ahead { state, sequence, .. }) = self.ahead.remove(&draft.stream) {
                    let used = self.tick;
                    self.durable.insert(draft.stream.clone(), Held { state, sequence, used });
                }
            } else if let Some(held) = self.durable.get_mut(&draft.stream) {
                M::evolve(&mut held.state, &draft.event);
                held.sequence = draft.sequence;
            }
        }
        for (claim, owner) in claims {
            self.claims.insert(claim.clone(), owner.clone());
            if let Some(ahead) = self.claims_ahead.get_mut(claim) {
                ahead.1 -= 1;
                if ahead.1 == 0 {
                    self.claims_ahead.remove(claim);
                }
            }
        }
        self.evict();
    }

    pub(super) fn apply_foreign(&mut self, foreign: &Foreign<M>) {
        let Some(held) = self.durable.get_mut(&foreign.stream) else { return };
        // A stream that was read later than the believed head has seen the event already.
        if foreign.sequence == held.sequence + 1 {
            M::evolve(&mut held.state, &foreign.event);
            held.sequence = foreign.sequence;
        } else if foreign.sequence > held.sequence {
            self.durable.remove(&foreign.stream);
        }
    }

    pub(super) fn insert(&mut self, stream: M::Stream, state: M::State, sequence: u64) {
        let used = self.tick;
        self.durable.insert(stream, Held { state, sequence, used });
    }

    pub(super) fn insert_claim(&mut self, claim: ClaimKey, owner: Option<String>) {
        self.claims.insert(claim, owner);
    }

    pub(super) fn forget_claims(&mut self) {
        self.claims.clear();
    }

    pub(super) fn drop_overlay(&mut self) {
        self.ahead.clear();
        self.claims_ahead.clear();
    }

    pub(super) fn clear(&mut self) {
        self.durable.clear();
        self.claims.clear();
        self.drop_overlay();
    }

    /// Lets the longer unused half go when there are too many.
    fn evict(&mut self) {
        if self.durable.len() > self.most {
            let mut uses: Vec<u64> = self.durable.values().map(|held| held.used).collect();
            let middle = uses.len() / 2;
            let (_, &mut median, _) = uses.select_nth_unstable(middle);
            let ahead = &self.ahead;
            self.durable.retain(|stream, held| held.used > median || ahead.contains_key(stream));
        }
        if self.claims.len() > self.most {
            self.claims.clear();
        }
    }
}
