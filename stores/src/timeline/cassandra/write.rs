//! The timeline in Cassandra: what is written.

use std::collections::{BTreeMap, HashMap};

use domain::ids::{ChatId, PersonId};
use futures::FutureExt;
use futures::future::BoxFuture;
use scylla::statement::prepared::PreparedStatement;
use scylla::value::MaybeUnset;
use uuid::Uuid;

use super::{BUCKET, CassandraTimeline, all, bucket_of, of_generation};
use crate::cassandra::{Cassandra, signed};
use crate::error::Result;
use crate::sqlite::name_of;
use crate::timeline::{Change, MessageRow};

/// Messages of a bucket that go in one request, and their bytes: a mutation has a limit.
const TOGETHER: usize = 100;
const TOGETHER_BYTES: usize = 128 << 10;

const CREATE: &str = "UPDATE $k.chats_$n USING TIMESTAMP ? \
    SET kind = ?, created_by = ?, created_at = ?, created = ? WHERE chat_id = ?";
const JOIN: &str = "UPDATE $k.chats_$n USING TIMESTAMP ? \
    SET role = ?, joined_number = ?, joined = ? WHERE chat_id = ? AND person = ?";
const BELONG: &str =
    "INSERT INTO $k.memberships_$n (person, chat_id, joined) VALUES (?, ?, ?) USING TIMESTAMP ?";
const MESSAGE: &str = "INSERT INTO $k.messages_$n (chat_id, bucket, number, message_id, author, text, event_id, \
    sent_at, reply_to, position) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?";
const BUCKET_BEGINS: &str = "INSERT INTO $k.buckets_$n (chat_id, began_at, bucket, position) \
    VALUES (?, ?, ?, ?) USING TIMESTAMP ?";
const HEAD: &str = "UPDATE $k.chats_$n USING TIMESTAMP ? \
    SET last_number = ?, active_at = ?, moved = ? WHERE chat_id = ?";
const SENT: &str =
    "UPDATE $k.chats_$n USING TIMESTAMP ? SET sent_number = ? WHERE chat_id = ? AND person = ?";
const MARK: &str = "UPDATE $k.chats_$n USING TIMESTAMP ? \
    SET marked_number = ?, marked = ? WHERE chat_id = ? AND person = ?";

/// What a generation is written by.
pub(super) struct Statements {
    create: PreparedStatement,
    join: PreparedStatement,
    belong: PreparedStatement,
    message: PreparedStatement,
    bucket_begins: PreparedStatement,
    head: PreparedStatement,
    sent: PreparedStatement,
    mark: PreparedStatement,
}

impl Statements {
    pub async fn prepare(cassandra: &Cassandra, number: u64) -> Result<Self> {
        let prepare = async |cql| cassandra.prepare(&of_generation(cql, number)).await;
        Ok(Self {
            create: prepare(CREATE).await?,
            join: prepare(JOIN).await?,
            belong: prepare(BELONG).await?,
            message: prepare(MESSAGE).await?,
            bucket_begins: prepare(BUCKET_BEGINS).await?,
            head: prepare(HEAD).await?,
            sent: prepare(SENT).await?,
            mark: prepare(MARK).await?,
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
                Change::Created { .. } | Change::Joined { .. } => rows.push(self.write_chat(change).boxed()),
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
            }
        }
        for messages in messages.into_values() {
            rows.push(self.write_messages(messages).boxed());
        }
        all(rows).await?;
        all(self.moves(moved)).await?;
        Ok(())
    }

    async fn write_chat(&self, change: &Change) -> Result<()> {
        let Statements { create, join, belong, .. } = &self.write;
        match change {
            Change::Created { chat_id, kind, created_by, created_at, position } => {
                let at = signed(*position);
                let row = (at, name_of(kind), created_by.0, created_at.0, at, chat_id.0);
                self.cassandra.write(create, row).await
            }
            Change::Joined { chat_id, person, role, joined_number, position } => {
                let at = signed(*position);
                let row = (at, name_of(role), signed(*joined_number), at, chat_id.0, person.0);
                self.cassandra.write(join, row).await?;
                self.cassandra.write(belong, (person.0, chat_id.0, at, at)).await
            }
            Change::Sent(_) | Change::Read { .. } => Ok(()),
        }
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

type Row<'a> = (Uuid, i64, i64, Uuid, Uuid, &'a str, MaybeUnset<Uuid>, i64, MaybeUnset<i64>, i64, i64);

/// What is absent stays unset: a null would be a tombstone.
fn row_of(message: &MessageRow) -> Row<'_> {
    let unset = |id: Option<Uuid>| id.map_or(MaybeUnset::Unset, MaybeUnset::Set);
    (
        message.chat_id.0,
        signed(bucket_of(message.number)),
        signed(message.number),
        message.message_id.0,
        message.author.0,
        &message.text.token,
        unset(message.text.event_id.map(|id| id.0)),
        message.sent_at.0,
        message.reply_to.map_or(MaybeUnset::Unset, |number| MaybeUnset::Set(signed(number))),
        signed(message.position),
        signed(message.position),
    )
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
