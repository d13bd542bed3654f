//! One chat's messages as they are held for the screen: a window of at most [`ROWS`] consecutive messages, and
//! behind its newest end the own messages that are not sent yet.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use domain::ids::{ChatId, MessageId, PersonId};
use domain::views::{Author, Line, Message, Messages, ReplyTo};
use leptos::prelude::*;

use super::Phase;
use super::window::{Fit, ROWS, Window};
use crate::api::{Answer, Failure};

/// How much an answer quotes, in scalar values; as the server does.
const EXCERPT: usize = 120;

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
    /// Its number and time are the server's only once it is sent.
    pub message: Message,
    pub delivery: Delivery,
}

impl From<Message> for Item {
    fn from(message: Message) -> Self {
        let delivery = Delivery::Sent(message.number);
        Self { message, delivery }
    }
}

/// A row on the screen. It stays the same row when its message goes from pending to sent.
#[derive(Clone)]
pub struct Entry {
    /// Its own only among its author's: whoever writes a message chooses its id.
    pub id: MessageId,
    pub author: PersonId,
    pub item: ArcRwSignal<Item>,
}

impl Entry {
    pub fn new(item: Item) -> Self {
        let Message { message_id: id, author: Author { user_id: author, .. }, .. } = item.message;
        Self { id, author, item: ArcRwSignal::new(item) }
    }

