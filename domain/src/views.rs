//! What queries answer.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::ids::{BlobId, ChatId, InviteId, MessageId, PersonId, SessionId};

/// A page of a list. `next` leads to what follows in the list's order, `prev` to what precedes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct List<T> {
    pub items: Vec<T>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prev: Option<String>,
    /// The position in the log that this answer shows.
    pub position: u64,
}

/// How the asking person is linked with another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Relation {
    None,
    Outgoing,
    Incoming,
    Friends,
    #[serde(rename = "self")]
    Oneself,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum PersonState {
    Active,
    Imported,
    Suspended,
    Erased,
}

/// A person as somebody else sees them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Person {
    pub user_id: PersonId,
    pub nickname: String,
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub photo_id: Option<String>,
    pub relation: Relation,
    /// Whether the asking person has blocked this one. Never says whether it is the other way round.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub blocked: bool,
    pub state: PersonState,
}

/// One person with the position that the answer shows (`/users/{user_id}`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PersonAnswer {
    #[serde(flatten)]
    pub person: Person,
    pub position: u64,
}

/// The signed-in person (`/me`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Me {
    pub user_id: PersonId,
    pub session_id: SessionId,
    pub email: String,
    /// Absent until `create_user`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nickname: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub photo_id: Option<String>,
    pub settings: Settings,
    pub position: u64,
}

/// Who may see something of one's own. Whoever one has blocked, or who has blocked one, never does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Audience {
    #[default]
    Everyone,
    Friends,
}

/// What one lets others see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Settings {
    /// Whether one is found by a part of the nickname or name; by the exact nickname one always is.
    pub discoverable: bool,
    pub photo: Audience,
    pub about: Audience,
    /// Whether one is here now.
    pub presence: Audience,
}

impl Default for Settings {
    fn default() -> Self {
        let everyone = Audience::Everyone;
        Self { discoverable: true, photo: everyone, about: everyone, presence: everyone }
    }
}

/// `change_settings`: what is absent stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SettingsChanges {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discoverable: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub photo: Option<Audience>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<Audience>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub presence: Option<Audience>,
}

impl SettingsChanges {
    /// What `before` becomes.
    #[must_use]
    pub fn to(self, before: Settings) -> Settings {
        Settings {
            discoverable: self.discoverable.unwrap_or(before.discoverable),
            photo: self.photo.unwrap_or(before.photo),
            about: self.about.unwrap_or(before.about),
            presence: self.presence.unwrap_or(before.presence),
        }
    }
}

/// One live login of the signed-in person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Session {
    pub session_id: SessionId,
    /// How one signed in, as `password`.
    pub method: String,
    /// The User-Agent at the login.
    pub device: String,
    /// The client's address at the login.
    pub address: String,
    pub started_at: Timestamp,
    /// When its tokens were last renewed.
    pub refreshed_at: Timestamp,
    /// Whether it is the session that asks.
    pub current: bool,
}

/// Who wrote a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Author {
    pub user_id: PersonId,
    pub nickname: String,
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub photo_id: Option<String>,
    pub state: PersonState,
}

/// What a message answers. The excerpt is taken when the view is made and never stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReplyTo {
    pub number: u64,
    pub author: Author,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excerpt: Option<String>,
}

/// Who took a message away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Deleted {
    Author,
    Moderator,
}

/// How often one emoji was set on a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Reaction {
    pub emoji: String,
    pub count: u64,
    /// Whether the asking person is among them.
    pub mine: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum AttachmentKind {
    /// Made anew by the server: JPEG or WebP without metadata.
    Image,
    /// As it came.
    File,
}

