//! What a runner does because it was asked, and how a rebuild ends.

use std::time::Duration;

use stores::{Asked, StoreError};
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use crate::carrier::Carrier;
use crate::desk::{Health, Order, Refusal, Retried, Stage};
use crate::halt::{Fault, Halt};
use crate::projection::Projection;
use crate::rebuild::Rebuild;
use crate::runner::{Hands, Previous, Runner};

/// Before what broke off is begun again: doubled from the first to the last.
const AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));

impl<P: Projection> Runner<P> {
    pub(crate) async fn answer(&self, hands: &mut Hands<P>, order: Order) -> Result<(), Halt> {
        match order {
            Order::Rebuild { accept, reply } => {
                // Whoever asked was told that it is not done.
                if reply.is_closed() {
                    return Ok(());
                }
                let answer = self.rebuild(hands, accept).await;
                self.reply(reply, answer)
            }
            Order::Retry { stream, reply } => {
                if reply.is_closed() {
                    return Ok(());
                }
                let answer = self.retry(hands, stream.as_deref()).await;
                self.note(hands);
                self.reply(reply, answer)
            }
        }
    }

    /// Tells whoever asked; that another writer has taken over is told further, too.
    fn reply<T>(
        &self,
        reply: oneshot::Sender<Result<T, Refusal>>,
        answer: Result<Result<T, Refusal>, Fault>,
    ) -> Result<(), Halt> {
        let name = P::NAME.to_owned();
        let (answer, superseded) = match answer {
            Ok(answer) => (answer, None),
            Err(Fault::Lasting(halt)) if halt.is_superseded() => {
                (Err(Refusal::Superseded { name }), Some(halt))
            }
            Err(Fault::Lasting(halt)) => (Err(Refusal::Busy { name, why: halt.to_string() }), None),
            Err(Fault::Passing(why)) => (Err(Refusal::Busy { name, why }), None),
        };
        // Whoever asked may have gone.
        let _ = reply.send(answer);
        superseded.map_or(Ok(()), Err)
    }

    async fn rebuild(
        &self,
        hands: &mut Hands<P>,
        accept: bool,
    ) -> Result<Result<watch::Receiver<Stage>, Refusal>, Fault> {
        if let Some(why) = self.port.shelf().fixed() {
            return Ok(Err(Refusal::NotRebuildable { name: P::NAME.to_owned(), why: why.to_owned() }));
        }
        if let Some(rebuild) = &mut hands.rebuild {
            if accept && !rebuild.asked.accept {
                // A restart goes on in the same sense.
                let asked = Asked { accept };
                self.port.shelf().amend(rebuild.number, hands.epoch, asked).await?;
                rebuild.asked = asked;
            }
            return Ok(Ok(rebuild.stage.subscribe()));
        }
        Ok(Ok(self.begin_rebuild(hands, Asked { accept }).await?))
    }

    /// Makes a generation, and loads it; one that cannot be loaded goes.
    async fn begin_rebuild(
        &self,
        hands: &mut Hands<P>,
        asked: Asked,
    ) -> Result<watch::Receiver<Stage>, Fault> {
        let generation = self.port.shelf().begin(self.fresh(), hands.epoch, asked).await?;
        let number = generation.number;
        let carrier = match Carrier::of(generation, &*self.make).await {
            Ok(carrier) => carrier,
            Err(fault) => {
                self.discard(number, hands.epoch).await?;
                return Err(fault);
            }
        };
        let rebuild = Rebuild::begin(carrier, asked, self.context.log.clone(), self.pace);
        let stage = rebuild.stage.subscribe();
        self.follow(hands, rebuild);
        Ok(stage)
    }

    /// Makes rows of other code anew, without being asked; later, if it cannot be begun now.
    pub(crate) async fn begin_again(&self, hands: &mut Hands<P>) -> Result<(), Halt> {
        hands.again = None;
        if !hands.stale || hands.rebuild.is_some() {
            return Ok(());
        }
        // There is nothing to compare with.
        match self.begin_rebuild(hands, Asked { accept: true }).await {
            Ok(_) => Ok(()),
            Err(Fault::Lasting(halt)) if halt.is_superseded() => Err(halt),
            Err(fault) => {
                self.later(hands, &fault.to_string());
                Ok(())
            }
        }
    }

    /// Nobody else would begin again what nobody asked for.
    fn later(&self, hands: &mut Hands<P>, why: &str) {
        if !hands.stale {
            return;
        }
        let pause = (AGAIN.0 * 2_u32.saturating_pow(hands.begun_again.min(16))).min(AGAIN.1);
        hands.begun_again += 1;
        hands.again = Some(Instant::now() + pause);
        tracing::warn!(projection = P::NAME, why, ?pause, "its rows are made anew after a pause");
        let why =
            format!("its rows are of other code, and making them anew broke off ({why}): begun again soon");
        self.sheet.note(|facts| facts.health = Health::Waiting { why });
    }

