//! What one does about messages that are there: editing, deleting, reacting, passing on, reporting. And who can be
//! mentioned in them.

use std::sync::atomic::Ordering;

use domain::Timestamp;
use domain::ids::{ChatId, MessageId};
use domain::views::{Author, ChatKind, Deleted, Member, Message, Person, Reaction, ReportReason, Version};
use leptos::prelude::*;
use leptos::task::spawn_local;

use super::Store;
use super::conversation::Conversation;
use crate::api::Answer;
use crate::browser::now;

/// More members than this are not offered for a mention.
const MOST_NAMES: usize = 500;

impl Store {
    /// Changes an own message's text.
    pub async fn edit(self, conversation: &Conversation, number: u64, text: String) -> Answer<()> {
        self.api.edit_message(conversation.chat_id, number, text.clone()).await?;
        // The live frame brings the exact time.
        let edited_at = Some(Timestamp((now() * 1_000.0) as i64));
        self.touch(conversation, number, move |message| {
            message.text = text;
            message.edited_at = edited_at;
        });
        Ok(())
    }

    /// Takes a message away for everybody: an own one, or as a moderator another's.
    pub async fn take_away(self, conversation: &Conversation, number: u64, by: Deleted) -> Answer<()> {
        let chat_id = conversation.chat_id;
        match by {
            Deleted::Author => self.api.delete_message(chat_id, number).await?,
            Deleted::Moderator => self.api.remove_message(chat_id, number).await?,
        };
        self.touch(conversation, number, move |message| {
            message.deleted = Some(by);
            message.text.clear();
            message.reactions.clear();
            message.attachments.clear();
            (message.edited_at, message.reply_to, message.forwarded_from) = (None, None, None);
        });
        Ok(())
    }

    fn touch(self, conversation: &Conversation, number: u64, change: impl FnOnce(&mut Message)) {
        conversation.change(number, change);
        if let Some(message) = conversation.message(number) {
            self.note_touched(&message);
        }
    }

    /// Sets an emoji on a message, or takes it back if it is set. It shows at once.
    pub fn react(self, conversation: &Conversation, number: u64, emoji: &str) {
        let Some(message) = conversation.message(number) else { return };
        let before = message.reactions;
        let mine = before.iter().any(|reaction| reaction.mine && reaction.emoji == emoji);
        let emoji = (!mine).then(|| emoji.to_owned());
        let after = reacted(&before, emoji.as_deref());
        conversation.change(number, |message| message.reactions = after);
        let conversation = conversation.clone();
        spawn_local(async move {
            if let Err(failure) = self.api.react(conversation.chat_id, number, emoji).await {
                // One's own alone: others may have reacted meanwhile.
                let own = before.into_iter().find(|it| it.mine).map(|it| it.emoji);
                conversation.change(number, |message| {
                    message.reactions = reacted(&message.reactions, own.as_deref());
                });
                self.complain(&failure);
            }
        });
    }

    /// Passes a message on to another chat.
    pub async fn forward(
        self,
        id: MessageId,
        conversation: &Conversation,
        number: u64,
        to: ChatId,
    ) -> Answer<()> {
        self.api.forward(id, to, conversation.chat_id, number).await.map(drop)
    }

    pub async fn report(self, conversation: &Conversation, number: u64, reason: ReportReason) -> Answer<()> {
        self.api.report(conversation.chat_id, number, reason).await.map(drop)
    }

    /// All wordings of a message, the first one first.
    pub async fn versions(self, conversation: &Conversation, number: u64) -> Answer<Vec<Version>> {
        Ok(self.api.versions(conversation.chat_id, number).await?.items)
    }

    /// Finds out who can be mentioned here, if nobody has asked yet.
    pub fn ask_names(self, conversation: &Conversation) {
        if conversation.names_asked.swap(true, Ordering::Relaxed) {
            return;
        }
        let conversation = conversation.clone();
        spawn_local(async move {
            match self.fetch_names(&conversation).await {
                Ok(names) => conversation.names.set(names),
                // Whoever asks next tries again.
                Err(_) => conversation.names_asked.store(false, Ordering::Relaxed),
            }
        });
    }

    /// Asks again, where somebody has asked.
    pub(super) fn renew_names(self, conversation: &Conversation) {
        if conversation.names_asked.swap(false, Ordering::Relaxed) {
            self.ask_names(conversation);
        }
    }

    async fn fetch_names(self, conversation: &Conversation) -> Answer<Vec<Author>> {
        let chat_id = conversation.chat_id;
        if self.peek_chat(chat_id, |chat| chat.kind) == Some(ChatKind::Direct) {
            let peer = self.peek_chat(chat_id, |chat| chat.peer.clone()).flatten();
            return Ok(std::iter::once(self.author()).chain(peer.map(author_of)).collect());
        }
        let mut names = Vec::new();
        let mut cursor = None;
        loop {
            let page = self.api.members(chat_id, cursor.as_deref()).await?;
            names.extend(page.items.into_iter().map(|Member { person, .. }| author_of(person)));
            cursor = page.next;
            if cursor.is_none() || names.len() >= MOST_NAMES {
                return Ok(names);
            }
        }
    }
}

fn author_of(person: Person) -> Author {
    let Person { user_id, nickname, name, photo_id, state, .. } = person;
    Author { user_id, nickname, name, photo_id, state }
}

/// What reactions become when one sets `emoji` in place of what one has set before, or takes that back.
fn reacted(before: &[Reaction], emoji: Option<&str>) -> Vec<Reaction> {
    let mut after = before.to_vec();
    for reaction in after.iter_mut().filter(|reaction| reaction.mine) {
        reaction.mine = false;
        reaction.count = reaction.count.saturating_sub(1);
    }
    if let Some(emoji) = emoji {
        match after.iter_mut().find(|reaction| reaction.emoji == emoji) {
            Some(reaction) => {
                reaction.mine = true;
                reaction.count += 1;
            }
            None => after.push(Reaction { emoji: emoji.to_owned(), count: 1, mine: true }),
        }
    }
    after.retain(|reaction| reaction.count > 0);
    after.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.emoji.cmp(&b.emoji)));
    after
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reaction(emoji: &str, count: u64, mine: bool) -> Reaction {
        Reaction { emoji: emoji.to_owned(), count, mine }
    }

    #[test]
    fn one_has_one_emoji_a_message() {
        let before = [reaction("👍", 2, true), reaction("🎉", 1, false)];
        assert_eq!(reacted(&before, None), [reaction("🎉", 1, false), reaction("👍", 1, false)]);
        assert_eq!(reacted(&before, Some("🎉")), [reaction("🎉", 2, true), reaction("👍", 1, false)]);
        assert_eq!(reacted(&[reaction("👀", 1, true)], Some("👍")), [reaction("👍", 1, true)]);
        assert_eq!(reacted(&[reaction("👍", 1, true)], None), []);
    }
}
