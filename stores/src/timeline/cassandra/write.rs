//! The timeline in Cassandra: what is written.

use std::collections::{BTreeMap, HashMap};

use domain::chat::Span;
use domain::ids::{ChatId, PersonId};
use futures::FutureExt;
use futures::future::BoxFuture;
use scylla::SerializeRow;
use scylla::statement::prepared::PreparedStatement;
use scylla::value::MaybeUnset;
use uuid::Uuid;

use super::{BUCKET, CassandraTimeline, all, bucket_of, line_bucket_of, of_generation};
use crate::cassandra::{Cassandra, signed};
use crate::error::Result;
use crate::sqlite::name_of;
use crate::timeline::{Change, LineRow, MessageRow};

/// Messages of a bucket that go in one request, and their bytes: a mutation has a limit.
const TOGETHER: usize = 100;
const TOGETHER_BYTES: usize = 128 << 10;

const CREATE: &str = "UPDATE $k.chats_$n USING TIMESTAMP ? \
    SET kind = ?, created_by = ?, created_at = ?, history = ?, title = ?, title_event = ?, created = ?, \
    changed = ? WHERE chat_id = ?";
const RENAME: &str = "UPDATE $k.chats_$n USING TIMESTAMP ? \
    SET title = ?, title_event = ?, changed = ? WHERE chat_id = ?";
const DISSOLVE: &str =
    "UPDATE $k.chats_$n USING TIMESTAMP ? SET dissolved = ?, changed = ? WHERE chat_id = ?";
const CHANGE: &str = "UPDATE $k.chats_$n USING TIMESTAMP ? SET changed = ? WHERE chat_id = ?";
const JOIN: &str = "UPDATE $k.chats_$n USING TIMESTAMP ? \
    SET role = ?, has_left = false, sees = ?, joined_number = ?, joined = ? WHERE chat_id = ? AND person = ?";
const PART: &str = "UPDATE $k.chats_$n USING TIMESTAMP ? \
    SET has_left = true, sees = ?, joined = ? WHERE chat_id = ? AND person = ?";
const SET_ROLE: &str =
    "UPDATE $k.chats_$n USING TIMESTAMP ? SET role = ?, joined = ? WHERE chat_id = ? AND person = ?";
const BELONG: &str =
    "INSERT INTO $k.memberships_$n (person, chat_id, joined) VALUES (?, ?, ?) USING TIMESTAMP ?";
const PEOPLE: &str = "SELECT person, has_left, joined FROM $k.chats_$n WHERE chat_id = ?";
const COUNT: &str = "UPDATE $k.chats_$n USING TIMESTAMP ? SET member_count = ? WHERE chat_id = ?";
const MESSAGE: &str = "INSERT INTO $k.messages_$n (chat_id, bucket, number, message_id, author, text, event_id, \
    sent_at, reply_to, attachments, forwarded_from, lines, position) \
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?";
const BUCKET_BEGINS: &str = "INSERT INTO $k.buckets_$n (chat_id, began_at, bucket, position) \
    VALUES (?, ?, ?, ?) USING TIMESTAMP ?";
const BLOB: &str = "INSERT INTO $k.blobs_$n (blob, chat_id, number) VALUES (?, ?, ?) USING TIMESTAMP ?";
const LINE: &str = "INSERT INTO $k.lines_$n (chat_id, bucket, ordinal, after_number, kind, by_person, person, \
    title, title_event, role, count, at, position) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?";
const LAST_LINE: &str = "UPDATE $k.chats_$n USING TIMESTAMP ? SET last_line = ? WHERE chat_id = ?";
const HEAD: &str = "UPDATE $k.chats_$n USING TIMESTAMP ? \
    SET last_number = ?, active_at = ?, moved = ? WHERE chat_id = ?";
const SENT: &str =
    "UPDATE $k.chats_$n USING TIMESTAMP ? SET sent_number = ? WHERE chat_id = ? AND person = ?";
const MARK: &str = "UPDATE $k.chats_$n USING TIMESTAMP ? \
    SET marked_number = ?, marked = ? WHERE chat_id = ? AND person = ?";
const KEEP: &str = "UPDATE $k.chats_$n USING TIMESTAMP ? \
    SET muted_until = ?, pinned = ?, kept = ? WHERE chat_id = ? AND person = ?";

