//! The timeline in Cassandra: what is read. Paging state never leaves the adapter: what a page is
//! asked by are numbers and times.

use std::collections::BTreeMap;

use async_trait::async_trait;
use domain::Timestamp;
use domain::ids::{BlobId, ChatId, PersonId};
use domain::views::ChatKind;
use futures::FutureExt;
use scylla::statement::prepared::PreparedStatement;
use uuid::Uuid;

use super::stored::{MESSAGE, StoredChat, StoredLine, StoredMessage};
use super::{BUCKET, CassandraTimeline, all, bucket_of, line_bucket_of, of_generation};
use crate::cassandra::{Cassandra, signed, unsigned};
use crate::error::Result;
use crate::timeline::{
    Changed, ChatOf, ChatRow, EditRow, Feed, FeedEntry, Keep, LineRow, MemberRow, MessageQuery, MessageRow,
    Timeline, Unseen,
};

/// Of a bucket's messages every so manieth is looked at for its time, and then those between two.
const STEP: u64 = 32;
/// Messages that a feed reads first: mostly few are new.
const FEW: usize = 16;

const CHAT: &str = "SELECT person, kind, created_by, created_at, history, created, title, title_event, dissolved, \
    member_count, last_number, active_at, last_line, moved, deletion, touched, changed, role, has_left, sees, \
    joined_number, joined, marked_number, marked, sent_number, muted_until, pinned, kept \
    FROM $k.chats_$n WHERE chat_id = ?";
const MEMBER: &str = " AND person = ?";
/// A direct chat has no more people than that.
const FIRST_PEOPLE: &str = " LIMIT 3";
const HEAD: &str = "SELECT DISTINCT chat_id, last_number, touched FROM $k.chats_$n WHERE chat_id = ?";
const CHATS_OF: &str = "SELECT chat_id FROM $k.memberships_$n WHERE person = ?";
const BY_NUMBER: &str = "FROM $k.messages_$n WHERE chat_id = ? AND bucket = ? AND number IN ?";
const RANGE: &str = "FROM $k.messages_$n WHERE chat_id = ? AND bucket = ? AND number >= ? AND number < ?";
const BUCKET_BEFORE: &str = "SELECT bucket FROM $k.buckets_$n WHERE chat_id = ? AND began_at < ? \
    ORDER BY began_at DESC, bucket DESC LIMIT 1";
const AUTHORS: &str = "SELECT number, author";
const LINES: &str = "SELECT chat_id, ordinal, after_number, kind, by_person, person, title, title_event, role, count, \
    at, position FROM $k.lines_$n WHERE chat_id = ? AND bucket = ? AND ordinal > ? AND ordinal <= ? \
    ORDER BY ordinal DESC LIMIT ?";
const LINE_POSITIONS: &str = "SELECT ordinal, position FROM $k.lines_$n \
    WHERE chat_id = ? AND bucket = ? AND ordinal >= ? AND ordinal < ? ORDER BY ordinal DESC LIMIT ?";
const CARRIER: &str = "SELECT chat_id, number, gone FROM $k.blobs_$n WHERE blob = ?";

/// What a generation is read by.
pub(super) struct Statements {
    chat: PreparedStatement,
    first_people: PreparedStatement,
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
    authors: PreparedStatement,
    lines: PreparedStatement,
    line_positions: PreparedStatement,
    carrier: PreparedStatement,
}

impl Statements {
    pub async fn prepare(cassandra: &Cassandra, number: u64) -> Result<Self> {
        let prepare = async |cql: &str| cassandra.prepare(&of_generation(cql, number)).await;
        let newest = "ORDER BY number DESC LIMIT ?";
        Ok(Self {
            chat: prepare(CHAT).await?,
            first_people: prepare(&format!("{CHAT}{FIRST_PEOPLE}")).await?,
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
            authors: prepare(&format!("{AUTHORS} {RANGE}")).await?,
            lines: prepare(LINES).await?,
            line_positions: prepare(LINE_POSITIONS).await?,
            carrier: prepare(CARRIER).await?,
        })
    }
}

/// A chat's partition.
struct Chat {
    chat: Option<ChatRow>,
    members: Vec<MemberRow>,
    /// Positions: of its last message, touch and change; the ordinal of its last line.
    moved: u64,
    touched: u64,
    changed: u64,
    last_line: u64,
    /// Who marked which number, and at which position.
    marks: Vec<(PersonId, u64, u64)>,
    /// Who set how they keep it, and at which position.
    kept: Vec<(PersonId, u64)>,
}

