//! Chats: messages by number, what became of them, the lines between them, heads, memberships, and
//! what changed since a position.
//!
//! Holds no names. What is personal lies sealed as in the log, with the event that it was sealed for
//! beside it. Its place: a text as sent, aggregate `Chat`, the chat's id, field `text`; as edited,
//! aggregate `Message`, `chat~number`, field `text`; a title and the names of attachments, aggregate
//! `Chat`, the chat's id.
//!
//! Unread costs nothing as a rule: one's own send advances one's read number to it, so every message
//! above the read number is another's. What was deleted is counted off ([`Timeline::unseen`]). What
//! advances reading (marks, own sends, joining) each only grows with position and is kept apart, so
//! that engines where the last write wins need not read before they write.

use async_trait::async_trait;
use domain::Timestamp;
use domain::chat::Span;
use domain::ids::{BlobId, ChatId, MessageId, PersonId};
use domain::personal::Sealed;
use domain::views::{AttachmentKind, ChatKind, Deleted, History, LineKind, Role};
use serde::{Deserialize, Serialize};

use crate::ReadModel;
use crate::error::Result;

mod cassandra;
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
    /// Of a group.
    pub title: Option<Sealed>,
    pub history: Option<History>,
    pub dissolved: bool,
    /// 0 while nothing was sent.
    pub last_number: u64,
    /// The last message's `sent_at`, else `created_at`.
    pub active_at: Timestamp,
    /// Those who are in it now.
    pub member_count: u64,
    /// Of the last deletion of a message; 0 while there was none.
    pub deletion: u64,
    /// The position that created it.
    pub position: u64,
}

/// A person who is in a chat, or was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberRow {
    pub chat_id: ChatId,
    pub person: PersonId,
    /// The last one, of somebody who has left.
    pub role: Role,
    pub left: bool,
    /// What they may read; all of it if empty.
    pub sees: Vec<Span>,
    /// The chat's last number at joining.
    pub joined_number: u64,
    /// The furthest of what was marked read, sent by oneself, or there at joining.
    pub read_number: u64,
    pub muted_until: Option<Timestamp>,
    pub pinned: bool,
    /// The position of joining, leaving or of the last change of role (reading apart).
    pub position: u64,
}

impl MemberRow {
    /// Whether the person may read message `number`.
    pub fn shows(&self, number: u64) -> bool {
        self.sees.is_empty() && !self.left || self.sees.iter().any(|span| span.holds(number))
    }

    /// Whether what happened at `position` came after they had left.
    pub fn is_past(&self, position: u64) -> bool {
        self.left && position > self.position
    }

    /// The newest of `last_number` messages that the person may read.
    pub fn last_shown(&self, last_number: u64) -> u64 {
        let end = match self.sees.last() {
            Some(span) => span.last.unwrap_or(last_number),
            None if self.left => 0,
            None => last_number,
        };
        end.min(last_number)
    }
}

/// What a message carries, as it lies in its row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachmentRow {
    pub blob: BlobId,
    pub kind: AttachmentKind,
    pub media_type: String,
    pub size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    pub name: Sealed,
}

/// A wording of a message that was edited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EditRow {
    pub text: Sealed,
    pub at: Timestamp,
    pub position: u64,
}

/// One person's reaction to a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReactionRow {
    pub person: PersonId,
    pub emoji: String,
    pub position: u64,
}

/// What became of a message after it was sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Touch {
    /// The newest wording.
    pub edited: Option<EditRow>,
    pub deleted: Option<Deleted>,
    /// By person.
    pub reactions: Vec<ReactionRow>,
    /// The last position that changed anything of it; 0 while nobody has touched it.
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
    /// As sent; empty, without an event, once it was deleted.
    pub text: Sealed,
    pub sent_at: Timestamp,
    pub reply_to: Option<u64>,
    /// Empty once it was deleted.
    pub attachments: Vec<AttachmentRow>,
    pub forwarded_from: Option<PersonId>,
    /// Events of the chat before it that are no messages: up to this ordinal its lines stand above it.
    pub lines: u64,
    /// Of its sending.
    pub position: u64,
    /// [`Change::Sent`] says nothing of it.
    pub touch: Touch,
}

/// Something that happened in a group between two messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineRow {
    pub chat_id: ChatId,
    /// Rises with every event of the chat that is no message; not each of them is a line.
    pub ordinal: u64,
    pub after_number: u64,
    pub kind: LineKind,
    pub by: Option<PersonId>,
    pub person: Option<PersonId>,
    pub title: Option<Sealed>,
    pub role: Option<Role>,
    pub count: Option<u64>,
    pub at: Timestamp,
    pub position: u64,
}

/// A chat as one of its people has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatOf {
    pub chat: ChatRow,
    pub me: MemberRow,
    /// The other one in a direct chat.
    pub peer: Option<MemberRow>,
    /// The newest message that they may read.
    pub last: Option<MessageRow>,
}

