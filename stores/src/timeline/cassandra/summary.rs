//! The timeline in Cassandra: what its rows come to.
//!
//! Cassandra has no snapshot. What a later event may write over (chats, members, what became of
//! messages) is summed before this returns, while the writer waits; messages and buckets are summed
//! while writing goes on, those up to the summary's position alone. A deletion writes over a message,
//! too: one amid the summing may make two generations differ, and the rebuild is asked for again then.

use std::time::Duration;

use futures::TryStreamExt;
use scylla::DeserializeRow;
use scylla::deserialize::row::DeserializeRow as Deserializable;
use scylla::statement::prepared::PreparedStatement;
use serde::Serialize;
use uuid::Uuid;

use super::stored::{MESSAGE, StoredLine, StoredMessage};
use super::{CassandraTimeline, of_generation};
use crate::cassandra::{Cassandra, engine, signed, unreadable};
use crate::error::Result;
use crate::guard::{Guard, Limits};
use crate::read_model::{ReadModel, Sum, Summary, Summing};

/// Of a stretch of the ring.
const LIMITS: Limits = Limits { timeout: Duration::from_secs(120), attempts: 3 };
/// Stretches of the ring that are read one after the other.
const STRETCHES: i64 = 16;
/// Of one: all 2^64 tokens by that.
const WIDTH: i64 = 1 << 60;
const PAGE: i32 = 1_000;

const HEADS: &str = "SELECT DISTINCT chat_id, kind, created_by, created_at, history, created, title, title_event, \
    dissolved, member_count, last_number, active_at, last_line, moved, deletion, touched, changed FROM $k.chats_$n";
const MEMBERS: &str = "SELECT chat_id, person, role, has_left, sees, joined_number, joined, marked_number, marked, \
    sent_number, muted_until, pinned, kept FROM $k.chats_$n";
const MEMBERSHIPS: &str = "SELECT person, chat_id, joined FROM $k.memberships_$n";
const BUCKETS: &str = "SELECT chat_id, began_at, bucket, position FROM $k.buckets_$n";
const TOUCHES: &str =
    "SELECT chat_id, number, text, event_id, edited_at, deleted, position FROM $k.touches_$n";
const EDITS: &str = "SELECT chat_id, number, position, text, event_id, at FROM $k.edits_$n";
const REACTIONS: &str = "SELECT chat_id, number, person, emoji, position FROM $k.reactions_$n";
const FEED: &str = "SELECT chat_id, position, number FROM $k.feed_$n";
const LINES: &str = "SELECT chat_id, ordinal, after_number, kind, by_person, person, title, title_event, role, \
    count, at, position FROM $k.lines_$n";
const BLOBS: &str = "SELECT blob, chat_id, number, gone FROM $k.blobs_$n";

#[derive(DeserializeRow, Serialize)]
struct Head {
    chat_id: Uuid,
    kind: Option<String>,
    created_by: Option<Uuid>,
    created_at: Option<i64>,
    history: Option<String>,
    created: Option<i64>,
    title: Option<String>,
    title_event: Option<Uuid>,
    dissolved: Option<i64>,
    member_count: Option<i64>,
    last_number: Option<i64>,
    active_at: Option<i64>,
    last_line: Option<i64>,
    moved: Option<i64>,
    deletion: Option<i64>,
    touched: Option<i64>,
    changed: Option<i64>,
}

#[derive(DeserializeRow, Serialize)]
struct Member {
    chat_id: Uuid,
    person: Option<Uuid>,
    role: Option<String>,
    has_left: Option<bool>,
    sees: Option<String>,
    joined_number: Option<i64>,
    joined: Option<i64>,
    marked_number: Option<i64>,
    marked: Option<i64>,
    sent_number: Option<i64>,
    muted_until: Option<i64>,
    pinned: Option<bool>,
    kept: Option<i64>,
}

#[derive(DeserializeRow, Serialize)]
struct Membership {
    person: Uuid,
    chat_id: Uuid,
    joined: i64,
}

#[derive(DeserializeRow, Serialize)]
struct Bucket {
    chat_id: Uuid,
    began_at: i64,
    bucket: i64,
    position: i64,
}

#[derive(DeserializeRow, Serialize)]
struct TouchRow {
    chat_id: Uuid,
    number: i64,
    text: Option<String>,
    event_id: Option<Uuid>,
    edited_at: Option<i64>,
    deleted: Option<String>,
    position: Option<i64>,
}

#[derive(DeserializeRow, Serialize)]
struct Edit {
    chat_id: Uuid,
    number: i64,
    position: i64,
    text: Option<String>,
    event_id: Option<Uuid>,
    at: Option<i64>,
}

#[derive(DeserializeRow, Serialize)]
struct Reaction {
    chat_id: Uuid,
    number: i64,
    person: Uuid,
    emoji: Option<String>,
    position: Option<i64>,
}

