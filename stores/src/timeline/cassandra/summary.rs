//! The timeline in Cassandra: what its rows come to.
//!
//! Cassandra has no snapshot. What a later event may write over (chats, members) is summed before
//! this returns, while the writer waits; messages and buckets, which no event writes over, are
//! summed while writing goes on, those up to the summary's position alone.

use std::time::Duration;

use futures::TryStreamExt;
use scylla::DeserializeRow;
use scylla::deserialize::row::DeserializeRow as Deserializable;
use scylla::statement::prepared::PreparedStatement;
use serde::Serialize;
use uuid::Uuid;

use super::{CassandraTimeline, MESSAGE, StoredMessage, of_generation};
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

const HEADS: &str = "SELECT DISTINCT chat_id, kind, created_by, created_at, created, last_number, active_at, moved FROM $k.chats_$n";
const MEMBERS: &str = "SELECT chat_id, person, role, joined_number, joined, marked_number, marked, sent_number \
    FROM $k.chats_$n";
const MEMBERSHIPS: &str = "SELECT person, chat_id, joined FROM $k.memberships_$n";
const BUCKETS: &str = "SELECT chat_id, began_at, bucket, position FROM $k.buckets_$n";

#[derive(DeserializeRow, Serialize)]
struct Head {
    chat_id: Uuid,
    kind: Option<String>,
    created_by: Option<Uuid>,
    created_at: Option<i64>,
    created: Option<i64>,
    last_number: Option<i64>,
    active_at: Option<i64>,
    moved: Option<i64>,
}

#[derive(DeserializeRow, Serialize)]
struct Member {
    chat_id: Uuid,
    person: Option<Uuid>,
    role: Option<String>,
    joined_number: Option<i64>,
    joined: Option<i64>,
    marked_number: Option<i64>,
    marked: Option<i64>,
    sent_number: Option<i64>,
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