/// What a message carries; its bytes are at `/blobs/{blob_id}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Attachment {
    pub blob_id: BlobId,
    pub kind: AttachmentKind,
    pub media_type: String,
    /// Bytes.
    pub size: u64,
    /// Pixels, of an image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    pub name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Message {
    pub message_id: MessageId,
    pub chat_id: ChatId,
    /// Dense in its chat: 1, 2, 3 …
    pub number: u64,
    pub author: Author,
    /// Exactly as sent or last edited; empty when it was deleted or its author erased.
    pub text: String,
    pub sent_at: Timestamp,
    /// When it was edited last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edited_at: Option<Timestamp>,
    /// Nothing of it is left but its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<Deleted>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<ReplyTo>,
    /// Who wrote it first, where it was passed on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forwarded_from: Option<Author>,
    /// By how many, then by code point.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reactions: Vec<Reaction>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
    /// Of somebody whom the asking person has blocked, in a group that both are in: shown on demand alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub collapsed: bool,
}

/// One wording of a message that was edited (`/chats/{chat_id}/messages/{number}/versions`), the first
/// one first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Version {
    pub text: String,
    /// Since when it was so.
    pub at: Timestamp,
}

/// Why somebody reports a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ReportReason {
    Spam,
    Abuse,
    Illegal,
    Other,
}

/// What a line between messages tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum LineKind {
    /// `by` made the group with `count` others.
    Created,
    /// `by` gave it `title`.
    Renamed,
    /// `by` brought `person` in.
    Added,
    /// `person` came by an invitation.
    Joined,
    /// `person` went.
    Left,
    /// `by` put `person` out.
    Removed,
    /// `by` made `person` what `role` says.
    RoleSet,
    /// `by` ended the group.
    Dissolved,
}

/// Something that happened in a group between two messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Line {
    /// In the log; the lines of a chat are in its order.
    pub position: u64,
    /// It stands after the message with this number; 0 for before the first.
    pub after_number: u64,
    pub kind: LineKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Author>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<Author>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    pub at: Timestamp,
}

/// A page of a chat's history: messages, and the lines that stand among them (and after the last
/// one, where the page is the newest).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Messages {
    pub items: Vec<Message>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<Line>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prev: Option<String>,
    /// The position in the log that this answer shows.
    pub position: u64,
}

/// What those who come later may read of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum History {
    /// What is said from their joining on.
    #[default]
    Joining,
    All,
}

/// Somebody in a chat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Member {
    #[serde(flatten)]
    pub person: Person,
    pub role: Role,
}

/// An invitation that is open, as those who may invite see it (`/chats/{chat_id}/invites`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Invite {
    pub invite_id: InviteId,
    /// The secret that opens it: the end of a link, behind `#`.
    pub token: String,
    pub by: Author,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    /// How often more it may be accepted; without end if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses_left: Option<u32>,
}

/// What an invitation leads to, for whoever holds it (`/invite`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Invitation {
    pub chat_id: ChatId,
    pub title: String,
    pub member_count: u64,
    /// Who invites.
    pub by: Author,
    /// Whether the asking person is in it already.
    pub joined: bool,
    pub position: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ChatKind {
    Direct,
    Group,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Role {
    Owner,
    Admin,
    Member,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Chat {
    pub chat_id: ChatId,
    pub kind: ChatKind,
    /// Of a group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The other one in a direct chat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<Person>,
    pub member_count: u64,
    /// What one was last, where one has left.
    pub my_role: Role,
    /// One is not in it any more, and may read what was said until then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub left: bool,
    /// It has ended for all.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dissolved: bool,
    /// Of a group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<History>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Message>,
    /// By what chats are ordered: when the last message was sent, else when the chat was made. Where one has left, of
    /// what one may read.
    pub active_at: Timestamp,
    pub last_number: u64,
    pub read_number: u64,
    /// How far the other one has read, in a direct chat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_read_number: Option<u64>,
    /// Others' messages above `read_number` that may be read and were not deleted, those of blocked
    /// people apart. Above 1,000 what is deleted or blocked counts, too.
    pub unread: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub muted_until: Option<Timestamp>,
    #[serde(default)]
    pub pinned: bool,
    /// Whether the asking person may write here now.
    pub can_send: bool,
}

/// One chat with the position that the answer shows (`/chats/{chat_id}`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ChatAnswer {
    #[serde(flatten)]
    pub chat: Chat,
    pub position: u64,
}
