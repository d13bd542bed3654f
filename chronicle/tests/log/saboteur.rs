//! Logs that break a promise. A contract suite that has never been red proves nothing, so each of
//! them must turn it red.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chronicle::log::{Appended, Batch, ClaimKey, Head, LockedLog, Log, LogError, Recorded};
use chronicle::reactions::Reactions;
use chronicle::snapshots::Snapshots;
use domain::aggregate::StreamId;
use domain::ids::{ChatId, EventId, PersonId};
use futures::future::BoxFuture;
use tokio::sync::watch;

use crate::contract::{Engine, Sqlite, complaints};
use crate::model_log::Sabotage;
use crate::postgres::Postgres;

#[derive(Debug)]
struct Saboteur {
    log: Arc<dyn Log>,
    how: Sabotage,
    /// Answered and not yet written.
    owed: Mutex<Option<(Head, Arc<Batch>)>>,
}

impl Saboteur {
    fn spoil(&self, mut batch: Batch) -> Batch {
        match self.how {
            Sabotage::SkipPosition => batch.events.iter_mut().for_each(|event| event.position += 1),
            Sabotage::DropClaim => batch.claims.clear(),
            Sabotage::LoseOneOfTwoStreams => {
                if let Some(kept) = batch.events.first().map(|event| event.aggregate_id.clone()) {
                    batch.events.retain(|event| event.aggregate_id == kept);
                }
            }
            Sabotage::Reorder => {
                let positions: Vec<u64> = batch.events.iter().map(|event| event.position).collect();
                batch.events.reverse();
                for (event, position) in batch.events.iter_mut().zip(positions) {
                    event.position = position;
                }
            }
            Sabotage::ForgetKey => batch.probes.clear(),
            Sabotage::None | Sabotage::AnswerBeforeCommit => {}
        }
        batch
    }
}

#[async_trait]
impl Log for Saboteur {
    async fn head(&self) -> Result<Head, LogError> {
        self.log.head().await
    }
    async fn append(&self, fence: Head, batch: Arc<Batch>) -> Result<Appended, LogError> {
        if self.how == Sabotage::AnswerBeforeCommit && self.log.head().await? == fence {
            let owed = self.owed.lock().expect("no panic holds it").replace((fence, batch));
            if let Some((fence, batch)) = owed {
                self.log.append(fence, batch).await?;
            }
            return Ok(Appended::Committed);
        }
        self.log.append(fence, Arc::new(self.spoil((*batch).clone()))).await
    }
    async fn lock(&self, after: u64, limit: usize) -> Result<Box<dyn LockedLog>, LogError> {
        self.log.lock(after, limit).await
    }
    async fn read(&self, after: u64, limit: usize) -> Result<Vec<Recorded>, LogError> {
        self.log.read(after, limit).await
    }
    async fn stream(
        &self,
        stream: &StreamId,
        after: u64,
        limit: usize,
    ) -> Result<(Vec<Recorded>, Head), LogError> {
        self.log.stream(stream, after, limit).await
    }
    async fn event(&self, stream: &StreamId, sequence: u64) -> Result<Option<Recorded>, LogError> {
        self.log.event(stream, sequence).await
    }
    async fn claim(&self, claim: &ClaimKey) -> Result<(Option<String>, Head), LogError> {
        self.log.claim(claim).await
    }
    async fn common_chats(
        &self,
        one: PersonId,
        other: PersonId,
        limit: usize,
    ) -> Result<Vec<ChatId>, LogError> {
        self.log.common_chats(one, other, limit).await
    }
    async fn by_ids(&self, ids: &[EventId]) -> Result<Vec<Recorded>, LogError> {
        self.log.by_ids(ids).await
    }
    fn watch(&self) -> watch::Receiver<Head> {
        self.log.watch()
    }
    fn snapshots(&self) -> &dyn Snapshots {
        self.log.snapshots()
    }
    fn reactions(&self) -> &dyn Reactions {
        self.log.reactions()
    }
}

struct Sabotaged<E>(E, Sabotage);

impl<E: Engine> Engine for Sabotaged<E> {
    fn open(&self) -> BoxFuture<'_, Arc<dyn Log>> {
        Box::pin(async {
            let log = self.0.open().await;
            Arc::new(Saboteur { log, how: self.1, owed: Mutex::default() }) as Arc<dyn Log>
        })
    }
}

/// Which sentence of the contract each of them must break, so that it is red for its own reason.
fn broken_by(sabotage: Sabotage) -> &'static str {
    match sabotage {
        Sabotage::SkipPosition | Sabotage::Reorder => "positions are dense and the order is the batch's",
        Sabotage::AnswerBeforeCommit => "what was answered is durable",
        Sabotage::DropClaim => "claims go with their events",
        Sabotage::LoseOneOfTwoStreams => "two streams are written together",
        Sabotage::ForgetKey => "a repeated key is found and nothing is written",
        Sabotage::None => unreachable!("an honest log breaks nothing"),
    }
}

async fn every_saboteur_turns_red<E: Engine, F: Future<Output = E>>(make: impl Fn() -> F) {
    for sabotage in Sabotage::ALL {
        let complaints = complaints(async || Sabotaged(make().await, sabotage)).await;
        let sentence = broken_by(sabotage);
        assert!(
            complaints.iter().any(|complaint| complaint.starts_with(sentence)),
            "{sabotage:?} does not break «{sentence}»: {complaints:#?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_saboteur_turns_the_contract_red_on_sqlite() {
    every_saboteur_turns_red(Sqlite::new).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_saboteur_turns_the_contract_red_on_postgres() {
    every_saboteur_turns_red(Postgres::new).await;
}
