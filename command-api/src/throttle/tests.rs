//! The same promises of whatever counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use stores::counters::{Act, Counters};

use super::*;

/// Tests a promise of each: of this process's counters, of shared ones, and of shared ones whose
/// engine is away.
macro_rules! throttles {
    ($($promise:ident),* $(,)?) => {
        throttles!(@ in_memory, InMemory::default(), $($promise),*);
        throttles!(@ shared, shared(counters().await), $($promise),*);
        throttles!(@ away, shared(Arc::new(Away)), $($promise),*);
    };
    (@ $name:ident, $throttle:expr, $($promise:ident),*) => {
        mod $name {
            use super::*;
            $(
                #[tokio::test]
                async fn $promise() {
                    super::$promise(&$throttle).await;
                }
            )*
        }
    };
}

throttles!(
    delays_double_up_to_the_longest,
    what_is_refused_does_not_count,
    counters_are_forgiven_reset_and_forgotten,
    a_stranger_slows_himself_and_not_the_owner,
);

fn shared(counters: Arc<dyn Counters>) -> Shared {
    Shared::new(counters, Box::new(|name| name.chars().rev().collect()))
}

/// New ones.
async fn counters() -> Arc<dyn Counters> {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let (number, process) = (MADE.fetch_add(1, Ordering::Relaxed), std::process::id());
    let url = format!("{}?prefix=t{process}-throttle-{number}", keydb());
    stores::resolver::counters(&url).await.expect("opened").expect("it shares them")
}

#[expect(clippy::disallowed_methods, reason = "where the servers are is the script's to say")]
fn keydb() -> String {
    std::env::var("LETOPIS_TEST_KEYDB")
        .expect("LETOPIS_TEST_KEYDB names no server: `./dev test` starts one, and `./dev stack` for longer")
}

struct Away;

#[async_trait]
impl Counters for Away {
    async fn act(&self, _: Act, _: &[stores::counters::Counter], _: Timestamp) -> stores::Result<u64> {
        Err(stores::StoreError::Engine { engine: "keydb", message: "it is away".to_owned() })
    }
}

const POLICY: Policy = Policy { free: 2, longest: 8, forget: 100 };

fn at(seconds: i64) -> Timestamp {
    Timestamp(seconds * Timestamp::SECOND)
}

fn one(name: &str) -> Vec<Counter> {
    vec![Counter::new(name.into(), POLICY)]
}

async fn wait(throttle: &dyn Throttle, counters: &[Counter], now: i64) -> Option<u64> {
    throttle.attempt(counters, at(now)).await.err().and_then(|problem| problem.retry_after)
}

async fn delays_double_up_to_the_longest(throttle: &dyn Throttle) {
    let mut now = 0;
    let mut delays = Vec::new();
    for _ in 0..8 {
        let delay = wait(throttle, &one("a"), now).await;
        delays.push(delay.unwrap_or(0));
        now += i64::try_from(delay.unwrap_or(0)).expect("small");
        if delay.is_some() {
            assert_eq!(wait(throttle, &one("a"), now).await, None, "after the wait it is welcome");
        }
    }
    assert_eq!(delays, [0, 0, 1, 2, 4, 8, 8, 8]);
    assert_eq!(wait(throttle, &one("b"), now).await, None, "another name is another counter");
}

async fn what_is_refused_does_not_count(throttle: &dyn Throttle) {
    for _ in 0..2 {
        assert_eq!(wait(throttle, &one("a"), 0).await, None);
    }
    for _ in 0..50 {
        assert_eq!(wait(throttle, &one("a"), 0).await, Some(1));
    }
    assert_eq!(wait(throttle, &one("a"), 1).await, None);
}

async fn counters_are_forgiven_reset_and_forgotten(throttle: &dyn Throttle) {
    for _ in 0..20 {
        assert_eq!(wait(throttle, &one("a"), 0).await, None);
        throttle.forgive(&one("a")).await;
    }
    for _ in 0..2 {
        assert_eq!(wait(throttle, &one("a"), 0).await, None);
    }
    assert!(wait(throttle, &one("a"), 0).await.is_some());
    throttle.reset(&one("a")[0]).await;
    for _ in 0..2 {
        assert_eq!(wait(throttle, &one("a"), 0).await, None);
    }
    assert!(wait(throttle, &one("a"), 0).await.is_some());
    assert_eq!(wait(throttle, &one("a"), 100).await, None);
    assert_eq!(wait(throttle, &one("a"), 100).await, None, "as if it were the first time");
}

async fn a_stranger_slows_himself_and_not_the_owner(throttle: &dyn Throttle) {
    let from = |network: &str| {
        vec![
            Counter::new(format!("ann at {network}"), POLICY),
            Counter::new("ann".into(), Policy { free: 3, longest: 60, forget: 1_000 }).only_after_others(),
        ]
    };
    let mut now = 0;
    for _ in 0..10 {
        now += i64::try_from(wait(throttle, &from("elsewhere"), now).await.unwrap_or(0)).expect("small");
        let _ = wait(throttle, &from("elsewhere"), now).await;
    }
    assert!(wait(throttle, &from("elsewhere"), now).await > Some(8), "the account's delay is his too");
    assert_eq!(wait(throttle, &from("home"), now).await, None);
}

#[tokio::test]
async fn processes_count_together_and_one_that_is_cut_off_goes_on_alone() {
    let counters = counters().await;
    let cut_off = Arc::new(CutOff { counters: counters.clone(), is_cut: AtomicBool::new(false) });
    let (one_process, other) = (shared(cut_off.clone()), shared(counters));
    assert_eq!(wait(&one_process, &one("a"), 0).await, None);
    assert_eq!(wait(&other, &one("a"), 0).await, None);
    assert_eq!(wait(&one_process, &one("a"), 0).await, Some(1), "both are counted");
    cut_off.is_cut.store(true, Ordering::Relaxed);
    assert_eq!(wait(&one_process, &one("a"), 0).await, None, "it has let one in so far");
    assert_eq!(wait(&one_process, &one("a"), 0).await, Some(1));
    cut_off.is_cut.store(false, Ordering::Relaxed);
    assert_eq!(wait(&one_process, &one("a"), 1).await, None);
    assert_eq!(wait(&other, &one("a"), 1).await, Some(2));
}

struct CutOff {
    counters: Arc<dyn Counters>,
    is_cut: AtomicBool,
}

#[async_trait]
impl Counters for CutOff {
    async fn act(&self, act: Act, them: &[stores::counters::Counter], now: Timestamp) -> stores::Result<u64> {
        if self.is_cut.load(Ordering::Relaxed) {
            return Away.act(act, them, now).await;
        }
        self.counters.act(act, them, now).await
    }
}
