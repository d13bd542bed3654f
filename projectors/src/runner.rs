//! The one loop: tail the log, decode, ask the projection, write rows and checkpoint together,
//! then say how far it shows. It feeds every generation that is followed: the one that is served,
//! the one that is built beside it once that has caught up, and the one before for a while.
//!
//! An engine that does not answer is asked again until it does. What must not be passed over
//! (another history, a revocation that cannot be applied) halts this projection alone; its rows
//! stay as they are, and a rebuild may cure it. Any other event that cannot be applied parks its
//! stream.

use std::sync::Arc;
use std::time::Duration;

use stores::{Checkpoint, Port, ReadModel};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle as AbortOnDrop;
use uuid::Uuid;

use crate::carrier::Carrier;
use crate::desk::{Health, Order, Sheet};
use crate::halt::{Fault, Halt, patiently};
use crate::lease::beating;
use crate::load::load;
use crate::page::Page;
use crate::projection::Projection;
use crate::rebuild::{Came, Rebuild};
use crate::{Context, Pace};

/// Events read at once.
const BATCH: u64 = 1_000;
/// The checkpoint stays unwritten no longer than this once the log is quiet.
const QUIET: Duration = Duration::from_secs(5);
/// The same where other processes read how far the rows are.
const QUIET_SHARED: Duration = Duration::from_millis(250);
/// Between looks at an engine that several processes share, or that may be restored under us.
const LOOK: Duration = Duration::from_secs(2);
/// After a batch the next is waited for, for so long an event that it had and no longer than the
/// most: under load batches are fewer and larger, and cost their commit once.
const PAUSE: Duration = Duration::from_micros(500);
const LONGEST_PAUSE: Duration = Duration::from_millis(10);
/// Of a generation that is not served yet: a rebuild gives up rather than keep the served one
/// waiting.
pub(crate) const ATTEMPTS: u32 = 3;

/// Makes the projection that writes a generation.
pub(crate) type Make<P> = Arc<dyn Fn(Arc<<P as Projection>::Model>) -> P + Send + Sync>;

/// Carries one projection.
pub(crate) struct Runner<P: Projection> {
    pub context: Context,
    pub port: Port<P::Model>,
    pub make: Make<P>,
    pub pace: Pace,
    pub sheet: Sheet,
    pub orders: mpsc::Receiver<Order>,
    /// The epoch of the lease, while it is held.
    pub held: Option<u64>,
}

/// What a runner has in its hands.
pub(crate) struct Hands<P: Projection> {
    pub epoch: u64,
    /// The generation that is served, while it is fed.
    pub serving: Option<Carrier<P>>,
    pub rebuild: Option<Rebuild<P>>,
    pub previous: Option<Previous<P>>,
    /// The rows that are served are of other code and not fed: until new ones are served, a rebuild
    /// that breaks off is begun again.
    pub stale: bool,
    /// When, and how often it was.
    pub again: Option<Instant>,
    pub begun_again: u32,
    /// When the engine is to be looked at, where others may change what it has.
    look: Option<Instant>,
    _beating: Option<AbortOnDrop<()>>,
}

/// The generation that was served before.
pub(crate) struct Previous<P: Projection> {
    pub number: u64,
    pub carrier: Option<Carrier<P>>,
    pub until: Instant,
}

/// What a runner waits for.
enum Event<P: Projection> {
    Read(Result<Option<Page>, Halt>),
    Asked(Order),
    Came(Came<P>),
    GraceEnded,
    Again,
    Quiet,
    Look,
    Closed,
}

