//! The contract of [`Log`]: one suite, with the same expectations for every engine.
//!
//! A check is a sentence and a function; it answers what is wrong. An engine passes when none says
//! anything, and a saboteur must make at least one speak.

use std::sync::Arc;
use std::time::Duration;

use chronicle::log::sqlite::SqliteLog;
use chronicle::log::{Appended, Batch, ClaimChange, ClaimKey, Head, Log, LogError, Membership};
use domain::aggregate::{Kind, StreamId};
use domain::ids::EventId;
use futures::future::BoxFuture;
use tempfile::TempDir;
use uuid::Uuid;

use crate::support::{event, person};

/// An engine with one empty store.
pub trait Engine: Send + Sync {
    /// Another handle on the same store, as another process has one.
    fn open(&self) -> BoxFuture<'_, Arc<dyn Log>>;
}

pub struct Sqlite(TempDir);

impl Sqlite {
    pub async fn new() -> Self {
        Self(TempDir::new().expect("a folder"))
    }
}

impl Engine for Sqlite {
    fn open(&self) -> BoxFuture<'_, Arc<dyn Log>> {
        Box::pin(async { SqliteLog::open(&self.0.path().join("log.db")).expect("a log") as Arc<dyn Log> })
    }
}

type Outcome = Result<(), String>;
type Check = for<'a> fn(&'a dyn Engine) -> BoxFuture<'a, Outcome>;

macro_rules! checks {
    ($($sentence:literal => $check:ident;)*) => {
        pub const CHECKS: &[(&str, Check)] = &[$(($sentence, |engine| Box::pin($check(engine)))),*];
    };
}

checks! {
    "positions are dense and the order is the batch's" => positions_are_dense;
    "bytes are final" => bytes_are_final;
    "what was answered is durable" => answered_is_durable;
    "another head is refused and writes nothing" => another_head_is_refused;
    "two streams are written together" => two_streams_together;
    "claims go with their events" => claims_go_along;
    "a repeated key is found and nothing is written" => repeated_key_is_found;
    "one sequence of a stream is written once" => one_sequence_once;
    "the lock keeps others out and shows what came" => lock_keeps_others_out;
    "a dropped lock is given back" => dropped_lock;
    "a stream is read with its head" => stream_with_head;
    "the head can be followed" => head_is_followed;
    "a reactor is its holder's alone" => reactor_is_its_holders;
}

/// Every check on a store of its own; what the checks that fail say.
pub async fn complaints<E: Engine, F: Future<Output = E>>(make: impl Fn() -> F) -> Vec<String> {
    let mut complaints = Vec::new();
    for (sentence, check) in CHECKS {
        let engine = make().await;
        if let Err(complaint) = check(&engine).await {
            complaints.push(format!("{sentence}: {complaint}"));
        }
    }
    complaints
}

fn ensure(holds: bool, complaint: impl Into<String>) -> Outcome {
    if holds { Ok(()) } else { Err(complaint.into()) }
}

fn said(error: LogError) -> String {
    error.to_string()
}

fn chat_stream(number: u32) -> StreamId {
    StreamId { kind: Kind::Chat, id: format!("chat-{number}") }
}

/// A batch of `count` events in `stream`, which has `sequence` events already.
fn batch(after: Head, stream: &StreamId, sequence: u64, count: u64, id: u128) -> Batch {
    let events = (1..=count)
        .map(|offset| event(after, offset, stream, sequence + offset, id + u128::from(offset)))
        .collect();
    Batch { events, probes: vec![EventId(Uuid::from_u128(id + 1))], ..Batch::default() }
}

async fn commit(log: &dyn Log, fence: Head, batch: &Batch) -> Result<Head, String> {
    match log.append(fence, Arc::new(batch.clone())).await.map_err(said)? {
        Appended::Committed => Ok(batch.events.last().map_or(fence, |event| event.head())),
        other => Err(format!("{other:?} instead of Committed")),
    }
}

