//! The timeline in SQLite: what is written.

use std::collections::{BTreeSet, HashMap};

use domain::chat::Span;
use domain::ids::{ChatId, PersonId};
use domain::personal::Sealed;
use rusqlite::{OptionalExtension, Transaction, params};

use super::super::{AttachmentRow, Change, LineRow, MessageRow};
use crate::error::Result;
use crate::sqlite::{event_of, name_of};

const PUT_CHAT: &str = "
    INSERT INTO chats VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, ?4, 0, ?8, ?8, 0, 0, ?8)
    ON CONFLICT (chat_id) DO NOTHING";
const RENAME: &str = "
    UPDATE chats SET title = ?2, title_event = ?3, titled = ?4 WHERE chat_id = ?1 AND titled < ?4";
const DISSOLVE: &str = "UPDATE chats SET dissolved = ?2 WHERE chat_id = ?1 AND dissolved = 0";
const CHANGE: &str = "UPDATE chats SET changed = ?2 WHERE chat_id = ?1 AND changed < ?2";
const COUNT: &str = "
    UPDATE chats SET member_count =
        (SELECT count(*) FROM members WHERE members.chat_id = ?1 AND position > 0 AND NOT has_left)
    WHERE chat_id = ?1";
/// Fills a row that a mark alone has made, too.
const JOIN: &str = "
    INSERT INTO members VALUES (?1, ?2, ?3, 0, ?4, ?5, 0, 0, 0, NULL, 0, 0, ?6)
    ON CONFLICT (chat_id, person) DO UPDATE SET
        role = excluded.role, has_left = 0, sees = excluded.sees,
        joined_number = excluded.joined_number, position = excluded.position
    WHERE position < excluded.position";
const PART: &str = "
    UPDATE members SET has_left = 1, sees = ?3, position = ?4
    WHERE chat_id = ?1 AND person = ?2 AND position < ?4";
const SET_ROLE: &str = "
    UPDATE members SET role = ?3, position = ?4 WHERE chat_id = ?1 AND person = ?2 AND position < ?4";
const PUT_LINE: &str = "
    INSERT INTO lines VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
    ON CONFLICT (chat_id, ordinal) DO NOTHING";
/// What is there of the same event may have been deleted since.
const PUT_MESSAGE: &str = "
    INSERT INTO messages VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
    ON CONFLICT (chat_id, number) DO UPDATE SET
        message_id = excluded.message_id, author = excluded.author, text = excluded.text,
        event_id = excluded.event_id, sent_at = excluded.sent_at, reply_to = excluded.reply_to,
        attachments = excluded.attachments, forwarded_from = excluded.forwarded_from,
        lines = excluded.lines, position = excluded.position
    WHERE excluded.position > position";
const PUT_BLOB: &str = "INSERT INTO blobs VALUES (?1, ?2, ?3, 0) ON CONFLICT (blob) DO NOTHING";
const MOVE_HEAD: &str = "
    UPDATE chats SET last_number = ?2, active_at = ?3 WHERE chat_id = ?1 AND last_number < ?2";
const MOVE_SENT: &str = "
    UPDATE members SET sent_number = ?3
    WHERE chat_id = ?1 AND person = ?2 AND sent_number < ?3";
/// A mark is kept of somebody who is not a member (yet: their chat's stream may be parked).
const MOVE_MARK: &str = "
    INSERT INTO members VALUES (?1, ?2, '', 0, '[]', 0, ?3, 0, ?4, NULL, 0, 0, 0)
    ON CONFLICT (chat_id, person) DO UPDATE SET
        marked_number = excluded.marked_number, marked = excluded.marked
    WHERE marked < excluded.marked";
const KEEP: &str = "
    INSERT INTO members VALUES (?1, ?2, '', 0, '[]', 0, 0, 0, 0, ?3, ?4, ?5, 0)
    ON CONFLICT (chat_id, person) DO UPDATE SET
        muted_until = excluded.muted_until, pinned = excluded.pinned, kept = excluded.kept
    WHERE kept < excluded.kept";
const PUT_EDIT: &str = "
    INSERT INTO edits SELECT ?1, ?2, ?3, ?4, ?5, ?6
    WHERE NOT EXISTS (SELECT 1 FROM touches WHERE chat_id = ?1 AND number = ?2 AND removed > 0)
    ON CONFLICT (chat_id, number, position) DO NOTHING";
