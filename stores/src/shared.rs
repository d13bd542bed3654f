//! Generations on an engine that several processes share: a pointer in the engine, changed by
//! compare-and-set, and beside it a lease.
//!
//! Who holds the lease writes. A process that finds another holder stands by until that one is
//! silent, and takes over under a higher epoch; whoever was only asleep is refused by it from then
//! on, in the engine.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::Checkpoint;
use crate::error::{Result, StoreError};
use crate::peek::Peeked;
use crate::read_model::ReadModel;
use crate::shelf::{Asked, Generation, Held, Lease, Shelf};

/// Of a change to the pointer that meets others' changes: each is lost to a beat or a look at most.
const ATTEMPTS: u32 = 10;

/// What the generations of a port are, as its engine keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pointer {
    /// Rises with every change.
    pub version: u64,
    /// Of the writer that holds the port.
    pub epoch: u64,
    /// Rises while that writer lives.
    pub beat: u64,
    /// Who it is; nil once it has let go.
    pub holder: Uuid,
    pub serving: u64,
    pub building: Option<(u64, Asked)>,
    /// No longer served, and not yet dropped.
    pub left: Vec<u64>,
    /// The highest number that was ever given: none is given twice.
    pub last: u64,
}

/// What an adapter adds: where the pointer and the rows of a generation lie.
#[async_trait]
pub(crate) trait Engine<M: ReadModel + ?Sized>: Send + Sync + 'static {
    /// The pointer as it is held, by a linearizable read; `None` where there never was one.
    async fn pointer(&self) -> Result<Option<Pointer>>;

    /// Puts `next` if the held pointer still has version `held` (`None`: if there is none). Answers
    /// whether it did.
    async fn put_pointer(&self, held: Option<u64>, next: &Pointer) -> Result<bool>;

    /// Opens a generation's rows; makes what they lie in where it is not there.
    async fn open(&self, number: u64) -> Result<Arc<M>>;

    /// Drops a generation's rows; nothing where there are none.
    async fn remove(&self, number: u64) -> Result<()>;
}

/// The generations of a port on a shared engine.
pub(crate) struct Shared<M: ?Sized, E> {
    engine: E,
    serving: RwLock<(u64, Arc<M>)>,
    /// Held while this process changes the pointer.
    changing: Mutex<()>,
    /// The generation that was last said to be damaged.
    warned: AtomicU64,
}

impl<M: ReadModel + ?Sized, E: Engine<M>> Shared<M, E> {
    /// Opens the generation that is served; makes the first where there is none.
    ///
    /// # Errors
    /// An engine that can't be used.
    pub async fn open(engine: E) -> Result<Self> {
        let pointer = match engine.pointer().await? {
            Some(pointer) => pointer,
            None => {
                // Made before it is pointed to. Who comes second finds the other's pointer.
                engine.open(1).await?;
                let first = Pointer { version: 1, serving: 1, last: 1, ..Pointer::default() };
                engine.put_pointer(None, &first).await?;
                engine.pointer().await?.ok_or_else(lost)?
            }
        };
        let (number, model) = match engine.open(pointer.serving).await {
            Err(error) if error.is_damage() => Self::anew(&engine, pointer, error).await?,
            model => (pointer.serving, model?),
        };
        Ok(Self {
            engine,
            serving: RwLock::new((number, model)),
            changing: Mutex::default(),
            warned: AtomicU64::default(),
        })
    }

    /// A generation in place of one whose rows can't be opened: damaged, or made by another version.
    /// Nobody reads those; they go when the next writer takes over.
    async fn anew(engine: &E, pointer: Pointer, error: StoreError) -> Result<(u64, Arc<M>)> {
        let damaged = pointer.serving;
        tracing::warn!(%error, generation = damaged, "rows can't be opened: they are made anew");
        let mut held = pointer;
        for _ in 0..ATTEMPTS {
            // Somebody else may have been faster.
            if held.serving != damaged {
                return Ok((held.serving, engine.open(held.serving).await?));
            }
            // Pointed to before it is made: who comes second finds this one, and makes no other.
            let mut next = Pointer { version: held.version + 1, last: held.last + 1, ..held.clone() };
            next.left.push(std::mem::replace(&mut next.serving, next.last));
            held = match engine.put_pointer(Some(held.version), &next).await? {
                true => next,
                false => engine.pointer().await?.ok_or_else(lost)?,
            };
        }
        Err(error)
    }

