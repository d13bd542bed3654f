//! `send`: a message into a chat.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use domain::ids::MessageId;
use domain::personal::Text;
use domain::requests::{Send, Sent};
use domain::text::check_message;

use super::sending::Sending;
use super::{Checks, attachments, facts, sending};
use crate::asking::{Key, Signed};
use crate::body::Body;
use crate::openapi::Problems;
use crate::refusal::Refusal;
use crate::state::CommandState;

/// Sends a message. Its id is the Idempotency-Key, its text is kept exactly as sent.
#[utoipa::path(
    post,
    path = "/command/v1/send",
    operation_id = "send",
    params(("Idempotency-Key" = uuid::Uuid, Header, description = "A UUID, version 7 preferred; becomes the message's id")),
    request_body = Send,
    responses((status = 200, body = Sent), Problems),
    security(("bearer" = []), ("cookie" = []))
)]
pub async fn send(
    State(state): State<CommandState>,
    who: Signed,
    Key(key): Key,
    Body(request): Body<Send>,
) -> Result<Json<Sent>, Refusal> {
    let mut checks = Checks::default();
    checks.check(check_message("/text", &request.text, request.attachments.len()));
    attachments::check(&mut checks, &request.attachments);
    checks.done()?;
    let envelope = state.by(&who, "send", key, &request);
    let (author, at, message_id) = (who.person, envelope.at, MessageId(key));
    let Send { chat_id: chat, text, reply_to, attachments } = request;
    let mut carried = Vec::new();
    if !attachments.is_empty() {
        // A repeat opens none of them.
        if let Some(done) = state.executor.repeated(&envelope).await? {
            return sending::answer(&done);
        }
        facts::writes(&state, chat, author).await?;
        carried = attachments::carried(&state, author, attachments).await?;
    }
    let (text, attachments, forwarded_from) = (Text(text), carried, None);
    let sending = Sending { author, chat, message_id, text, reply_to, attachments, forwarded_from, at };
    let sending = Arc::new(sending);
    let done = facts::decided(&state, facts::two_of(&state, chat, author), |group| {
        let sending = sending.clone();
        state.executor.execute(envelope.clone(), move |ledger| sending.decide(ledger, group))
    })
    .await?;
    sending::answer(&done)
}
