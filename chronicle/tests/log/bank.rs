//! A small model for the simulation: accounts that hold money, and names that they own.

use std::collections::BTreeMap;

use chronicle::committer::{Command, Halt, Model, World};
use chronicle::log::ClaimKey;
use domain::Problem;
use domain::ids::EventId;
use domain::problem::Kind;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bank {}

/// An account's number.
pub type Account = u8;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Booked {
    pub id: EventId,
    pub amount: i64,
    pub name: Option<(String, bool)>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    pub balance: i64,
    pub events: u64,
    pub names: BTreeMap<String, ()>,
}

impl Model for Bank {
    type Stream = Account;
    type State = State;
    type Event = Booked;
    type Command = Order;

    fn initial(_: &Account) -> State {
        State::default()
    }
    fn evolve(state: &mut State, event: &Booked) {
        state.balance += event.amount;
        state.events += 1;
        match &event.name {
            Some((name, true)) => drop(state.names.insert(name.clone(), ())),
            Some((name, false)) => drop(state.names.remove(name)),
            None => {}
        }
    }
    fn event_id(event: &Booked) -> EventId {
        event.id
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wish {
    Deposit {
        to: Account,
        amount: i64,
    },
    /// Refused if the money isn't there.
    Transfer {
        from: Account,
        to: Account,
        amount: i64,
    },
    /// Refused if the two together don't have it; one decision reads what another one's writes.
    Overdraw {
        from: Account,
        surety: Account,
        amount: i64,
    },
    /// Refused if somebody has the name.
    Take {
        name: String,
        owner: Account,
    },
    /// Nothing to do if it isn't one's own.
    GiveUp {
        name: String,
        owner: Account,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    pub key: u64,
    pub wish: Wish,
}

/// The id of event `ordinal` of the command with this key.
pub fn id(key: u64, ordinal: u64) -> EventId {
    EventId(Uuid::from_u64_pair(key, ordinal))
}

pub fn claim(name: &str) -> ClaimKey {
    ClaimKey { kind: "name/1".into(), key: name.to_owned() }
}

/// What a decision can look at: the committer's world, or the checker's replay.
pub trait View {
    type Stop: From<Problem>;
    fn balance(&mut self, account: Account) -> Result<i64, Self::Stop>;
    fn owner(&mut self, name: &str) -> Result<Option<String>, Self::Stop>;
}

/// What a command comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    pub events: Vec<(Account, Booked)>,
    pub claims: Vec<(ClaimKey, Option<String>)>,
}

impl Order {
    /// The one decision, used by the committer and by the checker.
    pub fn plan<V: View>(&self, view: &mut V) -> Result<Effects, V::Stop> {
        let book = |ordinal, amount, name| Booked { id: id(self.key, ordinal), amount, name };
        Ok(match &self.wish {
            Wish::Deposit { to, amount } => {
                Effects { events: vec![(*to, book(0, *amount, None))], ..Effects::default() }
            }
            Wish::Transfer { from, to, amount } => {
                if view.balance(*from)? < *amount {
                    return Err(Problem::new(Kind::Invalid).into());
                }
                let events = vec![(*from, book(0, -amount, None)), (*to, book(1, *amount, None))];
                Effects { events, ..Effects::default() }
            }
            Wish::Overdraw { from, surety, amount } => {
                if view.balance(*from)? + view.balance(*surety)? < *amount {
                    return Err(Problem::new(Kind::Invalid).into());
                }
                Effects { events: vec![(*from, book(0, -amount, None))], ..Effects::default() }
            }
            Wish::Take { name, owner } => {
                if view.owner(name)?.is_some() {
                    return Err(Problem::new(Kind::NicknameTaken).into());
                }
                Effects {
                    events: vec![(*owner, book(0, 0, Some((name.clone(), true))))],
                    claims: vec![(claim(name), Some(owner.to_string()))],
                }
            }
            Wish::GiveUp { name, owner } => {
                if view.owner(name)? != Some(owner.to_string()) {
                    return Ok(Effects::default());
                }
                Effects {
                    events: vec![(*owner, book(0, 0, Some((name.clone(), false))))],
                    claims: vec![(claim(name), None)],
                }
            }
        })
    }
}

struct InWorld<'a, 'w>(&'a mut World<'w, Bank>);

impl View for InWorld<'_, '_> {
    type Stop = Halt<Bank>;
    fn balance(&mut self, account: Account) -> Result<i64, Halt<Bank>> {
        Ok(self.0.state(&account)?.balance)
    }
    fn owner(&mut self, name: &str) -> Result<Option<String>, Halt<Bank>> {
        Ok(self.0.claim(&claim(name))?.cloned())
    }
}

impl Command<Bank> for Order {
    fn first_event(&self) -> EventId {
        id(self.key, 0)
    }
    fn request(&self) -> &str {
        "the same"
    }
    fn decide(&self, world: &mut World<'_, Bank>) -> Result<(), Halt<Bank>> {
        let effects = self.plan(&mut InWorld(world))?;
        for (account, event) in effects.events {
            world.append(account, event)?;
        }
        for (claim, owner) in effects.claims {
            world.set_claim(claim, owner)?;
        }
        Ok(())
    }
}
