//! The timeline in Cassandra: what became of messages, written and read.

use std::collections::{HashMap, HashSet};

use domain::Timestamp;
use domain::ids::{ChatId, EventId, PersonId};
use domain::personal::Sealed;
use scylla::DeserializeRow;
use scylla::statement::prepared::PreparedStatement;
use uuid::Uuid;

use super::stored::named;
use super::{CassandraTimeline, ERA, all, bucket_of, of_generation};
use crate::cassandra::{Cassandra, signed, unreadable, unsigned};
use crate::error::Result;
use crate::sqlite::name_of;
use crate::timeline::{AttachmentRow, Change, EditRow, MessageRow, ReactionRow, Touch};

const EDIT: &str = "INSERT INTO $k.touches_$n (chat_id, bucket, number, text, event_id, edited_at, position) \
    VALUES (?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?";
const PUT_EDIT: &str = "INSERT INTO $k.edits_$n (chat_id, bucket, number, position, text, event_id, at) \
    VALUES (?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?";
const DELETE: &str = "INSERT INTO $k.touches_$n (chat_id, bucket, number, text, event_id, edited_at, deleted, position) \
    VALUES (?, ?, ?, null, null, null, ?, ?) USING TIMESTAMP ?";
const CARRIED: &str =
    "SELECT attachments FROM $k.messages_$n WHERE chat_id = ? AND bucket = ? AND number = ?";
const LOSE_BLOB: &str = "UPDATE $k.blobs_$n USING TIMESTAMP ? SET gone = true WHERE blob = ?";
const EMPTY: &str = "UPDATE $k.messages_$n USING TIMESTAMP ? SET text = null, event_id = null, attachments = null \
    WHERE chat_id = ? AND bucket = ? AND number = ?";
const NO_EDITS: &str =
    "DELETE FROM $k.edits_$n USING TIMESTAMP ? WHERE chat_id = ? AND bucket = ? AND number = ?";
const NO_REACTIONS: &str =
    "DELETE FROM $k.reactions_$n USING TIMESTAMP ? WHERE chat_id = ? AND bucket = ? AND number = ?";
const DELETION: &str = "UPDATE $k.chats_$n USING TIMESTAMP ? SET deletion = ? WHERE chat_id = ?";
const REACT: &str = "INSERT INTO $k.reactions_$n (chat_id, bucket, number, person, emoji, position) \
    VALUES (?, ?, ?, ?, ?, ?) USING TIMESTAMP ?";
const TOUCH: &str =
    "INSERT INTO $k.touches_$n (chat_id, bucket, number, position) VALUES (?, ?, ?, ?) USING TIMESTAMP ?";
const FEED: &str =
    "INSERT INTO $k.feed_$n (chat_id, era, position, number) VALUES (?, ?, ?, ?) USING TIMESTAMP ?";
const TOUCHED: &str = "UPDATE $k.chats_$n USING TIMESTAMP ? SET touched = ? WHERE chat_id = ?";
// What is written at a position is written with it as its time.
const TOUCHES: &str = "SELECT number, text, event_id, edited_at, WRITETIME(text) AS edited, deleted, position FROM $k.touches_$n \
    WHERE chat_id = ? AND bucket = ? AND number >= ? AND number <= ?";
const REACTIONS: &str = "SELECT number, person, emoji, position FROM $k.reactions_$n \
    WHERE chat_id = ? AND bucket = ? AND number >= ? AND number <= ?";
const EDITS: &str =
    "SELECT text, event_id, at, position FROM $k.edits_$n WHERE chat_id = ? AND bucket = ? AND number = ?";
const FEED_SINCE: &str =
    "SELECT position, number FROM $k.feed_$n WHERE chat_id = ? AND era = ? AND position > ? LIMIT ?";

/// What touches are written and read by.
pub(super) struct Statements {
    edit: PreparedStatement,
    put_edit: PreparedStatement,
    delete: PreparedStatement,
    carried: PreparedStatement,
    lose_blob: PreparedStatement,
    empty: PreparedStatement,
    no_edits: PreparedStatement,
    no_reactions: PreparedStatement,
    deletion: PreparedStatement,
    react: PreparedStatement,
    touch: PreparedStatement,
    feed: PreparedStatement,
    touched: PreparedStatement,
    touches: PreparedStatement,
    reactions: PreparedStatement,
    edits: PreparedStatement,
    feed_since: PreparedStatement,
}

