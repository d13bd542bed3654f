//! The checkpoint of a generation, and its writer.
//!
//! A row is moved by a lightweight transaction on its version, after the rows that it stands for:
//! Cassandra has no transaction over both. A writer that is superseded finds another epoch before
//! it writes, or another version after; what it has written meanwhile loses by its positions. What
//! is parked lies in the same row, so that it moves with the checkpoint.

use std::sync::{Arc, Weak};
use std::time::Duration;

use domain::ids::EventId;
use scylla::DeserializeRow;
use scylla::statement::prepared::PreparedStatement;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use uuid::Uuid;

use super::nodes::{Mark, Nodes, Seen, Window};
use super::{Cassandra, ENGINE, engine, signed, unreadable, unsigned};
use crate::checkpoint::{Checkpoint, Parked};
use crate::error::{Result, StoreError};
use crate::read_model::{Batch, Parking};

/// Of taking over, where others do so at the same time.
const ATTEMPTS: u32 = 10;
/// Between looks at whether what was written last is safe by now.
const LOOK: Duration = Duration::from_secs(5);

const ROW: &str = "SELECT version, log_id, epoch, code_version, position, event_id, parked, \
    safe_position, safe_event_id, safe_parked, nodes FROM $k.checkpoints WHERE generation = ?";
const FIRST: &str = "INSERT INTO $k.checkpoints (generation, version, log_id, epoch, code_version, position, \
    event_id, parked, safe_position, safe_event_id, safe_parked, nodes) \
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) IF NOT EXISTS";
const NEXT: &str = "UPDATE $k.checkpoints SET version = ?, log_id = ?, epoch = ?, code_version = ?, \
    position = ?, event_id = ?, parked = ?, safe_position = ?, safe_event_id = ?, safe_parked = ?, \
    nodes = ? WHERE generation = ? IF version = ?";
const SAFE: &str = "UPDATE $k.checkpoints SET version = ?, safe_position = ?, safe_event_id = ?, \
    safe_parked = ? WHERE generation = ? IF version = ?";
const REMOVE: &str = "DELETE FROM $k.checkpoints WHERE generation = ? IF EXISTS";

#[derive(DeserializeRow)]
struct Stored {
    version: i64,
    log_id: Uuid,
    epoch: i64,
    code_version: i32,
    position: i64,
    event_id: Option<Uuid>,
    parked: String,
    safe_position: i64,
    safe_event_id: Option<Uuid>,
    safe_parked: String,
    nodes: String,
}

/// A checkpoint's row, and what the servers' lives make of it.
struct Held {
    version: i64,
    /// As it was written.
    written: Checkpoint,
    /// As far as the rows are there for certain.
    checkpoint: Checkpoint,
    parked: String,
    safe: Mark,
    nodes: Nodes,
    /// Whether a server has started since it was written.
    died: bool,
}

/// The checkpoint of a generation. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Checkpoints(Arc<Inner>);

struct Inner {
    cassandra: Cassandra,
    generation: u64,
    statements: Statements,
    /// Held by whoever changes the row in this process.
    writer: Mutex<Writer>,
}

struct Statements {
    row: PreparedStatement,
    row_now: PreparedStatement,
    seen: PreparedStatement,
    first: PreparedStatement,
    next: PreparedStatement,
    safe: PreparedStatement,
}

#[derive(Default)]
struct Writer {
    /// Under which it writes.
    epoch: u64,
    window: Window,
    /// Looks after what was written last, until that is safe.
    settling: Option<JoinHandle<()>>,
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some(settling) = &self.settling {
            settling.abort();
        }
    }
}

impl Checkpoints {
    pub async fn open(cassandra: &Cassandra, generation: u64) -> Result<Self> {
        let mut row_now = cassandra.prepare(ROW).await?;
        // Ends what a transaction has left half done.
        row_now.set_consistency(scylla::statement::Consistency::LocalSerial);
        let statements = Statements {
            row: cassandra.prepare(ROW).await?,
            row_now,
            seen: Seen::prepare(cassandra).await?,
            first: cassandra.prepare_once(FIRST).await?,
            next: cassandra.prepare_once(NEXT).await?,
            safe: cassandra.prepare_once(SAFE).await?,
        };
        let (cassandra, writer) = (cassandra.clone(), Mutex::default());
        Ok(Self(Arc::new(Inner { cassandra, generation, statements, writer })))
    }

    /// Forgets a generation's checkpoint.
    pub async fn remove(cassandra: &Cassandra, generation: u64) -> Result<()> {
        let remove = cassandra.prepare_once(REMOVE).await?;
        cassandra.decide(&remove, (signed(generation),)).await.map(drop)
    }

