//! What is known of the projections at work, and what may be asked of them: for whoever runs them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chronicle::Clock;
use chronicle::log::{Head, Log};
use domain::Timestamp;
use serde::{Deserialize, Serialize};
pub use stores::Parked;
use stores::Progress;
use tokio::sync::{mpsc, oneshot, watch};

/// A runner that waits for its engines does not hear; whoever asks is told so after this.
const PATIENCE: Duration = Duration::from_secs(10);

/// How a projection is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Health {
    Running,
    /// An engine does not answer as it should; it is asked again.
    Waiting {
        why: String,
    },
    /// It met what it must not pass over. A rebuild may cure it.
    Halted {
        why: String,
    },
    /// Another process writes these rows, which are read here; this one takes over should that one
    /// fall silent.
    StandingBy,
    /// Another process writes these rows now.
    Superseded,
}

/// A projection as it is at this moment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    pub name: String,
    pub code_version: u32,
    /// The one that is served.
    pub generation: u64,
    pub epoch: u64,
    /// Everything up to here is shown.
    pub position: u64,
    /// Where the log ends.
    pub head: u64,
    pub lag_events: u64,
    /// The age of the oldest event not shown; 0 if all are.
    pub lag_seconds: f64,
    pub health: Health,
    /// Streams that this projection passes over.
    pub parked: Vec<Parked>,
    /// The rebuild under way, or how the last one of this process ended.
    pub rebuild: Option<Stage>,
    /// The generation that was served before and is kept for a while.
    pub previous: Option<u64>,
}

/// How far a rebuild is. The last two are its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "snake_case")]
pub enum Stage {
    /// Events are read from the first on; `per_second` is events.
    Loading { position: u64, head: u64, per_second: f64, seconds_left: Option<f64> },
    /// Secondary indexes are made.
    Indexing,
    /// Reads what came meanwhile.
    Catching { behind: u64 },
    /// Counts and checksums of both generations are taken at one position.
    Comparing { position: u64 },
    /// The new generation is served.
    Switched { generation: u64, events: u64, seconds: f64 },
    /// The old generation goes on; `differences` in words, a table a line.
    Failed { why: String, differences: Vec<String> },
}

impl Stage {
    /// Whether nothing follows.
    pub fn is_end(&self) -> bool {
        matches!(self, Self::Switched { .. } | Self::Failed { .. })
    }
}

/// What became of a parked stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retried {
    /// As `Chat/<id>`.
    pub stream: String,
    /// How many of its events were applied; with an `error`, those before it.
    pub events: u64,
    pub error: Option<String>,
}

/// Why something asked is not done. Its text says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(tag = "refusal", rename_all = "snake_case")]
pub enum Refusal {
    #[error("there is no projection {name:?}: name one of {}", known.join(", "))]
    Unknown { name: String, known: Vec<String> },
    #[error("{name} cannot be rebuilt: {why}")]
    NotRebuildable { name: String, why: String },
    #[error("{name} has no parked stream {stream:?}: `letopis projections status` lists those that it has")]
    NotParked { name: String, stream: String },
    #[error("{name} is written by another process now: ask that one")]
    Superseded { name: String },
    #[error("{name} did not do it ({why}): see what `letopis projections status` says of it, then ask again")]
    Busy { name: String, why: String },
    #[error("the projections are stopping: ask again once they have been started")]
    Stopping,
}

/// What a runner knows about itself.
#[derive(Debug)]
pub(crate) struct Facts {
    pub generation: u64,
    pub epoch: u64,
    pub health: Health,
    pub parked: Vec<Parked>,
    pub rebuild: Option<watch::Receiver<Stage>>,
    pub previous: Option<u64>,
    /// When the first event of the batch under way was recorded.
    pub pending: Option<Timestamp>,
}

impl Default for Facts {
    fn default() -> Self {
        let health = Health::Waiting { why: "it is starting".to_owned() };
        Self {
            generation: 0,
            epoch: 0,
            health,
            parked: Vec::new(),
            rebuild: None,
            previous: None,
            pending: None,
        }
    }
}

/// A runner's own sheet on the desk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sheet(Arc<Mutex<Facts>>);

