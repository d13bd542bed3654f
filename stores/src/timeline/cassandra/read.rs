//! The timeline in Cassandra: what is read. Paging state never leaves the adapter: what a page is
//! asked by are numbers and times.

use std::collections::BTreeMap;

use async_trait::async_trait;
use domain::Timestamp;
use domain::ids::{ChatId, EventId, MessageId, PersonId};
use domain::personal::Sealed;
use domain::views::ChatKind;
use scylla::DeserializeRow;
use scylla::statement::prepared::PreparedStatement;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::{BUCKET, CassandraTimeline, MESSAGE, StoredMessage, all, bucket_of, of_generation};
use crate::cassandra::{Cassandra, signed, unreadable, unsigned};
use crate::error::Result;
use crate::timeline::{
    Changed, ChatOf, ChatRow, Feed, FeedEntry, Keep, MemberRow, MessageQuery, MessageRow, Timeline,
};

/// Of a bucket's messages every so manieth is looked at for its time, and then those between two.
const STEP: u64 = 32;
/// Messages that a feed reads first: mostly few are new.
const FEW: usize = 16;

const CHAT: &str = "SELECT person, kind, created_by, created_at, created, last_number, active_at, moved, role, \
    joined_number, joined, marked_number, marked, sent_number FROM $k.chats_$n WHERE chat_id = ?";
const MEMBER: &str = " AND person = ?";
const HEAD: &str = "SELECT DISTINCT chat_id, last_number FROM $k.chats_$n WHERE chat_id = ?";
const CHATS_OF: &str = "SELECT chat_id FROM $k.memberships_$n WHERE person = ?";
const BY_NUMBER: &str = "FROM $k.messages_$n WHERE chat_id = ? AND bucket = ? AND number IN ?";
const RANGE: &str = "FROM $k.messages_$n WHERE chat_id = ? AND bucket = ? AND number >= ? AND number < ?";
const BUCKET_BEFORE: &str = "SELECT bucket FROM $k.buckets_$n WHERE chat_id = ? AND began_at < ? \
    ORDER BY began_at DESC, bucket DESC LIMIT 1";

/// What a generation is read by.
pub(super) struct Statements {
    chat: PreparedStatement,
    member: PreparedStatement,
    head: PreparedStatement,
    chats_of: PreparedStatement,
    by_number: PreparedStatement,
    oldest: PreparedStatement,
    newest: PreparedStatement,
    bucket_before: PreparedStatement,
    times_by_number: PreparedStatement,
    times: PreparedStatement,
    positions: PreparedStatement,
}

impl Statements {
    pub async fn prepare(cassandra: &Cassandra, number: u64) -> Result<Self> {
        let prepare = async |cql: &str| cassandra.prepare(&of_generation(cql, number)).await;
        let newest = "ORDER BY number DESC LIMIT ?";
        Ok(Self {
            chat: prepare(CHAT).await?,
            member: prepare(&format!("{CHAT}{MEMBER}")).await?,
            head: prepare(HEAD).await?,
            chats_of: prepare(CHATS_OF).await?,
            by_number: prepare(&format!("SELECT {MESSAGE} {BY_NUMBER}")).await?,
            oldest: prepare(&format!("SELECT {MESSAGE} {RANGE} LIMIT ?")).await?,
            newest: prepare(&format!("SELECT {MESSAGE} {RANGE} {newest}")).await?,
            bucket_before: prepare(BUCKET_BEFORE).await?,
            times_by_number: prepare(&format!("SELECT number, sent_at {BY_NUMBER}")).await?,
            times: prepare(&format!("SELECT number, sent_at {RANGE}")).await?,
            positions: prepare(&format!("SELECT number, position {RANGE} {newest}")).await?,
        })
    }
}

/// A member's row, and the chat's head with it.
#[derive(DeserializeRow)]
struct StoredChat {
    /// `None` in a chat without members.
    person: Option<Uuid>,
    kind: Option<String>,
    created_by: Option<Uuid>,
    created_at: Option<i64>,
    created: Option<i64>,
    last_number: Option<i64>,
    active_at: Option<i64>,
    moved: Option<i64>,
    role: Option<String>,
    joined_number: Option<i64>,
    joined: Option<i64>,
    marked_number: Option<i64>,
    marked: Option<i64>,
    sent_number: Option<i64>,
}