#[derive(DeserializeRow, Serialize)]
struct FeedRow {
    chat_id: Uuid,
    position: i64,
    number: i64,
}

#[derive(DeserializeRow, Serialize)]
struct Blob {
    blob: Vec<u8>,
    chat_id: Option<Uuid>,
    number: Option<i64>,
    gone: Option<bool>,
}

pub(super) async fn of(timeline: &CassandraTimeline) -> Result<Summing> {
    let position = timeline.checkpoint().await?.map_or(0, |checkpoint| checkpoint.position);
    let (cassandra, n) = (timeline.cassandra.clone(), timeline.number);
    let mut summary = Summary { position, ..Summary::default() };
    let mut note = |name: &str, sum: Sum| {
        summary.tables.insert(name.to_owned(), sum);
    };
    note("chats", sum(&cassandra, n, HEADS, "chat_id", |_: &Head| true).await?);
    note("members", sum(&cassandra, n, MEMBERS, "chat_id", |row: &Member| row.person.is_some()).await?);
    note("memberships", sum(&cassandra, n, MEMBERSHIPS, "person", |_: &Membership| true).await?);
    const IN_BUCKETS: &str = "chat_id, bucket";
    note("touches", sum(&cassandra, n, TOUCHES, IN_BUCKETS, |_: &TouchRow| true).await?);
    note("edits", sum(&cassandra, n, EDITS, IN_BUCKETS, |_: &Edit| true).await?);
    note("reactions", sum(&cassandra, n, REACTIONS, IN_BUCKETS, |_: &Reaction| true).await?);
    note("feed", sum(&cassandra, n, FEED, "chat_id, era", |_: &FeedRow| true).await?);
    note("lines", sum(&cassandra, n, LINES, IN_BUCKETS, |_: &StoredLine| true).await?);
    note("blobs", sum(&cassandra, n, BLOBS, "blob", |_: &Blob| true).await?);
    Ok(Box::pin(async move {
        let (last, key) = (signed(position), "chat_id, bucket");
        let messages = format!("SELECT {MESSAGE} FROM $k.messages_$n");
        let messages = sum(&cassandra, n, &messages, key, |row: &StoredMessage| row.position <= last).await?;
        let buckets = sum(&cassandra, n, BUCKETS, "chat_id", |row: &Bucket| row.position <= last).await?;
        summary.tables.insert("messages".to_owned(), messages);
        summary.tables.insert("buckets".to_owned(), buckets);
        Ok(summary)
    }))
}

/// The sum of those rows of a table that `counts`, its partitions in the order of the ring.
async fn sum<R>(
    cassandra: &Cassandra,
    number: u64,
    select: &str,
    key: &str,
    counts: impl Fn(&R) -> bool,
) -> Result<Sum>
where
    R: for<'frame, 'metadata> Deserializable<'frame, 'metadata> + Serialize + 'static,
{
    let cql = of_generation(&format!("{select} WHERE token({key}) >= ? AND token({key}) <= ?"), number);
    let mut statement = cassandra.prepare(&cql).await?;
    statement.set_page_size(PAGE);
    let guard = Guard::new(crate::cassandra::ENGINE, LIMITS);
    let mut whole = Sum::default();
    for stretch in stretches() {
        let part = guard.read(|| stretch_sum(cassandra, &statement, stretch, &counts)).await?;
        whole.count += part.count;
        whole.checksum = whole.checksum.wrapping_add(part.checksum);
    }
    Ok(whole)
}

async fn stretch_sum<R>(
    cassandra: &Cassandra,
    statement: &PreparedStatement,
    stretch: (i64, i64),
    counts: &impl Fn(&R) -> bool,
) -> Result<Sum>
where
    R: for<'frame, 'metadata> Deserializable<'frame, 'metadata> + Serialize + 'static,
{
    let rows = cassandra.session().execute_iter(statement.clone(), stretch).await.map_err(engine)?;
    let mut rows = rows.rows_stream::<R>().map_err(unreadable)?;
    let mut sum = Sum::default();
    while let Some(row) = rows.try_next().await.map_err(engine)? {
        if counts(&row) {
            sum.add(&serde_json::to_vec(&row).map_err(engine)?);
        }
    }
    Ok(sum)
}

/// The whole ring, end to end.
fn stretches() -> impl Iterator<Item = (i64, i64)> {
    (0..STRETCHES).map(|n| {
        let from = i64::MIN.wrapping_add(n.wrapping_mul(WIDTH));
        (from, from + (WIDTH - 1))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_ring_is_read_once() {
        let all: Vec<(i64, i64)> = stretches().collect();
        assert_eq!((all[0].0, all[all.len() - 1].1), (i64::MIN, i64::MAX));
        assert!(all.windows(2).all(|two| two[0].1 + 1 == two[1].0), "{all:?}");
    }
}
