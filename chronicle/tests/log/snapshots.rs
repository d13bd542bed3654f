//! Snapshots, on every engine: a cold start reads one and little else, and none is believed that is
//! of another shape or another history.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use chronicle::log::{Appended, Batch, ClaimKey, Head, LockedLog, Log, LogError, Recorded};
use chronicle::reactions::Reactions;
use chronicle::snapshots::{EVERY, Snapshot, Snapshots, load};
use domain::aggregate::{Any, Event, State, StreamId};
use domain::chat::{Chat, ChatEvent};
use domain::ids::{ChatId, EventId, PersonId};
use tempfile::TempDir;
use tokio::sync::watch;
use uuid::Uuid;

use crate::contract::{Engine, Sqlite};
use crate::postgres::Postgres;
use crate::support::{House, chat, everything, key};

const MESSAGES: u64 = 2 * EVERY + 300;

/// Counts what is read of streams.
#[derive(Debug)]
struct Counted {
    log: Arc<dyn Log>,
    events: AtomicUsize,
    by_key: AtomicUsize,
}

impl Counted {
    fn new(log: Arc<dyn Log>) -> Self {
        Self { log, events: AtomicUsize::new(0), by_key: AtomicUsize::new(0) }
    }
}

#[async_trait]
impl Log for Counted {
    async fn head(&self) -> Result<Head, LogError> {
        self.log.head().await
    }
    async fn append(&self, fence: Head, batch: Arc<Batch>) -> Result<Appended, LogError> {
        self.log.append(fence, batch).await
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
        let (events, head) = self.log.stream(stream, after, limit).await?;
        self.events.fetch_add(events.len(), Ordering::Relaxed);
        Ok((events, head))
    }
    async fn event(&self, stream: &StreamId, sequence: u64) -> Result<Option<Recorded>, LogError> {
        self.by_key.fetch_add(1, Ordering::Relaxed);
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

/// A chat of [`MESSAGES`] messages, and its state by adding up every event.
async fn long_chat(house: &Arc<House>) -> Chat {
    house.make_chat(1).await.expect("a chat");
    let senders: Vec<_> = (0..100)
        .map(|sender| {
            let house = house.clone();
            tokio::spawn(async move {
                for message in 0..MESSAGES / 100 {
                    house.send(1, 0, key(100 + sender, message), "hello").await.expect("sent");
                }
            })
        })
        .collect();
    for sender in senders {
        sender.await.expect("a sender");
    }
    let mut state = Chat::KIND.initial();
    for event in everything(&*house.log).await.iter().filter(|event| event.aggregate_type == "Chat") {
        state.evolve(&event.decode().expect("readable"));
    }
    chat_of(&state)
}

fn chat_of(state: &State) -> Chat {
    Chat::of(state).expect("a chat").clone()
}

/// The snapshot that was written beside the sending, once it is there.
async fn kept(log: &dyn Log, stream: &StreamId) -> Snapshot {
    for _ in 0..600 {
        if let Some(found) = log.snapshots().find(stream, &stream.kind.shape()).await.expect("answers")
            && found.sequence >= 2 * EVERY
        {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("no snapshot was written");
}

async fn cold_start_reads_one(engine: &dyn Engine) {
    let folder = TempDir::new().expect("a folder");
    let house = Arc::new(House::on(folder.path(), engine.open().await).await);
    let expected = long_chat(&house).await;
    let stream = StreamId::of::<Chat>(chat(1));
    let snapshot = kept(&*house.log, &stream).await;

    let cold = Counted::new(engine.open().await);
    let loaded = load(&cold, &stream).await.expect("loads");
    assert_eq!((chat_of(&loaded.state), loaded.sequence), (expected.clone(), MESSAGES + 1));
    let read = cold.events.load(Ordering::Relaxed) as u64;
    assert!(read < EVERY, "{read} events were read beside a snapshot at {}", snapshot.sequence);

    // An old message is one read by key, whatever the chat's length.
    cold.by_key.store(0, Ordering::Relaxed);
    let sequence = expected.sequence_of(777).expect("there is such a message");
    let event = cold.event(&stream, sequence).await.expect("answers").expect("is there");
    let Event::Chat(ChatEvent::MessageSent { number, .. }) = event.decode().expect("readable") else {
        panic!("{event:?} is no message")
    };
    assert_eq!((number, cold.by_key.load(Ordering::Relaxed)), (777, 1));

    // One that lies about its history or can't be read is passed over; another shape isn't found.
    let lie =
        Snapshot { event_id: EventId(Uuid::from_u128(1)), state: snapshot.state.clone(), ..snapshot.clone() };
    let garbage = Snapshot { state: "{}".into(), ..snapshot.clone() };
    let other = Snapshot { shape: "another".into(), ..snapshot.clone() };
    for useless in [lie, garbage, other] {
        house.log.snapshots().keep(useless.clone()).await.expect("kept");
        let loaded = load(&Counted::new(engine.open().await), &stream).await.expect("loads");
        assert_eq!(chat_of(&loaded.state), expected, "under {useless:?}");
        let again = loaded.snapshot.expect("a new one is made");
        assert_eq!(again.sequence, MESSAGES + 1);
    }
    // One with a false state would be believed: so it is the event's id that must not be forged.
    let mut forged: Chat = expected.clone();
    forged.last_number += 1;
    let forged = serde_json::to_string(&State::Chat(forged)).expect("serialises");
    house.log.snapshots().keep(Snapshot { state: forged, ..snapshot }).await.expect("kept");
    let loaded = load(&Counted::new(engine.open().await), &stream).await.expect("loads");
    assert_ne!(chat_of(&loaded.state), expected, "the snapshot was not used at all");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cold_start_reads_one_snapshot_on_sqlite() {
    cold_start_reads_one(&Sqlite::new().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cold_start_reads_one_snapshot_on_postgres() {
    cold_start_reads_one(&Postgres::new().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_of_snapshots_costs_nothing() {
    let folder = TempDir::new().expect("a folder");
    std::fs::write(folder.path().join("log.snapshots.db"), vec![7; 10_000]).expect("written");
    let house = Arc::new(House::open(folder.path()).await);
    let expected = long_chat(&house).await;
    let stream = StreamId::of::<Chat>(chat(1));
    kept(&*house.log, &stream).await;
    assert_eq!(chat_of(&load(&*house.log, &stream).await.expect("loads").state), expected);
}
