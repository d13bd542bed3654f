//! What changed for one person since a position, read from the read models and never from the log.
//! Sessions leave no feed: whoever shows them fetches them on coming back.

use domain::ids::PersonId;
use domain::live::{Ids, What};

use super::render::Changed;
use crate::refusal::{Refusal, of_store};
use crate::state::QueryState;
use stores::timeline::{self, ChatOf, FeedEntry, MemberRow};

/// More changes than this are not sent one by one.
pub const MOST: usize = 1_000;

/// What changed after `after` and up to `shown`, by position; `None` where that is too much.
pub async fn changes(
    state: &QueryState,
    person: PersonId,
    after: u64,
    shown: u64,
) -> Result<Option<Vec<Changed>>, Refusal> {
    if after >= shown {
        return Ok(Some(Vec::new()));
    }
    let within = |position: u64| after < position && position <= shown;
    let mut changes = Vec::new();

    let directory = state.stores.directory.serving();
    let linked = directory.relations_changed_since(person, after, MOST + 1).await.map_err(of_store)?;
    if linked.len() > MOST {
        return Ok(None);
    }
    for linked in linked {
        // The later of both, unless that one is not shown yet: then its notice will come.
        let positions = [linked.relation.shown_position, linked.user.position];
        if let Some(position) = positions.into_iter().filter(|position| within(*position)).max() {
            let ids = Ids { user_id: Some(linked.user.user_id), ..Ids::default() };
            changes.push(Changed { position, what: What::Person, ids });
        }
    }
    let me = directory.persons(&[person]).await.map_err(of_store)?;
    if let Some(me) = me.first().filter(|me| within(me.position)) {
        changes.push(Changed { position: me.position, what: What::Me, ids: Ids::default() });
    }

    let chats = state.stores.timeline.serving();
    for ChatOf { me, chat, .. } in chats.chats_of(person).await.map_err(of_store)? {
        let feed = chats.feed_since(me.chat_id, after, MOST).await.map_err(of_store)?;
        if !feed.complete && me.left && me.position <= after && chat.deletion <= after {
            // How the group goes on is of no concern to whoever has left it, as long as nothing is deleted there.
            continue;
        }
        if !feed.complete {
            return Ok(None);
        }
        if me.left && within(me.position) {
            changes.push(Changed { position: me.position, what: What::Chat, ids: of_chat(&me) });
        }
        let entries = || feed.entries.iter().filter(|entry| within(entry.position));
        changes.extend(entries().filter_map(|entry| of_entry(&me, entry)));
        // A message that was touched again after one has left may have been touched before, too: it is told as of then.
        if me.left && within(me.position) {
            let is_message = |entry: &&FeedEntry| matches!(entry.changed, timeline::Changed::Message { .. });
            let later = entries().filter(|entry| me.is_past(entry.position)).filter(is_message);
            changes.extend(
                later
                    .filter_map(|entry| of_entry(&me, entry))
                    .map(|it| Changed { position: me.position, ..it }),
            );
        }
        if changes.len() > MOST {
            return Ok(None);
        }
    }
    changes.sort_by_key(|changed| changed.position);
    changes.dedup();
    Ok(Some(changes))
}

fn of_chat(me: &MemberRow) -> Ids {
    Ids { chat_id: Some(me.chat_id), ..Ids::default() }
}

/// What an entry of the chat's feed is to one of its people; `None` if it is nothing.
fn of_entry(me: &MemberRow, entry: &FeedEntry) -> Option<Changed> {
    let position = entry.position;
    let ids = of_chat(me);
    let (what, ids) = match entry.changed {
        // Of all that changed the last is told: whoever has left gets their leaving in its place.
        timeline::Changed::Chat if me.left => return None,
        timeline::Changed::Chat => (What::Chat, ids),
        timeline::Changed::Message { number } if !me.shows(number) => return None,
        timeline::Changed::Message { number } => (What::Message, Ids { number: Some(number), ..ids }),
        timeline::Changed::Line { ordinal } => (What::Line, Ids { number: Some(ordinal), ..ids }),
        timeline::Changed::Read { person, .. } if me.is_past(position) && person != me.person => return None,
        timeline::Changed::Read { person, number } => {
            (What::Read, Ids { user_id: Some(person), number: Some(number), ..ids })
        }
        timeline::Changed::Kept { person } if person != me.person => return None,
        timeline::Changed::Kept { .. } => (What::Chat, ids),
    };
    Some(Changed { position, what, ids })
}
