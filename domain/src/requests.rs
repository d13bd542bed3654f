//! Bodies of commands and their answers, and the parameters of queries. Unknown fields are refused.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::ids::{BlobId, ChatId, InviteId, MessageId, PersonId, PhotoId, SessionId};
use crate::views::{History, ReportReason, Role};

/// Tells `null` from what is absent.
fn said<'de, D: serde::Deserializer<'de>, T: Deserialize<'de>>(
    from: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(from).map(Some)
}

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
    /// `create_chat`: a direct chat with `user_id`, or a group with a `title`.
    CreateChat {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user_id: Option<PersonId>,
        /// 1 to 64 characters.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        title: Option<String>,
        /// Friends of one's own; at most 499.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        member_ids: Option<Vec<PersonId>>,
        /// What those who come later may read; `joining` if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        history: Option<History>,
    }
);
impl CreateChat {
    /// The direct chat with `user_id`.
    pub fn direct(user_id: PersonId) -> Self {
        Self { user_id: Some(user_id), title: None, member_ids: None, history: None }
    }

    /// A group whose newcomers read from their joining on.
    pub fn group(title: impl Into<String>, member_ids: Vec<PersonId>) -> Self {
        let (title, member_ids) = (Some(title.into()), Some(member_ids));
        Self { user_id: None, title, member_ids, history: None }
    }
}

wire!(
    /// `rename_chat`
    RenameChat {
        chat_id: ChatId,
        /// 1 to 64 characters.
        title: String,
    }
);
wire!(
    /// `add_member`, `remove_member`
    ChatPerson { chat_id: ChatId, user_id: PersonId }
);
wire!(
    /// `set_role`
    SetRole { chat_id: ChatId, user_id: PersonId, role: Role }
);
wire!(
    /// `leave_chat`, `dissolve_chat`
    Chat { chat_id: ChatId }
);
wire!(
    /// `create_invite`
    CreateInvite {
        chat_id: ChatId,
        /// Seconds from now, at most a year; a week if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_in: Option<u64>,
        /// How often it may be accepted; without end if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        uses: Option<u32>,
    }
);
wire!(
    /// `revoke_invite`
    RevokeInvite { chat_id: ChatId, invite_id: InviteId }
);
wire!(
    /// `accept_invite`
    AcceptInvite {
        /// What stands behind `#` in the link.
        token: Secret,
    }
);
wire!(
    /// Something that was uploaded, as a message carries it.
    Carried {
        blob_id: BlobId,
        /// What the file is called: 1 to 255 characters.
        name: String,
    }
);
wire!(
    /// `send`; the message id is the request's Idempotency-Key.
    Send {
        chat_id: ChatId,
        /// 1 to 4,000 scalar values, kept exactly as sent; may be empty beside attachments.
        text: String,
        /// The number of the message this one answers, in the same chat.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reply_to: Option<u64>,
        /// At most 10, each uploaded by oneself and carried by no message yet.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        attachments: Vec<Carried>,
    }
);
impl Send {
    /// A text alone.
    pub fn text(chat_id: ChatId, text: impl Into<String>) -> Self {
        Self { chat_id, text: text.into(), reply_to: None, attachments: Vec::new() }
    }
}

wire!(
    /// `edit_message`
    EditMessage {
        chat_id: ChatId,
        number: u64,
        /// As of `send`.
        text: String,
    }
);
wire!(
    /// `delete_message` (one's own), `remove_message` (anybody's, as a moderator)
    ChatMessage { chat_id: ChatId, number: u64 }
);
wire!(
    /// `react`: one emoji a person and message; without, it is taken back.
    React {
        chat_id: ChatId,
        number: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        emoji: Option<String>,
    }
);
wire!(
    /// `forward`: `number` of `from_chat_id` into `chat_id`, in its author's name.
    Forward { chat_id: ChatId, from_chat_id: ChatId, number: u64 }
);
wire!(
    /// `report`
    Report { chat_id: ChatId, number: u64, reason: ReportReason }
);
wire!(
    /// `set_chat_prefs`: what is absent stays as it is.
    SetChatPrefs {
        chat_id: ChatId,
        /// Until when nothing is told of it; `null` for not any more.
        #[serde(default, deserialize_with = "said", skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(value_type = Option<Timestamp>))]
        muted_until: Option<Option<Timestamp>>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pinned: Option<bool>,
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

/// Answer of `upload`: what a message may carry within the next 12 hours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Uploaded {
    pub position: u64,
    pub blob_id: BlobId,
    pub kind: crate::views::AttachmentKind,
    pub media_type: String,
    /// Bytes, as they are kept.
    pub size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
}

/// Answer of `create_invite`.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct InviteCreated {
    pub position: u64,
    pub invite_id: InviteId,
    /// The end of the link, behind `#`: whoever holds it may come in.
    pub token: String,
    pub expires_at: Timestamp,
}

impl std::fmt::Debug for InviteCreated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InviteCreated").field("invite_id", &self.invite_id).finish_non_exhaustive()
    }
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
