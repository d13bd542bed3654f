//! One generation of a projection's rows being carried through the log.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use chronicle::log::Log;
use domain::aggregate::{Kind, StreamId};
use stores::{Batch, Checkpoint, Generation, Parked, Parking, ReadModel, StoreError};

use tokio::time::Instant;

use crate::desk::Retried;
use crate::halt::{Fault, Halt};
use crate::page::{Page, is_vital};
use crate::projection::{Entry, Projection, ProjectionError};

/// After so many events that changed nothing the checkpoint is written all the same, so that a
/// restart need not read them again. Until then it is not: most events concern few projections,
/// and a commit costs more than reading on.
const UNWRITTEN: u64 = 10_000;
/// Events of a parked stream that are read at once and applied in one transaction.
const STREAM_PAGE: usize = 500;

/// What changes the rows of a model.
type ChangeOf<P> = <<P as Projection>::Model as ReadModel>::Change;

pub(crate) struct Carrier<P: Projection> {
    pub number: u64,
    pub model: Arc<P::Model>,
    projection: P,
    /// What the rows show, in memory; the engine's own may lag while nothing changed.
    pub shown: Checkpoint,
    written: u64,
    /// Since when the engine's own checkpoint lags.
    unwritten_since: Option<Instant>,
    pub parked: BTreeMap<String, Parked>,
}

/// What applying a page came to.
pub(crate) struct Applied {
    checkpoint: Checkpoint,
    parked: Option<BTreeMap<String, Parked>>,
    wrote: bool,
}

impl<P: Projection> Carrier<P> {
    /// Goes on from a generation as it was taken over.
    pub async fn of(
        generation: Generation<P::Model>,
        make: &(dyn Fn(Arc<P::Model>) -> P + Send + Sync),
    ) -> Result<Self, Fault> {
        let Generation { number, model, checkpoint } = generation;
        let parked = model.parked().await?;
        let parked = parked.into_iter().map(|parked| (parked.stream.clone(), parked)).collect();
        let (written, projection) = (checkpoint.position, make(model.clone()));
        Ok(Self { number, model, projection, shown: checkpoint, written, unwritten_since: None, parked })
    }

    pub fn position(&self) -> u64 {
        self.shown.position
    }

    /// Writes what `page`, which follows what is shown, changes. An event that cannot be applied
    /// parks its stream. To be followed by [`Self::advance`]; asked again after a fault, it does
    /// the same.
    pub async fn apply(&self, page: &Page) -> Result<Applied, Fault> {
        debug_assert_eq!(page.after, self.shown.position);
        let mut parked = Cow::Borrowed(&self.parked);
        let mut parking = Vec::new();
        for broken in &page.broken {
            if is_vital(&broken.aggregate_type, &broken.event_type) {
                let (position, why) = (broken.position, broken.why.clone());
                return Err(Halt::Undecodable { position, why }.into());
            }
            if !parked.contains_key(&broken.stream) {
                let new = Parked {
                    stream: broken.stream.clone(),
                    position: broken.position,
                    sequence: broken.sequence,
                    why: broken.why.clone(),
                    since: broken.recorded_at,
                };
                park::<P>(&mut parked, &mut parking, new);
            }
        }
        let (changes, parked) = self.changes(page, parked, &mut parking).await?;
        let checkpoint =
            Checkpoint { position: page.position, event_id: Some(page.event_id), ..self.shown.clone() };
        let wrote = !changes.is_empty() || !parking.is_empty() || page.position - self.written >= UNWRITTEN;
        if wrote {
            let (checkpoint, follows) = (checkpoint.clone(), Some(self.written));
            self.model.put(Arc::new(Batch { changes, parking, checkpoint, follows })).await?;
        }
        Ok(Applied { checkpoint, parked, wrote })
    }

    /// Asks the projection, and parks until it can answer. The parked streams are answered if
    /// they have changed.
    async fn changes(
        &self,
        page: &Page,
        mut parked: Cow<'_, BTreeMap<String, Parked>>,
        parking: &mut Vec<Parking>,
    ) -> Result<(Vec<ChangeOf<P>>, Option<BTreeMap<String, Parked>>), Fault> {
        let mut entries = passing(&page.entries, &parked);
        let changes = loop {
            if entries.is_empty() {
                break Vec::new();
            }
            match self.projection.changes(&entries).await {
                Ok(changes) => break changes,
                Err(ProjectionError::Poison { position, why }) => {
                    let poison = || ProjectionError::Poison { position, why: why.clone() };
                    let Some(entry) = entries.iter().find(|entry| entry.position == position) else {
                        return Err(poison().into());
                    };
                    if is_vital(&entry.aggregate_type, entry.event.type_name()) {
                        return Err(poison().into());
                    }
                    let new = Parked {
                        stream: entry.stream(),
                        position,
                        sequence: entry.sequence,
                        why,
                        since: entry.recorded_at,
                    };
                    park::<P>(&mut parked, parking, new);
                    entries = passing(&page.entries, &parked);
                }
                Err(error) => return Err(error.into()),
            }
        };
        let changed = match parked {
            Cow::Owned(parked) => Some(parked),
            Cow::Borrowed(_) => None,
        };
        Ok((changes, changed))
    }

    pub fn advance(&mut self, applied: Applied) {
        self.shown = applied.checkpoint;
        if applied.wrote {
            self.checkpoint_written();
        } else {
            self.unwritten_since.get_or_insert_with(Instant::now);
        }
        if let Some(parked) = applied.parked {
            self.parked = parked;
        }
    }