async fn positions_are_dense(engine: &dyn Engine) -> Outcome {
    let log = engine.open().await;
    let mut head = log.head().await.map_err(said)?;
    ensure(head == Head::default(), "an empty log has a head")?;
    let mut ids = Vec::new();
    for round in 0..4_u64 {
        let next = batch(head, &chat_stream(1), head.position, 3, u128::from(round) * 10);
        ids.extend(next.events.iter().map(|event| event.event_id));
        head = commit(&*log, head, &next).await?;
    }
    let read = log.read(0, 100).await.map_err(said)?;
    let positions: Vec<u64> = read.iter().map(|event| event.position).collect();
    ensure(positions == (1..=12).collect::<Vec<_>>(), format!("positions are {positions:?}"))?;
    ensure(read.iter().map(|event| event.event_id).eq(ids), "the order is another one")?;
    ensure(read.windows(2).all(|two| two[0].recorded_at <= two[1].recorded_at), "recorded_at falls")?;
    let page = log.read(5, 2).await.map_err(said)?;
    ensure(page.iter().map(|event| event.position).eq([6, 7]), "a page is not what was asked for")
}

async fn bytes_are_final(engine: &dyn Engine) -> Outcome {
    let log = engine.open().await;
    let next = batch(Head::default(), &chat_stream(1), 0, 5, 100);
    commit(&*log, Head::default(), &next).await?;
    let read = engine.open().await.read(0, 100).await.map_err(said)?;
    ensure(read == next.events, format!("{read:?} instead of {:?}", next.events))
}

async fn answered_is_durable(engine: &dyn Engine) -> Outcome {
    let log = engine.open().await;
    let head = commit(&*log, Head::default(), &batch(Head::default(), &chat_stream(1), 0, 1, 1)).await?;
    let seen = engine.open().await.head().await.map_err(said)?;
    ensure(seen == head, format!("another process sees the head {seen:?} after {head:?} was answered"))
}

async fn another_head_is_refused(engine: &dyn Engine) -> Outcome {
    let log = engine.open().await;
    let stream = chat_stream(1);
    let head = commit(&*log, Head::default(), &batch(Head::default(), &stream, 0, 1, 1)).await?;
    let other_history = Head { event_id: Some(EventId(Uuid::from_u128(99))), ..head };
    for stale in [Head::default(), other_history] {
        let next = batch(stale, &chat_stream(2), 0, 1, 50);
        let appended = log.append(stale, Arc::new(next)).await.map_err(said)?;
        ensure(appended == Appended::Fenced, format!("{appended:?} behind a stale head"))?;
    }
    ensure(log.head().await.map_err(said)? == head, "a refused batch moved the head")?;
    ensure(log.read(0, 10).await.map_err(said)?.len() == 1, "a refused batch was written")
}

async fn two_streams_together(engine: &dyn Engine) -> Outcome {
    let log = engine.open().await;
    let (one, two) = (chat_stream(1), chat_stream(2));
    let events = vec![
        event(Head::default(), 1, &one, 1, 1),
        event(Head::default(), 2, &two, 1, 2),
        event(Head::default(), 3, &one, 2, 3),
    ];
    commit(&*log, Head::default(), &Batch { events, ..Batch::default() }).await?;
    for (stream, count) in [(one, 2), (two, 1)] {
        let (events, _) = log.stream(&stream, 0, 1_000).await.map_err(said)?;
        ensure(events.len() == count, format!("{stream} has {} events instead of {count}", events.len()))?;
    }
    Ok(())
}

