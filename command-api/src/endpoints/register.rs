//! `register`: account, user and first session, all or nothing.

use axum::extract::State;
use axum::response::Response;
use chronicle::{Envelope, Halt};
use domain::Problem;
use domain::account::{Account, AccountCommand};
use domain::aggregate::Event;
use domain::ids::{PersonId, SessionId};
use domain::password::check_password;
use domain::personal::{Address, Device, Email, Name, Nickname, Verifier};
use domain::problem::Kind;
use domain::requests::{Register, SignedIn};
use domain::session::{Method, Session, SessionCommand, SessionEvent};
use domain::text::{check_email, check_name, check_nickname, email_key, nickname_key};
use domain::user::{User, UserCommand};
use tokio::sync::Mutex;

use super::Checks;
use crate::asking::{Anyone, Key};
use crate::body::Body;
use crate::openapi::Problems;
use crate::refusal::Refusal;
use crate::signed_in::Grant;
use crate::state::{CommandState, Registration};
use crate::throttle::{Counter, REGISTERED, TAKEN};

/// For looking whether an address is taken.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// Registers an account with a user and signs it in.
///
/// Tokens come in cookies if the request has `Sec-Fetch-Site` or `Origin`, else in the body. A taken
/// email address is said to be taken: this installation does not verify mail.
#[utoipa::path(
    post,
    path = "/command/v1/register",
    operation_id = "register",
    params(("Idempotency-Key" = uuid::Uuid, Header, description = "A UUID, version 7 preferred")),
    request_body = Register,
    responses((status = 200, body = SignedIn), Problems),
    security(())
)]
pub async fn register(
    State(state): State<CommandState>,
    who: Anyone,
    Key(key): Key,
    Body(request): Body<Register>,
) -> Result<Response, Refusal> {
    let name = request.name.clone().unwrap_or_else(|| request.nickname.clone());
    let mut checks = Checks::default();
    checks.check(check_email("/email", &request.email));
    checks.check(check_password("/password", &request.password.0));
    checks.check(check_nickname("/nickname", &request.nickname));
    if let Some(name) = &request.name {
        checks.check(check_name("/name", name));
    }
    checks.done()?;
    admit(&state.registration, &request.email)?;

    let network = who.client.network();
    let taken = [Counter::new(format!("taken\n{network}"), TAKEN)];
    let registered = [Counter::new(format!("registered\n{network}"), REGISTERED)];
    let account = state.keyring().claim_key("email/1", &email_key(&request.email));
    let envelope = state.of(&who, "register", key, &request);
    {
        // Many at once learn no more than they would one after the other.
        let _turn = ONE_AT_A_TIME.lock().await;
        state.throttle.check(&[taken.clone(), registered.clone()].concat(), state.now()).await?;
        let free = is_free(&state, &envelope, &request).await;
        if free.as_ref().is_err_and(|problem| problem.is(Kind::EmailTaken)) {
            state.throttle.count(&taken, state.now()).await;
        }
        free?;
    }
    let answer = perform(&state, &who, envelope, request, name).await;
    match &answer {
        Ok(_) => state.throttle.count(&registered, state.now()).await,
        Err(problem) if problem.is(Kind::EmailTaken) => state.throttle.count(&taken, state.now()).await,
        Err(_) => {}
    }
    Ok(answer?.answer_to_known(&state, &who.client, &account))
}

fn admit(registration: &Registration, email: &str) -> Result<(), Problem> {
    let admitted = match registration {
        Registration::Open => true,
        Registration::Domains(hosts) => {
            email_key(email).rsplit_once('@').is_some_and(|(_, host)| hosts.iter().any(|it| it == host))
        }
        Registration::Closed => false,
    };
    let refusal =
        || Problem::new(Kind::NotPermitted).detail("this installation does not take this registration");
    admitted.then_some(()).ok_or_else(refusal)
}

/// Whether address and nickname are nobody's, so that what will be refused costs no hash and no key. A repeat finds its own.
async fn is_free(state: &CommandState, envelope: &Envelope, request: &Register) -> Result<(), Problem> {
    let refusal = if state.executor.claim("email/1", &email_key(&request.email)).await?.is_some() {
        Kind::EmailTaken
    } else if state.executor.claim("nickname/1", &nickname_key(&request.nickname)).await?.is_some() {
        Kind::NicknameTaken
    } else {
        return Ok(());
    };
    match state.executor.repeated(envelope).await? {
        Some(_) => Ok(()),
        None => Err(refusal.into()),
    }
}

async fn perform(
    state: &CommandState,
    who: &Anyone,
    envelope: Envelope,
    request: Register,
    name: String,
) -> Result<Grant, Problem> {
    let at = envelope.at;
    let (person, session) = (PersonId(state.new_id(at)), SessionId(state.new_id(at)));
    let verifier = state.passwords.hash(&request.password.0).await?;
    state.ensure_key(person).await?;
    let (email, nickname) = (request.email.trim().to_owned(), request.nickname);
    let (device, address) = (who.client.user_agent.clone(), who.client.address.clone());

    let done = state
        .executor
        .execute(envelope, move |ledger| {
            let (email_key, nickname_key) = (email_key(&email), nickname_key(&nickname));
            if ledger.claim("email/1", &email_key)?.is_some() {
                return Err(Kind::EmailTaken.into());
            }
            if ledger.claim("nickname/1", &nickname_key)?.is_some() {
                return Err(Kind::NicknameTaken.into());
            }
            let account = AccountCommand::Register {
                person,
                email: Email(email.clone()),
                verifier: Verifier(verifier.clone()),
            };
            ledger.decide::<Account>(person, account, &())?;
            ledger.set_claim("email/1", &email_key, Some(person.to_string()))?;
            let user = UserCommand::Create {
                person,
                nickname: Nickname(nickname.clone()),
                name: Name(name.trim().to_owned()),
            };
            ledger.decide::<User>(person, user, &())?;
            ledger.set_claim("nickname/1", &nickname_key, Some(person.to_string()))?;
            let start = SessionCommand::Start {
                session,
                person,
                method: Method::Password,
                device: Device(device.clone()),
                address: Address(address.clone()),
                at,
            };
            ledger.decide::<Session>(session, start, &())?;
            Ok::<(), Halt>(())
        })
        .await?;
    tracing::info!(operation = "register", outcome = "success", repeated = done.repeated, "registered");
    granted(state, &done).await
}

/// The session that a command began, if it still lives: a repeat of the command that began it finds
/// it dead once it has ended.
pub(super) async fn granted(state: &CommandState, done: &chronicle::Done) -> Result<Grant, Problem> {
    let started = done.events.iter().find_map(|event| match event {
        Event::Session(SessionEvent::SessionStarted { session, person, at, .. }) => Some(Grant {
            person: *person,
            session: *session,
            generation: 1,
            at: *at,
            position: done.position,
        }),
        _ => None,
    });
    let grant = started.ok_or(Kind::Internal)?;
    if done.repeated && !state.executor.state::<Session>(grant.session).await?.is_live(state.now()) {
        return Err(Kind::SessionEnded.into());
    }
    Ok(grant)
}
