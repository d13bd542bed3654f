//! `mark_read`: how far one has read in a chat.

use axum::Json;
use axum::extract::State;
use chronicle::Halt;
use domain::chat::Chat;
use domain::ids::read_marker_id;
use domain::read_marker::{ReadFacts, ReadMarker, ReadMarkerCommand, Wish};
use domain::requests::{Done, MarkRead};

use crate::asking::{Key, Signed};
use crate::body::Body;
use crate::openapi::Problems;
use crate::refusal::Refusal;
use crate::state::CommandState;

/// Marks everything up to and including `number` as read. It never goes back.
#[utoipa::path(
    post,
    path = "/command/v1/mark_read",
    operation_id = "mark_read",
    params(("Idempotency-Key" = uuid::Uuid, Header, description = "A UUID, version 7 preferred")),
    request_body = MarkRead,
    responses((status = 200, body = Done), Problems),
    security(("bearer" = []), ("cookie" = []))
)]
pub async fn mark_read(
    State(state): State<CommandState>,
    who: Signed,
    Key(key): Key,
    Body(request): Body<MarkRead>,
) -> Result<Json<Done>, Refusal> {
    let envelope = state.by(&who, "mark_read", key, &request);
    let (person, at) = (who.person, envelope.at);
    let MarkRead { chat_id: chat, number } = request;
    let done = state
        .executor
        .execute(envelope, move |ledger| {
            let state = ledger.read::<Chat>(chat)?;
            let facts = ReadFacts {
                may_read: state.may_read(person),
                last_number: state.last_shown(person),
                own_last: state.read_by_sending(person),
            };
            let mark = ReadMarkerCommand { chat, person, wish: Wish::Read(number), at };
            ledger.decide::<ReadMarker>(read_marker_id(chat, person), mark, &facts)?;
            Ok::<(), Halt>(())
        })
        .await?;
    Ok(Json(Done { position: done.position }))
}