async fn claims_go_along(engine: &dyn Engine) -> Outcome {
    let log = engine.open().await;
    let claim = ClaimKey { kind: "name/1".into(), key: "ann".into() };
    let mut head = Head::default();
    for (round, owner) in [Some("one"), Some("two"), None, Some("three")].into_iter().enumerate() {
        let mut next = batch(head, &chat_stream(1), head.position, 1, round as u128 * 10);
        next.claims = vec![ClaimChange {
            claim: claim.clone(),
            owner: owner.map(str::to_owned),
            position: head.position + 1,
        }];
        next.memberships =
            vec![Membership { person: person(1), chat: "chat-1".into(), position: head.position + 1 }];
        let fenced = Arc::new(next.clone());
        let stale = Head { position: head.position + 7, ..head };
        ensure(log.append(stale, fenced).await.map_err(said)? == Appended::Fenced, "not fenced")?;
        head = commit(&*log, head, &next).await?;
        let (found, as_of) = log.claim(&claim).await.map_err(said)?;
        ensure(found.as_deref() == owner, format!("the owner is {found:?} instead of {owner:?}"))?;
        ensure(as_of == head, "a claim is read without its head")?;
    }
    Ok(())
}

async fn repeated_key_is_found(engine: &dyn Engine) -> Outcome {
    let log = engine.open().await;
    let first = batch(Head::default(), &chat_stream(1), 0, 2, 10);
    let head = commit(&*log, Head::default(), &first).await?;
    let mut next = batch(head, &chat_stream(2), 0, 1, 20);
    next.probes.push(first.probes[0]);
    let appended = log.append(head, Arc::new(next)).await.map_err(said)?;
    ensure(appended == Appended::Repeats(vec![first.probes[0]]), format!("{appended:?} for a repeat"))?;
    ensure(log.head().await.map_err(said)? == head, "a repeat was written")?;
    let empty = Batch { probes: vec![first.probes[0]], ..Batch::default() };
    let appended = log.append(head, Arc::new(empty)).await.map_err(said)?;
    ensure(appended == Appended::Repeats(vec![first.probes[0]]), "a no-op's key was not looked up")?;
    let known: Vec<EventId> = first.events.iter().map(|event| event.event_id).collect();
    let found = log.by_ids(&[known[1], EventId(Uuid::from_u128(999))]).await.map_err(said)?;
    ensure(found == first.events[1..], "an event is not found by its id")
}

async fn one_sequence_once(engine: &dyn Engine) -> Outcome {
    let log = engine.open().await;
    let stream = chat_stream(1);
    let head = commit(&*log, Head::default(), &batch(Head::default(), &stream, 0, 1, 1)).await?;
    let again = batch(head, &stream, 0, 1, 30);
    let appended = log.append(head, Arc::new(again)).await;
    ensure(appended.is_err(), format!("{appended:?} for a sequence that is there"))?;
    ensure(log.head().await.map_err(said)? == head, "the head moved")?;
    let head = commit(&*log, head, &batch(head, &stream, 1, 1, 40)).await?;
    ensure(head.position == 2, "the log does not go on after an error")
}

async fn lock_keeps_others_out(engine: &dyn Engine) -> Outcome {
    let (one, two) = (engine.open().await, engine.open().await);
    let (mine, theirs) = (chat_stream(1), chat_stream(2));
    let head = commit(&*one, Head::default(), &batch(Head::default(), &mine, 0, 3, 1)).await?;
    // Whoever holds the lock for long loses it: what is written under it is there before.
    let next = batch(head, &mine, 3, 1, 50);
    let locked = one.lock(1, 100).await.map_err(said)?;
    ensure(locked.head() == head, "the lock shows another head")?;
    ensure(locked.delta().iter().map(|event| event.position).eq([2, 3]), "the lock shows another delta")?;
    let stranger = tokio::spawn({
        let next = Arc::new(batch(head, &theirs, 0, 1, 60));
        async move { two.append(head, next).await }
    });
    let appended = locked.append(Arc::new(next.clone())).await.map_err(said)?;
    ensure(appended == Appended::Committed, format!("{appended:?} under the lock"))?;
    let theirs = stranger.await.map_err(|error| error.to_string())?.map_err(said)?;
    ensure(theirs == Appended::Fenced, format!("{theirs:?} for who waited at the lock"))?;
    ensure(one.head().await.map_err(said)? == next.events[0].head(), "the head is not what the lock wrote")
}

