//! One chat's messages as they are held for the screen: a window of at most [`ROWS`] consecutive messages, and
//! behind its newest end the own messages that are not sent yet.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use domain::Timestamp;
use domain::ids::{ChatId, MessageId};
use domain::views::{Author, Message, ReplyTo};
use leptos::prelude::*;

use super::Phase;
use crate::api::{Failure, PAGE};

/// The most messages that are on the page at once.
pub const ROWS: usize = 400;

#[derive(Clone, Debug, PartialEq)]
pub enum Delivery {
    Pending,
    Failed(Failure),
    /// Under its number in the chat.
    Sent(u64),
}

/// A message on its way or arrived.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    pub author: Author,
    pub text: String,
    pub sent_at: Timestamp,
    pub reply_to: Option<ReplyTo>,
    pub delivery: Delivery,
}

impl From<Message> for Item {
    fn from(message: Message) -> Self {
        Self {
            author: message.author,
            text: message.text,
            sent_at: message.sent_at,
            reply_to: message.reply_to,
            delivery: Delivery::Sent(message.number),
        }
    }
}

/// A row on the screen. It stays the same row when its message goes from pending to sent.
#[derive(Clone)]
pub struct Entry {
    pub id: MessageId,
    pub item: ArcRwSignal<Item>,
}

impl Entry {
    pub fn new(id: MessageId, item: Item) -> Self {
        Self { id, item: ArcRwSignal::new(item) }
    }

    pub fn number(&self) -> Option<u64> {
        self.item.with_untracked(|item| match item.delivery {
            Delivery::Sent(number) => Some(number),
            Delivery::Pending | Delivery::Failed(_) => None,
        })
    }

    pub fn is_pending(&self) -> bool {
        self.item.with_untracked(|item| item.delivery == Delivery::Pending)
    }

    /// Takes over what the server knows of the message.
    fn settle(&self, message: Message) {
        let item = Item::from(message);
        if self.item.with_untracked(|old| *old != item) {
            self.item.set(item);
        }
    }
}

/// Consecutive messages of a chat, oldest first.
#[derive(Clone, Default)]
pub struct Window {
    pub entries: Vec<Entry>,
    /// Whether there are older ones than these.
    pub older: bool,
    /// Whether there are newer ones than these.
    pub newer: bool,
}

/// How a message that has just arrived fits a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    Added,
    /// It was there already.
    Known,
    /// Messages between the window and this one are missing.
    Gap,
    /// The window shows an older part of the chat.
    Away,
}

impl Window {
    pub fn first(&self) -> Option<u64> {
        self.entries.first().and_then(Entry::number)
    }

    pub fn last(&self) -> Option<u64> {
        self.entries.last().and_then(Entry::number)
    }

    pub fn entry(&self, number: u64) -> Option<&Entry> {
        let index = number.checked_sub(self.first()?)?;
        self.entries.get(usize::try_from(index).ok()?).filter(|entry| entry.number() == Some(number))
    }

    /// Shows `page` in place of what was shown; messages that were there keep their rows.
    pub fn replace(&mut self, page: Vec<Message>, older: bool, newer: bool) {
        let known = std::mem::take(&mut self.entries);
        let row = |message: Message| match known.iter().find(|entry| entry.id == message.message_id) {
            Some(entry) => {
                entry.settle(message);
                entry.clone()
            }
            None => Entry::new(message.message_id, message.into()),
        };
        *self = Self { entries: page.into_iter().map(row).collect(), older, newer };
    }

    /// A page of older messages; what no longer fits goes at the newer end.
    pub fn prepend(&mut self, page: Vec<Message>) {
        self.older = page.len() == PAGE && page.first().is_some_and(|message| message.number > 1);
        let first = self.first().unwrap_or(u64::MAX);
        let fresh = page.into_iter().filter(|message| message.number < first);
        self.entries.splice(0..0, fresh.map(|message| Entry::new(message.message_id, message.into())));
        if self.entries.len() > ROWS {
            self.entries.truncate(ROWS);
            self.newer = true;
        }
    }

    /// A page of newer messages; what no longer fits goes at the older end.
    pub fn append(&mut self, page: Vec<Message>) {
        self.newer = page.len() == PAGE;
        let last = self.last().unwrap_or(0);
        let fresh = page.into_iter().filter(|message| message.number > last);
        self.entries.extend(fresh.map(|message| Entry::new(message.message_id, message.into())));
        self.trim_older();
    }

    /// A message that has just arrived; `row` is the one that it was pending in.
    pub fn receive(&mut self, message: Message, row: Option<Entry>) -> Fit {
        if let Some(entry) = self.entries.iter().find(|entry| entry.id == message.message_id) {
            entry.settle(message);
            return Fit::Known;
        }
        if self.newer {
            return Fit::Away;
        }
        let expected = self.last().map_or(1, |last| last + 1);
        if message.number != expected {
            return if message.number < expected { Fit::Known } else { Fit::Gap };
        }
        let id = message.message_id;
        let entry = match row {
            Some(entry) => {
                entry.settle(message);
                entry
            }
            None => Entry::new(id, message.into()),
        };
        self.entries.push(entry);
        self.trim_older();
        Fit::Added
    }

    fn trim_older(&mut self) {
        let excess = self.entries.len().saturating_sub(ROWS);
        if excess > 0 {
            self.entries.drain(..excess);
            self.older = true;
        }
    }
}

/// Whether a page of history is on its way, and at which end.
#[derive(Clone, Debug, PartialEq)]
pub enum Paging {
    Idle,
    Older,
    Newer,
    /// Fetching older ones failed; asked again on a click.
    Failed(Failure),
}

