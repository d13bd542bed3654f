//! Live in one process.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use domain::ids::PersonId;
use domain::live::{Ids, Signal};

use super::channel::{Channel, Ear};
use super::{Live, Notice, Received, Subscription};
use crate::error::Result;

/// A bounded channel a subscribed person.
#[derive(Default)]
pub struct MemoryLive {
    channels: Mutex<HashMap<PersonId, Channel>>,
}

struct MemorySubscription(Ear);

#[async_trait]
impl Subscription for MemorySubscription {
    async fn next(&mut self) -> Option<Received> {
        self.0.next().await
    }
}

impl MemoryLive {
    fn send(channels: &mut HashMap<PersonId, Channel>, person: PersonId, received: Received) {
        // A failed send means that the last subscriber has gone: its channel goes too.
        if let Entry::Occupied(channel) = channels.entry(person)
            && !channel.get().send(received)
        {
            channel.remove();
        }
    }
}

#[async_trait]
impl Live for MemoryLive {
    async fn publish(&self, notices: Vec<Notice>) -> Result<()> {
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        for notice in notices.into_iter().map(Arc::new) {
            for person in &notice.to {
                Self::send(&mut channels, *person, Received::Notice(notice.clone()));
            }
        }
        Ok(())
    }

    async fn signal(&self, signal: Signal, ids: Ids, to: &[PersonId]) -> Result<()> {
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        for person in to {
            Self::send(&mut channels, *person, Received::Signal { signal, ids });
        }
        Ok(())
    }

    async fn subscribe(&self, person: PersonId) -> Result<Box<dyn Subscription>> {
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Box::new(MemorySubscription(channels.entry(person).or_default().subscribe())))
    }
}