    /// See [`crate::ReadModel`]; so with the others.
    pub async fn checkpoint(&self) -> Result<Option<Checkpoint>> {
        let Inner { statements, .. } = &*self.0;
        let (held, _) = self.0.held(&statements.row).await?;
        Ok(held.map(|held| held.checkpoint))
    }

    pub async fn parked(&self) -> Result<Vec<Parked>> {
        let (held, _) = self.0.held(&self.0.statements.row).await?;
        held.map_or_else(|| Ok(Vec::new()), |held| parked_from(&held.parked))
    }

    pub async fn take_over(&self, fresh: Checkpoint) -> Result<Checkpoint> {
        let mut writer = self.0.writer.lock().await;
        for _ in 0..ATTEMPTS {
            let (held, seen) = self.0.held(&self.0.statements.row_now).await?;
            let checkpoint =
                Checkpoint::taken_over(held.as_ref().map(|held| held.checkpoint.clone()), fresh.clone());
            let parked = held.as_ref().map_or_else(|| "[]".to_owned(), |held| held.parked.clone());
            let mark = Mark { position: checkpoint.position, event_id: checkpoint.event_id, parked };
            let safe = held.as_ref().map_or_else(|| mark.clone(), |held| held.safe.clone());
            if self.0.put(held.as_ref(), &checkpoint, &mark, &safe, &seen).await? {
                writer.epoch = checkpoint.epoch;
                writer.window.begin(mark, Instant::now());
                return Ok(checkpoint);
            }
        }
        Err(engine("others keep taking over"))
    }

    /// Moves the checkpoint after `rows` were written. What was put already is not put again.
    pub async fn put<C>(&self, batch: &Batch<C>, rows: impl Future<Output = Result<()>>) -> Result<()> {
        let mut writer = self.0.writer.lock().await;
        let (held, seen) = self.0.held(&self.0.statements.row_now).await?;
        if let (Some(held), Some(expected)) = (&held, batch.follows)
            && held.written.epoch == batch.checkpoint.epoch
        {
            if held.died {
                let held = held.checkpoint.position;
                return Err(StoreError::WentBack { engine: ENGINE, expected, held });
            }
            if held.written == batch.checkpoint && expected != held.written.position {
                // It was put, and the answer lost.
                return Ok(());
            }
        }
        let now_at = held.as_ref().map(|held| &held.checkpoint);
        batch.checkpoint.supersedes(ENGINE, now_at, batch.follows)?;
        if let Err(error) = rows.await {
            if error.is_damage() {
                // Tables that are gone: dropped by whoever has taken over meanwhile, perhaps.
                let (held, _) = self.0.held(&self.0.statements.row_now).await?;
                let mine = batch.checkpoint.epoch;
                let theirs = held.map_or(mine + 1, |held| held.written.epoch);
                if theirs != mine {
                    return Err(StoreError::StaleEpoch { mine, theirs });
                }
            }
            return Err(error);
        }
        let parked = held.as_ref().map_or("[]", |held| &held.parked);
        let parked = parked_after(parked, &batch.parking)?;
        let Checkpoint { position, event_id, .. } = batch.checkpoint;
        let mark = Mark { position, event_id, parked };
        writer.window.hear(&seen, Instant::now());
        let before = held.as_ref().map(|held| &held.safe);
        let safe = writer.window.safe().or(before).cloned().unwrap_or_else(nothing);
        if !self.0.put(held.as_ref(), &batch.checkpoint, &mark, &safe, &seen).await? {
            // Asked again, it finds whoever that was.
            return Err(engine("the checkpoint was moved by another writer"));
        }
        writer.window.put(mark, Instant::now());
        if writer.settling.as_ref().is_none_or(JoinHandle::is_finished) {
            writer.settling = Some(tokio::spawn(settle(Arc::downgrade(&self.0))));
        }
        Ok(())
    }
}

impl Inner {
    /// The row by `statement`, as the servers' lives have it.
    async fn held(&self, statement: &PreparedStatement) -> Result<(Option<Held>, Seen)> {
        let key = (signed(self.generation),);
        let row = async {
            match self.cassandra.rows::<Stored>(statement, key).await {
                // The keyspace was emptied: it begins anew, under its writer.
                Err(StoreError::Damaged { .. }) => Ok(Vec::new()),
                row => row,
            }
        };
        let (row, seen) = tokio::try_join!(row, Seen::ask(&self.cassandra, &self.statements.seen))?;
        let held = row.into_iter().next().map(|row| self.resolve(row, &seen)).transpose()?;
        Ok((held, seen))
    }

