//! Counters in this process.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use domain::problem::Kind;
use domain::{Problem, Timestamp};

use super::{Counter, Policy, Throttle};

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
