//! The checker: reads a history as an auditor would. The simulation's histories go through it, and
//! those of real processes on a real log.

use std::collections::{BTreeMap, HashMap};

use chronicle::committer::Model;
use chronicle::log::ClaimKey;
use domain::Problem;

use crate::bank::{Account, Bank, Effects, Order, State, View, Wish, claim};
use crate::model_log::Row;

/// A refusal or a no-op that was answered: some state between these heads must explain it.
#[derive(Clone, Debug)]
pub struct Claimed {
    pub order: Order,
    pub refused: Option<Problem>,
    pub from: u64,
    pub to: u64,
}

/// What was asked, what stands in the log, and what was answered.
pub struct History<'a> {
    /// By position: 1, 2, 3 …
    pub rows: &'a [Row],
    pub claims: &'a BTreeMap<ClaimKey, String>,
    pub orders: &'a BTreeMap<u64, Order>,
    /// Key of a command that wrote something, and the position that was answered.
    pub acknowledged: &'a BTreeMap<u64, u64>,
    pub explained: &'a [Claimed],
}

impl History<'_> {
    /// Decides every command again, one after another in the order of the log.
    ///
    /// # Errors
    /// In what it is no serial history, or not what was answered.
    pub fn check(&self) -> Result<(), String> {
        let mut positions = HashMap::new();
        let mut replay = Replay::default();
        let mut explaining = Explaining::new(self.explained);
        explaining.look(0, 0, &mut replay)?;
        let mut rows = self.rows.iter().enumerate().peekable();
        while let Some((index, row)) = rows.next() {
            let key = row.event.id.0.as_u64_pair().0;
            let order = self.orders.get(&key).ok_or("an event of nobody's")?;
            if positions.insert(key, row.position).is_some() {
                return Err(format!("command {key} was written twice"));
            }
            let planned: Effects =
                order.plan(&mut replay).map_err(|_| format!("command {key} should have been refused"))?;
            let mut written = vec![(index, row)];
            while written.len() < planned.events.len() {
                let next = rows.next().ok_or(format!("command {key} is written in part"))?;
                written.push(next);
            }
            for ((index, row), (stream, event)) in written.iter().zip(&planned.events) {
                if row.position != *index as u64 + 1 {
                    return Err(format!("position {} stands at row {}", row.position, index + 1));
                }
                let account = replay.accounts.entry(row.stream).or_default();
                if row.stream != *stream || row.event != *event || row.sequence != account.events + 1 {
                    return Err(format!("command {key} wrote {row:?} where {event:?} was due"));
                }
                Bank::evolve(account, &row.event);
            }
            if planned.events.is_empty() {
                return Err(format!("command {key} wrote where nothing was due"));
            }
            for (claim, owner) in planned.claims {
                match owner {
                    Some(owner) => drop(replay.names.insert(claim, owner)),
                    None => drop(replay.names.remove(&claim)),
                }
            }
            let last = written.last().expect("at least one").0 as u64 + 1;
            explaining.look(index as u64 + 1, last, &mut replay)?;
        }
        if replay.names != *self.claims {
            return Err("the claims are not what the log leads to".into());
        }
        for (key, position) in self.acknowledged {
            let first = *positions.get(key).ok_or(format!("command {key} was lost"))?;
            if *position < first || *position > first + 1 {
                return Err(format!("command {key} was said to be at {position} and is at {first}"));
            }
        }
        for Claimed { order, from, .. } in self.explained {
            if positions.get(&order.key).is_some_and(|position| position <= from) {
                return Err(format!("{order:?} was written already and then refused"));
            }
        }
        explaining.end()
    }
}

/// Each refusal and no-op must be right for some state between its arrival and its answer.
struct Explaining<'a> {
    /// By `from`, the latest first.
    to_come: Vec<&'a Claimed>,
    open: Vec<&'a Claimed>,
}

impl<'a> Explaining<'a> {
    fn new(explained: &'a [Claimed]) -> Self {
        let mut to_come: Vec<&Claimed> = explained.iter().collect();
        to_come.sort_by_key(|claimed| std::cmp::Reverse(claimed.from));
        Self { to_come, open: Vec::new() }
    }

    /// `state` is what the log leads to at every head from `first` to `last`.
    fn look(&mut self, first: u64, last: u64, state: &mut Replay) -> Result<(), String> {
        while let Some(claimed) = self.to_come.pop_if(|claimed| claimed.from <= last) {
            self.open.push(claimed);
        }
        if let Some(Claimed { order, from, to, .. }) = self.open.iter().find(|claimed| claimed.to < first) {
            return Err(format!("no state from {from} to {to} explains the answer to {order:?}"));
        }
        self.open.retain(|Claimed { order, refused, .. }| match (order.plan(state), refused) {
            (Err(problem), Some(refused)) => problem != *refused,
            (Ok(effects), None) => !effects.events.is_empty(),
            _ => true,
        });
        Ok(())
    }

    fn end(self) -> Result<(), String> {
        match self.open.first().or(self.to_come.first()) {
            None => Ok(()),
            Some(claimed) => Err(format!("nothing up to the end of the log explains {claimed:?}")),
        }
    }
}

/// What the log leads to.
#[derive(Clone, Default)]
struct Replay {
    accounts: BTreeMap<Account, State>,
    names: BTreeMap<ClaimKey, String>,
}

impl View for Replay {
    type Stop = Problem;
    fn balance(&mut self, account: Account) -> Result<i64, Problem> {
        Ok(self.accounts.get(&account).map_or(0, |state| state.balance))
    }
    fn owner(&mut self, name: &str) -> Result<Option<String>, Problem> {
        Ok(self.names.get(&claim(name)).cloned())
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014).
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    pub fn below(&mut self, bound: u64) -> u64 {
        self.roll() % bound
    }
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// What somebody wants of one of six accounts.
    pub fn order(&mut self, key: u64) -> Order {
        let (a, b) = (self.below(6) as Account, self.below(6) as Account);
        let amount = 1 + self.below(20) as i64;
        let name = format!("n{}", self.below(4));
        let wish = match self.below(6) {
            1 | 2 if a != b => Wish::Transfer { from: a, to: b, amount },
            3 if a != b => Wish::Overdraw { from: a, surety: b, amount },
            0..=3 => Wish::Deposit { to: a, amount },
            4 => Wish::Take { name, owner: a },
            _ => Wish::GiveUp { name, owner: a },
        };
        Order { key, wish }
    }
}
