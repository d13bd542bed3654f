//! What goes out live, and to whom.

use domain::ids::{EventId, PersonId, SessionId};
use domain::live::{Ids, What};
use projectors::live::LiveProjection;
use projectors::{Entry, Projection};
use stores::live::{Received, Subscription};
use uuid::Uuid;

use crate::world::*;

const CID: PersonId = PersonId(Uuid::from_u128(0xD));

/// Work whose live projection has begun at the head, and one's subscription.
async fn listening(world: &World, person: PersonId) -> (Work, Box<dyn Subscription>) {
    let work = Work::begin(world.open("data").await);
    let head = world.log.head().await.expect("a head").position;
    assert_eq!(work.context.stores.progress.wait(&["live"], head, PATIENCE).await, head);
    let subscription = work.context.stores.live.subscribe(person).await.expect("subscribed");
    (work, subscription)
}

async fn next(subscription: &mut Box<dyn Subscription>) -> (u64, What, Ids) {
    match tokio::time::timeout(PATIENCE, subscription.next()).await.expect("a notice in time") {
        Some(Received::Notice(notice)) => (notice.position, notice.what, notice.ids),
        other => panic!("a notice, not {other:?}"),
    }
}

/// The positions of all notices to `person` while `events` happen.
async fn heard(
    world: &World,
    work: &Work,
    person: PersonId,
    events: Vec<domain::aggregate::Event>,
) -> Vec<(u64, What)> {
    let mut subscription = work.context.stores.live.subscribe(person).await.expect("subscribed");
    world.append_all(events).await;
    // A sign of the end: one's own session begins.
    let end = world.append(signed_in(person, SessionId(Uuid::from_u128(99)))).await;
    let mut heard = Vec::new();
    loop {
        let (position, what, _) = next(&mut subscription).await;
        if position == end {
            return heard;
        }
        heard.push((position, what));
    }
}

#[tokio::test]
async fn a_message_reaches_both_once_its_row_is_shown() {
    let world = World::new();
    world.append_all([created(ANN, "ann", "Ann"), chat_created(ANN, BOB)]).await;
    let (work, mut bob) = listening(&world, BOB).await;
    let mut ann = work.context.stores.live.subscribe(ANN).await.expect("subscribed");
    let position = world.append(sent(ANN, 1, "Hello")).await;
    let ids = Ids { chat_id: Some(CHAT), user_id: Some(ANN), number: Some(1), ..Ids::default() };
    assert_eq!(next(&mut bob).await, (position, What::Message, ids));
    assert!(work.context.stores.timeline.serving().message(CHAT, 1).await.expect("an answer").is_some());
    assert_eq!(next(&mut ann).await, (position, What::Message, ids), "other devices too");
    let position = world.append(read(BOB, 1)).await;
    let ids = Ids { user_id: Some(BOB), ..ids };
    assert_eq!(next(&mut ann).await, (position, What::Read, ids));
}

#[tokio::test]
async fn what_was_before_is_no_news() {
    let world = World::new();
    world.append_all(a_story()).await;
    let (_work, mut ann) = listening(&world, ANN).await;
    let position = world.append(sent(BOB, 5, "There?")).await;
    assert_eq!(next(&mut ann).await.0, position);
}

#[tokio::test]
async fn a_decline_and_a_block_stay_unnoticed() {
    let world = World::new();
    world.append_all([created(ANN, "ann", "Ann"), created(BOB, "bob", "Bob")]).await;
    let (work, _) = listening(&world, ANN).await;
    let story = vec![
        requested(ANN, BOB), // 3: both see it
        declined(BOB, ANN),  // 4: Ann must not
    ];
    assert_eq!(heard(&world, &work, ANN, story).await, [(3, What::Person)]);
    // Between two others; and a stranger blocks Ann, whose first row with them says nothing of it.
    let story = vec![blocked(BOB, CID), blocked(CID, ANN)];
    assert!(heard(&world, &work, ANN, story).await.is_empty());
}

#[tokio::test]
async fn each_of_two_hears_of_a_link_and_friends_hear_of_a_name() {
    let world = World::new();
    world
        .append_all([created(ANN, "ann", "Ann"), created(BOB, "bob", "Bob"), created(CID, "cid", "Cid")])
        .await;
    let (work, _) = listening(&world, ANN).await;
    let story = vec![requested(ANN, BOB), accepted(BOB, ANN), renamed(ANN, Some("anna"), None)];
    let positions = heard(&world, &work, BOB, story).await;
    assert_eq!(positions.iter().map(|(_, what)| *what).collect::<Vec<_>>().last(), Some(&What::Person));
    assert_eq!(positions.last().map(|it| it.0), Some(6));
    assert!(positions.iter().all(|(_, what)| *what == What::Person));
    let story = vec![renamed(ANN, Some("ann"), None)];
    assert_eq!(heard(&world, &work, ANN, story.clone()).await, [(8, What::Me)]);
    assert!(heard(&world, &work, CID, story).await.is_empty(), "a stranger's name is no news");
}

