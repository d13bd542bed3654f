//! What a projection is.

use async_trait::async_trait;
use chronicle::keys::{Keyring, OpenError, Place};
use chronicle::log::{LogError, Recorded};
use domain::Timestamp;
use domain::aggregate::{Event, Kind};
use domain::ids::EventId;
use domain::personal::{Personal, PersonalType, Sealed};
use stores::{ReadModel, StoreError};
use uuid::Uuid;

/// An event as a projection gets it.
#[derive(Clone, Debug)]
pub struct Entry {
    pub position: u64,
    pub event_id: EventId,
    pub recorded_at: Timestamp,
    pub aggregate_type: String,
    pub aggregate_id: String,
    pub sequence: u64,
    /// Sealed values are bound to the event, so that they can be opened.
    pub event: Event,
}

impl Entry {
    pub(crate) fn of(recorded: Recorded, event: Event) -> Self {
        let Recorded { position, event_id, recorded_at, aggregate_type, aggregate_id, sequence, .. } =
            recorded;
        Self { position, event_id, recorded_at, aggregate_type, aggregate_id, sequence, event }
    }

    /// Its stream's name, as `Chat/<id>`.
    pub fn stream(&self) -> String {
        format!("{}/{}", self.aggregate_type, self.aggregate_id)
    }
}

/// Why a projection could not say what a batch changes.
#[derive(Debug, thiserror::Error)]
pub enum ProjectionError {
    /// Trying again may help.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Trying again may help.
    #[error("the key store: {0}")]
    Keys(String),
    /// Trying again may help.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Trying again changes nothing.
    #[error("the event at position {position} cannot be applied: {why}")]
    Poison { position: u64, why: String },
}

impl ProjectionError {
    /// Trying again changes nothing.
    pub fn poison(entry: &Entry, why: impl ToString) -> Self {
        Self::Poison { position: entry.position, why: why.to_string() }
    }
}

/// One way of telling the log's story: which rows its events change. Made anew for each generation
/// of its rows, which is all that it reads of them.
#[async_trait]
pub trait Projection: Send + Sync + 'static {
    /// The port that its rows lie in.
    type Model: ReadModel + ?Sized;

    /// As it is known in progress, logs, `/readyz` and to whoever runs it.
    const NAME: &'static str;
    /// Raised when the same events come to mean other rows: then the rows are made anew.
    const CODE_VERSION: u32;
    /// The aggregates that it is about: it is handed their events alone.
    const READS: &'static [Kind];

    /// What `batch`, which follows what its generation shows, changes. May be asked again for the
    /// same batch, and for a part of it.
    ///
    /// # Errors
    /// [`ProjectionError::Poison`] for an event that cannot be applied: its stream is parked.
    async fn changes(
        &self,
        batch: &[Entry],
    ) -> Result<Vec<<Self::Model as ReadModel>::Change>, ProjectionError>;
}

/// Opens what projections may show in clear.
#[derive(Clone)]
pub struct Opener {
    keyring: Keyring,
    log_id: Uuid,
}

impl Opener {
    pub fn new(keyring: Keyring, log_id: Uuid) -> Self {
        Self { keyring, log_id }
    }

    /// The value of `field`; `None` if its key was destroyed, which is how an erased person's
    /// data look.
    ///
    /// # Errors
    /// A damaged value (poison), or a key store that does not answer.
    pub fn open<T: PersonalType>(
        &self,
        entry: &Entry,
        field: &'static str,
        value: &Personal<T>,
    ) -> Result<Option<T>, ProjectionError> {
        let place = Place {
            log_id: self.log_id,
            aggregate_type: &entry.aggregate_type,
            aggregate_id: &entry.aggregate_id,
            event_id: entry.event_id,
            field,
        };
        match self.keyring.open_as(&place, sealed(entry, value)?) {
            Ok(value) => Ok(Some(value)),
            Err(OpenError::Destroyed) => Ok(None),
            Err(OpenError::Unreadable) => {
                Err(ProjectionError::poison(entry, format!("{field} is sealed and cannot be read")))
            }
            Err(OpenError::Store(error)) => Err(ProjectionError::Keys(error.to_string())),
        }
    }
}

/// The sealed form of a value; what was stored has no other.
///
/// # Errors
/// Poison, if it is clear all the same.
pub fn sealed<'a, T>(entry: &Entry, value: &'a Personal<T>) -> Result<&'a Sealed, ProjectionError> {
    value.sealed().ok_or_else(|| ProjectionError::poison(entry, "personal data is not sealed"))
}
