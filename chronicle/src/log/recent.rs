//! What this process itself has just written, so that its projections need not read it back.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Batch, Recorded};

/// Bytes of payload and metadata that are kept.
const MOST: usize = 4 << 20;

/// The newest batches of this process that follow each other without a stranger's between them.
#[derive(Debug, Default)]
pub(super) struct Recent(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    batches: VecDeque<(Arc<Batch>, usize)>,
    bytes: usize,
}

impl Recent {
    /// Takes a batch that is durable.
    pub(super) fn add(&self, batch: &Arc<Batch>) {
        let Some(first) = batch.events.first() else { return };
        let bytes = batch.events.iter().map(|event| event.payload.len() + event.metadata.len()).sum();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let follows = kept.last().is_none_or(|last| last + 1 == first.position);
        if !follows {
            *kept = Kept::default();
        }
        kept.batches.push_back((batch.clone(), bytes));
        kept.bytes += bytes;
        while kept.bytes > MOST
            && let Some((_, bytes)) = kept.batches.pop_front()
        {
            kept.bytes -= bytes;
        }
    }

    /// What follows `after`, at most `limit` events; `None` where the log must be asked.
    pub(super) fn after(&self, after: u64, limit: usize) -> Option<Vec<Recorded>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let first = kept.batches.front().and_then(|(batch, _)| batch.events.first())?.position;
        let last = kept.last()?;
        if after + 1 < first || after >= last {
            return None;
        }
        // Positions are dense, so whole batches can be passed over by their last one.
        let behind = kept
            .batches
            .partition_point(|(batch, _)| batch.events.last().is_none_or(|event| event.position <= after));
        let batches: Vec<Arc<Batch>> = kept.batches.range(behind..).map(|(batch, _)| batch.clone()).collect();
        drop(kept);
        let events = batches.iter().flat_map(|batch| &batch.events);
        Some(events.filter(|event| event.position > after).take(limit).cloned().collect())
    }
}

impl Kept {
    fn last(&self) -> Option<u64> {
        self.batches.back().and_then(|(batch, _)| batch.events.last()).map(|event| event.position)
    }
}

#[cfg(test)]
mod tests {
    use domain::Timestamp;
    use domain::ids::EventId;
    use uuid::Uuid;

    use super::*;

    fn batch(positions: std::ops::RangeInclusive<u64>, payload: &str) -> Arc<Batch> {
        let event = |position| Recorded {
            position,
            event_id: EventId(Uuid::from_u128(u128::from(position))),
            recorded_at: Timestamp(0),
            aggregate_type: "Chat".into(),
            aggregate_id: "one".into(),
            sequence: position,
            event_type: "Tried".into(),
            event_version: "1".into(),
            payload: payload.into(),
            metadata: "{}".into(),
        };
        Arc::new(Batch { events: positions.map(event).collect(), ..Batch::default() })
    }

    fn positions(recent: &Recent, after: u64, limit: usize) -> Option<Vec<u64>> {
        Some(recent.after(after, limit)?.iter().map(|event| event.position).collect())
    }

    #[test]
    fn what_follows_is_dense_and_cut_at_the_limit() {
        let recent = Recent::default();
        assert_eq!(positions(&recent, 0, 10), None);
        recent.add(&batch(5..=7, ""));
        recent.add(&Arc::default());
        recent.add(&batch(8..=8, ""));
        recent.add(&batch(9..=12, ""));
        assert_eq!(positions(&recent, 4, 100), Some((5..=12).collect()));
        assert_eq!(positions(&recent, 6, 4), Some(vec![7, 8, 9, 10]));
        assert_eq!(positions(&recent, 8, 100), Some(vec![9, 10, 11, 12]));
        assert_eq!(positions(&recent, 3, 100), None, "what was before is the log's to say");
        assert_eq!(positions(&recent, 12, 100), None, "and so is what comes after");
    }

    #[test]
    fn a_strangers_batch_between_leaves_no_hole() {
        let recent = Recent::default();
        recent.add(&batch(1..=3, ""));
        recent.add(&batch(5..=6, ""));
        assert_eq!(positions(&recent, 2, 100), None);
        assert_eq!(positions(&recent, 4, 100), Some(vec![5, 6]));
    }

    #[test]
    fn it_holds_so_many_bytes_and_no_more() {
        let recent = Recent::default();
        let large = "x".repeat(MOST / 4);
        for position in 1..=10 {
            recent.add(&batch(position..=position, &large));
        }
        assert_eq!(positions(&recent, 6, 100), None);
        assert_eq!(positions(&recent, 7, 100), Some(vec![8, 9, 10]));
    }
}
