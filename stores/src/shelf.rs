//! A port's generations: the one that is served, and the one that is being built beside it.
//!
//! The pointer to the one that is served lies in the engine. A generation above it is being built
//! and outlives a restart; one below it was left, and goes.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Checkpoint;
use crate::error::{Result, StoreError};
use crate::read_model::ReadModel;

/// How a new generation was asked for; kept with it, so that a restart goes on in the same sense.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Serve it whatever the comparison says.
    pub accept: bool,
}

/// One generation, as its writer has it.
pub struct Generation<M: ?Sized> {
    pub number: u64,
    pub model: Arc<M>,
    pub checkpoint: Checkpoint,
}

/// What a writer has taken over.
pub struct Held<M: ?Sized> {
    /// With what [`Shelf::begin`], [`Shelf::switch`] and [`Shelf::discard`] are asked.
    pub epoch: u64,
    /// The number of the generation that is served.
    pub number: u64,
    /// The generation that is served, if its checkpoint could be read.
    pub serving: Result<Generation<M>>,
    pub building: Option<(Generation<M>, Asked)>,
}

/// Who writes to a port that several processes share, and how far its rows are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lease {
    pub epoch: u64,
    /// Rises while the holder lives.
    pub beat: u64,
    /// Nil where nobody holds it.
    pub holder: Uuid,
    /// The generation that is served.
    pub serving: u64,
    /// Of that generation.
    pub checkpoint: Option<Checkpoint>,
}

/// The generations of a port on one engine.
#[async_trait]
pub trait Shelf<M: ReadModel + ?Sized>: Send + Sync {
    /// What readers read; asked at every request, since it changes with [`Self::switch`].
    fn serving(&self) -> Arc<M>;

    /// Why there is only ever one generation; `None` where there can be more.
    fn fixed(&self) -> Option<&'static str> {
        None
    }

    /// Whether other processes may write to it too: then one writes, under a lease, and the others
    /// stand by. What follows up to [`Self::take_over`] is for those.
    fn is_shared(&self) -> bool {
        false
    }

    /// Looks at the lease, and serves from now on what the engine points to.
    async fn lease(&self) -> Result<Lease> {
        Ok(Lease::default())
    }

    /// Says that the holder of `epoch` lives.
    ///
    /// # Errors
    /// [`StoreError::StaleEpoch`]: it is not the holder any more.
    async fn beat(&self, _epoch: u64) -> Result<()> {
        Ok(())
    }

    /// Lets go of the lease, so that whoever stands by need not wait for silence.
    ///
    /// # Errors
    /// As [`Self::beat`].
    async fn let_go(&self, _epoch: u64) -> Result<()> {
        Ok(())
    }

    /// Makes the caller, `holder`, the one writer of every generation; `fresh` is for what has no
    /// checkpoint. Generations that were left are dropped.
    async fn take_over(&self, holder: Uuid, fresh: Checkpoint) -> Result<Held<M>>;

    /// Begins a generation beside the served one, without secondary indexes.
    ///
    /// # Errors
    /// [`StoreError::StaleEpoch`], as with the other three: another writer has taken over since.
    async fn begin(&self, fresh: Checkpoint, epoch: u64, asked: Asked) -> Result<Generation<M>>;

    /// Keeps that the generation that is being built is asked for in another way by now.
    async fn amend(&self, number: u64, epoch: u64, asked: Asked) -> Result<()>;

    /// Serves generation `number` from now on, durably; the one before it is left.
    async fn switch(&self, number: u64, epoch: u64) -> Result<()>;

    /// Drops a generation that is not served; readers that still have it finish.
    async fn discard(&self, number: u64, epoch: u64) -> Result<()>;
}

/// A port of the read side: its generations, on whichever engine. Cheap to clone.
pub struct Port<M: ReadModel + ?Sized>(Arc<dyn Shelf<M>>);

impl<M: ReadModel + ?Sized> Clone for Port<M> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<M: ReadModel + ?Sized> Port<M> {
    pub fn new(shelf: impl Shelf<M> + 'static) -> Self {
        Self(Arc::new(shelf))
    }

    /// One generation for ever; `why` completes "cannot be rebuilt:".
    pub fn fixed(model: Arc<M>, why: &'static str) -> Self {
        Self::new(Fixed { model, why })
    }

    /// What readers read now. To be asked at every request.
    pub fn serving(&self) -> Arc<M> {
        self.0.serving()
    }

    /// Tells, whenever it is asked, why the rows that are served can't be relied on. Keeps nothing
    /// open.
    pub fn damage(&self) -> impl Fn() -> Option<String> + Send + Sync + use<M> {
        let shelf = Arc::downgrade(&self.0);
        move || shelf.upgrade()?.serving().damage()
    }

    /// The generations themselves, for the port's one writer.
    pub fn shelf(&self) -> &dyn Shelf<M> {
        &*self.0
    }
}

struct Fixed<M: ?Sized> {
    model: Arc<M>,
    why: &'static str,
}

impl<M: ReadModel + ?Sized> Fixed<M> {
    fn refused<T>(&self) -> Result<T> {
        Err(StoreError::Refused(format!("there is one generation alone: {}", self.why)))
    }
}

#[async_trait]
impl<M: ReadModel + ?Sized> Shelf<M> for Fixed<M> {
    fn serving(&self) -> Arc<M> {
        self.model.clone()
    }
    fn fixed(&self) -> Option<&'static str> {
        Some(self.why)
    }
    async fn take_over(&self, _holder: Uuid, fresh: Checkpoint) -> Result<Held<M>> {
        let checkpoint = self.model.take_over(fresh).await?;
        let (epoch, number) = (checkpoint.epoch, checkpoint.generation);
        let serving = Ok(Generation { number, model: self.model.clone(), checkpoint });
        Ok(Held { epoch, number, serving, building: None })
    }
    async fn begin(&self, _: Checkpoint, _: u64, _: Asked) -> Result<Generation<M>> {
        self.refused()
    }
    async fn amend(&self, _: u64, _: u64, _: Asked) -> Result<()> {
        self.refused()
    }
    async fn switch(&self, _: u64, _: u64) -> Result<()> {
        self.refused()
    }
    async fn discard(&self, _: u64, _: u64) -> Result<()> {
        self.refused()
    }
}
