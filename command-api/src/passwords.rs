//! Hashing passwords with Argon2id, a few at a time, off the async threads.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Instant;

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use chronicle::entropy::Entropy;
use domain::Problem;
use domain::password::canonical;
use domain::problem::Kind;
use metrics::{counter, histogram};
use tokio::sync::Semaphore;

/// How passwords are hashed. The default is the least that OWASP's cheat sheet advises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hashing {
    /// Memory of one hash in KiB.
    pub memory_kib: u32,
    pub passes: u32,
    pub lanes: u32,
    /// Hashes that run at once; each has its memory and a core.
    pub at_once: usize,
    /// Hashes that may wait; further ones are refused.
    pub waiting: usize,
}

impl Default for Hashing {
    fn default() -> Self {
        Self { memory_kib: 19 * 1024, passes: 2, lanes: 1, at_once: 2, waiting: 64 }
    }
}

impl Hashing {
    /// Whether a stolen verifier costs enough to guess: OWASP's least for Argon2id.
    pub fn is_strong(&self) -> bool {
        self.memory_kib >= 19 * 1024 && self.passes >= 2
    }
}

/// Reads Argon2's own way of writing them, `m=19456,t=2,p=1`; what is absent stays as it is by
/// default.
impl FromStr for Hashing {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("{text:?} is not like m=19456,t=2,p=1");
        let mut hashing = Self::default();
        for part in text.split(',') {
            let (name, value) = part.trim().split_once('=').ok_or_else(bad)?;
            let value = value.parse().map_err(|_| bad())?;
            match name {
                "m" => hashing.memory_kib = value,
                "t" => hashing.passes = value,
                "p" => hashing.lanes = value,
                _ => return Err(bad()),
            }
        }
        Params::new(hashing.memory_kib, hashing.passes, hashing.lanes, None)
            .map_err(|error| error.to_string())?;
        Ok(hashing)
    }
}

/// What a password came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Wrong,
    Right,
    /// Right, but hashed with other parameters than today's.
    Outdated,
}

/// The only place where passwords are hashed. Cheap to clone.
#[derive(Clone)]
pub struct Passwords(Arc<Inner>);

struct Inner {
    argon2: Argon2<'static>,
    entropy: Arc<dyn Entropy>,
    /// What is verified in place of a verifier that does not exist, at the same cost.
    dummy: String,
    running: Arc<Semaphore>,
    places: Arc<Semaphore>,
    at_once: usize,
    waiting: usize,
}

/// The hashes under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queue {
    pub running: usize,
    pub waiting: usize,
}

impl std::fmt::Debug for Passwords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passwords")
    }
}

impl Passwords {
    /// # Errors
    /// Parameters that Argon2 does not take; the text says which.
    pub fn new(hashing: Hashing, entropy: Arc<dyn Entropy>) -> Result<Self, argon2::Error> {
        let params = Params::new(hashing.memory_kib, hashing.passes, hashing.lanes, None)?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let at_once = hashing.at_once.max(1);
        let dummy =
            hashed(&argon2, &*entropy, "nobody's password").map_err(|_| argon2::Error::OutputTooShort)?;
        let running = Arc::new(Semaphore::new(at_once));
        let places = Arc::new(Semaphore::new(at_once + hashing.waiting));
        let waiting = hashing.waiting;
        Ok(Self(Arc::new(Inner { argon2, entropy, dummy, running, places, at_once, waiting })))
    }

    /// How busy it is.
    pub fn queue(&self) -> Queue {
        let inner = &self.0;
        let taken = (inner.at_once + inner.waiting).saturating_sub(inner.places.available_permits());
        let running = inner.at_once.saturating_sub(inner.running.available_permits()).min(taken);
        Queue { running, waiting: taken - running }
    }

    /// The verifier of a new password, a PHC string.
    ///
    /// # Errors
    /// `unavailable` when too many wait.
    pub async fn hash(&self, password: &str) -> Result<String, Problem> {
        let password = canonical(password);
        self.run(move |inner| {
            hashed(&inner.argon2, &*inner.entropy, &password).map_err(|_| Kind::Internal.into())
        })
        .await?
    }

    /// Whether `password` is the one of `verifier`; at the same cost for none.
    ///
    /// # Errors
    /// `unavailable` when too many wait.
    pub async fn verify(&self, password: &str, verifier: Option<String>) -> Result<Verdict, Problem> {
        let password = canonical(password);
        self.run(move |inner| inner.verdict(&password, verifier.as_deref())).await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let full = || {
            counter!("letopis_password_hashes_refused_total").increment(1);
            Problem::new(Kind::Unavailable).detail("too many sign-ins at once").retry_after(2)
        };
        let asked = Instant::now();
        let place = self.0.places.clone().try_acquire_owned().map_err(|_| full())?;
        let turn = self.0.running.clone().acquire_owned().await.map_err(|_| full())?;
        let inner = self.0.clone();
        histogram!("letopis_password_hash_wait_seconds").record(asked.elapsed());
        // The permits go along: a client that hangs up frees nothing while its hash runs.
        tokio::task::spawn_blocking(move || {
            let began = Instant::now();
            let result = work(&inner);
            histogram!("letopis_password_hash_seconds").record(began.elapsed());
            drop((place, turn));
            result
        })
        .await
        .map_err(|_| Kind::Internal.into())
    }
}

