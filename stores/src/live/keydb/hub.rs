//! The one connection of a process that listens, and who listens on it.
//!
//! A task has it alone. When the connection is lost it connects anew, subscribes to every channel
//! that somebody listens to, and then tells them all that it was away.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::ids::PersonId;
use futures::StreamExt;
use redis::aio::{PubSubSink, PubSubStream};
use redis::{Client, Msg, RedisResult};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use uuid::Uuid;

use super::Message;
use crate::error::{Result, StoreError};
use crate::keydb::ENGINE;
use crate::live::channel::{Channel, Ear};
use crate::live::{Notice, Received, Subscription};

/// Of connecting and of each answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between looks whether a silent connection still is one.
const PING: Duration = Duration::from_secs(5);
/// Between attempts to connect.
const PAUSE: Duration = Duration::from_millis(250);
/// Channels that are subscribed to in one command.
const AT_ONCE: usize = 500;
/// The name of everybody's channel, after what all begin with.
const ALL: &str = "all";

enum Ask {
    Subscribe(PersonId, oneshot::Sender<Result<Ear>>),
    /// Somebody has stopped listening.
    Left(PersonId),
}

/// Subscribes; its task ends with the last subscription of it.
pub struct Hub(mpsc::UnboundedSender<Ask>);

struct Listener {
    ear: Option<Ear>,
    person: PersonId,
    hub: mpsc::UnboundedSender<Ask>,
}

impl Hub {
    pub fn start(client: Client, channels: String) -> Self {
        let (asks, inbox) = mpsc::unbounded_channel();
        tokio::spawn(Task { client, channels, listened: HashMap::new() }.run(inbox));
        Self(asks)
    }

    /// # Errors
    /// The engine is away.
    pub async fn subscribe(&self, person: PersonId) -> Result<impl Subscription + use<>> {
        let (answer, answered) = oneshot::channel();
        // Whoever gives up or is gone before the answer comes has left, too.
        let mut listener = Listener { ear: None, person, hub: self.0.clone() };
        // Without its task nobody answers, which is told below.
        let _ = self.0.send(Ask::Subscribe(person, answer));
        listener.ear = match timeout(PATIENCE * 2, answered).await {
            Ok(Ok(subscribed)) => Some(subscribed?),
            _ => return Err(away()),
        };
        Ok(listener)
    }
}

fn away() -> StoreError {
    StoreError::Engine { engine: ENGINE, message: "it is away, and cannot be listened to".to_owned() }
}

#[async_trait]
impl Subscription for Listener {
    async fn next(&mut self) -> Option<Received> {
        self.ear.as_mut()?.next().await
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // Gone before the task counts who is left.
        self.ear = None;
        let _ = self.hub.send(Ask::Left(self.person));
    }
}

type Connected = (PubSubSink, PubSubStream);

struct Task {
    client: Client,
    channels: String,
    listened: HashMap<PersonId, Channel>,
}

impl Task {
    /// Goes on until nobody can ask any more.
    async fn run(mut self, mut asks: mpsc::UnboundedReceiver<Ask>) {
        let mut was_away = false;
        loop {
            match self.connect().await {
                Ok(connected) => {
                    if was_away {
                        tracing::info!("live: the engine is listened to again");
                        self.tell_all();
                    }
                    let Err(error) = self.listen(connected, &mut asks).await else { return };
                    tracing::warn!(%error, "live: the engine is away");
                    was_away = true;
                }
                Err(error) if !was_away => {
                    tracing::warn!(%error, "live: the engine is away");
                    was_away = true;
                }
                Err(_) => {}
            }
            if self.pass(&mut asks).await.is_none() {
                return;
            }
        }
    }

