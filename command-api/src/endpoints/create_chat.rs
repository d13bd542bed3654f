//! `create_chat`: the direct chat of two, or a group.

use axum::Json;
use axum::extract::State;
use chronicle::{Done, Envelope, Halt, Ledger};
use domain::Problem;
use domain::chat::{Chat, ChatCommand, ChatFacts};
use domain::group::MOST_MEMBERS;
use domain::ids::{ChatId, Pair, PersonId};
use domain::personal::Title;
use domain::problem::{FieldError, Kind};
use domain::requests::{ChatCreated, CreateChat};
use domain::text::check_title;
use domain::user::User;

use super::{Checks, facts, group, unless_faster, user_exists};
use crate::asking::{Key, Signed};
use crate::body::Body;
use crate::openapi::Problems;
use crate::refusal::Refusal;
use crate::state::CommandState;

/// How often it is asked again whether all are friends. Of a large group more links may have to be read than
/// the executor reads for one command; those that it has read it knows then.
const TRIES: usize = 10;

/// Opens the direct chat with a friend or with somebody of a group in common, or a group of one's friends.
/// A pair has one chat: if it is there already, that is the answer.
#[utoipa::path(
    post,
    path = "/command/v1/create_chat",
    operation_id = "create_chat",
    params(("Idempotency-Key" = uuid::Uuid, Header, description = "A UUID, version 7 preferred")),
    request_body = CreateChat,
    responses((status = 200, body = ChatCreated), Problems),
    security(("bearer" = []), ("cookie" = []))
)]
pub async fn create_chat(
    State(state): State<CommandState>,
    who: Signed,
    Key(key): Key,
    Body(request): Body<CreateChat>,
) -> Result<Json<ChatCreated>, Refusal> {
    let envelope = state.by(&who, "create_chat", key, &request);
    let done = match request.user_id {
        Some(with) => {
            check_direct(&request)?;
            open_direct(&state, envelope, who.person, with).await?
        }
        None => open_group(&state, envelope, who.person, request).await?,
    };
    let chat_id = group::entered(&done).ok_or(Kind::Internal)?;
    Ok(Json(ChatCreated { position: done.position, chat_id }))
}

/// A direct chat has nothing of a group.
fn check_direct(request: &CreateChat) -> Result<(), Problem> {
    let CreateChat { user_id: _, title, member_ids, history } = request;
    let mut checks = Checks::default();
    for (pointer, given) in
        [("/title", title.is_some()), ("/member_ids", member_ids.is_some()), ("/history", history.is_some())]
    {
        checks.check(if given { Err(FieldError::new(pointer, "unknown-field")) } else { Ok(()) });
    }
    checks.done()
}

async fn open_direct(
    state: &CommandState,
    envelope: Envelope,
    by: PersonId,
    with: PersonId,
) -> Result<Done, Problem> {
    let pair = Pair::of(by, with).ok_or_else(|| Problem::field(FieldError::new("/user_id", "oneself")))?;
    let at = envelope.at;
    let chat = ChatId(state.new_id(at));
    facts::decided(state, std::future::ready(Ok(Some(pair))), |group| {
        state.executor.execute(envelope.clone(), move |ledger| {
            if ledger.read::<User>(with)?.person.is_none() {
                return Err(Kind::NotFound.into());
            }
            let direct = pair.to_string();
            if let Some(existing) = ledger.claim("direct/1", &direct)? {
                ledger.note(existing);
                return Ok(());
            }
            let facts = facts::of_pair(ledger, pair, group)?;
            ledger.decide::<Chat>(chat, ChatCommand::CreateDirect { chat, by, with, at }, &facts)?;
            ledger.set_claim("direct/1", &direct, Some(chat.to_string()))?;
            Ok::<(), Halt>(())
        })
    })
    .await
}

async fn open_group(
    state: &CommandState,
    envelope: Envelope,
    by: PersonId,
    request: CreateChat,
) -> Result<Done, Problem> {
    let CreateChat { user_id: _, title, member_ids, history } = request;
    let Some(title) = title else {
        let pointer = if member_ids.is_some() || history.is_some() { "/title" } else { "/user_id" };
        return Err(Problem::field(FieldError::new(pointer, "required")));
    };
    check_title("/title", &title).map_err(Problem::field)?;
    state.ensure_key(by).await?;
    let at = envelope.at;
    let chat = ChatId(state.new_id(at));
    let title = Title(title.trim().to_owned());
    let (members, history) = (member_ids.unwrap_or_default(), history.unwrap_or_default());
    unless_faster(TRIES, || {
        let (title, members) = (title.clone(), members.clone());
        state.executor.execute(envelope.clone(), move |ledger| {
            user_exists(ledger, by)?;
            let facts = of_members(ledger, by, &members)?;
            let (title, members) = (title.clone(), members.clone());
            let create = ChatCommand::CreateGroup { chat, by, title, history, members, at };
            ledger.decide::<Chat>(chat, create, &facts)?;
            Ok::<(), Halt>(())
        })
    })
    .await
}

/// Whether all are friends, and whether anybody is blocked. Nobody is a friend who is not there.
fn of_members(ledger: &mut Ledger<'_, '_>, by: PersonId, members: &[PersonId]) -> Result<ChatFacts, Halt> {
    let mut all = ChatFacts { friends: true, ..ChatFacts::default() };
    // Too many are refused whoever they are.
    if members.len() >= MOST_MEMBERS {
        return Ok(all);
    }
    for (index, member) in members.iter().enumerate() {
        // Oneself is refused, too.
        let Some(pair) = Pair::of(by, *member) else { continue };
        let one = facts::of_pair(ledger, pair, None)?;
        if !one.friends && ledger.read::<User>(member)?.person.is_none() {
            let pointer = format!("/member_ids/{index}");
            return Err(Problem::field(FieldError::new(pointer, "no-such-person")).into());
        }
        all.friends &= one.friends;
        all.blocked |= one.blocked;
    }
    Ok(all)
}