impl Inner {
    fn verdict(&self, password: &str, verifier: Option<&str>) -> Verdict {
        let known = verifier.is_some();
        let Ok(hash) = PasswordHash::new(verifier.unwrap_or(&self.dummy)) else {
            tracing::error!("a verifier is not a PHC string");
            return Verdict::Wrong;
        };
        let right = self.argon2.verify_password(password.as_bytes(), &hash).is_ok();
        if !right || !known {
            return Verdict::Wrong;
        }
        let params = Params::try_from(&hash).ok();
        let same = |params: &Params| {
            let today = self.argon2.params();
            (params.m_cost(), params.t_cost(), params.p_cost())
                == (today.m_cost(), today.t_cost(), today.p_cost())
        };
        let current = hash.algorithm == Algorithm::Argon2id.ident()
            && hash.version == Some(Version::V0x13.into())
            && params.as_ref().is_some_and(same);
        if current { Verdict::Right } else { Verdict::Outdated }
    }
}

fn hashed(
    argon2: &Argon2<'_>,
    entropy: &dyn Entropy,
    password: &str,
) -> Result<String, argon2::password_hash::Error> {
    let mut salt = [0; 16];
    entropy.fill(&mut salt);
    let salt = SaltString::encode_b64(&salt)?;
    Ok(argon2.hash_password(password.as_bytes(), &salt)?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counting(std::sync::atomic::AtomicU8);
    impl Entropy for Counting {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        }
    }

    fn passwords(hashing: Hashing) -> Passwords {
        Passwords::new(hashing, Arc::new(Counting(0.into()))).expect("good parameters")
    }

    const SMALL: Hashing = Hashing { memory_kib: 64, passes: 1, lanes: 1, at_once: 2, waiting: 4 };

    #[tokio::test]
    async fn a_password_is_known_again_and_its_salt_never_repeats() {
        let passwords = passwords(SMALL);
        let verifier = passwords.hash("ключ от чулана").await.expect("hashed");
        assert!(verifier.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{verifier}");
        assert_ne!(verifier, passwords.hash("ключ от чулана").await.expect("hashed"));
        let verify = async |password: &str| passwords.verify(password, Some(verifier.clone())).await;
        assert_eq!(verify("ключ от чулана").await, Ok(Verdict::Right));
        assert_eq!(verify("ключ от чердака").await, Ok(Verdict::Wrong));
        assert_eq!(
            passwords.verify("nobody's password", None).await,
            Ok(Verdict::Wrong),
            "the dummy opens nothing"
        );
    }

    #[tokio::test]
    async fn other_parameters_are_noticed() {
        let before = passwords(SMALL).hash("a long enough one").await.expect("hashed");
        let now = passwords(Hashing { passes: 2, ..SMALL });
        assert_eq!(now.verify("a long enough one", Some(before.clone())).await, Ok(Verdict::Outdated));
        assert_eq!(now.verify("another one", Some(before)).await, Ok(Verdict::Wrong));
    }

    #[tokio::test]
    async fn beyond_the_queue_one_is_told_to_come_back() {
        let passwords = passwords(Hashing { at_once: 1, waiting: 2, ..SMALL });
        let (release, held) = std::sync::mpsc::channel::<()>();
        let running = tokio::spawn({
            let passwords = passwords.clone();
            async move { passwords.run(move |_| held.recv().is_ok()).await }
        });
        let waiting: Vec<_> = (0..2)
            .map(|_| {
                let passwords = passwords.clone();
                tokio::spawn(async move { passwords.hash("some password").await })
            })
            .collect();
        while passwords.0.places.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(passwords.queue(), Queue { running: 1, waiting: 2 });
        let refused = passwords.hash("some password").await.expect_err("the queue is full");
        assert!(refused.is(Kind::Unavailable) && refused.retry_after.is_some());
        release.send(()).expect("the first one waits for it");
        assert_eq!(running.await.expect("it ends"), Ok(true));
        for waiting in waiting {
            assert!(waiting.await.expect("it ends").is_ok());
        }
        assert_eq!(passwords.queue(), Queue { running: 0, waiting: 0 });
    }

    #[test]
    fn the_default_is_what_the_checklist_asks_for() {
        let Hashing { memory_kib, passes, lanes, at_once, .. } = Hashing::default();
        assert_eq!((memory_kib, passes, lanes, at_once), (19_456, 2, 1, 2));
        assert_eq!("m=19456,t=2,p=1".parse(), Ok(Hashing::default()));
        assert_eq!("t=3".parse::<Hashing>().map(|it| it.passes), Ok(3));
        for bad in ["", "m", "m=x", "x=1", "m=1"] {
            assert!(bad.parse::<Hashing>().is_err(), "{bad}");
        }
    }
}
