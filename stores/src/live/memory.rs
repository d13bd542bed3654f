//! Live in one process.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use domain::ids::PersonId;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::{BACKLOG, Live, Notice, Received, Subscription};
use crate::error::Result;

/// A bounded channel a subscribed person.
#[derive(Default)]
pub struct MemoryLive {
    channels: Mutex<HashMap<PersonId, broadcast::Sender<Arc<Notice>>>>,
}

struct MemorySubscription(broadcast::Receiver<Arc<Notice>>);

#[async_trait]
impl Subscription for MemorySubscription {
    async fn next(&mut self) -> Option<Received> {
        match self.0.recv().await {
            Ok(notice) => Some(Received::Notice(notice)),
            Err(RecvError::Lagged(_)) => Some(Received::Lagged),
            Err(RecvError::Closed) => None,
        }
    }
}

#[async_trait]
impl Live for MemoryLive {
    async fn publish(&self, notices: Vec<Notice>) -> Result<()> {
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        for notice in notices.into_iter().map(Arc::new) {
            for person in &notice.to {
                // A failed send means that the last subscriber has gone: its channel goes too.
                if let Entry::Occupied(channel) = channels.entry(*person)
                    && channel.get().send(notice.clone()).is_err()
                {
                    channel.remove();
                }
            }
        }
        Ok(())
    }

    async fn subscribe(&self, person: PersonId) -> Result<Box<dyn Subscription>> {
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        let channel = channels.entry(person).or_insert_with(|| broadcast::Sender::new(BACKLOG));
        Ok(Box::new(MemorySubscription(channel.subscribe())))
    }
}