impl CassandraTimeline {
    async fn read_chat(&self, chat_id: ChatId) -> Result<Chat> {
        let rows: Vec<StoredChat> = self.cassandra.rows(&self.read.chat, (chat_id.0,)).await?;
        let (mut members, mut marks, mut kept) = (Vec::with_capacity(rows.len()), Vec::new(), Vec::new());
        for row in &rows {
            let Some(member) = row.member(chat_id)? else { continue };
            kept.extend(row.kept.map(|at| (member.person, unsigned(at))));
            if let (Some(number), Some(at)) = (row.marked_number, row.marked) {
                marks.push((member.person, unsigned(number), unsigned(at)));
            }
            members.push(member);
        }
        // By their bytes, as their ids are ordered; uuids of different versions are not, there.
        members.sort_by_key(|member| member.person);
        let head = rows.first();
        let chat = head.map(|row| row.chat(chat_id)).transpose()?.flatten();
        let of_head = |of: fn(&StoredChat) -> Option<i64>| head.and_then(of).map_or(0, unsigned);
        Ok(Chat {
            chat,
            members,
            moved: of_head(|row| row.moved),
            touched: of_head(|row| row.touched),
            changed: of_head(|row| row.changed),
            last_line: of_head(|row| row.last_line),
            marks,
            kept,
        })
    }

    /// The number of the last message, and whether any was touched since it was sent.
    async fn last_number(&self, chat_id: ChatId) -> Result<(u64, bool)> {
        type Head = (Uuid, Option<i64>, Option<i64>);
        let rows = self.cassandra.rows::<Head>(&self.read.head, (chat_id.0,)).await?;
        let head = rows.first();
        let last = head.and_then(|(_, number, _)| *number).map_or(0, unsigned);
        Ok((last, head.is_some_and(|(_, _, touched)| touched.is_some())))
    }

    /// The chat as `person` has it, with its head and, in a direct chat, the other one.
    async fn read_chat_of(&self, chat_id: ChatId, person: PersonId) -> Result<Option<ChatOf>> {
        let mut rows: Vec<StoredChat> = self.cassandra.rows(&self.read.first_people, (chat_id.0,)).await?;
        let Some(chat) = rows.first().map(|row| row.chat(chat_id)).transpose()?.flatten() else {
            return Ok(None);
        };
        if chat.kind == ChatKind::Group && !rows.iter().any(|row| row.person == Some(person.0)) {
            rows = self.cassandra.rows(&self.read.member, (chat_id.0, person.0)).await?;
        }
        let (mut me, mut peer) = (None, None);
        for row in &rows {
            let Some(member) = row.member(chat_id)? else { continue };
            if member.person == person {
                me = Some(member);
            } else if chat.kind == ChatKind::Direct {
                peer = Some(member);
            }
        }
        let Some(me) = me else { return Ok(None) };
        let last = match me.last_shown(chat.last_number) {
            0 => None,
            number => self.message(chat_id, number).await?.filter(|last| me.shows(last.number)),
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
            for row in rows {
                found.push(row.message()?);
            }
        }
        if keep == Keep::Newest {
            found.reverse();
        }
        Ok(found)
    }

