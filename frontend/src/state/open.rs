//! The open conversation: loading it, paging through it, telling how far it is read.

use domain::Timestamp;
use domain::ids::{ChatId, MessageId};
use domain::views::{Messages, Relation};
use leptos::prelude::*;
use leptos::task::spawn_local;

use super::conversation::{Conversation, Paging};
use super::window::Window;
use super::{Phase, Store};
use crate::api::{AGAIN, Answer, Failure, PAGE, Page, persist};
use crate::browser::{now, sleep};
use crate::route::Route;

/// With more unread messages than this a conversation opens at the first of them, else at the newest.
const MANY_UNREAD: u64 = 40;
/// How many read messages then stand above the first unread one.
const CONTEXT: u64 = 15;
/// How far one has read is told at most this often, in milliseconds.
const READ_PAUSE: f64 = 2_000.0;
/// How often it is told again if it does not get through.
const TRIES: u32 = 100;
/// Between two looks whether paging has ended, in milliseconds.
const TURN: u32 = 100;

/// When a chat's read mark was last told, and what is still to tell.
pub(super) struct ReadMark {
    chat_id: ChatId,
    told_at: f64,
    wanted: Option<u64>,
}

impl Store {
    /// The conversation of a chat, as it was left or new.
    pub fn conversation(self, id: ChatId) -> Conversation {
        if let Some(known) = self.known_conversation(id) {
            return known;
        }
        let fresh = Conversation::new(id);
        self.conversations.update_value(|all| all.push(fresh.clone()));
        self.restore_outbox(&fresh);
        fresh
    }

    pub(super) fn known_conversation(self, id: ChatId) -> Option<Conversation> {
        self.conversations.with_value(|all| all.iter().find(|it| it.chat_id == id).cloned())
    }

    /// After a gap in the live frames nothing that is held can be trusted to be whole.
    pub fn doubt_conversations(self) {
        self.conversations.with_value(|all| {
            for conversation in all {
                conversation.doubt();
            }
        });
    }

    /// Somebody was blocked, or is no more: in groups their messages read otherwise now, and count otherwise.
    pub(super) fn blocks_changed(self) {
        self.doubt_conversations();
        spawn_local(async move {
            let _ = self.load_chats().await;
            self.revisit().await;
        });
    }

    /// Brings what is open up to date.
    pub(super) async fn revisit(self) {
        if let Route::Chats(Some(open)) = self.router.peek()
            && let Some(conversation) = self.known_conversation(open)
        {
            self.visit(&conversation).await;
        }
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
        if self.peek_chat(id, |chat| chat.peer.as_ref().is_some_and(|it| it.relation != Relation::Friends))
            == Some(true)
        {
            // Whether those who are no friends write to each other hangs on their groups, of which nothing is told here.
            self.refetch_chat(Some(id));
        }
        let unread_from = self.peek_chat(id, |chat| (chat.unread > 0).then_some(chat.read_number)).flatten();
        if conversation.divider.get_untracked() != unread_from {
            conversation.divider.set(unread_from);
        }
        if conversation.phase.get_untracked() == Phase::Ready {
            if conversation.is_doubted() {
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
                if self.is_behind(conversation) {
                    self.catch_up(conversation).await;
                }
                if conversation.is_doubted() {
                    self.renew(conversation).await;
                }
            }
            Err(failure) => conversation.phase.set(Phase::Failed(failure)),
        }
    }

    async fn page(self, conversation: &Conversation, page: Page) -> Answer<Messages> {
        conversation.awaiting(self.api.messages(conversation.chat_id, page)).await
    }

    /// Shows one page in place of what is there.
    async fn show(self, conversation: &Conversation, page: Page) -> Answer<()> {
        let doubts = conversation.doubts();
        let messages = self.page(conversation, page).await?;
        conversation.trust(doubts);
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
        match self.show(conversation, Page::Newest).await {
            Ok(()) if self.is_behind(conversation) => self.catch_up(conversation).await,
            Ok(()) => {}
            Err(failure) => self.complain(&failure),
        }
    }

    /// Whether messages came live while a page was on its way that is to end in the newest one.
    fn is_behind(self, conversation: &Conversation) -> bool {
        let (last, newer) =
            conversation.window.with_untracked(|window| (window.last().unwrap_or(0), window.newer));
        !newer && self.peek_chat(conversation.chat_id, |chat| chat.last_number > last) == Some(true)
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
        let page = self.page(conversation, Page::Since(from)).await?;
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
        let page = self.page(conversation, Page::Before(first)).await;
        match page {
            Ok(page) => {
                // In the meantime the window may have gone elsewhere.
                if conversation.window.with_untracked(Window::first) == Some(first) {
                    before();
                    conversation.window.update(|window| window.prepend(page));
                }
                conversation.paging.set(Paging::Idle);
            }
            Err(_) => conversation.paging.set(Paging::Failed { older: true }),
        }
        true
    }

