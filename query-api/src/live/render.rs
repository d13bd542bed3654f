//! Changes as one reader may see them at the moment of sending.

use std::collections::{HashMap, HashSet};

use domain::ids::{ChatId, PersonId};
use domain::live::{Ids, ServerFrame, What};
use domain::views::{Chat, Message, Person};
use serde::Serialize;
use serde_json::Value;
use stores::live::Notice;

use crate::refusal::{Refusal, of_store};
use crate::state::QueryState;
use crate::views::{People, chats, messages};

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
    chats: HashMap<ChatId, Chat>,
    /// Chats that the reader is in, of those that the changes are about.
    mine: HashSet<ChatId>,
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
    let in_chat = || ids.chat_id.filter(|chat_id| seen.mine.contains(chat_id));
    let (ids, item) = match what {
        What::Message => {
            let (chat_id, number) = (in_chat()?, ids.number?);
            let ids = Ids { chat_id: Some(chat_id), number: Some(number), ..Ids::default() };
            (ids, Some(json(seen.messages.get(&(chat_id, number))?)))
        }
        What::Chat => {
            let chat_id = in_chat()?;
            (Ids { chat_id: Some(chat_id), ..Ids::default() }, Some(json(seen.chats.get(&chat_id)?)))
        }
        What::Read => {
            let (chat_id, user_id) = (in_chat()?, ids.user_id?);
            // As in the chat's view: how far somebody has read is for friends.
            if user_id != reader && !seen.people.are_close(user_id) {
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
    let mut whole: HashSet<ChatId> = HashSet::new();
    let mut about: HashSet<ChatId> = HashSet::new();
    let mut persons: HashSet<PersonId> = HashSet::new();
    for Changed { what, ids, .. } in changes {
        about.extend(ids.chat_id);
        match (what, ids.chat_id) {
            (What::Message, Some(chat_id)) => numbers.entry(chat_id).or_default().extend(ids.number),
            (What::Chat, Some(chat_id)) => {
                whole.insert(chat_id);
            }
            (What::Read | What::Person, _) => persons.extend(ids.user_id),
            _ => {}
        }
    }
    let mut mine = HashSet::new();
    let mut chat_rows = Vec::new();
    let mut message_rows = Vec::new();
    for chat_id in about {
        if whole.contains(&chat_id) {
            let Some(row) = timeline.chat_of(chat_id, reader).await.map_err(of_store)? else { continue };
            chat_rows.push(row);
        } else if timeline.membership(chat_id, reader).await.map_err(of_store)?.is_none() {
            continue;
        }
        mine.insert(chat_id);
        if let Some(numbers) = numbers.get(&chat_id) {
            message_rows.extend(timeline.messages_by_number(chat_id, numbers).await.map_err(of_store)?);
        }
    }
    let messages = messages(state, reader, &message_rows).await?;
    let chats = chats(state, reader, &chat_rows).await?;
    Ok(Seen {
        messages: messages.into_iter().map(|message| ((message.chat_id, message.number), message)).collect(),
        chats: chats.into_iter().map(|chat| (chat.chat_id, chat)).collect(),
        mine,
        people: People::read(state, reader, persons).await?,
    })
}

fn json(view: &impl Serialize) -> Value {
    // Views are structs of strings and numbers.
    serde_json::to_value(view).unwrap_or_default()
}
