//! What processes that share a key store tell each other of destroyed keys.
//!
//! A process may use an opened key from memory only while it holds a lease, and says with each renewal
//! up to which destruction it has forgotten. Whoever destroys a key answers when each other process
//! has said so, or its lease has run out. So no process uses a key from memory after the destroying call
//! has answered; one that was paused or cut off finds its lease gone, and asks the store.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use sqlx::{PgConnection, PgPool, Row};
use tokio::sync::watch;
use uuid::Uuid;

use super::{StoreError, connect, failed, runtime};
use crate::keys::{Forget, Forgotten};

const CHANNEL: &str = "letopis_keys";
const RENEW: &str = include_str!("sql/renew.sql");
const SINCE: &str = "SELECT subject, number FROM destroyed_subjects WHERE number > $1 ORDER BY number";
const HOLDS: &str = include_str!("sql/holds_a_key.sql");

/// Until when opened keys may be used from memory.
pub(super) struct Lease {
    length: Duration,
    began: Instant,
    /// Milliseconds after `began`.
    until: AtomicU64,
    node: OnceLock<Uuid>,
}

impl Lease {
    pub(super) fn new(length: Duration) -> Self {
        Self { length, began: Instant::now(), until: AtomicU64::new(0), node: OnceLock::new() }
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
        self.began.elapsed().as_millis() < u128::from(self.until.load(Ordering::Acquire))
    }

    /// The database counts from when it has read the renewal; this process from when it had sent it,
    /// and a fifth less, for clocks that go unevenly.
    fn renewed(&self, sent: Instant) {
        let until = sent.duration_since(self.began) + self.length * 4 / 5;
        self.until.store(u64::try_from(until.as_millis()).unwrap_or(u64::MAX), Ordering::Release);
    }

    pub(super) fn lapses(&self) {
        self.until.store(0, Ordering::Release);
    }
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
    super::blocking(|| began.recv()).map_err(|_| failed("its thread has ended"))??;
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
        let pool = PgPoolOptions::new().max_connections(1).connect_lazy_with(self.options.clone());
        let (mut listener, mut lapsed) = (None, false);
        loop {
            if listener.is_none() {
                listener = listen(&pool).await.ok();
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
                    lapsed = true;
                }
                Err(_) => {}
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
        let sent = Instant::now();
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

async fn listen(pool: &PgPool) -> sqlx::Result<PgListener> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(CHANNEL).await?;
    Ok(listener)
}
