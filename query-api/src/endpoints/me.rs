//! `GET /me`: the signed-in person.

use axum::Json;
use axum::extract::State;
use domain::problem::Kind;
use domain::views::{Me, Settings};
use stores::directory::AccountRow;

use super::Answer;
use crate::refusal::{Refusal, of_store};
use crate::request::{Asker, Params, Wanted};
use crate::state::{DIRECTORY, QueryState};

/// The signed-in person. Nickname and name are absent until `create_user`.
#[utoipa::path(
    get,
    path = "/me",
    operation_id = "me",
    params(("X-Letopis-Position" = Option<u64>, Header, description = "Show at least this position")),
    responses((status = 200, body = Me)),
)]
pub async fn me(
    Asker(caller): Asker,
    Wanted(wanted): Wanted,
    params: Params,
    State(state): State<QueryState>,
) -> Answer<Me> {
    params.only(&[])?;
    let mut position = state.shown(&[DIRECTORY], wanted).await?;
    let mut account = read(&state, caller.person).await?;
    if account.is_none() {
        // Signed in a moment ago: the account is in the log and will be shown.
        position = state.wait(&[DIRECTORY], state.log_head().await?).await;
        account = read(&state, caller.person).await?;
    }
    let account = account.ok_or(Kind::Unavailable)?;
    let users = state.stores.directory.serving().persons(&[caller.person]).await.map_err(of_store)?;
    let user = users.into_iter().next();
    Ok(Json(Me {
        user_id: caller.person,
        session_id: caller.session,
        email: account.email,
        nickname: user.as_ref().map(|user| user.nickname.clone()),
        name: user.as_ref().map(|user| user.name.clone()),
        photo_id: user.as_ref().and_then(|user| user.photo).map(|photo| photo.photo_id.to_string()),
        settings: user.as_ref().map_or_else(Settings::default, |user| user.settings),
        about: user.map(|user| user.about).filter(|about| !about.is_empty()),
        position,
    }))
}

async fn read(state: &QueryState, person: domain::ids::PersonId) -> Result<Option<AccountRow>, Refusal> {
    state.stores.directory.serving().account(person).await.map_err(of_store)
}
