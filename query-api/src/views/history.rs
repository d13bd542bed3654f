//! Messages of a chat as one of its people may read them: those of the spans that their membership
//! names. Whatever lies outside is as if it were not there.

use domain::chat::Span;
use stores::Result;
use stores::timeline::{Keep, MemberRow, MessageQuery, MessageRow, Timeline};

/// What `query` finds in the chat that `me` is a membership of, the oldest first.
///
/// # Errors
/// If the engine does not answer.
pub async fn history(
    timeline: &dyn Timeline,
    me: &MemberRow,
    query: MessageQuery,
) -> Result<Vec<MessageRow>> {
    let all = [Span { first: 1, last: None }];
    let mut spans = if me.sees.is_empty() && !me.left { all.to_vec() } else { me.sees.clone() };
    if query.keep == Keep::Newest {
        spans.reverse();
    }
    let mut found: Vec<MessageRow> = Vec::new();
    for span in spans {
        let limit = query.limit.saturating_sub(found.len());
        if limit == 0 {
            break;
        }
        let Some((after, before)) = within(span, &query) else { continue };
        let some =
            timeline.messages(me.chat_id, MessageQuery { after, before, limit, ..query.clone() }).await?;
        match query.keep {
            Keep::Oldest => found.extend(some),
            Keep::Newest => {
                found.splice(0..0, some);
            }
        }
    }
    Ok(found)
}

/// `after` and `before` of what both `span` and `query` ask for; `None` if that is nothing.
fn within(span: Span, query: &MessageQuery) -> Option<(Option<u64>, Option<u64>)> {
    let after = query.after.max(span.first.checked_sub(1).filter(|after| *after > 0));
    let end = span.last.map(|last| last.saturating_add(1));
    let before = [query.before, end].into_iter().flatten().min();
    let is_empty = before.is_some_and(|before| after.unwrap_or(0).saturating_add(1) >= before);
    (!is_empty).then_some((after, before))
}