    /// Whether `message` is the one in this row.
    pub fn holds(&self, message: &Message) -> bool {
        self.id == message.message_id && self.author == message.author.user_id
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
    pub(super) fn settle(&self, message: Message) {
        let item = Item::from(message);
        if self.item.with_untracked(|old| *old != item) {
            self.item.set(item);
        }
    }

    /// Has an answer to the message `number` quote it as it reads now.
    fn requote(&self, number: u64, excerpt: Option<&String>) {
        let quotes = |item: &Item| {
            let reply = item.message.reply_to.as_ref();
            reply.is_some_and(|reply| reply.number == number && reply.excerpt.as_ref() != excerpt)
        };
        if self.item.with_untracked(quotes) {
            self.item.update(|item| {
                if let Some(reply) = &mut item.message.reply_to {
                    reply.excerpt = excerpt.cloned();
                }
            });
        }
    }
}

/// What an answer quotes of a message; nothing of one that was deleted, or is by somebody whom one has blocked.
pub fn excerpt(message: &Message) -> Option<String> {
    if message.deleted.is_some() || message.collapsed {
        return None;
    }
    let line = message.text.split_whitespace().collect::<Vec<_>>().join(" ");
    Some(line.chars().take(EXCERPT).collect())
}

/// Whether a page of history is on its way, and at which end.
#[derive(Clone, Debug, PartialEq)]
pub enum Paging {
    Idle,
    Older,
    Newer,
    /// It failed; asked again on a click.
    Failed {
        older: bool,
    },
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
    /// The message that is being edited: its number, and how it reads so far.
    pub editing: ArcRwSignal<Option<(u64, String)>>,
    /// The number of a message that is to be brought into view.
    pub jump: ArcRwSignal<Option<u64>>,
    /// Who can be mentioned, once somebody asked.
    pub names: ArcRwSignal<Vec<Author>>,
    pub(super) names_asked: Arc<AtomicBool>,
    /// Pixels above what is in view, or was when it was left; absent at the bottom.
    pub scroll: ArcRwSignal<Option<f64>>,
    /// How often there was reason to think that what it shows is old.
    doubts: Arc<AtomicU64>,
    /// How many of these it was asked for after.
    settled: Arc<AtomicU64>,
    pub(super) sending: Arc<AtomicBool>,
    heard: Arc<Mutex<Heard>>,
}

/// What is told live while pages are on their way, each of which may have been read before it.
#[derive(Default)]
struct Heard {
    pages: usize,
    messages: Vec<Message>,
}

impl Heard {
    /// Has a page say what was told since it was asked for, from the message at `since` on.
    fn tell(&self, since: usize, page: &mut Messages) {
        for heard in &self.messages[since..] {
            let (number, touched) = (heard.number, heard.deleted.is_some() || heard.edited_at.is_some());
            for message in &mut page.items {
                if message.number == number {
                    *message = heard.clone();
                }
                if let Some(reply) = message.reply_to.as_mut().filter(|it| touched && it.number == number) {
                    reply.excerpt = excerpt(heard);
                }
            }
        }
    }
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
            editing: ArcRwSignal::new(None),
            jump: ArcRwSignal::new(None),
            names: ArcRwSignal::default(),
            names_asked: Arc::new(AtomicBool::new(false)),
            scroll: ArcRwSignal::new(None),
            doubts: Arc::new(AtomicU64::new(1)),
            settled: Arc::default(),
            sending: Arc::new(AtomicBool::new(false)),
            heard: Arc::default(),
        }
    }

    /// What it shows may be old: there was a gap in the live frames, or somebody was blocked.
    pub fn doubt(&self) {
        self.doubts.fetch_add(1, Ordering::Relaxed);
    }

    pub fn doubts(&self) -> u64 {
        self.doubts.load(Ordering::Relaxed)
    }

    /// All of it was asked for when there were so many doubts.
    pub fn trust(&self, doubts: u64) {
        self.settled.fetch_max(doubts, Ordering::Relaxed);
    }

    pub fn is_doubted(&self) -> bool {
        self.settled.load(Ordering::Relaxed) < self.doubts()
    }

    /// Begins to edit the message with this number.
    pub fn edit(&self, number: u64) {
        self.editing.set(self.message(number).map(|message| (number, message.text)));
    }

    /// Shows lines from a live frame.
    pub fn receive_line(&self, line: Line) {
        if self.phase.get_untracked() == Phase::Ready {
            self.window.update(|window| window.take_lines(vec![line]));
        }
    }

    /// Has everything that quotes this message quote it as it reads now.
    fn requote(&self, message: &Message) {
        if message.deleted.is_none() && message.edited_at.is_none() {
            return;
        }
        let (number, excerpt) = (message.number, excerpt(message));
        let all = |rows: &Vec<Entry>| rows.iter().for_each(|row| row.requote(number, excerpt.as_ref()));
        self.window.with_untracked(|window| all(&window.entries));
        self.outbox.with_untracked(all);
        if self.reply.with_untracked(|reply| reply.as_ref().is_some_and(|reply| reply.number == number)) {
            self.reply.update(|reply| {
                if let Some(reply) = reply {
                    reply.excerpt = excerpt;
                }
            });
        }
    }

    /// Changes a message that is shown, before the server tells of it or as it has.
    pub fn change(&self, number: u64, change: impl FnOnce(&mut Message)) {
        if let Some(row) = self.row(number) {
            row.item.update(|item| change(&mut item.message));
            self.requote(&row.item.get_untracked().message);
        }
    }

    /// The row of a message that is shown.
    pub fn row(&self, number: u64) -> Option<Entry> {
        self.window.with_untracked(|window| window.entry(number).cloned())
    }

    /// A message that is shown, as it stands.
    pub fn message(&self, number: u64) -> Option<Message> {
        self.row(number).map(|row| row.item.get_untracked().message)
    }

    /// The row of a message that is not sent.
    pub(super) fn unsent(&self, id: MessageId) -> Option<Entry> {
        self.outbox.with_untracked(|rows| rows.iter().find(|row| row.id == id).cloned())
    }

    /// Awaits a page of this conversation, brought up to what is told live meanwhile.
    pub(super) async fn awaiting(&self, page: impl Future<Output = Answer<Messages>>) -> Answer<Messages> {
        let heard = || self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let since = {
            let mut heard = heard();
            heard.pages += 1;
            heard.messages.len()
        };
        let mut page = page.await;
        let mut heard = heard();
        if let Ok(page) = &mut page {
            heard.tell(since, page);
        }
        heard.pages -= 1;
        if heard.pages == 0 {
            heard.messages.clear();
        }
        page
    }

    /// Takes a message into the window, out of the outbox if it was pending there.
    pub fn receive(&self, message: Message) -> Fit {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        if heard.pages > 0 {
            heard.messages.push(message.clone());
        }
        drop(heard);
        self.requote(&message);
        let row = self.outbox.with_untracked(|rows| rows.iter().find(|row| row.holds(&message)).cloned());
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
        if let Some(sent) = row {
            self.outbox.update(|rows| rows.retain(|row| row.id != sent.id));
        }
        fit
    }
}

#[cfg(test)]
#[path = "conversation_spec.rs"]
mod tests;
