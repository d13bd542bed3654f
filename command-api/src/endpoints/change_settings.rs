//! `change_settings`: what one lets others see.

use axum::Json;
use axum::extract::State;
use chronicle::Halt;
use domain::requests::Done;
use domain::user::{User, UserCommand};
use domain::views::SettingsChanges;

use crate::asking::{Key, Signed};
use crate::body::Body;
use crate::openapi::Problems;
use crate::refusal::Refusal;
use crate::state::CommandState;

/// Changes who may find one, and who sees photo, about and presence. What is absent stays as it is.
#[utoipa::path(
    post,
    path = "/command/v1/change_settings",
    operation_id = "change_settings",
    params(("Idempotency-Key" = uuid::Uuid, Header, description = "A UUID, version 7 preferred")),
    request_body = SettingsChanges,
    responses((status = 200, body = Done), Problems),
    security(("bearer" = []), ("cookie" = []))
)]
pub async fn change_settings(
    State(state): State<CommandState>,
    who: Signed,
    Key(key): Key,
    Body(request): Body<SettingsChanges>,
) -> Result<Json<Done>, Refusal> {
    let envelope = state.by(&who, "change_settings", key, &request);
    let (person, at) = (who.person, envelope.at);
    let done = state
        .executor
        .execute(envelope, move |ledger| {
            let change = UserCommand::ChangeSettings { changes: request, at };
            ledger.decide::<User>(person, change, &())?;
            Ok::<(), Halt>(())
        })
        .await?;
    Ok(Json(Done { position: done.position }))
}
