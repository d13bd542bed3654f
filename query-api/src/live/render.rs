//! Changes as one reader may see them at the moment of sending.

use std::collections::{HashMap, HashSet};

use domain::ids::{ChatId, PersonId};
use domain::live::{Ids, ServerFrame, What};
use domain::views::{Chat, Line, Message, Person};
use futures::FutureExt;
use serde::Serialize;
use serde_json::Value;
use stores::live::Notice;

use crate::refusal::{Refusal, of_store};
use crate::state::QueryState;
use crate::views::{Memberships, Mine, People, chats, lines, messages};

/// That something changed; what it is now is read when it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changed {
    pub position: u64,
    pub what: What,
    pub ids: Ids,
}

impl From<&Notice> for Changed {
    fn from(notice: &Notice) -> Self {
        Self { position: notice.position, what: notice.what, ids: notice.ids }
    }
}

/// What there is to see of some changes, read in bulk.
struct Seen {
    messages: HashMap<(ChatId, u64), Message>,
    /// By position.
    lines: HashMap<(ChatId, u64), Line>,
    chats: HashMap<ChatId, Chat>,
    /// Chats that the reader is or was in, of those that the changes are about.
    mine: Memberships,
    people: People,
}

/// The frames for `changes`, in their order; one that the reader may not see is left out.
pub async fn render(
    state: &QueryState,
    reader: PersonId,
    changes: &[Changed],
) -> Result<Vec<ServerFrame>, Refusal> {
    let seen = see(state, reader, changes).await?;
    Ok(changes.iter().filter_map(|changed| frame(&seen, reader, changed)).collect())
}

fn frame(seen: &Seen, reader: PersonId, changed: &Changed) -> Option<ServerFrame> {
    let Changed { position, what, ids } = *changed;
    let in_chat = || ids.chat_id.filter(|chat_id| seen.mine.contains_key(chat_id));
    let (ids, item) = match what {
        What::Message => {
            let (chat_id, number) = (in_chat()?, ids.number?);
            let ids = Ids { chat_id: Some(chat_id), number: Some(number), ..Ids::default() };
            let message = seen.messages.get(&(chat_id, number))?;
            let me = &seen.mine.get(&chat_id)?.me;
            if me.is_past(position) && message.deleted.is_none() {
                return None;
            }
            (ids, Some(json(message)))
        }
        // Its ordinal is nothing to a client.
        What::Line => {
            let chat_id = in_chat()?;
            (
                Ids { chat_id: Some(chat_id), ..Ids::default() },
                Some(json(seen.lines.get(&(chat_id, position))?)),
            )
        }
        What::Chat => {
            let chat_id = in_chat()?;
            (Ids { chat_id: Some(chat_id), ..Ids::default() }, Some(json(seen.chats.get(&chat_id)?)))
        }
        What::Read => {
            let (chat_id, user_id) = (in_chat()?, ids.user_id?);
            let me = &seen.mine.get(&chat_id)?.me;
            // As in the chat's view: how far somebody has read is for friends.
            if user_id != reader && (me.is_past(position) || !seen.people.are_close(user_id)) {
                return None;
            }
            (
                Ids { chat_id: Some(chat_id), user_id: Some(user_id), number: ids.number, ..Ids::default() },
                None,
            )
        }
        What::Person => {
            let user_id = ids.user_id?;
            let person: Person = seen.people.person(user_id)?;
            (Ids { user_id: Some(user_id), ..Ids::default() }, Some(json(&person)))
        }
        What::Me => (Ids::default(), None),
        What::Session => (Ids { session_id: ids.session_id, ..Ids::default() }, None),
    };
    Some(ServerFrame::Change { position, what, ids, item })
}

async fn see(state: &QueryState, reader: PersonId, changes: &[Changed]) -> Result<Seen, Refusal> {
    let timeline = state.stores.timeline.serving();
    let mut numbers: HashMap<ChatId, Vec<u64>> = HashMap::new();
    let mut ordinals: HashMap<ChatId, Vec<(u64, u64)>> = HashMap::new();
    let mut whole: HashSet<ChatId> = HashSet::new();
    let mut about: HashSet<ChatId> = HashSet::new();
    let mut persons: HashSet<PersonId> = HashSet::new();
    for Changed { what, ids, position } in changes {
        about.extend(ids.chat_id);
        match (what, ids.chat_id) {
            (What::Message, Some(chat_id)) => numbers.entry(chat_id).or_default().extend(ids.number),
            (What::Line, Some(chat_id)) => {
                let line = ids.number.map(|ordinal| (ordinal, *position));
                ordinals.entry(chat_id).or_default().extend(line);
            }
            (What::Chat, Some(chat_id)) => {
                whole.insert(chat_id);
            }
            (What::Read | What::Person, _) => persons.extend(ids.user_id),
            _ => {}
        }
    }
    let mut mine = Memberships::new();
    let (mut chat_rows, mut message_rows, mut line_rows) = (Vec::new(), Vec::new(), Vec::new());
    for chat_id in about {
        let is_in: Mine = if whole.contains(&chat_id) {
            let Some(row) = timeline.chat_of(chat_id, reader).await.map_err(of_store)? else { continue };
            let is_in = Mine::from(&row);
            chat_rows.push(row);
            is_in
        } else {
            let me = timeline.membership(chat_id, reader).await.map_err(of_store)?;
            let Some(me) = me else { continue };
            me.into()
        };
        if let Some(numbers) = numbers.get_mut(&chat_id) {
            numbers.retain(|number| is_in.me.shows(*number));
            message_rows.extend(timeline.messages_by_number(chat_id, numbers).await.map_err(of_store)?);
        }
        if let Some(ordinals) = ordinals.get(&chat_id) {
            line_rows.extend(lines::of_changes(&*timeline, &is_in.me, ordinals).await?);
        }
        mine.insert(chat_id, is_in);
    }
    let messages = messages(state, reader, &mine, message_rows).boxed().await?;
    let chats = chats(state, reader, &chat_rows).boxed().await?;
    let lines = lines::views(state, reader, &line_rows).await?;
    let lines = line_rows.iter().map(|row| (row.chat_id, row.position)).zip(lines);
    Ok(Seen {
        messages: messages.into_iter().map(|message| ((message.chat_id, message.number), message)).collect(),
        lines: lines.collect(),
        chats: chats.into_iter().map(|chat| (chat.chat_id, chat)).collect(),
        mine,
        people: People::read(state, reader, persons).await?,
    })
}

fn json(view: &impl Serialize) -> Value {
    // Views are structs of strings and numbers.
    serde_json::to_value(view).unwrap_or_default()
}
