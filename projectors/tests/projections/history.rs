//! One history: replayed, resumed, refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use chronicle::log::{Appended, Batch, ClaimKey, Head, LockedLog, Log, LogError, Recorded};
use chronicle::reactions::Reactions;
use chronicle::snapshots::Snapshots;
use domain::aggregate::{Kind, StreamId};
use domain::ids::{ChatId, EventId, PersonId};
use projectors::timeline::TimelineProjection;
use projectors::{Context, Entry, Health, Pace, Projection, ProjectionError, Running};
use stores::directory::LinkState;
use stores::search::SearchQuery;
use stores::timeline::{Change, Keep, MessageQuery, Timeline};
use stores::{Checkpoint, Parked, Port, ReadModel, StoreError, Summing};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::world::*;

/// All that the rows tell.
pub async fn told(context: &Context) -> String {
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
    let incremental = Work::begin(world.open("incremental").await);
    let mut head = 0;
    for event in a_story() {
        head = world.append(event).await;
        incremental.shows(head).await;
    }
    let replayed = Work::begin(world.open("replayed").await);
    replayed.shows(head).await;
    assert_eq!(told(&replayed.context).await, told(&incremental.context).await);
}

#[tokio::test]
async fn a_killed_runner_goes_on_where_its_rows_are() {
    let world = World::new();
    let story = a_story();
    let mut work = Work::begin(world.open("data").await);
    work.until("directory", |status| status.health == Health::Running).await;
    let mut head = 0;
    for (n, event) in story.into_iter().enumerate() {
        head = world.append(event).await;
        if n % 3 == 0 {
            // Dropped in the middle of whatever it was doing.
            drop(work);
            work = Work::begin(world.open_after_a_kill("data").await);
            // But for two, each is there by then.
            if n % 12 != 3 {
                work.until("directory", |status| status.health == Health::Running).await;
            }
        }
    }
    work.shows(head).await;
    let replayed = Work::begin(world.open("replayed").await);
    replayed.shows(head).await;
    assert_eq!(told(&work.context).await, told(&replayed.context).await);
    let held = work.context.stores.directory.serving().checkpoint().await.expect("an answer").expect("it");
    assert!(held.epoch >= 7, "every writer took over: {}", held.epoch);
}

#[tokio::test]
async fn only_one_of_two_runners_goes_on() {
    let world = World::new();
    let context = world.open("data").await;
    let mut first = Work::begin(context.clone());
    first.shows(world.append(created(ANN, "ann", "Ann")).await).await;
    let second = Work::begin(context);
    for name in ["directory", "search"] {
        second.until(name, |status| status.epoch > 1 && status.health == Health::Running).await;
    }
    second.shows(world.append(created(BOB, "bob", "Bob")).await).await;
    loop {
        match first.running.ended().await.expect("the first must halt") {
            (name, Err(halt)) if halt.is_superseded() => {
                if name == "directory" {
                    break;
                }
            }
            (name, ended) => panic!("{name}: {ended:?}"),
        }
    }
    assert_eq!(first.status("directory").health, Health::Superseded);
    let refused = first.running.handle().rebuild("directory", false).await.expect_err("it gave way");
    assert!(refused.to_string().contains("another process"), "{refused}");
    second.end().await;
}

