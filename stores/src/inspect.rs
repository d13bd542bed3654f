//! What an operator would look at in an engine on the network: read, and never changed.

use crate::blobs::S3Access;

/// One thing that was looked at in an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspected {
    /// As `version`; never changes.
    pub name: &'static str,
    pub state: State,
    /// What was found. Holds no secret.
    pub said: String,
    /// What to do about it.
    pub advice: Option<String>,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Ok,
    Warning,
    Problem,
}

impl Inspected {
    pub fn ok(name: &'static str, said: impl Into<String>) -> Self {
        Self { name, state: State::Ok, said: said.into(), advice: None }
    }

    pub fn warning(name: &'static str, said: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { name, state: State::Warning, said: said.into(), advice: Some(advice.into()) }
    }

    pub fn problem(name: &'static str, said: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { name, state: State::Problem, said: said.into(), advice: Some(advice.into()) }
    }
}

/// Looks at the engine of a port's URL; `None` for an embedded one. One that doesn't answer is a
/// finding, too.
pub async fn inspect(port: &str, url: &str) -> Option<Vec<Inspected>> {
    let (scheme, _) = url.split_once(':')?;
    match (port, scheme) {
        ("directory", "postgres" | "postgresql") => {
            Some(crate::postgres::inspect::inspect(url, crate::directory::postgres::SCHEMA).await)
        }
        (_, "keydb" | "keydbs") => Some(crate::keydb::inspect::inspect(url).await),
        ("search", "elasticsearch" | "elasticsearchs") => Some(crate::search::inspect_elastic(url).await),
        ("timeline", "cassandra") => Some(crate::cassandra::inspect(url).await),
        _ => None,
    }
}

/// Looks at the blob store of a URL; `None` for a folder.
pub async fn inspect_blobs(url: &str, access: &S3Access) -> Option<Vec<Inspected>> {
    let path = url.strip_prefix("s3:")?;
    Some(crate::blobs::inspect(path.trim_start_matches('/'), access).await)
}
