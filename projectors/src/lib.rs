//! Projections: what turns the log into read models.
//!
//! `runner` is the one loop that carries any of them; a projection is a file beside it that says
//! which rows an event changes ([`projection::Projection`]). A new one is its file and one line in
//! [`start`]: docs/projections.md shows it. [`desk`] is where they are looked at and asked.

pub mod attachments;
mod audience;
mod carrier;
pub mod desk;
pub mod directory;
mod halt;
mod lease;
pub mod live;
mod load;
mod orders;
mod page;
mod phases;
pub mod photos;
pub mod projection;
pub mod reactor;
mod rebuild;
mod runner;
pub mod search;
pub mod sessions;
pub mod studio;
pub mod sweep;
pub mod timeline;

use std::sync::Arc;
use std::time::Duration;

use chronicle::Clock;
use chronicle::keys::Keyring;
use chronicle::log::Log;
use stores::{Port, Stores};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle as AbortOnDrop;
use uuid::Uuid;

pub use desk::{Health, Parked, Projections, Refusal, Retried, Stage, Status};
pub use halt::Halt;
pub use page::is_vital;
pub use projection::{Entry, Opener, Projection, ProjectionError};
pub use reactor::{ReactionError, Reactor};

use desk::{Place, Sheet};
use directory::DirectoryProjection;
use live::LiveProjection;
use runner::Runner;
use search::SearchProjection;
use sessions::SessionsProjection;
use timeline::TimelineProjection;

/// What projections are made of.
#[derive(Clone)]
pub struct Context {
    pub log: Arc<dyn Log>,
    pub log_id: Uuid,
    pub keyring: Keyring,
    pub stores: Stores,
    /// For how old what is not shown is; no row is made by it.
    pub clock: Arc<dyn Clock>,
    /// Who this is to other processes on the same engines: the data folder's own, so that a process
    /// that was killed is succeeded by the next one on its folder at once.
    pub node: Uuid,
}

/// How generations are built and left.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// For so long the generation that was served before a rebuild is fed still, for whoever reads
    /// it.
    pub grace: Duration,
    /// Events that concern a projection and are written in one transaction of a load.
    pub chunk: usize,
    /// Closer to the head than so many events a generation is followed and no longer loaded.
    pub near: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Self { grace: Duration::from_secs(60), chunk: 20_000, near: 1_000 }
    }
}

impl Pace {
    /// Farther from the head than so many events a generation is loaded.
    fn far(self) -> u64 {
        self.near * 20
    }
}

/// The projections at work, each on its own task. Dropping it stops them.
pub struct Running {
    context: Context,
    stop: CancellationToken,
    pace: Pace,
    tasks: JoinSet<(&'static str, Result<(), Halt>)>,
    places: Vec<Place>,
}

impl Running {
    /// None yet: see [`Self::carry`].
    pub fn none(context: &Context, stop: &CancellationToken, pace: Pace) -> Self {
        let (tasks, places) = (JoinSet::new(), Vec::new());
        Self { context: context.clone(), stop: stop.clone(), pace, tasks, places }
    }

    /// Starts a projection over its port; `make` makes it over a generation of the rows.
    pub fn carry<P: Projection>(
        &mut self,
        port: &Port<P::Model>,
        make: impl Fn(Arc<P::Model>) -> P + Send + Sync + 'static,
    ) {
        // Shown from now on, so that whoever asks for all projections sees those yet to begin.
        self.context.stores.progress.show(P::NAME, 0);
        let (orders, inbox) = mpsc::channel(4);
        let sheet = Sheet::default();
        let damage = Arc::new(port.damage());
        let (name, code_version) = (P::NAME, P::CODE_VERSION);
        self.places.push(Place { name, code_version, sheet: sheet.clone(), orders, damage });
        let runner = Runner {
            context: self.context.clone(),
            port: port.clone(),
            make: Arc::new(make),
            pace: self.pace,
            sheet: sheet.clone(),
            orders: inbox,
            held: None,
        };
        let run = tokio::spawn(runner.run(self.stop.clone()));
        let run = AbortOnDrop::new(run);
        self.tasks.spawn(async move {
            let ended = run.await.unwrap_or_else(|error| {
                let halt = Halt::BrokeOff(error.to_string());
                tracing::error!(projection = name, %halt, "a projection has halted; the others go on");
                sheet.note(|facts| facts.health = Health::Halted { why: halt.to_string() });
                Err(halt)
            });
            (name, ended)
        });
    }

    /// Starts a reactor.
    pub fn react<R: Reactor>(&mut self, reactor: R) {
        let run =
            AbortOnDrop::new(tokio::spawn(reactor::run(reactor, self.context.clone(), self.stop.clone())));
        self.tasks.spawn(async move {
            let ended = run.await.map_err(|error| Halt::BrokeOff(error.to_string()));
            if let Err(halt) = &ended {
                tracing::error!(reactor = R::NAME, %halt, "a reactor has stopped");
            }
            (R::NAME, ended)
        });
    }

    /// What is known of them, and what may be asked of them.
    pub fn handle(&self) -> Projections {
        let Context { log, stores, clock, .. } = &self.context;
        Projections::new(self.places.clone(), &**log, stores.progress.clone(), clock.clone())
    }

    /// The next one to end, and why: it was told to stop, or another writer has taken over, or its
    /// task broke off. `None` once all have ended. One that has halted has not ended: it can be
    /// rebuilt.
    pub async fn ended(&mut self) -> Option<(&'static str, Result<(), Halt>)> {
        loop {
            match self.tasks.join_next().await? {
                Ok(ended) => return Some(ended),
                Err(error) => tracing::error!(%error, "a projection's task broke off"),
            }
        }
    }
}

/// Starts every projection. Each goes on until `stop`; what one cannot pass over stops that one
/// alone.
pub fn start(context: &Context, stop: &CancellationToken) -> Running {
    start_at(context, stop, Pace::default())
}

/// [`start`] at another pace.
pub fn start_at(context: &Context, stop: &CancellationToken, pace: Pace) -> Running {
    let mut running = Running::none(context, stop, pace);
    let (stores, opener) = (&context.stores, Opener::new(context.keyring.clone(), context.log_id));
    let opens = opener.clone();
    running.carry(&stores.sessions, |_| SessionsProjection);
    running.carry(&stores.directory, move |rows| DirectoryProjection::new(rows, opens.clone()));
    running.carry(&stores.timeline, |_| TimelineProjection);
    running.carry(&stores.search, move |rows| SearchProjection::new(rows, opener.clone()));
    let told = context.clone();
    running.carry(&live::port(context), move |_| LiveProjection::new(&told));
    running
}
