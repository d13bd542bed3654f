//! `GET /live`: the WebSocket.

use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::http::{HeaderMap, header};
use axum::response::Response;
use domain::Problem;
use domain::caller::{Client, RequestId};
use domain::live::CLIENT_FRAME_LIMIT;
use domain::problem::Kind;
use tracing::Instrument;

use crate::live::serve;
use crate::refusal::Refusal;
use crate::request::{Asker, Params};
use crate::state::QueryState;

/// What changes, as it changes: JSON text frames. With `after`, first what has changed since. A client may
/// say `ping`, and `typing` with a chat_id while its person writes.
#[utoipa::path(
    get,
    path = "/live",
    operation_id = "live",
    params(("after" = Option<u64>, Query, description = "A position up to which everything was seen")),
    responses((status = 101, description = "A WebSocket; its frames are hello, change, signal, gap, bye and pong")),
)]
pub async fn live(
    Asker(caller): Asker,
    params: Params,
    State(state): State<QueryState>,
    axum::Extension(client): axum::Extension<Client>,
    request_id: Option<axum::Extension<RequestId>>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Refusal> {
    let params = params.only(&["after"])?;
    let after = params.parsed::<u64>("after")?;
    if caller.by_cookie && !is_own_page(&state, &client, &headers) {
        return Err(Kind::CrossSite.into());
    }
    if let Some(after) = after {
        state.check_position(after).await?;
    }
    let upgrade =
        upgrade.map_err(|_| Problem::new(Kind::Malformed).detail("this path speaks WebSocket only"))?;
    let upgrade = upgrade.max_message_size(CLIENT_FRAME_LIMIT).max_frame_size(CLIENT_FRAME_LIMIT);
    // The socket outlives its request, whose id its log lines bear all the same.
    let id = request_id.map(|axum::Extension(RequestId(id))| tracing::field::display(id));
    let span = tracing::info_span!(parent: None, "socket", id);
    Ok(upgrade.on_upgrade(move |socket| serve(state, caller, after, socket).instrument(span)))
}

/// Whether `Origin` is exactly the app's: the public URL's, or on plain-http loopback this very
/// host's.
fn is_own_page(state: &QueryState, client: &Client, headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(origin) = text(header::ORIGIN) else { return false };
    let own_host = text(header::HOST).filter(|_| !client.secure);
    *origin == *state.public_origin || own_host.is_some_and(|host| origin == format!("http://{host}"))
}
