//! Events that cannot be applied: their streams are parked, the others go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use domain::aggregate::{Event, Kind};
use domain::chat::ChatEvent;
use domain::ids::SessionId;
use projectors::timeline::TimelineProjection;
use projectors::{Entry, Health, Pace, Projection, ProjectionError, Refusal, Stage, is_vital};
use stores::sessions::SessionState;
use stores::timeline::{Change, Timeline};
use uuid::Uuid;

use crate::world::*;

const SESSION: SessionId = SessionId(Uuid::from_u128(1));

/// The timeline, with a message that it cannot apply yet.
struct Fussy(Arc<AtomicBool>);

#[async_trait]
impl Projection for Fussy {
    type Model = dyn Timeline;
    const NAME: &'static str = TimelineProjection::NAME;
    const CODE_VERSION: u32 = TimelineProjection::CODE_VERSION;
    const READS: &'static [Kind] = TimelineProjection::READS;

    async fn changes(&self, batch: &[Entry]) -> Result<Vec<Change>, ProjectionError> {
        for entry in batch {
            if let Event::Chat(ChatEvent::MessageSent { number: 2, .. }) = &entry.event
                && !self.0.load(Ordering::SeqCst)
            {
                return Err(ProjectionError::poison(entry, "it is too much"));
            }
        }
        TimelineProjection.changes(batch).await
    }
}

fn fussy(context: projectors::Context, cured: &Arc<AtomicBool>) -> Work {
    let cured = cured.clone();
    Work::of(context, Pace { near: 1, chunk: 3, ..Pace::default() }, move |_| Fussy(cured.clone()))
}

#[tokio::test]
async fn a_parked_stream_is_passed_over_and_applied_when_it_can_be() {
    let world = World::new();
    let cured = Arc::new(AtomicBool::new(false));
    let head = world.append_all(a_story()).await;
    let work = fussy(world.open("data").await, &cured);
    let status = work.until("timeline", |status| status.position == head).await;
    assert_eq!(status.health, Health::Running);
    let stream = format!("Chat/{CHAT}");
    let parked = &status.parked[..];
    assert_eq!((parked.len(), parked[0].stream.as_str(), parked[0].position), (1, stream.as_str(), 13));
    assert_eq!((parked[0].why.as_str(), parked[0].since), ("it is too much", at(13)));
    let rows = work.context.stores.timeline.serving();
    let chat = rows.chat(CHAT).await.expect("an answer").expect("it");
    assert_eq!(chat.last_number, 1, "what came before is there");

    let desk = work.running.handle();
    let retried = desk.retry("timeline", None).await.expect("an answer");
    assert_eq!((retried.len(), retried[0].events), (1, 0));
    assert!(retried[0].error.as_deref().is_some_and(|why| why.contains("too much")), "{retried:?}");
    let unknown = desk.retry("timeline", Some("Chat/none")).await.expect_err("none such");
    assert!(matches!(unknown, Refusal::NotParked { .. }));
    // It outlives the process.
    drop(rows);
    drop(work);
    let work = fussy(world.open_after_a_kill("data").await, &cured);
    let head = world.append(sent(ANN, 5, "Hello")).await;
    let status = work.until("timeline", |status| status.position == head).await;
    assert_eq!(status.parked.len(), 1);

    cured.store(true, Ordering::SeqCst);
    let retried = work.running.handle().retry("timeline", Some(&stream)).await.expect("an answer");
    assert_eq!((retried[0].events, &retried[0].error), (4, &None), "2, 3, 4 and 5");
    assert!(work.status("timeline").parked.is_empty());
    let replayed = Work::begin(world.open("replayed").await);
    replayed.shows(head).await;
    let rows = [&work, &replayed].map(|work| work.context.stores.timeline.serving());
    let mut summaries = Vec::new();
    for rows in rows {
        // The checkpoint of both at one position.
        let held = rows.checkpoint().await.expect("an answer").expect("it");
        rows.write(Vec::new(), stores::Checkpoint { position: head, ..held }).await.expect("written");
        summaries.push(rows.summary().await.expect("a snapshot").await.expect("a summary"));
    }
    assert!(summaries[0].differences(&summaries[1]).is_empty(), "{summaries:?}");
}

/// The timeline, with messages that it cannot apply from a number on.
struct Until(Arc<AtomicU64>);

#[async_trait]
impl Projection for Until {
    type Model = dyn Timeline;
    const NAME: &'static str = TimelineProjection::NAME;
    const CODE_VERSION: u32 = TimelineProjection::CODE_VERSION;
    const READS: &'static [Kind] = TimelineProjection::READS;

    async fn changes(&self, batch: &[Entry]) -> Result<Vec<Change>, ProjectionError> {
        for entry in batch {
            if let Event::Chat(ChatEvent::MessageSent { number, .. }) = &entry.event
                && *number >= self.0.load(Ordering::SeqCst)
            {
                return Err(ProjectionError::poison(entry, "it is too much"));
            }
        }
        TimelineProjection.changes(batch).await
    }
}

