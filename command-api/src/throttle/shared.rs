//! Counters that several processes share.
//!
//! Where their engine is away, this process counts by itself: it has counted along all the time,
//! so nobody starts anew, nobody goes unlimited, and nobody is kept out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use domain::problem::Kind;
use domain::{Problem, Timestamp};
use stores::counters::{Act, Counters};

use super::{Counter, InMemory, Throttle};

/// Counts in an engine, and in this process.
pub struct Shared {
    counters: Arc<dyn Counters>,
    keyed: Keyed,
    own: InMemory,
    is_away: AtomicBool,
}

/// Makes of a name what tells nobody who it is about, the same in every process.
pub type Keyed = Box<dyn Fn(&str) -> String + Send + Sync>;

impl Shared {
    /// A name may hold a network: `keyed` is what leaves this process of it.
    pub fn new(counters: Arc<dyn Counters>, keyed: Keyed) -> Self {
        Self { counters, keyed, own: InMemory::default(), is_away: AtomicBool::new(false) }
    }

    fn shared(&self, counter: &Counter) -> stores::counters::Counter {
        let Counter { name, policy, only_after_others } = counter;
        stores::counters::Counter {
            name: (self.keyed)(name),
            free: policy.free,
            longest: policy.longest,
            forget: policy.forget,
            only_after_others: *only_after_others,
        }
    }

    /// The seconds that the engine says to wait; `None` where it is away.
    async fn act(&self, act: Act, counters: &[Counter], now: Timestamp) -> Option<u64> {
        let shared: Vec<_> = counters.iter().map(|counter| self.shared(counter)).collect();
        let acted = self.counters.act(act, &shared, now).await;
        let was_away = self.is_away.swap(acted.is_err(), Ordering::Relaxed);
        match &acted {
            Err(error) if !was_away => {
                tracing::warn!(%error, "attempts to sign in are counted in this process alone");
            }
            Ok(_) if was_away => tracing::info!("attempts to sign in are counted together again"),
            _ => {}
        }
        acted.ok()
    }
}

fn welcome(wait: u64) -> Result<(), Problem> {
    if wait > 0 { Err(Problem::new(Kind::TooManyRequests).retry_after(wait)) } else { Ok(()) }
}

#[async_trait]
impl Throttle for Shared {
    async fn attempt(&self, counters: &[Counter], now: Timestamp) -> Result<(), Problem> {
        match self.act(Act::Attempt, counters, now).await {
            Some(wait) => {
                welcome(wait)?;
                self.own.count(counters, now).await;
                Ok(())
            }
            None => self.own.attempt(counters, now).await,
        }
    }

    async fn check(&self, counters: &[Counter], now: Timestamp) -> Result<(), Problem> {
        match self.act(Act::Check, counters, now).await {
            Some(wait) => welcome(wait),
            None => self.own.check(counters, now).await,
        }
    }

    async fn count(&self, counters: &[Counter], now: Timestamp) {
        self.act(Act::Count, counters, now).await;
        self.own.count(counters, now).await;
    }

    async fn forgive(&self, counters: &[Counter]) {
        self.act(Act::Forgive, counters, Timestamp(0)).await;
        self.own.forgive(counters).await;
    }

    async fn reset(&self, counter: &Counter) {
        self.act(Act::Reset, std::slice::from_ref(counter), Timestamp(0)).await;
        self.own.reset(counter).await;
    }
}
