//! `/healthz`: the process answers. `/readyz`: every projection has caught up with what was there at
//! the start, and none has stopped.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use stores::Progress;

/// Projections that stopped because of what they met.
#[derive(Clone, Debug, Default)]
pub struct Halted(Arc<Mutex<Vec<&'static str>>>);

impl Halted {
    pub fn add(&self, projection: &'static str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(projection);
    }
    fn all(&self) -> Vec<&'static str> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// `head` is where the log ended at the start.
pub fn routes(progress: Progress, halted: Halted, head: u64) -> Router {
    let ready = move || {
        let (progress, halted) = (progress.clone(), halted.clone());
        async move {
            let mut behind: Vec<String> = progress
                .all()
                .into_iter()
                .filter(|(_, shown)| *shown < head)
                .map(|(name, shown)| format!("{name} shows {shown} of {head}\n"))
                .collect();
            behind.extend(halted.all().into_iter().map(|name| format!("{name} has stopped: see the log\n")));
            if behind.is_empty() {
                (StatusCode::OK, "ready\n".to_owned())
            } else {
                (StatusCode::SERVICE_UNAVAILABLE, behind.concat())
            }
        }
    };
    Router::new().route("/healthz", get(async || "ok\n")).route("/readyz", get(ready))
}
