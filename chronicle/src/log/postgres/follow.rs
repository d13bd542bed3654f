//! Following the head, and waking those who follow: one NOTIFY a flush, outside the transaction, with
//! polling as the net beneath.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnectOptions;
use sqlx::{Executor, PgConnection, PgPool};
use tokio::sync::watch;

use super::clock::DatabaseClock;
use super::read_head;
use crate::log::recent::Recent;
use crate::log::{Batch, Head, announce};
use crate::postgres::{connect, listen, within};

const CHANNEL: &str = "letopis_log";
/// How often the head is looked at when no notification comes, and how often the clock is.
const POLL: Duration = Duration::from_millis(500);

/// Tells of what this process wrote.
#[derive(Clone, Debug)]
pub(super) struct Announcer {
    /// The head as this process knows it.
    head: watch::Sender<Head>,
    /// The newest that this process wrote.
    wrote: watch::Sender<u64>,
    pub(super) recent: Arc<Recent>,
}

impl Announcer {
    pub(super) fn new(head: Head) -> Self {
        Self { head: watch::Sender::new(head), wrote: watch::Sender::new(0), recent: Arc::default() }
    }

    /// Tells of a batch that is durable.
    pub(super) fn announce(&self, batch: &Arc<Batch>) {
        let Some(last) = batch.events.last() else { return };
        self.recent.add(batch);
        announce(&self.head, last.head());
        self.wrote.send_replace(last.position);
    }

    pub(super) fn watch(&self) -> watch::Receiver<Head> {
        self.head.subscribe()
    }

    /// Notifies other processes. What is written while a notification is under way shares the next.
    pub(super) async fn notify(self, options: PgConnectOptions) {
        let mut wrote = self.wrote.subscribe();
        drop(self);
        let mut connection = None;
        while wrote.changed().await.is_ok() {
            let position = *wrote.borrow_and_update();
            // A lost notification costs a poll's time.
            connection = within(notify(connection, &options, position)).await.ok();
        }
    }

    /// Follows the head: woken by notifications, and by the clock where none comes.
    pub(super) async fn follow(self, readers: PgPool, options: PgConnectOptions, clock: Arc<DatabaseClock>) {
        let mut listener = None;
        let mut looked = Instant::now();
        loop {
            if listener.is_none() {
                listener = listen(&options, CHANNEL).await.ok();
            }
            let told = match &mut listener {
                Some(connected) => match tokio::time::timeout(POLL, connected.recv()).await {
                    Ok(Ok(told)) => told.payload().parse::<u64>().ok(),
                    Ok(Err(_)) => {
                        listener = None;
                        None
                    }
                    Err(_elapsed) => None,
                },
                None => {
                    tokio::time::sleep(POLL).await;
                    None
                }
            };
            let due = looked.elapsed() >= POLL;
            if due {
                looked = Instant::now();
                // While the database can't be asked, nothing can be written to it either. A listener
                // whose flow was dropped hears of nothing, that included.
                if clock.read(&readers).await.is_err() {
                    listener = None;
                    continue;
                }
            }
            // One's own notifications tell nothing new.
            let news = told.is_none_or(|position| position > self.head.borrow().position);
            if (due || news)
                && let Ok(seen) = within(read_head(&readers)).await
            {
                announce(&self.head, seen);
            }
        }
    }
}

async fn notify(
    connection: Option<PgConnection>,
    options: &PgConnectOptions,
    position: u64,
) -> sqlx::Result<PgConnection> {
    let mut connection = match connection {
        Some(connection) => connection,
        None => {
            let mut connection = connect(options).await?;
            // A notification takes a transaction number, and would wait for the disk.
            connection.execute("SET synchronous_commit = off").await?;
            connection
        }
    };
    sqlx::query("SELECT pg_notify($1, $2)")
        .bind(CHANNEL)
        .bind(position.to_string())
        .execute(&mut connection)
        .await?;
    Ok(connection)
}
