//! A message in a few words, for where there is room for no more.

use domain::views::{Attachment, AttachmentKind, Deleted, Message};

use crate::i18n::{t, t_with};

/// What stands in place of a message that was deleted.
pub fn deleted_text(by: Deleted) -> String {
    match by {
        Deleted::Author => t("message.deleted.author"),
        Deleted::Moderator => t("message.deleted.moderator"),
    }
}

/// The text of a message, or what it carries.
pub fn gist(message: &Message) -> String {
    match (message.deleted, &message.attachments[..]) {
        (Some(by), _) => deleted_text(by),
        _ if message.collapsed => t("message.collapsed"),
        (None, [first, ..]) if message.text.trim().is_empty() => carried(first),
        (None, _) => message.text.clone(),
    }
}

fn carried(attachment: &Attachment) -> String {
    match attachment.kind {
        AttachmentKind::Image => t("attachment.picture"),
        AttachmentKind::File => t_with("attachment.file", &[("name", &attachment.name)]),
    }
}