impl ChatOf {
    /// Others' messages above the read number that may be read, deleted ones included.
    pub fn unread(&self) -> u64 {
        self.me.last_shown(self.chat.last_number).saturating_sub(self.me.read_number)
    }
}

/// A message that somebody has not read, as it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unseen {
    pub number: u64,
    pub author: PersonId,
    pub deleted: bool,
}

/// What an event changes.
#[derive(Clone, Debug)]
pub enum Change {
    Created {
        chat_id: ChatId,
        kind: ChatKind,
        created_by: PersonId,
        created_at: Timestamp,
        /// Of a group.
        title: Option<Sealed>,
        history: Option<History>,
        position: u64,
    },
    Renamed {
        chat_id: ChatId,
        title: Sealed,
        position: u64,
    },
    Dissolved {
        chat_id: ChatId,
        position: u64,
    },
    Joined {
        chat_id: ChatId,
        person: PersonId,
        role: Role,
        joined_number: u64,
        /// All of it if empty.
        sees: Vec<Span>,
        position: u64,
    },
    /// Left, or was removed.
    Parted {
        chat_id: ChatId,
        person: PersonId,
        sees: Vec<Span>,
        position: u64,
    },
    RoleSet {
        chat_id: ChatId,
        person: PersonId,
        role: Role,
        position: u64,
    },
    Line(LineRow),
    /// Also moves the chat's head and its author's read number.
    Sent(MessageRow),
    Edited {
        chat_id: ChatId,
        number: u64,
        text: Sealed,
        at: Timestamp,
        position: u64,
    },
    /// Takes text, earlier wordings, reactions and attachments away.
    Deleted {
        chat_id: ChatId,
        number: u64,
        how: Deleted,
        position: u64,
    },
    /// One person's reaction; absent: taken back.
    Reacted {
        chat_id: ChatId,
        number: u64,
        person: PersonId,
        emoji: Option<String>,
        position: u64,
    },
    Read {
        chat_id: ChatId,
        person: PersonId,
        number: u64,
        position: u64,
    },
    /// How a person keeps the chat.
    Kept {
        chat_id: ChatId,
        person: PersonId,
        muted_until: Option<Timestamp>,
        pinned: bool,
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
    /// The chat was created, renamed or dissolved, or somebody came, went or changed role.
    Chat,
    /// Sent, or touched since.
    Message {
        number: u64,
    },
    /// By its ordinal.
    Line {
        ordinal: u64,
    },
    Read {
        person: PersonId,
        number: u64,
    },
    /// How `person` keeps the chat.
    Kept {
        person: PersonId,
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

    /// The chat as `person` has it; `None` if there is none or they never were in it.
    async fn chat_of(&self, chat_id: ChatId, person: PersonId) -> Result<Option<ChatOf>>;

    /// All chats of a person, those they have left too, in no order.
    async fn chats_of(&self, person: PersonId) -> Result<Vec<ChatOf>>;

    /// Also of somebody who has left.
    async fn membership(&self, chat_id: ChatId, person: PersonId) -> Result<Option<MemberRow>>;

    /// Those who are in it or were, and how far each has read, by id.
    async fn members(&self, chat_id: ChatId) -> Result<Vec<MemberRow>>;

    /// Always the oldest first, whichever are kept.
    async fn messages(&self, chat_id: ChatId, query: MessageQuery) -> Result<Vec<MessageRow>>;

    async fn message(&self, chat_id: ChatId, number: u64) -> Result<Option<MessageRow>>;

    /// Those of `numbers` that exist, in no order.
    async fn messages_by_number(&self, chat_id: ChatId, numbers: &[u64]) -> Result<Vec<MessageRow>>;

    /// The wordings that a message was given after it was sent, the first one first; none once it was
    /// deleted.
    async fn edits(&self, chat_id: ChatId, number: u64) -> Result<Vec<EditRow>>;

    /// Messages with `after` < number ≤ `last`, by number, as they count for unread. For some hundreds.
    async fn unseen(&self, chat_id: ChatId, after: u64, last: u64) -> Result<Vec<Unseen>>;

    /// Lines with `after` < ordinal ≤ `last`, by ordinal; at most `limit`, the newest.
    async fn lines(&self, chat_id: ChatId, after: u64, last: u64, limit: usize) -> Result<Vec<LineRow>>;

    /// The message that carries a blob, unless it was deleted.
    async fn carrier(&self, blob: BlobId) -> Result<Option<(ChatId, u64)>>;

    /// Those of `blobs` that a message carries.
    async fn carried(&self, blobs: &[BlobId]) -> Result<Vec<BlobId>>;

    /// What changed in the chat after `position`. Of what somebody read, the last alone.
    async fn feed_since(&self, chat_id: ChatId, position: u64, limit: usize) -> Result<Feed>;
}
