//! The executor on a real log: numbers, keys, conflicts, two processes' worth of committers.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chronicle::executor::Done;
use chronicle::keys::Place;
use domain::aggregate::{Event, StreamId};
use domain::chat::{Chat, ChatEvent};
use domain::personal::Text;
use domain::problem::Kind;
use tempfile::TempDir;

use crate::support::{House, chat, everything, key, person};

const PATIENCE: Duration = Duration::from_secs(60);

fn number(done: &Done) -> u64 {
    match &done.events[..] {
        [Event::Chat(ChatEvent::MessageSent { number, .. })] => *number,
        other => panic!("{other:?} is not one message"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_writers_in_one_chat_get_dense_numbers() {
    let folder = TempDir::new().expect("a folder");
    let house = Arc::new(House::open(folder.path()).await);
    house.make_chat(1).await.expect("a chat");
    let mut senders = Vec::new();
    for sender in 0..32_u64 {
        let house = house.clone();
        senders.push(tokio::spawn(async move {
            let mut numbers = Vec::new();
            for message in 0..20 {
                let sent = house.send(1, u128::from(sender % 2), key(sender, message), "hello").await;
                numbers.push(number(&sent.expect("sent")));
            }
            numbers
        }));
    }
    let mut all = BTreeSet::new();
    for sender in senders {
        let numbers = sender.await.expect("a sender");
        assert!(numbers.is_sorted(), "one sender's messages keep their order");
        all.extend(numbers);
    }
    assert!(all.into_iter().eq(1..=640));
    assert_eq!(everything(&*house.log).await.len(), 642);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_key_gets_the_original_answer_for_ever() {
    let folder = TempDir::new().expect("a folder");
    let house = House::open(folder.path()).await;
    house.make_chat(1).await.expect("a chat");
    let first = house.send(1, 0, key(1, 1), "once").await.expect("sent");
    house.send(1, 1, key(2, 1), "between").await.expect("sent");
    let again = house.send(1, 0, key(1, 1), "once").await.expect("answered");
    assert_eq!((again.position, &again.events, again.repeated), (first.position, &first.events, true));
    // After a restart too, when nothing is in memory.
    drop(house);
    let house = House::open(folder.path()).await;
    let again = house.send(1, 0, key(1, 1), "once").await.expect("answered");
    assert_eq!((again.position, again.events), (first.position, first.events));
    assert_eq!(everything(&*house.log).await.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_with_another_body_is_refused() {
    let folder = TempDir::new().expect("a folder");
    let house = House::open(folder.path()).await;
    house.make_chat(1).await.expect("a chat");
    house.send(1, 0, key(1, 1), "this").await.expect("sent");
    let refused = house.send(1, 0, key(1, 1), "that").await.expect_err("another body");
    assert!(refused.is(Kind::KeyReused), "{refused}");
    // Another person's keys are another space.
    house.send(1, 1, key(1, 1), "that").await.expect("sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_was_used_is_found_before_a_refusal() {
    let folder = TempDir::new().expect("a folder");
    let house = House::open(folder.path()).await;
    let first = house.make_chat(1).await.expect("a chat");
    // Decided now it would be refused: the chat is there already.
    let again = house.make_chat(1).await.expect("the original answer");
    assert_eq!(again.position, first.position);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_at_once_under_one_key_share_one_answer() {
    let folder = TempDir::new().expect("a folder");
    let house = Arc::new(House::open(folder.path()).await);
    house.make_chat(1).await.expect("a chat");
    let both = (0..16).map(|_| {
        let house = house.clone();
        tokio::spawn(async move { house.send(1, 0, key(1, 1), "once").await.expect("sent") })
    });
    let mut positions = BTreeSet::new();
    for done in futures::future::join_all(both).await {
        positions.insert(done.expect("a sender").position);
    }
    assert_eq!(positions.len(), 1);
    assert_eq!(everything(&*house.log).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_command_leaves_its_neighbours_alone() {
    let folder = TempDir::new().expect("a folder");
    let house = Arc::new(House::open(folder.path()).await);
    house.make_chat(1).await.expect("a chat");
    let sends = (0..60_u64).map(|message| {
        let house = house.clone();
        let text = if message % 3 == 0 { " " } else { "said" };
        tokio::spawn(async move { house.send(1, 0, key(1, message), text).await })
    });
    let answers = futures::future::join_all(sends).await;
    let refused =
        answers.iter().filter(|answer| matches!(answer, Ok(Err(problem)) if problem.is(Kind::Invalid)));
    assert_eq!(refused.count(), 20);
    assert_eq!(everything(&*house.log).await.len(), 42);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_committers_on_one_log_both_make_progress() {
    let folder = TempDir::new().expect("a folder");
    let one = Arc::new(House::open(folder.path()).await);
    one.make_chat(1).await.expect("a chat");
    let two = Arc::new(House::open(folder.path()).await);
    let mut senders = Vec::new();
    for sender in 0..8_u64 {
        let house = if sender % 2 == 0 { one.clone() } else { two.clone() };
        senders.push(tokio::spawn(async move {
            let mut numbers = Vec::new();
            for message in 0..25 {
                let sent = house.send(1, u128::from(sender % 2), key(sender, message), "hello").await;
                numbers.push(number(&sent.expect("sent")));
            }
            numbers
        }));
    }
    let mut all = BTreeSet::new();
    for sender in senders {
        all.extend(sender.await.expect("a sender"));
    }
    assert!(all.into_iter().eq(1..=200));
    assert_eq!(everything(&*one.log).await.len(), 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_is_not_told_from_before_what_another_process_wrote() {
    let folder = TempDir::new().expect("a folder");
    let one = House::open(folder.path()).await;
    one.make_chat(1).await.expect("a chat");
    let two = House::open(folder.path()).await;
    let first = one.send(1, 0, key(1, 1), "kept in one's cache").await.expect("sent");
    let second = two.send(1, 1, key(2, 1), "by the other").await.expect("sent");
    let mut head = one.log.watch();
    let seen = head.wait_for(|head| head.position >= second.position);
    tokio::time::timeout(PATIENCE, seen).await.expect("the head is followed").expect("the log is there");
    // `one` has decided nothing since, and so was never fenced.
    let chat: Chat = one.executor.state(chat(1)).await.expect("a state");
    let sequence = |number| chat.sequence_of(number);
    assert!(sequence(number(&first)).is_some(), "its own message is there");
    assert!(sequence(number(&second)).is_some(), "told from a cache that the other's message is not in");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_one_read_by_key_and_opens_with_its_authors_key_alone() {
    let folder = TempDir::new().expect("a folder");
    let house = House::open(folder.path()).await;
    house.make_chat(1).await.expect("a chat");
    for message in 1..=5_u64 {
        let who = u128::from(message % 2);
        house.send(1, who, key(1, message), &format!("text {message}")).await.expect("sent");
    }
    let state: Chat = house.executor.state(chat(1)).await.expect("a state");
    let sequence = state.sequence_of(4).expect("there is a fourth");
    let stream = StreamId::of::<Chat>(chat(1));
    let recorded = house.log.event(&stream, sequence).await.expect("read").expect("there");
    let Ok(Event::Chat(ChatEvent::MessageSent { number: 4, text, author, .. })) = recorded.decode() else {
        panic!("{recorded:?} is not message 4")
    };
    let place = Place {
        log_id: house.executor.log_id(),
        aggregate_type: "Chat",
        aggregate_id: &stream.id,
        event_id: recorded.event_id,
        field: "text",
    };
    let keyring = house.executor.keyring();
    let open = |text: &domain::personal::Personal<Text>| {
        keyring.open_as::<Text>(&place, text.sealed().expect("sealed"))
    };
    assert_eq!(open(&text).expect("opens"), Text("text 4".into()));
    keyring.destroy(&person(1).to_string()).expect("destroyed");
    assert_eq!(author, person(0));
    assert_eq!(open(&text).expect("the other's key is another's"), Text("text 4".into()));
    keyring.destroy(&person(0).to_string()).expect("destroyed");
    assert!(open(&text).is_err());
    // Every stream still replays.
    for event in everything(&*house.log).await {
        event.decode().expect("readable without keys");
    }
}
