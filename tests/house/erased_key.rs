//! One person's key destroyed: theirs is unreadable, the others' is not, and everything replays.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use chronicle::entropy::Entropy;
use chronicle::keys::{KeyStore, Keyring, SqliteKeyStore, read_master_key, subject_of};
use chronicle::log::sqlite::SqliteLog;
use chronicle::log::{Log, stream_of};
use domain::aggregate::{State, StreamId};
use domain::ids::PersonId;
use domain::requests::{Authorize, Secret};
use domain::views::{Chat, List, Me, Message, Person as Seen, PersonState, Session};

use crate::api::Api;
use crate::letopis::Folder;
use crate::people::Person;

struct Machine;

impl Entropy for Machine {
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("random numbers");
    }
}

fn destroy_key_of(folder: &Folder, person: PersonId) {
    let store = Arc::new(SqliteKeyStore::open(&folder.file("keys.db")).expect("the key store"));
    let master = read_master_key(&folder.file("master.key")).expect("the master key");
    let log_id = store.identity().expect("readable").expect("begun").log_id;
    let keyring = Keyring::unlock(store, &master, log_id, Arc::new(Machine)).expect("unlocked");
    keyring.destroy(&subject_of(person)).expect("destroyed");
}

/// Reads the log from its first event and folds every stream; how many events and streams.
async fn replay(file: &Path) -> (usize, usize) {
    let log = SqliteLog::open(file).expect("the log");
    let mut streams: BTreeMap<StreamId, (State, u64)> = BTreeMap::new();
    let mut position = 0;
    loop {
        let events = log.read(position, 100).await.expect("readable");
        if events.is_empty() {
            break;
        }
        for recorded in events {
            position += 1;
            assert_eq!(recorded.position, position);
            let stream = stream_of(&recorded).expect("a stream of ours");
            let event = recorded.decode().unwrap_or_else(|error| panic!("event {position}: {error}"));
            let kind = stream.kind;
            let (state, sequence) = streams.entry(stream).or_insert_with(|| (kind.initial(), 0));
            *sequence += 1;
            assert_eq!(recorded.sequence, *sequence, "event {position}");
            state.evolve(&event);
        }
    }
    (usize::try_from(position).expect("small"), streams.len())
}

/// What Ann looks like to Bob in the chat; her key is gone.
fn assert_only_anns_are_gone(messages: &List<Message>, ann: &Person, bob: &Person, their_texts: &[&str]) {
    let mut texts = their_texts.iter();
    for message in &messages.items {
        if message.author.user_id == ann.id {
            assert_eq!(message.text, "");
            assert_eq!((message.author.nickname.as_str(), message.author.name.as_str()), ("", ""));
            assert_eq!(message.author.state, PersonState::Erased);
        } else {
            assert_eq!(Some(&message.text.as_str()), texts.next());
            assert_eq!((message.author.user_id, message.author.nickname.as_str()), (bob.id, "bob"));
            assert_eq!(message.author.state, PersonState::Active);
        }
        if let Some(quoted) = &message.reply_to {
            assert_eq!(quoted.excerpt.is_some(), quoted.author.user_id == bob.id, "{quoted:?}");
        }
    }
    assert_eq!(texts.next(), None, "every one of Bob's is there");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_ones_key_destroyed_exactly_ones_own_is_unreadable_and_all_replays() {
    let folder = Folder::new();
    let letopis = folder.start().await;
    let api = Api::of(&letopis);
    let ann = Person::register(&api, "ann").await;
    let bob = Person::register(&api, "bob").await;
    let cyd = Person::register(&api, "cyd").await;
    for (one, other) in [(&ann, &bob), (&ann, &cyd), (&bob, &cyd)] {
        one.befriend(&api, other).await;
    }
    let (chat_id, others) = (ann.chat_with(&api, &bob).await, bob.chat_with(&api, &cyd).await);
    ann.say(&api, chat_id, "ann's first").await;
    bob.say(&api, chat_id, "bob's first").await;
    ann.answer(&api, chat_id, 2, "ann's answer").await;
    bob.answer(&api, chat_id, 1, "bob's answer").await;
    cyd.say(&api, others, "cyd's first").await;
    let history = format!("/chats/{chat_id}/messages");
    let before: List<Message> = bob.on(&api).query(&history).await;
    let texts: Vec<&str> = before.items.iter().map(|message| message.text.as_str()).collect();
    assert_eq!(texts, ["ann's first", "bob's first", "ann's answer", "bob's answer"]);
    letopis.stop().await;
    let counted = replay(&folder.file("log.db")).await;

    destroy_key_of(&folder, ann.id);
    assert_eq!(replay(&folder.file("log.db")).await, counted);

    for projections in ["kept", "rebuilt"] {
        if projections == "rebuilt" {
            std::fs::remove_dir_all(folder.file("projections")).expect("they were there");
        }
        let letopis = folder.start().await;
        let api = Api::of(&letopis);
        let messages: List<Message> = bob.on(&api).query(&history).await;
        assert_eq!(messages.items.len(), 4, "{projections}");
        assert_only_anns_are_gone(&messages, &ann, &bob, &["bob's first", "bob's answer"]);
        let elsewhere: List<Message> = cyd.on(&api).query(&format!("/chats/{others}/messages")).await;
        assert_eq!(elsewhere.items[0].text, "cyd's first");
        let me: Me = bob.on(&api).query("/me").await;
        assert_eq!((me.email, me.nickname), (bob.email.clone(), Some("bob".to_owned())));
        let sessions: List<Session> = bob.on(&api).query("/sessions").await;
        assert_eq!(sessions.items[0].device, "house");
        // Bob can still sign in, Ann cannot: her verifier was hers.
        let sign_in =
            |who: &Person| Authorize { email: who.email.clone(), password: Secret(who.password.clone()) };
        assert_eq!(api.command("authorize", None, &sign_in(&bob)).await.status, 200);
        api.command("authorize", None, &sign_in(&ann)).await.problem(401, "bad-credentials");
        // The system goes on: what is said now is sealed and read.
        let said = format!("bob's, {projections}");
        let sent = bob.say(&api, others, &said).await;
        let page = format!("/chats/{others}/messages?after={}", sent.number - 1);
        let latest: List<Message> = cyd.on(&api).query(&page).await;
        assert_eq!(latest.items[0].text, said);

        if projections == "rebuilt" {
            let friends: List<Seen> = bob.on(&api).query("/friends").await;
            let seen = |id| friends.items.iter().find(|friend| friend.user_id == id).expect("a friend");
            assert_eq!((seen(cyd.id).nickname.as_str(), seen(cyd.id).state), ("cyd", PersonState::Active));
            assert_eq!((seen(ann.id).nickname.as_str(), seen(ann.id).name.as_str()), ("", ""));
            assert_eq!(seen(ann.id).state, PersonState::Erased);
            let hits: List<Seen> = bob.on(&api).query("/users?q=ann").await;
            assert_eq!(hits.items, [], "nobody finds her");
            let hits: List<Seen> = bob.on(&api).query("/users?q=cyd").await;
            assert_eq!(hits.items.len(), 1);
            let chats: List<Chat> = bob.on(&api).query("/chats").await;
            assert_eq!(chats.items.len(), 2);
        }
        letopis.stop().await;
    }
    let (events, streams) = replay(&folder.file("log.db")).await;
    assert!(events > counted.0 && streams > counted.1);
}
