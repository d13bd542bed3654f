//! The lines of a group, as one of its people may see them.
//!
//! A line has a place: after message n. All lines of a place are told with message n + 1, above which
//! they stand; those after the newest message, and those where somebody's reading ends, with message n.
//!
//! | n is read | n + 1 is read, or would be | of the place is shown |
//! |---|---|---|
//! | yes | yes | all: one was in the group, or nothing was said while one was not |
//! | yes | no | up to one's own leaving or removal |
//! | no | yes | from one's own coming on |
//! | no | no | from one's own coming to one's own going, where both were in silence; else nothing |
//!
//! Before the first message there is nothing to read: there the table's first column is whether one was
//! in the group from its beginning, or may read all of it.

use std::collections::HashMap;

use domain::ids::{ChatId, PersonId};
use domain::views::{History, Line, LineKind};
use stores::timeline::{LineRow, MemberRow, MessageRow, Timeline};

use super::opening::title;
use super::people::People;
use crate::refusal::{Refusal, of_store};
use crate::state::QueryState;

/// Lines of a page, the newest.
pub const MOST: usize = 500;

/// Which messages stand around some, and how many lines above each.
type Around = HashMap<u64, u64>;

/// The lines that belong to a page of messages, by ordinal. `at_end`: no message of the chat follows that
/// the person may read.
///
/// # Errors
/// `unavailable`; so with the others.
pub async fn of_page(
    state: &QueryState,
    me: &MemberRow,
    page: &[MessageRow],
    at_end: bool,
) -> Result<Vec<LineRow>, Refusal> {
    let timeline = state.stores.timeline.serving();
    let runs: Vec<&[MessageRow]> = page.chunk_by(|one, next| one.number + 1 == next.number).collect();
    let ends = runs.iter().filter_map(|run| Some((run.first()?, run.last()?)));
    let neighbours = ends.clone().flat_map(|(first, last)| [first.number - 1, last.number + 1]);
    let around = around(&*timeline, me.chat_id, neighbours).await?;
    let mut found: Vec<LineRow> = Vec::new();
    for (index, (first, last)) in ends.enumerate().collect::<Vec<_>>().into_iter().rev() {
        let after = match first.number - 1 {
            0 => 0,
            before => around.get(&before).copied().unwrap_or(first.lines),
        };
        let next = around.get(&(last.number + 1)).copied();
        // What the next page begins with, or what nobody else tells.
        let theirs = next.is_some() && me.shows(last.number + 1) && !(at_end && index + 1 == runs.len());
        let end = if theirs { last.lines } else { next.unwrap_or(u64::MAX) };
        let left = MOST.saturating_sub(found.len());
        let some = lines(&*timeline, me.chat_id, after, end, left).await?;
        found.splice(0..0, some);
    }
    shown(&*timeline, me, found).await
}

/// The lines after the newest message that the person may read, where a page has none.
pub async fn of_empty_page(state: &QueryState, me: &MemberRow) -> Result<Vec<LineRow>, Refusal> {
    let timeline = state.stores.timeline.serving();
    let number = match me.sees.last() {
        None if me.left => me.joined_number,
        _ => match timeline.chat_of(me.chat_id, me.person).await.map_err(of_store)? {
            Some(row) => me.last_shown(row.chat.last_number),
            None => return Ok(Vec::new()),
        },
    };
    let found = of_place(&*timeline, me.chat_id, number).await?;
    shown(&*timeline, me, found).await
}

/// Those of the lines with these ordinals and positions that the person may see.
pub async fn of_changes(
    timeline: &dyn Timeline,
    me: &MemberRow,
    wanted: &[(u64, u64)],
) -> Result<Vec<LineRow>, Refusal> {
    let ordinals = || wanted.iter().map(|(ordinal, _)| *ordinal);
    let (Some(first), Some(last)) = (ordinals().min(), ordinals().max()) else { return Ok(Vec::new()) };
    let mut found = lines(timeline, me.chat_id, first.saturating_sub(1), last, MOST).await?;
    found.retain(|line| wanted.contains(&(line.ordinal, line.position)));
    let mut told = Vec::new();
    for place in found.chunk_by(|one, next| one.after_number == next.after_number) {
        let number = place[0].after_number;
        if number > 0 && me.shows(number) && me.shows(number + 1) {
            told.extend_from_slice(place);
            continue;
        }
        let whole = of_place(timeline, me.chat_id, number).await?;
        let whole = shown(timeline, me, whole).await?;
        told.extend(whole.into_iter().filter(|line| place.iter().any(|it| it.ordinal == line.ordinal)));
    }
    Ok(told)
}

