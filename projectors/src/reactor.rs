//! Reactors: what happens outside because an event happened (sizes of a picture, a mail, a key
//! destroyed). Unlike a projection a reactor is never rebuilt: a new one begins at the log's head,
//! how far it has come lies in the log's database, and each event is reacted to once, or once more
//! after a crash between doing and writing it down. Of several processes one runs it, under a lease.

use std::time::Duration;

use async_trait::async_trait;
use chronicle::log::LogError;
use chronicle::reactions::Reacted;
use domain::aggregate::Kind;
use metrics::counter;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle as AbortOnDrop;
use uuid::Uuid;

use crate::Context;
use crate::halt::{Fault, Halt, patiently};
use crate::lease::{BEAT, LOOK, SILENCE};
use crate::page::Page;
use crate::projection::Entry;

/// Events read at once.
const BATCH: usize = 1_000;
/// Without anything to react to, how far it has read is written down no more often than this.
const QUIET: Duration = Duration::from_secs(5);

/// Why an event was not reacted to.
#[derive(Debug, thiserror::Error)]
pub enum ReactionError {
    /// Trying again may help: it is tried until it does.
    #[error("{0}")]
    Passing(String),
    /// Trying again changes nothing: the event is passed over, and that is told.
    #[error("{0}")]
    Poison(String),
}

/// Something that is done once an event is durable.
#[async_trait]
pub trait Reactor: Send + Sync + 'static {
    /// As it is known in the log's database and to whoever runs it; never changed.
    const NAME: &'static str;
    /// The aggregates whose events it is handed.
    const READS: &'static [Kind];

    /// Does what `entry` asks for. After a crash it may be asked again: what cannot be done twice
    /// remembers the event's id where it is done.
    async fn react(&self, entry: &Entry) -> Result<(), ReactionError>;
}

/// Runs a reactor until `stop`, or until it meets another history.
pub(crate) async fn run<R: Reactor>(reactor: R, context: Context, stop: CancellationToken) {
    let mut held = None;
    let ended = tokio::select! {
        ended = work(&reactor, &context, &mut held) => ended,
        () = stop.cancelled() => Ok(()),
    };
    if let Some(epoch) = held
        && let Err(error) = context.log.reactions().beat(R::NAME, epoch, true).await
    {
        tracing::warn!(reactor = R::NAME, %error, "whoever runs it next has to wait for silence");
    }
    if let Err(halt) = ended {
        tracing::error!(reactor = R::NAME, %halt, "a reactor has stopped");
    }
}

async fn work<R: Reactor>(reactor: &R, context: &Context, held: &mut Option<u64>) -> Result<(), Halt> {
    let mut own = context.node;
    loop {
        *held = None;
        stand_by::<R>(context, own).await?;
        // Whoever takes over from this process is alive, whatever it calls itself.
        own = Uuid::nil();
        let head = asked::<R, _, _>(|| context.log.head()).await?;
        let reacted =
            asked::<R, _, _>(|| context.log.reactions().take_over(R::NAME, context.node, head)).await?;
        *held = Some(reacted.epoch);
        check_history::<R>(context, &reacted).await?;
        let _beating = beating::<R>(context, reacted.epoch);
        follow(reactor, context, reacted).await?;
        tracing::warn!(reactor = R::NAME, "another process runs it now");
    }
}

/// Until nobody else runs it.
async fn stand_by<R: Reactor>(context: &Context, own: Uuid) -> Result<(), Halt> {
    let mut heard: Option<((u64, u64), Instant)> = None;
    loop {
        let Some(reacted) = asked::<R, _, _>(|| context.log.reactions().of(R::NAME)).await? else {
            return Ok(());
        };
        if reacted.holder.is_nil() || reacted.holder == own {
            return Ok(());
        }
        let (beat, now) = ((reacted.epoch, reacted.beat), Instant::now());
        match heard {
            Some((last, since)) if last == beat && now.duration_since(since) > SILENCE => return Ok(()),
            Some((last, _)) if last == beat => {}
            _ => heard = Some((beat, now)),
        }
        sleep(LOOK).await;
    }
}

fn beating<R: Reactor>(context: &Context, epoch: u64) -> AbortOnDrop<()> {
    let log = context.log.clone();
    AbortOnDrop::new(tokio::spawn(async move {
        loop {
            sleep(BEAT).await;
            // Its next writing is refused too, and says so.
            if matches!(log.reactions().beat(R::NAME, epoch, false).await, Ok(false)) {
                return;
            }
        }
    }))
}

/// One history: it has not reacted to more than there is, or to something else.
async fn check_history<R: Reactor>(context: &Context, reacted: &Reacted) -> Result<(), Halt> {
    let Some(before) = reacted.position.checked_sub(1) else { return Ok(()) };
    let found = asked::<R, _, _>(|| context.log.read(before, 1)).await?;
    let found = found.first().map(|event| event.event_id);
    if found.is_none() || found != reacted.event_id {
        let (position, held) = (reacted.position, reacted.event_id);
        return Err(Halt::OtherHistory { position, held, found });
    }
    Ok(())
}

/// Reacts to what comes, until another process takes over.
async fn follow<R: Reactor>(reactor: &R, context: &Context, reacted: Reacted) -> Result<(), Halt> {
    let (log, epoch) = (&*context.log, reacted.epoch);
    let (mut position, mut written) = (reacted.position, Instant::now());
    let mut head = log.watch();
    loop {
        if head.wait_for(|head| head.position > position).await.is_err() {
            return Ok(());
        }
        let read = patiently(u32::MAX, waiting::<R>, || Page::read(log, position, BATCH, R::READS)).await?;
        let Some(page) = read else { continue };
        for broken in &page.broken {
            passed_over::<R>(broken.position, &broken.why);
        }
        for entry in &page.entries {
            match patiently(u32::MAX, waiting::<R>, || react(reactor, entry)).await? {
                Ok(()) => {}
                Err(why) => passed_over::<R>(entry.position, &why),
            }
            let write = || log.reactions().reacted(R::NAME, epoch, entry.position, entry.event_id);
            if !asked::<R, _, _>(write).await? {
                return Ok(());
            }
        }
        position = page.position;
        if written.elapsed() > QUIET || !page.entries.is_empty() {
            let write = || log.reactions().reacted(R::NAME, epoch, position, page.event_id);
            if !asked::<R, _, _>(write).await? {
                return Ok(());
            }
            written = Instant::now();
        }
    }
}

/// What passes is a fault to wait for, and poison is an answer.
async fn react<R: Reactor>(reactor: &R, entry: &Entry) -> Result<Result<(), String>, Fault> {
    match reactor.react(entry).await {
        Ok(()) => Ok(Ok(())),
        Err(ReactionError::Poison(why)) => Ok(Err(why)),
        Err(ReactionError::Passing(why)) => Err(Fault::Passing(why)),
    }
}

fn passed_over<R: Reactor>(position: u64, why: &str) {
    tracing::error!(reactor = R::NAME, position, why, "an event is passed over");
    counter!("letopis_reactions_passed_over_total", "reactor" => R::NAME).increment(1);
}

fn waiting<R: Reactor>(why: Option<&str>) {
    match why {
        Some(why) => tracing::warn!(reactor = R::NAME, why, "a reactor waits for its engines"),
        None => tracing::info!(reactor = R::NAME, "a reactor goes on"),
    }
}

async fn asked<R, T, F>(ask: impl FnMut() -> F) -> Result<T, Halt>
where
    R: Reactor,
    F: Future<Output = Result<T, LogError>>,
{
    patiently(u32::MAX, waiting::<R>, ask).await
}
