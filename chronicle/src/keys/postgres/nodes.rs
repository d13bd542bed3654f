//! What processes that share a key store tell each other of destroyed keys.
//!
//! A process may use an opened key from memory only while it holds a lease, and says with each renewal
//! up to which destruction it has forgotten. Whoever destroys a key answers when each other process
//! has said so, or its lease has run out. So no process uses a key from memory after the destroying call
//! has answered; one that was paused or cut off finds its lease gone, and asks the store.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use sqlx::postgres::PgConnectOptions;
use sqlx::{PgConnection, Row};
use tokio::sync::watch;
use uuid::Uuid;

use super::{StoreError, blocking, connect, failed, runtime};
use crate::keys::{Forget, Forgotten};
use crate::postgres::listen;

const CHANNEL: &str = "letopis_keys";
const RENEW: &str = include_str!("sql/renew.sql");
const SINCE: &str = "SELECT subject, number FROM destroyed_subjects WHERE number > $1 ORDER BY number";
const HOLDS: &str = include_str!("sql/holds_a_key.sql");

/// Until when opened keys may be used from memory.
pub(super) struct Lease {
    length: Duration,
    /// Milliseconds of [`since_boot`].
    until: AtomicU64,
    node: OnceLock<Uuid>,
}

impl Lease {
    pub(super) fn new(length: Duration) -> Self {
        Self { length, until: AtomicU64::new(0), node: OnceLock::new() }
    }

    pub(super) fn is_of(&self, node: Uuid) {
        self.node.get_or_init(|| node);
    }

    pub(super) fn node(&self) -> Uuid {
        self.node.get().copied().unwrap_or_default()
    }

    pub(super) fn length(&self) -> Duration {
        self.length
    }

    pub(super) fn holds(&self) -> bool {
        since_boot().as_millis() < u128::from(self.until.load(Ordering::Acquire))
    }

    /// The database counts from when it has read the renewal; this process from when it had sent it,
    /// and a fifth less, for clocks that go unevenly.
    fn renewed(&self, sent: Duration) {
        let until = sent + self.length * 4 / 5;
        self.until.store(u64::try_from(until.as_millis()).unwrap_or(u64::MAX), Ordering::Release);
    }

    pub(super) fn lapses(&self) {
        self.until.store(0, Ordering::Release);
    }
}

/// The time that this machine has been up, its sleep included: the database's clock went on meanwhile,
/// and std's `Instant` did not.
fn since_boot() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Whether a process other than `node` may still use a key of `subject` that was destroyed.
pub(super) async fn holds(connection: &mut PgConnection, node: Uuid, subject: &str) -> sqlx::Result<bool> {
    sqlx::query_scalar(HOLDS).bind(node).bind(subject).fetch_one(connection).await
}

/// Ends the watching when it is dropped.
pub(super) struct Watch {
    _stop: watch::Sender<()>,
}

/// Registers this process, and follows what others destroy on a thread of its own.
pub(super) fn watch(
    options: &PgConnectOptions,
    lease: Arc<Lease>,
    forget: Forget,
) -> Result<Watch, StoreError> {
    let runtime = runtime()?;
    let (stop, stopped) = watch::channel(());
    let (ready, began) = std::sync::mpsc::sync_channel(1);
    let options = options.clone();
    std::thread::Builder::new()
        .name("keys-watch".into())
        .spawn(move || {
            runtime.block_on(async {
                let mut node = Node { lease, forget, seen: None, connection: None, options };
                let first = node.renew().await;
                let failed = first.is_err();
                // Whoever opens the store waits for this.
                let _ = ready.send(first);
                if !failed {
                    node.follow(stopped).await;
                }
            });
        })
        .map_err(failed)?;
    blocking(|| began.recv()).map_err(|_| failed("its thread has ended"))??;
    Ok(Watch { _stop: stop })
}

struct Node {
    lease: Arc<Lease>,
    forget: Forget,
    /// The newest destruction that was followed; `None` before the first renewal.
    seen: Option<i64>,
    connection: Option<PgConnection>,
    options: PgConnectOptions,
}

impl Node {
    async fn follow(mut self, mut stopped: watch::Receiver<()>) {
        let pause = self.lease.length() / 20;
        let (mut listener, mut lapsed) = (None, false);
        loop {
            if listener.is_none() {
                let listening = listen(&self.options, CHANNEL);
                listener = tokio::time::timeout(pause, listening).await.ok().and_then(Result::ok);
            }
            let told = async {
                match &mut listener {
                    Some(connected) => connected.recv().await.is_ok(),
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = stopped.changed() => break,
                told = tokio::time::timeout(pause, told) => if told == Ok(false) {
                    listener = None;
                },
            }
            match self.renew().await {
                Ok(()) => lapsed = false,
                Err(error) if !self.lease.holds() && !lapsed => {
                    tracing::warn!(%error, "the key store is out of reach: opened keys were dropped from memory");
                    (self.forget)(Forgotten::All);
                    (listener, lapsed) = (None, true);
                }
                // A listener whose flow was dropped hears of nothing.
                Err(_) => listener = None,
            }
        }
        self.lease.lapses();
        if let Some(mut connection) = self.connection.take() {
            // Otherwise the lease runs out.
            let leave = sqlx::query("DELETE FROM nodes WHERE node = $1").bind(self.lease.node());
            let _ = tokio::time::timeout(Duration::from_secs(1), leave.execute(&mut connection)).await;
        }
    }

    /// Forgets what was destroyed, then says so.
    async fn renew(&mut self) -> Result<(), StoreError> {
        let renewed = tokio::time::timeout(self.lease.length() / 2, self.try_to_renew()).await;
        match renewed {
            Ok(renewed) => renewed.map_err(failed),
            Err(_elapsed) => Err(failed("PostgreSQL did not answer in time")),
        }
    }

    async fn try_to_renew(&mut self) -> sqlx::Result<()> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => connect(&self.options).await?,
        };
        let sent = since_boot();
        // Said before it is looked, so that whoever destroys a key in between waits for what follows.
        self.say(&mut connection).await?;
        let known = self.seen;
        if let Some(known) = known {
            let rows = sqlx::query(SINCE).bind(known).fetch_all(&mut connection).await?;
            let mut subjects = Vec::with_capacity(rows.len());
            for row in &rows {
                subjects.push(row.try_get::<String, _>("subject")?);
                self.seen = Some(row.try_get("number")?);
            }
            if !subjects.is_empty() {
                (self.forget)(Forgotten::Subjects(subjects));
            }
        } else {
            // Nothing is remembered yet that could be forgotten.
            let newest = "SELECT number FROM destructions";
            self.seen = Some(sqlx::query_scalar(newest).fetch_one(&mut connection).await?);
        }
        self.lease.renewed(sent);
        if self.seen != known {
            self.say(&mut connection).await?;
        }
        self.connection = Some(connection);
        Ok(())
    }

    /// Renews the lease in the database, and says what was forgotten.
    async fn say(&self, connection: &mut PgConnection) -> sqlx::Result<()> {
        sqlx::query(RENEW)
            .bind(self.lease.node())
            .bind(self.seen.unwrap_or(0))
            .bind(self.lease.length().as_secs_f64())
            .execute(connection)
            .await?;
        Ok(())
    }
}
