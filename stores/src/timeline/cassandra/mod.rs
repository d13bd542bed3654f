//! The timeline in Cassandra: what lies where. What is written: `write.rs`; what is read: `read.rs`;
//! what it comes to: `summary.rs`.
//!
//! The tables of generation n, in one keyspace:
//! - `messages_n`: a partition a chat and *bucket*, by number. A bucket is the stretch of time that a
//!   run of [`BUCKET`] messages took: (number - 1) / 1,000. A bucket of the calendar would be empty
//!   for a chat that is quiet and without bound for one that is not; this one is neither, and a
//!   message's own number says where it lies, so that a replay and a rebuild write the same rows.
//! - `buckets_n`: a partition a chat, a row a bucket, by when it began: written with the bucket's
//!   first message. A period reads one row of it at each end, however long the chat is, and then no
//!   bucket but its own. It holds a thousandth of the chat's messages, some 40 bytes each.
//! - `chats_n`: a partition a chat: its head in static columns, and a row a person.
//! - `memberships_n`: a partition a person: which chats.
//! - `touches_n`, `edits_n`, `reactions_n`: what became of messages, in their own buckets; `feed_n`: the
//!   same by position, a partition a chat and [`ERA`] positions.
//! - `lines_n`: a partition a chat and 1,000 lines. `blobs_n`: a partition a blob.
//!
//! A message writes its row, its chat's head and its author's number: those two once a batch. One
//! message in a thousand writes a row of `buckets_n`.
//!
//! Every write is `USING TIMESTAMP <position>`, so that what is written again, or late by a writer
//! of before, changes nothing: a message's cells come from one event; a head's, an author's and a
//! reader's each only from one kind of event, whose numbers rise with their positions. Created,
//! joined and sent at one position write different cells. Positions, not microseconds: clocks of
//! several machines do not agree, and a replay writes the same timestamps again.
//!
//! A reader never sees a head before its message: heads and marks are written last. What is deleted is
//! a null or a range's tombstone at the deletion's position: what is written again from before it stays
//! deleted.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use scylla::statement::prepared::PreparedStatement;
use tokio::sync::Mutex;

use super::{Change, Timeline};
use crate::cassandra::{Cassandra, Checkpoints, Place, signed};
use crate::error::{Result, StoreError};
use crate::peek::Peeked;
use crate::shared::{Engine, Pointer, Shared, peek};
use crate::{Batch, Checkpoint, Parked, ReadModel, Summing};

mod read;
mod stored;
mod summary;
mod touch;
mod write;

/// Messages in a bucket: some 500 KB, at most 20 MB.
pub(super) const BUCKET: u64 = 1_000;
/// Positions whose touches of a chat lie in one partition.
const ERA: u64 = 1_000_000;
/// Statements on their way at once, of one batch or one question.
const AT_ONCE: usize = 32;

const GENERATION: &str = include_str!("../../../../migrations/cassandra/timeline/generation.cql");
const TABLES: [&str; 10] = [
    "chats",
    "memberships",
    "messages",
    "buckets",
    "touches",
    "edits",
    "reactions",
    "feed",
    "lines",
    "blobs",
];

const PORT: &str = "timeline";
const POINTER: &str = "SELECT version, pointer FROM $k.pointer WHERE port = ?";
const FIRST_POINTER: &str = "INSERT INTO $k.pointer (port, version, pointer) VALUES (?, ?, ?) IF NOT EXISTS";
const NEXT_POINTER: &str = "UPDATE $k.pointer SET version = ?, pointer = ? WHERE port = ? IF version = ?";

/// The bucket that a message lies in.
pub(super) fn bucket_of(number: u64) -> u64 {
    number.saturating_sub(1) / BUCKET
}

/// The bucket that a line lies in, by its ordinal.
pub(super) fn line_bucket_of(ordinal: u64) -> u64 {
    ordinal / BUCKET
}

/// The generations of the timeline in a keyspace.
pub(crate) struct CassandraTimelines {
    cassandra: Cassandra,
    statements: PointerStatements,
    /// Makes nothing.
    looks_only: bool,
    opened: Mutex<HashMap<u64, Arc<CassandraTimeline>>>,
}

struct PointerStatements {
    read: PreparedStatement,
    first: PreparedStatement,
    next: PreparedStatement,
}

impl CassandraTimelines {
    /// Opens the keyspace of a URL, or makes it.
    ///
    /// # Errors
    /// A URL that can't be read, or servers that can't be used.
    pub async fn open(url: &str) -> Result<Shared<dyn Timeline, Self>> {
        let cassandra = Cassandra::connect(Place::parse(url)?).await?;
        cassandra.make().await?;
        Shared::open(Self::of(cassandra, false).await?).await
    }

    /// What the keyspace of a URL shows; nothing is made.
    ///
    /// # Errors
    /// See [`Self::open`].
    pub async fn peek(url: &str) -> Result<Option<Peeked>> {
        let cassandra = Cassandra::connect(Place::parse(url)?).await?;
        if !cassandra.find().await? {
            return Ok(None);
        }
        peek::<dyn Timeline>(Self::of(cassandra, true).await?).await
    }

