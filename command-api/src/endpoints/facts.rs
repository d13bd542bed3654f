//! What is to be known of the two of a direct chat: whether they are friends, whether either has
//! blocked the other, and whether both are in one group.
//!
//! Which groups two people are in is no fact of any one stream. One is looked for in the log before the
//! decision, and only where that was refused without: most who talk are friends. The decision itself
//! reads again whether both are in it.

use chronicle::{Done, Halt, Ledger};
use domain::Problem;
use domain::chat::{Chat, ChatFacts};
use domain::friendship::Friendship;
use domain::ids::{ChatId, Pair, PersonId};
use domain::problem::Kind;

use super::unavailable;
use crate::state::CommandState;

/// Chats in common that are looked through, those that both came into first.
const MOST_CHATS: usize = 100;

/// Decides as if the two were in no group; if that is not permitted, once more with a group that both
/// are in, where there is one.
pub(super) async fn decided<F: Future<Output = Result<Done, Problem>>>(
    state: &CommandState,
    two: impl Future<Output = Result<Option<Pair>, Problem>>,
    attempt: impl Fn(Option<ChatId>) -> F,
) -> Result<Done, Problem> {
    let problem = match attempt(None).await {
        Err(problem) if problem.is(Kind::NotPermitted) => problem,
        done => return done,
    };
    let Some(pair) = two.await? else { return Err(problem) };
    match common_group(state, pair).await? {
        Some(group) => attempt(Some(group)).await,
        None => Err(problem),
    }
}

/// The two of a direct chat that `person` is in.
pub(super) async fn two_of(
    state: &CommandState,
    chat: ChatId,
    person: PersonId,
) -> Result<Option<Pair>, Problem> {
    Ok(pair_of(&state.executor.state::<Chat>(chat).await?, person))
}

fn pair_of(chat: &Chat, person: PersonId) -> Option<Pair> {
    let peer = chat.has_member(person).then(|| chat.peer_of(person)).flatten();
    peer.and_then(|peer| Pair::of(person, peer))
}

async fn common_group(state: &CommandState, pair: Pair) -> Result<Option<ChatId>, Problem> {
    let [one, other] = pair.both();
    let chats = state.executor.log().common_chats(one, other, MOST_CHATS).await.map_err(unavailable)?;
    for chat in chats {
        if holds_both(&state.executor.state::<Chat>(chat).await?, pair) {
            return Ok(Some(chat));
        }
    }
    Ok(None)
}

fn holds_both(chat: &Chat, pair: Pair) -> bool {
    chat.is_group() && !chat.dissolved && pair.both().iter().all(|person| chat.has_member(*person))
}

/// Whether `person` writes in a chat, as far as that can be told before it is decided: for work that is only worth doing if
/// it can go well.
pub(super) async fn writes(state: &CommandState, chat: ChatId, person: PersonId) -> Result<(), Problem> {
    let chat = state.executor.state::<Chat>(chat).await?;
    if !chat.may_read(person) {
        return Err(Kind::NotFound.into());
    }
    let facts = match pair_of(&chat, person) {
        Some(pair) => {
            let link = state.executor.state::<Friendship>(pair).await?;
            let in_a_group = !link.are_friends() && common_group(state, pair).await?.is_some();
            told_by(&link, in_a_group)
        }
        None => ChatFacts::default(),
    };
    if chat.may_write(person, &facts) { Ok(()) } else { Err(Kind::NotPermitted.into()) }
}

/// Of two people; `group` is one that both may be in.
pub(super) fn of_pair(
    ledger: &mut Ledger<'_, '_>,
    pair: Pair,
    group: Option<ChatId>,
) -> Result<ChatFacts, Halt> {
    let in_a_group = match group {
        Some(group) => holds_both(ledger.read::<Chat>(group)?, pair),
        None => false,
    };
    let link = ledger.read::<Friendship>(pair)?;
    Ok(told_by(link, in_a_group))
}

fn told_by(link: &Friendship, in_a_group: bool) -> ChatFacts {
    ChatFacts { friends: link.are_friends(), blocked: link.is_blocked(), in_a_group }
}

/// Of the two of a chat that `person` is in; nothing of a group.
pub(super) fn of_chat(
    ledger: &mut Ledger<'_, '_>,
    chat: ChatId,
    person: PersonId,
    group: Option<ChatId>,
) -> Result<ChatFacts, Halt> {
    match pair_of(ledger.read::<Chat>(chat)?, person) {
        Some(pair) => of_pair(ledger, pair, group),
        None => Ok(ChatFacts::default()),
    }
}
