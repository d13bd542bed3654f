//! The messages of a conversation as rows on the page.

use domain::ids::PersonId;
use domain::views::Line;
use leptos::prelude::*;

use crate::api::PAGE;
use crate::format;
use crate::state::{Conversation, Delivery, Entry};

/// Messages of one author within this many seconds stand together.
const TOGETHER: i64 = 300;
/// Rows lie in blocks of as many messages as a page of history has, so that a page of older ones adds one block and some
/// rows to the one after it. In a single list, tachys takes every row out of the page and puts it back when several are
/// added at its beginning.
const BLOCK: u64 = PAGE as u64;

/// A message with what stands above it.
#[derive(Clone)]
pub struct Row {
    pub entry: Entry,
    /// Which block it stands in, by its number or the one that it will have.
    pub block: u64,
    /// A new day begins with it.
    pub day: Option<u32>,
    /// The first unread one.
    pub unread: bool,
    /// Not right after another one of the same author.
    pub lead: bool,
    /// What happened before it.
    pub lines: Vec<Line>,
}

/// Lays out the messages of a window and, at the newest end, those that are not sent yet.
pub fn rows(conversation: &Conversation, me: PersonId) -> Vec<Row> {
    let divider = conversation.divider.get();
    let (mut entries, newer) = conversation.window.with(|window| {
        let row = |(index, entry): (usize, &Entry)| (entry.clone(), window.lines_before(index).to_vec());
        (window.entries.iter().enumerate().map(row).collect::<Vec<_>>(), window.newer)
    });
    if !newer {
        let mut last = conversation.window.with(|window| window.lines_before(window.entries.len()).to_vec());
        let unsent = conversation.outbox.get().into_iter();
        entries.extend(unsent.map(|entry| (entry, std::mem::take(&mut last))));
    }
    let mut rows = Vec::with_capacity(entries.len());
    let mut before: Option<(PersonId, domain::Timestamp, u32)> = None;
    let mut divided = false;
    let mut at = 0;
    for (entry, lines) in entries {
        let (author, sent_at, number) = entry.item.with_untracked(|item| {
            let number = if let Delivery::Sent(number) = item.delivery { Some(number) } else { None };
            (item.message.author.user_id, item.message.sent_at, number)
        });
        let day = format::day_number(sent_at);
        let new_day = before.is_none_or(|(_, _, last)| last != day);
        let unread =
            !divided && author != me && number.zip(divider).is_some_and(|(number, read)| number > read);
        divided |= unread;
        let near =
            before.is_some_and(|(last, at, _)| last == author && (sent_at.0 - at.0) < TOGETHER * 1_000_000);
        let lead = new_day || unread || !near || !lines.is_empty();
        // In order, whatever becomes of those that are not sent: a block is there once.
        at = number.unwrap_or(at + 1).max(at);
        rows.push(Row { entry, block: at / BLOCK, day: new_day.then_some(day), unread, lead, lines });
        before = Some((author, sent_at, day));
    }
    rows
}