const EDIT: &str = "
    INSERT INTO touches VALUES (?1, ?2, ?4, ?5, ?6, NULL, ?3, 0, ?3)
    ON CONFLICT (chat_id, number) DO UPDATE SET
        text = CASE WHEN removed > 0 THEN NULL ELSE excluded.text END,
        event_id = CASE WHEN removed > 0 THEN NULL ELSE excluded.event_id END,
        edited_at = CASE WHEN removed > 0 THEN NULL ELSE excluded.edited_at END,
        edited = excluded.edited, position = max(position, excluded.position)
    WHERE edited < excluded.edited";
const DELETE: &str = "
    INSERT INTO touches VALUES (?1, ?2, NULL, NULL, NULL, ?4, 0, ?3, ?3)
    ON CONFLICT (chat_id, number) DO UPDATE SET
        text = NULL, event_id = NULL, edited_at = NULL, deleted = excluded.deleted,
        removed = excluded.removed, position = max(position, excluded.position)
    WHERE removed = 0";
const CARRIED: &str = "SELECT attachments FROM messages WHERE chat_id = ?1 AND number = ?2";
const LOSE_BLOB: &str = "UPDATE blobs SET gone = 1 WHERE blob = ?1";
const EMPTY: &str = "
    UPDATE messages SET text = '', event_id = NULL, attachments = NULL WHERE chat_id = ?1 AND number = ?2";
const LAST_DELETION: &str = "SELECT deletion FROM chats WHERE chat_id = ?1";
/// For a message that comes after its deletion: its chat's stream was parked.
const EMPTY_IF_GONE: &str = "
    UPDATE messages SET text = '', event_id = NULL, attachments = NULL
    WHERE chat_id = ?1 AND number = ?2
        AND EXISTS (SELECT 1 FROM touches WHERE chat_id = ?1 AND number = ?2 AND removed > 0)";
const NO_EDITS: &str = "DELETE FROM edits WHERE chat_id = ?1 AND number = ?2";
const NO_REACTIONS: &str = "DELETE FROM reactions WHERE chat_id = ?1 AND number = ?2";
const DELETION: &str = "UPDATE chats SET deletion = ?2 WHERE chat_id = ?1 AND deletion < ?2";
const REACT: &str = "
    INSERT INTO reactions SELECT ?1, ?2, ?3, ?4, ?5
    WHERE NOT EXISTS (SELECT 1 FROM touches WHERE chat_id = ?1 AND number = ?2 AND removed > 0)
    ON CONFLICT (chat_id, number, person) DO UPDATE SET
        emoji = excluded.emoji, position = excluded.position
    WHERE position < excluded.position";
const TOUCH: &str = "
    INSERT INTO touches VALUES (?1, ?2, NULL, NULL, NULL, NULL, 0, 0, ?3)
    ON CONFLICT (chat_id, number) DO UPDATE SET position = excluded.position
    WHERE position < excluded.position";

/// Where a batch leaves heads, authors and readers, so that each is written once a batch.
#[derive(Default)]
struct Moved<'a> {
    heads: HashMap<ChatId, &'a MessageRow>,
    sent: HashMap<(ChatId, PersonId), u64>,
    /// Number and position.
    marks: HashMap<(ChatId, PersonId), (u64, u64)>,
    /// Chats that somebody came into or left.
    counted: BTreeSet<ChatId>,
    changed: HashMap<ChatId, u64>,
}

impl<'a> Moved<'a> {
    fn note(&mut self, message: &'a MessageRow) {
        let head = self.heads.entry(message.chat_id).or_insert(message);
        if head.number < message.number {
            *head = message;
        }
        let sent = self.sent.entry((message.chat_id, message.author)).or_default();
        *sent = message.number.max(*sent);
    }

    fn mark(&mut self, chat_id: ChatId, person: PersonId, number: u64, position: u64) {
        let mark = self.marks.entry((chat_id, person)).or_default();
        if mark.1 < position {
            *mark = (number, position);
        }
    }

    fn change(&mut self, chat_id: ChatId, position: u64) {
        let changed = self.changed.entry(chat_id).or_default();
        *changed = position.max(*changed);
    }

