//! What happens to a chat, as the log keeps it.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::ids::{BlobId, ChatId, InviteId, MessageId, PersonId};
use crate::personal::{FileName, Personal, Personals, Text, Title, Visit};
use crate::text::ATTACHMENTS_MAX;
use crate::views::{AttachmentKind, History, Role};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum ChatEvent {
    DirectChatCreated {
        chat: ChatId,
        by: PersonId,
        with: PersonId,
        at: Timestamp,
    },
    GroupCreated {
        chat: ChatId,
        /// Its owner.
        by: PersonId,
        title: Personal<Title>,
        history: History,
        /// The others, in their order.
        members: Vec<PersonId>,
        at: Timestamp,
    },
    GroupRenamed {
        chat: ChatId,
        by: PersonId,
        title: Personal<Title>,
        /// It stands after the message with this number; 0 for before the first. So with the others.
        after_number: u64,
        at: Timestamp,
    },
    MemberAdded {
        chat: ChatId,
        by: PersonId,
        person: PersonId,
        /// All that the person may read from now on; so with the next three.
        sees: Vec<Span>,
        after_number: u64,
        at: Timestamp,
    },
    /// By an invitation.
    MemberJoined {
        chat: ChatId,
        person: PersonId,
        invite: InviteId,
        sees: Vec<Span>,
        after_number: u64,
        at: Timestamp,
    },
    MemberLeft {
        chat: ChatId,
        person: PersonId,
        sees: Vec<Span>,
        after_number: u64,
        at: Timestamp,
    },
    MemberRemoved {
        chat: ChatId,
        by: PersonId,
        person: PersonId,
        sees: Vec<Span>,
        after_number: u64,
        at: Timestamp,
    },
    RoleSet {
        chat: ChatId,
        by: PersonId,
        person: PersonId,
        role: Role,
        after_number: u64,
        at: Timestamp,
    },
    InviteCreated {
        chat: ChatId,
        by: PersonId,
        invite: InviteId,
        expires_at: Timestamp,
        /// How often it may be accepted; without end if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        uses: Option<u32>,
        at: Timestamp,
    },
    InviteRevoked {
        chat: ChatId,
        by: PersonId,
        invite: InviteId,
        at: Timestamp,
    },
    ChatDissolved {
        chat: ChatId,
        by: PersonId,
        after_number: u64,
        at: Timestamp,
    },
    MessageSent {
        chat: ChatId,
        author: PersonId,
        message_id: MessageId,
        /// Dense in the chat: 1, 2, 3 …
        number: u64,
        /// Sealed under its author's key, or of who wrote it first.
        text: Personal<Text>,
        sent_at: Timestamp,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reply_to: Option<u64>,
        /// Since version 2.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        attachments: Vec<Attachment>,
        /// Who wrote it first, where it was passed on. Since version 2.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        forwarded_from: Option<PersonId>,
    },
}

impl ChatEvent {
    /// Whose it is.
    pub fn chat(&self) -> ChatId {
        match self {
            Self::DirectChatCreated { chat, .. }
            | Self::GroupCreated { chat, .. }
            | Self::GroupRenamed { chat, .. }
            | Self::MemberAdded { chat, .. }
            | Self::MemberJoined { chat, .. }
            | Self::MemberLeft { chat, .. }
            | Self::MemberRemoved { chat, .. }
            | Self::RoleSet { chat, .. }
            | Self::InviteCreated { chat, .. }
            | Self::InviteRevoked { chat, .. }
            | Self::ChatDissolved { chat, .. }
            | Self::MessageSent { chat, .. } => *chat,
        }
    }

    /// Who comes into the chat with it.
    pub fn newcomers(&self) -> Vec<PersonId> {
        match self {
            Self::DirectChatCreated { by, with, .. } => vec![*by, *with],
            Self::GroupCreated { by, members, .. } => [by].into_iter().chain(members).copied().collect(),
            Self::MemberAdded { person, .. } | Self::MemberJoined { person, .. } => vec![*person],
            _ => Vec::new(),
        }
    }
}

/// A blob that a message carries; sealed under the key that its text is sealed under.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attachment {
    pub blob: BlobId,
    pub kind: AttachmentKind,
    /// As `image/jpeg`; of a file, what its sender said.
    pub media_type: String,
    /// Bytes before sealing.
    pub size: u64,
    /// Pixels, of an image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    pub name: Personal<FileName>,
}

/// The wire names under which the names of attachments are sealed.
pub const ATTACHMENT_NAMES: [&str; ATTACHMENTS_MAX] = [
    "attachments/0/name",
    "attachments/1/name",
    "attachments/2/name",
    "attachments/3/name",
    "attachments/4/name",
    "attachments/5/name",
    "attachments/6/name",
    "attachments/7/name",
    "attachments/8/name",
    "attachments/9/name",
];

/// A stretch of messages that somebody may read, both ends included; without `last` it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Span {
    pub first: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<u64>,
}

impl Span {
    pub fn holds(&self, number: u64) -> bool {
        self.first <= number && self.last.is_none_or(|last| number <= last)
    }
}

/// Whose words a message holds, and whose key seals them: a forwarded message is of whoever wrote it first.
pub fn first_author(author: PersonId, forwarded_from: Option<PersonId>) -> PersonId {
    forwarded_from.unwrap_or(author)
}

impl Personals for ChatEvent {
    fn personals(&mut self, visit: Visit<'_>) {
        match self {
            Self::GroupCreated { by, title, .. } | Self::GroupRenamed { by, title, .. } => {
                visit("title", *by, title);
            }
            Self::MessageSent { author, text, attachments, forwarded_from, .. } => {
                let whose = first_author(*author, *forwarded_from);
                visit("text", whose, text);
                for (field, attachment) in ATTACHMENT_NAMES.iter().zip(attachments) {
                    visit(field, whose, &mut attachment.name);
                }
            }
            _ => {}
        }
    }
}
