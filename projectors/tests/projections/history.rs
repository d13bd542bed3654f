//! One history: replayed, resumed, refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use chronicle::log::{Appended, Batch, ClaimKey, Head, LockedLog, Log, LogError, Recorded};
use chronicle::snapshots::Snapshots;
use domain::aggregate::{Event, StreamId};
use domain::ids::EventId;
use projectors::{Context, Entry, Halt, Projection, ProjectionError, Runner};
use stores::directory::LinkState;
use stores::search::SearchQuery;
use stores::timeline::{Change, Keep, MessageQuery, Timeline};
use stores::{Checkpoint, Parked, ReadModel, StoreError, Summing};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::world::*;

/// All that the rows tell.
async fn told(context: &Context) -> String {
    let stores = &context.stores;
    let mut told = String::new();
    for person in [ANN, BOB] {
        told += &format!("{:?}\n", stores.sessions.serving().sessions_of(person).await.expect("an answer"));
        told += &format!("{:?}\n", stores.directory.serving().account(person).await.expect("an answer"));
        told += &format!("{:?}\n", stores.directory.serving().persons(&[person]).await.expect("an answer"));
        told += &format!("{:?}\n", stores.timeline.serving().chats_of(person).await.expect("an answer"));
        let list = stores::directory::LinkedQuery {
            state: LinkState::Accepted,
            after: None,
            before: None,
            limit: 9,
        };
        told += &format!("{:?}\n", stores.directory.serving().linked(person, list).await.expect("an answer"));
        told += &format!("{:?}\n", stores.search.serving().documents(&[person]).await.expect("an answer"));
    }
    let all = MessageQuery { from: None, to: None, before: None, after: None, keep: Keep::Oldest, limit: 99 };
    told += &format!("{:?}\n", stores.timeline.serving().messages(CHAT, all).await.expect("an answer"));
    told += &format!("{:?}\n", stores.timeline.serving().feed_since(CHAT, 0, 99).await.expect("an answer"));
    told += &format!(
        "{:?}\n",
        stores.search.serving().candidates(SearchQuery::of("ro")).await.expect("an answer")
    );
    told
}

#[tokio::test]
async fn a_replay_from_nothing_tells_what_was_told_step_by_step() {
    let world = World::new();
    let incremental = Work::begin(world.open("incremental"));
    let mut head = 0;
    for event in a_story() {
        head = world.append(event).await;
        incremental.shows(head).await;
    }
    let replayed = Work::begin(world.open("replayed"));
    replayed.shows(head).await;
    assert_eq!(told(&replayed.context).await, told(&incremental.context).await);
}

#[tokio::test]
async fn a_killed_runner_goes_on_where_its_rows_are() {
    let world = World::new();
    let story = a_story();
    let mut work = Work::begin(world.open("data"));
    let mut head = 0;
    for (n, event) in story.into_iter().enumerate() {
        head = world.append(event).await;
        if n % 3 == 0 {
            // Dropped in the middle of whatever it was doing.
            drop(work);
            work = Work::begin(world.open_after_a_kill("data").await);
        }
    }
    work.shows(head).await;
    let replayed = Work::begin(world.open("replayed"));
    replayed.shows(head).await;
    assert_eq!(told(&work.context).await, told(&replayed.context).await);
    let held = work.context.stores.directory.serving().checkpoint().await.expect("an answer").expect("it");
    assert!(held.epoch >= 7, "every writer took over: {}", held.epoch);
}

#[tokio::test]
async fn only_one_of_two_runners_goes_on() {
    let world = World::new();
    let context = world.open("data");
    let mut first = Work::begin(context.clone());
    first.shows(world.append(created(ANN, "ann", "Ann")).await).await;
    let second = Work::begin(context);
    second.shows(world.append(created(BOB, "bob", "Bob")).await).await;
    loop {
        match first.running.ended().await.expect("the first must halt") {
            ("directory", Err(Halt::Store(StoreError::StaleEpoch { .. }))) => break,
            ("search", Err(Halt::Store(StoreError::StaleEpoch { .. }))) => {}
            (name, ended) => panic!("{name}: {ended:?}"),
        }
    }
    second.end().await;
}

/// Runs the timeline over `context` until it halts.
async fn halts(context: &Context) -> Halt {
    let projection = projectors::timeline::TimelineProjection::new(context);
    let run = Runner::new(context.clone(), projection).run(CancellationToken::new());
    tokio::time::timeout(PATIENCE, run).await.expect("it halts in time").expect_err("it must halt")
}

async fn remembers(context: &Context, checkpoint: Checkpoint) {
    let timeline = context.stores.timeline.serving();
    timeline.take_over(checkpoint.clone()).await.expect("taken over");
    timeline.write(Vec::new(), Checkpoint { epoch: 1, ..checkpoint }).await.expect("written");
}