impl StoredChat {
    /// `None` for somebody of whom a mark alone is known, or a message.
    fn member(&self, chat_id: ChatId) -> Result<Option<MemberRow>> {
        let (Some(person), Some(role), Some(joined)) = (self.person, &self.role, self.joined) else {
            return Ok(None);
        };
        let number = |number: Option<i64>| unsigned(number.unwrap_or_default());
        let joined_number = number(self.joined_number);
        let read = joined_number.max(number(self.marked_number)).max(number(self.sent_number));
        Ok(Some(MemberRow {
            chat_id,
            person: PersonId(person),
            role: named(role)?,
            joined_number,
            read_number: read,
            position: unsigned(joined),
        }))
    }

    fn chat(&self, chat_id: ChatId, member_count: u64) -> Result<Option<ChatRow>> {
        let Self { kind, created_by, created_at, created, last_number, active_at, .. } = self;
        let (Some(kind), Some(by), Some(at), Some(created)) = (kind, created_by, created_at, created) else {
            return Ok(None);
        };
        Ok(Some(ChatRow {
            chat_id,
            kind: named(kind)?,
            created_by: PersonId(*by),
            created_at: Timestamp(*at),
            last_number: unsigned(last_number.unwrap_or_default()),
            active_at: Timestamp(active_at.unwrap_or(*at)),
            member_count,
            position: unsigned(*created),
        }))
    }
}

/// A chat's partition.
struct Chat {
    chat: Option<ChatRow>,
    members: Vec<MemberRow>,
    /// The position of its last message.
    moved: u64,
    /// Who marked which number, and at which position.
    marks: Vec<(PersonId, u64, u64)>,
}

fn named<T: DeserializeOwned>(name: &str) -> Result<T> {
    serde_json::from_value(serde_json::Value::String(name.to_owned())).map_err(unreadable)
}

impl From<StoredMessage> for MessageRow {
    fn from(row: StoredMessage) -> Self {
        Self {
            chat_id: ChatId(row.chat_id),
            number: unsigned(row.number),
            message_id: MessageId(row.message_id),
            author: PersonId(row.author),
            text: Sealed { token: row.text, event_id: row.event_id.map(EventId) },
            sent_at: Timestamp(row.sent_at),
            reply_to: row.reply_to.map(unsigned),
            position: unsigned(row.position),
        }
    }
}

impl CassandraTimeline {
    async fn read_chat(&self, chat_id: ChatId) -> Result<Chat> {
        let rows: Vec<StoredChat> = self.cassandra.rows(&self.read.chat, (chat_id.0,)).await?;
        let (mut members, mut marks) = (Vec::with_capacity(rows.len()), Vec::new());
        for row in &rows {
            let Some(member) = row.member(chat_id)? else { continue };
            if let (Some(number), Some(at)) = (row.marked_number, row.marked) {
                marks.push((member.person, unsigned(number), unsigned(at)));
            }
            members.push(member);
        }
        // By their bytes, as their ids are ordered; uuids of different versions are not, there.
        members.sort_by_key(|member| member.person);
        let head = rows.first();
        let chat = head.map(|row| row.chat(chat_id, members.len() as u64)).transpose()?.flatten();
        let moved = head.and_then(|row| row.moved).map_or(0, unsigned);
        Ok(Chat { chat, members, moved, marks })
    }

    /// The number of the last message.
    async fn last_number(&self, chat_id: ChatId) -> Result<u64> {
        let rows = self.cassandra.rows::<(Uuid, Option<i64>)>(&self.read.head, (chat_id.0,)).await?;
        Ok(rows.first().and_then(|(_, number)| *number).map_or(0, unsigned))
    }

    /// The chat as `person` has it, with its head and, in a direct chat, the other one.
    async fn read_chat_of(&self, chat_id: ChatId, person: PersonId) -> Result<Option<ChatOf>> {
        let Chat { chat, members, .. } = self.read_chat(chat_id).await?;
        let Some(chat) = chat else { return Ok(None) };
        let Some(me) = members.iter().find(|member| member.person == person).cloned() else {
            return Ok(None);
        };
        let peer = match chat.kind {
            ChatKind::Direct => members.into_iter().find(|member| member.person != person),
            ChatKind::Group => None,
        };
        let last = match chat.last_number {
            0 => None,
            number => self.message(chat_id, number).await?,
        };
        Ok(Some(ChatOf { chat, me, peer, last }))
    }

