//! Projections: what turns the log into read models.
//!
//! [`runner`] is the one loop that carries any of them; a projection is a file beside it that says
//! which rows an event changes ([`projection::Projection`]). A new one is its file and one line in
//! [`start`].

pub mod desk;
pub mod directory;
pub mod live;
pub mod projection;
pub mod runner;
pub mod search;
pub mod sessions;
pub mod timeline;

use std::sync::Arc;

use chronicle::Clock;
use chronicle::keys::Keyring;
use chronicle::log::Log;
use stores::Stores;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use desk::{Health, Parked, Projections, Refusal, Retried, Stage, Status};
pub use projection::{Entry, Opener, Projection, ProjectionError};
pub use runner::{Halt, Runner};

use desk::{Place, Sheet};

/// What projections are made of.
#[derive(Clone)]
pub struct Context {
    pub log: Arc<dyn Log>,
    pub log_id: Uuid,
    pub keyring: Keyring,
    pub stores: Stores,
    /// For how old what is not shown is; no row is made by it.
    pub clock: Arc<dyn Clock>,
}

/// The projections at work, each on its own task. Dropping it stops them.
#[derive(Default)]
pub struct Running {
    tasks: JoinSet<(&'static str, Result<(), Halt>)>,
    places: Vec<Place>,
    desk: Option<Projections>,
}

impl Running {
    fn add<P: Projection>(&mut self, context: &Context, stop: &CancellationToken, projection: P) {
        let name = projection.name();
        // Shown from now on, so that whoever asks for all projections sees those yet to begin.
        context.stores.progress.show(name, 0);
        let (orders, inbox) = mpsc::channel(4);
        let sheet = Sheet::default();
        let code_version = projection.code_version();
        self.places.push(Place { name, code_version, sheet: sheet.clone(), orders });
        let runner = Runner::new(context.clone(), projection).reporting(sheet, inbox);
        let stop = stop.clone();
        self.tasks.spawn(async move { (name, runner.run(stop).await) });
    }

    /// What is known of them, and what may be asked of them.
    pub fn handle(&self) -> Projections {
        self.desk.clone().unwrap_or_else(|| unreachable!("start has set it"))
    }

    /// The next one to end, and why: it was told to stop, or it halted (which it has logged).
    /// `None` once all have ended.
    pub async fn ended(&mut self) -> Option<(&'static str, Result<(), Halt>)> {
        loop {
            match self.tasks.join_next().await? {
                Ok(ended) => return Some(ended),
                Err(error) => tracing::error!(%error, "a projection's task broke off"),
            }
        }
    }
}

/// Starts every projection. Each goes on until `stop`, or until it meets what it must not pass
/// over; the others go on then.
pub fn start(context: &Context, stop: &CancellationToken) -> Running {
    let mut running = Running::default();
    running.add(context, stop, sessions::SessionsProjection::new(context));
    running.add(context, stop, directory::DirectoryProjection::new(context));
    running.add(context, stop, timeline::TimelineProjection::new(context));
    running.add(context, stop, search::SearchProjection::new(context));
    running.add(context, stop, live::LiveProjection::new(context));
    let progress = context.stores.progress.clone();
    let places = std::mem::take(&mut running.places);
    running.desk = Some(Projections::new(places, &*context.log, progress, context.clock.clone()));
    running
}