    async fn of(cassandra: Cassandra, looks_only: bool) -> Result<Self> {
        let mut read = cassandra.prepare(POINTER).await?;
        read.set_consistency(scylla::statement::Consistency::LocalSerial);
        let (first, next) =
            (cassandra.prepare_once(FIRST_POINTER).await?, cassandra.prepare_once(NEXT_POINTER).await?);
        let statements = PointerStatements { read, first, next };
        Ok(Self { cassandra, statements, looks_only, opened: Mutex::default() })
    }

    /// Makes a generation's tables where they are not there. What stood in them is written anew, from
    /// the beginning: so its checkpoint goes first.
    async fn make(&self, number: u64) -> Result<()> {
        let tables = self.cassandra.tables().await?;
        if self.looks_only || TABLES.iter().all(|name| tables.contains(&format!("{name}_{number}"))) {
            return Ok(());
        }
        Checkpoints::remove(&self.cassandra, number).await?;
        self.opened.lock().await.remove(&number);
        self.cassandra.change_tables(&of_generation(GENERATION, number)).await
    }
}

/// CQL with a generation's number in it.
fn of_generation(cql: &str, number: u64) -> String {
    cql.replace("$n", &number.to_string())
}

#[async_trait]
impl Engine<dyn Timeline> for CassandraTimelines {
    async fn pointer(&self) -> Result<Option<Pointer>> {
        match self.cassandra.rows::<(i64, String)>(&self.statements.read, (PORT,)).await {
            Ok(rows) => match rows.first() {
                Some((_, json)) => serde_json::from_str(json).map(Some).map_err(crate::cassandra::unreadable),
                None => Ok(None),
            },
            // The keyspace was dropped: it begins anew, and so do its rows.
            Err(StoreError::Damaged { .. }) => {
                self.cassandra.make().await?;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    async fn put_pointer(&self, held: Option<u64>, next: &Pointer) -> Result<bool> {
        let json = serde_json::to_string(next).map_err(crate::cassandra::engine)?;
        let version = signed(next.version);
        match held {
            None => self.cassandra.decide(&self.statements.first, (PORT, version, json)).await,
            Some(held) => {
                self.cassandra.decide(&self.statements.next, (version, json, PORT, signed(held))).await
            }
        }
    }

    async fn open(&self, number: u64) -> Result<Arc<dyn Timeline>> {
        self.make(number).await?;
        let mut opened = self.opened.lock().await;
        if let Some(timeline) = opened.get(&number) {
            return Ok(timeline.clone());
        }
        let timeline = Arc::new(CassandraTimeline::open(&self.cassandra, number).await?);
        opened.insert(number, timeline.clone());
        Ok(timeline)
    }

    async fn remove(&self, number: u64) -> Result<()> {
        self.opened.lock().await.remove(&number);
        let tables = self.cassandra.tables().await?;
        for name in TABLES.map(|name| format!("{name}_{number}")) {
            if tables.contains(&name) {
                self.cassandra.change_tables(&format!("DROP TABLE IF EXISTS $k.{name}")).await?;
            }
        }
        Checkpoints::remove(&self.cassandra, number).await
    }
}

/// One generation.
pub(crate) struct CassandraTimeline {
    cassandra: Cassandra,
    checkpoints: Checkpoints,
    read: read::Statements,
    write: write::Statements,
    touch: touch::Statements,
    number: u64,
}

impl CassandraTimeline {
    async fn open(cassandra: &Cassandra, number: u64) -> Result<Self> {
        Ok(Self {
            cassandra: cassandra.clone(),
            checkpoints: Checkpoints::open(cassandra, number).await?,
            read: read::Statements::prepare(cassandra, number).await?,
            write: write::Statements::prepare(cassandra, number).await?,
            touch: touch::Statements::prepare(cassandra, number).await?,
            number,
        })
    }
}

#[async_trait]
impl ReadModel for CassandraTimeline {
    type Change = Change;

    async fn checkpoint(&self) -> Result<Option<Checkpoint>> {
        self.checkpoints.checkpoint().await
    }

    async fn take_over(&self, fresh: Checkpoint) -> Result<Checkpoint> {
        self.checkpoints.take_over(fresh).await
    }

    async fn put(&self, batch: Arc<Batch<Change>>) -> Result<()> {
        self.checkpoints.put(&batch, self.write_rows(&batch.changes)).await
    }

    async fn parked(&self) -> Result<Vec<Parked>> {
        self.checkpoints.parked().await
    }

    async fn summary(&self) -> Result<Summing> {
        summary::of(self).await
    }
}

/// Asks at most [`AT_ONCE`] at a time; the answers come in no order.
async fn all<T, F: Future<Output = Result<T>>>(questions: impl IntoIterator<Item = F>) -> Result<Vec<T>> {
    stream::iter(questions).buffer_unordered(AT_ONCE).try_collect().await
}
