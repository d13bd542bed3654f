//! What changed, to whose screens: passing signals, nothing durable.

use async_trait::async_trait;
use domain::ids::PersonId;
use domain::live::{Ids, Signal, What};

use crate::error::Result;
use crate::read_model::ReadModel;
use crate::shelf::Port;

mod channel;
pub(crate) mod keydb;
mod memory;

pub use memory::MemoryLive;

/// Notices that wait for one slow subscriber; more, and it has lagged.
pub const BACKLOG: usize = 512;
/// Signals that wait beside them; of more the oldest are lost.
pub const SIGNALS: usize = 64;

/// Something changed that these people may see. Published once its rows are shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    pub position: u64,
    pub what: What,
    pub ids: Ids,
    pub to: Vec<PersonId>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    Notice(std::sync::Arc<Notice>),
    /// A sign of life, true for a moment. Nobody learns of one that was lost.
    Signal {
        signal: Signal,
        ids: Ids,
    },
    /// Notices were lost: the subscriber must fetch anew.
    Lagged,
    /// The engine was away, and is there again: what was published meanwhile is in the feeds.
    Resumed,
}

/// One subscriber's notices, by position, and signals among them.
#[async_trait]
pub trait Subscription: Send {
    /// The next one; `None` once the engine is gone.
    async fn next(&mut self) -> Option<Received>;
}

/// Where notices are published as a read model without rows: writing is publishing.
pub type Outlet = dyn ReadModel<Change = Notice>;

/// The live engine.
#[async_trait]
pub trait Live: Send + Sync {
    /// Hands each notice to every subscription of each person in `to`.
    async fn publish(&self, notices: Vec<Notice>) -> Result<()>;

    /// Hands a signal to every subscription of each person in `to`, if it can. Nothing keeps it.
    ///
    /// # Errors
    /// If the engine is away: the signal is lost.
    async fn signal(&self, signal: Signal, ids: Ids, to: &[PersonId]) -> Result<()>;

    /// What is published and signalled to `person` from now on.
    async fn subscribe(&self, person: PersonId) -> Result<Box<dyn Subscription>>;

    /// Where one of several processes publishes, under a lease; `None` where there is one process.
    /// A batch that follows nothing passes over what nobody will publish any more: every
    /// subscription then gets [`Received::Resumed`].
    fn outlet(&self) -> Option<Port<Outlet>> {
        None
    }
}
