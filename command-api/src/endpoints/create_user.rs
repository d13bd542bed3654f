//! `create_user`: the user of an account that has none yet.

use axum::Json;
use axum::extract::State;
use chronicle::Halt;
use domain::personal::{Name, Nickname};
use domain::problem::Kind;
use domain::requests::{CreateUser, UserCreated};
use domain::text::{check_name, check_nickname, nickname_key};
use domain::user::{User, UserCommand};

use super::Checks;
use crate::asking::{Key, Signed};
use crate::body::Body;
use crate::openapi::Problems;
use crate::refusal::Refusal;
use crate::state::CommandState;

/// Makes the user of an account that signed up without one.
#[utoipa::path(
    post,
    path = "/command/v1/create_user",
    operation_id = "create_user",
    params(("Idempotency-Key" = uuid::Uuid, Header, description = "A UUID, version 7 preferred")),
    request_body = CreateUser,
    responses((status = 200, body = UserCreated), Problems),
    security(("bearer" = []), ("cookie" = []))
)]
pub async fn create_user(
    State(state): State<CommandState>,
    who: Signed,
    Key(key): Key,
    Body(request): Body<CreateUser>,
) -> Result<Json<UserCreated>, Refusal> {
    let name = request.name.clone().unwrap_or_else(|| request.nickname.clone());
    let mut checks = Checks::default();
    checks.check(check_nickname("/nickname", &request.nickname));
    if let Some(name) = &request.name {
        checks.check(check_name("/name", name));
    }
    checks.done()?;
    state.ensure_key(who.person).await?;

    let envelope = state.by(&who, "create_user", key, &request);
    let (person, nickname) = (who.person, request.nickname);
    let done = state
        .executor
        .execute(envelope, move |ledger| {
            let create = UserCommand::Create {
                person,
                nickname: Nickname(nickname.clone()),
                name: Name(name.trim().to_owned()),
            };
            ledger.decide::<User>(person, create, &())?;
            let nickname_key = nickname_key(&nickname);
            if ledger.claim("nickname/1", &nickname_key)?.is_some() {
                return Err(Kind::NicknameTaken.into());
            }
            ledger.set_claim("nickname/1", &nickname_key, Some(person.to_string()))?;
            Ok::<(), Halt>(())
        })
        .await?;
    Ok(Json(UserCreated { position: done.position, user_id: person }))
}
