//! One writer a port, where several processes share its engine: the holder of the lease says every
//! second that it lives; the others stand by, show what it writes, and take over once it is silent.
//!
//! No clock is compared with another machine's: who stands by counts for how long it has seen no
//! beat. A holder that was only asleep is refused by the engine, by its epoch, and stands by then.

use std::time::Duration;

use stores::{Port, ReadModel, StoreError};
use tokio::time::{Instant, sleep};
use tokio_util::task::AbortOnDropHandle as AbortOnDrop;
use uuid::Uuid;

use crate::desk::Health;
use crate::halt::Halt;
use crate::projection::Projection;
use crate::runner::Runner;

/// Between the holder's beats.
pub(crate) const BEAT: Duration = Duration::from_secs(1);
/// Without a beat for so long a holder is silent.
pub(crate) const SILENCE: Duration = Duration::from_secs(5);
/// Between looks at what the holder writes.
pub(crate) const LOOK: Duration = Duration::from_millis(200);

impl<P: Projection> Runner<P> {
    /// Waits until nobody else holds the lease, and shows meanwhile what the holder writes. The one
    /// that was killed on `own` folder needs no waiting for.
    pub(crate) async fn stand_by(&self, own: Uuid) -> Result<(), Halt> {
        let mut heard: Option<((u64, u64), Instant)> = None;
        loop {
            let lease = self.patiently(|| self.port.shelf().lease()).await?;
            if lease.holder.is_nil() || lease.holder == own {
                return Ok(());
            }
            let (beat, now) = ((lease.epoch, lease.beat), Instant::now());
            match heard {
                Some((last, since)) if last == beat && now.duration_since(since) > SILENCE => {
                    tracing::warn!(
                        projection = P::NAME,
                        epoch = lease.epoch,
                        "its writer is silent: taking over"
                    );
                    return Ok(());
                }
                Some((last, _)) if last == beat => {}
                _ => heard = Some((beat, now)),
            }
            let position = lease.checkpoint.map_or(0, |checkpoint| checkpoint.position);
            self.show(position);
            self.sheet.note(|facts| {
                facts.health = Health::StandingBy;
                (facts.generation, facts.epoch) = (lease.serving, lease.epoch);
            });
            sleep(LOOK).await;
        }
    }

    /// Gives way to another writer, and goes back with its engine; anything else stops the feed of the served rows alone.
    pub(crate) async fn stopped(&self, halt: Halt) -> Result<(), Halt> {
        if halt.is_superseded() || halt.went_back() {
            return Err(halt);
        }
        // Whoever took over while this one slept may have dropped the rows that it finds broken.
        if let Halt::Store(StoreError::Damaged { .. }) = halt
            && self.port.shelf().is_shared()
            && let Ok(lease) = self.port.shelf().lease().await
        {
            let mine = self.sheet.note(|facts| facts.epoch);
            if lease.epoch > mine {
                return Err(Halt::Store(StoreError::StaleEpoch { mine, theirs: lease.epoch }));
            }
        }
        self.halt(&halt);
        Ok(())
    }
}

/// Says that the holder of `epoch` lives, until that is dropped or is not the holder any more.
pub(crate) fn beating<M: ReadModel + ?Sized>(port: &Port<M>, epoch: u64) -> Option<AbortOnDrop<()>> {
    if !port.shelf().is_shared() {
        return None;
    }
    let port = port.clone();
    Some(AbortOnDrop::new(tokio::spawn(async move {
        loop {
            sleep(BEAT).await;
            // An engine that is away is so for whoever stands by, too. Who was taken over from has
            // its next rows refused, and hears it there.
            if let Err(StoreError::StaleEpoch { .. }) = port.shelf().beat(epoch).await {
                return;
            }
        }
    })))
}
