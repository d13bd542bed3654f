//! What queries answer.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::ids::{ChatId, MessageId, PersonId, SessionId};

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
    pub position: u64,
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

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Message {
    pub message_id: MessageId,
    pub chat_id: ChatId,
    /// Dense in its chat: 1, 2, 3 …
    pub number: u64,
    pub author: Author,
    /// Exactly as sent; empty when its author was erased.
    pub text: String,
    pub sent_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<ReplyTo>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    pub my_role: Role,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Message>,
    pub last_number: u64,
    pub read_number: u64,
    /// How far the other one has read, in a direct chat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_read_number: Option<u64>,
    /// Others' messages above `read_number`.
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
