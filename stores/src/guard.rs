//! What stands between a request and an engine on the network: a time limit, a few attempts, and a
//! circuit breaker, so that an engine that is away costs neither patience nor threads.
//!
//! The figures of each engine are its adapter's [`Limits`]; docs/operations.md lists them.

use std::sync::Arc;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use recloser::{AsyncRecloser, Error, Recloser};

use crate::error::{Result, StoreError};

/// Between attempts: doubled, each with a jitter of up to as much again.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));
/// Calls that are looked back on, and the share of failures among them that opens the breaker.
const LOOKED_AT: usize = 10;
const TOO_MANY: f32 = 0.5;
/// An open breaker lets a call through after this, to see.
const OPEN: Duration = Duration::from_secs(1);
/// So many calls decide whether it closes again.
const TRIALS: usize = 2;

/// What an engine is given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Of one attempt.
    pub timeout: Duration,
    /// At most, of what may be asked again.
    pub attempts: usize,
}

/// The guard of one engine. Cheap to clone; clones share the breaker.
#[derive(Clone)]
pub(crate) struct Guard {
    engine: &'static str,
    limits: Limits,
    breaker: Arc<AsyncRecloser>,
}

impl Guard {
    pub fn new(engine: &'static str, limits: Limits) -> Self {
        let breaker = Recloser::custom()
            .closed_len(LOOKED_AT)
            .error_rate(TOO_MANY)
            .half_open_len(TRIALS)
            .open_wait(OPEN)
            .build();
        Self { engine, limits, breaker: Arc::new(AsyncRecloser::from(breaker)) }
    }

    /// For what may be asked again: each attempt within the time limit, the next after a pause.
    ///
    /// # Errors
    /// The last attempt's; [`StoreError::Engine`] at once while the breaker is open.
    pub async fn read<T, F: Future<Output = Result<T>>>(&self, mut act: impl FnMut() -> F) -> Result<T> {
        let pauses = ExponentialBuilder::default()
            .with_min_delay(PAUSES.0)
            .with_max_delay(PAUSES.1)
            .with_max_times(self.limits.attempts.saturating_sub(1))
            .with_jitter();
        let attempt = || {
            let act = act();
            async { self.attempt(act).await }
        };
        attempt.retry(pauses).when(Failed::may_pass).await.map_err(Failed::into_error)
    }

    /// Once: whoever asked tries again.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub async fn once<T>(&self, act: impl Future<Output = Result<T>>) -> Result<T> {
        self.attempt(act).await.map_err(Failed::into_error)
    }

    async fn attempt<T>(&self, act: impl Future<Output = Result<T>>) -> std::result::Result<T, Failed> {
        let Self { engine, limits, .. } = *self;
        let limited = async {
            let late = |_| {
                let message = format!("no answer within {} s", limits.timeout.as_secs_f64());
                Err(StoreError::Engine { engine, message })
            };
            tokio::time::timeout(limits.timeout, act).await.unwrap_or_else(late)
        };
        // Only what another attempt may change counts: an engine that refuses is there.
        let counts = |error: &StoreError| matches!(error, StoreError::Engine { .. });
        match self.breaker.call_with(counts, limited).await {
            Ok(done) => Ok(done),
            Err(Error::Inner(error)) => Err(Failed::Answered(error)),
            Err(Error::Rejected) => Err(Failed::Away(engine)),
        }
    }
}

enum Failed {
    Answered(StoreError),
    /// The breaker is open.
    Away(&'static str),
}

impl Failed {
    fn may_pass(&self) -> bool {
        matches!(self, Self::Answered(StoreError::Engine { .. }))
    }

    fn into_error(self) -> StoreError {
        match self {
            Self::Answered(error) => error,
            Self::Away(engine) => {
                let message = "it is away, and is asked again in a second".to_owned();
                StoreError::Engine { engine, message }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    const LIMITS: Limits = Limits { timeout: Duration::from_millis(100), attempts: 3 };

    fn failing() -> StoreError {
        StoreError::Engine { engine: "test", message: "down".to_owned() }
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_in_passing_is_asked_again_within_bounds() {
        let (guard, asked) = (Guard::new("test", LIMITS), AtomicU32::new(0));
        let second = guard.read(async || match asked.fetch_add(1, Ordering::SeqCst) {
            0 => Err(failing()),
            _ => Ok(7),
        });
        assert_eq!(second.await.expect("the second attempt"), 7);
        asked.store(0, Ordering::SeqCst);
        let never = guard.read(async || {
            asked.fetch_add(1, Ordering::SeqCst);
            Err::<(), _>(failing())
        });
        assert!(matches!(never.await, Err(StoreError::Engine { .. })));
        assert_eq!(asked.load(Ordering::SeqCst), 3);
        let refused = guard.read(async || {
            asked.fetch_add(1, Ordering::SeqCst);
            Err::<(), _>(StoreError::StaleEpoch { mine: 1, theirs: 2 })
        });
        assert!(matches!(refused.await, Err(StoreError::StaleEpoch { .. })));
        assert_eq!(asked.load(Ordering::SeqCst), 4, "a refusal is an answer");
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_in_time() {
        let guard = Guard::new("test", LIMITS);
        let silent = guard.once(std::future::pending::<Result<()>>()).await;
        assert!(matches!(silent, Err(StoreError::Engine { message, .. }) if message.contains("0.1 s")));
    }

    #[tokio::test]
    async fn an_engine_that_is_away_is_not_asked_until_a_second_has_passed() {
        let (guard, asked) = (Guard::new("test", LIMITS), AtomicU32::new(0));
        let ask = async |down: bool| {
            let act = async {
                asked.fetch_add(1, Ordering::SeqCst);
                if down { Err(failing()) } else { Ok(()) }
            };
            guard.once(act).await
        };
        for _ in 0..LOOKED_AT * 2 {
            let _ = ask(true).await;
        }
        let before = asked.load(Ordering::SeqCst);
        let refused = ask(false).await;
        assert!(matches!(refused, Err(StoreError::Engine { message, .. }) if message.contains("away")));
        assert_eq!(asked.load(Ordering::SeqCst), before, "nobody was asked");
        // The breaker keeps the machine's time, which no test stops.
        std::thread::sleep(OPEN + Duration::from_millis(50));
        for _ in 0..TRIALS + 1 {
            ask(false).await.expect("it is back");
        }
    }
}