/// What a generation is written by.
pub(super) struct Statements {
    create: PreparedStatement,
    rename: PreparedStatement,
    dissolve: PreparedStatement,
    change: PreparedStatement,
    join: PreparedStatement,
    part: PreparedStatement,
    set_role: PreparedStatement,
    belong: PreparedStatement,
    people: PreparedStatement,
    count: PreparedStatement,
    message: PreparedStatement,
    bucket_begins: PreparedStatement,
    blob: PreparedStatement,
    line: PreparedStatement,
    last_line: PreparedStatement,
    head: PreparedStatement,
    sent: PreparedStatement,
    mark: PreparedStatement,
    keep: PreparedStatement,
}

impl Statements {
    pub async fn prepare(cassandra: &Cassandra, number: u64) -> Result<Self> {
        let prepare = async |cql| cassandra.prepare(&of_generation(cql, number)).await;
        Ok(Self {
            create: prepare(CREATE).await?,
            rename: prepare(RENAME).await?,
            dissolve: prepare(DISSOLVE).await?,
            change: prepare(CHANGE).await?,
            join: prepare(JOIN).await?,
            part: prepare(PART).await?,
            set_role: prepare(SET_ROLE).await?,
            belong: prepare(BELONG).await?,
            people: prepare(PEOPLE).await?,
            count: prepare(COUNT).await?,
            message: prepare(MESSAGE).await?,
            bucket_begins: prepare(BUCKET_BEGINS).await?,
            blob: prepare(BLOB).await?,
            line: prepare(LINE).await?,
            last_line: prepare(LAST_LINE).await?,
            head: prepare(HEAD).await?,
            sent: prepare(SENT).await?,
            mark: prepare(MARK).await?,
            keep: prepare(KEEP).await?,
        })
    }
}

/// Where a batch leaves heads, authors and readers, so that each is written once a batch.
#[derive(Default)]
struct Moved<'a> {
    heads: HashMap<ChatId, &'a MessageRow>,
    sent: HashMap<(ChatId, PersonId), &'a MessageRow>,
    /// Number and position.
    marks: HashMap<(ChatId, PersonId), (u64, u64)>,
    /// Where somebody came or went, and the last position of that.
    counted: BTreeMap<ChatId, u64>,
    /// Touches of a message belong after each other and after the message.
    touches: BTreeMap<(ChatId, u64), Vec<&'a Change>>,
}

impl<'a> Moved<'a> {
    fn note(&mut self, message: &'a MessageRow) {
        let key = (message.chat_id, message.author);
        for last in
            [self.heads.entry(message.chat_id).or_insert(message), self.sent.entry(key).or_insert(message)]
        {
            if last.position < message.position {
                *last = message;
            }
        }
    }
}

type Writes<'a> = Vec<BoxFuture<'a, Result<()>>>;

impl CassandraTimeline {
    /// Writes what a batch changes: heads and marks after what they speak of.
    pub(super) async fn write_rows(&self, changes: &[Change]) -> Result<()> {
        let (mut moved, mut rows) = (Moved::default(), Writes::new());
        let mut messages: BTreeMap<(ChatId, u64), Vec<&MessageRow>> = BTreeMap::new();
        for change in changes {
            match change {
                Change::Sent(message) => {
                    messages.entry((message.chat_id, bucket_of(message.number))).or_default().push(message);
                    moved.note(message);
                }
                Change::Read { chat_id, person, number, position } => {
                    let mark = moved.marks.entry((*chat_id, *person)).or_default();
                    if mark.1 < *position {
                        *mark = (*number, *position);
                    }
                }
                Change::Edited { chat_id, number, .. }
                | Change::Deleted { chat_id, number, .. }
                | Change::Reacted { chat_id, number, .. } => {
                    moved.touches.entry((*chat_id, *number)).or_default().push(change);
                }
                Change::Joined { chat_id, position, .. } | Change::Parted { chat_id, position, .. } => {
                    let counted = moved.counted.entry(*chat_id).or_default();
                    *counted = (*counted).max(*position);
                    rows.push(self.write_chat(change).boxed());
                }
                change => rows.push(self.write_chat(change).boxed()),
            }
        }
        for messages in messages.into_values() {
            rows.push(self.write_messages(messages).boxed());
        }
        all(rows).await?;
        let (counted, touches) = (std::mem::take(&mut moved.counted), std::mem::take(&mut moved.touches));
        all(counted.into_iter().map(|(chat, position)| self.count(chat, position))).await?;
        all(self.moves(moved)).await?;
        let mut touching = Writes::new();
        for touches in touches.into_values() {
            touching.push(self.write_touches(touches).boxed());
        }
        all(touching).await?;
        Ok(())
    }