    /// Since when the engine's own checkpoint lags; `None` if it doesn't.
    pub fn unwritten_since(&self) -> Option<Instant> {
        self.unwritten_since
    }

    /// Looks whether the engine still has what was written.
    ///
    /// # Errors
    /// Another writer has taken over, or the rows are not where they were left.
    pub async fn look(&self) -> Result<(), Fault> {
        let (mine, held) = (&self.shown, self.model.checkpoint().await?);
        let (epoch, position) = held.map_or((mine.epoch, 0), |held| (held.epoch, held.position));
        if epoch != mine.epoch {
            return Err(StoreError::StaleEpoch { mine: mine.epoch, theirs: epoch }.into());
        }
        if position != self.written {
            let (engine, expected) = (P::NAME, self.written);
            return Err(StoreError::WentBack { engine, expected, held: position }.into());
        }
        Ok(())
    }

    /// Writes the checkpoint alone.
    pub async fn write_checkpoint(&self) -> Result<(), Fault> {
        let (checkpoint, follows) = (self.shown.clone(), Some(self.written));
        let (changes, parking) = (Vec::new(), Vec::new());
        Ok(self.model.put(Arc::new(Batch { changes, parking, checkpoint, follows })).await?)
    }

    pub fn checkpoint_written(&mut self) {
        self.written = self.shown.position;
        self.unwritten_since = None;
    }

    /// Applies what was passed over of a parked stream, a page in one transaction, and with the last
    /// one parks it no more. What cannot be applied still is told of; the stream stays parked there.
    pub async fn retry(&mut self, log: &dyn Log, parked: &Parked) -> Result<Retried, Fault> {
        let (mut parked, mut events) = (parked.clone(), 0);
        loop {
            let (entries, next) = match self.passed_over(log, &parked).await? {
                Ok(passed_over) => passed_over,
                Err(why) => return Ok(Retried { stream: parked.stream, events, error: Some(why) }),
            };
            let changes = match self.projection.changes(&entries).await {
                Ok(changes) => changes,
                Err(error @ ProjectionError::Poison { .. }) => {
                    return Ok(Retried { stream: parked.stream, events, error: Some(error.to_string()) });
                }
                Err(error) => return Err(error.into()),
            };
            let parking = vec![match &next {
                Some(next) => Parking::Park(next.clone()),
                None => Parking::Unpark(parked.stream.clone()),
            }];
            let (checkpoint, follows) = (self.shown.clone(), Some(self.written));
            self.model.put(Arc::new(Batch { changes, parking, checkpoint, follows })).await?;
            self.checkpoint_written();
            events += entries.len() as u64;
            match next {
                Some(next) => {
                    self.parked.insert(next.stream.clone(), next.clone());
                    parked = next;
                }
                None => {
                    self.parked.remove(&parked.stream);
                    return Ok(Retried { stream: parked.stream, events, error: None });
                }
            }
        }
    }

    /// A page of a parked stream's events up to what is shown, and from where it is parked after
    /// those; or why one cannot be read.
    async fn passed_over(
        &self,
        log: &dyn Log,
        parked: &Parked,
    ) -> Result<Result<(Vec<Entry>, Option<Parked>), String>, Fault> {
        let named = parked.stream.split_once('/').and_then(|(kind, id)| Some((Kind::named(kind)?, id)));
        let Some((kind, id)) = named else { return Ok(Err(parked.why.clone())) };
        let stream = StreamId { kind, id: id.to_owned() };
        // One more, with which the next page begins.
        let (mut recorded, _) =
            log.stream(&stream, parked.sequence.saturating_sub(1), STREAM_PAGE + 1).await?;
        recorded.retain(|recorded| recorded.position <= self.shown.position);
        let next = recorded.get(STREAM_PAGE).map(|next| Parked {
            position: next.position,
            sequence: next.sequence,
            since: next.recorded_at,
            ..parked.clone()
        });
        recorded.truncate(STREAM_PAGE);
        let mut entries = Vec::with_capacity(recorded.len());
        for recorded in recorded {
            match recorded.decode() {
                Ok(event) => entries.push(Entry::of(recorded, event)),
                Err(error) => {
                    return Ok(Err(format!("the event at position {}: {error}", recorded.position)));
                }
            }
        }
        Ok(Ok((entries, next)))
    }
}

fn park<P: Projection>(
    parked: &mut Cow<'_, BTreeMap<String, Parked>>,
    parking: &mut Vec<Parking>,
    new: Parked,
) {
    let Parked { stream, position, why, .. } = &new;
    tracing::warn!(projection = P::NAME, stream, position, why, "a stream is parked; the others go on");
    parking.push(Parking::Park(new.clone()));
    parked.to_mut().insert(new.stream.clone(), new);
}

/// What is not passed over.
fn passing<'a>(entries: &'a [Entry], parked: &BTreeMap<String, Parked>) -> Cow<'a, [Entry]> {
    if parked.is_empty() {
        return Cow::Borrowed(entries);
    }
    let passes = |entry: &&Entry| {
        parked.get(&entry.stream()).is_none_or(|parked| {
            entry.position < parked.position || is_vital(&entry.aggregate_type, entry.event.type_name())
        })
    };
    Cow::Owned(entries.iter().filter(passes).cloned().collect())
}
