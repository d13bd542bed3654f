//! `remove_photo`: the person has no photo any more.

use axum::Json;
use axum::extract::State;
use chronicle::Halt;
use domain::requests::{Done, RemovePhoto};
use domain::user::{User, UserCommand};

use crate::asking::{Key, Signed};
use crate::body::BodyOrNone;
use crate::openapi::Problems;
use crate::refusal::Refusal;
use crate::state::CommandState;

/// Removes one's photo; nothing happens if there is none.
#[utoipa::path(
    post,
    path = "/command/v1/remove_photo",
    operation_id = "remove_photo",
    params(("Idempotency-Key" = uuid::Uuid, Header, description = "A UUID, version 7 preferred")),
    request_body = RemovePhoto,
    responses((status = 200, body = Done), Problems),
    security(("bearer" = []), ("cookie" = []))
)]
pub async fn remove_photo(
    State(state): State<CommandState>,
    who: Signed,
    Key(key): Key,
    BodyOrNone(request): BodyOrNone<RemovePhoto>,
) -> Result<Json<Done>, Refusal> {
    let envelope = state.by(&who, "remove_photo", key, &request);
    let (person, at) = (who.person, envelope.at);
    let done = state
        .executor
        .execute(envelope, move |ledger| {
            ledger.decide::<User>(person, UserCommand::RemovePhoto { at }, &())?;
            Ok::<(), Halt>(())
        })
        .await?;
    Ok(Json(Done { position: done.position }))
}
