//! How a runner goes from one phase of a rebuild to the next.

use crate::carrier::Carrier;
use crate::desk::Stage;
use crate::halt::{Fault, Halt, patiently};
use crate::projection::Projection;
use crate::rebuild::{Came, Phase};
use crate::runner::{ATTEMPTS, Hands, Runner};

impl<P: Projection> Runner<P> {
    /// Goes from one phase of a rebuild to the next, as soon as that may be.
    pub(crate) async fn turn(&mut self, hands: &mut Hands<P>) -> Result<(), Halt> {
        if let Hands { serving: Some(serving), rebuild: Some(rebuild), .. } = &mut *hands
            && let Phase::Following(next) = &mut rebuild.phase
        {
            if next.position() != serving.position() {
                return Ok(());
            }
            match patiently(ATTEMPTS, |_| (), || next.write_checkpoint()).await {
                Ok(()) => next.checkpoint_written(),
                Err(halt) if halt.went_back() => return Err(halt),
                Err(halt) => return self.fail(hands, &halt.to_string(), Vec::new()).await,
            }
            // Rows that cannot be written any more stop here, and have nothing to say against others.
            self.write_checkpoint(hands).await?;
        }
        let Hands { serving, rebuild: Some(rebuild), .. } = &mut *hands else { return Ok(()) };
        let ready = match (&rebuild.phase, &serving) {
            (Phase::Following(_), Some(_)) => false,
            // Nothing to compare with: it has to show what was shown, and all there is.
            (Phase::Following(next) | Phase::Compared(next), None) => {
                let head = self.context.log.watch().borrow().position;
                let shown = self.context.stores.progress.position(P::NAME);
                next.position() >= head.max(shown)
            }
            (Phase::Compared(next), Some(serving)) => next.position() >= serving.position(),
            _ => return Ok(()),
        };
        if ready {
            return self.switch(hands).await;
        }
        if let (Phase::Following(_), Some(serving)) = (&rebuild.phase, &serving)
            && let Err(fault) = rebuild.compare(serving).await
        {
            return self.fail(hands, &format!("it could not be compared: {fault}"), Vec::new()).await;
        }
        Ok(())
    }

    pub(crate) async fn came(&mut self, hands: &mut Hands<P>, came: Came<P>) -> Result<(), Halt> {
        match came {
            Came::Loaded(Ok(next)) => self.loaded(hands, next).await,
            Came::Loaded(Err(halt)) if halt.went_back() => Err(halt),
            Came::Loaded(Err(halt)) | Came::Compared(Err(halt)) => {
                self.fail(hands, &halt.to_string(), Vec::new()).await
            }
            Came::Compared(Ok(differences)) => {
                let Some(rebuild) = &mut hands.rebuild else { return Ok(()) };
                if differences.is_empty() || rebuild.asked.accept {
                    if !differences.is_empty() {
                        let differences = differences.join("; ");
                        tracing::warn!(projection = P::NAME, differences, "other rows, accepted");
                    }
                    if let Phase::Comparing(next, _) = std::mem::replace(&mut rebuild.phase, Phase::Turning) {
                        rebuild.phase = Phase::Compared(next);
                    }
                    return Ok(());
                }
                let why = "the new rows are not the old ones: see what changed, and accept it if it is right \
                           (`--accept`)";
                self.fail(hands, why, differences).await
            }
        }
    }

    /// From now on the loop feeds it.
    async fn loaded(&mut self, hands: &mut Hands<P>, mut next: Carrier<P>) -> Result<(), Halt> {
        let Some(rebuild) = &mut hands.rebuild else { return Ok(()) };
        let behind = self.context.log.watch().borrow().position.saturating_sub(next.position());
        rebuild.stage.send_replace(Stage::Catching { behind });
        // What was retried in the old one meanwhile need not stay parked in the new one.
        let held: Vec<_> = match &hands.serving {
            Some(serving) => {
                next.parked.values().filter(|it| !serving.parked.contains_key(&it.stream)).cloned().collect()
            }
            None => Vec::new(),
        };
        for parked in held {
            if parked.position <= next.position()
                && let Err(Fault::Lasting(halt)) = next.retry(&*self.context.log, &parked).await
            {
                return self.fail(hands, &halt.to_string(), Vec::new()).await;
            }
        }
        rebuild.phase = Phase::Following(next);
        Ok(())
    }
}
