//! Messages: sending, and everything that can be done with one that was sent.

use domain::Timestamp;
use domain::ids::{BlobId, ChatId, MessageId};
use domain::requests::{ChatMessage, Done, EditMessage, Forward, MarkRead, React, Report, Send, Sent};
use domain::views::{List, Messages, ReportReason, Version};

use super::transport::{command, query};
use super::{Answer, SignedIn};
use crate::browser::new_key;
use crate::format::machine;

/// The longest side of a preview, in pixels.
pub const PREVIEW: u32 = 640;
/// How many messages a page of history has.
pub const PAGE: usize = 50;

/// Which page of a chat's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    Newest,
    /// The newest of those with a smaller number.
    Before(u64),
    /// The oldest of those with a greater number.
    After(u64),
    /// The oldest of those sent at this time or later.
    Since(Timestamp),
}

/// Where the bytes of an attachment are: whole, or (of an image) fitted into a square of `size` pixels.
pub fn blob_path(blob: BlobId, size: Option<u32>) -> String {
    match size {
        Some(size) => format!("/query/v1/blobs/{blob}?size={size}"),
        None => format!("/query/v1/blobs/{blob}"),
    }
}

impl SignedIn {
    /// Oldest first, whichever the page.
    pub async fn messages(self, chat: ChatId, page: Page) -> Answer<Messages> {
        let page = match page {
            Page::Newest => String::new(),
            Page::Before(number) => format!("&before={number}"),
            Page::After(number) => format!("&after={number}"),
            Page::Since(time) => format!("&from={}", machine(time)),
        };
        query(format!("/chats/{chat}/messages?limit={PAGE}{page}")).await
    }

    /// Every wording of an edited message, the first one first.
    pub async fn versions(self, chat: ChatId, number: u64) -> Answer<List<Version>> {
        query(format!("/chats/{chat}/messages/{number}/versions")).await
    }

    /// `id` is the command's key as well, so that sending again never makes a second message.
    pub async fn send(self, id: MessageId, body: &Send) -> Answer<Sent> {
        command("send", body, id.0).await
    }

    pub async fn edit_message(self, chat_id: ChatId, number: u64, text: String) -> Answer<Done> {
        command("edit_message", &EditMessage { chat_id, number, text }, new_key()).await
    }

    /// One's own.
    pub async fn delete_message(self, chat_id: ChatId, number: u64) -> Answer<Done> {
        command("delete_message", &ChatMessage { chat_id, number }, new_key()).await
    }

    /// Anybody's, as a moderator.
    pub async fn remove_message(self, chat_id: ChatId, number: u64) -> Answer<Done> {
        command("remove_message", &ChatMessage { chat_id, number }, new_key()).await
    }

    /// Without an emoji the own one is taken back.
    pub async fn react(self, chat_id: ChatId, number: u64, emoji: Option<String>) -> Answer<Done> {
        command("react", &React { chat_id, number, emoji }, new_key()).await
    }

    /// Passes `number` of `from` on into `chat_id`; `id` is the new message's, and the command's key.
    pub async fn forward(self, id: MessageId, chat_id: ChatId, from: ChatId, number: u64) -> Answer<Sent> {
        command("forward", &Forward { chat_id, from_chat_id: from, number }, id.0).await
    }

    pub async fn report(self, chat_id: ChatId, number: u64, reason: ReportReason) -> Answer<Done> {
        command("report", &Report { chat_id, number, reason }, new_key()).await
    }

    pub async fn mark_read(self, chat_id: ChatId, number: u64) -> Answer<Done> {
        command("mark_read", &MarkRead { chat_id, number }, new_key()).await
    }
}
