//! Messages as somebody left them. What others make of a message after that is not theirs to see, but that it was
//! deleted.

use futures::future::try_join_all;
use stores::timeline::MessageRow;

use super::messages::Memberships;
use crate::refusal::{Refusal, of_store};
use crate::state::QueryState;

/// Turns the rows into what they were when whoever they are read for left, if they did.
///
/// # Errors
/// If the engine does not answer.
pub async fn as_left(state: &QueryState, mine: &Memberships, rows: &mut [MessageRow]) -> Result<(), Refusal> {
    let timeline = state.stores.timeline.serving();
    let edited = rows.iter_mut().filter_map(|row| {
        let me = &mine.get(&row.chat_id)?.me;
        let touch = &mut row.touch;
        if !me.is_past(touch.position) || touch.deleted.is_some() {
            return None;
        }
        touch.reactions.retain(|reaction| !me.is_past(reaction.position));
        touch.edited.take_if(|edit| me.is_past(edit.position)).map(|_| (row, me))
    });
    let as_then = edited.map(async |(row, me)| {
        let edits = timeline.edits(row.chat_id, row.number).await.map_err(of_store)?;
        row.touch.edited = edits.into_iter().rfind(|edit| !me.is_past(edit.position));
        Ok::<(), Refusal>(())
    });
    try_join_all(as_then.collect::<Vec<_>>()).await?;
    Ok(())
}
