//! What the rows say of a story.

use chronicle::keys::{OpenError, Place, subject_of};
use domain::ids::SessionId;
use domain::personal::{Device, Text};
use domain::views::{ChatKind, Deleted, LineKind, PersonState, Relation};
use stores::search::SearchQuery;
use stores::sessions::SessionState;
use uuid::Uuid;

use crate::world::*;

#[tokio::test]
async fn two_people_who_talked_are_told_as_they_were() {
    let world = World::new();
    let work = Work::begin(world.open("data").await);
    work.shows(world.append_all(a_story()).await).await;
    let stores = &work.context.stores;

    let account = stores.directory.serving().account(ANN).await.expect("an answer").expect("Ann");
    assert_eq!(account.email, "ann@example.org");
    let bob = stores.directory.serving().by_nickname("bobby").await.expect("an answer").expect("Bob");
    assert_eq!((bob.user_id, bob.name.as_str(), bob.state), (BOB, "Robert", PersonState::Active));
    let relation = stores.directory.serving().relations(ANN, &[BOB]).await.expect("an answer");
    assert_eq!(relation[0].relation, Relation::Friends);

    let found = stores.search.serving().candidates(SearchQuery::of("Robret")).await.expect("an answer");
    assert_eq!(found.iter().map(|it| it.user_id).collect::<Vec<_>>(), [BOB]);
    assert_eq!(found[0].nickname, "bobby", "kept through an edit of the name alone");

    let it = stores.timeline.serving().chat_of(CHAT, ANN).await.expect("an answer").expect("Ann's chat");
    assert_eq!((it.chat.last_number, it.me.read_number, it.unread()), (4, 3, 1));
    assert_eq!(it.peer.map(|peer| (peer.person, peer.read_number)), Some((BOB, 4)));

    let state =
        async |n| stores.sessions.serving().session(SessionId(Uuid::from_u128(n))).await.expect("an answer");
    assert_eq!(state(2).await, SessionState::Ended);
    let SessionState::Live(session) = state(1).await else { panic!("Ann is signed in") };
    let place = Place {
        log_id: world.log_id,
        aggregate_type: "Session",
        aggregate_id: &session.session_id.to_string(),
        event_id: session.device.event_id.expect("bound"),
        field: "device",
    };
    let device: Device = world.keyring.open_as(&place, &session.device).expect("it opens");
    assert_eq!(device.0, "Firefox");
}

#[tokio::test]
async fn texts_lie_sealed_and_open_from_their_rows() {
    let world = World::new();
    let work = Work::begin(world.open("data").await);
    work.shows(world.append_all(a_story()).await).await;
    let message =
        work.context.stores.timeline.serving().message(CHAT, 2).await.expect("an answer").expect("it");
    let open = |event_id| {
        let aggregate_id = CHAT.to_string();
        let place = Place {
            log_id: world.log_id,
            aggregate_type: "Chat",
            aggregate_id: &aggregate_id,
            event_id,
            field: "text",
        };
        world.keyring.open_as::<Text>(&place, &message.text)
    };
    let event_id = message.text.event_id.expect("bound");
    assert_eq!(open(event_id).expect("it opens").0, "Hello yourself");
    world.keyring.destroy(&subject_of(BOB)).expect("destroyed");
    assert!(matches!(open(event_id), Err(OpenError::Destroyed)));

    work.end().await;
    for file in ["timeline/1/rows.db", "timeline/1/rows.db-wal"] {
        let bytes = std::fs::read(world.folder.path().join("data").join(file)).unwrap_or_default();
        for clear in ["Hello", "Robert", "bobby", "example.org"] {
            assert!(!bytes.windows(clear.len()).any(|it| it == clear.as_bytes()), "{clear} in {file}");
        }
    }
}

#[tokio::test]
async fn whoever_was_erased_leaves_rows_without_a_word_of_them() {
    let world = World::new();
    let head = world.append_all(a_story()).await;
    world.keyring.destroy(&subject_of(BOB)).expect("destroyed");
    let work = Work::begin(world.open("data").await);
    work.shows(head).await;
    let stores = &work.context.stores;
    let bob = stores.directory.serving().persons(&[BOB]).await.expect("an answer").pop().expect("a row");
    assert_eq!(bob.state, PersonState::Erased);
    assert_eq!((bob.nickname, bob.nickname_key, bob.name), Default::default());
    let account = stores.directory.serving().account(BOB).await.expect("an answer").expect("a row");
    assert_eq!((account.email.as_str(), account.state), ("", PersonState::Erased));
    assert!(stores.directory.serving().by_nickname("bobby").await.expect("an answer").is_none());
    assert!(
        stores.search.serving().candidates(SearchQuery::of("bobby")).await.expect("an answer").is_empty()
    );
    assert!(stores.timeline.serving().message(CHAT, 2).await.expect("an answer").is_some(), "numbers stay");
}

#[tokio::test]
async fn a_group_and_what_became_of_its_messages() {
    let world = World::new();
    let work = Work::begin(world.open("data").await);
    let story = [
        group_created(ANN, &[]),
        sent(ANN, 1, "Alone"),
        added(ANN, BOB, 1),
        sent(BOB, 2, "Hello"),
        edited(BOB, 2, "Hello!"),
        reacted(ANN, 2, "👍"),
        kept(BOB, true),
        left(BOB, 2),
        deleted(ANN, 1),
    ];
    work.shows(world.append_all(story).await).await;
    let timeline = work.context.stores.timeline.serving();

    let bobs = timeline.chat_of(CHAT, BOB).await.expect("an answer").expect("Bob's chat");
    assert_eq!((bobs.chat.kind, bobs.chat.member_count), (ChatKind::Group, 1));
    assert!(bobs.me.left && bobs.me.pinned && bobs.me.shows(1) && !bobs.me.shows(3));

    let [first, second] = [1, 2].map(|number| timeline.message(CHAT, number));
    let (first, second) = (first.await.expect("an answer"), second.await.expect("an answer"));
    let (first, second) = (first.expect("it"), second.expect("it"));
    assert_eq!((first.touch.deleted, first.text.event_id), (Some(Deleted::Author), None), "nothing is left");
    let reactions: Vec<_> = second.touch.reactions.iter().map(|it| (it.person, it.emoji.as_str())).collect();
    assert_eq!(reactions, [(ANN, "👍")]);
    assert_eq!(timeline.edits(CHAT, 2).await.expect("an answer").len(), 1);

    let lines = timeline.lines(CHAT, 0, u64::MAX >> 1, 9).await.expect("an answer");
    let lines: Vec<_> = lines.iter().map(|line| (line.ordinal, line.after_number, line.kind)).collect();
    let expected = [(1, 0, LineKind::Created), (2, 1, LineKind::Added), (3, 2, LineKind::Left)];
    assert_eq!(lines, expected);
    assert_eq!((first.lines, second.lines), (1, 2), "those above each");
}