/// A conversation that has been opened; kept so that coming back to it shows it at once.
#[derive(Clone)]
pub struct Conversation {
    pub chat_id: ChatId,
    pub window: ArcRwSignal<Window>,
    /// Own messages that are pending or failed, oldest first.
    pub outbox: ArcRwSignal<Vec<Entry>>,
    pub phase: ArcRwSignal<Phase>,
    pub paging: ArcRwSignal<Paging>,
    /// The number above which everything was unread when the conversation was opened.
    pub divider: ArcRwSignal<Option<u64>>,
    /// The message that the next one answers.
    pub reply: ArcRwSignal<Option<ReplyTo>>,
    /// Pixels above what is in view, or was when it was left; absent at the bottom.
    pub scroll: ArcRwSignal<Option<f64>>,
    /// What it shows may be old: a gap in the live frames.
    pub stale: Arc<AtomicBool>,
    pub(super) sending: Arc<AtomicBool>,
}

impl Conversation {
    pub fn new(chat_id: ChatId) -> Self {
        Self {
            chat_id,
            window: ArcRwSignal::default(),
            outbox: ArcRwSignal::default(),
            phase: ArcRwSignal::new(Phase::Loading),
            paging: ArcRwSignal::new(Paging::Idle),
            divider: ArcRwSignal::new(None),
            reply: ArcRwSignal::new(None),
            scroll: ArcRwSignal::new(None),
            stale: Arc::new(AtomicBool::new(true)),
            sending: Arc::new(AtomicBool::new(false)),
        }
    }

    /// Takes a message into the window, out of the outbox if it was pending there.
    pub fn receive(&self, message: Message) -> Fit {
        let id = message.message_id;
        let row = self.outbox.with_untracked(|rows| rows.iter().find(|row| row.id == id).cloned());
        let scrolled = self.scroll.with_untracked(Option::is_some);
        let fit = if self.phase.get_untracked() == Phase::Ready {
            let take = |window: &mut Window| {
                // Making room would move what somebody is reading.
                window.newer |= scrolled && window.entries.len() >= ROWS;
                window.receive(message, row.clone())
            };
            self.window.try_update(take).unwrap_or(Fit::Away)
        } else {
            Fit::Away
        };
        if row.is_some() {
            self.outbox.update(|rows| rows.retain(|row| row.id != id));
        }
        fit
    }
}

#[cfg(test)]
mod tests {
    use domain::ids::PersonId;
    use domain::views::PersonState;
    use uuid::Uuid;

    use super::*;

    fn message(number: u64) -> Message {
        let id = |n: u64| Uuid::from_u128(u128::from(n));
        let author = Author {
            user_id: PersonId(id(7)),
            nickname: "anna".to_owned(),
            name: "Anna".to_owned(),
            photo_id: None,
            state: PersonState::Active,
        };
        Message {
            message_id: MessageId(id(number)),
            chat_id: ChatId(id(1)),
            number,
            author,
            text: format!("message {number}"),
            sent_at: Timestamp(0),
            reply_to: None,
        }
    }

    fn page(from: u64, to: u64) -> Vec<Message> {
        (from..=to).map(message).collect()
    }

    fn range(window: &Window) -> (Option<u64>, Option<u64>) {
        (window.first(), window.last())
    }

    #[test]
    fn a_window_never_holds_more_rows_than_it_may_and_knows_what_it_dropped() {
        let mut window = Window::default();
        window.replace(page(951, 1000), true, false);
        while window.first() > Some(1) {
            let first = window.first().expect("it is not empty");
            window.prepend(page(first - 50, first - 1));
            assert!(window.entries.len() <= ROWS);
        }
        assert_eq!(range(&window), (Some(1), Some(400)));
        assert_eq!((window.older, window.newer), (false, true));
        window.append(page(401, 450));
        assert_eq!(range(&window), (Some(51), Some(450)));
        assert_eq!((window.older, window.newer), (true, true));
        window.append(page(451, 470));
        assert!(!window.newer, "a short page is the last one");
    }

    #[test]
    fn a_message_that_has_arrived_follows_the_last_or_shows_a_gap() {
        let mut window = Window::default();
        assert_eq!(window.receive(message(1), None), Fit::Added);
        assert_eq!(window.receive(message(1), None), Fit::Known);
        assert_eq!(window.receive(message(3), None), Fit::Gap);
        assert_eq!(window.receive(message(2), None), Fit::Added);
        assert_eq!(range(&window), (Some(1), Some(2)));
        window.newer = true;
        assert_eq!(window.receive(message(3), None), Fit::Away);
    }

    #[test]
    fn a_pending_message_keeps_its_row_when_it_is_sent() {
        let conversation = Conversation::new(ChatId(Uuid::from_u128(1)));
        conversation.phase.set(Phase::Ready);
        let pending = Item { delivery: Delivery::Pending, ..Item::from(message(1)) };
        let row = Entry::new(message(1).message_id, pending);
        conversation.outbox.set(vec![row.clone()]);
        assert_eq!(conversation.receive(message(1)), Fit::Added);
        assert_eq!(
            conversation.receive(message(1)),
            Fit::Known,
            "the answer after the frame changes nothing"
        );
        assert!(conversation.outbox.get_untracked().is_empty());
        assert_eq!(row.number(), Some(1), "the very row that was pending");
        assert_eq!(conversation.window.get_untracked().entries.len(), 1);
    }
}
