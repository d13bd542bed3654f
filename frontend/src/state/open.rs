//! The open conversation: loading it, paging through it, telling how far it is read.

use std::sync::atomic::Ordering;

use domain::Timestamp;
use domain::ids::ChatId;
use leptos::prelude::*;
use leptos::task::spawn_local;

use super::conversation::{Conversation, Paging, Window};
use super::{Phase, Store};
use crate::api::{Answer, PAGE, Page};
use crate::browser::{now, sleep};

/// With more unread messages than this a conversation opens at the first of them, else at the newest.
const MANY_UNREAD: u64 = 40;
/// How many read messages then stand above the first unread one.
const CONTEXT: u64 = 15;
/// How far one has read is told at most this often, in milliseconds.
const READ_PAUSE: f64 = 2_000.0;

/// When a chat's read mark was last told, and what is still to tell.
#[derive(Clone, Copy, Default)]
pub(super) struct ReadMark {
    told_at: f64,
    wanted: Option<u64>,
}

impl Store {
    /// The conversation of a chat, as it was left or new.
    pub fn conversation(self, id: ChatId) -> Conversation {
        if let Some(known) = self.conversations.with_value(|all| all.get(&id).cloned()) {
            return known;
        }
        let fresh = Conversation::new(id);
        self.conversations.update_value(|all| {
            all.insert(id, fresh.clone());
        });
        self.restore_outbox(&fresh);
        fresh
    }

    pub(super) fn known_conversation(self, id: ChatId) -> Option<Conversation> {
        self.conversations.with_value(|all| all.get(&id).cloned())
    }

    /// After a gap in the live frames nothing that is held can be trusted to be whole.
    pub fn doubt_conversations(self) {
        self.conversations.with_value(|all| {
            for conversation in all.values() {
                conversation.stale.store(true, Ordering::Relaxed);
            }
        });
    }

    /// Makes a conversation ready to be looked at: loads it, or what it has missed.
    pub async fn visit(self, conversation: &Conversation) {
        let id = conversation.chat_id;
        if self.peek_chat(id, |_| ()).is_none()
            && let Err(failure) = self.refresh_chat(id).await
            && self.peek_chat(id, |_| ()).is_none()
        {
            conversation.phase.set(Phase::Failed(failure));
            return;
        }
        let unread_from = self.peek_chat(id, |chat| (chat.unread > 0).then_some(chat.read_number)).flatten();
        if conversation.divider.get_untracked() != unread_from {
            conversation.divider.set(unread_from);
        }
        if conversation.phase.get_untracked() == Phase::Ready {
            if conversation.stale.load(Ordering::Relaxed) {
                self.renew(conversation).await;
            }
        } else {
            self.load(conversation).await;
        }
    }

    /// Loads a conversation from nothing.
    pub async fn load(self, conversation: &Conversation) {
        conversation.phase.set(Phase::Loading);
        let id = conversation.chat_id;
        let many =
            self.peek_chat(id, |chat| (chat.unread > MANY_UNREAD).then_some(chat.read_number)).flatten();
        let page = many.map_or(Page::Newest, |read| Page::After(read.saturating_sub(CONTEXT)));
        match self.show(conversation, page).await {
            Ok(()) => {
                conversation.phase.set(Phase::Ready);
                // What came live while the page was on its way.
                let last = conversation.window.with_untracked(Window::last).unwrap_or(0);
                let behind = self.peek_chat(id, |chat| chat.last_number > last).unwrap_or(false);
                if behind && !conversation.window.with_untracked(|window| window.newer) {
                    self.catch_up(conversation).await;
                }
            }
            Err(failure) => conversation.phase.set(Phase::Failed(failure)),
        }
    }

    /// Shows one page in place of what is there.
    async fn show(self, conversation: &Conversation, page: Page) -> Answer<()> {
        let messages = self.api.messages(conversation.chat_id, page).await?;
        conversation.stale.store(false, Ordering::Relaxed);
        let full = messages.items.len() == PAGE;
        let first = messages.items.first().map_or(1, |message| message.number);
        let (older, newer) = match page {
            Page::After(_) | Page::Since(_) => (first > 1, full),
            Page::Newest | Page::Before(_) => (full && first > 1, matches!(page, Page::Before(_))),
        };
        conversation.window.update(|window| window.replace(messages, older, newer));
        Ok(())
    }

    pub async fn show_newest(self, conversation: &Conversation) {
        if let Err(failure) = self.show(conversation, Page::Newest).await {
            self.complain(&failure);
        }
    }

    /// Shows the part of the history that `number` is in.
    pub async fn show_around(self, conversation: &Conversation, number: u64) {
        let half = u64::try_from(PAGE / 2).unwrap_or(25);
        if let Err(failure) = self.show(conversation, Page::After(number.saturating_sub(half))).await {
            self.complain(&failure);
        }
    }