    /// Changes the pointer by `change`, until that meets no other change.
    async fn change(&self, mut change: impl FnMut(&mut Pointer) -> Result<()> + Send) -> Result<Pointer> {
        let _turn = self.changing.lock().await;
        for _ in 0..ATTEMPTS {
            // An engine that was emptied has no pointer: it begins again, under its writer.
            let held = self.engine.pointer().await?;
            let version = held.as_ref().map(|held| held.version);
            let mut next = held.unwrap_or(Pointer { serving: 1, last: 1, ..Pointer::default() });
            change(&mut next)?;
            next.version += 1;
            if self.engine.put_pointer(version, &next).await? {
                return Ok(next);
            }
        }
        Err(StoreError::Engine { engine: "pointer", message: "others keep changing it".to_owned() })
    }

    /// As [`Self::change`], for the holder alone.
    async fn change_as(
        &self,
        epoch: u64,
        mut change: impl FnMut(&mut Pointer) -> Result<()> + Send,
    ) -> Result<Pointer> {
        self.change(|pointer| {
            fence(pointer, epoch)?;
            change(pointer)
        })
        .await
    }

    /// Reads what `pointer` points to from now on.
    async fn follow(&self, pointer: &Pointer) -> Result<Arc<M>> {
        let (number, model) = self.serving.read().unwrap_or_else(PoisonError::into_inner).clone();
        if number == pointer.serving {
            return Ok(model);
        }
        let model = self.engine.open(pointer.serving).await?;
        *self.serving.write().unwrap_or_else(PoisonError::into_inner) = (pointer.serving, model.clone());
        Ok(model)
    }

    /// Takes a generation over under `epoch`.
    async fn take(&self, number: u64, epoch: u64, fresh: &Checkpoint) -> Result<Generation<M>> {
        let model = self.engine.open(number).await?;
        let fresh = Checkpoint { generation: number, epoch: epoch.saturating_sub(1), ..fresh.clone() };
        let checkpoint = model.take_over(fresh).await?;
        if checkpoint.epoch > epoch {
            return Err(StoreError::StaleEpoch { mine: epoch, theirs: checkpoint.epoch });
        }
        Ok(Generation { number, model, checkpoint })
    }

    /// Drops a generation that was left. It is forgotten only then: what nobody knows of would stay for ever.
    async fn drop_left(&self, number: u64, epoch: u64) -> Result<()> {
        self.engine.remove(number).await?;
        let forgotten = self.change_as(epoch, |pointer| {
            pointer.left.retain(|left| *left != number);
            Ok(())
        });
        forgotten.await.map(drop)
    }

    /// The epochs that the rows were written under: they may be ahead of a pointer that was restored.
    async fn highest_epoch(&self, pointer: &Pointer) -> Result<u64> {
        let mut highest = pointer.epoch;
        for number in
            [Some(pointer.serving), pointer.building.map(|(number, _)| number)].into_iter().flatten()
        {
            let held = match self.engine.open(number).await {
                Ok(model) => model.checkpoint().await,
                Err(error) => Err(error),
            };
            match held {
                Ok(held) => highest = highest.max(held.map_or(0, |held| held.epoch)),
                Err(error @ StoreError::Engine { .. }) => return Err(error),
                Err(_) => {}
            }
        }
        Ok(highest)
    }
}

fn fence(pointer: &Pointer, epoch: u64) -> Result<()> {
    if pointer.epoch != epoch {
        return Err(StoreError::StaleEpoch { mine: epoch, theirs: pointer.epoch });
    }
    Ok(())
}

fn lost() -> StoreError {
    StoreError::Engine { engine: "pointer", message: "it is gone: the engine was emptied".to_owned() }
}

/// Looks at an engine without making anything.
pub(crate) async fn peek<M: ReadModel + ?Sized>(engine: impl Engine<M>) -> Result<Option<Peeked>> {
    let Some(pointer) = engine.pointer().await? else { return Ok(None) };
    let model = engine.open(pointer.serving).await?;
    let (checkpoint, parked) = (model.checkpoint().await?, model.parked().await?.len() as u64);
    Ok(Some(Peeked { generation: pointer.serving, checkpoint, parked }))
}

