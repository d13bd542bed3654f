//! A generation that is being built beside the one that is served.

use std::sync::Arc;

use chronicle::log::Log;
use stores::{Asked, ReadModel, Summary};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::Pace;
use crate::carrier::Carrier;
use crate::desk::Stage;
use crate::halt::{Fault, Halt};
use crate::load::load_and_index;
use crate::projection::Projection;

pub(crate) struct Rebuild<P: Projection> {
    pub number: u64,
    pub asked: Asked,
    pub stage: watch::Sender<Stage>,
    pub begun: Instant,
    pub phase: Phase<P>,
}

pub(crate) enum Phase<P: Projection> {
    /// On a task of its own, while the served one is fed.
    Loading(Abort<Result<Carrier<P>, Halt>>),
    /// Fed together with the served one.
    Following(Carrier<P>),
    /// Fed still, while the sums of both are taken; answers the differences.
    Comparing(Carrier<P>, Abort<Result<Vec<String>, Fault>>),
    /// It may be served.
    Compared(Carrier<P>),
    /// Between two phases.
    Turning,
}

/// A task that ends with whoever waits for it.
pub(crate) struct Abort<T>(pub JoinHandle<T>);

impl<T> Drop for Abort<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What a rebuild's tasks have come to.
pub(crate) enum Came<P: Projection> {
    Loaded(Result<Carrier<P>, Halt>),
    Compared(Result<Vec<String>, Halt>),
}

impl<P: Projection> Rebuild<P> {
    /// Begins to load, or goes on.
    pub fn begin(carrier: Carrier<P>, asked: Asked, log: Arc<dyn Log>, pace: Pace) -> Self {
        let begun = Instant::now();
        let (from, number) = (carrier.position(), carrier.number);
        let head = log.watch().borrow().position;
        let loading = |position, head: u64, rate: f64| Stage::Loading {
            position,
            head: head.max(position),
            per_second: rate,
            seconds_left: (rate > 0.0).then(|| head.saturating_sub(position) as f64 / rate),
        };
        let stage = watch::Sender::new(loading(from, head, 0.0));
        tracing::info!(projection = P::NAME, generation = number, from, head, "a rebuild is loading");
        let loaded = {
            let stage = stage.clone();
            move |carrier: &Carrier<P>, head: u64| {
                let position = carrier.position();
                let rate = (position - from) as f64 / begun.elapsed().as_secs_f64().max(1e-6);
                stage.send_replace(loading(position, head, rate));
            }
        };
        let indexing = {
            let (stage, head) = (stage.clone(), log.watch());
            move |begins: bool| {
                let behind = head.borrow().position.saturating_sub(from);
                stage.send_replace(if begins { Stage::Indexing } else { Stage::Catching { behind } });
            }
        };
        let mut carrier = carrier;
        let task = tokio::spawn(async move {
            load_and_index(&log, &mut carrier, pace, loaded, indexing).await.map(|()| carrier)
        });
        Self { number, asked, stage, begun, phase: Phase::Loading(Abort(task)) }
    }

    /// The generation, where it is fed with the served one.
    pub fn followed(&mut self) -> Option<&mut Carrier<P>> {
        match &mut self.phase {
            Phase::Following(carrier) | Phase::Comparing(carrier, _) | Phase::Compared(carrier) => {
                Some(carrier)
            }
            Phase::Loading(_) | Phase::Turning => None,
        }
    }

    /// What its task comes to; never, while it has none. May be dropped and asked again.
    pub async fn comes(&mut self) -> Came<P> {
        let broke_off = |error: tokio::task::JoinError| Halt::BrokeOff(error.to_string());
        match &mut self.phase {
            Phase::Loading(task) => {
                Came::Loaded((&mut task.0).await.unwrap_or_else(|error| Err(broke_off(error))))
            }
            Phase::Comparing(_, task) => {
                let compared = (&mut task.0).await.map_err(broke_off);
                Came::Compared(compared.and_then(|compared| {
                    compared.map_err(|fault| match fault {
                        Fault::Lasting(halt) => halt,
                        Fault::Passing(why) => Halt::GaveUp(why),
                    })
                }))
            }
            Phase::Following(_) | Phase::Compared(_) | Phase::Turning => std::future::pending().await,
        }
    }

    /// Takes a snapshot of both, which show the same position, and sums them up beside.
    ///
    /// # Errors
    /// An engine that cannot take it.
    pub async fn compare(&mut self, serving: &Carrier<P>) -> Result<(), Fault> {
        let Phase::Following(carrier) = std::mem::replace(&mut self.phase, Phase::Turning) else {
            return Ok(());
        };
        let position = serving.position();
        let parked: Vec<String> = parked_differently(serving, &carrier);
        let (old, new) = (serving.model.summary().await, carrier.model.summary().await);
        self.stage.send_replace(Stage::Comparing { position });
        let task = tokio::spawn(async move {
            // Rows that cannot be summed up any more have nothing to say against others.
            let old = match old {
                Ok(old) => old.await,
                Err(error) => Err(error),
            };
            let new: Summary = new?.await?;
            let mut differences = match old {
                Ok(old) => old.differences(&new),
                Err(error) if error.is_damage() => return Ok(Vec::new()),
                Err(error) => return Err(error.into()),
            };
            differences.extend(parked);
            Ok(differences)
        });
        self.phase = Phase::Comparing(carrier, Abort(task));
        Ok(())
    }

    /// Takes the generation out, to be served.
    pub fn take(&mut self) -> Option<Carrier<P>> {
        match std::mem::replace(&mut self.phase, Phase::Turning) {
            Phase::Compared(carrier) | Phase::Following(carrier) => Some(carrier),
            phase => {
                self.phase = phase;
                None
            }
        }
    }
}

fn parked_differently<P: Projection>(old: &Carrier<P>, new: &Carrier<P>) -> Vec<String> {
    let only = |one: &Carrier<P>, other: &Carrier<P>, which: &str| -> Vec<String> {
        let streams = one.parked.keys().filter(|stream| !other.parked.contains_key(*stream));
        streams.map(|stream| format!("{stream} is parked in the {which} one alone")).collect()
    };
    [only(old, new, "old"), only(new, old, "new")].concat()
}
