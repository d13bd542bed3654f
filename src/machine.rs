//! The machine's clock and its randomness: the one place where time is read and random numbers are
//! drawn. Everybody else is handed them.

use std::time::{SystemTime, UNIX_EPOCH};

use chronicle::Clock;
use chronicle::entropy::Entropy;
use domain::Timestamp;
use domain::ids::uuid_v7;
use uuid::Uuid;

/// The machine's clock.
#[derive(Debug)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the composition root hands the clock to everybody else")]
    fn now(&self) -> Timestamp {
        let micros = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros());
        Timestamp(i64::try_from(micros).unwrap_or(i64::MAX))
    }
}

/// The kernel's random numbers.
#[derive(Debug)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[expect(clippy::disallowed_methods, reason = "the composition root hands randomness to everybody else")]
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("a kernel without random numbers must not go on");
    }
}

/// A new UUIDv7.
pub fn new_id(clock: &dyn Clock, entropy: &dyn Entropy) -> Uuid {
    let mut random = [0; 10];
    entropy.fill(&mut random);
    uuid_v7(clock.now(), &random)
}
