//! Live on KeyDB's channels: `<prefix>:live:1:<person>` carries a person's notices and signals as JSON,
//! and `<prefix>:live:1:all` says to everybody that notices may have been passed over.
//!
//! A process has one connection that listens ([`hub`]), to the channels of people who listen here.
//! Publishing is a batch like any other (see `crate::keydb::rows`): one process does it, under a
//! lease; who was only asleep is refused by its epoch before anything is published, and what is
//! published moves the checkpoint in the same script. Channels keep nothing: what was published
//! while a connection was lost is read from the feeds. A notice that comes twice, after a crash
//! that took the checkpoint back, is rendered twice. Signals move no checkpoint: any process sends
//! them.

use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use domain::ids::PersonId;
use domain::live::{Ids, Signal, What};
use redis::Script;
use serde::{Deserialize, Serialize};

use self::hub::Hub;
use super::{Live, Notice, Outlet, Subscription};
use crate::error::Result;
use crate::keydb::rows::{Rows, Space, json, put_script};
use crate::keydb::{Address, Keydb};
use crate::read_model::{Batch, ReadModel};
use crate::shared::Shared;
use crate::shelf::Port;
use crate::{Checkpoint, Parked};

mod hub;

static PUT: LazyLock<Script> = LazyLock::new(|| put_script(include_str!("put.lua")));

/// What is on a channel.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Message {
    Notice { position: u64, what: What, ids: Ids },
    Signal { signal: Signal, ids: Ids },
}

impl Message {
    fn of(notice: &Notice) -> String {
        let Notice { position, what, ids, .. } = *notice;
        json(&Self::Notice { position, what, ids })
    }
}

/// What the names of channels begin with. There is only ever one generation.
fn channels(prefix: &str) -> String {
    format!("{prefix}:live:1:")
}

/// The live engine of a KeyDB.
pub(crate) struct KeydbLive {
    keydb: Keydb,
    channels: String,
    outlet: Port<Outlet>,
    hub: Hub,
}

impl KeydbLive {
    /// # Errors
    /// A server that does not answer, or that can't be relied on.
    pub async fn open(url: &str) -> Result<Self> {
        let address = Address::parse(url)?;
        let keydb = Keydb::open(&address).await?;
        let space: Space<Outlet> =
            Space::new(keydb.clone(), &address.prefix, "live", |rows| Arc::new(Publisher(rows)));
        let outlet = Port::new(Shared::open(space).await?);
        let channels = channels(&address.prefix);
        let hub = Hub::start(address.client, channels.clone());
        Ok(Self { keydb, channels, outlet, hub })
    }
}

impl KeydbLive {
    fn add(&self, publish: &mut redis::Pipeline, message: &str, to: &[PersonId]) {
        for person in to {
            publish.cmd("PUBLISH").arg(format!("{}{person}", self.channels)).arg(message).ignore();
        }
    }

    async fn send(&self, publish: &redis::Pipeline) -> Result<()> {
        if publish.is_empty() { Ok(()) } else { self.keydb.send(publish).await }
    }
}

#[async_trait]
impl Live for KeydbLive {
    async fn publish(&self, notices: Vec<Notice>) -> Result<()> {
        let mut publish = redis::pipe();
        for notice in &notices {
            self.add(&mut publish, &Message::of(notice), &notice.to);
        }
        self.send(&publish).await
    }

    async fn signal(&self, signal: Signal, ids: Ids, to: &[PersonId]) -> Result<()> {
        let mut publish = redis::pipe();
        self.add(&mut publish, &json(&Message::Signal { signal, ids }), to);
        self.send(&publish).await
    }

    async fn subscribe(&self, person: PersonId) -> Result<Box<dyn Subscription>> {
        Ok(Box::new(self.hub.subscribe(person).await?))
    }

    fn outlet(&self) -> Option<Port<Outlet>> {
        Some(self.outlet.clone())
    }
}

/// Publishes, and keeps how far that is.
struct Publisher(Rows);

#[async_trait]
impl ReadModel for Publisher {
    type Change = Notice;

    async fn checkpoint(&self) -> Result<Option<Checkpoint>> {
        self.0.checkpoint().await
    }

    async fn take_over(&self, fresh: Checkpoint) -> Result<Checkpoint> {
        self.0.take_over(fresh).await
    }

    async fn put(&self, batch: Arc<Batch<Notice>>) -> Result<()> {
        let to = |people: &[PersonId]| people.iter().map(ToString::to_string).collect::<Vec<_>>();
        let changes: Vec<(String, Vec<String>)> =
            batch.changes.iter().map(|notice| (Message::of(notice), to(&notice.to))).collect();
        self.0.put(&PUT, &changes, &batch.parking, &batch.checkpoint, batch.follows).await
    }

    async fn parked(&self) -> Result<Vec<Parked>> {
        self.0.parked().await
    }
}
