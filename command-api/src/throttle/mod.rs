//! Slowing down who guesses: exponential, and never a lockout that a stranger can inflict.
//!
//! Counted are attempts: by client network; by account and network together; and by account from
//! everywhere. The last one slows only networks that have failed on that account themselves, so
//! whoever hammers an account from elsewhere does not keep its owner out.

use async_trait::async_trait;
use domain::{Problem, Timestamp};

mod memory;
mod shared;

pub use memory::InMemory;
pub use shared::Shared;

/// How a counter grows into a delay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Attempts without any delay. Then 1 s, 2 s, 4 s …
    pub free: u32,
    /// The longest delay in seconds.
    pub longest: u64,
    /// A counter is forgotten this many seconds after its last attempt.
    pub forget: u64,
}

/// Sign-ins on one account from one network.
pub const PAIR: Policy = Policy { free: 5, longest: 300, forget: 3_600 };
/// Sign-ins from one network, on whatever account.
pub const NETWORK: Policy = Policy { free: 50, longest: 300, forget: 3_600 };
/// Sign-ins on one account from everywhere.
pub const ACCOUNT: Policy = Policy { free: 20, longest: 60, forget: 3_600 };
/// Registrations from one network that met a taken email address: each shows an account.
pub const TAKEN: Policy = Policy { free: 10, longest: 900, forget: 3_600 };
/// Accounts made from one network.
pub const REGISTERED: Policy = Policy { free: 200, longest: 60, forget: 3_600 };

/// What is counted: a name, which may hold a network and else nothing personal but keyed hashes, and
/// the policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counter {
    pub name: String,
    pub policy: Policy,
    /// Delays only if every counter before it has begun to delay.
    pub only_after_others: bool,
}

impl Counter {
    pub fn new(name: String, policy: Policy) -> Self {
        Self { name, policy, only_after_others: false }
    }

    /// Delays only whoever the counters before it in the list delay too.
    pub fn only_after_others(self) -> Self {
        Self { only_after_others: true, ..self }
    }
}

/// Port: counts attempts, in this process ([`InMemory`]) or together with others ([`Shared`]).
#[async_trait]
pub trait Throttle: Send + Sync {
    /// Whether there are limits at all; those of the rules go with it.
    fn is_on(&self) -> bool {
        true
    }

    /// Counts an attempt on all of `counters`, or says that it is too early for one.
    ///
    /// # Errors
    /// `too-many-requests` with the seconds to wait; then nothing was counted.
    async fn attempt(&self, counters: &[Counter], now: Timestamp) -> Result<(), Problem>;

    /// Says whether it is too early, without counting.
    ///
    /// # Errors
    /// `too-many-requests` with the seconds to wait.
    async fn check(&self, counters: &[Counter], now: Timestamp) -> Result<(), Problem>;

    /// Counts, however early.
    async fn count(&self, counters: &[Counter], now: Timestamp);

    /// Takes one attempt back: it was none that is to be slowed.
    async fn forgive(&self, counters: &[Counter]);

    /// Forgets a counter: who succeeds starts anew.
    async fn reset(&self, counter: &Counter);
}

/// No throttle at all: `LETOPIS_RATE_LIMIT=off`.
#[derive(Clone, Copy, Debug)]
pub struct Off;

#[async_trait]
impl Throttle for Off {
    fn is_on(&self) -> bool {
        false
    }
    async fn attempt(&self, _: &[Counter], _: Timestamp) -> Result<(), Problem> {
        Ok(())
    }
    async fn check(&self, _: &[Counter], _: Timestamp) -> Result<(), Problem> {
        Ok(())
    }
    async fn count(&self, _: &[Counter], _: Timestamp) {}
    async fn forgive(&self, _: &[Counter]) {}
    async fn reset(&self, _: &Counter) {}
}

#[cfg(test)]
mod tests;