#[tokio::test]
async fn a_long_parked_stream_is_applied_piece_by_piece() {
    let world = World::new();
    let until = Arc::new(AtomicU64::new(2));
    let created = world.append(chat_created(ANN, BOB)).await;
    let head = world.append_all((1..=1_103).map(|number| sent(ANN, number, "Hello"))).await;
    let begin = |context| {
        let until = until.clone();
        Work::of(context, Pace::default(), move |_| Until(until.clone()))
    };
    let work = begin(world.open("data").await);
    work.until("timeline", |status| status.position == head).await;
    until.store(900, Ordering::SeqCst);
    let retried = work.running.handle().retry("timeline", None).await.expect("an answer");
    let error = retried[0].error.as_deref().expect("it stays parked");
    assert_eq!((retried[0].events, error.contains("too much")), (500, true));
    drop(work);

    // What was applied outlives the process.
    let work = begin(world.open_after_a_kill("data").await);
    let status = work.until("timeline", |status| !status.parked.is_empty()).await;
    assert_eq!(status.parked[0].position, created + 502, "after 500 from the second on");
    until.store(u64::MAX, Ordering::SeqCst);
    let retried = work.running.handle().retry("timeline", None).await.expect("an answer");
    assert_eq!((retried[0].events, &retried[0].error), (602, &None));
    assert!(work.status("timeline").parked.is_empty());
    let rows = work.context.stores.timeline.serving();
    assert_eq!(rows.chat(CHAT).await.expect("an answer").expect("it").last_number, 1_103);
    for number in [501, 502, 1_001, 1_002] {
        assert!(rows.message(CHAT, number).await.expect("an answer").is_some(), "{number}");
    }
}

#[tokio::test]
async fn a_rebuild_begins_with_nothing_parked_and_tells_of_the_difference() {
    let world = World::new();
    let cured = Arc::new(AtomicBool::new(false));
    let head = world.append_all(a_story()).await;
    let work = fussy(world.open("data").await, &cured);
    work.until("timeline", |status| status.position == head).await;
    let desk = work.running.handle();
    // As parked as the old one: the same rows.
    let mut stage = desk.rebuild("timeline", false).await.expect("begun");
    let ended = tokio::time::timeout(PATIENCE, stage.wait_for(Stage::is_end)).await.expect("in time");
    assert!(matches!(*ended.expect("it lives"), Stage::Switched { generation: 2, .. }));
    assert_eq!(work.status("timeline").parked.len(), 1);
    cured.store(true, Ordering::SeqCst);
    let mut stage = desk.rebuild("timeline", false).await.expect("begun");
    let ended = tokio::time::timeout(PATIENCE, stage.wait_for(Stage::is_end)).await.expect("in time");
    let Stage::Failed { differences, .. } = ended.expect("it lives").clone() else {
        panic!("it must differ")
    };
    assert!(differences.contains(&format!("Chat/{CHAT} is parked in the old one alone")), "{differences:?}");
    assert!(differences.iter().any(|it| it.starts_with("messages: 1 rows, 4")), "{differences:?}");
    let mut stage = desk.rebuild("timeline", true).await.expect("begun");
    let ended = tokio::time::timeout(PATIENCE, stage.wait_for(Stage::is_end)).await.expect("in time");
    assert!(matches!(*ended.expect("it lives"), Stage::Switched { .. }));
    assert!(work.status("timeline").parked.is_empty());
}

#[tokio::test]
async fn an_event_that_cannot_be_read_parks_its_stream_for_those_it_concerns() {
    let world = World::new();
    world.append(chat_created(ANN, BOB)).await;
    let mut newer = world.record(sent(ANN, 1, "Hello")).await;
    newer.event_version = "3".to_owned();
    let position = world.append_recorded(newer).await;
    // Sealed for another place: damaged, as far as anybody can tell.
    let mut damaged = world.record(registered(BOB, "bob@example.org")).await;
    damaged.payload = damaged.payload.replace(&BOB.to_string(), &ANN.to_string());
    damaged.aggregate_id = ANN.to_string();
    world.append_recorded(damaged).await;
    let head = world.append_all([sent(ANN, 2, "Hello"), read(BOB, 2), created(BOB, "bob", "Bob")]).await;
    let work = Work::begin(world.open("data").await);
    work.shows(head).await;
    let timeline = work.status("timeline");
    assert_eq!((timeline.parked.len(), timeline.parked[0].position), (1, position));
    assert!(timeline.parked[0].why.contains("MessageSent"), "{:?}", timeline.parked);
    let directory = work.status("directory");
    assert_eq!(directory.parked[0].stream, format!("Account/{ANN}"));
    assert!(directory.parked[0].why.contains("email"), "{:?}", directory.parked);
    for name in ["sessions", "search"] {
        assert!(work.status(name).parked.is_empty(), "{name} is not concerned");
    }
    let stores = &work.context.stores;
    assert_eq!(stores.timeline.serving().message(CHAT, 2).await.expect("an answer"), None);
    assert!(stores.directory.serving().by_nickname("bob").await.expect("an answer").is_some());
}

#[tokio::test]
async fn a_revocation_is_never_passed_over() {
    let world = World::new();
    world.append(signed_in(ANN, SESSION)).await;
    let mut refreshed = world.record(signed_in(ANN, SESSION)).await;
    refreshed.event_version = "2".to_owned();
    world.append_recorded(refreshed).await;
    let head = world.append(signed_out(ANN, SESSION)).await;
    let work = Work::begin(world.open("data").await);
    work.shows(head).await;
    assert_eq!(work.status("sessions").parked.len(), 1);
    let state = work.context.stores.sessions.serving().session(SESSION).await.expect("an answer");
    assert_eq!(state, SessionState::Ended, "though its stream is parked");

    let mut unreadable = world.record(signed_out(ANN, SESSION)).await;
    unreadable.event_version = "2".to_owned();
    let position = world.append_recorded(unreadable).await;
    let why = work.halts("sessions").await;
    assert!(why.contains(&format!("position {position}")) && why.contains("SessionRevoked"), "{why}");
    assert_eq!(work.status("sessions").lag_events, 1);
    assert!(work.status("sessions").lag_seconds > 60.0, "by the clock that it was given");
    assert!(is_vital("Account", "AccountErased") && !is_vital("Session", "SessionRefreshed"));
}
