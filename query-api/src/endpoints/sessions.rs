//! `GET /sessions`: where one is signed in.

use axum::Json;
use axum::extract::State;
use domain::personal::{Address, Device};
use domain::views::{List, Session};

use super::Answer;
use crate::refusal::{Refusal, of_store};
use crate::request::{Asker, Params, Wanted};
use crate::state::{QueryState, SESSIONS};
use crate::views::{At, open};

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
            let id = row.session_id.to_string();
            let at = |field| At { aggregate_type: "Session", aggregate_id: &id, field };
            let device = open::<Device>(&state, at("device"), &row.device)?;
            let address = open::<Address>(&state, at("address"), &row.address)?;
            Ok(Session {
                device: device.map_or_else(String::new, |it| it.0),
                address: address.map_or_else(String::new, |it| it.0),
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
