//! Chats and their messages.

use domain::ids::{ChatId, MessageId, PersonId};
use domain::requests::{ChatCreated, CreateChat, Done, MarkRead, Send, Sent};
use domain::views::{Chat, List, Message};
use js_sys::encode_uri_component;

use super::transport::{command, query};
use super::{Answer, SignedIn};
use crate::browser::new_key;

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
}

impl SignedIn {
    /// One page of the list, `cursor` being the `next` of the page before.
    pub async fn chats(self, cursor: Option<&str>) -> Answer<List<Chat>> {
        let cursor = cursor.map(|it| format!("&cursor={}", String::from(encode_uri_component(it))));
        query(format!("/chats?limit=100{}", cursor.unwrap_or_default())).await
    }

    /// The answer is a `ChatAnswer`, whose position is noted on the way.
    pub async fn chat(self, chat: ChatId) -> Answer<Chat> {
        query(format!("/chats/{chat}")).await
    }

    /// Oldest first, whichever the page.
    pub async fn messages(self, chat: ChatId, page: Page) -> Answer<List<Message>> {
        let page = match page {
            Page::Newest => String::new(),
            Page::Before(number) => format!("&before={number}"),
            Page::After(number) => format!("&after={number}"),
        };
        query(format!("/chats/{chat}/messages?limit={PAGE}{page}")).await
    }

    /// The direct chat with `person`, opened if there is none yet.
    pub async fn create_chat(self, person: PersonId) -> Answer<ChatCreated> {
        command("create_chat", &CreateChat { user_id: person }, new_key()).await
    }

    /// `id` is the command's key as well, so that sending again never makes a second message.
    pub async fn send(self, id: MessageId, body: &Send) -> Answer<Sent> {
        command("send", body, id.0).await
    }

    pub async fn mark_read(self, chat_id: ChatId, number: u64) -> Answer<Done> {
        command("mark_read", &MarkRead { chat_id, number }, new_key()).await
    }
}
