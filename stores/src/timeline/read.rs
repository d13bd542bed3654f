//! The timeline in SQLite: what is read.

use async_trait::async_trait;
use domain::Timestamp;
use domain::ids::{ChatId, PersonId};
use domain::views::ChatKind;
use rusqlite::{OptionalExtension, Row, Transaction};

use super::{
    Changed, ChatOf, ChatRow, Feed, FeedEntry, Keep, MemberRow, MessageQuery, MessageRow, SqliteTimeline,
    Timeline,
};
use crate::error::Result;
use crate::sqlite::{id, named, sealed};

const CHAT: &str = "
    SELECT chat_id, kind, created_by, created_at, last_number, active_at, member_count, created
    FROM chats WHERE chat_id = ?1";
const MEMBERS: &str = "
    SELECT chat_id, person, role, joined_number, marked_number, sent_number, position, marked
    FROM members WHERE position > 0";
const MESSAGES: &str = "
    SELECT chat_id, number, message_id, author, text, event_id, sent_at, reply_to, position
    FROM messages WHERE chat_id = ?1";
const SENT_AT: &str = "
    SELECT number, sent_at FROM messages WHERE chat_id = ?1 AND number >= ?2
    ORDER BY number LIMIT 1";
const MARKED_SINCE: &str = "
    SELECT person, marked_number, marked FROM members WHERE chat_id = ?1 AND marked > ?2 AND position > 0";
const JOINED_SINCE: &str = "
    SELECT DISTINCT position FROM members WHERE chat_id = ?1 AND position > ?2";

fn chat(row: &Row<'_>) -> rusqlite::Result<ChatRow> {
    Ok(ChatRow {
        chat_id: id(row, 0)?,
        kind: named(row, 1)?,
        created_by: id(row, 2)?,
        created_at: Timestamp(row.get(3)?),
        last_number: row.get(4)?,
        active_at: Timestamp(row.get(5)?),
        member_count: row.get(6)?,
        position: row.get(7)?,
    })
}

fn member(row: &Row<'_>) -> rusqlite::Result<MemberRow> {
    let (joined, marked, sent): (u64, u64, u64) = (row.get(3)?, row.get(4)?, row.get(5)?);
    Ok(MemberRow {
        chat_id: id(row, 0)?,
        person: id(row, 1)?,
        role: named(row, 2)?,
        joined_number: joined,
        read_number: joined.max(marked).max(sent),
        position: row.get(6)?,
    })
}

fn message(row: &Row<'_>) -> rusqlite::Result<MessageRow> {
    Ok(MessageRow {
        chat_id: id(row, 0)?,
        number: row.get(1)?,
        message_id: id(row, 2)?,
        author: id(row, 3)?,
        text: sealed(row, 4, 5)?,
        sent_at: Timestamp(row.get(6)?),
        reply_to: row.get(7)?,
        position: row.get(8)?,
    })
}

fn chat_by_id(tx: &Transaction<'_>, chat_id: ChatId) -> Result<Option<ChatRow>> {
    Ok(tx.prepare_cached(CHAT)?.query_row([chat_id.0.as_bytes()], chat).optional()?)
}

fn member_by_id(tx: &Transaction<'_>, chat_id: ChatId, person: PersonId) -> Result<Option<MemberRow>> {
    let found = tx
        .prepare_cached(&format!("{MEMBERS} AND person = ?1 AND chat_id = ?2"))?
        .query_row([person.0.as_bytes(), chat_id.0.as_bytes()], member)
        .optional()?;
    Ok(found)
}

fn members_of(tx: &Transaction<'_>, chat_id: ChatId) -> Result<Vec<MemberRow>> {
    let mut found = tx.prepare_cached(&format!("{MEMBERS} AND chat_id = ?1 ORDER BY person"))?;
    let rows = found.query_map([chat_id.0.as_bytes()], member)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn message_by_number(tx: &Transaction<'_>, chat_id: ChatId, number: u64) -> Result<Option<MessageRow>> {
    let found = tx
        .prepare_cached(&format!("{MESSAGES} AND number = ?2"))?
        .query_row((chat_id.0.as_bytes(), number), message)
        .optional()?;
    Ok(found)
}

/// The chat of a member, with its head and, in a direct chat, the other one.
fn chat_of(tx: &Transaction<'_>, me: MemberRow) -> Result<Option<ChatOf>> {
    let Some(chat) = chat_by_id(tx, me.chat_id)? else { return Ok(None) };
    let peer = match chat.kind {
        ChatKind::Direct => {
            members_of(tx, chat.chat_id)?.into_iter().find(|member| member.person != me.person)
        }
        ChatKind::Group => None,
    };
    let last = message_by_number(tx, chat.chat_id, chat.last_number)?;
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
    let column = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let order = match query.keep {
        Keep::Oldest => "ASC",
        Keep::Newest => "DESC",
    };
    let sql = format!("{MESSAGES} AND number >= ?2 AND number < ?3 ORDER BY number {order} LIMIT ?4");
    let limit = i64::try_from(query.limit).unwrap_or(i64::MAX);
    let mut statement = tx.prepare_cached(&sql)?;
    let rows = statement.query_map((chat_id.0.as_bytes(), column(first), column(end), limit), message)?;
    let mut found: Vec<_> = rows.collect::<rusqlite::Result<_>>()?;
    if query.keep == Keep::Newest {
        found.reverse();
    }
    Ok(found)
}

/// Messages after `position`, read back from the newest; `None` if they are more than `limit`.
fn sent_since(
    tx: &Transaction<'_>,
    chat_id: ChatId,
    position: u64,
    limit: usize,
) -> Result<Option<Vec<FeedEntry>>> {
    let mut statement =
        tx.prepare_cached("SELECT number, position FROM messages WHERE chat_id = ?1 ORDER BY number DESC")?;
    let mut rows = statement.query([chat_id.0.as_bytes()])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let at: u64 = row.get(1)?;
        if at <= position {
            break;
        }
        if found.len() == limit {
            return Ok(None);
        }
        found.push(FeedEntry { position: at, changed: Changed::Message { number: row.get(0)? } });
    }
    Ok(Some(found))
}

fn feed_since(tx: &Transaction<'_>, chat_id: ChatId, position: u64, limit: usize) -> Result<Feed> {
    let too_many = Feed { entries: Vec::new(), complete: false };
    let Some(mut entries) = sent_since(tx, chat_id, position, limit)? else {
        return Ok(too_many);
    };
    let since = (chat_id.0.as_bytes(), position);
    let mut marked = tx.prepare_cached(MARKED_SINCE)?;
    for entry in marked.query_map(since, |row| {
        let changed = Changed::Read { person: id(row, 0)?, number: row.get(1)? };
        Ok(FeedEntry { position: row.get(2)?, changed })
    })? {
        entries.push(entry?);
    }
    let mut joined = tx.prepare_cached(JOINED_SINCE)?;
    for entry in
        joined.query_map(since, |row| Ok(FeedEntry { position: row.get(0)?, changed: Changed::Chat }))?
    {
        entries.push(entry?);
    }
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

    async fn feed_since(&self, chat_id: ChatId, position: u64, limit: usize) -> Result<Feed> {
        self.0.read(move |tx| feed_since(tx, chat_id, position, limit)).await
    }
}
