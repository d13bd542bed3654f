//! The timeline in SQLite: what is read.

use std::collections::HashMap;

use async_trait::async_trait;
use domain::Timestamp;
use domain::ids::{BlobId, ChatId, PersonId};
use domain::personal::Sealed;
use domain::views::ChatKind;
use rusqlite::{OptionalExtension, Row, Transaction};
use serde::de::DeserializeOwned;

use super::super::{
    Changed, ChatOf, ChatRow, EditRow, Feed, FeedEntry, Keep, LineRow, MemberRow, MessageQuery, MessageRow,
    ReactionRow, Timeline, Touch, Unseen,
};
use super::SqliteTimeline;
use super::write::read_attachments;
use crate::error::Result;
use crate::sqlite::{id, named, sealed};

const CHAT: &str = "
    SELECT chat_id, kind, created_by, created_at, title, title_event, history, dissolved, last_number,
        active_at, member_count, deletion, created
    FROM chats WHERE chat_id = ?1";
const CHANGED: &str = "SELECT changed FROM chats WHERE chat_id = ?1 AND changed > ?2";
const MEMBERS: &str = "
    SELECT chat_id, person, role, has_left, sees, joined_number, marked_number, sent_number, muted_until,
        pinned, position
    FROM members WHERE position > 0";
const MESSAGES: &str = "
    SELECT m.chat_id, m.number, m.message_id, m.author, m.text, m.event_id, m.sent_at, m.reply_to,
        m.attachments, m.forwarded_from, m.lines, m.position,
        t.text, t.event_id, t.edited_at, t.deleted, t.position, t.edited
    FROM messages m LEFT JOIN touches t ON t.chat_id = m.chat_id AND t.number = m.number
    WHERE m.chat_id = ?1";
const REACTIONS: &str = "
    SELECT number, person, emoji, position FROM reactions
    WHERE chat_id = ?1 AND number >= ?2 AND number <= ?3 AND emoji IS NOT NULL
    ORDER BY number, person";
const EDITS: &str = "
    SELECT text, event_id, at, position FROM edits WHERE chat_id = ?1 AND number = ?2 ORDER BY position";
const UNSEEN: &str = "
    SELECT m.number, m.author, t.deleted IS NOT NULL
    FROM messages m LEFT JOIN touches t ON t.chat_id = m.chat_id AND t.number = m.number
    WHERE m.chat_id = ?1 AND m.number > ?2 AND m.number <= ?3 ORDER BY m.number";
const LINES: &str = "
    SELECT chat_id, ordinal, after_number, kind, by_person, person, title, title_event, role, count, at, position
    FROM lines WHERE chat_id = ?1 AND ordinal > ?2 AND ordinal <= ?3
    ORDER BY ordinal DESC LIMIT ?4";
// The deletion may have come before what it deleted.
const CARRIER: &str = "
    SELECT chat_id, number FROM blobs b WHERE blob = ?1 AND NOT gone AND NOT EXISTS
        (SELECT 1 FROM touches t WHERE t.chat_id = b.chat_id AND t.number = b.number AND t.deleted IS NOT NULL)";
const SENT_AT: &str = "
    SELECT number, sent_at FROM messages WHERE chat_id = ?1 AND number >= ?2
    ORDER BY number LIMIT 1";
const SENT_SINCE: &str = "SELECT number, position FROM messages WHERE chat_id = ?1 ORDER BY number DESC";
const LINES_SINCE: &str = "SELECT ordinal, position FROM lines WHERE chat_id = ?1 ORDER BY ordinal DESC";
const TOUCHED_SINCE: &str =
    "SELECT number, position FROM touches WHERE chat_id = ?1 AND position > ?2 LIMIT ?3";
const MARKED_SINCE: &str = "
    SELECT person, marked_number, marked FROM members WHERE chat_id = ?1 AND marked > ?2 AND position > 0";
const KEPT_SINCE: &str = "
    SELECT person, kept FROM members WHERE chat_id = ?1 AND kept > ?2 AND position > 0";

