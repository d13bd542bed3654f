//! People who register, befriend each other and talk.

use domain::ids::{ChatId, PersonId, SessionId};
use domain::requests::{
    ChatCreated, CreateChat, Done, EditInfo, Person as Whom, Register, Secret, Send, Sent, SignedIn,
};

use crate::api::Api;

/// Somebody with an account and a session.
#[derive(Clone)]
pub struct Person {
    pub nickname: String,
    pub email: String,
    pub password: String,
    pub id: PersonId,
    pub session: SessionId,
    pub access: String,
    pub refresh: String,
}

/// A registration that takes defaults from the nickname.
pub fn registration(nickname: &str) -> Register {
    Register {
        email: format!("{nickname}@letopis.example"),
        password: Secret(format!("{nickname}'s own password")),
        nickname: nickname.to_owned(),
        name: Some(format!("{nickname} the person")),
    }
}

impl Person {
    pub async fn register(api: &Api, nickname: &str) -> Self {
        Self::register_as(api, registration(nickname)).await
    }

    pub async fn register_as(api: &Api, register: Register) -> Self {
        let signed_in: SignedIn = api.done("register", &register).await;
        Self {
            nickname: register.nickname,
            email: register.email,
            password: register.password.0,
            id: signed_in.user_id,
            session: signed_in.session_id,
            access: signed_in.access_token.expect("no browser: the body carries it"),
            refresh: signed_in.refresh_token.expect("no browser: the body carries it"),
        }
    }

    /// This person's requests.
    pub fn on(&self, api: &Api) -> Api {
        api.by(&self.access)
    }

    pub fn whom(&self) -> Whom {
        Whom { user_id: self.id }
    }

    /// Both become friends.
    pub async fn befriend(&self, api: &Api, other: &Self) {
        self.on(api).done::<Done>("add", &other.whom()).await;
        other.on(api).done::<Done>("accept", &self.whom()).await;
    }

    /// Opens the direct chat with a friend.
    pub async fn chat_with(&self, api: &Api, other: &Self) -> ChatId {
        self.on(api).done::<ChatCreated>("create_chat", &CreateChat::direct(other.id)).await.chat_id
    }

    pub async fn say(&self, api: &Api, chat_id: ChatId, text: &str) -> Sent {
        self.on(api).done("send", &Send::text(chat_id, text)).await
    }

    pub async fn answer(&self, api: &Api, chat_id: ChatId, reply_to: u64, text: &str) -> Sent {
        let send = Send { reply_to: Some(reply_to), ..Send::text(chat_id, text) };
        self.on(api).done("send", &send).await
    }

    pub async fn tell_about(&self, api: &Api, about: &str) {
        let edit = EditInfo { nickname: None, name: None, about: Some(about.to_owned()) };
        self.on(api).done::<Done>("edit_info", &edit).await;
    }
}
