//! Clocks that are wrong, and clocks that jump.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chronicle::clock::Clock;
use chronicle::log::Log;
use chronicle::log::postgres::PostgresLog;
use chronicle::log::sqlite::SqliteLog;
use domain::Timestamp;
use domain::problem::Kind;
use tempfile::TempDir;

use crate::postgres::Postgres;
use crate::support::{House, Machine, everything, key};

const SECOND: i64 = 1_000_000;

/// The machine's clock, off by this many µs.
#[derive(Default)]
struct Off(AtomicI64);

impl Off {
    fn by(&self, seconds: i64) {
        self.0.store(seconds * SECOND, Ordering::SeqCst);
    }
}

impl Clock for Off {
    fn now(&self) -> Timestamp {
        Timestamp(Machine.now().0 + self.0.load(Ordering::SeqCst))
    }
}

/// `jumps` are in seconds.
async fn jumping(log: Arc<dyn Log>, clock: Arc<Off>, jumps: &[i64]) {
    let folder = TempDir::new().expect("a folder");
    let house = House::with(folder.path(), log, clock.clone()).await;
    house.make_chat(1).await.expect("a chat");
    for (message, jump) in (0..).zip(jumps) {
        clock.by(*jump);
        house.send(1, 0, key(1, message), "hello").await.expect("commands go on");
    }
    let recorded = everything(&*house.log).await;
    assert_eq!(recorded.len(), 2 + jumps.len());
    assert!(recorded.windows(2).all(|two| two[0].recorded_at <= two[1].recorded_at), "recorded_at falls");
    let span = recorded[recorded.len() - 1].recorded_at.0 - recorded[0].recorded_at.0;
    let farthest = *jumps.iter().max().expect("jumps");
    assert!(span >= farthest * SECOND, "the jumps were made");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_lets_no_time_fall_on_sqlite() {
    let folder = TempDir::new().expect("a folder");
    let log = SqliteLog::open(&folder.path().join("log.db")).expect("a log");
    jumping(log, Arc::default(), &[3_600, -3_600, 0, 86_400, 5, -86_400]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_lets_no_time_fall_on_postgres() {
    let clock: Arc<Off> = Arc::default();
    let database = Postgres::new().await;
    let log = PostgresLog::open(&database.0, clock.clone()).await.expect("a log");
    jumping(log, clock, &[1, -1, 0, 1, -1]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_whose_clock_is_not_the_databases_writes_nothing_until_it_is() {
    let folder = TempDir::new().expect("a folder");
    let clock: Arc<Off> = Arc::default();
    let database = Postgres::new().await;
    let log = PostgresLog::open(&database.0, clock.clone()).await.expect("a log");
    let house = House::with(folder.path(), log, clock.clone()).await;
    house.make_chat(1).await.expect("a chat");
    for (message, wrong) in (1..).zip([60, -60, 3_600]) {
        let head = house.log.head().await.expect("read");
        clock.by(wrong);
        let refused = house.send(1, 0, key(1, message), "hello").await.expect_err("its clock is wrong");
        assert!(refused.is(Kind::Unavailable), "{refused}");
        assert_eq!(house.log.head().await.expect("read"), head, "something was written");
        clock.by(0);
        let sent = house.send(1, 0, key(1, message), "hello").await.expect("its clock is right again");
        assert_eq!(sent.position, head.position + 1);
    }
    // From its start on, and under the lock too.
    clock.by(60);
    let log = PostgresLog::open(&database.0, clock.clone()).await.expect("it can be read");
    let late = House::with(folder.path(), log, clock.clone()).await;
    let refused = late.send(1, 1, key(2, 1), "hello").await.expect_err("its clock is wrong");
    assert!(refused.is(Kind::Unavailable), "{refused}");
    clock.by(0);
    late.send(1, 1, key(2, 1), "hello").await.expect("sent");
    house.send(1, 0, key(1, 9), "fenced, and so under the lock").await.expect("sent");
    clock.by(-60);
    let refused = house.send(1, 0, key(1, 10), "hello").await.expect_err("its clock is wrong");
    assert!(refused.is(Kind::Unavailable), "{refused}");
}
