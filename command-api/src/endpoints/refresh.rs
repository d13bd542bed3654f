//! `refresh`: the next pair of tokens.

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::Response;
use chronicle::Halt;
use domain::aggregate::Event;
use domain::caller::{cookie_value, refresh_cookie};
use domain::problem::Kind;
use domain::requests::{Refresh, SignedIn};
use domain::session::{Session, SessionCommand, SessionEvent};
use domain::{Problem, Timestamp};

use super::revoke::PATIENCE;
use crate::asking::{Anyone, Key};
use crate::body::BodyOrNone;
use crate::openapi::Problems;
use crate::refusal::Refusal;
use crate::signed_in::Grant;
use crate::state::{CommandState, SESSIONS};

/// Renews a session's tokens.
///
/// The refresh token comes in the refresh cookie or in the body. The same one with the same
/// Idempotency-Key yields the same successor until that is first used, with another key or none for
/// 10 seconds; later it counts as stolen, and the session ends.
#[utoipa::path(
    post,
    path = "/command/v1/refresh",
    operation_id = "refresh",
    params(("Idempotency-Key" = Option<uuid::Uuid>, Header, description = "A UUID, version 7 preferred")),
    request_body = Refresh,
    responses((status = 200, body = SignedIn), Problems),
    security(())
)]
pub async fn refresh(
    State(state): State<CommandState>,
    who: Anyone,
    key: Option<Key>,
    headers: HeaderMap,
    BodyOrNone(request): BodyOrNone<Refresh>,
) -> Result<Response, Refusal> {
    let cookies = headers.get_all(header::COOKIE).iter().map(|value| value.as_bytes());
    let by_cookie = cookie_value(cookies, refresh_cookie(who.client.secure));
    let token = match (&request.refresh_token, by_cookie) {
        (Some(_), Some(_)) => {
            let twice = "the refresh token came twice: in the cookie or in the body, not both";
            return Err(Problem::new(Kind::Malformed).detail(twice).into());
        }
        (Some(token), None) => token.0.as_str(),
        (None, Some(token)) => token,
        (None, None) => return Err(Kind::Unauthenticated.into()),
    };
    let (session, presented) = state.keyring().read_refresh_token(token).ok_or(Kind::Unauthenticated)?;
    let person = state.executor.state::<Session>(session).await?.person.ok_or(Kind::SessionEnded)?;

    // What counts as a repeat here is the session's to say, which knows the client's key; the
    // executor would answer one for ever.
    let key = key.map_or_else(|| state.new_id(state.now()), |Key(key)| key);
    let own_key = state.new_id(state.now());
    let envelope = chronicle::Envelope {
        actor: Some(person),
        session: Some(session),
        ..state.of(&who, "refresh", own_key, &())
    };
    let at = envelope.at;
    let done = state
        .executor
        .execute(envelope, move |ledger| {
            ledger.decide::<Session>(session, SessionCommand::Refresh { presented, key, at }, &())?;
            let now = ledger.read::<Session>(session)?;
            let note = format!("{} {}", now.generation, now.refreshed_at.0);
            ledger.note(note);
            Ok::<(), Halt>(())
        })
        .await?;

    let (generation, at) = match done.events.first() {
        Some(Event::Session(SessionEvent::SessionRefreshed { generation, at, .. })) => (*generation, *at),
        Some(_) => {
            tracing::warn!(operation = "refresh", outcome = "reuse", %session, "a spent refresh token came back: session ended");
            // Whoever stole it is out when this is answered, as after `revoke`.
            state.progress.wait(&[SESSIONS], done.position, PATIENCE).await;
            return Err(Kind::SessionEnded.into());
        }
        None => noted(done.note.as_deref()).ok_or(Kind::Internal)?,
    };
    Ok(Grant { person, session, generation, at, position: done.position }.answer(&state, &who.client))
}

fn noted(note: Option<&str>) -> Option<(u64, Timestamp)> {
    let (generation, at) = note?.split_once(' ')?;
    Some((generation.parse().ok()?, Timestamp(at.parse().ok()?)))
}