    /// Connects and subscribes to all that is listened to.
    async fn connect(&self) -> Result<Connected> {
        let pubsub = answered(self.client.get_async_pubsub()).await?;
        let (mut sink, stream) = pubsub.split();
        let mut names = vec![self.name(ALL)];
        names.extend(self.listened.keys().map(|person| self.name(person)));
        for names in names.chunks(AT_ONCE) {
            answered(sink.subscribe(names)).await?;
        }
        Ok((sink, stream))
    }

    /// Waits a little before the next attempt; `None` once nobody can ask any more.
    async fn pass(&mut self, asks: &mut mpsc::UnboundedReceiver<Ask>) -> Option<()> {
        let pause = sleep(PAUSE);
        tokio::pin!(pause);
        loop {
            tokio::select! {
                () = &mut pause => return Some(()),
                ask = asks.recv() => match ask? {
                    Ask::Subscribe(_, answer) => {
                        let _ = answer.send(Err(away()));
                    }
                    Ask::Left(person) => {
                        self.left(person);
                    }
                },
            }
        }
    }

    /// Hands on what comes; ends well once nobody can ask any more.
    async fn listen(
        &mut self,
        (mut sink, mut stream): Connected,
        asks: &mut mpsc::UnboundedReceiver<Ask>,
    ) -> Result<()> {
        let mut pings = interval(PING);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                message = stream.next() => self.hand_on(&message.ok_or_else(away)?),
                ask = asks.recv() => match ask {
                    None => return Ok(()),
                    Some(Ask::Subscribe(person, answer)) => self.subscribe(&mut sink, person, answer).await?,
                    Some(Ask::Left(person)) => {
                        if self.left(person) {
                            answered(sink.unsubscribe(self.name(person))).await?;
                        }
                    }
                },
                _ = pings.tick() => answered(sink.ping::<redis::Value>()).await.map(drop)?,
            }
        }
    }

    /// Answers once the server has confirmed it: what is published from then on is heard.
    async fn subscribe(
        &mut self,
        sink: &mut PubSubSink,
        person: PersonId,
        answer: oneshot::Sender<Result<Ear>>,
    ) -> Result<()> {
        let name = self.name(person);
        let ear = match self.listened.entry(person) {
            Entry::Occupied(listened) => listened.get().subscribe(),
            Entry::Vacant(vacant) => {
                if let Err(error) = answered(sink.subscribe(name)).await {
                    let _ = answer.send(Err(away()));
                    return Err(error);
                }
                vacant.insert(Channel::default()).subscribe()
            }
        };
        let _ = answer.send(Ok(ear));
        Ok(())
    }

    fn hand_on(&self, message: &Msg) {
        let name = message.get_channel_name().strip_prefix(&self.channels);
        if name == Some(ALL) {
            return self.tell_all();
        }
        let Some(person) = name.and_then(|name| name.parse::<Uuid>().ok()).map(PersonId) else { return };
        let Some(listened) = self.listened.get(&person) else { return };
        let received = match serde_json::from_slice(message.get_payload_bytes()) {
            Ok(Message::Notice { position, what, ids }) => {
                Received::Notice(Arc::new(Notice { position, what, ids, to: vec![person] }))
            }
            Ok(Message::Signal { signal, ids }) => Received::Signal { signal, ids },
            Err(_) => {
                tracing::warn!("live: a notice cannot be read: another version publishes");
                return;
            }
        };
        // Whoever has just left does not mind.
        listened.send(received);
    }

    fn tell_all(&self) {
        for listened in self.listened.values() {
            listened.send(Received::Resumed);
        }
    }

    /// Whether that was the last one.
    fn left(&mut self, person: PersonId) -> bool {
        let is_last = self.listened.get(&person).is_some_and(Channel::is_silent);
        is_last && self.listened.remove(&person).is_some()
    }

    fn name(&self, of: impl std::fmt::Display) -> String {
        format!("{}{of}", self.channels)
    }
}

async fn answered<T>(answer: impl Future<Output = RedisResult<T>>) -> Result<T> {
    timeout(PATIENCE, answer).await.map_err(|_| away())?.map_err(StoreError::from)
}
