//! Logs: one line an event to stderr, chosen by `RUST_LOG`. No secret and nothing personal is in
//! them.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Starts writing log lines.
pub fn start() {
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,tantivy=warn,sqlx=warn"));
    // Colours are for people who watch; in a file they are noise.
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours).init();
}