impl<P: Projection> Runner<P> {
    /// Goes on until `stop`.
    ///
    /// # Errors
    /// Another writer has taken over, or it cannot even begin.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), Halt> {
        let ended = tokio::select! {
            ended = self.work() => ended,
            () = stop.cancelled() => {
                if let Some(epoch) = self.held
                    && let Err(error) = self.port.shelf().let_go(epoch).await
                {
                    tracing::warn!(projection = P::NAME, %error, "whoever stands by has to wait for silence");
                }
                if let Err(error) = self.port.serving().settle().await {
                    tracing::warn!(projection = P::NAME, %error, "its files are not left in order");
                }
                Ok(())
            }
        };
        match &ended {
            Err(halt) if halt.is_superseded() => {
                tracing::error!(projection = P::NAME, %halt, "a projection gives way to another writer");
                self.sheet.note(|facts| facts.health = Health::Superseded);
            }
            Err(halt) => self.halt(halt),
            Ok(()) => {}
        }
        ended
    }

    async fn work(&mut self) -> Result<(), Halt> {
        let shared = self.port.shelf().is_shared();
        let mut own = self.context.node;
        loop {
            if shared {
                self.held = None;
                self.stand_by(own).await?;
                // Whoever supersedes this process is alive, whatever it calls itself.
                own = Uuid::nil();
            }
            match self.carry().await {
                Err(halt) if halt.went_back() => {
                    tracing::warn!(projection = P::NAME, %halt, "a projection goes on from what its engine has");
                    tokio::time::sleep(QUIET_SHARED).await;
                    own = self.context.node;
                }
                Err(halt) if shared && halt.is_superseded() => {
                    tracing::warn!(projection = P::NAME, %halt, "a projection stands by");
                }
                ended => return ended,
            }
        }
    }

    /// Feeds the rows until another writer takes over, or they have to be taken over anew.
    async fn carry(&mut self) -> Result<(), Halt> {
        let mut hands = self.begin().await?;
        let mut pause = Instant::now();
        loop {
            match self.next(&mut hands, pause).await {
                Event::Read(page) => {
                    let rest = rest_after(&page);
                    self.read(&mut hands, page).await?;
                    pause = Instant::now() + rest;
                }
                Event::Asked(order) => self.answer(&mut hands, order).await?,
                Event::Came(came) => self.came(&mut hands, came).await?,
                Event::GraceEnded => self.drop_previous(&mut hands).await?,
                Event::Again => self.begin_again(&mut hands).await?,
                Event::Quiet => self.write_checkpoint(&mut hands).await?,
                Event::Look => self.look(&mut hands).await?,
                // A head that nobody moves any more belongs to a log that is being closed.
                Event::Closed => return Ok(()),
            }
            self.turn(&mut hands).await?;
        }
    }

    async fn next(&mut self, hands: &mut Hands<P>, pause: Instant) -> Event<P> {
        let Hands { serving, rebuild, previous, again, look, .. } = hands;
        let quiet = if look.is_some() { QUIET_SHARED } else { QUIET };
        let quiet = serving.as_ref().and_then(Carrier::unwritten_since).map(|since| since + quiet);
        let grace = previous.as_ref().map(|previous| previous.until);
        let mut positions: Vec<u64> = Vec::new();
        positions.extend(serving.as_ref().map(Carrier::position));
        positions.extend(previous.as_ref().and_then(|it| it.carrier.as_ref()).map(Carrier::position));
        positions.extend(rebuild.as_mut().and_then(Rebuild::followed).map(|it| it.position()));
        let comes = async {
            match rebuild {
                Some(rebuild) => rebuild.comes().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            Some(order) = self.orders.recv() => Event::Asked(order),
            came = comes => Event::Came(came),
            () = until(grace) => Event::GraceEnded,
            () = until(*again) => Event::Again,
            () = until(quiet) => Event::Quiet,
            () = until(*look) => Event::Look,
            event = read_next(&self.context, self.sheet.waiting(P::NAME), &positions, pause) => event,
        }
    }

    /// Takes everything over and checks that it is of this log and this code.
    async fn begin(&mut self) -> Result<Hands<P>, Halt> {
        let (fresh, node) = (self.fresh(), self.context.node);
        let held = self.patiently(|| self.port.shelf().take_over(node, fresh.clone())).await?;
        self.held = Some(held.epoch);
        self.sheet.note(|facts| (facts.generation, facts.epoch) = (held.number, held.epoch));
        let serving = match held.serving {
            Ok(serving) => {
                let checkpoint = serving.checkpoint.clone();
                self.carrier(serving).await.map(|carrier| (checkpoint, carrier))
            }
            Err(error) => Err(Halt::Store(error)),
        };
        let checked = match &serving {
            Ok((held, _)) => self.check_history(held).await,
            Err(_) => Ok(()),
        };
        let stale =
            checked.is_ok() && matches!(&serving, Ok((held, _)) if held.code_version != P::CODE_VERSION);
        let mut hands = Hands {
            epoch: held.epoch,
            serving: None,
            rebuild: None,
            previous: None,
            stale,
            again: None,
            begun_again: 0,
            look: self.port.shelf().is_shared().then(|| Instant::now() + LOOK),
            _beating: beating(&self.port, held.epoch),
        };
        match (serving, checked) {
            (Err(halt), _) | (_, Err(halt)) => self.halt(&halt),
            (Ok((held, carrier)), Ok(())) => {
                self.shows(&carrier);
                if stale {
                    let (from, to) = (held.code_version, P::CODE_VERSION);
                    let why = format!("its rows are of code version {from}, and made anew as version {to}");
                    tracing::info!(projection = P::NAME, why);
                    self.sheet.note(|facts| facts.health = Health::Waiting { why });
                } else {
                    self.sheet.note(|facts| facts.health = Health::Running);
                    hands.serving = Some(carrier);
                }
            }
        }
        if let Some((building, asked)) = held.building {
            let number = building.number;
            let is_ours = building.checkpoint.code_version == P::CODE_VERSION
                && self.check_history(&building.checkpoint).await.is_ok();
            if is_ours && let Ok(carrier) = self.carrier(building).await {
                self.follow(&mut hands, Rebuild::begin(carrier, asked, self.context.log.clone(), self.pace));
            } else {
                self.patiently(|| self.port.shelf().discard(number, hands.epoch)).await?;
            }
        }
        if stale && hands.rebuild.is_none() {
            self.begin_again(&mut hands).await?;
        }
        if stale && let Some(rebuild) = &mut hands.rebuild {
            // There is nothing to compare with.
            rebuild.asked.accept = true;
        }
        if let Some(carrier) = hands.serving.take() {
            hands.serving = self.catch_up(carrier).await?;
        }
        self.note(&mut hands);
        Ok(hands)
    }

    /// Carries a generation that is far behind as a new one is loaded: nobody waits for it but for
    /// its end.
    async fn catch_up(&self, mut carrier: Carrier<P>) -> Result<Option<Carrier<P>>, Halt> {
        let head = self.context.log.watch().borrow().position;
        let loaded = if head.saturating_sub(carrier.position()) > self.pace.far() {
            load(&self.context.log, &mut carrier, self.pace, |carrier, _| self.shows(carrier)).await
        } else {
            Ok(())
        };
        let indexed = match loaded {
            Ok(()) => self.patiently(|| carrier.model.index()).await,
            Err(halt) => Err(halt),
        };
        match indexed {
            Ok(()) => Ok(Some(carrier)),
            // The loop asks for ever.
            Err(Halt::GaveUp(_)) => Ok(Some(carrier)),
            Err(halt) => self.stopped(halt).await.map(|()| None),
        }
    }

    /// Feeds a page to every generation that it follows, the one that is served last: so none is
    /// behind it at a switch.
    async fn read(&mut self, hands: &mut Hands<P>, page: Result<Option<Page>, Halt>) -> Result<(), Halt> {
        let page = match page {
            Ok(Some(page)) => page,
            Ok(None) => return Ok(()),
            Err(halt) => {
                hands.serving = None;
                return self.stopped(halt).await;
            }
        };
        if let Some(rebuild) = &mut hands.rebuild
            && let Some(next) = rebuild.followed()
            && next.position() == page.after
        {
            let waits = self.sheet.waiting(P::NAME);
            // Where nothing is served, nobody is kept waiting by it.
            let alone = hands.serving.is_none();
            let attempts = if alone { u32::MAX } else { ATTEMPTS };
            let told = |why: Option<&str>| {
                if alone {
                    waits(why);
                }
            };
            match patiently(attempts, told, || next.apply(&page)).await {
                Ok(applied) => next.advance(applied),
                Err(halt) if halt.went_back() => return Err(halt),
                Err(halt) => self.fail(hands, &halt.to_string(), Vec::new()).await?,
            }
        }
        if let Some(previous) = &mut hands.previous
            && let Some(carrier) = &mut previous.carrier
            && carrier.position() == page.after
        {
            match carrier.apply(&page).await {
                Ok(applied) => carrier.advance(applied),
                Err(Fault::Lasting(halt)) if halt.is_superseded() => return Err(halt),
                Err(_) => previous.carrier = None,
            }
        }
        let Some(carrier) = &mut hands.serving else { return Ok(()) };
        if carrier.position() != page.after {
            return Ok(());
        }
        self.sheet.note(|facts| facts.pending = Some(page.begins));
        match self.patiently(|| carrier.apply(&page)).await {
            Ok(applied) => {
                carrier.advance(applied);
                // A wait that another event broke off has not said that it is over.
                self.sheet.note(|facts| facts.health = Health::Running);
                self.shows(carrier);
                self.sheet.note(|facts| facts.pending = None);
                Ok(())
            }
            Err(halt) => {
                hands.serving = None;
                self.stopped(halt).await
            }
        }
    }

    pub(crate) async fn write_checkpoint(&self, hands: &mut Hands<P>) -> Result<(), Halt> {
        if let Some(carrier) = &mut hands.serving {
            match self.patiently(|| carrier.write_checkpoint()).await {
                Ok(()) => carrier.checkpoint_written(),
                Err(halt) => {
                    hands.serving = None;
                    return self.stopped(halt).await;
                }
            }
        }
        Ok(())
    }

    /// Looks whether the engine still has what was written, and no other writer.
    async fn look(&self, hands: &mut Hands<P>) -> Result<(), Halt> {
        hands.look = Some(Instant::now() + LOOK);
        let Some(carrier) = &hands.serving else { return Ok(()) };
        match self.patiently(|| carrier.look()).await {
            Ok(()) => Ok(()),
            Err(halt) => {
                hands.serving = None;
                self.stopped(halt).await
            }
        }
    }

    /// One history: the rows are not ahead of the log and remember what the log has.
    async fn check_history(&self, held: &Checkpoint) -> Result<(), Halt> {
        let log = &*self.context.log;
        if held.log_id != self.context.log_id {
            return Err(Halt::OtherLog { held: held.log_id, log: self.context.log_id });
        }
        let Some(before) = held.position.checked_sub(1) else { return Ok(()) };
        let head = self.patiently(|| log.head()).await?;
        if held.position > head.position {
            return Err(Halt::Ahead { shown: held.position, head: head.position });
        }
        let found = self.patiently(|| log.read(before, 1)).await?;
        let found = found.first().map(|event| event.event_id);
        if found.is_none() || found != held.event_id {
            return Err(Halt::OtherHistory { position: held.position, held: held.event_id, found });
        }
        Ok(())
    }

    /// What a generation begins from.
    pub(crate) fn fresh(&self) -> Checkpoint {
        Checkpoint::start(self.context.log_id, P::CODE_VERSION)
    }

    async fn carrier(&self, generation: stores::Generation<P::Model>) -> Result<Carrier<P>, Halt> {
        let stores::Generation { number, model, checkpoint } = generation;
        self.patiently(|| {
            let (model, checkpoint) = (model.clone(), checkpoint.clone());
            Carrier::of(stores::Generation { number, model, checkpoint }, &*self.make)
        })
        .await
    }

    pub(crate) fn halt(&self, halt: &Halt) {
        tracing::error!(projection = P::NAME, %halt, "a projection has halted; the others go on");
        self.sheet.note(|facts| facts.health = Health::Halted { why: halt.to_string() });
    }

    pub(crate) fn show(&self, position: u64) {
        self.context.stores.progress.show(P::NAME, position);
    }

    /// Shows what a carrier shows; first what it has passed over, so that whoever sees the position sees that, too.
    fn shows(&self, carrier: &Carrier<P>) {
        let parked = carrier.parked.values().cloned().collect();
        self.sheet.note(|facts| facts.parked = parked);
        self.show(carrier.position());
    }

    /// Puts on the sheet what the hands hold.
    pub(crate) fn note(&self, hands: &mut Hands<P>) {
        self.sheet.note(|facts| {
            facts.epoch = hands.epoch;
            if let Some(serving) = &hands.serving {
                facts.generation = serving.number;
                facts.parked = serving.parked.values().cloned().collect();
            }
            if let Some(rebuild) = &hands.rebuild {
                facts.rebuild = Some(rebuild.stage.subscribe());
            }
            facts.previous = hands.previous.as_ref().map(|previous| previous.number);
        });
    }

    /// Tries until it works or cannot; says that it waits.
    pub(crate) async fn patiently<T, E: Into<Fault>, F: Future<Output = Result<T, E>>>(
        &self,
        attempt: impl FnMut() -> F,
    ) -> Result<T, Halt> {
        patiently(u32::MAX, self.sheet.waiting(P::NAME), attempt).await
    }
}

