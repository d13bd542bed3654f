//! Signs of life: who is told of them, and who hears them.
//!
//! Whoever gives one names those who may be concerned; whether they may hear of it is looked at when it is
//! sent to them, by the same rule as a photo's: whoever was blocked is told as much as a former friend,
//! which is nothing.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use domain::ids::{ChatId, PersonId};
use domain::live::{Ids, ServerFrame, Signal};
use domain::views::{Audience, ChatKind, PersonState};
use futures::FutureExt;
use stores::directory::{LinkState, LinkedQuery};
use tokio::time::Instant;

use crate::refusal::{Refusal, of_store};
use crate::state::QueryState;
use crate::views::{People, can_send};

/// People who are told of one sign: of a chat, and beside one's friends.
const MOST: usize = 500;
/// Friends who are told that one is here, about; the first ones by name.
const MOST_FRIENDS: usize = 2_000;
/// Of one chat there is at most one sign of writing in so long.
const PAUSE: Duration = Duration::from_secs(2);
/// Chats that somebody writes in at a time.
const MOST_CHATS: usize = 8;
/// For so long it is remembered who is to know that somebody is here.
const REMEMBERED: Duration = Duration::from_secs(5 * 60);

/// The signs that one socket gives.
#[derive(Default)]
pub struct Signs {
    typed: HashMap<ChatId, Instant>,
    near: Option<(Instant, Vec<PersonId>)>,
}

impl Signs {
    /// Who is to know that `person` writes in a chat; nobody where they may not, or gave a sign of it just
    /// now.
    pub async fn typing(
        &mut self,
        state: &QueryState,
        person: PersonId,
        chat_id: ChatId,
    ) -> Result<Vec<PersonId>, Refusal> {
        let now = Instant::now();
        self.typed.retain(|_, at| now.duration_since(*at) < PAUSE);
        if self.typed.contains_key(&chat_id) || self.typed.len() >= MOST_CHATS {
            return Ok(Vec::new());
        }
        self.typed.insert(chat_id, now);
        let timeline = state.stores.timeline.serving();
        let Some(row) = timeline.chat_of(chat_id, person).await.map_err(of_store)? else {
            return Ok(Vec::new());
        };
        if !can_send(state, &row).boxed().await? {
            return Ok(Vec::new());
        }
        if let Some(peer) = row.peer {
            return Ok(vec![peer.person]);
        }
        let members = timeline.members(chat_id).await.map_err(of_store)?;
        let others = members.into_iter().filter(|member| !member.left && member.person != person);
        Ok(others.map(|member| member.person).take(MOST).collect())
    }

    /// Who is to know that `person` is here.
    pub async fn presence(&mut self, state: &QueryState, person: PersonId) -> Result<&[PersonId], Refusal> {
        if self.near.as_ref().is_none_or(|(since, _)| since.elapsed() >= REMEMBERED) {
            self.near = Some((Instant::now(), near(state, person).await?));
        }
        Ok(self.near.as_ref().map_or(&[], |(_, near)| near))
    }
}

/// Friends, and those in common chats if everyone may know.
async fn near(state: &QueryState, person: PersonId) -> Result<Vec<PersonId>, Refusal> {
    let directory = state.stores.directory.serving();
    let mut near = friends_of(state, person).await?;
    let mut others = BTreeSet::new();
    let me = directory.persons(&[person]).await.map_err(of_store)?;
    if me.first().is_some_and(|me| me.settings.presence == Audience::Everyone) {
        let timeline = state.stores.timeline.serving();
        for row in timeline.chats_of(person).await.map_err(of_store)? {
            if others.len() >= MOST {
                break;
            }
            others.extend(row.peer.map(|peer| peer.person).filter(|person| !near.contains(person)));
            if row.chat.kind == ChatKind::Group && !row.me.left && !row.chat.dissolved {
                let members = timeline.members(row.chat.chat_id).await.map_err(of_store)?;
                let members = members.into_iter().filter(|member| !member.left).map(|member| member.person);
                others.extend(members.filter(|person| !near.contains(person)));
            }
        }
    }
    near.extend(others.into_iter().take(MOST));
    near.remove(&person);
    Ok(near.into_iter().collect())
}

async fn friends_of(state: &QueryState, person: PersonId) -> Result<BTreeSet<PersonId>, Refusal> {
    let directory = state.stores.directory.serving();
    let (mut friends, mut after) = (BTreeSet::new(), None);
    while friends.len() < MOST_FRIENDS {
        let query =
            LinkedQuery { state: LinkState::Accepted, after: after.take(), before: None, limit: MOST };
        let page = directory.linked(person, query).await.map_err(of_store)?;
        friends.extend(page.iter().map(|friend| friend.user.user_id));
        match page.last() {
            Some(last) if page.len() == MOST => after = Some((last.user.sort_key.clone(), last.user.user_id)),
            _ => break,
        }
    }
    Ok(friends)
}

/// The frame for a signal, if `reader` may hear of it.
pub async fn heard(
    state: &QueryState,
    reader: PersonId,
    signal: Signal,
    ids: Ids,
) -> Result<Option<ServerFrame>, Refusal> {
    let Some(user_id) = ids.user_id.filter(|user_id| *user_id != reader) else { return Ok(None) };
    let people = People::read(state, reader, [user_id]).await?;
    let Some(user) = people.user(user_id) else { return Ok(None) };
    let (audience, chat_id) = match (signal, ids.chat_id) {
        (Signal::Presence, _) => (user.settings.presence, None),
        (Signal::Typing, Some(chat_id)) => {
            let me = state.stores.timeline.serving().membership(chat_id, reader).await.map_err(of_store)?;
            if me.is_none_or(|me| me.left) {
                return Ok(None);
            }
            (Audience::Everyone, Some(chat_id))
        }
        (Signal::Typing, None) => return Ok(None),
    };
    if user.state != PersonState::Active || !people.is_among(audience, user_id) {
        return Ok(None);
    }
    let ids = Ids { chat_id, user_id: Some(user_id), ..Ids::default() };
    Ok(Some(ServerFrame::Signal { signal, ids }))
}
