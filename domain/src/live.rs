//! The live protocol (`/query/v1/live`): JSON text frames over a WebSocket.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ids::{ChatId, PersonId, SessionId};

/// A client frame's largest size in bytes.
pub const CLIENT_FRAME_LIMIT: usize = 4 * 1024;

/// What changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// A message was sent, or touched since; `item` is a [`crate::views::Message`].
    Message,
    /// Something happened in a group between two messages; `item` is a [`crate::views::Line`].
    Line,
    /// A chat was created or changed; `item` is a [`crate::views::Chat`] or absent.
    Chat,
    /// Somebody (`user_id`) has read up to `number`.
    Read,
    /// A link with a person or that person's profile changed; `item` is a [`crate::views::Person`].
    Person,
    /// The signed-in person's own profile changed: fetch `/me`.
    Me,
    /// A session of one's own began or ended: fetch `/sessions`.
    Session,
}

/// Of what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Ids {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat_id: Option<ChatId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<PersonId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
}

/// Frames from the server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ServerFrame {
    /// First frame: everything up to `position` has been or will be seen.
    Hello { position: u64 },
    /// Something changed at `position`. Positions do not fall; several changes may share one.
    Change {
        position: u64,
        what: What,
        ids: Ids,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        item: Option<Value>,
    },
    /// A passing sign of life; nothing durable.
    Signal { signal: Signal, ids: Ids },
    /// Too far behind: fetch the lists anew, and go on from `position`.
    Gap { position: u64 },
    /// The server closes the socket. `session-ended`: do not come back with these credentials.
    Bye { reason: ByeReason },
    /// Answer to a ping.
    Pong { position: u64 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// `user_id` is writing in `chat_id`: true for some seconds.
    Typing,
    /// `user_id` is here: said again every 20 s, true for a minute.
    Presence,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ByeReason {
    SessionEnded,
    TooSlow,
    TooManySockets,
    BadFrame,
    Shutdown,
}

/// Frames from the client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum ClientFrame {
    Ping {},
    Typing { chat_id: ChatId },
}