    fn resolve(&self, row: Stored, seen: &Seen) -> Result<Held> {
        let written = Checkpoint {
            log_id: row.log_id,
            generation: self.generation,
            epoch: unsigned(row.epoch),
            code_version: u32::try_from(row.code_version).map_err(unreadable)?,
            position: unsigned(row.position),
            event_id: row.event_id.map(EventId),
        };
        let safe = Mark {
            position: unsigned(row.safe_position),
            event_id: row.safe_event_id.map(EventId),
            parked: row.safe_parked,
        };
        let nodes: Nodes = serde_json::from_str(&row.nodes).map_err(unreadable)?;
        let died = nodes.died(seen);
        let (checkpoint, parked) = if died {
            let Mark { position, event_id, parked } = safe.clone();
            (Checkpoint { position, event_id, ..written.clone() }, parked)
        } else {
            (written.clone(), row.parked)
        };
        Ok(Held { version: row.version, written, checkpoint, parked, safe, nodes, died })
    }

    /// Puts a row where `held` was; whether it did.
    async fn put(
        &self,
        held: Option<&Held>,
        checkpoint: &Checkpoint,
        mark: &Mark,
        safe: &Mark,
        seen: &Seen,
    ) -> Result<bool> {
        let generation = signed(self.generation);
        let version = held.map_or(0, |held| held.version) + 1;
        let Checkpoint { log_id, epoch, code_version, .. } = checkpoint;
        let code_version = i32::try_from(*code_version).map_err(engine)?;
        let nodes = held.map_or_else(|| Nodes::default().and(seen), |held| held.nodes.and(seen));
        let nodes = serde_json::to_string(&nodes).map_err(engine)?;
        let (log_id, epoch) = (*log_id, signed(*epoch));
        let now = (signed(mark.position), mark.event_id.map(|id| id.0), &mark.parked);
        let safe = (signed(safe.position), safe.event_id.map(|id| id.0), &safe.parked);
        let Statements { first, next, .. } = &self.statements;
        match held {
            None => {
                let row = (
                    generation,
                    version,
                    log_id,
                    epoch,
                    code_version,
                    now.0,
                    now.1,
                    now.2,
                    safe.0,
                    safe.1,
                    safe.2,
                    nodes,
                );
                self.cassandra.decide(first, row).await
            }
            Some(held) => {
                let row = (
                    version,
                    log_id,
                    epoch,
                    code_version,
                    now.0,
                    now.1,
                    now.2,
                    safe.0,
                    safe.1,
                    safe.2,
                    nodes,
                    generation,
                    held.version,
                );
                self.cassandra.decide(next, row).await
            }
        }
    }

    /// Lets the safe checkpoint catch up with a writer that has nothing to write; whether it has.
    async fn settle(&self) -> Result<bool> {
        let mut writer = self.writer.lock().await;
        let (Some(held), seen) = self.held(&self.statements.row_now).await? else { return Ok(true) };
        let Writer { epoch, window, .. } = &mut *writer;
        let latest = window.latest().map(|latest| latest.position);
        let is_mine = *epoch == held.written.epoch && latest == Some(held.written.position);
        if !is_mine || held.died {
            return Ok(true);
        }
        window.hear(&seen, Instant::now());
        let Some(safe) = window.safe().filter(|safe| **safe != held.safe).cloned() else {
            return Ok(window.latest() == Some(&held.safe));
        };
        let (version, generation) = (held.version, signed(self.generation));
        let row = (
            version + 1,
            signed(safe.position),
            safe.event_id.map(|id| id.0),
            &safe.parked,
            generation,
            version,
        );
        self.cassandra.decide(&self.statements.safe, row).await?;
        Ok(window.latest() == Some(&safe))
    }
}

async fn settle(inner: Weak<Inner>) {
    loop {
        tokio::time::sleep(LOOK).await;
        let Some(inner) = inner.upgrade() else { return };
        match inner.settle().await {
            Ok(false) => {}
            Ok(true) => return,
            Err(error) => tracing::debug!(%error, "the safe checkpoint waits for its engine"),
        }
    }
}

fn nothing() -> Mark {
    Mark { position: 0, event_id: None, parked: "[]".to_owned() }
}

fn parked_from(json: &str) -> Result<Vec<Parked>> {
    serde_json::from_str(json).map_err(unreadable)
}

/// By name, as JSON.
fn parked_after(json: &str, changes: &[Parking]) -> Result<String> {
    if changes.is_empty() {
        return Ok(json.to_owned());
    }
    let mut parked = parked_from(json)?;
    for change in changes {
        let (Parking::Unpark(stream) | Parking::Park(Parked { stream, .. })) = change;
        parked.retain(|parked| parked.stream != *stream);
        if let Parking::Park(new) = change {
            parked.push(new.clone());
        }
    }
    parked.sort_by(|one, other| one.stream.cmp(&other.stream));
    serde_json::to_string(&parked).map_err(engine)
}