/// Runs the timeline over `context` until it halts; answers why.
async fn halts(context: &Context) -> String {
    let work = Work::of(context.clone(), Pace::default(), |_| TimelineProjection);
    let why = work.halts("timeline").await;
    work.end().await;
    why
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

    let context = world.open("ahead").await;
    remembers(&context, Checkpoint { position: head + 1, ..held.clone() }).await;
    let halt = halts(&context).await;
    assert!(halt.contains(&format!("it shows position {}", head + 1)), "{halt}");

    let context = world.open("other-event").await;
    let other = Some(EventId(Uuid::from_u128(7)));
    remembers(&context, Checkpoint { event_id: other, ..held.clone() }).await;
    let halt = halts(&context).await;
    assert!(halt.contains(&format!("at position {head}")) && halt.contains("another history"), "{halt}");

    let context = world.open("other-log").await;
    remembers(&context, Checkpoint { log_id: Uuid::from_u128(7), ..held.clone() }).await;
    let halt = halts(&context).await;
    assert!(halt.contains("a replay of log"), "{halt}");

    let context = world.open("same").await;
    remembers(&context, held).await;
    let work = Work::begin(context);
    work.shows(head).await;
    work.end().await;
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
    async fn common_chats(
        &self,
        one: PersonId,
        other: PersonId,
        limit: usize,
    ) -> Result<Vec<ChatId>, LogError> {
        self.0.common_chats(one, other, limit).await
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
    fn reactions(&self) -> &dyn Reactions {
        self.0.reactions()
    }
}

#[tokio::test]
async fn a_hole_in_the_log_is_not_passed_over() {
    let world = World::new();
    world.append_all(a_story()).await;
    let context = Context { log: Arc::new(Holed(world.log.clone(), 12)), ..world.open("data").await };
    let halt = halts(&context).await;
    assert!(halt.contains("position 12 is missing"), "{halt}");
    assert_eq!(context.stores.timeline.serving().message(CHAT, 2).await.expect("an answer"), None);
}

/// The timeline's rows in an engine that is away at first.
struct Unlucky {
    timeline: Arc<dyn Timeline>,
    away: AtomicU32,
}

#[async_trait]
impl ReadModel for Unlucky {
    type Change = Change;
    async fn checkpoint(&self) -> Result<Option<Checkpoint>, StoreError> {
        self.timeline.checkpoint().await
    }
    async fn take_over(&self, fresh: Checkpoint) -> Result<Checkpoint, StoreError> {
        self.timeline.take_over(fresh).await
    }
    async fn put(&self, batch: Arc<stores::Batch<Change>>) -> Result<(), StoreError> {
        let left = self.away.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if left.is_ok() {
            return Err(StoreError::Engine { engine: "unlucky", message: "is away".into() });
        }
        self.timeline.put(batch).await
    }
    async fn parked(&self) -> Result<Vec<Parked>, StoreError> {
        self.timeline.parked().await
    }
    async fn index(&self) -> Result<(), StoreError> {
        self.timeline.index().await
    }
    async fn summary(&self) -> Result<Summing, StoreError> {
        self.timeline.summary().await
    }
}

struct OverUnlucky;

#[async_trait]
impl Projection for OverUnlucky {
    type Model = Unlucky;
    const NAME: &'static str = "unlucky";
    const CODE_VERSION: u32 = 1;
    const READS: &'static [Kind] = TimelineProjection::READS;

    async fn changes(&self, batch: &[Entry]) -> Result<Vec<Change>, ProjectionError> {
        TimelineProjection.changes(batch).await
    }
}

#[tokio::test]
async fn an_engine_that_is_away_is_waited_for_and_nothing_is_skipped() {
    let world = World::new();
    let head = world.append_all([created(ANN, "ann", "Ann"), chat_created(ANN, BOB)]).await;
    let context = world.open("data").await;
    let unlucky = Unlucky { timeline: context.stores.timeline.serving(), away: AtomicU32::new(3) };
    let port = Port::fixed(Arc::new(unlucky), "it is a test's");
    let stop = CancellationToken::new();
    let mut running = Running::none(&context, &stop, Pace::default());
    running.carry(&port, |_| OverUnlucky);
    let work = Work { context, running, stop };
    work.until(
        "unlucky",
        |status| matches!(&status.health, Health::Waiting { why } if why.contains("is away")),
    )
    .await;
    let status = work.until("unlucky", |status| status.position == head).await;
    assert_eq!((status.health, status.lag_events, status.lag_seconds), (Health::Running, 0, 0.0));
    let timeline = work.context.stores.timeline.serving();
    assert!(timeline.chat(CHAT).await.expect("an answer").is_some());
    assert_eq!(timeline.checkpoint().await.expect("an answer").expect("it").position, head);
}

/// The timeline as another version of this code tells it.
struct Newer;

#[async_trait]
impl Projection for Newer {
    type Model = dyn Timeline;
    const NAME: &'static str = TimelineProjection::NAME;
    const CODE_VERSION: u32 = TimelineProjection::CODE_VERSION + 1;
    const READS: &'static [Kind] = TimelineProjection::READS;

    async fn changes(&self, batch: &[Entry]) -> Result<Vec<Change>, ProjectionError> {
        TimelineProjection.changes(batch).await
    }
}

#[tokio::test]
async fn rows_of_another_code_version_are_made_anew_beside_the_old_ones() {
    let world = World::new();
    let head = world.append_all([created(ANN, "ann", "Ann"), chat_created(ANN, BOB)]).await;
    let work = Work::of(world.open("data").await, Pace::default(), |_| TimelineProjection);
    work.until("timeline", |status| status.position == head).await;
    let context = work.end().await;
    let head = world.append(sent(ANN, 1, "Hello")).await;
    let work = Work::of(context, Pace::default(), |_| Newer);
    let status = work.until("timeline", |status| status.generation == 2).await;
    assert_eq!(
        (status.position, status.code_version, status.health),
        (head, Newer::CODE_VERSION, Health::Running)
    );
    let held = work.context.stores.timeline.serving().checkpoint().await.expect("an answer").expect("it");
    assert_eq!((held.code_version, held.generation), (Newer::CODE_VERSION, 2));
    assert!(work.context.stores.timeline.serving().message(CHAT, 1).await.expect("an answer").is_some());
}
