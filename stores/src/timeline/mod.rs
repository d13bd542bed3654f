//! Chats: messages by number, heads, memberships, and what changed since a position.
//!
//! Holds no names. A text lies sealed as in the log; its place is aggregate `Chat`, the chat's
//! id, the event id beside it, field `text`.
//!
//! Unread costs nothing: one's own send advances one's read number to it, so every message above
//! the read number is another's, and unread is `last_number - read_number`. What advances it
//! (marks, own sends, joining) each only grows with position and is kept apart, so that engines
//! where the last write wins need not read before they write.

use async_trait::async_trait;
use domain::Timestamp;
use domain::ids::{ChatId, MessageId, PersonId};
use domain::personal::Sealed;
use domain::views::{ChatKind, Role};

use crate::ReadModel;
use crate::error::Result;

mod cassandra;
mod read;
mod sqlite;

pub(crate) use cassandra::CassandraTimelines;
pub use sqlite::SqliteTimeline;

/// A chat and its head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatRow {
    pub chat_id: ChatId,
    pub kind: ChatKind,
    pub created_by: PersonId,
    pub created_at: Timestamp,
    /// 0 while nothing was sent.
    pub last_number: u64,
    /// The last message's `sent_at`, else `created_at`.
    pub active_at: Timestamp,
    pub member_count: u64,
    /// The position that created it.
    pub position: u64,
}

/// A person in a chat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberRow {
    pub chat_id: ChatId,
    pub person: PersonId,
    pub role: Role,
    /// The chat's last number at joining.
    pub joined_number: u64,
    /// The furthest of what was marked read, sent by oneself, or there at joining.
    pub read_number: u64,
    /// The position of joining or of the last change of role (reading apart).
    pub position: u64,
}

/// A message. `sent_at` never falls with `number`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageRow {
    pub chat_id: ChatId,
    /// Dense: 1, 2, 3 …
    pub number: u64,
    pub message_id: MessageId,
    pub author: PersonId,
    pub text: Sealed,
    pub sent_at: Timestamp,
    pub reply_to: Option<u64>,
    pub position: u64,
}

/// A chat as one of its members has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatOf {
    pub chat: ChatRow,
    pub me: MemberRow,
    /// The other one in a direct chat.
    pub peer: Option<MemberRow>,
    pub last: Option<MessageRow>,
}

impl ChatOf {
    /// Others' messages above the read number.
    pub fn unread(&self) -> u64 {
        self.chat.last_number.saturating_sub(self.me.read_number)
    }
}

/// What an event changes.
#[derive(Clone, Debug)]
pub enum Change {
    Created {
        chat_id: ChatId,
        kind: ChatKind,
        created_by: PersonId,
        created_at: Timestamp,
        position: u64,
    },
    Joined {
        chat_id: ChatId,
        person: PersonId,
        role: Role,
        joined_number: u64,
        position: u64,
    },
    /// Also moves the chat's head and its author's read number.
    Sent(MessageRow),
    Read {
        chat_id: ChatId,
        person: PersonId,
        number: u64,
        position: u64,
    },
}

/// Which messages are kept where more match than `limit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    Oldest,
    Newest,
}

/// `from` ≤ sent_at < `to`; `after` < number < `before`.
#[derive(Clone, Debug)]
pub struct MessageQuery {
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
    pub before: Option<u64>,
    pub after: Option<u64>,
    pub keep: Keep,
    pub limit: usize,
}

/// Something that changed in a chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    /// The chat was created, or somebody joined it.
    Chat,
    Message {
        number: u64,
    },
    Read {
        person: PersonId,
        number: u64,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeedEntry {
    pub position: u64,
    pub changed: Changed,
}

/// Changes by position, the oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feed {
    pub entries: Vec<FeedEntry>,
    /// False where there are more than were asked for: `entries` is then of no use.
    pub complete: bool,
}

/// The timeline engine.
#[async_trait]
pub trait Timeline: ReadModel<Change = Change> {
    async fn chat(&self, chat_id: ChatId) -> Result<Option<ChatRow>>;

    /// The chat as `person` has it; `None` if there is none or they are not in it.
    async fn chat_of(&self, chat_id: ChatId, person: PersonId) -> Result<Option<ChatOf>>;

    /// All chats of a person, in no order.
    async fn chats_of(&self, person: PersonId) -> Result<Vec<ChatOf>>;

    async fn membership(&self, chat_id: ChatId, person: PersonId) -> Result<Option<MemberRow>>;

    /// The members and how far each has read, by id.
    async fn members(&self, chat_id: ChatId) -> Result<Vec<MemberRow>>;

    /// Always the oldest first, whichever are kept.
    async fn messages(&self, chat_id: ChatId, query: MessageQuery) -> Result<Vec<MessageRow>>;

    async fn message(&self, chat_id: ChatId, number: u64) -> Result<Option<MessageRow>>;

    /// Those of `numbers` that exist, in no order.
    async fn messages_by_number(&self, chat_id: ChatId, numbers: &[u64]) -> Result<Vec<MessageRow>>;

    /// What changed in the chat after `position`. Of what somebody read, the last alone.
    async fn feed_since(&self, chat_id: ChatId, position: u64, limit: usize) -> Result<Feed>;
}
