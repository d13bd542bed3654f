//! The timeline in SQLite: what is written. What is read: `read.rs`.

use std::collections::HashMap;
use std::path::Path;

use domain::ids::{ChatId, PersonId};
use rusqlite::{Transaction, params};

use super::{Change, MessageRow};
use crate::error::Result;
use crate::sqlite::{Schema, Sqlite, event_of, name_of, read_model};

const SCHEMA: Schema = Schema {
    version: 1,
    sql: include_str!("../../../migrations/sqlite/timeline/schema.sql"),
    indexes: include_str!("../../../migrations/sqlite/timeline/indexes.sql"),
    tables: &["chats", "members", "messages"],
};

const PUT_CHAT: &str = "
    INSERT INTO chats VALUES (?1, ?2, ?3, ?4, 0, ?4, 0, ?5, ?5) ON CONFLICT (chat_id) DO NOTHING";
/// Fills a row that a mark alone has made, too.
const JOIN: &str = "
    INSERT INTO members VALUES (?1, ?2, ?3, ?4, 0, 0, 0, ?5)
    ON CONFLICT (person, chat_id) DO UPDATE SET
        role = excluded.role, joined_number = excluded.joined_number,
        position = excluded.position
    WHERE position = 0";
const JOIN_AGAIN: &str = "
    UPDATE members SET role = ?3, joined_number = ?4, position = ?5
    WHERE person = ?1 AND chat_id = ?2 AND position < ?5";
const COUNT_ONE_MORE: &str = "
    UPDATE chats SET member_count = member_count + 1, position = max(position, ?2)
    WHERE chat_id = ?1";
const PUT_MESSAGE: &str = "
    INSERT INTO messages VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
    ON CONFLICT (chat_id, number) DO UPDATE SET
        message_id = excluded.message_id, author = excluded.author, text = excluded.text,
        event_id = excluded.event_id, sent_at = excluded.sent_at,
        reply_to = excluded.reply_to, position = excluded.position
    WHERE excluded.position >= position";
const MOVE_HEAD: &str = "
    UPDATE chats SET last_number = ?2, active_at = ?3, position = max(position, ?4)
    WHERE chat_id = ?1 AND last_number < ?2";
const MOVE_SENT: &str = "
    UPDATE members SET sent_number = ?3
    WHERE person = ?1 AND chat_id = ?2 AND sent_number < ?3";
/// A mark is kept of somebody who is not a member (yet: their chat's stream may be parked).
const MOVE_MARK: &str = "
    INSERT INTO members VALUES (?1, ?2, '', 0, ?3, 0, ?4, 0)
    ON CONFLICT (person, chat_id) DO UPDATE SET
        marked_number = excluded.marked_number, marked = excluded.marked
    WHERE marked < excluded.marked";

/// The timeline of one file.
pub struct SqliteTimeline(pub(super) Sqlite);

impl SqliteTimeline {
    /// Opens the rows in a generation's folder, or makes them.
    ///
    /// # Errors
    /// A file that cannot be opened or is something else.
    pub fn open(folder: &Path) -> Result<Self> {
        Sqlite::open(folder, &SCHEMA).map(Self)
    }
}

/// Where a batch leaves heads, authors and readers, so that each is written once a batch.
#[derive(Default)]
struct Moved<'a> {
    heads: HashMap<ChatId, &'a MessageRow>,
    sent: HashMap<(PersonId, ChatId), u64>,
    /// Number and position.
    marks: HashMap<(PersonId, ChatId), (u64, u64)>,
}

impl<'a> Moved<'a> {
    fn note(&mut self, message: &'a MessageRow) {
        let head = self.heads.entry(message.chat_id).or_insert(message);
        if head.number < message.number {
            *head = message;
        }
        let sent = self.sent.entry((message.author, message.chat_id)).or_default();
        *sent = message.number.max(*sent);
    }

    fn mark(&mut self, person: PersonId, chat_id: ChatId, number: u64, position: u64) {
        let mark = self.marks.entry((person, chat_id)).or_default();
        if mark.1 < position {
            *mark = (number, position);
        }
    }

    fn write(self, tx: &Transaction<'_>) -> Result<()> {
        let mut head = tx.prepare_cached(MOVE_HEAD)?;
        for (chat, last) in sorted(self.heads) {
            head.execute((chat.0.as_bytes(), last.number, last.sent_at.0, last.position))?;
        }
        let mut sent = tx.prepare_cached(MOVE_SENT)?;
        for ((person, chat), number) in sorted(self.sent) {
            sent.execute((person.0.as_bytes(), chat.0.as_bytes(), number))?;
        }
        let mut mark = tx.prepare_cached(MOVE_MARK)?;
        for ((person, chat), (number, position)) in sorted(self.marks) {
            mark.execute((person.0.as_bytes(), chat.0.as_bytes(), number, position))?;
        }
        Ok(())
    }
}

fn sorted<K: Ord, V>(moved: HashMap<K, V>) -> Vec<(K, V)> {
    let mut moved: Vec<(K, V)> = moved.into_iter().collect();
    moved.sort_unstable_by(|one, other| one.0.cmp(&other.0));
    moved
}

/// Chats and members as they come; messages in the order of their keys, which is what a load is
/// fast in; then what they move.
fn apply_all(tx: &Transaction<'_>, changes: &[Change]) -> Result<()> {
    let mut moved = Moved::default();
    let mut messages = Vec::with_capacity(changes.len());
    for change in changes {
        match change {
            Change::Created { chat_id, kind, created_by, created_at, position } => {
                tx.prepare_cached(PUT_CHAT)?.execute((
                    chat_id.0.as_bytes(),
                    name_of(kind),
                    created_by.0.as_bytes(),
                    created_at.0,
                    position,
                ))?;
            }
            Change::Joined { chat_id, person, role, joined_number, position } => {
                let (person, chat_id, role) = (person.0.as_bytes(), chat_id.0.as_bytes(), name_of(role));
                let member = params![person, chat_id, role, joined_number, position];
                if tx.prepare_cached(JOIN)?.execute(member)? == 1 {
                    tx.prepare_cached(COUNT_ONE_MORE)?.execute((chat_id, position))?;
                } else {
                    tx.prepare_cached(JOIN_AGAIN)?.execute(member)?;
                }
            }
            Change::Sent(message) => {
                messages.push(message);
                moved.note(message);
            }
            Change::Read { chat_id, person, number, position } => {
                moved.mark(*person, *chat_id, *number, *position);
            }
        }
    }
    messages.sort_by_key(|message| (message.chat_id, message.number));
    let mut put = tx.prepare_cached(PUT_MESSAGE)?;
    for message in messages {
        put.execute((
            message.chat_id.0.as_bytes(),
            message.number,
            message.message_id.0.as_bytes(),
            message.author.0.as_bytes(),
            &message.text.token,
            event_of(&message.text),
            message.sent_at.0,
            message.reply_to,
            message.position,
        ))?;
    }
    moved.write(tx)
}

read_model!(SqliteTimeline, Change, apply_all);
