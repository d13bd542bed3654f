//! The list of chats, and what one sets for oneself about each.

use domain::Timestamp;
use domain::ids::{ChatId, PersonId};
use domain::requests::{ChatCreated, CreateChat, Done, SetChatPrefs};
use domain::views::{Chat, List};
use js_sys::encode_uri_component;

use super::transport::{command, query};
use super::{Answer, SignedIn};
use crate::browser::new_key;

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

    /// The direct chat with `person`, opened if there is none yet.
    pub async fn create_chat(self, person: PersonId) -> Answer<ChatCreated> {
        let body = CreateChat { user_id: Some(person), title: None, member_ids: None, history: None };
        command("create_chat", &body, new_key()).await
    }

    pub async fn pin_chat(self, chat_id: ChatId, pinned: bool) -> Answer<Done> {
        let body = SetChatPrefs { chat_id, muted_until: None, pinned: Some(pinned) };
        command("set_chat_prefs", &body, new_key()).await
    }

    /// Until when nothing is told of it; `None` for not any more.
    pub async fn mute_chat(self, chat_id: ChatId, until: Option<Timestamp>) -> Answer<Done> {
        let body = SetChatPrefs { chat_id, muted_until: Some(until), pinned: None };
        command("set_chat_prefs", &body, new_key()).await
    }
}
