//! Chats as one of their people has them. Of one that was left nothing is told that came later.

use std::collections::HashMap;

use domain::Timestamp;
use domain::ids::{ChatId, PersonId};
use domain::views::{Chat, ChatKind, LineKind};
use futures::future::try_join_all;
use stores::directory::{LinkState, LinkedQuery};
use stores::timeline::{ChatOf, MemberRow, Unseen};

use super::messages::{Memberships, messages};
use super::opening::title;
use super::people::People;
use crate::refusal::{Refusal, of_store};
use crate::state::QueryState;

/// Up to so many unread messages are counted one by one.
const COUNTED: u64 = 1_000;
/// Lines in which a title is looked for at a time.
const LOOKED_AT: usize = 100;
/// Groups in which somebody is looked for at a time.
const AT_ONCE: usize = 32;

/// The rows as `asker`, whose they are, sees them, in their order.
pub async fn chats(state: &QueryState, asker: PersonId, rows: &[ChatOf]) -> Result<Vec<Chat>, Refusal> {
    let mine: Memberships = rows.iter().map(|row| (row.chat.chat_id, row.into())).collect();
    let last: Vec<_> = rows.iter().filter_map(|row| row.last.clone()).collect();
    let mut last = messages(state, asker, &mine, last).await?.into_iter();
    let peers = rows.iter().filter_map(|row| row.peer.as_ref()).map(|peer| peer.person);
    let people = People::read(state, asker, peers).await?;
    let unread = unread(state, asker, rows, &people).await?;
    let talks = talks(state, asker, rows, &people).await?;
    let titles: Vec<_> = rows.iter().map(|row| title_of(state, row)).collect();
    let titles = try_join_all(titles).await?;
    Ok(rows
        .iter()
        .zip(unread)
        .zip(titles)
        .map(|((row, unread), title)| {
            let peer = row.peer.as_ref().map(|peer| (peer, people.are_close(peer.person)));
            let left = row.me.left;
            Chat {
                chat_id: row.chat.chat_id,
                kind: row.chat.kind,
                title,
                peer: peer.and_then(|(peer, _)| people.person(peer.person)),
                member_count: if left { 0 } else { row.chat.member_count },
                my_role: row.me.role,
                left,
                dissolved: row.chat.dissolved && !left,
                history: row.chat.history,
                last: row.last.as_ref().and_then(|_| last.next()),
                active_at: active_at(row),
                last_number: if left {
                    row.me.last_shown(row.chat.last_number)
                } else {
                    row.chat.last_number
                },
                read_number: row.me.read_number,
                // How far somebody has read is for friends alone; else its absence would tell who
                // has blocked.
                peer_read_number: peer.filter(|(_, close)| *close).map(|(peer, _)| peer.read_number),
                unread,
                muted_until: row.me.muted_until,
                pinned: row.me.pinned,
                can_send: talks.get(&row.chat.chat_id).copied().unwrap_or(false),
            }
        })
        .collect())
}

/// By what chats are ordered.
pub fn active_at(row: &ChatOf) -> Timestamp {
    match &row.last {
        Some(last) if row.me.left => last.sent_at,
        None if row.me.left => row.chat.created_at,
        _ => row.chat.active_at,
    }
}

/// Whether the person whose row it is may write in the chat now.
pub async fn can_send(state: &QueryState, row: &ChatOf) -> Result<bool, Refusal> {
    let me = row.me.person;
    let people = People::read(state, me, row.peer.as_ref().map(|peer| peer.person)).await?;
    let talks = talks(state, me, std::slice::from_ref(row), &people).await?;
    Ok(talks.get(&row.chat.chat_id).copied().unwrap_or(false))
}

/// In which of the chats `asker` may write: in a group that goes on; to a friend, or somebody in a common
/// group, as long as neither has blocked the other.
async fn talks(
    state: &QueryState,
    asker: PersonId,
    rows: &[ChatOf],
    people: &People,
) -> Result<HashMap<ChatId, bool>, Refusal> {
    let mut talks = HashMap::new();
    // Read only where somebody is no friend.
    let mut groups: Option<Vec<ChatId>> = None;
    for row in rows {
        let may = match (row.chat.kind, &row.peer) {
            (ChatKind::Group, _) => !row.me.left && !row.chat.dissolved,
            (ChatKind::Direct, None) => false,
            (ChatKind::Direct, Some(peer)) => {
                let link = people.relation(peer.person);
                if link.blocked || link.blocked_me {
                    false
                } else if people.are_close(peer.person) {
                    true
                } else {
                    if groups.is_none() {
                        groups = Some(groups_of(state, asker).await?);
                    }
                    is_in_one(state, groups.as_deref().unwrap_or_default(), peer.person).await?
                }
            }
        };
        talks.insert(row.chat.chat_id, may);
    }
    Ok(talks)
}

