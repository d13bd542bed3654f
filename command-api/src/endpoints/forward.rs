//! `forward`: a message is passed on, in the name of who wrote it first and sealed under their key.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use chronicle::{Done, Envelope, Halt};
use domain::Problem;
use domain::chat::Chat;
use domain::ids::{MessageId, PersonId, message_stream_id};
use domain::message::Message;
use domain::problem::Kind;
use domain::requests::{Forward, Sent};

use super::sending::Sending;
use super::{attachments, facts, message, sending, unless_faster};
use crate::asking::{Key, Signed};
use crate::body::Body;
use crate::openapi::Problems;
use crate::refusal::Refusal;
use crate::state::CommandState;

/// How often one looks again when the message was edited meanwhile.
const TRIES: usize = 3;

/// Passes a message on as it reads now, with what it carries. Its id is the Idempotency-Key.
#[utoipa::path(
    post,
    path = "/command/v1/forward",
    operation_id = "forward",
    params(("Idempotency-Key" = uuid::Uuid, Header, description = "A UUID, version 7 preferred; becomes the message's id")),
    request_body = Forward,
    responses((status = 200, body = Sent), Problems),
    security(("bearer" = []), ("cookie" = []))
)]
pub async fn forward(
    State(state): State<CommandState>,
    who: Signed,
    Key(key): Key,
    Body(request): Body<Forward>,
) -> Result<Json<Sent>, Refusal> {
    let envelope = state.by(&who, "forward", key, &request);
    // A repeat copies nothing.
    if let Some(done) = state.executor.repeated(&envelope).await? {
        return sending::answer(&done);
    }
    let done = unless_faster(TRIES, || attempt(&state, &envelope, who.person, &request)).await?;
    sending::answer(&done)
}

async fn attempt(
    state: &CommandState,
    envelope: &Envelope,
    person: PersonId,
    request: &Forward,
) -> Result<Done, Problem> {
    let Forward { chat_id: chat, from_chat_id: from, number } = *request;
    let sent = message::sent(state, person, from, number).await?;
    // Whoever may not write there has nothing copied.
    facts::writes(state, chat, person).await?;
    let (text, edits) = message::wording(state, (from, number), &sent).await?;
    let sending = Arc::new(Sending {
        author: person,
        chat,
        message_id: MessageId(envelope.key),
        text,
        reply_to: None,
        attachments: attachments::copied(state, from, &sent).await?,
        forwarded_from: Some(sent.first_author()),
        at: envelope.at,
    });
    facts::decided(state, facts::two_of(state, chat, person), |group| {
        let sending = sending.clone();
        state.executor.execute(envelope.clone(), move |ledger| {
            if !ledger.read::<Chat>(from)?.shows(person, number) {
                return Err(Kind::NotFound.into());
            }
            let now = ledger.read::<Message>(message_stream_id(from, number))?;
            if now.deleted {
                return Err(Kind::MessageDeleted.into());
            }
            if now.edits != edits {
                return Err(Problem::new(Kind::Conflict).detail("the message was edited meanwhile").into());
            }
            sending.decide(ledger, group)?;
            Ok::<(), Halt>(())
        })
    })
    .await
}
