//! The one loop: tail the log, decode, ask the projection, write rows and checkpoint together,
//! then say how far it shows.
//!
//! An engine that does not answer is asked again until it does; what must not be passed over
//! (another history, an event that cannot be read or applied) halts this projection alone, and
//! says so.

use std::time::Duration;

use chronicle::log::{Log, LogError};
use domain::ids::EventId;
use stores::{Checkpoint, ReadModel, StoreError};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::Context;
use crate::desk::{Health, Order, Sheet};
use crate::projection::{Entry, Projection, ProjectionError};

/// Events read at once.
const BATCH: usize = 1_000;
/// After so many events that changed nothing the checkpoint is written all the same, so that a
/// restart need not read them again. Until then it is not: most events concern few projections,
/// and a commit costs more than reading on.
const UNWRITTEN: u64 = 10_000;
/// Nor does it stay unwritten for longer than this once the log is quiet.
const QUIET: Duration = Duration::from_secs(5);
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
    #[error("the event at position {position} cannot be read: {why}")]
    Undecodable { position: u64, why: String },
    #[error(transparent)]
    Projection(ProjectionError),
    #[error(transparent)]
    Store(StoreError),
    #[error(transparent)]
    Log(LogError),
}

/// What may pass, and what must not be passed over.
enum Fault {
    Passing(String),
    Lasting(Halt),
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

/// Carries one projection.
pub struct Runner<P> {
    context: Context,
    projection: P,
    sheet: Sheet,
    inbox: Option<mpsc::Receiver<Order>>,
}

impl<P: Projection> Runner<P> {
    pub fn new(context: Context, projection: P) -> Self {
        Self { context, projection, sheet: Sheet::default(), inbox: None }
    }

    pub(crate) fn reporting(self, sheet: Sheet, inbox: mpsc::Receiver<Order>) -> Self {
        Self { sheet, inbox: Some(inbox), ..self }
    }

    /// Goes on until `stop`.
    ///
    /// # Errors
    /// What must not be passed over; it has been logged.
    pub async fn run(self, stop: CancellationToken) -> Result<(), Halt> {
        let name = self.projection.name();
        let ended = tokio::select! {
            ended = self.follow() => ended,
            () = stop.cancelled() => Ok(()),
        };
        if let Err(halt) = &ended {
            tracing::error!(projection = name, %halt, "a projection has halted; the others go on");
            self.sheet.note(|facts| facts.health = Health::Halted { why: halt.to_string() });
        }
        ended
    }

    async fn follow(&self) -> Result<(), Halt> {
        let mut shown = self.begin().await?;
        self.sheet.note(|facts| {
            (facts.generation, facts.epoch) = (shown.generation, shown.epoch);
            facts.health = Health::Running;
        });
        let mut written = shown.position;
        self.show(shown.position);
        let mut head = self.context.log.watch();
        loop {
            let batch = self.read(shown.position).await?;
            let Some(last) = batch.last() else {
                let quiet = written < shown.position;
                let more = async { head.wait_for(|head| head.position > shown.position).await.is_ok() };
                tokio::select! {
                    // A head that nobody moves any more belongs to a log that is being closed.
                    more = more => if !more { return Ok(()) },
                    () = tokio::time::sleep(QUIET), if quiet => {
                        self.write(Vec::new(), &shown).await?;
                        written = shown.position;
                    }
                }
                continue;
            };
            self.sheet.note(|facts| facts.pending = batch.first().map(|entry| entry.recorded_at));
            shown.position = last.position;
            shown.event_id = Some(last.event_id);
            let changes = self.retry(|| self.projection.changes(&batch)).await?;
            if !changes.is_empty() || shown.position - written >= UNWRITTEN {
                self.write(changes, &shown).await?;
                written = shown.position;
            }
            self.show(shown.position);
            self.sheet.note(|facts| facts.pending = None);
        }
    }

    /// Takes the model over and checks that it is of this log and this code.
    async fn begin(&self) -> Result<Checkpoint, Halt> {
        let (log_id, version) = (self.context.log_id, self.projection.code_version());
        let fresh = Checkpoint::start(log_id, version);
        let model = self.projection.model();
        let held = self.retry(|| model.take_over(fresh.clone())).await?;
        if held.log_id != log_id {
            return Err(Halt::OtherLog { held: held.log_id, log: log_id });
        }
        self.check_history(&held).await?;
        if held.code_version == version {
            return Ok(held);
        }
        let name = self.projection.name();
        tracing::info!(projection = name, from = held.code_version, to = version, "rows are made anew");
        let anew = Checkpoint { epoch: held.epoch, generation: held.generation + 1, ..fresh };
        self.retry(|| model.write(Vec::new(), anew.clone())).await?;
        Ok(anew)
    }

    /// One history: the model is not ahead of the log and remembers what the log has.
    async fn check_history(&self, held: &Checkpoint) -> Result<(), Halt> {
        let Some(before) = held.position.checked_sub(1) else { return Ok(()) };
        let log = &*self.context.log;
        let head = self.retry(|| log.head()).await?;
        if held.position > head.position {
            return Err(Halt::Ahead { shown: held.position, head: head.position });
        }
        let found = self.retry(|| log.read(before, 1)).await?;
        let found = found.first().map(|event| event.event_id);
        if found.is_none() || found != held.event_id {
            return Err(Halt::OtherHistory { position: held.position, held: held.event_id, found });
        }
        Ok(())
    }

    /// What follows `position`, decoded and without a hole.
    async fn read(&self, position: u64) -> Result<Vec<Entry>, Halt> {
        let log: &dyn Log = &*self.context.log;
        let recorded = self.retry(|| log.read(position, BATCH)).await?;
        (position + 1..)
            .zip(recorded)
            .map(|(expected, recorded)| {
                let found = recorded.position;
                if found != expected {
                    return Err(Halt::Hole { expected, found });
                }
                Entry::try_from(recorded)
                    .map_err(|error| Halt::Undecodable { position: found, why: error.to_string() })
            })
            .collect()
    }

    async fn write(
        &self,
        changes: Vec<<P::Model as ReadModel>::Change>,
        checkpoint: &Checkpoint,
    ) -> Result<(), Halt> {
        let model = self.projection.model();
        self.retry(|| model.write(changes.clone(), checkpoint.clone())).await
    }

    fn show(&self, position: u64) {
        self.context.stores.progress.show(self.projection.name(), position);
    }

    /// Tries until it works or cannot; says once that it waits, and once that it goes on.
    async fn retry<T, E: Into<Fault>, F: Future<Output = Result<T, E>>>(
        &self,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T, Halt> {
        let name = self.projection.name();
        let mut pause = RETRY.0;
        let mut waits = false;
        loop {
            match attempt().await.map_err(Into::into) {
                Ok(done) => {
                    if waits {
                        tracing::info!(projection = name, "a projection goes on");
                    }
                    return Ok(done);
                }
                Err(Fault::Lasting(halt)) => return Err(halt),
                Err(Fault::Passing(why)) => {
                    if !waits {
                        tracing::warn!(projection = name, why, "a projection waits for its engines");
                    }
                    waits = true;
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(RETRY.1);
                }
            }
        }
    }
}
