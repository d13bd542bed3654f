//! `edit_info`: nickname, name, about.

use axum::Json;
use axum::extract::State;
use chronicle::Halt;
use chronicle::keys::Place;
use domain::Problem;
use domain::ids::{EventId, PersonId};
use domain::personal::{About, Name, Nickname};
use domain::problem::Kind;
use domain::requests::{Done, EditInfo};
use domain::text::{check_about, check_name, check_nickname, nickname_key};
use domain::user::{User, UserCommand};

use super::Checks;
use crate::asking::{Key, Signed};
use crate::body::Body;
use crate::openapi::Problems;
use crate::refusal::Refusal;
use crate::state::CommandState;

/// How often one looks again when the nickname was changed meanwhile.
const TRIES: usize = 3;

/// Changes what others see of oneself. What is absent stays as it is.
#[utoipa::path(
    post,
    path = "/command/v1/edit_info",
    operation_id = "edit_info",
    params(("Idempotency-Key" = uuid::Uuid, Header, description = "A UUID, version 7 preferred")),
    request_body = EditInfo,
    responses((status = 200, body = Done), Problems),
    security(("bearer" = []), ("cookie" = []))
)]
pub async fn edit_info(
    State(state): State<CommandState>,
    who: Signed,
    Key(key): Key,
    Body(request): Body<EditInfo>,
) -> Result<Json<Done>, Refusal> {
    let mut checks = Checks::default();
    checks
        .check(request.nickname.as_deref().map_or(Ok(()), |nickname| check_nickname("/nickname", nickname)));
    checks.check(request.name.as_deref().map_or(Ok(()), |name| check_name("/name", name)));
    checks.check(request.about.as_deref().map_or(Ok(()), |about| check_about("/about", about)));
    checks.done()?;
    let mut tries = 0;
    let position = loop {
        tries += 1;
        match attempt(&state, &who, key, &request).await {
            Err(problem) if problem.is(Kind::Conflict) && tries < TRIES => {}
            answer => break answer?,
        }
    };
    Ok(Json(Done { position }))
}

async fn attempt(
    state: &CommandState,
    who: &Signed,
    key: uuid::Uuid,
    request: &EditInfo,
) -> Result<u64, Problem> {
    // The claim of the old nickname is given up with it; which one that is lies sealed.
    let old = match request.nickname {
        Some(_) => old_nickname(state, who.person).await?,
        None => None,
    };
    let envelope = state.by(who, "edit_info", key, request);
    let (person, request) = (who.person, request.clone());
    let done = state
        .executor
        .execute(envelope, move |ledger| {
            let edit = UserCommand::EditInfo {
                seen: old.as_ref().map(|(seen, _)| *seen),
                nickname: request.nickname.clone().map(Nickname),
                name: request.name.as_deref().map(|name| Name(name.trim().to_owned())),
                about: request.about.clone().map(About),
            };
            ledger.decide::<User>(person, edit, &())?;
            let Some(nickname) = &request.nickname else { return Ok(()) };
            let new = nickname_key(nickname);
            let owner = person.to_string();
            match ledger.claim("nickname/1", &new)? {
                Some(other) if other != owner => return Err(Kind::NicknameTaken.into()),
                Some(_) => {}
                None => ledger.set_claim("nickname/1", &new, Some(owner.clone()))?,
            }
            if let Some((_, old)) = &old
                && *old != new
                && ledger.claim("nickname/1", old)?.as_ref() == Some(&owner)
            {
                ledger.set_claim("nickname/1", old, None)?;
            }
            Ok::<(), Halt>(())
        })
        .await?;
    Ok(done.position)
}

/// The key of the nickname's claim, and the event that set it.
async fn old_nickname(state: &CommandState, person: PersonId) -> Result<Option<(EventId, String)>, Problem> {
    let user = state.executor.state::<User>(person).await?;
    let Some((sealed, seen)) = user.nickname.and_then(|it| it.event_id.map(|seen| (it, seen))) else {
        return Ok(None);
    };
    let place = Place {
        log_id: state.executor.log_id(),
        aggregate_type: domain::aggregate::Kind::User.name(),
        aggregate_id: &person.to_string(),
        event_id: seen,
        field: "nickname",
    };
    match state.keyring().open_as::<Nickname>(&place, &sealed) {
        Ok(Nickname(nickname)) => Ok(Some((seen, nickname_key(&nickname)))),
        Err(error) => {
            tracing::error!(%error, "a nickname can't be opened");
            Err(Kind::Unavailable.into())
        }
    }
}
