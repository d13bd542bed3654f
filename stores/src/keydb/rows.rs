//! The keys of a port, and of each of its generations.
//!
//! | key | what |
//! |---|---|
//! | `<prefix>:<port>:pointer` | hash: `version`, and the pointer as JSON |
//! | `<prefix>:<port>:<generation>:checkpoint` | hash: the checkpoint, a field each |
//! | `<prefix>:<port>:<generation>:parked` | hash: stream → JSON |
//! | `<prefix>:<port>:<generation>:…` | the rows, which are the port's own |
//!
//! A batch is a script, and so all or nothing: it looks at the epoch and at what the batch follows,
//! writes rows and what is parked, and moves the checkpoint. The append-only file gets it as a
//! whole, too, so a crash loses a suffix of rows and checkpoint alike. A large batch comes in
//! several scripts, so that nobody waits long for one; each looks at epoch and checkpoint, and the
//! last moves it. Where the last is missing, the rows are ahead of the checkpoint, and the same
//! changes are written again: a row that says so already, by its position, stays as it is.
//!
//! Numbers are compared as Lua has them (exact up to 2^53: positions, microseconds) and written as
//! the texts that came.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use async_trait::async_trait;
use domain::ids::EventId;
use redis::Script;
use serde::Serialize;
use uuid::Uuid;

use super::{ENGINE, Keydb};
use crate::error::{Result, StoreError};
use crate::read_model::{Parking, ReadModel};
use crate::shared::{Engine, Pointer};
use crate::{Checkpoint, Parked};

/// Changes in one script.
const AT_ONCE: usize = 2_000;
/// Keys that one step of a removal looks at.
const SCANNED: usize = 1_000;

static PUT_POINTER: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("put_pointer.lua")));
static TAKE_OVER: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("take_over.lua")));

/// The script that puts batches, with what applies a port's changes.
pub(crate) fn put_script(changes: &str) -> Script {
    Script::new(&[include_str!("put_begin.lua"), changes, include_str!("put_end.lua")].concat())
}

/// What a port is on KeyDB: where its generations lie, and how one is opened.
pub(crate) struct Space<M: ?Sized> {
    keydb: Keydb,
    base: String,
    make: fn(Rows) -> Arc<M>,
    /// What was written, a generation.
    written: Mutex<HashMap<u64, Arc<AtomicU64>>>,
    /// What was read, of whichever generation was served.
    read: Arc<AtomicU64>,
    _model: PhantomData<fn(&M)>,
}

impl<M: ?Sized> Space<M> {
    pub fn new(keydb: Keydb, prefix: &str, port: &str, make: fn(Rows) -> Arc<M>) -> Self {
        let base = format!("{prefix}:{port}");
        Self { keydb, base, make, written: Mutex::default(), read: Arc::default(), _model: PhantomData }
    }
}

#[async_trait]
impl<M: ReadModel + ?Sized> Engine<M> for Space<M> {
    async fn pointer(&self) -> Result<Option<Pointer>> {
        let key = format!("{}:pointer", self.base);
        let held: Option<String> = self.keydb.ask(redis::cmd("HGET").arg(key).arg("pointer")).await?;
        held.map(|held| serde_json::from_str(&held).map_err(|error| unreadable(&error))).transpose()
    }

    async fn put_pointer(&self, held: Option<u64>, next: &Pointer) -> Result<bool> {
        let held = held.map_or(String::new(), |held| held.to_string());
        let put: u8 = self
            .keydb
            .write(
                PUT_POINTER.key(format!("{}:pointer", self.base)).arg(held).arg(next.version).arg(json(next)),
            )
            .await?;
        Ok(put == 1)
    }

    async fn open(&self, number: u64) -> Result<Arc<M>> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        Ok((self.make)(Rows {
            keydb: self.keydb.clone(),
            base: format!("{}:{number}:", self.base),
            written: written.entry(number).or_default().clone(),
            read: self.read.clone(),
        }))
    }

    async fn remove(&self, number: u64) -> Result<()> {
        // A prefix holds nothing that means more in a pattern.
        let (pattern, mut cursor) = (format!("{}:{number}:*", self.base), 0_u64);
        loop {
            let mut scan = redis::cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(SCANNED);
            let (next, keys): (u64, Vec<String>) = self.keydb.ask(&scan).await?;
            if !keys.is_empty() {
                self.keydb.send(redis::pipe().cmd("UNLINK").arg(keys).ignore()).await?;
            }
            if next == 0 {
                return Ok(());
            }
            cursor = next;
        }
    }
}

/// A generation's keys.
#[derive(Clone)]
pub(crate) struct Rows {
    pub keydb: Keydb,
    /// Ends with a colon.
    pub base: String,
    written: Arc<AtomicU64>,
    read: Arc<AtomicU64>,
}

impl Rows {
    pub fn key(&self, name: &str) -> String {
        format!("{}{name}", self.base)
    }

    /// See [`crate::ReadModel::checkpoint`]; so with the others.
    pub async fn checkpoint(&self) -> Result<Option<Checkpoint>> {
        checkpoint(&self.keydb.ask(redis::cmd("HGETALL").arg(self.key("checkpoint"))).await?)
    }

    pub async fn take_over(&self, fresh: Checkpoint) -> Result<Checkpoint> {
        let mut take = TAKE_OVER.key(self.key("checkpoint"));
        take.arg(fresh.epoch);
        for (name, value) in fields(&fresh) {
            take.arg(name).arg(value);
        }
        let held: HashMap<String, String> = self.keydb.write(&take).await?;
        checkpoint(&held)?.ok_or_else(|| unreadable(&"no checkpoint"))
    }