impl Statements {
    pub async fn prepare(cassandra: &Cassandra, number: u64) -> Result<Self> {
        let prepare = async |cql| cassandra.prepare(&of_generation(cql, number)).await;
        Ok(Self {
            edit: prepare(EDIT).await?,
            put_edit: prepare(PUT_EDIT).await?,
            delete: prepare(DELETE).await?,
            carried: prepare(CARRIED).await?,
            lose_blob: prepare(LOSE_BLOB).await?,
            empty: prepare(EMPTY).await?,
            no_edits: prepare(NO_EDITS).await?,
            no_reactions: prepare(NO_REACTIONS).await?,
            deletion: prepare(DELETION).await?,
            react: prepare(REACT).await?,
            touch: prepare(TOUCH).await?,
            feed: prepare(FEED).await?,
            touched: prepare(TOUCHED).await?,
            touches: prepare(TOUCHES).await?,
            reactions: prepare(REACTIONS).await?,
            edits: prepare(EDITS).await?,
            feed_since: prepare(FEED_SINCE).await?,
        })
    }
}

#[derive(DeserializeRow)]
struct StoredTouch {
    number: i64,
    text: Option<String>,
    event_id: Option<Uuid>,
    edited_at: Option<i64>,
    edited: Option<i64>,
    deleted: Option<String>,
    position: Option<i64>,
}

impl StoredTouch {
    fn touch(self) -> Result<Touch> {
        let text = self.text.map(|token| Sealed { token, event_id: self.event_id.map(EventId) });
        let moved = self.edited.map_or(0, unsigned);
        let edited = text.zip(self.edited_at);
        let edited = edited.map(|(text, at)| EditRow { text, at: Timestamp(at), position: moved });
        let deleted = self.deleted.as_deref().map(named).transpose()?;
        let position = self.position.map_or(0, unsigned);
        Ok(Touch { edited: edited.filter(|_| deleted.is_none()), deleted, reactions: Vec::new(), position })
    }
}

/// The era of a position.
fn era_of(position: u64) -> u64 {
    position / ERA
}

impl CassandraTimeline {
    /// Writes what touches one message, in its order; where that is told last.
    pub(super) async fn write_touches(&self, changes: Vec<&Change>) -> Result<()> {
        for change in changes {
            let (chat_id, number, position) = match change {
                Change::Edited { chat_id, number, position, .. }
                | Change::Deleted { chat_id, number, position, .. }
                | Change::Reacted { chat_id, number, position, .. } => (*chat_id, *number, *position),
                _ => continue,
            };
            self.write_touch(change).await?;
            let at = signed(position);
            let row = (chat_id.0, signed(era_of(position)), at, signed(number), at);
            self.cassandra.write(&self.touch.feed, row).await?;
            self.cassandra.write(&self.touch.touched, (at, at, chat_id.0)).await?;
        }
        Ok(())
    }

    async fn write_touch(&self, change: &Change) -> Result<()> {
        let (cassandra, touch) = (&self.cassandra, &self.touch);
        match change {
            Change::Edited { chat_id, number, text, at, position } => {
                let (chat, bucket, when) = (chat_id.0, signed(bucket_of(*number)), signed(*position));
                let (number, event) = (signed(*number), text.event_id.map(|id| id.0));
                let row = (chat, bucket, number, when, &text.token, event, at.0, when);
                cassandra.write(&touch.put_edit, row).await?;
                let row = (chat, bucket, number, &text.token, event, at.0, when, when);
                cassandra.write(&touch.edit, row).await
            }
            Change::Deleted { chat_id, number, how, position } => {
                let (chat, bucket, when) = (chat_id.0, signed(bucket_of(*number)), signed(*position));
                let number = signed(*number);
                cassandra.write(&touch.delete, (chat, bucket, number, name_of(how), when, when)).await?;
                // Those first that are known by what goes after them.
                let key = (chat, bucket, number);
                let carried = cassandra.rows::<(Option<String>,)>(&touch.carried, key).await?;
                for (json,) in carried {
                    let rows: Vec<AttachmentRow> = attachments(json.as_deref())?;
                    for blob in rows.iter().map(|it| it.blob.0.to_vec()) {
                        cassandra.write(&touch.lose_blob, (when, blob)).await?;
                    }
                }
                for statement in [&touch.empty, &touch.no_edits, &touch.no_reactions] {
                    cassandra.write(statement, (when, chat, bucket, number)).await?;
                }
                cassandra.write(&touch.deletion, (when, when, chat)).await
            }
            Change::Reacted { chat_id, number, person, emoji, position } => {
                let (chat, bucket, when) = (chat_id.0, signed(bucket_of(*number)), signed(*position));
                let number = signed(*number);
                cassandra.write(&touch.react, (chat, bucket, number, person.0, emoji, when, when)).await?;
                cassandra.write(&touch.touch, (chat, bucket, number, when, when)).await
            }
            _ => Ok(()),
        }
    }

