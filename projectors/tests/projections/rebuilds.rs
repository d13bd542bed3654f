//! Generations: built beside the served one, compared, switched to, left.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use domain::aggregate::{Event, Kind};
use domain::chat::ChatEvent;
use projectors::timeline::TimelineProjection;
use projectors::{Context, Entry, Health, Pace, Projection, ProjectionError, Refusal, Stage};
use stores::ReadModel;
use stores::timeline::{Change, Timeline};
use tokio::sync::{Semaphore, watch};

use crate::world::*;

/// Small steps, so that a story is many of them.
const STEPS: Pace = Pace { grace: Duration::from_secs(3_600), chunk: 3, near: 1 };

async fn ends(mut stage: watch::Receiver<Stage>) -> Stage {
    let ended = tokio::time::timeout(PATIENCE, stage.wait_for(Stage::is_end)).await.expect("it ends in time");
    ended.expect("its runner lives").clone()
}

async fn rebuilt(work: &Work, name: &str, accept: bool) -> Stage {
    ends(work.running.handle().rebuild(name, accept).await.expect("it may be asked")).await
}

/// The timeline, let through event by event while it loads a generation.
struct Gated {
    gate: Option<Arc<Semaphore>>,
    asked: Arc<AtomicU64>,
}

#[async_trait]
impl Projection for Gated {
    type Model = dyn Timeline;
    const NAME: &'static str = TimelineProjection::NAME;
    const CODE_VERSION: u32 = TimelineProjection::CODE_VERSION;
    const READS: &'static [Kind] = TimelineProjection::READS;

    async fn changes(&self, batch: &[Entry]) -> Result<Vec<Change>, ProjectionError> {
        if let Some(gate) = &self.gate {
            self.asked.fetch_max(batch[0].position, Ordering::SeqCst);
            gate.acquire_many(batch.len() as u32).await.expect("it stays open").forget();
        }
        TimelineProjection.changes(batch).await
    }
}

/// Work whose served generation is fed freely, and whose others wait at `gate`.
async fn gated(context: Context, gate: &Arc<Semaphore>, asked: &Arc<AtomicU64>) -> Work {
    let served = context.stores.timeline.serving();
    let (gate, asked) = (gate.clone(), asked.clone());
    Work::of(context, STEPS, move |rows| {
        let gate = (!Arc::ptr_eq(&rows, &served)).then(|| gate.clone());
        Gated { gate, asked: asked.clone() }
    })
}

async fn messages(world: &World, from: u64, to: u64) -> u64 {
    let mut head = 0;
    for number in from..=to {
        head = world.append(sent(ANN, number, "Hello")).await;
    }
    head
}

#[tokio::test]
async fn a_rebuild_killed_midway_leaves_the_old_rows_and_goes_on() {
    let world = World::new();
    world.append(chat_created(ANN, BOB)).await;
    let head = messages(&world, 1, 30).await;
    let (gate, asked) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicU64::new(0)));
    let work = gated(world.open("data").await, &gate, &asked).await;
    work.until("timeline", |status| status.position == head).await;
    gate.add_permits(13);
    let stage = work.running.handle().rebuild("timeline", true).await.expect("begun");
    let joined = work.running.handle().rebuild("timeline", false).await.expect("joined");
    assert!(stage.same_channel(&joined), "one at a time");
    work.until("timeline", |_| asked.load(Ordering::SeqCst) > 9).await;
    let Some(Stage::Loading { position, head: end, .. }) = work.status("timeline").rebuild else {
        panic!("{:?}", work.status("timeline"))
    };
    assert!(position > 3 && position < end && end == head, "{position} of {end}");
    // The served one goes on meanwhile.
    let head = messages(&world, 31, 32).await;
    let status = work.until("timeline", |status| status.position == head).await;
    assert_eq!(status.generation, 1);
    drop(work);

    gate.forget_permits(99);
    asked.store(0, Ordering::SeqCst);
    let work = gated(world.open_after_a_kill("data").await, &gate, &asked).await;
    let status = work.until("timeline", |_| asked.load(Ordering::SeqCst) > 0).await;
    assert!(asked.load(Ordering::SeqCst) > 6, "it went on from its checkpoint");
    assert_eq!(status.generation, 1);
    gate.add_permits(999);
    let status = work.until("timeline", |status| status.generation == 2).await;
    assert!(matches!(status.rebuild, Some(Stage::Switched { generation: 2, events, .. }) if events == head));
    let chat = work.context.stores.timeline.serving().chat(CHAT).await.expect("an answer").expect("it");
    assert_eq!((chat.last_number, chat.member_count), (32, 2));
}