    /// The first number that was sent at `time` or later. Its bucket is the last one that began
    /// before; in it, numbers and times rise together. Reads a row, every 32nd of the bucket and those
    /// between two, whatever the length of the chat.
    async fn first_at(&self, chat_id: ChatId, time: Timestamp) -> Result<u64> {
        let key = (chat_id.0, time.0);
        let found = self.cassandra.rows::<(i64,)>(&self.read.bucket_before, key).await?;
        let Some((bucket,)) = found.first().copied() else { return Ok(1) };
        let first = unsigned(bucket) * BUCKET + 1;
        let steps: Vec<i64> = (first..first + BUCKET).step_by(STEP as usize).map(signed).collect();
        let key = (chat_id.0, bucket, steps);
        let steps = self.cassandra.rows::<(i64, i64)>(&self.read.times_by_number, key).await?;
        let before = steps.iter().filter(|(_, at)| *at < time.0).map(|(number, _)| unsigned(*number)).max();
        let before = before.unwrap_or(first);
        let end = (before + STEP).min(first + BUCKET);
        let key = (chat_id.0, bucket, signed(before), signed(end));
        let between = self.cassandra.rows::<(i64, i64)>(&self.read.times, key).await?;
        let at = between.iter().find(|(_, at)| *at >= time.0).map(|(number, _)| unsigned(*number));
        Ok(at.unwrap_or(end))
    }

    /// Messages of `first..end` from the end that is kept, bucket by bucket; the oldest first.
    async fn read_range(
        &self,
        chat_id: ChatId,
        (first, end): (u64, u64),
        keep: Keep,
        limit: usize,
    ) -> Result<Vec<MessageRow>> {
        let mut found: Vec<MessageRow> = Vec::new();
        if first >= end {
            return Ok(found);
        }
        let statement = match keep {
            Keep::Oldest => &self.read.oldest,
            Keep::Newest => &self.read.newest,
        };
        let (low, high) = (bucket_of(first), bucket_of(end - 1));
        for step in 0..=high - low {
            let left = limit.saturating_sub(found.len()).min(BUCKET as usize);
            if left == 0 {
                break;
            }
            let bucket = match keep {
                Keep::Oldest => low + step,
                Keep::Newest => high - step,
            };
            let left = i32::try_from(left).unwrap_or(i32::MAX);
            let key = (chat_id.0, signed(bucket), signed(first), signed(end), left);
            let rows = self.cassandra.rows::<StoredMessage>(statement, key).await?;
            found.extend(rows.into_iter().map(MessageRow::from));
        }
        if keep == Keep::Newest {
            found.reverse();
        }
        Ok(found)
    }

    /// Messages after `position`, read back from the newest; `None` if they are more than `limit`.
    async fn sent_since(
        &self,
        chat_id: ChatId,
        last: u64,
        position: u64,
        limit: usize,
    ) -> Result<Option<Vec<FeedEntry>>> {
        let mut found = Vec::new();
        let mut end = last.saturating_add(1);
        let mut few = FEW;
        while end > 1 {
            let first = bucket_of(end - 1) * BUCKET + 1;
            let wanted = few.min((limit - found.len()).saturating_add(1)).min(BUCKET as usize);
            let key = (
                chat_id.0,
                signed(bucket_of(end - 1)),
                signed(first),
                signed(end),
                i32::try_from(wanted).unwrap_or(i32::MAX),
            );
            let rows = self.cassandra.rows::<(i64, i64)>(&self.read.positions, key).await?;
            let whole = rows.len() == wanted;
            end = if whole { rows.last().map_or(first, |(number, _)| unsigned(*number)) } else { first };
            for (number, at) in rows {
                let (number, at) = (unsigned(number), unsigned(at));
                if at <= position {
                    return Ok(Some(found));
                }
                if found.len() == limit {
                    return Ok(None);
                }
                found.push(FeedEntry { position: at, changed: Changed::Message { number } });
            }
            few = few.saturating_mul(8);
        }
        Ok(Some(found))
    }
}

