//! Carrying a generation over a long stretch of the log: reading, decoding and writing overlap, and
//! many pages are written in one transaction.

use std::sync::Arc;
use std::time::Duration;

use chronicle::log::Log;
use domain::aggregate::Kind;
use stores::ReadModel;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::Pace;
use crate::carrier::Carrier;
use crate::halt::{Fault, Halt, patiently};
use crate::page::Page;
use crate::projection::Projection;

/// Events read at once.
const PAGE: usize = 1_000;
/// Pages that wait for each of the two that follow: few, for memory is counted in tens of megabytes.
const PREFETCHED: usize = 1;
/// Events in one transaction, of those that concern the projection and others: the checkpoint is
/// worth writing by then.
const STRETCH: u64 = 200_000;
/// Bytes of payloads in one transaction, for long texts.
const STRETCH_BYTES: usize = 8 << 20;
/// Of a log that ends before its head: from 5 milliseconds on doubled each time, some 10 seconds.
const EMPTY_ROUNDS: u32 = 11;
/// Of an engine that does not answer: some 25 seconds.
const ATTEMPTS: u32 = 10;

/// Carries `carrier` until it is near the head; `loaded` hears how far it is, and where the log ends.
///
/// # Errors
/// What must not be passed over, or an engine that was asked often enough.
pub(crate) async fn load<P: Projection>(
    log: &Arc<dyn Log>,
    carrier: &mut Carrier<P>,
    pace: Pace,
    loaded: impl Fn(&Carrier<P>, u64),
) -> Result<(), Halt> {
    let head = log.watch();
    let mut empty = 0;
    // Dropped with this future, and so stopped.
    let mut tasks = JoinSet::new();
    let mut pages = read(&mut tasks, log.clone(), carrier.position(), pace, P::READS);
    let mut chunk = None;
    loop {
        let end = head.borrow().position;
        if end.saturating_sub(carrier.position()) <= pace.near {
            return Ok(());
        }
        let whole = match chunk.take() {
            Some(whole) => Some(whole),
            None => next_chunk(&mut pages, pace).await?,
        };
        let Some(whole) = whole else {
            // The reader has met the end of the log, or a head that is ahead of what can be read.
            if empty == EMPTY_ROUNDS {
                let (position, end) = (carrier.position(), end);
                return Err(Halt::GaveUp(format!("the log's head is {end}, and nothing follows {position}")));
            }
            tokio::time::sleep(Duration::from_millis(5) * 2_u32.pow(empty)).await;
            empty += 1;
            tasks = JoinSet::new();
            pages = read(&mut tasks, log.clone(), carrier.position(), pace, P::READS);
            continue;
        };
        // The next is put together while this one is written.
        let applying = patiently(ATTEMPTS, |_| (), || carrier.apply(&whole));
        let (applied, next) = tokio::join!(applying, next_chunk(&mut pages, pace));
        carrier.advance(applied?);
        chunk = next?;
        empty = 0;
        loaded(carrier, end);
    }
}

/// As many pages as go into a transaction; `None` at the end.
async fn next_chunk(
    pages: &mut mpsc::Receiver<Result<Page, Halt>>,
    pace: Pace,
) -> Result<Option<Page>, Halt> {
    let mut chunk: Option<Page> = None;
    while let Some(page) = pages.recv().await {
        let whole = match chunk.take() {
            Some(chunk) => chunk.and(page?),
            None => page?,
        };
        let full = whole.entries.len() >= pace.chunk
            || whole.position - whole.after >= STRETCH
            || whole.bytes >= STRETCH_BYTES;
        chunk = Some(whole);
        if full {
            break;
        }
    }
    Ok(chunk)
}

/// Reads what follows `after` and decodes it, each on a task of its own, to the end of the log.
fn read(
    tasks: &mut JoinSet<()>,
    log: Arc<dyn Log>,
    mut after: u64,
    pace: Pace,
    reads: &'static [Kind],
) -> mpsc::Receiver<Result<Page, Halt>> {
    let (recorded, mut undecoded) = mpsc::channel(PREFETCHED);
    let (decoded, pages) = mpsc::channel(PREFETCHED);
    tasks.spawn(async move {
        loop {
            let page = patiently(ATTEMPTS, |_| (), || log.read(after, PAGE.min(pace.chunk))).await;
            let next = page.as_ref().ok().and_then(|page| page.last()).map(|last| last.position);
            let end = next.is_none();
            if matches!(&page, Ok(page) if page.is_empty())
                || recorded.send((after, page)).await.is_err()
                || end
            {
                return;
            }
            after = next.unwrap_or(after);
        }
    });
    tasks.spawn(async move {
        while let Some((after, page)) = undecoded.recv().await {
            // On a thread for what takes long: the others are for those who wait.
            let page = match page {
                Ok(page) => tokio::task::spawn_blocking(move || Page::decode(after, page, reads))
                    .await
                    .unwrap_or_else(|error| Err(Halt::BrokeOff(error.to_string()))),
                Err(halt) => Err(halt),
            };
            let Some(page) = page.transpose() else { continue };
            let failed = page.is_err();
            if decoded.send(page).await.is_err() || failed {
                return;
            }
        }
    });
    pages
}

/// Loads, makes the indexes, and loads what came meanwhile.
pub(crate) async fn load_and_index<P: Projection>(
    log: &Arc<dyn Log>,
    carrier: &mut Carrier<P>,
    pace: Pace,
    loaded: impl Fn(&Carrier<P>, u64),
    indexing: impl Fn(bool),
) -> Result<(), Halt> {
    load(log, carrier, pace, loaded).await?;
    indexing(true);
    let model = carrier.model.clone();
    patiently(ATTEMPTS, |_| (), || async { model.index().await.map_err(Fault::from) }).await?;
    indexing(false);
    load(log, carrier, pace, |_, _| ()).await
}
