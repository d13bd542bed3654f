//! What stops a projection, and what is only waited for.

use std::time::Duration;

use chronicle::log::LogError;
use domain::ids::EventId;
use stores::StoreError;
use uuid::Uuid;

use crate::projection::ProjectionError;

/// Between attempts: doubled from the first to the last.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// Why a projection stopped before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum Halt {
    #[error("its rows are a replay of log {held}, and this is log {log}")]
    OtherLog { held: Uuid, log: Uuid },
    #[error(
        "it shows position {shown}, and the log ends at {head}: the log was restored from a backup or replaced"
    )]
    Ahead { shown: u64, head: u64 },
    #[error(
        "it remembers event {held:?} at position {position}, where the log has {found:?}: the log is another history"
    )]
    OtherHistory { position: u64, held: Option<EventId>, found: Option<EventId> },
    #[error("position {expected} is missing from the log: {found} came instead")]
    Hole { expected: u64, found: u64 },
    #[error("the event at position {position} must not be passed over, and cannot be read: {why}")]
    Undecodable { position: u64, why: String },
    #[error("an event that must not be passed over: {0}")]
    Projection(ProjectionError),
    #[error(transparent)]
    Store(StoreError),
    #[error(transparent)]
    Log(LogError),
    #[error("its engines did not answer: {0}")]
    GaveUp(String),
    #[error("its task broke off: {0}")]
    BrokeOff(String),
}

impl Halt {
    /// Whether another writer has taken over.
    pub fn is_superseded(&self) -> bool {
        matches!(self, Self::Store(StoreError::StaleEpoch { .. }))
    }

    /// Whether the rows must be taken over anew: the engine has others than it was given.
    pub fn went_back(&self) -> bool {
        matches!(self, Self::Store(StoreError::WentBack { .. }))
    }
}

/// What may pass, and what must not be passed over.
#[derive(Debug)]
pub(crate) enum Fault {
    Passing(String),
    Lasting(Halt),
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Passing(why) => f.write_str(why),
            Self::Lasting(halt) => halt.fmt(f),
        }
    }
}

impl From<Halt> for Fault {
    fn from(halt: Halt) -> Self {
        Self::Lasting(halt)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Engine { .. } => Self::Passing(error.to_string()),
            _ => Self::Lasting(Halt::Store(error)),
        }
    }
}

impl From<LogError> for Fault {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Corrupt(_) => Self::Lasting(Halt::Log(error)),
            _ => Self::Passing(error.to_string()),
        }
    }
}

impl From<ProjectionError> for Fault {
    fn from(error: ProjectionError) -> Self {
        match error {
            ProjectionError::Store(error) => error.into(),
            ProjectionError::Log(error) => error.into(),
            ProjectionError::Keys(_) => Self::Passing(error.to_string()),
            ProjectionError::Poison { .. } => Self::Lasting(Halt::Projection(error)),
        }
    }
}

/// Tries until it works or cannot, at most `attempts` times; `waiting` hears once why it waits, and
/// once (`None`) that it goes on.
pub(crate) async fn patiently<T, E: Into<Fault>, F: Future<Output = Result<T, E>>>(
    attempts: u32,
    waiting: impl Fn(Option<&str>),
    mut attempt: impl FnMut() -> F,
) -> Result<T, Halt> {
    let mut pause = RETRY.0;
    let mut tried = 0;
    loop {
        match attempt().await.map_err(Into::into) {
            Ok(done) => {
                if tried > 0 {
                    waiting(None);
                }
                return Ok(done);
            }
            Err(Fault::Lasting(halt)) => return Err(halt),
            Err(Fault::Passing(why)) => {
                if tried == 0 {
                    waiting(Some(&why));
                }
                tried += 1;
                if tried >= attempts {
                    return Err(Halt::GaveUp(why));
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(RETRY.1);
            }
        }
    }
}