/// How long to wait after a batch. One that is full has others behind it.
fn rest_after(page: &Result<Option<Page>, Halt>) -> Duration {
    match page {
        Ok(Some(page)) if page.position - page.after < BATCH => {
            let events = u32::try_from(page.position - page.after).unwrap_or(u32::MAX);
            PAUSE.saturating_mul(events).min(LONGEST_PAUSE)
        }
        _ => Duration::ZERO,
    }
}

/// Waits for what follows the lowest of `positions`, and reads it: up to the next higher one, so
/// that whoever is behind catches up and all go on together.
async fn read_next<P: Projection>(
    context: &Context,
    waiting: impl Fn(Option<&str>),
    positions: &[u64],
    pause: Instant,
) -> Event<P> {
    let Some(low) = positions.iter().min().copied() else { return std::future::pending().await };
    if pause > Instant::now() {
        tokio::time::sleep_until(pause).await;
    }
    let mut head = context.log.watch();
    if head.wait_for(|head| head.position > low).await.is_err() {
        return Event::Closed;
    }
    let next = positions.iter().filter(|position| **position > low).min();
    let limit = next.map_or(BATCH, |next| (next - low).min(BATCH)) as usize;
    Event::Read(patiently(u32::MAX, waiting, || Page::read(&*context.log, low, limit, P::READS)).await)
}

async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
