//! `/healthz`: the process answers. `/readyz`: every projection has caught up with what was there at
//! the start, and none has stopped. Parked streams are no reason: all others are shown.

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use projectors::{Health, Projections, Status};

/// `head` is where the log ended at the start.
pub fn routes(projections: Projections, head: u64) -> Router {
    let ready = move || {
        let wrong: String =
            projections.status().iter().filter_map(|status| complaint(status, head)).collect();
        async move {
            if wrong.is_empty() {
                (StatusCode::OK, "ready\n".to_owned())
            } else {
                (StatusCode::SERVICE_UNAVAILABLE, wrong)
            }
        }
    };
    Router::new().route("/healthz", get(async || "ok\n")).route("/readyz", get(ready))
}

fn complaint(status: &Status, head: u64) -> Option<String> {
    let (name, shown) = (&status.name, status.position);
    match &status.health {
        Health::Halted { .. } => Some(format!(
            "{name} has stopped: `letopis projections status` says why, `letopis projections rebuild {name}` may cure it\n"
        )),
        Health::Superseded => Some(format!("{name} is written by another process\n")),
        _ if shown < head => Some(format!("{name} shows {shown} of {head}\n")),
        Health::Waiting { .. } => Some(format!("{name} waits for its engines\n")),
        Health::Running | Health::StandingBy => None,
    }
}
