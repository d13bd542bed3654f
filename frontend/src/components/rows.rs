//! The messages of a conversation as rows on the page.

use domain::ids::PersonId;
use domain::views::Line;
use leptos::prelude::*;

use crate::format;
use crate::state::{Conversation, Delivery, Entry};

/// Messages of one author within this many seconds stand together.
const TOGETHER: i64 = 300;

/// A message with what stands above it.
#[derive(Clone)]
pub struct Row {
    pub entry: Entry,
    /// Which block it stands in. A page of older ones is a block of its own: in a single list, tachys takes every row out
    /// of the page and puts it back when several are added at its beginning, and the focus is lost.
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
        let row = |(index, entry): (usize, &Entry)| {
            (entry.clone(), window.lines_before(index).to_vec(), window.block_of(entry.number()))
        };
        (window.entries.iter().enumerate().map(row).collect::<Vec<_>>(), window.newer)
    });
    if !newer {
        let (mut last, block) = conversation
            .window
            .with(|window| (window.lines_before(window.entries.len()).to_vec(), window.block_of(None)));
        let unsent = conversation.outbox.get().into_iter();
        entries.extend(unsent.map(|entry| (entry, std::mem::take(&mut last), block)));
    }
    let mut rows = Vec::with_capacity(entries.len());
    let mut before: Option<(PersonId, domain::Timestamp, u32)> = None;
    let mut divided = false;
    for (entry, lines, block) in entries {
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
        rows.push(Row { entry, block, day: new_day.then_some(day), unread, lead, lines });
        before = Some((author, sent_at, day));
    }
    rows
}