#[tokio::test]
async fn readers_and_writers_notice_nothing_of_any_rebuild() {
    let world = World::new();
    let head = world.append_all(a_story()).await;
    let work = Work::at(world.open("data").await, STEPS);
    work.shows(head).await;
    let (stop, latest) = (tokio_util::sync::CancellationToken::new(), Arc::new(AtomicU64::new(0)));
    let reading = tokio::spawn({
        let (stores, stop, latest) = (work.context.stores.clone(), stop.clone(), latest.clone());
        async move {
            let mut least = 4;
            while !stop.is_cancelled() {
                let shown = stores.progress.position("timeline");
                let rows = stores.timeline.serving();
                let chat = rows.chat(CHAT).await.expect("an answer");
                let held = rows.checkpoint().await.expect("an answer").expect("it");
                let last = chat.expect("never empty").last_number;
                assert!(last >= least, "{last} after {least}");
                assert!(rows.message(CHAT, last).await.expect("an answer").is_some(), "never torn");
                least = last;
                latest.fetch_max(held.generation, Ordering::SeqCst);
                let now = stores.progress.position("timeline");
                assert!(now >= shown, "progress went back");
                tokio::task::yield_now().await;
            }
        }
    });
    let mut head = 0;
    for (n, name) in ["timeline", "directory", "search", "sessions", "timeline"].into_iter().enumerate() {
        let stage = work.running.handle().rebuild(name, false).await.expect("begun");
        for number in 5 + 10 * n as u64..15 + 10 * n as u64 {
            head = world.append(sent(ANN, number, "Hello")).await;
            work.context.stores.progress.wait(&["timeline"], head, PATIENCE).await;
            let mine = work.context.stores.timeline.serving().message(CHAT, number).await;
            assert!(mine.expect("an answer").is_some(), "one's own write is read: {number}");
        }
        let stage = ends(stage).await;
        assert!(matches!(stage, Stage::Switched { .. }), "{name}: {stage:?}");
    }
    work.shows(head).await;
    // It reads a while longer, if need be, until it has met the last generation.
    let began = std::time::Instant::now();
    while latest.load(Ordering::SeqCst) < 3 && !reading.is_finished() && began.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    stop.cancel();
    reading.await.expect("no reader was wronged");
    assert_eq!(latest.load(Ordering::SeqCst), 3, "the generation that is read in the end");
    assert_eq!(work.status("directory").generation, 2);
    let replayed = Work::begin(world.open("replayed").await);
    replayed.shows(head).await;
    let told = crate::history::told(&work.context).await;
    assert_eq!(told, crate::history::told(&replayed.context).await);
}

/// Changes a row of the served timeline behind everybody's back.
fn tamper(world: &World, generation: u64, sql: &str) {
    let file = world.folder.path().join(format!("data/timeline/{generation}/rows.db"));
    let rows = rusqlite::Connection::open(file).expect("opened");
    rows.busy_timeout(Duration::from_secs(5)).expect("set");
    rows.execute_batch(sql).expect("changed");
}

#[tokio::test]
async fn rows_that_differ_are_told_of_and_served_only_if_accepted() {
    let world = World::new();
    let head = world.append_all(a_story()).await;
    let work = Work::at(world.open("data").await, STEPS);
    work.shows(head).await;
    tamper(&world, 1, "UPDATE messages SET reply_to = 1 WHERE number = 2");
    let Stage::Failed { why, differences } = rebuilt(&work, "timeline", false).await else {
        panic!("it must fail")
    };
    assert!(why.contains("--accept"), "{why}");
    assert!(differences.len() == 1 && differences[0].starts_with("messages: 4 rows"), "{differences:?}");
    tamper(&world, 1, "DELETE FROM members WHERE person = x'0000000000000000000000000000000b'");
    let Stage::Failed { differences, .. } = rebuilt(&work, "timeline", false).await else {
        panic!("it must fail")
    };
    assert!(differences.iter().any(|it| it == "members: 1 rows, 2 in the new one"), "{differences:?}");
    let status = work.status("timeline");
    assert_eq!((status.generation, &status.health), (1, &Health::Running), "the old one goes on");
    assert!(!world.folder.path().join("data/timeline/2").exists(), "what failed is gone");
    let head = world.append(sent(ANN, 5, "Hello")).await;
    work.shows(head).await;

    let stage = rebuilt(&work, "timeline", true).await;
    assert!(matches!(stage, Stage::Switched { .. }), "{stage:?}");
    let rows = work.context.stores.timeline.serving();
    assert_eq!(rows.members(CHAT).await.expect("an answer").len(), 2);
}

