//! Logs: one line an event to stderr, chosen by `RUST_LOG`. No secret and nothing personal is in
//! them.

use tracing_subscriber::EnvFilter;

/// Starts writing log lines.
pub fn start() {
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,tantivy=warn,sqlx=warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(true).init();
}
