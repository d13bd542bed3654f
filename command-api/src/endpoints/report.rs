//! `report`: a message is reported to those who run the server.

use axum::Json;
use axum::extract::State;
use domain::message::Wish;
use domain::requests::{Done, Report};

use super::message;
use crate::asking::{Key, Signed};
use crate::body::Body;
use crate::openapi::Problems;
use crate::refusal::Refusal;
use crate::state::CommandState;

/// Reports somebody else's message, once; nobody in the chat sees it.
#[utoipa::path(
    post,
    path = "/command/v1/report",
    operation_id = "report",
    params(("Idempotency-Key" = uuid::Uuid, Header, description = "A UUID, version 7 preferred")),
    request_body = Report,
    responses((status = 200, body = Done), Problems),
    security(("bearer" = []), ("cookie" = []))
)]
pub async fn report(
    State(state): State<CommandState>,
    who: Signed,
    key: Key,
    Body(request): Body<Report>,
) -> Result<Json<Done>, Refusal> {
    let place = (request.chat_id, request.number);
    let wish = Wish::Report(request.reason);
    message::touch(&state, "report", wish, place, &who, key, &request).await
}