#[tokio::test]
async fn another_history_is_refused_by_name() {
    let world = World::new();
    let head = world.append_all(a_story()).await;
    let held = Checkpoint {
        position: head,
        event_id: world.log.head().await.expect("a head").event_id,
        ..Checkpoint::start(world.log_id, 1)
    };

    let context = world.open("ahead");
    remembers(&context, Checkpoint { position: head + 1, ..held.clone() }).await;
    let halt = halts(&context).await;
    assert!(matches!(halt, Halt::Ahead { shown, head: at } if shown == head + 1 && at == head), "{halt}");

    let context = world.open("other-event");
    let other = Some(EventId(Uuid::from_u128(7)));
    remembers(&context, Checkpoint { event_id: other, ..held.clone() }).await;
    let halt = halts(&context).await;
    assert!(matches!(halt, Halt::OtherHistory { position, .. } if position == head), "{halt}");

    let context = world.open("other-log");
    remembers(&context, Checkpoint { log_id: Uuid::from_u128(7), ..held.clone() }).await;
    let halt = halts(&context).await;
    assert!(matches!(halt, Halt::OtherLog { log, .. } if log == world.log_id), "{halt}");

    let context = world.open("same");
    remembers(&context, held).await;
    let work = Work::begin(context);
    work.shows(head).await;
    work.end().await;
}

#[tokio::test]
async fn an_event_of_a_newer_version_is_not_passed_over() {
    let world = World::new();
    let before = world.append(chat_created(ANN, BOB)).await;
    let mut newer = world.record(sent(ANN, 1, "Hello")).await;
    newer.event_version = "2".to_owned();
    let position = world.append_recorded(newer).await;
    world.append(sent(ANN, 2, "Hello")).await;
    let context = world.open("data");
    let halt = halts(&context).await;
    assert!(matches!(halt, Halt::Undecodable { position: at, .. } if at == position), "{halt}");
    assert!(halt.to_string().contains("MessageSent"), "{halt}");
    assert!(context.stores.progress.position("timeline") <= before);
}

/// A log that has lost one event.
#[derive(Debug)]
struct Holed(Arc<dyn Log>, u64);

#[async_trait]
impl Log for Holed {
    async fn head(&self) -> Result<Head, LogError> {
        self.0.head().await
    }
    async fn append(&self, fence: Head, batch: Arc<Batch>) -> Result<Appended, LogError> {
        self.0.append(fence, batch).await
    }
    async fn lock(&self, after: u64, limit: usize) -> Result<Box<dyn LockedLog>, LogError> {
        self.0.lock(after, limit).await
    }
    async fn read(&self, after: u64, limit: usize) -> Result<Vec<Recorded>, LogError> {
        let mut events = self.0.read(after, limit).await?;
        events.retain(|event| event.position != self.1);
        Ok(events)
    }
    async fn stream(
        &self,
        stream: &StreamId,
        after: u64,
        limit: usize,
    ) -> Result<(Vec<Recorded>, Head), LogError> {
        self.0.stream(stream, after, limit).await
    }
    async fn event(&self, stream: &StreamId, sequence: u64) -> Result<Option<Recorded>, LogError> {
        self.0.event(stream, sequence).await
    }
    async fn claim(&self, claim: &ClaimKey) -> Result<(Option<String>, Head), LogError> {
        self.0.claim(claim).await
    }
    async fn by_ids(&self, ids: &[EventId]) -> Result<Vec<Recorded>, LogError> {
        self.0.by_ids(ids).await
    }
    fn watch(&self) -> watch::Receiver<Head> {
        self.0.watch()
    }
    fn snapshots(&self) -> &dyn Snapshots {
        self.0.snapshots()
    }
}

#[tokio::test]
async fn a_hole_in_the_log_is_not_passed_over() {
    let world = World::new();
    world.append_all(a_story()).await;
    let context = Context { log: Arc::new(Holed(world.log.clone(), 12)), ..world.open("data") };
    let halt = halts(&context).await;
    assert!(matches!(halt, Halt::Hole { expected: 12, found: 13 }), "{halt}");
    assert_eq!(context.stores.timeline.serving().message(CHAT, 2).await.expect("an answer"), None);
}

#[tokio::test]
async fn what_one_projection_cannot_apply_does_not_stop_the_others() {
    let world = World::new();
    world.append(created(ANN, "ann", "Ann")).await;
    // Sealed for another place: damaged, as far as anybody can tell.
    let mut damaged = world.record(registered(BOB, "bob@example.org")).await;
    damaged.payload = damaged.payload.replace(&BOB.to_string(), &ANN.to_string());
    damaged.aggregate_id = ANN.to_string();
    let position = world.append_recorded(damaged).await;
    let head = world.append(chat_created(ANN, BOB)).await;
    let mut work = Work::begin(world.open("data"));
    let (name, ended) = work.running.ended().await.expect("the directory must halt");
    let halt = ended.expect_err("not because it was told to");
    assert_eq!(name, "directory");
    assert!(
        matches!(halt, Halt::Projection(ProjectionError::Poison { position: at, .. }) if at == position),
        "{halt}"
    );
    let progress = &work.context.stores.progress;
    let others = progress.wait(&["sessions", "timeline", "search"], head, PATIENCE).await;
    assert_eq!(others, head);
    assert!(progress.position("directory") < position);
}

