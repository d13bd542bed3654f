//! How often a person and a network may ask. Each process counts for itself; guessing passwords is
//! slowed apart from it, together with the other processes (`command_api::throttle`).
//!
//! | who | what | a second | at once |
//! |---|---|---|---|
//! | a network ([`Client::network`]) | any request to the APIs | 100 | 500 |
//! | a person | queries | 20 | 200 |
//! | a person | commands | 5 | 60 |
//! | a person | uploads and forwards | 1 in 3 s | 20 |
//!
//! What is over is answered 429 with Retry-After, and costs nothing more than that.

use std::hash::Hash;
use std::num::NonZeroU32;
use std::time::Duration;

use domain::Problem;
use domain::caller::Client;
use domain::ids::PersonId;
use domain::problem::Kind;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

/// Commands that write files.
const UPLOADS: [&str; 3] = ["upload", "change_photo", "forward"];
/// How often those who have not asked for a while are forgotten.
pub const TIDY: Duration = Duration::from_secs(60);

/// So many at once, and one more in every `per`.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    pub burst: NonZeroU32,
    pub per: Duration,
}

impl Rate {
    /// # Panics
    /// If either is 0: rates are constants.
    pub const fn new(burst: u32, per: Duration) -> Self {
        assert!(!per.is_zero(), "it takes time");
        Self { burst: NonZeroU32::new(burst).expect("at least one"), per }
    }

    fn counter<K: Clone + Eq + Hash>(self) -> DefaultKeyedRateLimiter<K> {
        let quota = Quota::with_period(self.per).expect("it takes time").allow_burst(self.burst);
        RateLimiter::keyed(quota)
    }
}

/// The table above.
#[derive(Clone, Copy, Debug)]
pub struct Rates {
    pub network: Rate,
    pub queries: Rate,
    pub commands: Rate,
    pub uploads: Rate,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            network: Rate::new(500, Duration::from_millis(10)),
            queries: Rate::new(200, Duration::from_millis(50)),
            commands: Rate::new(60, Duration::from_millis(200)),
            uploads: Rate::new(20, Duration::from_secs(3)),
        }
    }
}

/// Counts requests.
pub struct Limits {
    networks: DefaultKeyedRateLimiter<String>,
    queries: DefaultKeyedRateLimiter<PersonId>,
    commands: DefaultKeyedRateLimiter<PersonId>,
    uploads: DefaultKeyedRateLimiter<PersonId>,
}

impl Limits {
    pub fn new(rates: Rates) -> Self {
        Self {
            networks: rates.network.counter(),
            queries: rates.queries.counter(),
            commands: rates.commands.counter(),
            uploads: rates.uploads.counter(),
        }
    }

    /// # Errors
    /// `too-many-requests` with the seconds to wait.
    pub fn network(&self, client: &Client) -> Result<(), Problem> {
        asked(&self.networks, &client.network())
    }

    /// # Errors
    /// `too-many-requests` with the seconds to wait.
    pub fn person(&self, person: PersonId, path: &str) -> Result<(), Problem> {
        match path.strip_prefix("/command/v1/") {
            None => asked(&self.queries, &person),
            Some(command) if UPLOADS.contains(&command) => asked(&self.uploads, &person),
            Some(_) => asked(&self.commands, &person),
        }
    }

    /// Forgets whoever may ask as much as somebody who never has.
    pub fn tidy(&self) {
        self.networks.retain_recent();
        self.networks.shrink_to_fit();
        for persons in [&self.queries, &self.commands, &self.uploads] {
            persons.retain_recent();
            persons.shrink_to_fit();
        }
    }
}

fn asked<K: Clone + Eq + Hash>(counter: &DefaultKeyedRateLimiter<K>, who: &K) -> Result<(), Problem> {
    counter.check_key(who).map_err(|early| {
        let wait = early.wait_time_from(DefaultClock::default().now());
        // Rounded up: whoever waits so long is welcome.
        Problem::new(Kind::TooManyRequests).retry_after(wait.as_secs() + 1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn few() -> Limits {
        let rate = |burst| Rate::new(burst, Duration::from_secs(3_600));
        Limits::new(Rates { network: rate(3), queries: rate(2), commands: rate(1), uploads: rate(1) })
    }

    fn client(address: &str) -> Client {
        let address = address.to_owned();
        Client { address, user_agent: String::new(), browser: false, secure: true }
    }

    fn person(n: u128) -> PersonId {
        PersonId(uuid::Uuid::from_u128(n))
    }

    #[test]
    fn a_network_is_counted_as_one_and_the_next_is_another() {
        let limits = few();
        for address in ["2001:db8::1", "2001:db8::2", "2001:db8::3"] {
            assert!(limits.network(&client(address)).is_ok());
        }
        let refused = limits.network(&client("2001:db8::4")).expect_err("the /64 has asked enough");
        assert!(refused.is(Kind::TooManyRequests));
        assert!((3_500..=3_601).contains(&refused.retry_after.expect("seconds")), "{refused:?}");
        assert!(limits.network(&client("2001:db8:0:1::1")).is_ok());
        assert!(limits.network(&client("192.0.2.1")).is_ok());
    }

    #[test]
    fn a_persons_queries_commands_and_uploads_are_counted_apart() {
        let limits = few();
        let all = ["/query/v1/me", "/query/v1/chats", "/command/v1/send", "/command/v1/upload"];
        assert!(all.iter().all(|path| limits.person(person(1), path).is_ok()));
        for path in ["/query/v1/me", "/command/v1/react", "/command/v1/change_photo"] {
            assert!(limits.person(person(1), path).is_err(), "{path}");
            assert!(limits.person(person(2), path).is_ok(), "{path}");
        }
    }

    #[test]
    fn who_has_asked_is_not_forgotten_early() {
        let limits = few();
        assert!(limits.person(person(1), "/command/v1/send").is_ok());
        limits.tidy();
        assert!(limits.person(person(1), "/command/v1/send").is_err());
    }

    #[test]
    fn nobody_waits_longer_than_it_takes() {
        let limits = Limits::new(Rates::default());
        let refused = std::iter::repeat_with(|| limits.person(person(1), "/command/v1/send"))
            .take(1_000_000)
            .find_map(Result::err);
        assert_eq!(refused.expect("nobody sends so fast").retry_after, Some(1));
    }
}
