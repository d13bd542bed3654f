//! `revoke`: ends this session, another one, or all the others.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use chronicle::Halt;
use domain::Problem;
use domain::ids::SessionId;
use domain::problem::Kind;
use domain::requests::{Done, Revoke};
use domain::session::{Session, SessionCommand, WhyRevoked};

use super::unless_faster;
use crate::asking::{Key, Signed};
use crate::body::BodyOrNone;
use crate::openapi::Problems;
use crate::refusal::Refusal;
use crate::signed_in::forget;
use crate::state::{CommandState, SESSIONS};

/// The longest that an answer waits for the sessions projection.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// How often one looks again where there are more sessions than a decision may read at a time.
const TRIES: usize = 10;

/// Ends sessions: this one, the one that is named, or all the others.
#[utoipa::path(
    post,
    path = "/command/v1/revoke",
    operation_id = "revoke",
    params(("Idempotency-Key" = Option<uuid::Uuid>, Header, description = "A UUID, version 7 preferred")),
    request_body = Revoke,
    responses((status = 200, body = Done), Problems),
    security(("bearer" = []), ("cookie" = []))
)]
pub async fn revoke(
    State(state): State<CommandState>,
    who: Signed,
    key: Option<Key>,
    BodyOrNone(request): BodyOrNone<Revoke>,
) -> Result<Response, Refusal> {
    let others = request.others.unwrap_or_default();
    if others && request.session_id.is_some() {
        return Err(Problem::new(Kind::Malformed).detail("name a session_id or others, not both").into());
    }
    let ended =
        if others { others_of(&state, &who).await? } else { vec![request.session_id.unwrap_or(who.session)] };
    let own = ended.contains(&who.session);

    let key = key.map_or_else(|| state.new_id(state.now()), |Key(key)| key);
    let envelope = state.by(&who, "revoke", key, &request);
    let (at, person, this) = (envelope.at, who.person, who.session);
    let ended = Arc::new(ended);
    // What was read for a try stays known, so each comes further through many sessions.
    let done = unless_faster(TRIES, || {
        let ended = ended.clone();
        state.executor.execute(envelope.clone(), move |ledger| {
            for session in ended.iter() {
                let why = if *session == this { WhyRevoked::SignedOut } else { WhyRevoked::EndedElsewhere };
                ledger.decide::<Session>(*session, SessionCommand::Revoke { by: person, why, at }, &())?;
            }
            Ok::<(), Halt>(())
        })
    })
    .await?;
    tracing::info!(operation = "revoke", outcome = "success", sessions = done.events.len(), "sessions ended");
    let shown = state.progress.wait(&[SESSIONS], done.position, PATIENCE).await;
    if shown < done.position {
        // The log has it; whoever checks sessions reads the log while the projection lags.
        tracing::warn!(shown, position = done.position, "the sessions projection lags behind a revocation");
    }
    let headers = if own && who.by_cookie { forget(who.anyone.client.secure) } else { HeaderMap::new() };
    Ok((headers, Json(Done { position: done.position })).into_response())
}

/// The sessions that the person has but this one, as far as the log goes now.
async fn others_of(state: &CommandState, who: &Signed) -> Result<Vec<SessionId>, Problem> {
    let unavailable = |error: &dyn std::fmt::Display| {
        tracing::warn!(%error, "sessions can't be listed");
        Problem::new(Kind::Unavailable)
    };
    let head = state.executor.log().head().await.map_err(|error| unavailable(&error))?.position;
    if state.progress.wait(&[SESSIONS], head, PATIENCE).await < head {
        return Err(unavailable(&"the sessions projection lags"));
    }
    let rows = state.sessions.serving().sessions_of(who.person).await.map_err(|error| unavailable(&error))?;
    Ok(rows.into_iter().map(|row| row.session_id).filter(|id| *id != who.session).collect())
}
