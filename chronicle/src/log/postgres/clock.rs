//! Whether this machine's clock agrees with the database's. Several processes append to one log; one
//! whose clock is wrong would give its events a time that the others' events then can't go behind.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use domain::Timestamp;
use sqlx::{PgConnection, PgPool};

use crate::clock::Clock;
use crate::log::LogError;
use crate::postgres::within;

/// Clocks further apart than this keep a process from appending, in µs.
const FARTHEST: i64 = 2_000_000;

/// The database's clock as it was read last.
#[derive(Clone, Copy, Debug)]
struct Reading {
    asked: Instant,
    answered: Instant,
    said: Timestamp,
}

/// Compares clocks. A reading is carried on by the monotonic clock, so that a jump of ours is seen at
/// once, and not only when the database is asked again.
pub(super) struct DatabaseClock {
    clock: Arc<dyn Clock>,
    reading: Mutex<Option<Reading>>,
    /// Whether they were apart when it was looked at last; each change is said once.
    apart: AtomicBool,
}

impl std::fmt::Debug for DatabaseClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DatabaseClock").field("apart", &self.apart).finish_non_exhaustive()
    }
}

impl DatabaseClock {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, reading: Mutex::default(), apart: AtomicBool::new(false) }
    }

    /// Asks the database. A connection is had first, so that waiting for one does not count.
    pub(super) async fn read(&self, readers: &PgPool) -> sqlx::Result<()> {
        within(async {
            let mut connection = readers.acquire().await?;
            self.read_on(&mut connection).await
        })
        .await
    }

    async fn read_on(&self, connection: &mut PgConnection) -> sqlx::Result<()> {
        let asked = Instant::now();
        let said = sqlx::query_scalar("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
            .fetch_one(connection)
            .await?;
        let reading = Reading { asked, answered: Instant::now(), said: Timestamp(said) };
        *self.reading.lock().unwrap_or_else(PoisonError::into_inner) = Some(reading);
        // Said when it happens, not when somebody next writes.
        let _ = self.check();
        Ok(())
    }

    /// # Errors
    /// `Unavailable` while the clocks are certainly more than two seconds apart. The database looked
    /// at its clock somewhere between question and answer: a slow network is no wrong clock.
    pub(super) fn check(&self) -> Result<(), LogError> {
        let reading = *self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Reading { asked, answered, said }) = reading else { return Ok(()) };
        // In this order, so that a pause between two of them widens the span.
        let earliest = said.0.saturating_add(micros(answered));
        let ours = self.clock.now().0;
        let latest = said.0.saturating_add(micros(asked));
        let (ahead, behind) = (ours.saturating_sub(latest), earliest.saturating_sub(ours));
        let (apart, which) = if ahead > behind { (ahead, "ahead of") } else { (behind, "behind") };
        let too_far = apart > FARTHEST;
        let changed = self.apart.swap(too_far, Ordering::Relaxed) != too_far;
        if !too_far {
            if changed {
                tracing::info!("this machine's clock agrees with the database's again: commands are taken");
            }
            return Ok(());
        }
        let seconds = apart as f64 / 1e6;
        let complaint = format!(
            "this machine's clock is {seconds:.1} s {which} the database's, and so it writes nothing: set both \
             clocks (NTP)"
        );
        if changed {
            tracing::error!("{complaint}; it goes on by itself then");
        }
        Err(LogError::Unavailable(complaint))
    }
}

fn micros(since: Instant) -> i64 {
    i64::try_from(since.elapsed().as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Fixed;

    impl Clock for Fixed {
        fn now(&self) -> Timestamp {
            Timestamp(1_000_000_000)
        }
    }

    #[test]
    fn clocks_may_be_two_seconds_apart_and_no_more() {
        let clock = DatabaseClock::new(Arc::new(Fixed));
        let check = |apart: i64| {
            let (asked, said) = (Instant::now(), Timestamp(Fixed.now().0 - apart));
            *clock.reading.lock().expect("no panic") = Some(Reading { asked, answered: asked, said });
            clock.check()
        };
        for apart in [-1_000_000, 0, 1_000_000] {
            assert!(check(apart).is_ok(), "{apart} µs");
        }
        for (apart, words) in [(4_000_000, "s ahead of"), (-4_000_000, "s behind")] {
            let refused = check(apart).expect_err("too far").to_string();
            assert!(refused.contains(words), "{refused}");
        }
    }
}
