//! Messages as somebody left them. What others make of a message after that is not theirs to see, but that it was
//! deleted.

use stores::timeline::{MemberRow, MessageRow};

use super::messages::Memberships;
use crate::refusal::{Refusal, of_store};
use crate::state::QueryState;

/// How far somebody sees what becomes of messages: up to this position, or all of it.
pub fn until(me: &MemberRow) -> Option<u64> {
    me.left.then_some(me.position)
}

/// Turns the rows into what they were when whoever they are read for left, if they did.
///
/// # Errors
/// If the engine does not answer.
pub async fn as_left(state: &QueryState, mine: &Memberships, rows: &mut [MessageRow]) -> Result<(), Refusal> {
    let timeline = state.stores.timeline.serving();
    for row in rows {
        let Some(until) = mine.get(&row.chat_id).and_then(|mine| until(&mine.me)) else { continue };
        let touch = &mut row.touch;
        if touch.position <= until || touch.deleted.is_some() {
            continue;
        }
        touch.reactions.retain(|reaction| reaction.position <= until);
        if touch.edited.as_ref().is_some_and(|edit| edit.position > until) {
            let edits = timeline.edits(row.chat_id, row.number).await.map_err(of_store)?;
            touch.edited = edits.into_iter().rfind(|edit| edit.position <= until);
        }
    }
    Ok(())
}