    fn write(self, tx: &Transaction<'_>) -> Result<()> {
        let mut head = tx.prepare_cached(MOVE_HEAD)?;
        for (chat, last) in sorted(self.heads) {
            head.execute((chat.0.as_bytes(), last.number, last.sent_at.0))?;
        }
        let mut sent = tx.prepare_cached(MOVE_SENT)?;
        for ((chat, person), number) in sorted(self.sent) {
            sent.execute((chat.0.as_bytes(), person.0.as_bytes(), number))?;
        }
        let mut mark = tx.prepare_cached(MOVE_MARK)?;
        for ((chat, person), (number, position)) in sorted(self.marks) {
            mark.execute((chat.0.as_bytes(), person.0.as_bytes(), number, position))?;
        }
        let mut count = tx.prepare_cached(COUNT)?;
        for chat in self.counted {
            count.execute([chat.0.as_bytes()])?;
        }
        let mut change = tx.prepare_cached(CHANGE)?;
        for (chat, position) in sorted(self.changed) {
            change.execute((chat.0.as_bytes(), position))?;
        }
        Ok(())
    }
}

fn sorted<K: Ord, V>(moved: HashMap<K, V>) -> Vec<(K, V)> {
    let mut moved: Vec<(K, V)> = moved.into_iter().collect();
    moved.sort_unstable_by(|one, other| one.0.cmp(&other.0));
    moved
}

fn json(spans: &[Span]) -> String {
    serde_json::to_string(spans).expect("spans are numbers")
}

/// Chats and members as they come; messages in the order of their keys, which is what a load is
/// fast in; then what they move, and what became of them.
pub(super) fn apply_all(tx: &Transaction<'_>, changes: &[Change]) -> Result<()> {
    let mut moved = Moved::default();
    let (mut messages, mut touches) = (Vec::with_capacity(changes.len()), Vec::new());
    for change in changes {
        match change {
            Change::Sent(message) => {
                messages.push(message);
                moved.note(message);
            }
            Change::Read { chat_id, person, number, position } => {
                moved.mark(*chat_id, *person, *number, *position);
            }
            Change::Edited { .. } | Change::Deleted { .. } | Change::Reacted { .. } => touches.push(change),
            change => apply_to_chat(tx, change, &mut moved)?,
        }
    }
    messages.sort_by_key(|message| (message.chat_id, message.number));
    put_messages(tx, &messages)?;
    empty_what_is_gone(tx, &moved, &messages)?;
    moved.write(tx)?;
    touches.into_iter().try_for_each(|change| touch(tx, change))
}

fn apply_to_chat(tx: &Transaction<'_>, change: &Change, moved: &mut Moved<'_>) -> Result<()> {
    match change {
        Change::Created { chat_id, kind, created_by, created_at, title, history, position } => {
            tx.prepare_cached(PUT_CHAT)?.execute(params![
                chat_id.0.as_bytes(),
                name_of(kind),
                created_by.0.as_bytes(),
                created_at.0,
                title.as_ref().map(|title| &title.token),
                title.as_ref().and_then(event_of),
                history.map(name_of),
                position,
            ])?;
        }
        Change::Renamed { chat_id, title, position } => {
            let row = (chat_id.0.as_bytes(), &title.token, event_of(title), position);
            tx.prepare_cached(RENAME)?.execute(row)?;
            moved.change(*chat_id, *position);
        }
        Change::Dissolved { chat_id, position } => {
            tx.prepare_cached(DISSOLVE)?.execute((chat_id.0.as_bytes(), position))?;
            moved.change(*chat_id, *position);
        }
        Change::Joined { chat_id, person, role, joined_number, sees, position } => {
            let (chat, person) = (chat_id.0.as_bytes(), person.0.as_bytes());
            let row = params![chat, person, name_of(role), json(sees), joined_number, position];
            tx.prepare_cached(JOIN)?.execute(row)?;
            moved.counted.insert(*chat_id);
            moved.change(*chat_id, *position);
        }
        Change::Parted { chat_id, person, sees, position } => {
            let row = (chat_id.0.as_bytes(), person.0.as_bytes(), json(sees), position);
            tx.prepare_cached(PART)?.execute(row)?;
            moved.counted.insert(*chat_id);
            moved.change(*chat_id, *position);
        }
        Change::RoleSet { chat_id, person, role, position } => {
            let row = (chat_id.0.as_bytes(), person.0.as_bytes(), name_of(role), position);
            tx.prepare_cached(SET_ROLE)?.execute(row)?;
            moved.change(*chat_id, *position);
        }
        Change::Line(line) => put_line(tx, line)?,
        Change::Kept { chat_id, person, muted_until, pinned, position } => {
            let (chat, person) = (chat_id.0.as_bytes(), person.0.as_bytes());
            let row = (chat, person, muted_until.map(|until| until.0), pinned, position);
            tx.prepare_cached(KEEP)?.execute(row)?;
        }
        Change::Sent(_)
        | Change::Read { .. }
        | Change::Edited { .. }
        | Change::Deleted { .. }
        | Change::Reacted { .. } => {}
    }
    Ok(())
}

