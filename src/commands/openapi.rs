//! `letopis openapi`: what the APIs say of themselves.

use super::{Api, Ended};

/// Prints a document.
///
/// # Errors
/// If stdout can't be written to.
pub fn run(api: Api) -> anyhow::Result<Ended> {
    let document = match api {
        Api::Command => command_api::document(),
        Api::Query => query_api::document(),
    };
    super::out::json(&document)?;
    Ok(Ended::Well)
}