    /// How many are in the chat, by its rows. What is counted from rows that are ahead is lost to what
    /// was counted then: it bears an older position.
    async fn count(&self, chat_id: ChatId, position: u64) -> Result<()> {
        type Person = (Option<Uuid>, Option<bool>, Option<i64>);
        let people = self.cassandra.rows::<Person>(&self.write.people, (chat_id.0,)).await?;
        let is_in = |it: &&Person| it.0.is_some() && it.2.is_some() && it.1 != Some(true);
        let count = people.iter().filter(is_in).count() as u64;
        self.cassandra.write(&self.write.count, (signed(position), signed(count), chat_id.0)).await
    }

    async fn write_chat(&self, change: &Change) -> Result<()> {
        let (cassandra, write) = (&self.cassandra, &self.write);
        match change {
            Change::Created { chat_id, kind, created_by, created_at, title, history, position } => {
                let at = signed(*position);
                let title = (
                    set_if(title.as_ref().map(|title| title.token.as_str())),
                    set_if(title.as_ref().and_then(|title| title.event_id).map(|id| id.0)),
                );
                let row = (
                    at,
                    name_of(kind),
                    created_by.0,
                    created_at.0,
                    set_if(history.map(name_of)),
                    title.0,
                    title.1,
                    at,
                    at,
                    chat_id.0,
                );
                cassandra.write(&write.create, row).await
            }
            Change::Renamed { chat_id, title, position } => {
                let (at, event) = (signed(*position), title.event_id.map(|id| id.0));
                cassandra.write(&write.rename, (at, &title.token, event, at, chat_id.0)).await
            }
            Change::Dissolved { chat_id, position } => {
                let at = signed(*position);
                cassandra.write(&write.dissolve, (at, at, at, chat_id.0)).await
            }
            Change::Joined { chat_id, person, role, joined_number, sees, position } => {
                let at = signed(*position);
                let number = signed(*joined_number);
                let row = (at, name_of(role), spans(sees), number, at, chat_id.0, person.0);
                cassandra.write(&write.join, row).await?;
                cassandra.write(&write.change, (at, at, chat_id.0)).await?;
                cassandra.write(&write.belong, (person.0, chat_id.0, at, at)).await
            }
            Change::Parted { chat_id, person, sees, position } => {
                let at = signed(*position);
                cassandra.write(&write.part, (at, spans(sees), at, chat_id.0, person.0)).await?;
                cassandra.write(&write.change, (at, at, chat_id.0)).await
            }
            Change::RoleSet { chat_id, person, role, position } => {
                let at = signed(*position);
                cassandra.write(&write.set_role, (at, name_of(role), at, chat_id.0, person.0)).await?;
                cassandra.write(&write.change, (at, at, chat_id.0)).await
            }
            Change::Line(line) => self.write_line(line).await,
            Change::Kept { chat_id, person, muted_until, pinned, position } => {
                let at = signed(*position);
                let row = (at, muted_until.map(|until| until.0), pinned, at, chat_id.0, person.0);
                cassandra.write(&write.keep, row).await
            }
            Change::Sent(_)
            | Change::Read { .. }
            | Change::Edited { .. }
            | Change::Deleted { .. }
            | Change::Reacted { .. } => Ok(()),
        }
    }

    async fn write_line(&self, line: &LineRow) -> Result<()> {
        let at = signed(line.position);
        let row = (
            line.chat_id.0,
            signed(line_bucket_of(line.ordinal)),
            signed(line.ordinal),
            signed(line.after_number),
            name_of(line.kind),
            set_if(line.by.map(|person| person.0)),
            set_if(line.person.map(|person| person.0)),
            set_if(line.title.as_ref().map(|title| title.token.as_str())),
            set_if(line.title.as_ref().and_then(|title| title.event_id).map(|id| id.0)),
            set_if(line.role.map(name_of)),
            set_if(line.count.map(signed)),
            line.at.0,
            at,
            at,
        );
        self.cassandra.write(&self.write.line, row).await?;
        self.cassandra.write(&self.write.last_line, (at, signed(line.ordinal), line.chat_id.0)).await
    }

