//! Two committers against one model log: with lost replies, late commits, crashes and stale reads,
//! every history must be serialisable.
//!
//! A run is its seed; a failure names it. `LETOPIS_SIM_SEED` and `LETOPIS_SIM_STEPS` choose others.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use chronicle::committer::{Answer, Committer, Output, Proposal, Ticket, Written};
use chronicle::log::{ClaimKey, Head};
use domain::problem::Kind;

use crate::bank::{Account, Bank, Order, State};
use crate::history::{Claimed, Dice, History};
use crate::model_log::{ModelLog, Sabotage};

const STEPS: u64 = 1_000_000;
const EPISODE: u64 = 2_500;

/// An operation between a node and the log: not executed yet, or its result on the way back.
enum Op {
    ReadStream(Account),
    StreamRead(Account, State, u64, Head),
    ReadClaim(ClaimKey),
    ClaimRead(ClaimKey, Option<String>, Head),
    Append(Arc<Proposal<Bank>>, bool),
    Appended(Written),
    Lock(u64),
    Locked(u64, Head),
}

struct Flight {
    node: usize,
    /// Which life of the node it belongs to.
    life: u64,
    op: Op,
    /// The node was told that it is lost; it may still be executed.
    forgotten: bool,
}

struct Sim {
    dice: Dice,
    sabotage: Sabotage,
    log: ModelLog,
    nodes: [Committer<Bank>; 2],
    lives: [u64; 2],
    flights: Vec<Flight>,
    waiting: HashMap<Ticket, (usize, Order, u64)>,
    orders: BTreeMap<u64, Order>,
    acknowledged: BTreeMap<u64, u64>,
    explained: Vec<Claimed>,
    tickets: u64,
    keys: u64,
    faults: bool,
}

impl Sim {
    fn new(seed: u64, sabotage: Sabotage) -> Self {
        Self {
            dice: Dice(seed),
            sabotage,
            log: ModelLog::default(),
            nodes: [Committer::new(Head::default(), 4), Committer::new(Head::default(), 4)],
            lives: [0; 2],
            flights: Vec::new(),
            waiting: HashMap::new(),
            orders: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
            explained: Vec::new(),
            tickets: 0,
            keys: 0,
            faults: true,
        }
    }

    fn episode(mut self, steps: u64) -> Result<(), String> {
        for _ in 0..steps {
            self.step()?;
        }
        // The faults end, and everything that is under way must come to its end.
        self.faults = false;
        for _ in 0..50_000 {
            if self.waiting.is_empty() && self.flights.is_empty() {
                return self.check();
            }
            self.deliver()?;
        }
        Err(format!("{} commands never get an answer", self.waiting.len()))
    }

    fn step(&mut self) -> Result<(), String> {
        match self.dice.below(100) {
            0..35 => self.submit(),
            35..98 => self.deliver()?,
            98 if self.dice.one_in(4) => self.crash(),
            _ => {}
        }
        Ok(())
    }

    fn submit(&mut self) {
        let repeat = self.dice.one_in(6) && !self.orders.is_empty();
        let order = if repeat {
            let index = self.dice.below(self.orders.len() as u64) as usize;
            self.orders.values().nth(index).cloned().expect("an index below the length")
        } else {
            self.keys += 1;
            self.dice.order(self.keys)
        };
        self.orders.insert(order.key, order.clone());
        let node = self.dice.below(2) as usize;
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        // Two at once in one process share one answer, so what explains the first's explains both.
        let twins = self.waiting.values().filter(|(at, twin, _)| *at == node && twin.key == order.key);
        let from = twins.map(|(_, _, from)| *from).min().unwrap_or(self.log.head().position);
        self.waiting.insert(ticket, (node, order.clone(), from));
        self.nodes[node].submit(ticket, order);
        self.drain(node);
    }

    fn drain(&mut self, node: usize) {
        while let Some(output) = self.nodes[node].poll() {
            let op = match output {
                Output::ReadStream(stream) => Op::ReadStream(stream),
                Output::ReadClaim(claim) => Op::ReadClaim(claim),
                Output::Append(proposal) => Op::Append(proposal, false),
                Output::AppendLocked(proposal) => Op::Append(proposal, true),
                Output::Lock { after } => Op::Lock(after),
                Output::Unlock => {
                    self.log.locked_by = None;
                    continue;
                }
                Output::Answer(tickets, answer) => {
                    for ticket in tickets {
                        self.answered(ticket, &answer);
                    }
                    continue;
                }
            };
            self.flights.push(Flight { node, life: self.lives[node], op, forgotten: false });
        }
    }

    fn answered(&mut self, ticket: Ticket, answer: &Answer<Bank>) {
        let (_, order, from) = self.waiting.remove(&ticket).expect("one answer a ticket");
        let to = self.log.head().position;
        match answer {
            Answer::Done { position, events, .. } if !events.is_empty() => {
                self.acknowledged.insert(order.key, *position);
            }
            Answer::Done { .. } => self.explained.push(Claimed { order, refused: None, from, to }),
            // After "not available" nothing is known; the client asks again under the same key.
            Answer::Refused(problem) if problem.is(Kind::Unavailable) || problem.is(Kind::Conflict) => {}
            Answer::Refused(problem) => {
                self.explained.push(Claimed { order, refused: Some(problem.clone()), from, to });
            }
            Answer::Repeat(first) => {
                let position = self.log.position_of(*first).unwrap_or(u64::MAX);
                self.acknowledged.entry(order.key).or_insert(position);
            }
        }
    }

