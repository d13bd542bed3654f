//! Messages as somebody left them. What others make of a message after that is not theirs to see, but that it was
//! deleted.

use futures::future::try_join_all;
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
    let edited = rows.iter_mut().filter_map(|row| {
        let until = mine.get(&row.chat_id).and_then(|mine| until(&mine.me))?;
        let touch = &mut row.touch;
        if touch.position <= until || touch.deleted.is_some() {
            return None;
        }
        touch.reactions.retain(|reaction| reaction.position <= until);
        touch.edited.take_if(|edit| edit.position > until).map(|_| (row, until))
    });
    let as_then = edited.map(async |(row, until)| {
        let edits = timeline.edits(row.chat_id, row.number).await.map_err(of_store)?;
        row.touch.edited = edits.into_iter().rfind(|edit| edit.position <= until);
        Ok::<(), Refusal>(())
    });
    try_join_all(as_then.collect::<Vec<_>>()).await?;
    Ok(())
}