    /// One more page of newer messages, like [`page_older`](Self::page_older).
    pub async fn page_newer(self, conversation: &Conversation, before: impl FnOnce()) -> bool {
        if !conversation.window.with_untracked(|window| window.newer) && !self.is_behind(conversation) {
            if conversation.paging.get_untracked() == (Paging::Failed { older: false }) {
                conversation.paging.set(Paging::Idle);
            }
            return false;
        }
        self.append(conversation, before).await
    }

    /// Asks again for what the window shows, for it may have been touched unheard, and for what has come since. Other
    /// paging ends first.
    async fn renew(self, conversation: &Conversation) {
        while !begin(conversation, Paging::Newer) {
            sleep(TURN).await;
        }
        if conversation.is_doubted() {
            let doubts = conversation.doubts();
            if self.ask_again(conversation).await.is_ok() {
                conversation.trust(doubts);
            }
        }
        conversation.paging.set(Paging::Idle);
        // A message that came meanwhile was for nobody to take in.
        if self.is_behind(conversation) {
            self.catch_up(conversation).await;
        }
    }

    async fn ask_again(self, conversation: &Conversation) -> Answer<()> {
        let range = conversation.window.with_untracked(|window| window.first().zip(window.last()));
        if let Some((first, last)) = range {
            let mut after = first - 1;
            while after < last {
                let page = self.page(conversation, Page::After(after)).await?;
                let Some(end) = page.items.last().map(|message| message.number) else { break };
                after = end;
                conversation.window.update(|window| window.renew(page));
            }
        }
        if conversation.window.with_untracked(|window| window.newer) {
            return Ok(());
        }
        self.fetch_newer(conversation, || {}).await
    }

    /// What the window misses at its newer end.
    pub(super) async fn catch_up(self, conversation: &Conversation) {
        self.append(conversation, || {}).await;
    }

    async fn append(self, conversation: &Conversation, before: impl FnOnce()) -> bool {
        if !begin(conversation, Paging::Newer) {
            return false;
        }
        let last = || conversation.window.with_untracked(Window::last);
        let mut before_it = last();
        let mut fetched = self.fetch_newer(conversation, before).await;
        while fetched.is_ok() && self.is_behind(conversation) && last() != before_it {
            before_it = last();
            fetched = self.fetch_newer(conversation, || {}).await;
        }
        // The next message asks again as well.
        conversation.paging.set(if fetched.is_ok() { Paging::Idle } else { Paging::Failed { older: false } });
        true
    }

    async fn fetch_newer(self, conversation: &Conversation, before: impl FnOnce()) -> Answer<()> {
        let last = conversation.window.with_untracked(Window::last);
        let page = self.page(conversation, Page::After(last.unwrap_or(0))).await?;
        let mine = page.items.iter().filter(|it| it.author.user_id == self.my_id);
        let arrived: Vec<MessageId> = mine.map(|message| message.message_id).collect();
        if conversation.window.with_untracked(Window::last) == last {
            before();
            conversation.window.update(|window| window.append(page));
        }
        // A message that is in the history is not waiting any more.
        if conversation.outbox.with_untracked(|rows| rows.iter().any(|row| arrived.contains(&row.id))) {
            conversation.outbox.update(|rows| rows.retain(|row| !arrived.contains(&row.id)));
            self.keep_outbox(conversation);
        }
        Ok(())
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
        let mut waiting = false;
        let mut told_at = 0.0;
        self.read_marks.update_value(|marks| {
            let mark = mark_of(marks, id);
            (waiting, told_at) = (mark.wanted.is_some(), mark.told_at);
            mark.wanted = mark.wanted.max(Some(number));
        });
        if waiting {
            return;
        }
        let pause = (READ_PAUSE - (now() - told_at)).clamp(0.0, READ_PAUSE);
        spawn_local(async move {
            sleep(pause as u32).await;
            let mut wanted = None;
            self.read_marks.update_value(|marks| {
                let mark = mark_of(marks, id);
                (wanted, mark.told_at) = (mark.wanted.take(), now());
            });
            let Some(number) = wanted else { return };
            let pause = |it: &Failure| if *it == Failure::Offline { Some(AGAIN) } else { it.pause() };
            let _ = persist(TRIES, pause, async || self.api.mark_read(id, number).await).await;
        });
    }
}

fn mark_of(marks: &mut Vec<ReadMark>, chat_id: ChatId) -> &mut ReadMark {
    let at = marks.iter().position(|mark| mark.chat_id == chat_id).unwrap_or(marks.len());
    if at == marks.len() {
        marks.push(ReadMark { chat_id, told_at: 0.0, wanted: None });
    }
    &mut marks[at]
}

/// Starts paging unless some is under way.
fn begin(conversation: &Conversation, paging: Paging) -> bool {
    if matches!(conversation.paging.get_untracked(), Paging::Older | Paging::Newer) {
        return false;
    }
    conversation.paging.set(paging);
    true
}