#[tokio::test]
async fn an_ended_session_is_told_to_its_person() {
    let world = World::new();
    let session = SessionId(Uuid::from_u128(1));
    world.append(signed_in(ANN, session)).await;
    let (work, mut ann) = listening(&world, ANN).await;
    let position = world.append(signed_out(ANN, session)).await;
    let ids = Ids { session_id: Some(session), ..Ids::default() };
    assert_eq!(next(&mut ann).await, (position, What::Session, ids));
    let state = work.context.stores.sessions.serving().session(session).await.expect("an answer");
    assert_eq!(state, stores::sessions::SessionState::Ended, "and the row says so already");
}

#[tokio::test(start_paused = true)]
async fn rows_that_stand_still_are_waited_for_once() {
    let world = World::new();
    let context = world.open("data").await;
    let live = LiveProjection::new(&context);
    let entry = |position| Entry {
        position,
        event_id: EventId(Uuid::from_u128(u128::from(position))),
        recorded_at: at(position),
        aggregate_type: "Session".to_owned(),
        aggregate_id: SessionId(Uuid::from_u128(1)).to_string(),
        sequence: 1,
        event: signed_in(ANN, SessionId(Uuid::from_u128(1))),
    };
    let waited = async |position| {
        let begun = tokio::time::Instant::now();
        assert!(!live.changes(&[entry(position)]).await.expect("notices").is_empty());
        !begun.elapsed().is_zero()
    };
    context.stores.progress.show("sessions", 3);
    assert!(waited(4).await, "they may come");
    assert!(!waited(5).await, "they stand still");
    context.stores.progress.show("sessions", 4);
    assert!(waited(6).await, "they go on");
}

/// As [`heard`], with what each is about.
async fn heard_of(
    world: &World,
    work: &Work,
    person: PersonId,
    events: Vec<domain::aggregate::Event>,
) -> Vec<String> {
    let mut subscription = work.context.stores.live.subscribe(person).await.expect("subscribed");
    world.append_all(events).await;
    let end = world.append(signed_in(person, SessionId(Uuid::from_u128(99)))).await;
    let mut heard = Vec::new();
    loop {
        let (position, what, ids) = next(&mut subscription).await;
        if position == end {
            return heard;
        }
        heard.push(format!("{position} {what:?} {}", ids.number.unwrap_or_default()));
    }
}

#[tokio::test]
async fn who_is_in_a_group_hears_of_it_and_who_went_hears_of_that_alone() {
    let world = World::new();
    world.append_all([created(ANN, "ann", "Ann"), created(BOB, "bob", "Bob")]).await;
    let (work, _) = listening(&world, ANN).await;
    let story = || {
        vec![
            group_created(ANN, &[]),
            sent(ANN, 1, "Alone"),
            added(ANN, BOB, 1),
            sent(ANN, 2, "Both"),
            left(BOB, 2),
            sent(ANN, 3, "Alone"),
            deleted(ANN, 2),
        ]
    };
    // The group's third event that is no message (created, added, left) stands after message 2.
    // What is taken away is told to whoever may have it on a screen.
    let bobs = ["5 Chat 0", "5 Line 2", "6 Message 2", "7 Chat 0", "7 Line 3", "9 Message 2"];
    assert_eq!(heard_of(&world, &work, BOB, story()).await, bobs);
}

#[tokio::test]
async fn what_becomes_of_a_message_is_told_to_its_chat_and_how_a_chat_is_kept_to_oneself() {
    let world = World::new();
    world.append_all([created(ANN, "ann", "Ann"), chat_created(ANN, BOB), sent(ANN, 1, "Hello")]).await;
    let (work, _) = listening(&world, ANN).await;
    let story =
        vec![edited(ANN, 1, "Hi"), reacted(BOB, 1, "👍"), reported(BOB, 1), deleted(ANN, 1), kept(ANN, true)];
    assert_eq!(heard_of(&world, &work, BOB, story).await, ["4 Message 1", "5 Message 1", "7 Message 1"]);
    assert_eq!(heard_of(&world, &work, ANN, vec![kept(ANN, false), kept(BOB, true)]).await, ["10 Chat 0"]);
}
