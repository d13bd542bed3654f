//! `set_chat_prefs`: how one keeps a chat, pinned or muted.

use axum::Json;
use axum::extract::State;
use chronicle::Halt;
use domain::chat::Chat;
use domain::ids::read_marker_id;
use domain::read_marker::{ReadFacts, ReadMarker, ReadMarkerCommand, Wish};
use domain::requests::{Done, SetChatPrefs};

use crate::asking::{Key, Signed};
use crate::body::Body;
use crate::openapi::Problems;
use crate::refusal::Refusal;
use crate::state::CommandState;

/// Pins a chat or mutes it, for oneself alone. What is absent stays as it is.
#[utoipa::path(
    post,
    path = "/command/v1/set_chat_prefs",
    operation_id = "set_chat_prefs",
    params(("Idempotency-Key" = uuid::Uuid, Header, description = "A UUID, version 7 preferred")),
    request_body = SetChatPrefs,
    responses((status = 200, body = Done), Problems),
    security(("bearer" = []), ("cookie" = []))
)]
pub async fn set_chat_prefs(
    State(state): State<CommandState>,
    who: Signed,
    Key(key): Key,
    Body(request): Body<SetChatPrefs>,
) -> Result<Json<Done>, Refusal> {
    let envelope = state.by(&who, "set_chat_prefs", key, &request);
    let (person, at) = (who.person, envelope.at);
    let SetChatPrefs { chat_id: chat, muted_until, pinned } = request;
    let done = state
        .executor
        .execute(envelope, move |ledger| {
            let may_read = ledger.read::<Chat>(chat)?.may_read(person);
            let facts = ReadFacts { may_read, ..ReadFacts::default() };
            let keep = ReadMarkerCommand { chat, person, wish: Wish::Keep { muted_until, pinned }, at };
            ledger.decide::<ReadMarker>(read_marker_id(chat, person), keep, &facts)?;
            Ok::<(), Halt>(())
        })
        .await?;
    Ok(Json(Done { position: done.position }))
}
