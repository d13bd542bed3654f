//! Groups: making one, who is in it, and inviting to it.

use domain::ids::{ChatId, InviteId, PersonId};
use domain::requests::{
    AcceptInvite, Chat as ChatBody, ChatCreated, ChatPerson, CreateChat, CreateInvite, Done, InviteCreated,
    RenameChat, RevokeInvite, Secret, SetRole,
};
use domain::views::{History, Invitation, Invite, List, Member, Role};
use js_sys::encode_uri_component;
use uuid::Uuid;

use super::transport::{command, query, query_with};
use super::{Answer, SignedIn};
use crate::browser::new_key;

/// How many members a page of their list has.
pub const MEMBERS: usize = 100;

impl SignedIn {
    /// `key` stays the same while the same group is asked for again.
    pub async fn create_group(
        self,
        title: String,
        members: Vec<PersonId>,
        history: History,
        key: Uuid,
    ) -> Answer<ChatCreated> {
        let member_ids = (!members.is_empty()).then_some(members);
        let body = CreateChat { user_id: None, title: Some(title), member_ids, history: Some(history) };
        command("create_chat", &body, key).await
    }

    pub async fn rename_chat(self, chat_id: ChatId, title: String) -> Answer<Done> {
        command("rename_chat", &RenameChat { chat_id, title }, new_key()).await
    }

    pub async fn add_member(self, chat_id: ChatId, user_id: PersonId) -> Answer<Done> {
        command("add_member", &ChatPerson { chat_id, user_id }, new_key()).await
    }

    pub async fn remove_member(self, chat_id: ChatId, user_id: PersonId) -> Answer<Done> {
        command("remove_member", &ChatPerson { chat_id, user_id }, new_key()).await
    }

    pub async fn set_role(self, chat_id: ChatId, user_id: PersonId, role: Role) -> Answer<Done> {
        command("set_role", &SetRole { chat_id, user_id, role }, new_key()).await
    }

    pub async fn leave_chat(self, chat_id: ChatId) -> Answer<Done> {
        command("leave_chat", &ChatBody { chat_id }, new_key()).await
    }

    pub async fn dissolve_chat(self, chat_id: ChatId) -> Answer<Done> {
        command("dissolve_chat", &ChatBody { chat_id }, new_key()).await
    }

    /// One page of who is in it now, `cursor` being the `next` of the page before.
    pub async fn members(self, chat: ChatId, cursor: Option<&str>) -> Answer<List<Member>> {
        let cursor = cursor.map(|it| format!("&cursor={}", String::from(encode_uri_component(it))));
        query(format!("/chats/{chat}/members?limit={MEMBERS}{}", cursor.unwrap_or_default())).await
    }

    /// `key` stays the same while the same link is asked for again.
    pub async fn create_invite(self, body: &CreateInvite, key: Uuid) -> Answer<InviteCreated> {
        command("create_invite", body, key).await
    }

    pub async fn revoke_invite(self, chat_id: ChatId, invite_id: InviteId) -> Answer<Done> {
        command("revoke_invite", &RevokeInvite { chat_id, invite_id }, new_key()).await
    }

    pub async fn invites(self, chat: ChatId) -> Answer<List<Invite>> {
        query(format!("/chats/{chat}/invites")).await
    }

    /// What an invitation leads to. The token goes in a header: addresses end up in logs.
    pub async fn invitation(self, token: &str) -> Answer<Invitation> {
        query_with("/invite".to_owned(), ("X-Letopis-Invite", token)).await
    }

    /// `key` stays the same while the same invitation is accepted again.
    pub async fn accept_invite(self, token: &str, key: Uuid) -> Answer<ChatCreated> {
        command("accept_invite", &AcceptInvite { token: Secret(token.to_owned()) }, key).await
    }
}
