//! What changed, to whose screens: passing signals, nothing durable.

use async_trait::async_trait;
use domain::ids::PersonId;
use domain::live::{Ids, What};

use crate::error::Result;

mod memory;

pub use memory::MemoryLive;

/// Notices that wait for one slow subscriber; more, and it has lagged.
pub const BACKLOG: usize = 512;

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
    /// Notices were lost: the subscriber must fetch anew.
    Lagged,
}

/// One subscriber's notices, by position.
#[async_trait]
pub trait Subscription: Send {
    /// The next one; `None` once the engine is gone.
    async fn next(&mut self) -> Option<Received>;
}

/// The live engine.
#[async_trait]
pub trait Live: Send + Sync {
    /// Hands each notice to every subscription of each person in `to`.
    async fn publish(&self, notices: Vec<Notice>) -> Result<()>;

    /// What is published to `person` from now on.
    async fn subscribe(&self, person: PersonId) -> Result<Box<dyn Subscription>>;
}
