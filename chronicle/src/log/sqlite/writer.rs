//! The writing thread: it owns the writing connection, and a batch is one transaction.

use std::sync::Arc;
use std::sync::mpsc as blocking;

use async_trait::async_trait;
use rusqlite::{Connection, ErrorCode, TransactionBehavior, params};
use tokio::sync::{oneshot, watch};

use super::{lost, read_after, read_head};
use crate::log::recent::Recent;
use crate::log::{Appended, Batch, Head, LockedLog, LogError, Recorded, announce};

pub(super) type Reply<T> = oneshot::Sender<Result<T, LogError>>;

pub(super) enum Order {
    Append { fence: Head, batch: Arc<Batch>, reply: Reply<Appended> },
    Lock { after: u64, limit: usize, reply: Reply<Held> },
    Fold { reply: Reply<()> },
    Durability { reply: Reply<(String, i64)> },
}

/// The lock as the writing thread holds it: it waits for a batch, or for this to be dropped.
pub(super) struct Held {
    head: Head,
    delta: Vec<Recorded>,
    order: blocking::Sender<(Arc<Batch>, Reply<Appended>)>,
}
/// Tells of what was written.
pub(super) struct Announcer {
    pub head: watch::Sender<Head>,
    pub recent: Arc<Recent>,
}

impl Announcer {
    fn tell(&self, result: &Result<Appended, LogError>, batch: &Arc<Batch>) {
        if let (Ok(Appended::Committed), Some(last)) = (result, batch.events.last()) {
            self.recent.add(batch);
            announce(&self.head, last.head());
        }
    }
}

fn durability(writer: &Connection) -> rusqlite::Result<(String, i64)> {
    let journal = writer.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
    Ok((journal, writer.query_row("PRAGMA synchronous", [], |row| row.get(0))?))
}

/// The writing thread: until the last handle is gone.
pub(super) fn write_all(mut writer: Connection, inbox: &blocking::Receiver<Order>, announcer: &Announcer) {
    while let Ok(order) = inbox.recv() {
        match order {
            Order::Append { fence, batch, reply } => {
                let result = append(&mut writer, fence, &batch);
                announcer.tell(&result, &batch);
                // Nobody waits any more when the runtime is gone.
                let _ = reply.send(result);
            }
            Order::Lock { after, limit, reply } => hold(&mut writer, after, limit, reply, announcer),
            Order::Durability { reply } => {
                // Nobody waits any more when the runtime is gone.
                let _ = reply.send(durability(&writer).map_err(lost));
            }
            Order::Fold { reply } => {
                let folded = writer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
                let _ = reply.send(folded.map_err(lost));
            }
        }
    }
}

fn append(writer: &mut Connection, fence: Head, batch: &Batch) -> Result<Appended, LogError> {
    let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate).map_err(lost)?;
    let result = write(&transaction, fence, batch).map_err(lost)?;
    if result == Appended::Committed && !batch.events.is_empty() {
        commit(transaction)?;
    }
    Ok(result)
}

/// A failed COMMIT that leaves the transaction open has written nothing, nor has one that found the
/// disk full: the frame that commits is the last that is written. After any other nobody knows.
fn commit(transaction: rusqlite::Transaction<'_>) -> Result<(), LogError> {
    match transaction.execute_batch("COMMIT") {
        Ok(()) => Ok(()),
        Err(error)
            if !transaction.is_autocommit() || error.sqlite_error_code() == Some(ErrorCode::DiskFull) =>
        {
            Err(LogError::Unavailable(error.to_string()))
        }
        Err(error) => Err(LogError::Lost(error.to_string())),
    }
}

fn hold(writer: &mut Connection, after: u64, limit: usize, reply: Reply<Held>, announcer: &Announcer) {
    let taken = writer.transaction_with_behavior(TransactionBehavior::Immediate).and_then(|transaction| {
        let head = read_head(&transaction)?;
        let delta = read_after(&transaction, after, limit)?;
        Ok((transaction, head, delta))
    });
    let (transaction, fence, delta) = match taken {
        Ok(taken) => taken,
        Err(error) => {
            let _ = reply.send(Err(lost(error)));
            return;
        }
    };
    let (order, orders) = blocking::channel::<(Arc<Batch>, Reply<Appended>)>();
    if reply.send(Ok(Held { head: fence, delta, order })).is_err() {
        return;
    }
    // Waits until the holder writes or lets go; the transaction rolls back by being dropped.
    let Ok((batch, reply)) = orders.recv() else { return };
    let result = write(&transaction, fence, &batch).map_err(lost).and_then(|appended| {
        if appended == Appended::Committed {
            commit(transaction)?;
        }
        Ok(appended)
    });
    announcer.tell(&result, &batch);
    let _ = reply.send(result);
}

/// Everything of a batch inside a transaction. Writes nothing unless it is to be committed.
fn write(transaction: &Connection, fence: Head, batch: &Batch) -> rusqlite::Result<Appended> {
    if read_head(transaction)? != fence {
        return Ok(Appended::Fenced);
    }
    let mut repeats = Vec::new();
    {
        let mut known = transaction.prepare_cached("SELECT 1 FROM events WHERE event_id = ?1")?;
        for probe in &batch.probes {
            if known.exists([probe.to_string()])? {
                repeats.push(*probe);
            }
        }
    }
    if !repeats.is_empty() {
        return Ok(Appended::Repeats(repeats));
    }
    let mut insert = transaction.prepare_cached(
        "INSERT INTO events (position, event_id, recorded_at, aggregate_type, aggregate_id, sequence, \
         event_type, event_version, payload, metadata) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?;
    for event in &batch.events {
        insert.execute(params![
            event.position,
            event.event_id.to_string(),
            event.recorded_at.0,
            event.aggregate_type,
            event.aggregate_id,
            event.sequence,
            event.event_type,
            event.event_version,
            event.payload,
            event.metadata,
        ])?;
    }
    for change in &batch.claims {
        match &change.owner {
            Some(owner) => transaction
                .prepare_cached(
                    "INSERT INTO claims (kind, key, owner, position) VALUES (?1, ?2, ?3, ?4) \
                     ON CONFLICT (kind, key) DO UPDATE SET owner = excluded.owner, position = excluded.position",
                )?
                .execute(params![change.claim.kind, change.claim.key, owner, change.position])?,
            None => transaction
                .prepare_cached("DELETE FROM claims WHERE kind = ?1 AND key = ?2")?
                .execute(params![change.claim.kind, change.claim.key])?,
        };
    }
    for membership in &batch.memberships {
        transaction
            .prepare_cached(
                "INSERT INTO memberships (person, chat, position) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            )?
            .execute(params![membership.person.to_string(), membership.chat, membership.position])?;
    }
    if let Some(last) = batch.events.last() {
        transaction
            .prepare_cached("UPDATE head SET position = ?1, event_id = ?2, recorded_at = ?3 WHERE one = 1")?
            .execute(params![last.position, last.event_id.to_string(), last.recorded_at.0])?;
    }
    Ok(Appended::Committed)
}

#[async_trait]
impl LockedLog for Held {
    fn head(&self) -> Head {
        self.head
    }
    fn delta(&self) -> &[Recorded] {
        &self.delta
    }
    async fn append(self: Box<Self>, batch: Arc<Batch>) -> Result<Appended, LogError> {
        let (reply, answer) = oneshot::channel();
        self.order
            .send((batch, reply))
            .map_err(|_| LogError::Unavailable("the log's lock was lost".into()))?;
        answer.await.unwrap_or_else(|_| Err(LogError::Lost("the log's writer has stopped".into())))
    }
}