    /// Writes messages of one bucket.
    async fn write_messages(&self, messages: Vec<&MessageRow>) -> Result<()> {
        let Statements { message, bucket_begins, .. } = &self.write;
        for message in &messages {
            if message.number % BUCKET == 1 {
                let bucket = signed(bucket_of(message.number));
                let at = signed(message.position);
                let row = (message.chat_id.0, message.sent_at.0, bucket, at, at);
                self.cassandra.write(bucket_begins, row).await?;
            }
        }
        for message in &messages {
            for attachment in &message.attachments {
                let (blob, at) = (attachment.blob.0.to_vec(), signed(message.position));
                let row = (blob, message.chat_id.0, signed(message.number), at);
                self.cassandra.write(&self.write.blob, row).await?;
            }
        }
        for together in chunks(&messages) {
            let rows: Vec<_> = together.iter().map(|message| row_of(message)).collect();
            match rows.as_slice() {
                [one] => self.cassandra.write(message, one).await?,
                rows => self.cassandra.write_all(message, rows).await?,
            }
        }
        Ok(())
    }

    fn moves<'a>(&'a self, moved: Moved<'a>) -> Writes<'a> {
        let Statements { head, sent, mark, .. } = &self.write;
        let mut writes = Writes::new();
        for (chat, last) in moved.heads {
            let at = signed(last.position);
            let row = (at, signed(last.number), last.sent_at.0, at, chat.0);
            writes.push(async move { self.cassandra.write(head, row).await }.boxed());
        }
        for ((chat, author), last) in moved.sent {
            let row = (signed(last.position), signed(last.number), chat.0, author.0);
            writes.push(async move { self.cassandra.write(sent, row).await }.boxed());
        }
        for ((chat, person), (number, position)) in moved.marks {
            let at = signed(position);
            let row = (at, signed(number), at, chat.0, person.0);
            writes.push(async move { self.cassandra.write(mark, row).await }.boxed());
        }
        writes
    }
}

/// A message's columns, and the timestamp.
#[derive(SerializeRow)]
#[scylla(flavor = "enforce_order", skip_name_checks)]
struct Row<'a> {
    chat_id: Uuid,
    bucket: i64,
    number: i64,
    message_id: Uuid,
    author: Uuid,
    text: &'a str,
    event_id: MaybeUnset<Uuid>,
    sent_at: i64,
    reply_to: MaybeUnset<i64>,
    attachments: MaybeUnset<String>,
    forwarded_from: MaybeUnset<Uuid>,
    lines: i64,
    position: i64,
    timestamp: i64,
}

fn row_of(message: &MessageRow) -> Row<'_> {
    let carried = (!message.attachments.is_empty()).then_some(&message.attachments);
    Row {
        chat_id: message.chat_id.0,
        bucket: signed(bucket_of(message.number)),
        number: signed(message.number),
        message_id: message.message_id.0,
        author: message.author.0,
        text: &message.text.token,
        event_id: set_if(message.text.event_id.map(|id| id.0)),
        sent_at: message.sent_at.0,
        reply_to: set_if(message.reply_to.map(signed)),
        attachments: set_if(
            carried.map(|rows| serde_json::to_string(rows).expect("attachments are strings and numbers")),
        ),
        forwarded_from: set_if(message.forwarded_from.map(|person| person.0)),
        lines: signed(message.lines),
        position: signed(message.position),
        timestamp: signed(message.position),
    }
}

/// What is absent stays unset: a null would be a tombstone.
fn set_if<T>(value: Option<T>) -> MaybeUnset<T> {
    value.map_or(MaybeUnset::Unset, MaybeUnset::Set)
}

fn spans(sees: &[Span]) -> String {
    serde_json::to_string(sees).expect("spans are numbers")
}

/// As many at once as a request may hold.
fn chunks<'a, 'm>(messages: &'a [&'m MessageRow]) -> Vec<&'a [&'m MessageRow]> {
    let (mut chunks, mut rest) = (Vec::new(), messages);
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = |message: &&&MessageRow| {
            bytes += message.text.token.len();
            bytes <= TOGETHER_BYTES
        };
        let count = rest.iter().take(TOGETHER).take_while(fits).count().max(1);
        let (chunk, after) = rest.split_at(count);
        chunks.push(chunk);
        rest = after;
    }
    chunks
}