#[async_trait]
impl<M: ReadModel + ?Sized, E: Engine<M>> Shelf<M> for Shared<M, E> {
    fn serving(&self) -> Arc<M> {
        self.serving.read().unwrap_or_else(PoisonError::into_inner).1.clone()
    }

    fn is_shared(&self) -> bool {
        true
    }

    async fn lease(&self) -> Result<Lease> {
        let Some(pointer) = self.engine.pointer().await? else { return Ok(Lease::default()) };
        let checkpoint = match self.follow(&pointer).await {
            Ok(model) => model.checkpoint().await,
            Err(error) => Err(error),
        };
        // Rows that are damaged are their writer's to mend; whoever stands by goes on doing so.
        let checkpoint = match checkpoint {
            Err(error) if error.is_damage() => {
                if self.warned.swap(pointer.serving, Ordering::Relaxed) != pointer.serving {
                    tracing::warn!(%error, generation = pointer.serving, "rows that another process writes can't be read");
                }
                None
            }
            checkpoint => checkpoint?,
        };
        let Pointer { epoch, beat, holder, serving, .. } = pointer;
        Ok(Lease { epoch, beat, holder, serving, checkpoint })
    }

    async fn beat(&self, epoch: u64) -> Result<()> {
        let beaten = self.change_as(epoch, |pointer| {
            pointer.beat += 1;
            Ok(())
        });
        beaten.await.map(drop)
    }

    async fn let_go(&self, epoch: u64) -> Result<()> {
        let let_go = self.change_as(epoch, |pointer| {
            pointer.holder = Uuid::nil();
            Ok(())
        });
        let_go.await.map(drop)
    }

    async fn take_over(&self, holder: Uuid, fresh: Checkpoint) -> Result<Held<M>> {
        let held = self.engine.pointer().await?;
        let above = match &held {
            Some(pointer) => self.highest_epoch(pointer).await?,
            None => 0,
        };
        let pointer = self
            .change(|pointer| {
                pointer.epoch = pointer.epoch.max(above) + 1;
                pointer.holder = holder;
                pointer.beat += 1;
                Ok(())
            })
            .await?;
        let epoch = pointer.epoch;
        if let Err(error) = self.follow(&pointer).await
            && !error.is_damage()
        {
            return Err(error);
        }
        for number in pointer.left {
            self.drop_left(number, epoch).await?;
        }
        let serving = match self.take(pointer.serving, epoch, &fresh).await {
            // An engine that is away is asked again; only what lasts is told of.
            Err(error @ (StoreError::Engine { .. } | StoreError::StaleEpoch { .. })) => return Err(error),
            serving => serving,
        };
        let building = match pointer.building {
            Some((number, asked)) => match self.take(number, epoch, &fresh).await {
                Ok(building) => Some((building, asked)),
                Err(error) if error.is_damage() => {
                    tracing::warn!(number, %error, "a rebuild cannot go on: ask for it again");
                    self.discard(number, epoch).await?;
                    None
                }
                Err(error) => return Err(error),
            },
            None => None,
        };
        Ok(Held { epoch, number: pointer.serving, serving, building })
    }

    async fn begin(&self, fresh: Checkpoint, epoch: u64, asked: Asked) -> Result<Generation<M>> {
        // Its number is given, and so never again, before anything is made under it.
        let given = self.change_as(epoch, |pointer| {
            pointer.last += 1;
            pointer.left.push(pointer.last);
            Ok(())
        });
        let number = given.await?.last;
        let generation = self.take(number, epoch, &fresh).await?;
        self.change_as(epoch, |pointer| {
            pointer.left.retain(|left| *left != number);
            // One that was being built is left for this one.
            pointer.left.extend(pointer.building.replace((number, asked)).map(|(number, _)| number));
            Ok(())
        })
        .await?;
        Ok(generation)
    }

    async fn amend(&self, number: u64, epoch: u64, asked: Asked) -> Result<()> {
        let amended = self.change_as(epoch, |pointer| match &mut pointer.building {
            Some((building, before)) if *building == number => {
                *before = asked;
                Ok(())
            }
            _ => Err(not_being_built(number)),
        });
        amended.await.map(drop)
    }

