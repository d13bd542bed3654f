//! Own messages before they are sent. They show at once, survive a reload, and go out one after the other.

use std::sync::atomic::Ordering;

use domain::Timestamp;
use domain::ids::{ChatId, MessageId};
use domain::requests::{Carried, Send};
use domain::views::{Attachment, Author, Message, PersonState, ReplyTo};
use leptos::prelude::*;
use leptos::task::spawn_local;
use serde::{Deserialize, Serialize};

use super::conversation::{Conversation, Delivery, Entry, Item};
use super::{Phase, Store};
use crate::api::Failure;
use crate::browser::{new_key, now, storage};

/// An unsent message as the browser keeps it.
#[derive(Serialize, Deserialize)]
struct Unsent {
    id: MessageId,
    text: String,
    /// Microseconds since 1970 UTC.
    at: i64,
    reply_to: Option<ReplyTo>,
    #[serde(default)]
    attachments: Vec<Attachment>,
    failed: bool,
}

/// What is typed and not sent, one text a chat.
pub mod drafts {
    use domain::ids::{ChatId, PersonId};

    use crate::browser::storage;

    fn key(me: PersonId, chat: ChatId) -> String {
        format!("letopis:{me}:draft:{chat}")
    }

    pub fn read(me: PersonId, chat: ChatId) -> String {
        storage::get(&key(me, chat)).unwrap_or_default()
    }

    pub fn keep(me: PersonId, chat: ChatId, text: &str) {
        if text.is_empty() {
            storage::remove(&key(me, chat));
        } else {
            storage::set(&key(me, chat), text);
        }
    }
}

impl Store {
    fn outbox_key(self, chat: ChatId) -> String {
        format!("letopis:{}:outbox:{chat}", self.my_id)
    }

    /// Puts a message on the screen and on its way. What it carries is uploaded already.
    pub fn send(self, conversation: &Conversation, text: String, attachments: Vec<Attachment>) {
        let unsent = Unsent {
            id: MessageId(new_key()),
            text,
            at: (now() * 1_000.0) as i64,
            reply_to: conversation.reply.get_untracked(),
            attachments,
            failed: false,
        };
        conversation.outbox.update(|rows| rows.push(self.row(conversation.chat_id, unsent)));
        if conversation.reply.with_untracked(Option::is_some) {
            conversation.reply.set(None);
        }
        if conversation.divider.with_untracked(Option::is_some) {
            conversation.divider.set(None);
        }
        self.keep_outbox(conversation);
        self.drain(conversation);
    }

    /// The row of a message that is not sent.
    fn row(self, chat_id: ChatId, unsent: Unsent) -> Entry {
        let delivery = if unsent.failed { Delivery::Failed(Failure::Offline) } else { Delivery::Pending };
        let message = Message {
            message_id: unsent.id,
            chat_id,
            number: 0,
            author: self.author(),
            text: unsent.text,
            sent_at: Timestamp(unsent.at),
            edited_at: None,
            deleted: None,
            reply_to: unsent.reply_to,
            forwarded_from: None,
            reactions: Vec::new(),
            attachments: unsent.attachments,
            collapsed: false,
        };
        Entry::new(unsent.id, Item { message, delivery })
    }

    /// Oneself, as the author of a message.
    pub(super) fn author(self) -> Author {
        self.me.with_untracked(|me| Author {
            user_id: me.user_id,
            nickname: me.nickname.clone().unwrap_or_default(),
            name: me.name.clone().unwrap_or_default(),
            photo_id: me.photo_id.clone(),
            state: PersonState::Active,
        })
    }

    /// Sends a failed message again, as the same message.
    pub fn retry(self, conversation: &Conversation, id: MessageId) {
        let row = conversation.outbox.with_untracked(|rows| rows.iter().find(|row| row.id == id).cloned());
        if let Some(row) = row {
            row.item.update(|item| item.delivery = Delivery::Pending);
            self.keep_outbox(conversation);
            self.drain(conversation);
        }
    }

    pub fn discard(self, conversation: &Conversation, id: MessageId) {
        conversation.outbox.update(|rows| rows.retain(|row| row.id != id));
        self.keep_outbox(conversation);
    }

    pub(super) fn keep_outbox(self, conversation: &Conversation) {
        let key = self.outbox_key(conversation.chat_id);
        let unsent = conversation.outbox.with_untracked(|rows| rows.iter().map(unsent).collect::<Vec<_>>());
        match serde_json::to_string(&unsent) {
            Ok(text) if !unsent.is_empty() => storage::set(&key, &text),
            _ => storage::remove(&key),
        }
    }

    /// What was unsent when the page was left: pending messages go out again, under their own keys.
    pub(super) fn restore_outbox(self, conversation: &Conversation) {
        let kept = storage::get(&self.outbox_key(conversation.chat_id));
        let unsent =
            kept.and_then(|text| serde_json::from_str::<Vec<Unsent>>(&text).ok()).unwrap_or_default();
        if unsent.is_empty() {
            return;
        }
        let rows = unsent.into_iter().map(|unsent| self.row(conversation.chat_id, unsent));
        conversation.outbox.set(rows.collect());
        self.drain(conversation);
    }

    /// Sends what was pending in any chat when the page was left.
    pub fn resume_outboxes(self) {
        let prefix = format!("letopis:{}:outbox:", self.my_id);
        for chat in storage::keys(&prefix).iter().filter_map(|key| key.strip_prefix(&prefix)?.parse().ok()) {
            self.conversation(chat);
        }
    }

    /// Sends what is pending, oldest first and one at a time, so that order is kept.
    fn drain(self, conversation: &Conversation) {
        if conversation.sending.swap(true, Ordering::Relaxed) {
            return;
        }
        let conversation = conversation.clone();
        spawn_local(async move {
            while let Some(row) =
                conversation.outbox.with_untracked(|rows| rows.iter().find(|row| row.is_pending()).cloned())
            {
                self.send_row(&conversation, row).await;
                self.keep_outbox(&conversation);
            }
            conversation.sending.store(false, Ordering::Relaxed);
        });
    }

    async fn send_row(self, conversation: &Conversation, row: Entry) {
        let message = row.item.get_untracked().message;
        let carried = message
            .attachments
            .iter()
            .map(|attachment| Carried { blob_id: attachment.blob_id, name: attachment.name.clone() });
        let body = Send {
            chat_id: conversation.chat_id,
            text: message.text.clone(),
            reply_to: message.reply_to.as_ref().map(|reply| reply.number),
            attachments: carried.collect(),
        };
        match self.api.send(row.id, &body).await {
            Ok(sent) => self.receive(Message { number: sent.number, sent_at: sent.sent_at, ..message }),
            Err(failure) if row.is_pending() => {
                row.item.update(|item| item.delivery = Delivery::Failed(failure))
            }
            // The live frame was there before the answer got lost.
            Err(_) => {}
        }
        // Without a window to go to (it is loading, or shows older ones) the row has done its work.
        if row.number().is_some() && conversation.phase.get_untracked() == Phase::Ready {
            conversation.outbox.update(|rows| rows.retain(|known| known.id != row.id));
        }
    }
}

fn unsent(row: &Entry) -> Unsent {
    row.item.with_untracked(|item| Unsent {
        id: row.id,
        text: item.message.text.clone(),
        at: item.message.sent_at.0,
        reply_to: item.message.reply_to.clone(),
        attachments: item.message.attachments.clone(),
        failed: matches!(item.delivery, Delivery::Failed(_)),
    })
}
