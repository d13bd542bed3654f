//! Counted attempts that several processes share: who guesses from one network is slowed by all.

use async_trait::async_trait;
use domain::Timestamp;

use crate::error::Result;

pub(crate) mod keydb;

/// What is counted, and how it grows into a delay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counter {
    /// Holds nothing personal but keyed hashes.
    pub name: String,
    /// Attempts without any delay. Then 1 s, 2 s, 4 s …
    pub free: u32,
    /// The longest delay in seconds.
    pub longest: u64,
    /// Seconds after its last attempt it is forgotten.
    pub forget: u64,
    /// Delays only if every counter before it has begun to delay.
    pub only_after_others: bool,
}

/// What is done to counters, at once to all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Counts one unless it is too early.
    Attempt,
    /// Looks whether it is too early.
    Check,
    /// Counts one, however early.
    Count,
    /// Takes one back.
    Forgive,
    /// Forgets them.
    Reset,
}

/// The engine of shared counters.
#[async_trait]
pub trait Counters: Send + Sync {
    /// Does `act`; answers how many seconds too early that is, 0 where it is not.
    async fn act(&self, act: Act, counters: &[Counter], now: Timestamp) -> Result<u64>;
}
