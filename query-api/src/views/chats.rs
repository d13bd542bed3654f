//! Chats as one of their members has them.

use domain::ids::PersonId;
use domain::views::{Chat, ChatKind};
use stores::timeline::ChatOf;

use super::messages::messages;
use super::people::People;
use crate::refusal::Refusal;
use crate::state::QueryState;

/// The rows as `asker`, whose they are, sees them, in their order.
pub async fn chats(state: &QueryState, asker: PersonId, rows: &[ChatOf]) -> Result<Vec<Chat>, Refusal> {
    let last: Vec<_> = rows.iter().filter_map(|row| row.last.clone()).collect();
    let mut last = messages(state, asker, &last).await?.into_iter();
    let peers = rows.iter().filter_map(|row| row.peer.as_ref()).map(|peer| peer.person);
    let people = People::read(state, asker, peers).await?;
    Ok(rows
        .iter()
        .map(|row| {
            let close = row.peer.as_ref().is_some_and(|peer| people.are_close(peer.person));
            Chat {
                chat_id: row.chat.chat_id,
                kind: row.chat.kind,
                title: None,
                peer: row.peer.as_ref().and_then(|peer| people.person(peer.person)),
                member_count: row.chat.member_count,
                my_role: row.me.role,
                last: row.last.as_ref().and_then(|_| last.next()),
                last_number: row.chat.last_number,
                read_number: row.me.read_number,
                // How far somebody has read is for friends alone; else its absence would tell who
                // has blocked.
                peer_read_number: row.peer.as_ref().filter(|_| close).map(|peer| peer.read_number),
                unread: row.unread(),
                muted_until: None,
                pinned: false,
                can_send: row.chat.kind == ChatKind::Direct && close,
            }
        })
        .collect())
}