    /// Executes one operation, or brings one result home; in any order.
    fn deliver(&mut self) -> Result<(), String> {
        if self.flights.is_empty() {
            return Ok(());
        }
        let index = self.dice.below(self.flights.len() as u64) as usize;
        let Flight { node, life, op, forgotten } = self.flights.swap_remove(index);
        let alive = self.lives[node] == life && !forgotten;
        let free = self.log.locked_by.is_none();
        let mine = alive && self.log.locked_by == Some(node);
        let back = match op {
            Op::ReadStream(account) => {
                let (state, sequence) = self.log.stream(account);
                Some(Op::StreamRead(account, state, sequence, self.log.head()))
            }
            Op::ReadClaim(claim) => {
                let owner = self.log.claims.get(&claim).cloned();
                Some(Op::ClaimRead(claim, owner, self.log.head()))
            }
            Op::Lock(after) if free && alive => {
                self.log.locked_by = Some(node);
                Some(Op::Locked(after, self.log.head()))
            }
            Op::Lock(after) => alive.then_some(Op::Lock(after)),
            Op::Append(proposal, true) if mine => {
                let written = self.log.append(&proposal, self.sabotage, self.dice.roll());
                self.log.locked_by = None;
                Some(Op::Appended(written))
            }
            Op::Append(_, true) => None,
            Op::Append(proposal, false) if alive && self.faults && self.dice.one_in(40) => {
                // The reply is lost before the batch is executed: it may still be, later.
                self.flights.push(Flight { node, life, op: Op::Append(proposal, false), forgotten: true });
                self.nodes[node].appended(Written::Lost);
                self.drain(node);
                return Ok(());
            }
            Op::Append(proposal, false) if free => {
                if self.sabotage == Sabotage::AnswerBeforeCommit && alive && self.dice.one_in(8) {
                    let fence = proposal.fence;
                    let position = fence.position + proposal.events.len() as u64;
                    let event_id =
                        proposal.events.last().map_or(fence.event_id, |draft| Some(draft.event.id));
                    self.flights.push(Flight {
                        node,
                        life,
                        op: Op::Append(proposal, false),
                        forgotten: true,
                    });
                    Some(Op::Appended(Written::Committed(Head { position, event_id, ..fence })))
                } else {
                    Some(Op::Appended(self.log.append(&proposal, self.sabotage, self.dice.roll())))
                }
            }
            Op::Append(proposal, false) => Some(Op::Append(proposal, false)),
            arrived => {
                if alive {
                    self.arrive(node, arrived)?;
                    self.drain(node);
                }
                return Ok(());
            }
        };
        if let Some(op) = back {
            self.flights.push(Flight { node, life, op, forgotten });
        }
        Ok(())
    }

    fn arrive(&mut self, node: usize, op: Op) -> Result<(), String> {
        let lose = self.faults && self.dice.one_in(40);
        let committer = &mut self.nodes[node];
        match op {
            Op::StreamRead(account, state, sequence, head) => {
                committer.stream_read(account, head.position, state, sequence);
            }
            Op::ClaimRead(claim, owner, head) => committer.claim_read(claim, head.position, owner),
            Op::Appended(written) => committer.appended(if lose { Written::Lost } else { written }),
            Op::Locked(after, head) => {
                if head.position < after {
                    return Err(format!("the head went back from {after} to {}", head.position));
                }
                let far = self.faults && self.dice.one_in(20);
                committer.locked(head, &self.log.after(after), !far);
            }
            Op::ReadStream(_) | Op::ReadClaim(_) | Op::Append(..) | Op::Lock(_) => {}
        }
        Ok(())
    }

    /// A node dies with all it knew; batches it has sent may still be executed.
    fn crash(&mut self) {
        let node = self.dice.below(2) as usize;
        self.lives[node] += 1;
        self.nodes[node] = Committer::new(self.log.head(), 4);
        self.waiting.retain(|_, (waiting, _, _)| *waiting != node);
        if self.log.locked_by == Some(node) {
            self.log.locked_by = None;
        }
    }

    fn check(&self) -> Result<(), String> {
        let Self { log, orders, acknowledged, explained, .. } = self;
        History { rows: &log.rows, claims: &log.claims, orders, acknowledged, explained }.check()
    }
}

#[expect(clippy::disallowed_methods, reason = "a failure names the seed that shows it again")]
fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn two_committers_write_one_serialisable_history() {
    let first = number("LETOPIS_SIM_SEED").unwrap_or(1);
    let steps = number("LETOPIS_SIM_STEPS").unwrap_or(STEPS);
    for seed in first..first + steps.div_ceil(EPISODE) {
        if let Err(broken) = Sim::new(seed, Sabotage::None).episode(EPISODE) {
            panic!("LETOPIS_SIM_SEED={seed}: {broken}");
        }
    }
}

/// A simulation that has never been red proves nothing.
#[test]
fn every_saboteur_turns_the_simulation_red() {
    for sabotage in Sabotage::ALL {
        let caught = (1..=20).any(|seed| {
            let run = std::panic::catch_unwind(|| Sim::new(seed, sabotage).episode(EPISODE));
            !matches!(run, Ok(Ok(())))
        });
        assert!(caught, "{sabotage:?} went unnoticed");
    }
}
