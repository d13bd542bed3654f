//! The log as the simulation has it: the promises in a few lines, and ways to break them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use chronicle::committer::{Foreign, Model, Proposal, Written};
use chronicle::log::{ClaimKey, Head};
use domain::Timestamp;
use domain::ids::EventId;

use crate::bank::{Account, Bank, Booked, State};

/// How a log breaks its promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    None,
    SkipPosition,
    AnswerBeforeCommit,
    DropClaim,
    LoseOneOfTwoStreams,
    Reorder,
    ForgetKey,
}

impl Sabotage {
    pub const ALL: [Self; 6] = [
        Self::SkipPosition,
        Self::AnswerBeforeCommit,
        Self::DropClaim,
        Self::LoseOneOfTwoStreams,
        Self::Reorder,
        Self::ForgetKey,
    ];
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub position: u64,
    pub stream: Account,
    pub sequence: u64,
    pub event: Booked,
}

#[derive(Debug, Default)]
pub struct ModelLog {
    pub rows: Vec<Row>,
    pub claims: BTreeMap<ClaimKey, String>,
    streams: HashMap<Account, (State, u64)>,
    ids: HashMap<EventId, u64>,
    position: u64,
    /// Which node holds the head's lock.
    pub locked_by: Option<usize>,
}

impl ModelLog {
    pub fn head(&self) -> Head {
        Head {
            position: self.position,
            event_id: self.rows.last().map(|row| row.event.id),
            recorded_at: Timestamp(0),
        }
    }

    pub fn has(&self, id: EventId) -> bool {
        self.ids.contains_key(&id)
    }

    pub fn position_of(&self, id: EventId) -> Option<u64> {
        self.ids.get(&id).copied()
    }

    pub fn stream(&self, account: Account) -> (State, u64) {
        self.streams.get(&account).cloned().unwrap_or_default()
    }

    pub fn after(&self, position: u64) -> Vec<Foreign<Bank>> {
        self.rows
            .iter()
            .filter(|row| row.position > position)
            .map(|row| Foreign { stream: row.stream, sequence: row.sequence, event: row.event.clone() })
            .collect()
    }

    /// One transaction.
    pub fn append(&mut self, proposal: &Arc<Proposal<Bank>>, sabotage: Sabotage, dice: u64) -> Written {
        if self.head() != proposal.fence {
            return Written::Fenced;
        }
        let repeats: Vec<EventId> = proposal.probes.iter().copied().filter(|id| self.has(*id)).collect();
        if !repeats.is_empty() && sabotage != Sabotage::ForgetKey {
            return Written::Repeats(repeats);
        }
        let mut events = proposal.events.clone();
        let mut claims = proposal.claims.clone();
        // What follows breaks one batch in eight.
        if dice.is_multiple_of(8) {
            match sabotage {
                Sabotage::SkipPosition if !events.is_empty() => self.position += 1,
                Sabotage::DropClaim => claims.clear(),
                Sabotage::LoseOneOfTwoStreams => {
                    if let Some(lost) = events.iter().position(|draft| draft.stream != events[0].stream) {
                        events.remove(lost);
                    }
                }
                Sabotage::Reorder => events.reverse(),
                _ => {}
            }
        }
        for draft in events {
            self.position += 1;
            self.ids.insert(draft.event.id, self.position);
            let (state, sequence) = self.streams.entry(draft.stream).or_default();
            Bank::evolve(state, &draft.event);
            *sequence = draft.sequence;
            self.rows.push(Row {
                position: self.position,
                stream: draft.stream,
                sequence: draft.sequence,
                event: draft.event,
            });
        }
        for (claim, _, owner) in claims {
            match owner {
                Some(owner) => drop(self.claims.insert(claim, owner)),
                None => drop(self.claims.remove(&claim)),
            }
        }
        // The answer tells the head that the batch should have led to.
        let expected = proposal.fence.position + proposal.events.len() as u64;
        let event_id = proposal.events.last().map_or(proposal.fence.event_id, |draft| Some(draft.event.id));
        Written::Committed(Head { position: expected, event_id, recorded_at: Timestamp(0) })
    }
}
