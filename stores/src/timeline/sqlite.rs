//! The timeline in SQLite: what is written. What is read: `read.rs`.

use std::collections::HashMap;
use std::path::Path;

use async_trait::async_trait;
use domain::ids::{ChatId, PersonId};
use rusqlite::Transaction;

use super::{Change, MessageRow};
use crate::error::Result;
use crate::sqlite::{Schema, Sqlite, event_of, name_of};
use crate::{Checkpoint, ReadModel};

const SCHEMA: Schema = Schema {
    version: 1,
    sql: include_str!("../../../migrations/sqlite/timeline/schema.sql"),
    tables: &["chats", "members", "messages"],
};

const PUT_CHAT: &str = "
    INSERT INTO chats VALUES (?1, ?2, ?3, ?4, 0, ?4, 0, ?5, ?5) ON CONFLICT (chat_id) DO NOTHING";
const PUT_MEMBER: &str = "
    INSERT INTO members VALUES (?1, ?2, ?3, ?4, 0, 0, 0, ?5)
    ON CONFLICT (person, chat_id) DO UPDATE SET
        role = excluded.role, joined_number = excluded.joined_number,
        position = excluded.position
    WHERE excluded.position >= position";
const COUNT_MEMBERS: &str = "
    UPDATE chats SET
        member_count = (SELECT count(*) FROM members WHERE members.chat_id = ?1),
        position = max(position, ?2)
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
const MOVE_MARK: &str = "
    UPDATE members SET marked_number = ?3, marked = ?4
    WHERE person = ?1 AND chat_id = ?2 AND marked < ?4";

/// The timeline of one file.
pub struct SqliteTimeline(pub(super) Sqlite);

impl SqliteTimeline {
    /// Opens or makes the file.
    ///
    /// # Errors
    /// A file that cannot be opened or is no database.
    pub fn open(path: &Path) -> Result<Self> {
        Sqlite::open(path, &SCHEMA).map(Self)
    }
}

/// Where a batch's messages leave heads and authors, so that each is written once a batch.
#[derive(Default)]
struct Moved<'a> {
    heads: HashMap<ChatId, &'a MessageRow>,
    sent: HashMap<(PersonId, ChatId), u64>,
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

    fn write(&self, tx: &Transaction<'_>) -> Result<()> {
        let mut head = tx.prepare_cached(MOVE_HEAD)?;
        for last in self.heads.values() {
            head.execute((last.chat_id.0.as_bytes(), last.number, last.sent_at.0, last.position))?;
        }
        let mut sent = tx.prepare_cached(MOVE_SENT)?;
        for ((person, chat), number) in &self.sent {
            sent.execute((person.0.as_bytes(), chat.0.as_bytes(), number))?;
        }
        Ok(())
    }
}

fn apply<'a>(tx: &Transaction<'_>, moved: &mut Moved<'a>, change: &'a Change) -> Result<()> {
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
            tx.prepare_cached(PUT_MEMBER)?.execute((
                person.0.as_bytes(),
                chat_id.0.as_bytes(),
                name_of(role),
                joined_number,
                position,
            ))?;
            tx.prepare_cached(COUNT_MEMBERS)?.execute((chat_id.0.as_bytes(), position))?;
        }
        Change::Sent(message) => {
            tx.prepare_cached(PUT_MESSAGE)?.execute((
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
            moved.note(message);
        }
        Change::Read { chat_id, person, number, position } => {
            tx.prepare_cached(MOVE_MARK)?.execute((
                person.0.as_bytes(),
                chat_id.0.as_bytes(),
                number,
                position,
            ))?;
        }
    }
    Ok(())
}

#[async_trait]
impl ReadModel for SqliteTimeline {
    type Change = Change;

    async fn checkpoint(&self) -> Result<Option<Checkpoint>> {
        self.0.checkpoint().await
    }
    async fn take_over(&self, fresh: Checkpoint) -> Result<Checkpoint> {
        self.0.take_over(fresh).await
    }
    async fn write(&self, changes: Vec<Change>, checkpoint: Checkpoint) -> Result<()> {
        self.0
            .write(checkpoint, move |tx| {
                let mut moved = Moved::default();
                changes.iter().try_for_each(|change| apply(tx, &mut moved, change))?;
                moved.write(tx)
            })
            .await
    }
    async fn reset(&self, checkpoint: Checkpoint) -> Result<()> {
        self.0.reset(checkpoint).await
    }
}