#[tokio::test]
async fn the_one_before_is_fed_for_a_while_and_then_dropped() {
    let world = World::new();
    let head = world.append_all(a_story()).await;
    let before = world.folder.path().join("data/timeline/1");
    let work = Work::at(world.open("data").await, STEPS);
    work.shows(head).await;
    let old = work.context.stores.timeline.serving();
    assert!(matches!(rebuilt(&work, "timeline", false).await, Stage::Switched { generation: 2, .. }));
    assert_eq!(work.status("timeline").previous, Some(1));
    let head = world.append(sent(ANN, 5, "Hello")).await;
    work.shows(head).await;
    assert!(old.message(CHAT, 5).await.expect("an answer").is_some(), "whoever has it goes on reading");
    let context = work.end().await;

    let work = Work::at(context, Pace { grace: Duration::ZERO, ..STEPS });
    work.shows(head).await;
    assert!(!before.exists(), "a start drops it");
    assert!(matches!(rebuilt(&work, "timeline", false).await, Stage::Switched { .. }));
    work.until("timeline", |status| status.previous.is_none()).await;
    assert!(!world.folder.path().join("data/timeline/2").exists());
}

#[tokio::test]
async fn damaged_rows_are_told_of_and_cured() {
    let world = World::new();
    let head = world.append_all(a_story()).await;
    let work = Work::at(world.open("data").await, STEPS);
    work.shows(head).await;
    tamper(&world, 1, "DROP TABLE messages");
    let met = work.context.stores.timeline.serving().message(CHAT, 1).await;
    assert!(met.expect_err("it is gone").is_damage());
    assert!(work.halts("timeline").await.contains("damaged"), "a reader has met it");
    let head = world.append(sent(ANN, 5, "Hello")).await;
    let others =
        work.context.stores.progress.wait(&["sessions", "directory", "search"], head, PATIENCE).await;
    assert_eq!(others, head, "the others go on");
    assert!(matches!(rebuilt(&work, "timeline", false).await, Stage::Switched { generation: 2, .. }));
    let status = work.until("timeline", |status| status.health == Health::Running).await;
    assert_eq!(status.position, head);
    assert!(work.context.stores.timeline.serving().message(CHAT, 5).await.expect("an answer").is_some());
}

#[tokio::test]
async fn rows_whose_checkpoint_cannot_be_written_are_cured_by_a_rebuild() {
    let world = World::new();
    let head = world.append_all(a_story()).await;
    let work = Work::at(world.open("data").await, STEPS);
    work.shows(head).await;
    tamper(&world, 1, "DROP TABLE checkpoint");
    let stage = rebuilt(&work, "timeline", false).await;
    assert!(matches!(stage, Stage::Switched { generation: 2, .. }), "{stage:?}");
    let status = work.until("timeline", |status| status.health == Health::Running).await;
    assert_eq!((status.position, status.generation), (head, 2));
}

#[tokio::test]
async fn a_generation_damaged_while_it_was_built_is_dropped_at_the_next_start() {
    let world = World::new();
    let head = world.append_all(a_story()).await;
    let (gate, asked) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicU64::new(0)));
    let work = gated(world.open("data").await, &gate, &asked).await;
    work.until("timeline", |status| status.position == head).await;
    work.running.handle().rebuild("timeline", false).await.expect("begun");
    drop(work);
    let context = world.open_after_a_kill("data").await;
    tamper(&world, 2, "DROP TABLE parked; DROP TABLE checkpoint");
    let work = Work::at(context, STEPS);
    work.shows(head).await;
    assert_eq!(work.status("timeline").health, Health::Running);
    assert!(!world.folder.path().join("data/timeline/2").exists(), "it cannot be gone on with");
    assert!(matches!(rebuilt(&work, "timeline", false).await, Stage::Switched { generation: 2, .. }));
}

/// Newer code, whose first attempt breaks off.
struct Newer(Arc<AtomicU64>);

#[async_trait]
impl Projection for Newer {
    type Model = dyn Timeline;
    const NAME: &'static str = TimelineProjection::NAME;
    const CODE_VERSION: u32 = TimelineProjection::CODE_VERSION + 1;
    const READS: &'static [Kind] = TimelineProjection::READS;

    async fn changes(&self, batch: &[Entry]) -> Result<Vec<Change>, ProjectionError> {
        if self.0.fetch_add(1, Ordering::SeqCst) == 0 {
            let message = "it is away".to_owned();
            return Err(stores::StoreError::Damaged { engine: "test", message }.into());
        }
        TimelineProjection.changes(batch).await
    }
}

#[tokio::test]
async fn what_newer_code_makes_anew_is_begun_again_when_it_breaks_off() {
    let world = World::new();
    let head = world.append_all(a_story()).await;
    let work = Work::at(world.open("data").await, STEPS);
    work.shows(head).await;
    let context = work.end().await;
    let asked = Arc::new(AtomicU64::new(0));
    let made = asked.clone();
    let work = Work::of(context, STEPS, move |_| Newer(made.clone()));
    let status = work.until("timeline", |status| status.health == Health::Running).await;
    assert_eq!((status.position, status.generation), (head, 2));
    assert!(asked.load(Ordering::SeqCst) > 1, "the first attempt broke off");
}