    /// Shows what was said at that time and later, and gives the number of the first message.
    pub async fn show_since(self, conversation: &Conversation, from: Timestamp) -> Answer<Option<u64>> {
        let page = self.api.messages(conversation.chat_id, Page::Since(from)).await?;
        let Some(first) = page.items.first().map(|message| message.number) else { return Ok(None) };
        let full = page.items.len() == PAGE;
        conversation.window.update(|window| window.replace(page, first > 1, full));
        Ok(Some(first))
    }

    /// One more page of older messages; false if there was nothing to do. `before` is called right before the
    /// rows change.
    pub async fn page_older(self, conversation: &Conversation, before: impl FnOnce()) -> bool {
        let Some(first) =
            conversation.window.with_untracked(|window| window.older.then(|| window.first()).flatten())
        else {
            return false;
        };
        if !begin(conversation, Paging::Older) {
            return false;
        }
        let page = self.api.messages(conversation.chat_id, Page::Before(first)).await;
        match page {
            Ok(page) => {
                // In the meantime the window may have gone elsewhere.
                if conversation.window.with_untracked(Window::first) == Some(first) {
                    before();
                    conversation.window.update(|window| window.prepend(page));
                }
                conversation.paging.set(Paging::Idle);
            }
            Err(failure) => conversation.paging.set(Paging::Failed(failure)),
        }
        true
    }

    /// One more page of newer messages, like [`page_older`](Self::page_older).
    pub async fn page_newer(self, conversation: &Conversation, before: impl FnOnce()) -> bool {
        if !conversation.window.with_untracked(|window| window.newer) {
            return false;
        }
        self.append(conversation, before).await
    }

    /// Asks again for what the window shows, for it may have been touched unheard, and for what has come since.
    async fn renew(self, conversation: &Conversation) {
        let range = conversation.window.with_untracked(|window| window.first().zip(window.last()));
        if let Some((first, last)) = range {
            if !begin(conversation, Paging::Newer) {
                return;
            }
            let mut after = first - 1;
            while after < last {
                let Ok(page) = self.api.messages(conversation.chat_id, Page::After(after)).await else {
                    break;
                };
                let Some(end) = page.items.last().map(|message| message.number) else { break };
                after = end;
                conversation.window.update(|window| window.renew(page));
            }
            conversation.paging.set(Paging::Idle);
            if after < last {
                return;
            }
        }
        if conversation.window.with_untracked(|window| window.newer) {
            conversation.stale.store(false, Ordering::Relaxed);
        } else {
            self.catch_up(conversation).await;
        }
    }

    /// What the window misses at its newer end.
    pub(super) async fn catch_up(self, conversation: &Conversation) {
        self.append(conversation, || {}).await;
    }

    async fn append(self, conversation: &Conversation, before: impl FnOnce()) -> bool {
        if !begin(conversation, Paging::Newer) {
            return false;
        }
        let last = conversation.window.with_untracked(Window::last);
        let page = self.api.messages(conversation.chat_id, Page::After(last.unwrap_or(0))).await;
        conversation.paging.set(Paging::Idle);
        if let Ok(page) = page {
            conversation.stale.store(false, Ordering::Relaxed);
            let ids = page.items.iter().map(|message| message.message_id).collect::<Vec<_>>();
            if conversation.window.with_untracked(Window::last) == last {
                before();
                conversation.window.update(|window| window.append(page));
            }
            // A message that is in the history is not waiting any more.
            if conversation.outbox.with_untracked(|rows| rows.iter().any(|row| ids.contains(&row.id))) {
                conversation.outbox.update(|rows| rows.retain(|row| !ids.contains(&row.id)));
                self.keep_outbox(conversation);
            }
        }
        true
    }

    /// Marks everything up to `number` as read: at once here, soon on the server.
    pub fn mark_read(self, id: ChatId, number: u64) {
        if self.peek_chat(id, |chat| chat.read_number < number || chat.unread > 0) != Some(true) {
            return;
        }
        self.with_chat(id, |chat| {
            chat.read_number = chat.read_number.max(number);
            chat.unread = 0;
        });
        let mut mark = self.read_marks.with_value(|marks| marks.get(&id).copied().unwrap_or_default());
        let waiting = mark.wanted.is_some();
        mark.wanted = Some(number.max(mark.wanted.unwrap_or(0)));
        self.read_marks.update_value(|marks| {
            marks.insert(id, mark);
        });
        if waiting {
            return;
        }
        let pause = (READ_PAUSE - (now() - mark.told_at)).clamp(0.0, READ_PAUSE);
        spawn_local(async move {
            sleep(pause as u32).await;
            let mut wanted = None;
            self.read_marks.update_value(|marks| {
                wanted =
                    marks.insert(id, ReadMark { told_at: now(), wanted: None }).and_then(|mark| mark.wanted);
            });
            if let Some(number) = wanted {
                // If it fails, the next message that is read tells it.
                let _ = self.api.mark_read(id, number).await;
            }
        });
    }
}

/// Starts paging unless some is under way.
fn begin(conversation: &Conversation, paging: Paging) -> bool {
    if matches!(conversation.paging.get_untracked(), Paging::Older | Paging::Newer) {
        return false;
    }
    conversation.paging.set(paging);
    true
}