/// The timeline under another code version and with an engine that is away at first.
struct Unlucky {
    timeline: Arc<dyn Timeline>,
    version: u32,
    away: AtomicU32,
    seen: std::sync::Mutex<Vec<u64>>,
}

impl Unlucky {
    fn new(context: &Context, version: u32, away: u32) -> Self {
        let timeline = context.stores.timeline.serving();
        Self { timeline, version, away: AtomicU32::new(away), seen: Default::default() }
    }
}

#[async_trait]
impl Projection for Shared {
    type Model = Shared;
    fn name(&self) -> &'static str {
        "unlucky"
    }
    fn code_version(&self) -> u32 {
        self.0.version
    }
    fn model(&self) -> &Self::Model {
        self
    }
    async fn changes(&self, batch: &[Entry]) -> Result<Vec<Change>, ProjectionError> {
        self.0.seen.lock().expect("no panic").extend(batch.iter().map(|entry| entry.position));
        let mut changes = Vec::new();
        for entry in batch {
            if let Event::Chat(domain::chat::ChatEvent::DirectChatCreated { chat, by, at, .. }) = &entry.event
            {
                changes.push(Change::Created {
                    chat_id: *chat,
                    kind: domain::views::ChatKind::Direct,
                    created_by: *by,
                    created_at: *at,
                    position: entry.position,
                });
            }
        }
        Ok(changes)
    }
}

#[derive(Clone)]
struct Shared(Arc<Unlucky>);

#[async_trait]
impl ReadModel for Shared {
    type Change = Change;
    async fn checkpoint(&self) -> Result<Option<Checkpoint>, StoreError> {
        self.0.timeline.checkpoint().await
    }
    async fn take_over(&self, fresh: Checkpoint) -> Result<Checkpoint, StoreError> {
        self.0.timeline.take_over(fresh).await
    }
    async fn put(&self, batch: Arc<stores::Batch<Change>>) -> Result<(), StoreError> {
        let left = self.0.away.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if left.is_ok() {
            return Err(StoreError::Engine { engine: "unlucky", message: "is away".into() });
        }
        self.0.timeline.put(batch).await
    }
    async fn parked(&self) -> Result<Vec<Parked>, StoreError> {
        self.0.timeline.parked().await
    }
    async fn index(&self) -> Result<(), StoreError> {
        self.0.timeline.index().await
    }
    async fn summary(&self) -> Result<Summing, StoreError> {
        self.0.timeline.summary().await
    }
}

/// Runs it until it shows `position`; answers which positions it was asked for.
async fn run_to(context: &Context, unlucky: Unlucky, position: u64) -> Vec<u64> {
    let unlucky = Shared(Arc::new(unlucky));
    let stop = CancellationToken::new();
    context.stores.progress.show("unlucky", 0);
    let running = tokio::spawn(Runner::new(context.clone(), unlucky.clone()).run(stop.clone()));
    assert_eq!(context.stores.progress.wait(&["unlucky"], position, PATIENCE).await, position);
    stop.cancel();
    running.await.expect("no panic").expect("no halt");
    unlucky.0.seen.lock().expect("no panic").clone()
}

#[tokio::test]
async fn an_engine_that_is_away_is_waited_for_and_nothing_is_skipped() {
    let world = World::new();
    let head = world.append_all([created(ANN, "ann", "Ann"), chat_created(ANN, BOB)]).await;
    let context = world.open("data");
    run_to(&context, Unlucky::new(&context, 1, 3), head).await;
    assert!(context.stores.timeline.serving().chat(CHAT).await.expect("an answer").is_some());
    let held = context.stores.timeline.serving().checkpoint().await.expect("an answer").expect("it");
    assert_eq!(held.position, head);
}

#[tokio::test]
async fn rows_of_another_code_version_are_made_anew() {
    let world = World::new();
    let head = world.append_all([created(ANN, "ann", "Ann"), chat_created(ANN, BOB)]).await;
    let context = world.open("data");
    assert_eq!(run_to(&context, Unlucky::new(&context, 1, 0), head).await, [1, 2]);
    assert!(run_to(&context, Unlucky::new(&context, 1, 0), head).await.is_empty(), "nothing to do");
    assert_eq!(run_to(&context, Unlucky::new(&context, 2, 0), head).await, [1, 2]);
    let held = context.stores.timeline.serving().checkpoint().await.expect("an answer").expect("it");
    assert_eq!((held.code_version, held.generation, held.position), (2, 2, head));
}