/// Says that it has written, of rows that it has not.
struct Forgetful;

#[async_trait]
impl Projection for Forgetful {
    type Model = dyn Timeline;
    const NAME: &'static str = TimelineProjection::NAME;
    const CODE_VERSION: u32 = TimelineProjection::CODE_VERSION;
    const READS: &'static [Kind] = TimelineProjection::READS;

    async fn changes(&self, batch: &[Entry]) -> Result<Vec<Change>, ProjectionError> {
        let forgotten =
            |entry: &&Entry| !matches!(&entry.event, Event::Chat(ChatEvent::MessageSent { number: 3, .. }));
        let batch: Vec<Entry> = batch.iter().filter(forgotten).cloned().collect();
        TimelineProjection.changes(&batch).await
    }
}

#[tokio::test]
async fn code_that_tells_another_story_is_found_out() {
    let world = World::new();
    let head = world.append_all(a_story()).await;
    let work = Work::of(world.open("data").await, STEPS, |_| Forgetful);
    work.until("timeline", |status| status.position == head).await;
    let context = work.end().await;
    let work = Work::at(context, STEPS);
    work.shows(head).await;
    let Stage::Failed { differences, .. } = rebuilt(&work, "timeline", false).await else {
        panic!("it must fail")
    };
    assert!(differences.contains(&"messages: 3 rows, 4 in the new one".to_owned()), "{differences:?}");
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_with_what_to_do() {
    let world = World::new();
    world.append_all(a_story()).await;
    let work = Work::begin(world.open("data").await);
    let desk = work.running.handle();
    let refused = desk.rebuild("timelines", false).await.expect_err("unknown");
    assert!(refused.to_string().contains("directory, timeline"), "{refused}");
    let refused = desk.rebuild("live", false).await.expect_err("it has no rows");
    assert!(matches!(&refused, Refusal::NotRebuildable { .. }) && refused.to_string().contains("no rows"));
    work.end().await;
    assert_eq!(desk.rebuild("timeline", false).await.expect_err("it has ended"), Refusal::Stopping);
}

#[tokio::test]
async fn a_writer_that_was_paused_comes_back_and_changes_nothing() {
    let world = World::new();
    let head = world.append_all(a_story()).await;
    let first = Work::at(world.open("data").await, STEPS);
    first.shows(head).await;
    // What it would write once it wakes, in every port, after another has taken over.
    let stores = first.context.stores.clone();
    let ports: [(&str, Arc<dyn Late>); 4] = [
        ("sessions", Arc::new(LateOver(stores.sessions.clone()))),
        ("directory", Arc::new(LateOver(stores.directory.clone()))),
        ("timeline", Arc::new(LateOver(stores.timeline.clone()))),
        ("search", Arc::new(LateOver(stores.search.clone()))),
    ];
    let second = Work::at(first.context.clone(), STEPS);
    second.shows(head).await;
    for (name, port) in ports {
        let epoch = second.until(name, |status| status.health == Health::Running).await.epoch;
        assert!(epoch > 1, "{name}");
        port.writes_late(name, epoch - 1).await;
    }
    let told = crate::history::told(&second.context).await;
    let replayed = Work::begin(world.open("replayed").await);
    replayed.shows(head).await;
    assert_eq!(told, crate::history::told(&replayed.context).await);
    assert!(matches!(rebuilt(&second, "timeline", false).await, Stage::Switched { .. }), "the new one can");
}

#[async_trait]
trait Late {
    async fn writes_late(&self, name: &str, epoch: u64);
}

struct LateOver<M: ReadModel + ?Sized>(stores::Port<M>);

#[async_trait]
impl<M: ReadModel + ?Sized> Late for LateOver<M> {
    async fn writes_late(&self, name: &str, epoch: u64) {
        let held = self.0.serving().checkpoint().await.expect("an answer").expect("it");
        let late = held.position + 9_000;
        let mine = stores::Checkpoint { epoch, position: late, ..held.clone() };
        let asked = stores::Asked::default();
        for refused in [
            self.0.serving().write(Vec::new(), mine.clone()).await.err(),
            self.0.shelf().begin(mine, epoch, asked).await.err(),
            self.0.shelf().switch(held.generation + 1, epoch).await.err(),
            self.0.shelf().discard(held.generation + 1, epoch).await.err(),
        ] {
            assert!(matches!(refused, Some(stores::StoreError::StaleEpoch { .. })), "{name}: {refused:?}");
        }
        let after = self.0.serving().checkpoint().await.expect("an answer").expect("it");
        assert_eq!((after.epoch, after.generation), (held.epoch, held.generation), "{name}");
        // Its owner may have noted meanwhile that there was nothing more.
        assert!(after.position >= held.position && after.position != late, "{name}: {after:?}");
    }
}