fn put_line(tx: &Transaction<'_>, line: &LineRow) -> Result<()> {
    tx.prepare_cached(PUT_LINE)?.execute(params![
        line.chat_id.0.as_bytes(),
        line.ordinal,
        line.after_number,
        name_of(line.kind),
        line.by.map(|person| *person.0.as_bytes()),
        line.person.map(|person| *person.0.as_bytes()),
        line.title.as_ref().map(|title| &title.token),
        line.title.as_ref().and_then(event_of),
        line.role.map(name_of),
        line.count,
        line.at.0,
        line.position,
    ])?;
    Ok(())
}

fn put_messages(tx: &Transaction<'_>, messages: &[&MessageRow]) -> Result<()> {
    let mut put = tx.prepare_cached(PUT_MESSAGE)?;
    for message in messages {
        put.execute(params![
            message.chat_id.0.as_bytes(),
            message.number,
            message.message_id.0.as_bytes(),
            message.author.0.as_bytes(),
            &message.text.token,
            event_of(&message.text),
            message.sent_at.0,
            message.reply_to,
            attachments(&message.attachments),
            message.forwarded_from.map(|person| *person.0.as_bytes()),
            message.lines,
            message.position,
        ])?;
        for attachment in &message.attachments {
            tx.prepare_cached(PUT_BLOB)?.execute((
                attachment.blob.0,
                message.chat_id.0.as_bytes(),
                message.number,
            ))?;
        }
    }
    Ok(())
}

fn empty_what_is_gone(tx: &Transaction<'_>, moved: &Moved<'_>, messages: &[&MessageRow]) -> Result<()> {
    let mut last = tx.prepare_cached(LAST_DELETION)?;
    for chat in moved.heads.keys() {
        let deletion = last.query_row([chat.0.as_bytes()], |row| row.get(0)).optional()?.unwrap_or(0);
        for message in messages.iter().filter(|it| it.chat_id == *chat && it.position < deletion) {
            tx.prepare_cached(EMPTY_IF_GONE)?.execute((chat.0.as_bytes(), message.number))?;
        }
    }
    Ok(())
}

fn attachments(rows: &[AttachmentRow]) -> Option<String> {
    (!rows.is_empty()).then(|| serde_json::to_string(rows).expect("attachments are strings and numbers"))
}

fn touch(tx: &Transaction<'_>, change: &Change) -> Result<()> {
    match change {
        Change::Edited { chat_id, number, text, at, position } => {
            let chat = chat_id.0.as_bytes();
            let Sealed { token, .. } = text;
            tx.prepare_cached(EDIT)?.execute((chat, number, position, token, event_of(text), at.0))?;
            tx.prepare_cached(PUT_EDIT)?.execute((chat, number, position, token, event_of(text), at.0))?;
        }
        Change::Deleted { chat_id, number, how, position } => {
            let chat = chat_id.0.as_bytes();
            tx.prepare_cached(DELETE)?.execute((chat, number, position, name_of(how)))?;
            let carried: Option<Option<String>> =
                tx.prepare_cached(CARRIED)?.query_row((chat, number), |row| row.get(0)).optional()?;
            if let Some(json) = carried.flatten() {
                for attachment in read_attachments(&json)? {
                    tx.prepare_cached(LOSE_BLOB)?.execute([attachment.blob.0])?;
                }
            }
            for statement in [EMPTY, NO_EDITS, NO_REACTIONS] {
                tx.prepare_cached(statement)?.execute((chat, number))?;
            }
            tx.prepare_cached(DELETION)?.execute((chat, position))?;
        }
        Change::Reacted { chat_id, number, person, emoji, position } => {
            let chat = chat_id.0.as_bytes();
            tx.prepare_cached(REACT)?.execute((chat, number, person.0.as_bytes(), emoji, position))?;
            tx.prepare_cached(TOUCH)?.execute((chat, number, position))?;
        }
        _ => {}
    }
    Ok(())
}

pub(super) fn read_attachments(json: &str) -> rusqlite::Result<Vec<AttachmentRow>> {
    serde_json::from_str(json).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, error.into())
    })
}