async fn dropped_lock(engine: &dyn Engine) -> Outcome {
    let (one, two) = (engine.open().await, engine.open().await);
    drop(one.lock(0, 100).await.map_err(said)?);
    let head = commit(&*two, Head::default(), &batch(Head::default(), &chat_stream(1), 0, 1, 1)).await?;
    let locked = one.lock(0, 100).await.map_err(said)?;
    ensure(locked.head() == head && locked.delta().len() == 1, "a stranger's event is not in the delta")
}

async fn stream_with_head(engine: &dyn Engine) -> Outcome {
    let log = engine.open().await;
    let (one, two) = (chat_stream(1), chat_stream(2));
    let head = commit(&*log, Head::default(), &batch(Head::default(), &one, 0, 3, 1)).await?;
    let head = commit(&*log, head, &batch(head, &two, 0, 2, 10)).await?;
    let (events, as_of) = log.stream(&one, 1, 1_000).await.map_err(said)?;
    ensure(as_of == head, "a stream is read without its head")?;
    ensure(
        events.iter().map(|event| event.sequence).eq([2, 3]),
        "a stream is not read from where was asked",
    )?;
    let second = log.event(&two, 2).await.map_err(said)?;
    ensure(second.is_some_and(|event| event.position == 5), "an event is not read by key")?;
    ensure(log.event(&two, 3).await.map_err(said)?.is_none(), "an event is read that isn't there")
}

async fn head_is_followed(engine: &dyn Engine) -> Outcome {
    let (reader, writer) = (engine.open().await, engine.open().await);
    let mut heads = reader.watch();
    let head = commit(&*writer, Head::default(), &batch(Head::default(), &chat_stream(1), 0, 1, 1)).await?;
    let followed = heads.wait_for(|seen| *seen == head);
    let followed = tokio::time::timeout(Duration::from_secs(20), followed).await;
    ensure(matches!(followed, Ok(Ok(_))), "another process's event wakes nobody")
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_keeps_the_contract() {
    let complaints = complaints(Sqlite::new).await;
    assert!(complaints.is_empty(), "{complaints:#?}");
}

async fn reactor_is_its_holders(engine: &dyn Engine) -> Outcome {
    const NAME: &str = "photos";
    let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let log = engine.open().await;
    let head = commit(&*log, Head::default(), &batch(Head::default(), &chat_stream(1), 0, 3, 1)).await?;
    let reactions = log.reactions();
    ensure(reactions.of(NAME).await.map_err(said)?.is_none(), "a new reactor is known")?;
    let first = reactions.take_over(NAME, one, head).await.map_err(said)?;
    let begins = (first.position, first.event_id, first.epoch, first.holder);
    ensure(begins == (3, head.event_id, 1, one), format!("a new one does not begin at the head: {first:?}"))?;
    let event = EventId(Uuid::from_u128(9));
    ensure(reactions.reacted(NAME, 1, 5, event).await.map_err(said)?, "the holder is refused")?;
    ensure(reactions.beat(NAME, 1, false).await.map_err(said)?, "the holder's beat is refused")?;
    // Another process, another connection.
    let again = engine.open().await;
    let held = again.reactions().of(NAME).await.map_err(said)?;
    let held = held.ok_or("what was written is lost")?;
    ensure(held.beat > first.beat, "a beat is not seen")?;
    let second = again.reactions().take_over(NAME, other, head).await.map_err(said)?;
    let goes_on = (second.position, second.event_id, second.epoch, second.holder);
    ensure(goes_on == (5, Some(event), 2, other), format!("it does not go on where it was: {second:?}"))?;
    let stale = (
        reactions.reacted(NAME, 1, 9, event).await.map_err(said)?,
        reactions.beat(NAME, 1, true).await.map_err(said)?,
    );
    ensure(stale == (false, false), "an old holder writes")?;
    ensure(again.reactions().beat(NAME, 2, true).await.map_err(said)?, "the holder can't let go")?;
    let free = reactions.of(NAME).await.map_err(said)?.ok_or("it is gone")?;
    ensure((free.position, free.holder) == (5, Uuid::nil()), format!("it is not free: {free:?}"))
}