#[async_trait]
impl Timeline for CassandraTimeline {
    async fn chat(&self, chat_id: ChatId) -> Result<Option<ChatRow>> {
        Ok(self.read_chat(chat_id).await?.chat)
    }

    async fn chat_of(&self, chat_id: ChatId, person: PersonId) -> Result<Option<ChatOf>> {
        self.read_chat_of(chat_id, person).await
    }

    async fn chats_of(&self, person: PersonId) -> Result<Vec<ChatOf>> {
        let chats = self.cassandra.rows::<(Uuid,)>(&self.read.chats_of, (person.0,)).await?;
        let chats = chats.into_iter().map(|(chat,)| self.read_chat_of(ChatId(chat), person));
        Ok(all(chats).await?.into_iter().flatten().collect())
    }

    async fn membership(&self, chat_id: ChatId, person: PersonId) -> Result<Option<MemberRow>> {
        let key = (chat_id.0, person.0);
        let rows: Vec<StoredChat> = self.cassandra.rows(&self.read.member, key).await?;
        rows.first().map_or(Ok(None), |row| row.member(chat_id))
    }

    async fn members(&self, chat_id: ChatId) -> Result<Vec<MemberRow>> {
        Ok(self.read_chat(chat_id).await?.members)
    }

    async fn messages(&self, chat_id: ChatId, query: MessageQuery) -> Result<Vec<MessageRow>> {
        let MessageQuery { from, to, before, after, keep, limit } = query;
        let at = async |time: Option<Timestamp>| match time {
            Some(time) => self.first_at(chat_id, time).await.map(Some),
            None => Ok(None),
        };
        // Heads come after their messages: up to `last` all is there, however much comes meanwhile.
        let last = self.last_number(chat_id).await?;
        let (from, to) = tokio::try_join!(at(from), at(to))?;
        let first = from.unwrap_or(1).max(after.map_or(1, |after| after.saturating_add(1)));
        let end = [to, before].into_iter().flatten().fold(last.saturating_add(1), u64::min);
        self.read_range(chat_id, (first, end), keep, limit).await
    }

    async fn message(&self, chat_id: ChatId, number: u64) -> Result<Option<MessageRow>> {
        Ok(self.messages_by_number(chat_id, &[number]).await?.pop())
    }

    async fn messages_by_number(&self, chat_id: ChatId, numbers: &[u64]) -> Result<Vec<MessageRow>> {
        let mut buckets: BTreeMap<u64, Vec<i64>> = BTreeMap::new();
        for number in numbers {
            buckets.entry(bucket_of(*number)).or_default().push(signed(*number));
        }
        let questions = buckets.into_iter().map(async |(bucket, numbers)| {
            let key = (chat_id.0, signed(bucket), numbers);
            self.cassandra.rows::<StoredMessage>(&self.read.by_number, key).await
        });
        Ok(all(questions).await?.into_iter().flatten().map(MessageRow::from).collect())
    }

    async fn feed_since(&self, chat_id: ChatId, position: u64, limit: usize) -> Result<Feed> {
        let too_many = Feed { entries: Vec::new(), complete: false };
        let Chat { chat, members, moved, marks } = self.read_chat(chat_id).await?;
        let last = match &chat {
            Some(chat) => chat.last_number,
            None => self.last_number(chat_id).await?,
        };
        let sent = match moved > position {
            true => self.sent_since(chat_id, last, position, limit).await?,
            false => Some(Vec::new()),
        };
        let Some(mut entries) = sent else { return Ok(too_many) };
        let marks = marks.into_iter().filter(|(_, _, at)| *at > position);
        entries.extend(marks.map(|(person, number, position)| FeedEntry {
            position,
            changed: Changed::Read { person, number },
        }));
        let mut joined: Vec<u64> =
            members.iter().map(|member| member.position).filter(|at| *at > position).collect();
        joined.sort_unstable();
        joined.dedup();
        entries.extend(joined.into_iter().map(|position| FeedEntry { position, changed: Changed::Chat }));
        if entries.len() > limit {
            return Ok(too_many);
        }
        entries.sort_by_key(|entry| entry.position);
        Ok(Feed { entries, complete: true })
    }
}
