//! Own messages before they are sent. They show at once, survive a reload, and go out one after the other.

use std::sync::atomic::Ordering;

use domain::Timestamp;
use domain::ids::{ChatId, MessageId};
use domain::problem::{Kind, Problem};
use domain::requests::{Carried, Send};
use domain::views::{Attachment, Author, Message, PersonState, ReplyTo};
use leptos::prelude::*;
use leptos::task::spawn_local;
use serde::{Deserialize, Serialize};

use super::conversation::{Conversation, Delivery, Entry, Item};
use super::uploads::Upload;
use super::{Phase, Store};
use crate::api::{Failure, persist};
use crate::browser::{new_key, now, storage, tab};
use crate::i18n::t;

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
    /// Some of what it carries has not arrived, and is nowhere but in the page.
    #[serde(default)]
    loading: bool,
    /// The tab in which it was written.
    #[serde(default)]
    tab: String,
    /// The type of the problem for which the server did not take it; what merely did not get through goes out again by
    /// itself.
    #[serde(default)]
    refused: Option<String>,
}

/// How often a busy server may put a message off.
pub(super) const PUT_OFF: u32 = 10;
/// After so long a tab that was uploading is gone, in milliseconds.
const ABANDONED: f64 = 3_600_000.0;

fn kept(key: &str) -> Vec<Unsent> {
    storage::get(key).and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
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

    /// Puts a message on the screen and on its way. What it carries may still be on its own.
    pub fn send(self, conversation: &Conversation, text: String, carried: Vec<Upload>) {
        let id = MessageId(new_key());
        let unsent = Unsent {
            id,
            text,
            at: (now() * 1_000.0) as i64,
            reply_to: conversation.reply.get_untracked(),
            attachments: Vec::new(),
            loading: false,
            tab: tab(),
            refused: None,
        };
        self.own_unsent.update_value(|own| own.push(id));
        self.carry(conversation, id, carried);
        conversation.outbox.update(|rows| rows.push(self.row(conversation.chat_id, unsent)));
        self.look_at_uploads(conversation, id);
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
        let delivery = match unsent.refused {
            Some(r#type) => {
                let problem = Problem { r#type, ..Problem::new(Kind::NotPermitted) };
                Delivery::Failed(Failure::Refused(Box::new(problem)))
            }
            None => Delivery::Pending,
        };
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
        Entry::new(Item { message, delivery })
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
        if let Some(row) = conversation.unsent(id) {
            row.item.update(|item| item.delivery = Delivery::Pending);
            self.upload_again(id);
            self.keep_outbox(conversation);
            self.drain(conversation);
        }
    }

    /// Sends again what did not get through, now that something does.
    pub fn retry_unheard(self) {
        let unheard = |row: &Entry| {
            row.item.with_untracked(|it| match &it.delivery {
                Delivery::Failed(failure) => *failure == Failure::Offline || failure.pause().is_some(),
                _ => false,
            })
        };
        for conversation in self.conversations.get_value() {
            let rows = conversation.outbox.get_untracked();
            rows.iter().filter(|row| unheard(row)).for_each(|row| self.retry(&conversation, row.id));
        }
    }

    pub fn discard(self, conversation: &Conversation, id: MessageId) {
        conversation.outbox.update(|rows| rows.retain(|row| row.id != id));
        self.drop_carried(id);
        self.keep_outbox(conversation);
    }

    pub(super) fn keep_outbox(self, conversation: &Conversation) {
        let key = self.outbox_key(conversation.chat_id);
        // Those of other tabs stay as they are.
        let mut unsent = kept(&key);
        unsent.retain(|unsent| self.own_unsent.with_value(|own| !own.contains(&unsent.id)));
        conversation.outbox.with_untracked(|rows| unsent.extend(rows.iter().map(|row| self.unsent(row))));
        match serde_json::to_string(&unsent) {
            Ok(text) if !unsent.is_empty() => storage::set(&key, &text),
            _ => storage::remove(&key),
        }
    }

    /// What was unsent when the page was left: pending messages go out again, under their own keys.
    pub(super) fn restore_outbox(self, conversation: &Conversation) {
        let mut unsent = kept(&self.outbox_key(conversation.chat_id));
        // What another tab may still be uploading is that one's to send.
        let (tab, lately) = (tab(), ((now() - ABANDONED) * 1_000.0) as i64);
        unsent.retain(|unsent| !unsent.loading || unsent.tab == tab || unsent.at < lately);
        if unsent.is_empty() {
            return;
        }
        self.own_unsent.update_value(|own| own.extend(unsent.iter().map(|unsent| unsent.id)));
        let (torn, whole): (Vec<_>, Vec<_>) = unsent.into_iter().partition(|unsent| unsent.loading);
        let rows = whole.into_iter().map(|unsent| self.row(conversation.chat_id, unsent));
        conversation.outbox.set(rows.collect());
        if !torn.is_empty() {
            self.unwrite(conversation.chat_id, torn);
            self.keep_outbox(conversation);
        }
        self.drain(conversation);
    }

    /// Gives back the words of messages whose files went with the page, for them to be sent with the files anew.
    fn unwrite(self, chat: ChatId, torn: Vec<Unsent>) {
        let words = torn.into_iter().map(|unsent| unsent.text).chain([drafts::read(self.my_id, chat)]);
        let words = words.filter(|text| !text.is_empty()).collect::<Vec<_>>();
        drafts::keep(self.my_id, chat, &words.join("\n"));
        self.notice.set(Some(t("attachment.lost")));
    }

    /// Sends what was pending in any chat when the page was left.
    pub fn resume_outboxes(self) {
        let prefix = format!("letopis:{}:outbox:", self.my_id);
        for chat in storage::keys(&prefix).iter().filter_map(|key| key.strip_prefix(&prefix)?.parse().ok()) {
            self.conversation(chat);
        }
    }

    /// Sends what is pending, oldest first and one at a time, so that order is kept. What waits for its files lets the
    /// others pass.
    pub(super) fn drain(self, conversation: &Conversation) {
        if conversation.sending.swap(true, Ordering::Relaxed) {
            return;
        }
        let conversation = conversation.clone();
        spawn_local(async move {
            let can_go = |row: &&Entry| row.is_pending() && self.is_uploaded(row.id);
            while let Some(row) = conversation.outbox.with_untracked(|rows| rows.iter().find(can_go).cloned())
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
        // Put off, it goes on waiting, and so do those after it, but not for ever.
        match persist(PUT_OFF, Failure::pause, async || self.api.send(row.id, &body).await).await {
            Ok(sent) => self.receive(Message { number: sent.number, sent_at: sent.sent_at, ..message }),
            Err(failure) if row.is_pending() => {
                row.item.update(|item| item.delivery = Delivery::Failed(failure));
            }
            // The live frame was there before the answer got lost.
            Err(_) => {}
        }
        if row.number().is_some() {
            self.drop_carried(row.id);
        }
        // Without a window to go to (it is loading, or shows older ones) the row has done its work.
        if row.number().is_some() && conversation.phase.get_untracked() == Phase::Ready {
            conversation.outbox.update(|rows| rows.retain(|known| known.id != row.id));
        }
    }

    /// An unsent message, to be kept.
    fn unsent(self, row: &Entry) -> Unsent {
        row.item.with_untracked(|item| Unsent {
            id: row.id,
            text: item.message.text.clone(),
            at: item.message.sent_at.0,
            reply_to: item.message.reply_to.clone(),
            attachments: item.message.attachments.clone(),
            loading: !self.is_uploaded(row.id),
            tab: tab(),
            refused: match &item.delivery {
                Delivery::Failed(failure) if failure.pause().is_some() => None,
                Delivery::Failed(Failure::Refused(problem)) => Some(problem.r#type.clone()),
                _ => None,
            },
        })
    }
}