    /// Puts a batch whose changes are `changes` as `script` reads them.
    pub async fn put(
        &self,
        script: &Script,
        changes: &[impl Serialize],
        parking: &[Parking],
        to: &Checkpoint,
        follows: Option<u64>,
    ) -> Result<()> {
        let mut parts = changes.chunks(AT_ONCE).peekable();
        loop {
            let part = parts.next().unwrap_or_default();
            let is_last = parts.peek().is_none();
            self.put_part(script, part, is_last.then_some(parking), to, follows).await?;
            if is_last {
                if follows.is_some() {
                    self.written.fetch_max(to.position, Ordering::SeqCst);
                } else {
                    // Its writer means this position, wherever the rows were.
                    self.written.store(to.position, Ordering::SeqCst);
                    self.read.store(to.position, Ordering::SeqCst);
                }
                return Ok(());
            }
        }
    }

    /// The last part brings what is parked, and moves the checkpoint.
    async fn put_part(
        &self,
        script: &Script,
        changes: &[impl Serialize],
        parking: Option<&[Parking]>,
        to: &Checkpoint,
        follows: Option<u64>,
    ) -> Result<()> {
        let parked: Vec<(&str, Option<String>)> = parking
            .unwrap_or_default()
            .iter()
            .map(|change| match change {
                Parking::Park(parked) => (&*parked.stream, Some(json(parked))),
                Parking::Unpark(stream) => (&**stream, None),
            })
            .map(|(stream, parked)| (stream, Some(parked.unwrap_or_default())))
            .collect();
        let mut put = script.key(self.key("checkpoint"));
        put.key(self.key("parked")).key(&self.base);
        put.arg(to.epoch).arg(follows.map_or(String::new(), |follows| follows.to_string()));
        // An empty list is an empty object to Lua, and back: so it is not written at all.
        put.arg(if changes.is_empty() { String::new() } else { json(&changes) });
        put.arg(if parked.is_empty() { String::new() } else { json(&parked) });
        if parking.is_some() {
            for (name, value) in fields(to) {
                put.arg(name).arg(value);
            }
        }
        let (verdict, held): (String, String) = self.keydb.write(&put).await?;
        let held = held.parse().map_err(|error| unreadable(&error))?;
        match &*verdict {
            "put" => Ok(()),
            "stale" => Err(StoreError::StaleEpoch { mine: to.epoch, theirs: held }),
            _ => {
                let expected = follows.unwrap_or_default();
                Err(StoreError::WentBack { engine: ENGINE, expected, held })
            }
        }
    }

    pub async fn parked(&self) -> Result<Vec<Parked>> {
        let rows: Vec<String> = self.keydb.ask(redis::cmd("HVALS").arg(self.key("parked"))).await?;
        let parked = rows.iter().map(|row| serde_json::from_str(row).map_err(|error| unreadable(&error)));
        let mut parked: Vec<Parked> = parked.collect::<Result<_>>()?;
        parked.sort_by(|one, other| one.stream.cmp(&other.stream));
        Ok(parked)
    }

    /// The latest position that this process has written or read. To be asked before a question goes
    /// out: what is written while it is under way says nothing about its answer.
    pub fn seen(&self) -> u64 {
        self.read.load(Ordering::SeqCst).max(self.written.load(Ordering::SeqCst))
    }

    /// Refuses what was read together with the checkpoint at `position` where this process had
    /// `seen` a later one before it asked: the engine has lost rows, and they come again.
    ///
    /// # Errors
    /// [`StoreError::Engine`]
    pub fn believe(&self, seen: u64, position: Option<&str>) -> Result<()> {
        let position = position.map_or(Ok(0), str::parse).map_err(|error| unreadable(&error))?;
        self.read.fetch_max(position, Ordering::SeqCst);
        if position < seen {
            let message = format!("it went back from position {seen} to {position}, and is caught up");
            return Err(StoreError::Engine { engine: ENGINE, message });
        }
        Ok(())
    }
}

/// A checkpoint as it is stored.
fn fields(checkpoint: &Checkpoint) -> [(&'static str, String); 6] {
    let Checkpoint { log_id, generation, epoch, code_version, position, event_id } = checkpoint;
    [
        ("log_id", log_id.to_string()),
        ("generation", generation.to_string()),
        ("epoch", epoch.to_string()),
        ("code_version", code_version.to_string()),
        ("position", position.to_string()),
        ("event_id", event_id.map_or(String::new(), |id| id.0.to_string())),
    ]
}

fn checkpoint(held: &HashMap<String, String>) -> Result<Option<Checkpoint>> {
    if held.is_empty() {
        return Ok(None);
    }
    let event_id: String = field(held, "event_id")?;
    let event_id = if event_id.is_empty() { None } else { Some(parsed::<Uuid>(&event_id)?) };
    Ok(Some(Checkpoint {
        log_id: field(held, "log_id")?,
        generation: field(held, "generation")?,
        epoch: field(held, "epoch")?,
        code_version: field(held, "code_version")?,
        position: field(held, "position")?,
        event_id: event_id.map(EventId),
    }))
}

/// A field of a hash.
pub(crate) fn field<T: std::str::FromStr<Err: std::fmt::Display>>(
    row: &HashMap<String, String>,
    name: &str,
) -> Result<T> {
    parsed(row.get(name).ok_or_else(|| unreadable(&format_args!("{name} is missing")))?)
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T> {
    text.parse().map_err(|error| unreadable(&error))
}

pub(crate) fn unreadable(why: &impl std::fmt::Display) -> StoreError {
    StoreError::Unreadable { engine: ENGINE, message: why.to_string() }
}

/// Of what holds nothing that fails to serialise.
pub(crate) fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
