//! Bodies of commands and their answers, and the parameters of queries. Unknown fields are refused.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::ids::{ChatId, MessageId, PersonId, PhotoId, SessionId};

macro_rules! wire {
    ($(#[$doc:meta])* $name:ident { $($(#[$fdoc:meta])* $field:ident : $type:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        pub struct $name { $($(#[$fdoc])* pub $field: $type),* }
    };
}

/// A password on its way in. Debug prints nothing of it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = String, format = Password))]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

wire!(
    /// `register`
    Register {
        /// At most 254 characters.
        email: String,
        /// 8 to 256 characters, not a common password.
        password: Secret,
        /// 2 to 32 letters, digits, `.`, `_`, `-`; begins with a letter or a digit.
        nickname: String,
        /// 1 to 64 characters; the nickname if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
    }
);
wire!(
    /// `authorize`
    Authorize { email: String, password: Secret }
);
wire!(
    /// `refresh`; the token is absent where the refresh cookie carries it.
    Refresh {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        refresh_token: Option<Secret>,
    }
);
wire!(
    /// `revoke`: this session, another one, or all the others.
    Revoke {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        session_id: Option<SessionId>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        others: Option<bool>,
    }
);
wire!(
    /// `create_user`
    CreateUser {
        nickname: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
    }
);
wire!(
    /// `edit_info`: what is absent stays as it is.
    EditInfo {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        nickname: Option<String>,
        /// 1 to 64 characters.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        /// At most 500 characters; empty removes it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        about: Option<String>,
    }
);
wire!(
    /// `add`, `accept`, `decline`, `remove`, `block`, `unblock`
    Person { user_id: PersonId }
);
wire!(
    /// `create_chat`: a direct chat with one person.
    CreateChat { user_id: PersonId }
);
wire!(
    /// `send`; the message id is the request's Idempotency-Key.
    Send {
        chat_id: ChatId,
        /// 1 to 4,000 scalar values, kept exactly as sent.
        text: String,
        /// The number of the message this one answers, in the same chat.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reply_to: Option<u64>,
    }
);
wire!(
    /// `mark_read`: everything up to and including `number`.
    MarkRead { chat_id: ChatId, number: u64 }
);

wire!(
    /// `remove_photo`
    RemovePhoto {}
);

/// Answer of `change_photo`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PhotoChanged {
    pub position: u64,
    pub photo_id: PhotoId,
}

/// Answer of a command that has nothing else to say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Done {
    /// Position in the log up to which this command's effect is.
    pub position: u64,
}

/// Answer of `register`, `authorize` and `refresh`. The tokens are absent where cookies carry them.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SignedIn {
    pub position: u64,
    pub user_id: PersonId,
    pub session_id: SessionId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_token: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    /// Seconds for which an access token lives, counted from the command.
    pub expires_in: u64,
}

impl std::fmt::Debug for SignedIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignedIn").field("user_id", &self.user_id).finish_non_exhaustive()
    }
}

/// Answer of `create_user`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UserCreated {
    pub position: u64,
    pub user_id: PersonId,
}

/// Answer of `create_chat`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ChatCreated {
    pub position: u64,
    pub chat_id: ChatId,
}

/// Answer of `send`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Sent {
    pub position: u64,
    pub message_id: MessageId,
    /// Dense in its chat: 1, 2, 3 …
    pub number: u64,
    pub sent_at: Timestamp,
}