    async fn retry(
        &self,
        hands: &mut Hands<P>,
        stream: Option<&str>,
    ) -> Result<Result<Vec<Retried>, Refusal>, Fault> {
        let name = P::NAME.to_owned();
        let Some(serving) = &mut hands.serving else {
            let why = match self.sheet.note(|facts| facts.health.clone()) {
                Health::Halted { why } | Health::Waiting { why } => why,
                Health::Running | Health::Superseded | Health::StandingBy => {
                    "its rows are not fed".to_owned()
                }
            };
            return Ok(Err(Refusal::Busy { name, why }));
        };
        let parked: Vec<_> = match stream {
            None => serving.parked.values().cloned().collect(),
            Some(stream) => match serving.parked.get(stream) {
                Some(parked) => vec![parked.clone()],
                None => return Ok(Err(Refusal::NotParked { name, stream: stream.to_owned() })),
            },
        };
        let log = &*self.context.log;
        let mut retried = Vec::with_capacity(parked.len());
        for parked in parked {
            // The generations that are not served first, as with every page.
            let next = hands.rebuild.as_mut().and_then(Rebuild::followed);
            let previous = hands.previous.as_mut().and_then(|previous| previous.carrier.as_mut());
            for other in [next, previous].into_iter().flatten() {
                if let Some(parked) = other.parked.get(&parked.stream).cloned() {
                    other.retry(log, &parked).await?;
                }
            }
            retried.push(serving.retry(log, &parked).await?);
        }
        Ok(Ok(retried))
    }

    /// Takes a rebuild into the hands.
    pub(crate) fn follow(&self, hands: &mut Hands<P>, rebuild: Rebuild<P>) {
        hands.rebuild = Some(rebuild);
        self.note(hands);
    }

    /// Serves the new generation; the old one is fed for a while, for whoever is reading it.
    pub(crate) async fn switch(&self, hands: &mut Hands<P>) -> Result<(), Halt> {
        let Some(mut rebuild) = hands.rebuild.take() else { return Ok(()) };
        let Some(next) = rebuild.take() else {
            hands.rebuild = Some(rebuild);
            return Ok(());
        };
        // Of a rebuild that ended less than a grace ago.
        self.drop_previous(hands).await?;
        let (number, events) = (next.number, next.position());
        let old = self.sheet.note(|facts| facts.generation);
        self.patiently(|| self.port.shelf().switch(number, hands.epoch)).await?;
        let carrier = hands.serving.replace(next);
        (hands.stale, hands.again) = (false, None);
        hands.previous = Some(Previous { number: old, carrier, until: Instant::now() + self.pace.grace });
        self.sheet.note(|facts| (facts.health, facts.pending) = (Health::Running, None));
        self.note(hands);
        self.show(events);
        let seconds = rebuild.begun.elapsed().as_secs_f64();
        tracing::info!(projection = P::NAME, generation = number, events, seconds, "a rebuild is served");
        rebuild.stage.send_replace(Stage::Switched { generation: number, events, seconds });
        Ok(())
    }

    /// The old generation goes on, and the new one goes.
    pub(crate) async fn fail(
        &self,
        hands: &mut Hands<P>,
        why: &str,
        differences: Vec<String>,
    ) -> Result<(), Halt> {
        let Some(rebuild) = hands.rebuild.take() else { return Ok(()) };
        let (generation, told) = (rebuild.number, differences.join("; "));
        tracing::error!(projection = P::NAME, generation, why, differences = told, "a rebuild has failed");
        let Rebuild { number, stage, phase, .. } = rebuild;
        drop(phase);
        let discarded = self.discard(number, hands.epoch).await;
        self.later(hands, why);
        stage.send_replace(Stage::Failed { why: why.to_owned(), differences });
        discarded
    }

    pub(crate) async fn drop_previous(&self, hands: &mut Hands<P>) -> Result<(), Halt> {
        let Some(Previous { number, carrier, .. }) = hands.previous.take() else { return Ok(()) };
        drop(carrier);
        let dropped = self.discard(number, hands.epoch).await;
        self.note(hands);
        dropped
    }

    /// Drops a generation that is not served, if that can be done now.
    async fn discard(&self, generation: u64, epoch: u64) -> Result<(), Halt> {
        match self.port.shelf().discard(generation, epoch).await {
            Err(error @ StoreError::StaleEpoch { .. }) => Err(Halt::Store(error)),
            Err(error) => {
                tracing::warn!(projection = P::NAME, generation, %error, "its rows stay until the next start");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }
}