/// The groups that somebody is in and that go on.
async fn groups_of(state: &QueryState, person: PersonId) -> Result<Vec<ChatId>, Refusal> {
    let rows = state.stores.timeline.serving().chats_of(person).await.map_err(of_store)?;
    let groups = rows.iter().filter(|row| row.chat.kind == ChatKind::Group);
    let open = groups.filter(|row| !row.me.left && !row.chat.dissolved);
    Ok(open.map(|row| row.chat.chat_id).collect())
}

async fn is_in_one(state: &QueryState, groups: &[ChatId], person: PersonId) -> Result<bool, Refusal> {
    let timeline = state.stores.timeline.serving();
    for some in groups.chunks(AT_ONCE) {
        let asked: Vec<_> = some.iter().map(|group| timeline.membership(*group, person)).collect();
        let found: Vec<Option<MemberRow>> = try_join_all(asked).await.map_err(of_store)?;
        if found.iter().flatten().any(|member| !member.left) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// How many messages of each chat are unread. As a rule that is a difference of numbers; where something
/// was deleted or somebody is blocked, they are looked at.
async fn unread(
    state: &QueryState,
    asker: PersonId,
    rows: &[ChatOf],
    people: &People,
) -> Result<Vec<u64>, Refusal> {
    let is_counted = |row: &ChatOf| (1..=COUNTED).contains(&row.unread());
    let in_groups = rows.iter().any(|row| row.chat.kind == ChatKind::Group && is_counted(row));
    let blocks = in_groups && blocks_somebody(state, asker).await?;
    let differs = |row: &ChatOf| {
        let blocked = match &row.peer {
            Some(peer) => people.relation(peer.person).blocked,
            None => blocks,
        };
        is_counted(row) && (blocked || row.chat.deletion > 0 || row.me.sees.len() > 1)
    };
    let looked_at: Vec<_> = rows.iter().map(|row| unseen(state, row, differs(row))).collect();
    let unseen = try_join_all(looked_at).await?;
    let authors = unseen.iter().flatten().flatten().map(|it| it.author);
    let authors = People::read(state, asker, authors).await?;
    Ok(rows
        .iter()
        .zip(unseen)
        .map(|(row, unseen)| match unseen {
            None => row.unread(),
            Some(unseen) => {
                let counts = unseen.iter().filter(|it| {
                    let blocked = authors.relation(it.author).blocked;
                    !it.deleted && it.author != asker && !blocked && row.me.shows(it.number)
                });
                counts.count() as u64
            }
        })
        .collect())
}

/// The messages above the read number, where they are to be looked at.
async fn unseen(state: &QueryState, row: &ChatOf, wanted: bool) -> Result<Option<Vec<Unseen>>, Refusal> {
    if !wanted {
        return Ok(None);
    }
    let last = row.me.last_shown(row.chat.last_number);
    let timeline = state.stores.timeline.serving();
    timeline.unseen(row.chat.chat_id, row.me.read_number, last).await.map(Some).map_err(of_store)
}

async fn blocks_somebody(state: &QueryState, person: PersonId) -> Result<bool, Refusal> {
    let query = LinkedQuery { state: LinkState::Blocked, after: None, before: None, limit: 1 };
    let blocked = state.stores.directory.serving().linked(person, query).await.map_err(of_store)?;
    Ok(!blocked.is_empty())
}

/// The title, of a group; the one that it had then, where one has left.
async fn title_of(state: &QueryState, row: &ChatOf) -> Result<Option<String>, Refusal> {
    let chat_id = row.chat.chat_id;
    let Some(now) = &row.chat.title else { return Ok(None) };
    if !row.me.left {
        return title(state, chat_id, now).map(Some);
    }
    let timeline = state.stores.timeline.serving();
    let mut last = u64::MAX;
    loop {
        let lines = timeline.lines(chat_id, 0, last, LOOKED_AT).await.map_err(of_store)?;
        let named = lines.iter().rev().filter(|line| line.position <= row.me.position);
        let mut named = named.filter(|line| matches!(line.kind, LineKind::Created | LineKind::Renamed));
        if let Some(then) = named.find_map(|line| line.title.as_ref()) {
            return title(state, chat_id, then).map(Some);
        }
        match lines.first() {
            Some(first) if first.ordinal > 1 => last = first.ordinal - 1,
            // Its first line gives every group a title.
            _ => return Ok(Some(String::new())),
        }
    }
}
