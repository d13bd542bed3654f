//! `authorize`: email and password for a session.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use chronicle::Halt;
use chronicle::keys::{OpenError, Place};
use domain::Problem;
use domain::account::{Account, AccountCommand, WhyChanged};
use domain::ids::{EventId, PersonId, SessionId};
use domain::personal::{Address, Device, Verifier};
use domain::problem::Kind;
use domain::requests::{Authorize, SignedIn};
use domain::session::{Method, Session, SessionCommand};
use domain::text::email_key;

use super::register::granted;
use super::unless_faster;
use crate::asking::{Anyone, Key};
use crate::body::Body;
use crate::known_device;
use crate::openapi::Problems;
use crate::passwords::Verdict;
use crate::refusal::Refusal;
use crate::signed_in::Grant;
use crate::state::CommandState;
use crate::throttle::{ACCOUNT, Counter, NETWORK, PAIR};

/// How often one looks again when the verifier was changed while the password was checked.
const TRIES: usize = 3;

/// Signs in with email and password.
///
/// An unknown address and a wrong password get the same answer, after the same work. Guessing is
/// slowed (429 with Retry-After).
#[utoipa::path(
    post,
    path = "/command/v1/authorize",
    operation_id = "authorize",
    params(("Idempotency-Key" = Option<uuid::Uuid>, Header, description = "A UUID, version 7 preferred")),
    request_body = Authorize,
    responses((status = 200, body = SignedIn), Problems),
    security(())
)]
pub async fn authorize(
    State(state): State<CommandState>,
    who: Anyone,
    key: Option<Key>,
    headers: HeaderMap,
    Body(request): Body<Authorize>,
) -> Result<Response, Refusal> {
    let key = key.map_or_else(|| state.new_id(state.now()), |Key(key)| key);
    let network = who.client.network();
    let account = state.keyring().claim_key("email/1", &email_key(&request.email));
    let counters = match known_device::of(state.keyring(), &headers, &account, who.client.secure) {
        Some(device) => vec![Counter::new(format!("device\n{account}\n{device}"), PAIR)],
        None => vec![
            Counter::new(format!("pair\n{account}\n{network}"), PAIR),
            Counter::new(format!("account\n{account}"), ACCOUNT).only_after_others(),
            Counter::new(format!("network\n{network}"), NETWORK),
        ],
    };
    state.throttle.attempt(&counters, state.now()).await?;
    let answer = unless_faster(TRIES, || attempt(&state, &who, key, &request)).await;
    match &answer {
        Ok(_) => {
            state.throttle.forgive(&counters).await;
            state.throttle.reset(&counters[0]).await;
        }
        Err(problem) if problem.is(Kind::BadCredentials) => {
            tracing::info!(operation = "authorize", outcome = "refused", "sign-in refused");
        }
        Err(_) => state.throttle.forgive(&counters).await,
    }
    Ok(answer?.answer_to_known(&state, &who.client, &account))
}

/// An account's verifier and the event that it came with.
struct Found {
    person: PersonId,
    seen: EventId,
    verifier: String,
}

async fn find(state: &CommandState, email: &str) -> Result<Option<Found>, Problem> {
    let Some(owner) = state.executor.claim("email/1", &email_key(email)).await? else { return Ok(None) };
    let person: PersonId = owner.parse().map_err(|_| Kind::Internal)?;
    let account = state.executor.state::<Account>(person).await?;
    let Some((sealed, seen)) = account.verifier.and_then(|it| it.event_id.map(|seen| (it, seen))) else {
        return Ok(None);
    };
    let place = Place {
        log_id: state.executor.log_id(),
        aggregate_type: domain::aggregate::Kind::Account.name(),
        aggregate_id: &person.to_string(),
        event_id: seen,
        field: "verifier",
    };
    match state.keyring().open_as::<Verifier>(&place, &sealed) {
        Ok(Verifier(verifier)) => Ok(Some(Found { person, seen, verifier })),
        Err(OpenError::Destroyed) => Ok(None),
        Err(error) => {
            tracing::error!(%error, "a verifier can't be opened");
            Err(Kind::Unavailable.into())
        }
    }
}

async fn attempt(
    state: &CommandState,
    who: &Anyone,
    key: uuid::Uuid,
    request: &Authorize,
) -> Result<Grant, Problem> {
    let found = find(state, &request.email).await?;
    let verifier = found.as_ref().map(|found| found.verifier.clone());
    let verdict = state.passwords.verify(&request.password.0, verifier).await?;
    let (Some(Found { person, seen, .. }), Verdict::Right | Verdict::Outdated) = (found, verdict) else {
        return Err(Kind::BadCredentials.into());
    };
    let rehashed = match verdict {
        Verdict::Outdated => Some(state.passwords.hash(&request.password.0).await?),
        Verdict::Right | Verdict::Wrong => None,
    };

    let envelope = chronicle::Envelope { actor: Some(person), ..state.of(who, "authorize", key, request) };
    let at = envelope.at;
    let session = SessionId(state.new_id(at));
    let (device, address) = (who.client.user_agent.clone(), who.client.address.clone());
    let done = state
        .executor
        .execute(envelope, move |ledger| {
            if !ledger.read::<Account>(person)?.verifier_is_of(seen) {
                return Err(Kind::Conflict.into());
            }
            let start = SessionCommand::Start {
                session,
                person,
                method: Method::Password,
                device: Device(device.clone()),
                address: Address(address.clone()),
                at,
            };
            ledger.decide::<Session>(session, start, &())?;
            if let Some(verifier) = &rehashed {
                let verifier = Verifier(verifier.clone());
                let change = AccountCommand::ChangePassword { seen, verifier, why: WhyChanged::Rehashed };
                ledger.decide::<Account>(person, change, &())?;
            }
            Ok::<(), Halt>(())
        })
        .await?;
    tracing::info!(operation = "authorize", outcome = "success", repeated = done.repeated, "signed in");
    granted(state, &done).await
}
