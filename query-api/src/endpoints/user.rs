//! `GET /users/{user_id}`: one person.

use axum::Json;
use axum::extract::State;
use domain::ids::PersonId;
use domain::problem::Kind;
use domain::views::PersonAnswer;

use super::Answer;
use crate::request::{Asker, Id, Params, Wanted};
use crate::state::{DIRECTORY, QueryState};
use crate::views::People;

/// One person as the signed-in one sees them.
#[utoipa::path(
    get,
    path = "/users/{user_id}",
    operation_id = "user",
    params(
        ("user_id" = PersonId, Path),
        ("X-Letopis-Position" = Option<u64>, Header, description = "Show at least this position"),
    ),
    responses((status = 200, body = PersonAnswer), (status = 404, description = "not-found")),
)]
pub async fn user(
    Asker(caller): Asker,
    Id(user_id): Id<PersonId>,
    Wanted(wanted): Wanted,
    params: Params,
    State(state): State<QueryState>,
) -> Answer<PersonAnswer> {
    params.only(&[])?;
    let position = state.shown(&[DIRECTORY], wanted).await?;
    let people = People::read(&state, caller.person, [user_id]).await?;
    let person = people.person(user_id).ok_or(Kind::NotFound)?;
    Ok(Json(PersonAnswer { person, position }))
}
