//! `GET /sessions`: where one is signed in.

use axum::Json;
use axum::extract::State;
use chronicle::keys::{OpenError, Place};
use domain::personal::{Address, Device, PersonalType, Sealed};
use domain::problem::Kind;
use domain::views::{List, Session};
use stores::sessions::SessionRow;

use super::Answer;
use crate::refusal::{Refusal, of_store};
use crate::request::{Asker, Params, Wanted};
use crate::state::{QueryState, SESSIONS};

/// The live sessions of the signed-in person, the latest login first. One page.
#[utoipa::path(
    get,
    path = "/sessions",
    operation_id = "sessions",
    params(("X-Letopis-Position" = Option<u64>, Header, description = "Show at least this position")),
    responses((status = 200, body = List<Session>)),
)]
pub async fn sessions(
    Asker(caller): Asker,
    Wanted(wanted): Wanted,
    params: Params,
    State(state): State<QueryState>,
) -> Answer<List<Session>> {
    params.only(&[])?;
    let position = state.shown(&[SESSIONS], wanted).await?;
    let rows = state.stores.sessions.serving().sessions_of(caller.person).await.map_err(of_store)?;
    let items = rows
        .into_iter()
        .map(|row| {
            Ok(Session {
                device: open::<Device>(&state, &row, "device", &row.device)?
                    .map_or_else(String::new, |it| it.0),
                address: open::<Address>(&state, &row, "address", &row.address)?
                    .map_or_else(String::new, |it| it.0),
                session_id: row.session_id,
                method: row.method,
                started_at: row.started_at,
                refreshed_at: row.refreshed_at,
                current: row.session_id == caller.session,
            })
        })
        .collect::<Result<_, Refusal>>()?;
    Ok(Json(List { items, next: None, prev: None, position }))
}

/// `None` where the key was destroyed.
fn open<T: PersonalType>(
    state: &QueryState,
    row: &SessionRow,
    field: &str,
    sealed: &Sealed,
) -> Result<Option<T>, Refusal> {
    let unreadable = || {
        tracing::error!(position = row.position, field, "a session's field cannot be opened");
        Refusal::from(Kind::Internal)
    };
    let place = Place {
        log_id: state.keyring.log_id(),
        aggregate_type: "Session",
        aggregate_id: &row.session_id.to_string(),
        event_id: sealed.event_id.ok_or_else(unreadable)?,
        field,
    };
    match state.keyring.open_as::<T>(&place, sealed) {
        Ok(value) => Ok(Some(value)),
        Err(OpenError::Destroyed) => Ok(None),
        Err(OpenError::Unreadable) => Err(unreadable()),
        Err(OpenError::Store(error)) => {
            tracing::error!(%error, "a key cannot be read");
            Err(Kind::Unavailable.into())
        }
    }
}