impl Sheet {
    pub fn note<T>(&self, note: impl FnOnce(&mut Facts) -> T) -> T {
        note(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Says that a projection waits, and that it goes on.
    pub fn waiting(&self, projection: &'static str) -> impl Fn(Option<&str>) {
        let before = self.note(|facts| facts.health.clone());
        move |why| match why {
            Some(why) => {
                tracing::warn!(projection, why, "a projection waits for its engines");
                self.note(|facts| facts.health = Health::Waiting { why: why.to_owned() });
            }
            None => {
                tracing::info!(projection, "a projection goes on");
                self.note(|facts| facts.health = before.clone());
            }
        }
    }
}

/// What a runner is asked.
pub(crate) enum Order {
    Rebuild { accept: bool, reply: oneshot::Sender<Result<watch::Receiver<Stage>, Refusal>> },
    Retry { stream: Option<String>, reply: oneshot::Sender<Result<Vec<Retried>, Refusal>> },
}

/// A projection's place on the desk.
#[derive(Clone)]
pub(crate) struct Place {
    pub name: &'static str,
    pub code_version: u32,
    pub sheet: Sheet,
    pub orders: mpsc::Sender<Order>,
    /// Why the rows that are served can't be relied on.
    pub damage: Arc<dyn Fn() -> Option<String> + Send + Sync>,
}

/// The projections of this process. Cheap to clone.
#[derive(Clone)]
pub struct Projections {
    places: Arc<[Place]>,
    progress: Progress,
    head: watch::Receiver<Head>,
    clock: Arc<dyn Clock>,
}

impl Projections {
    pub(crate) fn new(places: Vec<Place>, log: &dyn Log, progress: Progress, clock: Arc<dyn Clock>) -> Self {
        Self { places: places.into(), progress, head: log.watch(), clock }
    }

    /// Every projection, in the order they were started in.
    pub fn status(&self) -> Vec<Status> {
        self.places.iter().map(|place| self.status_of(place)).collect()
    }

    /// Builds the rows anew beside the old ones, and follows it. One rebuild a projection at a
    /// time: asking again joins the one under way. `accept` switches whatever the comparison says.
    ///
    /// # Errors
    /// A [`Refusal`]; that the rebuild failed is its last stage.
    pub async fn rebuild(&self, name: &str, accept: bool) -> Result<watch::Receiver<Stage>, Refusal> {
        self.ask(name, |reply| Order::Rebuild { accept, reply }).await
    }

    /// Applies what was parked: all streams of a projection, or one (as `Chat/<id>`). Those that
    /// still cannot be applied stay parked, and their error says why.
    ///
    /// # Errors
    /// A [`Refusal`].
    pub async fn retry(&self, name: &str, stream: Option<&str>) -> Result<Vec<Retried>, Refusal> {
        let stream = stream.map(str::to_owned);
        self.ask(name, |reply| Order::Retry { stream, reply }).await
    }

    fn status_of(&self, place: &Place) -> Status {
        // The head first: what is shown then may have passed it, and is never ahead of itself.
        let head = *self.head.borrow();
        let position = self.progress.position(place.name);
        let now = self.clock.now();
        // A reader may meet damage where no writer comes.
        let damage = (place.damage)();
        place.sheet.note(|facts| {
            let lag_events = head.position.saturating_sub(position);
            let oldest = facts.pending.unwrap_or(head.recorded_at);
            let age = (now.0 - oldest.0).max(0) as f64 / Timestamp::SECOND as f64;
            Status {
                name: place.name.to_owned(),
                code_version: place.code_version,
                generation: facts.generation,
                epoch: facts.epoch,
                position,
                head: head.position.max(position),
                lag_events,
                lag_seconds: if lag_events == 0 { 0.0 } else { age },
                health: match (&facts.health, damage) {
                    (Health::Running | Health::Waiting { .. }, Some(why)) => Health::Halted { why },
                    (health, _) => health.clone(),
                },
                parked: facts.parked.clone(),
                rebuild: facts.rebuild.as_ref().map(|stage| stage.borrow().clone()),
                previous: facts.previous,
            }
        })
    }

    async fn ask<T>(
        &self,
        name: &str,
        order: impl FnOnce(oneshot::Sender<Result<T, Refusal>>) -> Order,
    ) -> Result<T, Refusal> {
        let place = self.places.iter().find(|place| place.name == name).ok_or_else(|| Refusal::Unknown {
            name: name.to_owned(),
            known: self.places.iter().map(|place| place.name.to_owned()).collect(),
        })?;
        if place.sheet.note(|facts| matches!(facts.health, Health::Superseded | Health::StandingBy)) {
            return Err(Refusal::Superseded { name: name.to_owned() });
        }
        let (reply, answer) = oneshot::channel();
        let asked = async {
            place.orders.send(order(reply)).await.map_err(|_| Refusal::Stopping)?;
            answer.await.map_err(|_| Refusal::Stopping)?
        };
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(answered) => answered,
            Err(_elapsed) => {
                let why = match place.sheet.note(|facts| facts.health.clone()) {
                    Health::Waiting { why } | Health::Halted { why } => why,
                    Health::Running | Health::Superseded | Health::StandingBy => "it is busy".to_owned(),
                };
                Err(Refusal::Busy { name: name.to_owned(), why })
            }
        }
    }
}
