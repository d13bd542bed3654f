//! Slowing down who guesses: exponential, and never a lockout that a stranger can inflict.
//!
//! Counted are attempts: by client network; by account and network together; and by account from
//! everywhere. The last one slows only networks that have failed on that account themselves, so
//! whoever hammers an account from elsewhere does not keep its owner out.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use domain::problem::Kind;
use domain::{Problem, Timestamp};

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

/// What is counted: a name that holds no personal data but keyed hashes, and the policy.
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

/// Port: counts attempts. In memory here; shared by several nodes through the sessions engine.
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

#[derive(Clone, Copy, Debug)]
struct Count {
    attempts: u32,
    last: Timestamp,
    policy: Policy,
}

impl Count {
    fn is_forgotten(&self, now: Timestamp) -> bool {
        now >= self.last.plus(seconds(self.policy.forget))
    }

    /// When the next attempt is welcome.
    fn next(&self) -> Timestamp {
        let Some(over) = self.attempts.checked_sub(self.policy.free) else { return self.last };
        let delay =
            1_u64.checked_shl(over).map_or(self.policy.longest, |delay| delay.min(self.policy.longest));
        self.last.plus(seconds(delay))
    }
}

fn seconds(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(Timestamp::SECOND)
}

/// Counters in this process.
#[derive(Debug, Default)]
pub struct InMemory {
    counts: Mutex<HashMap<String, Count>>,
}

/// Counters that are held at most.
const MOST: usize = 100_000;

type Counts = HashMap<String, Count>;

fn early(counts: &Counts, counters: &[Counter], now: Timestamp) -> Result<(), Problem> {
    let mut wait_until = now;
    let mut all_begun = true;
    for counter in counters {
        let count = counts.get(&counter.name).filter(|count| !count.is_forgotten(now));
        if let Some(count) = count
            && (all_begun || !counter.only_after_others)
        {
            wait_until = wait_until.max(count.next());
        }
        all_begun &= count.is_some_and(|count| count.attempts >= count.policy.free);
    }
    if wait_until > now {
        let wait = (wait_until.0 - now.0).unsigned_abs().div_ceil(Timestamp::SECOND.unsigned_abs());
        return Err(Problem::new(Kind::TooManyRequests).retry_after(wait));
    }
    Ok(())
}

fn add(counts: &mut Counts, counters: &[Counter], now: Timestamp) {
    if counts.len() + counters.len() > MOST {
        counts.retain(|_, count| !count.is_forgotten(now));
        if counts.len() + counters.len() > MOST {
            counts.clear();
        }
    }
    for counter in counters {
        let fresh = Count { attempts: 0, last: now, policy: counter.policy };
        let count = counts.entry(counter.name.clone()).or_insert(fresh);
        if count.is_forgotten(now) {
            *count = fresh;
        }
        count.attempts = count.attempts.saturating_add(1);
        count.last = now;
    }
}

impl InMemory {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        // A count that a panic left behind is still a count.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Throttle for InMemory {
    async fn attempt(&self, counters: &[Counter], now: Timestamp) -> Result<(), Problem> {
        let mut counts = self.counts();
        early(&counts, counters, now)?;
        add(&mut counts, counters, now);
        Ok(())
    }

    async fn check(&self, counters: &[Counter], now: Timestamp) -> Result<(), Problem> {
        early(&self.counts(), counters, now)
    }

    async fn count(&self, counters: &[Counter], now: Timestamp) {
        add(&mut self.counts(), counters, now);
    }

    async fn forgive(&self, counters: &[Counter]) {
        let mut counts = self.counts();
        for counter in counters {
            if let Some(count) = counts.get_mut(&counter.name) {
                count.attempts = count.attempts.saturating_sub(1);
            }
        }
    }

    async fn reset(&self, counter: &Counter) {
        self.counts().remove(&counter.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Policy = Policy { free: 2, longest: 8, forget: 100 };

    fn at(seconds: i64) -> Timestamp {
        Timestamp(seconds * Timestamp::SECOND)
    }

    fn one(name: &str) -> Vec<Counter> {
        vec![Counter::new(name.into(), POLICY)]
    }

    async fn wait(throttle: &InMemory, counters: &[Counter], now: i64) -> Option<u64> {
        throttle.attempt(counters, at(now)).await.err().and_then(|problem| problem.retry_after)
    }

    #[tokio::test]
    async fn delays_double_up_to_the_longest() {
        let throttle = InMemory::default();
        let mut now = 0;
        let mut delays = Vec::new();
        for _ in 0..8 {
            let delay = wait(&throttle, &one("a"), now).await;
            delays.push(delay.unwrap_or(0));
            now += i64::try_from(delay.unwrap_or(0)).expect("small");
            if delay.is_some() {
                assert_eq!(wait(&throttle, &one("a"), now).await, None, "after the wait it is welcome");
            }
        }
        assert_eq!(delays, [0, 0, 1, 2, 4, 8, 8, 8]);
        assert_eq!(wait(&throttle, &one("b"), now).await, None, "another name is another counter");
    }

    #[tokio::test]
    async fn what_is_refused_does_not_count() {
        let throttle = InMemory::default();
        for _ in 0..2 {
            assert_eq!(wait(&throttle, &one("a"), 0).await, None);
        }
        for _ in 0..50 {
            assert_eq!(wait(&throttle, &one("a"), 0).await, Some(1));
        }
        assert_eq!(wait(&throttle, &one("a"), 1).await, None);
    }

    #[tokio::test]
    async fn counters_are_forgiven_reset_and_forgotten() {
        let throttle = InMemory::default();
        for _ in 0..20 {
            assert_eq!(wait(&throttle, &one("a"), 0).await, None);
            throttle.forgive(&one("a")).await;
        }
        for _ in 0..2 {
            assert_eq!(wait(&throttle, &one("a"), 0).await, None);
        }
        assert!(wait(&throttle, &one("a"), 0).await.is_some());
        throttle.reset(&one("a")[0]).await;
        for _ in 0..2 {
            assert_eq!(wait(&throttle, &one("a"), 0).await, None);
        }
        assert!(wait(&throttle, &one("a"), 0).await.is_some());
        assert_eq!(wait(&throttle, &one("a"), 100).await, None);
        assert_eq!(wait(&throttle, &one("a"), 100).await, None, "as if it were the first time");
    }

    #[tokio::test]
    async fn a_stranger_slows_himself_and_not_the_owner() {
        let throttle = InMemory::default();
        let from = |network: &str| {
            vec![
                Counter::new(format!("ann at {network}"), POLICY),
                Counter::new("ann".into(), Policy { free: 3, longest: 60, forget: 1_000 })
                    .only_after_others(),
            ]
        };
        let mut now = 0;
        for _ in 0..10 {
            now += i64::try_from(wait(&throttle, &from("elsewhere"), now).await.unwrap_or(0)).expect("small");
            let _ = wait(&throttle, &from("elsewhere"), now).await;
        }
        assert!(wait(&throttle, &from("elsewhere"), now).await > Some(8), "the account's delay is his too");
        assert_eq!(wait(&throttle, &from("home"), now).await, None);
    }
}