/// All lines after message `number`.
async fn of_place(timeline: &dyn Timeline, chat_id: ChatId, number: u64) -> Result<Vec<LineRow>, Refusal> {
    let around = around(timeline, chat_id, [number, number + 1]).await?;
    let after = around.get(&number).copied().unwrap_or(0);
    let end = around.get(&(number + 1)).copied().unwrap_or(u64::MAX);
    lines(timeline, chat_id, after, end, MOST).await
}

async fn around(
    timeline: &dyn Timeline,
    chat_id: ChatId,
    numbers: impl IntoIterator<Item = u64>,
) -> Result<Around, Refusal> {
    let numbers: Vec<u64> = numbers.into_iter().filter(|number| *number > 0).collect();
    let found = timeline.messages_by_number(chat_id, &numbers).await.map_err(of_store)?;
    Ok(found.into_iter().map(|message| (message.number, message.lines)).collect())
}

async fn lines(
    timeline: &dyn Timeline,
    chat_id: ChatId,
    after: u64,
    last: u64,
    limit: usize,
) -> Result<Vec<LineRow>, Refusal> {
    if after >= last || limit == 0 {
        return Ok(Vec::new());
    }
    timeline.lines(chat_id, after, last, limit).await.map_err(of_store)
}

/// What of whole places is shown.
async fn shown(
    timeline: &dyn Timeline,
    me: &MemberRow,
    found: Vec<LineRow>,
) -> Result<Vec<LineRow>, Refusal> {
    let mut told = Vec::with_capacity(found.len());
    for place in found.chunk_by(|one, next| one.after_number == next.after_number) {
        let number = place[0].after_number;
        let before = match number {
            0 => match place.iter().find(|line| came(me, line) || went(me, line)) {
                Some(line) if went(me, line) => true,
                Some(_) => reads_all(timeline, me).await?,
                None => me.shows(1),
            },
            number => me.shows(number),
        };
        told.extend_from_slice(of_one_place(me, place, before, me.shows(number + 1)));
    }
    Ok(told)
}

fn of_one_place<'a>(me: &MemberRow, place: &'a [LineRow], before: bool, after: bool) -> &'a [LineRow] {
    let last_came = place.iter().rposition(|line| came(me, line));
    let last_went = place.iter().rposition(|line| went(me, line));
    match (before, after) {
        (true, true) => place,
        (true, false) => &place[..last_went.map_or(0, |at| at + 1)],
        (false, true) => &place[last_came.unwrap_or(0)..],
        (false, false) => match (last_came, last_went) {
            (Some(came), Some(went)) if came < went => &place[came..=went],
            _ => &[],
        },
    }
}

fn came(me: &MemberRow, line: &LineRow) -> bool {
    line.person == Some(me.person) && matches!(line.kind, LineKind::Added | LineKind::Joined)
}

fn went(me: &MemberRow, line: &LineRow) -> bool {
    line.person == Some(me.person) && matches!(line.kind, LineKind::Left | LineKind::Removed)
}

async fn reads_all(timeline: &dyn Timeline, me: &MemberRow) -> Result<bool, Refusal> {
    let row = timeline.chat_of(me.chat_id, me.person).await.map_err(of_store)?;
    Ok(row.is_some_and(|row| row.chat.history == Some(History::All)))
}

/// The rows as `asker` sees them, in their order. The caller has seen to it that they may.
pub async fn views(state: &QueryState, asker: PersonId, rows: &[LineRow]) -> Result<Vec<Line>, Refusal> {
    let people =
        People::read(state, asker, rows.iter().flat_map(|row| [row.by, row.person]).flatten()).await?;
    rows.iter()
        .map(|row| {
            Ok(Line {
                position: row.position,
                after_number: row.after_number,
                kind: row.kind,
                by: row.by.map(|person| people.author(person)),
                person: row.person.map(|person| people.author(person)),
                title: row.title.as_ref().map(|sealed| title(state, row.chat_id, sealed)).transpose()?,
                role: row.role,
                count: row.count,
                at: row.at,
            })
        })
        .collect()
}