/// No engine counts further than this.
fn column(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unreadable(at: usize) -> impl Fn(serde_json::Error) -> rusqlite::Error {
    move |error| rusqlite::Error::FromSqlConversionFailure(at, rusqlite::types::Type::Text, error.into())
}

/// As [`named`], where there may be none.
fn named_if_any<T: DeserializeOwned>(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<T>> {
    let name: Option<String> = row.get(at)?;
    name.map(|name| serde_json::from_value(serde_json::Value::String(name)).map_err(unreadable(at)))
        .transpose()
}

fn id_if_any<T: From<uuid::Uuid>>(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<T>> {
    Ok(row.get::<_, Option<[u8; 16]>>(at)?.map(|bytes| T::from(uuid::Uuid::from_bytes(bytes))))
}

fn sealed_if_any(row: &Row<'_>, token: usize, event_id: usize) -> rusqlite::Result<Option<Sealed>> {
    match row.get_ref(token)? {
        rusqlite::types::ValueRef::Null => Ok(None),
        _ => sealed(row, token, event_id).map(Some),
    }
}

fn chat(row: &Row<'_>) -> rusqlite::Result<ChatRow> {
    Ok(ChatRow {
        chat_id: id(row, 0)?,
        kind: named(row, 1)?,
        created_by: id(row, 2)?,
        created_at: Timestamp(row.get(3)?),
        title: sealed_if_any(row, 4, 5)?,
        history: named_if_any(row, 6)?,
        dissolved: row.get::<_, u64>(7)? > 0,
        last_number: row.get(8)?,
        active_at: Timestamp(row.get(9)?),
        member_count: row.get(10)?,
        deletion: row.get(11)?,
        position: row.get(12)?,
    })
}

fn member(row: &Row<'_>) -> rusqlite::Result<MemberRow> {
    let (joined, marked, sent): (u64, u64, u64) = (row.get(5)?, row.get(6)?, row.get(7)?);
    let sees: String = row.get(4)?;
    Ok(MemberRow {
        chat_id: id(row, 0)?,
        person: id(row, 1)?,
        role: named(row, 2)?,
        left: row.get(3)?,
        sees: serde_json::from_str(&sees).map_err(unreadable(4))?,
        joined_number: joined,
        read_number: joined.max(marked).max(sent),
        muted_until: row.get::<_, Option<i64>>(8)?.map(Timestamp),
        pinned: row.get(9)?,
        position: row.get(10)?,
    })
}

/// Reactions apart.
fn message(row: &Row<'_>) -> rusqlite::Result<MessageRow> {
    let attachments: Option<String> = row.get(8)?;
    let touch = match row.get::<_, Option<u64>>(16)? {
        None => Touch::default(),
        Some(position) => {
            let text = sealed_if_any(row, 12, 13)?;
            let at = row.get::<_, Option<i64>>(14)?.map(Timestamp);
            let moved = row.get(17)?;
            let edited = text.zip(at).map(|(text, at)| EditRow { text, at, position: moved });
            Touch { edited, deleted: named_if_any(row, 15)?, reactions: Vec::new(), position }
        }
    };
    Ok(MessageRow {
        chat_id: id(row, 0)?,
        number: row.get(1)?,
        message_id: id(row, 2)?,
        author: id(row, 3)?,
        text: sealed(row, 4, 5)?,
        sent_at: Timestamp(row.get(6)?),
        reply_to: row.get(7)?,
        attachments: attachments.map_or_else(|| Ok(Vec::new()), |json| read_attachments(&json))?,
        forwarded_from: id_if_any(row, 9)?,
        lines: row.get(10)?,
        position: row.get(11)?,
        touch,
    })
}

fn line(row: &Row<'_>) -> rusqlite::Result<LineRow> {
    Ok(LineRow {
        chat_id: id(row, 0)?,
        ordinal: row.get(1)?,
        after_number: row.get(2)?,
        kind: named(row, 3)?,
        by: id_if_any(row, 4)?,
        person: id_if_any(row, 5)?,
        title: sealed_if_any(row, 6, 7)?,
        role: named_if_any(row, 8)?,
        count: row.get(9)?,
        at: Timestamp(row.get(10)?),
        position: row.get(11)?,
    })
}

fn chat_by_id(tx: &Transaction<'_>, chat_id: ChatId) -> Result<Option<ChatRow>> {
    Ok(tx.prepare_cached(CHAT)?.query_row([chat_id.0.as_bytes()], chat).optional()?)
}

fn member_by_id(tx: &Transaction<'_>, chat_id: ChatId, person: PersonId) -> Result<Option<MemberRow>> {
    let found = tx
        .prepare_cached(&format!("{MEMBERS} AND chat_id = ?1 AND person = ?2"))?
        .query_row([chat_id.0.as_bytes(), person.0.as_bytes()], member)
        .optional()?;
    Ok(found)
}

fn members_of(tx: &Transaction<'_>, chat_id: ChatId) -> Result<Vec<MemberRow>> {
    let mut found = tx.prepare_cached(&format!("{MEMBERS} AND chat_id = ?1 ORDER BY person"))?;
    let rows = found.query_map([chat_id.0.as_bytes()], member)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Puts the reactions of messages, which are sorted by number, beside them.
fn with_reactions(tx: &Transaction<'_>, chat_id: ChatId, messages: &mut [MessageRow]) -> Result<()> {
    let mut touched = messages.iter().filter(|it| it.touch.position > 0).map(|it| it.number);
    let Some(first) = touched.next() else { return Ok(()) };
    let last = touched.next_back().unwrap_or(first);
    let mut found: HashMap<u64, Vec<ReactionRow>> = HashMap::new();
    let mut reactions = tx.prepare_cached(REACTIONS)?;
    let mut rows = reactions.query((chat_id.0.as_bytes(), first, last))?;
    while let Some(row) = rows.next()? {
        let reaction = ReactionRow { person: id(row, 1)?, emoji: row.get(2)?, position: row.get(3)? };
        found.entry(row.get(0)?).or_default().push(reaction);
    }
    for message in messages {
        message.touch.reactions = found.remove(&message.number).unwrap_or_default();
    }
    Ok(())
}

fn message_by_number(tx: &Transaction<'_>, chat_id: ChatId, number: u64) -> Result<Option<MessageRow>> {
    let found = tx
        .prepare_cached(&format!("{MESSAGES} AND m.number = ?2"))?
        .query_row((chat_id.0.as_bytes(), column(number)), message)
        .optional()?;
    let mut found: Vec<MessageRow> = found.into_iter().collect();
    with_reactions(tx, chat_id, &mut found)?;
    Ok(found.pop())
}

/// The chat of one of its people, with its head and, in a direct chat, the other one.
fn chat_of(tx: &Transaction<'_>, me: MemberRow) -> Result<Option<ChatOf>> {
    let Some(chat) = chat_by_id(tx, me.chat_id)? else { return Ok(None) };
    let peer = match chat.kind {
        ChatKind::Direct => {
            members_of(tx, chat.chat_id)?.into_iter().find(|member| member.person != me.person)
        }
        ChatKind::Group => None,
    };
    let last = message_by_number(tx, chat.chat_id, me.last_shown(chat.last_number))?;
    let last = last.filter(|last| me.shows(last.number));
    Ok(Some(ChatOf { chat, me, peer, last }))
}

/// The first number that was sent at `time` or later: numbers and times rise together, so it is
/// searched for by halving, about 20 reads by key in a million messages.
fn first_at(tx: &Transaction<'_>, chat_id: ChatId, time: Timestamp) -> Result<u64> {
    let last = chat_by_id(tx, chat_id)?.map_or(0, |chat| chat.last_number);
    let mut sent_at = tx.prepare_cached(SENT_AT)?;
    let (mut low, mut high) = (1, last + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        let found: Option<(u64, i64)> = sent_at
            .query_row((chat_id.0.as_bytes(), middle), |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        match found {
            Some((number, at)) if at < time.0 => low = number + 1,
            _ => high = middle,
        }
    }
    Ok(low)
}

fn messages(tx: &Transaction<'_>, chat_id: ChatId, query: &MessageQuery) -> Result<Vec<MessageRow>> {
    let mut first = query.after.map_or(1, |after| after.saturating_add(1));
    let mut end = query.before.unwrap_or(u64::MAX);
    if let Some(from) = query.from {
        first = first.max(first_at(tx, chat_id, from)?);
    }
    if let Some(to) = query.to {
        end = end.min(first_at(tx, chat_id, to)?);
    }
    let order = match query.keep {
        Keep::Oldest => "ASC",
        Keep::Newest => "DESC",
    };
    let sql = format!("{MESSAGES} AND m.number >= ?2 AND m.number < ?3 ORDER BY m.number {order} LIMIT ?4");
    let limit = i64::try_from(query.limit).unwrap_or(i64::MAX);
    let mut statement = tx.prepare_cached(&sql)?;
    let rows = statement.query_map((chat_id.0.as_bytes(), column(first), column(end), limit), message)?;
    let mut found: Vec<_> = rows.collect::<rusqlite::Result<_>>()?;
    if query.keep == Keep::Newest {
        found.reverse();
    }
    with_reactions(tx, chat_id, &mut found)?;
    Ok(found)
}

/// Numbers and positions, which rise together, after `position`, read back from the newest; false if
/// there are more than `limit` entries.
fn newest_since(
    tx: &Transaction<'_>,
    sql: &str,
    (chat_id, position, limit): (ChatId, u64, usize),
    entries: &mut Vec<FeedEntry>,
    changed: impl Fn(u64) -> Changed,
) -> Result<bool> {
    let mut statement = tx.prepare_cached(sql)?;
    let mut rows = statement.query([chat_id.0.as_bytes()])?;
    while let Some(row) = rows.next()? {
        let at: u64 = row.get(1)?;
        if at <= position {
            break;
        }
        if entries.len() == limit {
            return Ok(false);
        }
        entries.push(FeedEntry { position: at, changed: changed(row.get(0)?) });
    }
    Ok(true)
}

fn feed_since(tx: &Transaction<'_>, chat_id: ChatId, position: u64, limit: usize) -> Result<Feed> {
    let too_many = Feed { entries: Vec::new(), complete: false };
    let mut entries = Vec::new();
    let what = (chat_id, position, limit);
    if !newest_since(tx, SENT_SINCE, what, &mut entries, |number| Changed::Message { number })?
        || !newest_since(tx, LINES_SINCE, what, &mut entries, |ordinal| Changed::Line { ordinal })?
    {
        return Ok(too_many);
    }
    let since = (chat_id.0.as_bytes(), position);
    let mut touched = tx.prepare_cached(TOUCHED_SINCE)?;
    let touched = touched.query_map((since.0, since.1, limit as i64 + 1), |row| {
        Ok(FeedEntry { position: row.get(1)?, changed: Changed::Message { number: row.get(0)? } })
    })?;
    for entry in touched {
        entries.push(entry?);
    }
    let mut marked = tx.prepare_cached(MARKED_SINCE)?;
    for entry in marked.query_map(since, |row| {
        let changed = Changed::Read { person: id(row, 0)?, number: row.get(1)? };
        Ok(FeedEntry { position: row.get(2)?, changed })
    })? {
        entries.push(entry?);
    }
    let mut kept = tx.prepare_cached(KEPT_SINCE)?;
    for entry in kept.query_map(since, |row| {
        Ok(FeedEntry { position: row.get(1)?, changed: Changed::Kept { person: id(row, 0)? } })
    })? {
        entries.push(entry?);
    }
    let changed: Option<u64> = tx.prepare_cached(CHANGED)?.query_row(since, |row| row.get(0)).optional()?;
    entries.extend(changed.map(|position| FeedEntry { position, changed: Changed::Chat }));
    if entries.len() > limit {
        return Ok(too_many);
    }
    entries.sort_by_key(|entry| entry.position);
    Ok(Feed { entries, complete: true })
}

#[async_trait]
impl Timeline for SqliteTimeline {
    async fn chat(&self, chat_id: ChatId) -> Result<Option<ChatRow>> {
        self.0.read(move |tx| chat_by_id(tx, chat_id)).await
    }

    async fn chat_of(&self, chat_id: ChatId, person: PersonId) -> Result<Option<ChatOf>> {
        self.0
            .read(move |tx| match member_by_id(tx, chat_id, person)? {
                Some(me) => chat_of(tx, me),
                None => Ok(None),
            })
            .await
    }

    async fn chats_of(&self, person: PersonId) -> Result<Vec<ChatOf>> {
        self.0
            .read(move |tx| {
                let mine: Vec<MemberRow> = tx
                    .prepare_cached(&format!("{MEMBERS} AND person = ?1"))?
                    .query_map([person.0.as_bytes()], member)?
                    .collect::<rusqlite::Result<_>>()?;
                let mut found = Vec::with_capacity(mine.len());
                for me in mine {
                    found.extend(chat_of(tx, me)?);
                }
                Ok(found)
            })
            .await
    }

    async fn membership(&self, chat_id: ChatId, person: PersonId) -> Result<Option<MemberRow>> {
        self.0.read(move |tx| member_by_id(tx, chat_id, person)).await
    }

    async fn members(&self, chat_id: ChatId) -> Result<Vec<MemberRow>> {
        self.0.read(move |tx| members_of(tx, chat_id)).await
    }

    async fn messages(&self, chat_id: ChatId, query: MessageQuery) -> Result<Vec<MessageRow>> {
        self.0.read(move |tx| messages(tx, chat_id, &query)).await
    }

    async fn message(&self, chat_id: ChatId, number: u64) -> Result<Option<MessageRow>> {
        self.0.read(move |tx| message_by_number(tx, chat_id, number)).await
    }

    async fn messages_by_number(&self, chat_id: ChatId, numbers: &[u64]) -> Result<Vec<MessageRow>> {
        let numbers = numbers.to_vec();
        self.0
            .read(move |tx| {
                let mut found = Vec::with_capacity(numbers.len());
                for number in numbers {
                    found.extend(message_by_number(tx, chat_id, number)?);
                }
                Ok(found)
            })
            .await
    }

    async fn edits(&self, chat_id: ChatId, number: u64) -> Result<Vec<EditRow>> {
        self.0
            .read(move |tx| {
                let mut edits = tx.prepare_cached(EDITS)?;
                let rows = edits.query_map((chat_id.0.as_bytes(), column(number)), |row| {
                    Ok(EditRow {
                        text: sealed(row, 0, 1)?,
                        at: Timestamp(row.get(2)?),
                        position: row.get(3)?,
                    })
                })?;
                Ok(rows.collect::<rusqlite::Result<_>>()?)
            })
            .await
    }

    async fn unseen(&self, chat_id: ChatId, after: u64, last: u64) -> Result<Vec<Unseen>> {
        self.0
            .read(move |tx| {
                let mut unseen = tx.prepare_cached(UNSEEN)?;
                let rows = unseen.query_map((chat_id.0.as_bytes(), column(after), column(last)), |row| {
                    Ok(Unseen { number: row.get(0)?, author: id(row, 1)?, deleted: row.get(2)? })
                })?;
                Ok(rows.collect::<rusqlite::Result<_>>()?)
            })
            .await
    }

    async fn lines(&self, chat_id: ChatId, after: u64, last: u64, limit: usize) -> Result<Vec<LineRow>> {
        self.0
            .read(move |tx| {
                let mut lines = tx.prepare_cached(LINES)?;
                let limit = i64::try_from(limit).unwrap_or(i64::MAX);
                let asked = (chat_id.0.as_bytes(), column(after), column(last), limit);
                let mut found: Vec<LineRow> =
                    lines.query_map(asked, line)?.collect::<rusqlite::Result<_>>()?;
                found.reverse();
                Ok(found)
            })
            .await
    }

    async fn carrier(&self, blob: BlobId) -> Result<Option<(ChatId, u64)>> {
        self.0
            .read(move |tx| {
                let found = tx
                    .prepare_cached(CARRIER)?
                    .query_row([blob.0], |row| Ok((id(row, 0)?, row.get(1)?)))
                    .optional()?;
                Ok(found)
            })
            .await
    }

    async fn carried(&self, blobs: &[BlobId]) -> Result<Vec<BlobId>> {
        let blobs = blobs.to_vec();
        self.0
            .read(move |tx| {
                let mut carrier = tx.prepare_cached(CARRIER)?;
                let mut found = Vec::new();
                for blob in blobs {
                    if carrier.exists([blob.0])? {
                        found.push(blob);
                    }
                }
                Ok(found)
            })
            .await
    }

    async fn feed_since(&self, chat_id: ChatId, position: u64, limit: usize) -> Result<Feed> {
        self.0.read(move |tx| feed_since(tx, chat_id, position, limit)).await
    }
}
