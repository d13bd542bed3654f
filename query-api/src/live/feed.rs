//! What changed for one person since a position, read from the read models and never from the log.
//! Sessions leave no feed: whoever shows them fetches them on coming back.

use domain::ids::PersonId;
use domain::live::{Ids, What};

use super::render::Changed;
use crate::refusal::{Refusal, of_store};
use crate::state::QueryState;
use stores::timeline;

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
    for chat in chats.chats_of(person).await.map_err(of_store)? {
        let chat_id = Some(chat.chat.chat_id);
        let since = after.max(chat.me.position.saturating_sub(1));
        let feed = chats.feed_since(chat.chat.chat_id, since, MOST).await.map_err(of_store)?;
        if !feed.complete {
            return Ok(None);
        }
        for entry in feed.entries.iter().filter(|entry| within(entry.position)) {
            let position = entry.position;
            let (what, ids) = match entry.changed {
                timeline::Changed::Chat => (What::Chat, Ids { chat_id, ..Ids::default() }),
                timeline::Changed::Message { number } => {
                    (What::Message, Ids { chat_id, number: Some(number), ..Ids::default() })
                }
                timeline::Changed::Read { person, number } => (
                    What::Read,
                    Ids { chat_id, user_id: Some(person), number: Some(number), ..Ids::default() },
                ),
            };
            changes.push(Changed { position, what, ids });
        }
        if changes.len() > MOST {
            return Ok(None);
        }
    }
    changes.sort_by_key(|changed| changed.position);
    changes.dedup();
    Ok(Some(changes))
}
