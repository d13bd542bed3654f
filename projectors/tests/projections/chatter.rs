//! Chatter: how many messages each chat has seen. Kept in memory, and told anew at every start.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use domain::aggregate::{Event, Kind};
use domain::chat::ChatEvent;
use domain::ids::ChatId;
use projectors::{Entry, Projection, ProjectionError};
use stores::{Batch, Checkpoint, ReadModel, StoreError};

/// The last number of each chat: absolute, so that a message told twice changes nothing.
#[derive(Default)]
pub struct Chatter(Mutex<HashMap<ChatId, u64>>);

impl Chatter {
    pub fn of(&self, chat: ChatId) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&chat).copied().unwrap_or(0)
    }
}

#[async_trait]
impl ReadModel for Chatter {
    type Change = (ChatId, u64);

    async fn checkpoint(&self) -> Result<Option<Checkpoint>, StoreError> {
        Ok(None)
    }
    async fn take_over(&self, fresh: Checkpoint) -> Result<Checkpoint, StoreError> {
        Ok(fresh)
    }
    async fn put(&self, batch: Arc<Batch<Self::Change>>) -> Result<(), StoreError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(batch.changes.iter().copied());
        Ok(())
    }
}

pub struct ChatterProjection;

#[async_trait]
impl Projection for ChatterProjection {
    type Model = Chatter;

    const NAME: &'static str = "chatter";
    const CODE_VERSION: u32 = 1;
    const READS: &'static [Kind] = &[Kind::Chat];

    async fn changes(&self, batch: &[Entry]) -> Result<Vec<(ChatId, u64)>, ProjectionError> {
        let numbers = batch.iter().filter_map(|entry| match &entry.event {
            Event::Chat(ChatEvent::MessageSent { chat, number, .. }) => Some((*chat, *number)),
            _ => None,
        });
        Ok(numbers.collect())
    }
}
