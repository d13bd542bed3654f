//! Rows as they lie in Cassandra, and what they say.

use domain::Timestamp;
use domain::ids::{ChatId, EventId, MessageId, PersonId};
use domain::personal::Sealed;
use scylla::DeserializeRow;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::touch::attachments;
use crate::cassandra::{unreadable, unsigned};
use crate::error::Result;
use crate::timeline::{ChatRow, LineRow, MemberRow, MessageRow, Touch};

/// The columns of a [`StoredMessage`].
pub(super) const MESSAGE: &str = "chat_id, number, message_id, author, text, event_id, sent_at, reply_to, attachments, \
    forwarded_from, lines, position";

/// A member's row, and the chat's head with it.
#[derive(DeserializeRow)]
pub(super) struct StoredChat {
    /// `None` in a chat without members.
    pub(super) person: Option<Uuid>,
    pub(super) kind: Option<String>,
    pub(super) created_by: Option<Uuid>,
    pub(super) created_at: Option<i64>,
    pub(super) history: Option<String>,
    pub(super) created: Option<i64>,
    pub(super) title: Option<String>,
    pub(super) title_event: Option<Uuid>,
    pub(super) dissolved: Option<i64>,
    pub(super) member_count: Option<i64>,
    pub(super) last_number: Option<i64>,
    pub(super) active_at: Option<i64>,
    pub(super) last_line: Option<i64>,
    pub(super) moved: Option<i64>,
    pub(super) deletion: Option<i64>,
    pub(super) touched: Option<i64>,
    pub(super) changed: Option<i64>,
    pub(super) role: Option<String>,
    pub(super) has_left: Option<bool>,
    pub(super) sees: Option<String>,
    pub(super) joined_number: Option<i64>,
    pub(super) joined: Option<i64>,
    pub(super) marked_number: Option<i64>,
    pub(super) marked: Option<i64>,
    pub(super) sent_number: Option<i64>,
    pub(super) muted_until: Option<i64>,
    pub(super) pinned: Option<bool>,
    pub(super) kept: Option<i64>,
}

impl StoredChat {
    /// `None` for somebody of whom a mark alone is known, or a message.
    pub(super) fn member(&self, chat_id: ChatId) -> Result<Option<MemberRow>> {
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
            left: self.has_left.unwrap_or_default(),
            sees: serde_json::from_str(self.sees.as_deref().unwrap_or("[]")).map_err(unreadable)?,
            joined_number,
            read_number: read,
            muted_until: self.muted_until.map(Timestamp),
            pinned: self.pinned.unwrap_or_default(),
            position: unsigned(joined),
        }))
    }

    pub(super) fn chat(&self, chat_id: ChatId) -> Result<Option<ChatRow>> {
        let Self { kind, created_by, created_at, created, last_number, active_at, .. } = self;
        let (Some(kind), Some(by), Some(at), Some(created)) = (kind, created_by, created_at, created) else {
            return Ok(None);
        };
        Ok(Some(ChatRow {
            chat_id,
            kind: named(kind)?,
            created_by: PersonId(*by),
            created_at: Timestamp(*at),
            title: sealed(self.title.clone(), self.title_event),
            history: self.history.as_deref().map(named).transpose()?,
            dissolved: self.dissolved.is_some(),
            last_number: unsigned(last_number.unwrap_or_default()),
            active_at: Timestamp(active_at.unwrap_or(*at)),
            member_count: self.member_count.map_or(0, unsigned),
            deletion: self.deletion.map_or(0, unsigned),
            position: unsigned(*created),
        }))
    }
}

/// A message as it lies in its row.
#[derive(DeserializeRow, serde::Serialize)]
pub(super) struct StoredMessage {
    pub(super) chat_id: Uuid,
    pub(super) number: i64,
    pub(super) message_id: Uuid,
    pub(super) author: Uuid,
    pub(super) text: Option<String>,
    pub(super) event_id: Option<Uuid>,
    pub(super) sent_at: i64,
    pub(super) reply_to: Option<i64>,
    pub(super) attachments: Option<String>,
    pub(super) forwarded_from: Option<Uuid>,
    pub(super) lines: i64,
    pub(super) position: i64,
}

impl StoredMessage {
    /// Without what became of it.
    pub(super) fn message(self) -> Result<MessageRow> {
        let row = self;
        Ok(MessageRow {
            chat_id: ChatId(row.chat_id),
            number: unsigned(row.number),
            message_id: MessageId(row.message_id),
            author: PersonId(row.author),
            text: Sealed { token: row.text.unwrap_or_default(), event_id: row.event_id.map(EventId) },
            sent_at: Timestamp(row.sent_at),
            reply_to: row.reply_to.map(unsigned),
            attachments: attachments(row.attachments.as_deref())?,
            forwarded_from: row.forwarded_from.map(PersonId),
            lines: unsigned(row.lines),
            position: unsigned(row.position),
            touch: Touch::default(),
        })
    }
}

/// A line as it lies in its row.
#[derive(DeserializeRow, serde::Serialize)]
pub(super) struct StoredLine {
    pub(super) chat_id: Uuid,
    pub(super) ordinal: i64,
    pub(super) after_number: i64,
    pub(super) kind: String,
    pub(super) by_person: Option<Uuid>,
    pub(super) person: Option<Uuid>,
    pub(super) title: Option<String>,
    pub(super) title_event: Option<Uuid>,
    pub(super) role: Option<String>,
    pub(super) count: Option<i64>,
    pub(super) at: i64,
    pub(super) position: i64,
}

impl StoredLine {
    pub(super) fn line(self) -> Result<LineRow> {
        Ok(LineRow {
            chat_id: ChatId(self.chat_id),
            ordinal: unsigned(self.ordinal),
            after_number: unsigned(self.after_number),
            kind: named(&self.kind)?,
            by: self.by_person.map(PersonId),
            person: self.person.map(PersonId),
            title: sealed(self.title, self.title_event),
            role: self.role.as_deref().map(named).transpose()?,
            count: self.count.map(unsigned),
            at: Timestamp(self.at),
            position: unsigned(self.position),
        })
    }
}

fn sealed(token: Option<String>, event: Option<Uuid>) -> Option<Sealed> {
    token.map(|token| Sealed { token, event_id: event.map(EventId) })
}

pub(super) fn named<T: DeserializeOwned>(name: &str) -> Result<T> {
    serde_json::from_value(serde_json::Value::String(name.to_owned())).map_err(unreadable)
}
