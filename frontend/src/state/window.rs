//! The part of a chat that is on the page: at most [`ROWS`] consecutive messages, and the lines among them.

use domain::views::{Line, Message, Messages};

use super::conversation::Entry;
use crate::api::PAGE;

/// The most messages and lines that are on the page at once.
pub const ROWS: usize = 400;
/// The most lines that are drawn one under the other; of more, one tells how many stand above.
pub const TOGETHER: usize = 10;

/// Consecutive messages of a chat, oldest first, and the lines that stand among them.
#[derive(Clone, Default)]
pub struct Window {
    pub entries: Vec<Entry>,
    /// By the message that they stand after, then as they happened.
    lines: Vec<Line>,
    /// The numbers at which blocks begin, each with the block's own: see [`block_of`](Self::block_of).
    blocks: Vec<(u64, u64)>,
    /// How many blocks there have been.
    begun: u64,
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
        // Whoever was away for a while reads nothing of it, so numbers may be missing.
        let index = self.entries.binary_search_by_key(&Some(number), Entry::number).ok()?;
        self.entries.get(index)
    }

    /// The lines that stand before the message at `index`, or after the last one.
    pub fn lines_before(&self, index: usize) -> &[Line] {
        let end = |index: usize| match self.entries.get(index).and_then(Entry::number) {
            Some(number) => self.lines.partition_point(|line| line.after_number < number),
            None => self.lines.len(),
        };
        let start = index.checked_sub(1).map_or(0, end);
        &self.lines[start.min(end(index))..end(index)]
    }

    /// The block that a message stands in, or behind them all one that is not sent. A page of history is a block of its
    /// own: what is there already stays in its own.
    pub fn block_of(&self, number: Option<u64>) -> u64 {
        self.block(number).map_or(0, |at| self.blocks[at].1)
    }

    fn block(&self, number: Option<u64>) -> Option<usize> {
        let holds = |number| self.blocks.partition_point(|(first, _)| *first <= number);
        number.map_or(self.blocks.len(), holds).checked_sub(1)
    }

    /// Begins a block with this message.
    fn begin_block(&mut self, number: Option<u64>) {
        if let Some(number) = number
            && let Err(at) = self.blocks.binary_search_by_key(&number, |(first, _)| *first)
        {
            self.begun += 1;
            self.blocks.insert(at, (number, self.begun));
        }
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.lines.is_empty()
    }

    /// Shows `page` in place of what was shown; messages that were there keep their rows.
    pub fn replace(&mut self, page: Messages, older: bool, newer: bool) {
        let known = std::mem::take(&mut self.entries);
        let row = |message: Message| match known.iter().find(|entry| entry.holds(&message)) {
            Some(entry) => {
                entry.settle(message);
                entry.clone()
            }
            None => Entry::new(message.into()),
        };
        let entries = page.items.into_iter().map(row).collect();
        *self = Self { entries, older, newer, begun: self.begun, ..Self::default() };
        self.begin_block(self.first());
        self.take_lines(page.lines);
    }

    /// A page of older messages; what no longer fits goes at the newer end.
    pub fn prepend(&mut self, page: Messages) {
        self.older = page.items.len() == PAGE && page.items.first().is_some_and(|message| message.number > 1);
        let first = self.first().unwrap_or(u64::MAX);
        let fresh = page.items.into_iter().filter(|message| message.number < first);
        self.entries.splice(0..0, fresh.map(|message| Entry::new(message.into())));
        self.begin_block(self.first());
        self.take_lines(page.lines);
        while let Some(excess) = self.excess() {
            self.entries.truncate(self.entries.len() - excess);
            self.newer = true;
            let last = self.last().unwrap_or(0);
            self.blocks.retain(|(first, _)| *first <= last);
            self.prune_lines();
        }
    }

    /// A page of newer messages; what no longer fits goes at the older end.
    pub fn append(&mut self, page: Messages) {
        self.newer = page.items.len() == PAGE;
        let last = self.last().unwrap_or(0);
        let mut fresh = page.items.into_iter().filter(|message| message.number > last).peekable();
        self.begin_block(fresh.peek().map(|message| message.number));
        self.entries.extend(fresh.map(|message| Entry::new(message.into())));
        self.take_lines(page.lines);
        self.trim_older();
    }

    /// What the server says now of messages that are shown.
    pub fn renew(&mut self, page: Messages) {
        for message in page.items {
            if let Some(entry) = self.entry(message.number) {
                entry.settle(message);
            }
        }
        self.take_lines(page.lines);
    }

    /// A message that has just arrived; `row` is the one that it was pending in.
    pub fn receive(&mut self, message: Message, row: Option<Entry>) -> Fit {
        if let Some(entry) = self.entries.iter().find(|entry| entry.holds(&message)) {
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
        let entry = match row {
            Some(entry) => {
                entry.settle(message);
                entry
            }
            None => {
                if self.blocks.last().is_none_or(|(first, _)| message.number >= first + PAGE as u64) {
                    self.begin_block(Some(message.number));
                }
                Entry::new(message.into())
            }
        };
        self.entries.push(entry);
        self.trim_older();
        Fit::Added
    }

    /// Lines from a page or a live frame.
    pub fn take_lines(&mut self, lines: Vec<Line>) {
        for line in lines {
            let place = (line.after_number, line.position);
            if let Err(at) =
                self.lines.binary_search_by_key(&place, |known| (known.after_number, known.position))
            {
                self.lines.insert(at, line);
            }
        }
        self.prune_lines();
    }

    /// Drops the lines that stand among messages which are not shown.
    fn prune_lines(&mut self) {
        let (older, newer) = (self.older, self.newer);
        if let Some((first, last)) = self.first().zip(self.last()) {
            let from = if older { first - 1 } else { 0 };
            let to = if newer { last } else { u64::MAX };
            self.lines.retain(|line| (from..=to).contains(&line.after_number));
        }
    }

    /// How many messages are to go for the rest to fit.
    fn excess(&self) -> Option<usize> {
        let lines = |index| {
            let count = self.lines_before(index).len();
            if count > TOGETHER { TOGETHER + 1 } else { count }
        };
        let drawn = if self.lines.is_empty() { 0 } else { (0..=self.entries.len()).map(lines).sum() };
        let excess =
            (self.entries.len() + drawn).saturating_sub(ROWS).min(self.entries.len().saturating_sub(1));
        (excess > 0).then_some(excess)
    }

    fn trim_older(&mut self) {
        while let Some(excess) = self.excess() {
            self.entries.drain(..excess);
            self.older = true;
            // What is left of a block begins later now, so that a page before it is none of it.
            let first = self.first();
            self.blocks.drain(..self.block(first).unwrap_or(0));
            if let Some((block, first)) = self.blocks.first_mut().zip(first) {
                block.0 = first;
            }
            self.prune_lines();
        }
    }
}
