//! Who is told of what happens in a chat: those who are in it, and whoever just went.

use std::sync::Arc;

use domain::chat::ChatEvent;
use domain::ids::{ChatId, PersonId};
use domain::live::{Ids, What};
use domain::message::MessageEvent;
use domain::read_marker::ReadMarkerEvent;
use moka::sync::Cache;
use stores::Port;
use stores::live::Notice;
use stores::timeline::Timeline;

use crate::live::notice;
use crate::projection::{Entry, ProjectionError};

/// Chats whose members are remembered.
const REMEMBERED: u64 = 10_000;

pub(crate) struct Audience {
    timeline: Port<dyn Timeline>,
    /// Who is in a chat. Only the chat's own events change that, and they pass here in order. Rows may be
    /// ahead of them: what an event says of somebody is then so already.
    members: Cache<ChatId, Arc<[PersonId]>>,
}

impl Audience {
    pub fn new(timeline: Port<dyn Timeline>) -> Self {
        Self { timeline, members: Cache::new(REMEMBERED) }
    }

    /// Who is in a chat, by rows that are `shown` or by older ones: those are not remembered.
    async fn members_of(&self, chat: ChatId, shown: bool) -> Result<Vec<PersonId>, ProjectionError> {
        if let Some(known) = self.members.get(&chat) {
            return Ok(known.to_vec());
        }
        let members = self.timeline.serving().members(chat).await?;
        let members: Vec<PersonId> =
            members.into_iter().filter(|member| !member.left).map(|member| member.person).collect();
        if shown && !members.is_empty() {
            self.remember(chat, &members);
        }
        Ok(members)
    }

    fn remember(&self, chat: ChatId, members: &[PersonId]) {
        self.members.insert(chat, members.into());
    }

    pub async fn of_chat(
        &self,
        entry: &Entry,
        event: &ChatEvent,
        shown: bool,
    ) -> Result<Vec<Notice>, ProjectionError> {
        let chat = event.chat();
        let of_chat = Ids { chat_id: Some(chat), ..Ids::default() };
        let (to, after_number) = match event {
            ChatEvent::DirectChatCreated { .. } => {
                let both = event.newcomers();
                self.remember(chat, &both);
                return Ok(vec![notice(entry, What::Chat, of_chat, both)]);
            }
            ChatEvent::MessageSent { author, number, .. } => {
                let ids = Ids { user_id: Some(*author), number: Some(*number), ..of_chat };
                let to = self.members_of(chat, shown).await?;
                return Ok(vec![notice(entry, What::Message, ids, to)]);
            }
            // Whoever may invite looks them up.
            ChatEvent::InviteCreated { .. } | ChatEvent::InviteRevoked { .. } => return Ok(Vec::new()),
            ChatEvent::GroupCreated { .. } => {
                let all = event.newcomers();
                self.remember(chat, &all);
                (all, 0)
            }
            ChatEvent::MemberAdded { person, after_number, .. }
            | ChatEvent::MemberJoined { person, after_number, .. } => {
                let mut members = self.members_of(chat, shown).await?;
                if !members.contains(person) {
                    members.push(*person);
                    self.forget_or_remember(chat, &members);
                }
                (members, *after_number)
            }
            ChatEvent::MemberLeft { person, after_number, .. }
            | ChatEvent::MemberRemoved { person, after_number, .. } => {
                let mut members = self.members_of(chat, shown).await?;
                members.retain(|member| member != person);
                self.forget_or_remember(chat, &members);
                members.push(*person);
                (members, *after_number)
            }
            ChatEvent::GroupRenamed { after_number, .. }
            | ChatEvent::RoleSet { after_number, .. }
            | ChatEvent::ChatDissolved { after_number, .. } => {
                (self.members_of(chat, shown).await?, *after_number)
            }
        };
        // As the timeline counts its lines.
        let line = Ids { number: Some(entry.sequence.saturating_sub(after_number)), ..of_chat };
        Ok(vec![notice(entry, What::Chat, of_chat, to.clone()), notice(entry, What::Line, line, to)])
    }

    /// Only what was remembered is kept up to date: the rest is read when it is needed.
    fn forget_or_remember(&self, chat: ChatId, members: &[PersonId]) {
        if self.members.contains_key(&chat) {
            self.remember(chat, members);
        }
    }

    pub async fn of_message(
        &self,
        entry: &Entry,
        event: &MessageEvent,
        shown: bool,
    ) -> Result<Option<Notice>, ProjectionError> {
        // For those who look after it alone.
        if let MessageEvent::MessageReported { .. } = event {
            return Ok(None);
        }
        let (chat, number) = event.place();
        let ids = Ids { chat_id: Some(chat), number: Some(number), ..Ids::default() };
        let to = match event {
            // Whoever has left may have it on a screen.
            MessageEvent::MessageDeleted { .. } | MessageEvent::MessageRemoved { .. } => {
                let all = self.timeline.serving().members(chat).await?;
                all.into_iter().map(|member| member.person).collect()
            }
            _ => self.members_of(chat, shown).await?,
        };
        Ok(Some(notice(entry, What::Message, ids, to)))
    }

    pub async fn of_marker(
        &self,
        entry: &Entry,
        event: &ReadMarkerEvent,
        shown: bool,
    ) -> Result<Notice, ProjectionError> {
        let (chat, person) = event.place();
        let of_chat = Ids { chat_id: Some(chat), ..Ids::default() };
        Ok(match event {
            ReadMarkerEvent::ReadUpTo { number, .. } => {
                let ids = Ids { user_id: Some(person), number: Some(*number), ..of_chat };
                notice(entry, What::Read, ids, self.members_of(chat, shown).await?)
            }
            ReadMarkerEvent::ChatPrefsSet { .. } => notice(entry, What::Chat, of_chat, vec![person]),
        })
    }
}
