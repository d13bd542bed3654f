//! `/healthz`: the process answers. `/readyz`: it has caught up with what was there at its start.

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use stores::Progress;

/// `head` is where the log ended at the start.
pub fn routes(progress: Progress, head: u64) -> Router {
    let ready = move || {
        let progress = progress.clone();
        async move {
            let behind: Vec<String> = progress
                .all()
                .into_iter()
                .filter(|(_, shown)| *shown < head)
                .map(|(name, shown)| format!("{name} shows {shown} of {head}\n"))
                .collect();
            if behind.is_empty() {
                (StatusCode::OK, "ready\n".to_owned())
            } else {
                (StatusCode::SERVICE_UNAVAILABLE, behind.concat())
            }
        }
    };
    Router::new().route("/healthz", get(async || "ok\n")).route("/readyz", get(ready))
}