    async fn switch(&self, number: u64, epoch: u64) -> Result<()> {
        // Opened before readers are sent there.
        self.engine.open(number).await?;
        let pointer = self
            .change_as(epoch, |pointer| match pointer.building {
                Some((building, _)) if building == number => {
                    pointer.building = None;
                    pointer.left.push(std::mem::replace(&mut pointer.serving, number));
                    Ok(())
                }
                // Switched to already, and the answer was lost.
                _ if pointer.serving == number => Ok(()),
                _ => Err(not_being_built(number)),
            })
            .await?;
        self.follow(&pointer).await.map(drop)
    }

    async fn discard(&self, number: u64, epoch: u64) -> Result<()> {
        self.change_as(epoch, |pointer| {
            if pointer.serving == number {
                return Err(StoreError::Refused(format!("generation {number} is served")));
            }
            pointer.building.take_if(|(building, _)| *building == number);
            if !pointer.left.contains(&number) {
                pointer.left.push(number);
            }
            Ok(())
        })
        .await?;
        self.drop_left(number, epoch).await
    }
}

fn not_being_built(number: u64) -> StoreError {
    StoreError::Refused(format!("generation {number} is not being built"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::read_model::Batch;

    /// Rows that hold nothing.
    struct Rows;

    #[async_trait]
    impl ReadModel for Rows {
        type Change = ();

        async fn checkpoint(&self) -> Result<Option<Checkpoint>> {
            Ok(None)
        }
        async fn take_over(&self, fresh: Checkpoint) -> Result<Checkpoint> {
            Ok(Checkpoint { epoch: fresh.epoch + 1, ..fresh })
        }
        async fn put(&self, _: Arc<Batch<()>>) -> Result<()> {
            Ok(())
        }
    }

    #[derive(Default)]
    struct Held {
        pointer: std::sync::Mutex<Option<Pointer>>,
        generations: std::sync::Mutex<BTreeSet<u64>>,
        /// Nothing can be dropped now.
        stuck: AtomicBool,
    }

    #[async_trait]
    impl Engine<Rows> for Arc<Held> {
        async fn pointer(&self) -> Result<Option<Pointer>> {
            Ok(self.pointer.lock().expect("not poisoned").clone())
        }
        async fn put_pointer(&self, held: Option<u64>, next: &Pointer) -> Result<bool> {
            let mut pointer = self.pointer.lock().expect("not poisoned");
            let same = pointer.as_ref().map(|pointer| pointer.version) == held;
            if same {
                *pointer = Some(next.clone());
            }
            Ok(same)
        }
        async fn open(&self, number: u64) -> Result<Arc<Rows>> {
            self.generations.lock().expect("not poisoned").insert(number);
            Ok(Arc::new(Rows))
        }
        async fn remove(&self, number: u64) -> Result<()> {
            if self.stuck.load(Ordering::Relaxed) {
                return Err(StoreError::Engine { engine: "test", message: "it did not answer".to_owned() });
            }
            self.generations.lock().expect("not poisoned").remove(&number);
            Ok(())
        }
    }

    #[tokio::test]
    async fn what_was_left_is_dropped_by_whoever_comes_after_a_takeover_that_failed() {
        let held = Arc::new(Held::default());
        let shared = Shared::open(held.clone()).await.expect("open");
        let fresh = Checkpoint::start(Uuid::from_u128(1), 1);
        let first = shared.take_over(Uuid::from_u128(2), fresh.clone()).await.expect("taken over");
        let next = shared.begin(fresh.clone(), first.epoch, Asked::default()).await.expect("begun");
        shared.switch(next.number, first.epoch).await.expect("switched");
        held.stuck.store(true, Ordering::Relaxed);
        assert!(shared.take_over(Uuid::from_u128(3), fresh.clone()).await.is_err(), "it did not answer");
        held.stuck.store(false, Ordering::Relaxed);
        shared.take_over(Uuid::from_u128(3), fresh).await.expect("taken over");
        assert_eq!(*held.generations.lock().expect("not poisoned"), BTreeSet::from([next.number]));
        let pointer = held.pointer().await.expect("it answers").expect("there is one");
        assert_eq!((pointer.serving, pointer.left), (next.number, Vec::new()));
    }
}