    /// Puts what became of messages of one chat beside them.
    pub(super) async fn with_touches(&self, chat_id: ChatId, messages: &mut [MessageRow]) -> Result<()> {
        let mut buckets: HashMap<u64, (u64, u64)> = HashMap::new();
        for message in messages.iter() {
            let range = buckets.entry(bucket_of(message.number)).or_insert((message.number, message.number));
            *range = (range.0.min(message.number), range.1.max(message.number));
        }
        let asked = buckets.into_iter().map(async |(bucket, (first, last))| {
            let key = (chat_id.0, signed(bucket), signed(first), signed(last));
            tokio::try_join!(
                self.cassandra.rows::<StoredTouch>(&self.touch.touches, key),
                self.cassandra.rows::<(i64, Uuid, Option<String>, i64)>(&self.touch.reactions, key)
            )
        });
        let (mut touches, mut reactions) = (HashMap::new(), HashMap::<u64, Vec<ReactionRow>>::new());
        for (of_bucket, reacted) in all(asked).await? {
            for stored in of_bucket {
                touches.insert(unsigned(stored.number), stored.touch()?);
            }
            for (number, person, emoji, position) in reacted {
                let Some(emoji) = emoji else { continue };
                let row = ReactionRow { person: PersonId(person), emoji, position: unsigned(position) };
                reactions.entry(unsigned(number)).or_default().push(row);
            }
        }
        for message in messages {
            let Some(touch) = touches.remove(&message.number) else { continue };
            let mut reactions = reactions.remove(&message.number).unwrap_or_default();
            // By their bytes; uuids of different versions are ordered otherwise, there.
            reactions.sort_by_key(|reaction| reaction.person);
            message.touch = Touch { reactions, ..touch };
        }
        Ok(())
    }

    /// Which messages of a bucket were deleted.
    pub(super) async fn deleted_in(
        &self,
        chat_id: ChatId,
        bucket: u64,
        (first, last): (u64, u64),
    ) -> Result<HashSet<u64>> {
        let key = (chat_id.0, signed(bucket), signed(first), signed(last));
        let rows = self.cassandra.rows::<StoredTouch>(&self.touch.touches, key).await?;
        Ok(rows.into_iter().filter(|it| it.deleted.is_some()).map(|it| unsigned(it.number)).collect())
    }

    pub(super) async fn read_edits(&self, chat_id: ChatId, number: u64) -> Result<Vec<EditRow>> {
        let key = (chat_id.0, signed(bucket_of(number)), signed(number));
        type Stored = (Option<String>, Option<Uuid>, i64, i64);
        let rows = self.cassandra.rows::<Stored>(&self.touch.edits, key).await?;
        let edit = |(token, event, at, position): Stored| {
            let text = Sealed { token: token?, event_id: event.map(EventId) };
            Some(EditRow { text, at: Timestamp(at), position: unsigned(position) })
        };
        Ok(rows.into_iter().filter_map(edit).collect())
    }

    /// Positions and numbers of the touches after `position`, the last of which was at `last`; `None`
    /// if they are more than `limit`, or too far apart.
    pub(super) async fn touched_since(
        &self,
        chat_id: ChatId,
        position: u64,
        last: u64,
        limit: usize,
    ) -> Result<Option<Vec<(u64, u64)>>> {
        const MOST_ERAS: u64 = 16;
        let mut found = Vec::new();
        if last <= position {
            return Ok(Some(found));
        }
        let eras = era_of(position)..=era_of(last);
        if eras.end() - eras.start() > MOST_ERAS {
            return Ok(None);
        }
        for era in eras {
            let wanted = i32::try_from(limit + 1 - found.len()).unwrap_or(i32::MAX);
            let key = (chat_id.0, signed(era), signed(position), wanted);
            let rows = self.cassandra.rows::<(i64, i64)>(&self.touch.feed_since, key).await?;
            found.extend(rows.into_iter().map(|(at, number)| (unsigned(at), unsigned(number))));
            if found.len() > limit {
                return Ok(None);
            }
        }
        // Of a message that was touched several times, the last alone: as its row says it.
        let mut newest: HashMap<u64, u64> = HashMap::new();
        for (at, number) in &found {
            let newest = newest.entry(*number).or_default();
            *newest = (*newest).max(*at);
        }
        found.retain(|(at, number)| newest.get(number) == Some(at));
        Ok(Some(found))
    }
}

pub(super) fn attachments(json: Option<&str>) -> Result<Vec<AttachmentRow>> {
    json.map_or_else(|| Ok(Vec::new()), |json| serde_json::from_str(json).map_err(unreadable))
}