    /// Positions and numbers (or ordinals) after `position`, which rise together, read back from `last`
    /// through the buckets that begin at `first_of`; `None` if they are more than `limit`.
    async fn newest_since(
        &self,
        statement: &PreparedStatement,
        (chat_id, position, limit): (ChatId, u64, usize),
        last: u64,
        bucket_of: fn(u64) -> u64,
        first_of: fn(u64) -> u64,
    ) -> Result<Option<Vec<(u64, u64)>>> {
        let mut found = Vec::new();
        let mut end = last.saturating_add(1);
        let mut few = FEW;
        while end > 1 {
            let bucket = bucket_of(end - 1);
            let first = first_of(bucket);
            let wanted = few.min((limit - found.len()).saturating_add(1)).min(BUCKET as usize);
            let key = (
                chat_id.0,
                signed(bucket),
                signed(first),
                signed(end),
                i32::try_from(wanted).unwrap_or(i32::MAX),
            );
            let rows = self.cassandra.rows::<(i64, i64)>(statement, key).await?;
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
                found.push((at, number));
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
        let (last, touched) = self.last_number(chat_id).await?;
        let (from, to) = tokio::try_join!(at(from), at(to))?;
        let first = from.unwrap_or(1).max(after.map_or(1, |after| after.saturating_add(1)));
        let end = [to, before].into_iter().flatten().fold(last.saturating_add(1), u64::min);
        let mut found = self.read_range(chat_id, (first, end), keep, limit).await?;
        // A deletion that is being written empties the message before it says so.
        if touched || found.iter().any(|row| row.text.token.is_empty()) {
            self.with_touches(chat_id, &mut found).await?;
        }
        Ok(found)
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
        let mut found = Vec::with_capacity(numbers.len());
        for row in all(questions).await?.into_iter().flatten() {
            found.push(row.message()?);
        }
        self.with_touches(chat_id, &mut found).await?;
        Ok(found)
    }

    async fn edits(&self, chat_id: ChatId, number: u64) -> Result<Vec<EditRow>> {
        self.read_edits(chat_id, number).await
    }

    async fn unseen(&self, chat_id: ChatId, after: u64, last: u64) -> Result<Vec<Unseen>> {
        if after >= last {
            return Ok(Vec::new());
        }
        let buckets = (bucket_of(after + 1)..=bucket_of(last)).map(async |bucket| {
            let key = (chat_id.0, signed(bucket), signed(after + 1), signed(last.saturating_add(1)));
            tokio::try_join!(
                self.cassandra.rows::<(i64, Uuid)>(&self.read.authors, key),
                self.deleted_in(chat_id, bucket, (after + 1, last))
            )
        });
        let mut found = Vec::new();
        for (authors, deleted) in all(buckets).await? {
            found.extend(authors.into_iter().map(|(number, author)| {
                let number = unsigned(number);
                Unseen { number, author: PersonId(author), deleted: deleted.contains(&number) }
            }));
        }
        found.sort_by_key(|it| it.number);
        Ok(found)
    }

    async fn lines(&self, chat_id: ChatId, after: u64, last: u64, limit: usize) -> Result<Vec<LineRow>> {
        let last = match last {
            u64::MAX => self.read_chat(chat_id).await?.last_line,
            last => last,
        };
        let mut found = Vec::new();
        if after >= last {
            return Ok(found);
        }
        for bucket in (line_bucket_of(after + 1)..=line_bucket_of(last)).rev() {
            let left = i32::try_from(limit - found.len()).unwrap_or(i32::MAX);
            if left == 0 {
                break;
            }
            let key = (chat_id.0, signed(bucket), signed(after), signed(last), left);
            for row in self.cassandra.rows::<StoredLine>(&self.read.lines, key).await? {
                found.push(row.line()?);
            }
        }
        found.reverse();
        Ok(found)
    }

    async fn carrier(&self, blob: BlobId) -> Result<Option<(ChatId, u64)>> {
        type Carrier = (Option<Uuid>, Option<i64>, Option<bool>);
        let rows = self.cassandra.rows::<Carrier>(&self.read.carrier, (blob.0.to_vec(),)).await?;
        let there = rows.first().and_then(|(chat, number, gone)| {
            let there = chat.zip(*number).filter(|_| *gone != Some(true));
            there.map(|(chat, number)| (ChatId(chat), unsigned(number)))
        });
        let Some((chat, number)) = there else { return Ok(None) };
        // The deletion may have come before what it deleted.
        let deleted = self.deleted_in(chat, bucket_of(number), (number, number)).await?;
        Ok(there.filter(|_| deleted.is_empty()))
    }

    async fn carried(&self, blobs: &[BlobId]) -> Result<Vec<BlobId>> {
        let asked = blobs.iter().copied();
        let asked = asked.map(|blob| async move { Ok((blob, self.carrier(blob).await?)) }.boxed());
        let carriers = all(asked).await?;
        Ok(carriers.into_iter().filter_map(|(blob, carrier)| carrier.map(|_| blob)).collect())
    }

    async fn feed_since(&self, chat_id: ChatId, position: u64, limit: usize) -> Result<Feed> {
        let too_many = Feed { entries: Vec::new(), complete: false };
        let Chat { chat, moved, touched, changed, last_line, marks, kept, .. } =
            self.read_chat(chat_id).await?;
        let last = match &chat {
            Some(chat) => chat.last_number,
            None => self.last_number(chat_id).await?.0,
        };
        let what = (chat_id, position, limit);
        let sent = match moved > position {
            true => {
                let first_of = |bucket| bucket * BUCKET + 1;
                self.newest_since(&self.read.positions, what, last, bucket_of, first_of).await?
            }
            false => Some(Vec::new()),
        };
        let first_of = |bucket: u64| (bucket * BUCKET).max(1);
        let statement = &self.read.line_positions;
        let (lines, touches) = tokio::try_join!(
            self.newest_since(statement, what, last_line, line_bucket_of, first_of),
            self.touched_since(chat_id, position, touched, limit)
        )?;
        let (Some(sent), Some(lines), Some(touches)) = (sent, lines, touches) else { return Ok(too_many) };
        let mut entries = Vec::new();
        let messages = sent.into_iter().chain(touches);
        entries.extend(
            messages.map(|(position, number)| FeedEntry { position, changed: Changed::Message { number } }),
        );
        entries.extend(
            lines
                .into_iter()
                .map(|(position, ordinal)| FeedEntry { position, changed: Changed::Line { ordinal } }),
        );
        entries.extend(marks.into_iter().filter(|(_, _, at)| *at > position).map(
            |(person, number, position)| FeedEntry { position, changed: Changed::Read { person, number } },
        ));
        entries.extend(
            kept.into_iter()
                .filter(|(_, at)| *at > position)
                .map(|(person, position)| FeedEntry { position, changed: Changed::Kept { person } }),
        );
        if changed > position {
            entries.push(FeedEntry { position: changed, changed: Changed::Chat });
        }
        if entries.len() > limit {
            return Ok(too_many);
        }
        entries.sort_by_key(|entry| entry.position);
        Ok(Feed { entries, complete: true })
    }
}
