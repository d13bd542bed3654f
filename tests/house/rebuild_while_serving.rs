//! Projections are built anew while people write and read: nobody sees less than what they had seen,
//! and in the end the rows are those of a rebuild from nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use domain::ids::ChatId;
use domain::live::{ServerFrame, What};
use domain::views::{Chat, List, Me, Message, Person as Seen, Session};
use futures::StreamExt;
use serde::de::DeserializeOwned;
use tokio::task::JoinHandle;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::api::Api;
use crate::engine::{Engine, Place, on_both_engines};
use crate::letopis::{Letopis, until};
use crate::load::{Circle, Load};
use crate::people::Person;
use crate::rebuild::ask_everything;

/// One a seat.
const SENDERS: usize = 6;
/// Enough for a rebuild that takes a moment.
const MESSAGES: usize = 1_500;

/// A message as its sender made it, and not a part of one.
#[track_caller]
fn assert_whole(message: &Message, names: &BTreeSet<String>) {
    assert!(message.text.contains(&message.message_id.0.to_string()), "not what was sent: {message:?}");
    assert!(message.text.ends_with("да"), "not all of what was sent: {message:?}");
    assert!(names.contains(&message.author.nickname), "by nobody: {message:?}");
}

/// What a reader has seen, and must not see less of.
struct Reader {
    circle: Circle,
    me: usize,
    api: Api,
    names: BTreeSet<String>,
    position: u64,
    numbers: BTreeMap<ChatId, u64>,
    reads: Arc<AtomicUsize>,
}

impl Reader {
    /// `None` while nobody listens.
    async fn ask<T: DeserializeOwned>(&mut self, path: &str) -> Option<T> {
        let wanted = self.position.max(self.api.written());
        let body: serde_json::Value = self.api.show(path, wanted).await.ok()?.ok();
        // Lists and single things alike say how far they show.
        if let Some(position) = body["position"].as_u64() {
            assert!(position >= wanted, "{path} shows {position}, and {wanted} was seen");
            self.position = position;
        }
        self.reads.fetch_add(1, Ordering::SeqCst);
        Some(serde_json::from_value(body).unwrap_or_else(|error| panic!("{path}: {error}")))
    }

    async fn read_chat(&mut self, chat_id: ChatId) -> Option<()> {
        let base = format!("/chats/{chat_id}/messages?limit=50");
        let page: List<Message> = self.ask(&base).await?;
        let newest = page.items.last().expect("a page is empty").number;
        self.assert_dense(&page, newest + 1 - page.items.len() as u64);
        let seen = self.numbers.entry(chat_id).or_default();
        assert!(newest >= *seen, "the newest is {newest}, and {seen} was seen");
        *seen = newest;
        // An older part, as it was before.
        if newest > 120 {
            let before = newest - 60;
            let page: List<Message> = self.ask(&format!("{base}&before={before}")).await?;
            assert_eq!(page.items.len(), 50, "a hole in the history");
            self.assert_dense(&page, before - 50);
        }
        Some(())
    }

    fn assert_dense(&self, page: &List<Message>, first: u64) {
        let numbers: Vec<u64> = page.items.iter().map(|message| message.number).collect();
        let last = first + numbers.len() as u64;
        assert!(numbers.iter().copied().eq(first..last), "a torn page: {numbers:?}");
        page.items.iter().for_each(|message| assert_whole(message, &self.names));
    }

    async fn read_all(&mut self) -> Option<()> {
        let me = self.circle.people[self.me].clone();
        let chats: Vec<ChatId> = self
            .circle
            .seats
            .iter()
            .filter(|(person, _)| *person == self.me)
            .map(|(_, chat)| *chat)
            .collect();
        for chat_id in &chats {
            self.read_chat(*chat_id).await?;
        }
        let listed: List<Chat> = self.ask("/chats").await?;
        let ids: BTreeSet<ChatId> = listed.items.iter().map(|chat| chat.chat_id).collect();
        assert_eq!(ids, chats.iter().copied().collect(), "chats are missing");
        for chat in &listed.items {
            let seen = self.numbers.entry(chat.chat_id).or_default();
            assert!(chat.last_number >= *seen, "{} is listed, and {seen} was seen", chat.last_number);
            *seen = chat.last_number;
        }
        let friends: List<Seen> = self.ask("/friends").await?;
        let mut friends: BTreeSet<String> = friends.items.into_iter().map(|friend| friend.nickname).collect();
        friends.insert(me.nickname.clone());
        assert_eq!(friends, self.names, "friends are missing");
        let other = self.names.iter().find(|name| **name != me.nickname).expect("three people").clone();
        let found: List<Seen> = self.ask(&format!("/users?q={other}")).await?;
        assert_eq!(found.items.len(), 1, "{other} is not found");
        let sessions: List<Session> = self.ask("/sessions").await?;
        assert!(
            sessions.items.iter().any(|session| session.session_id == me.session),
            "a session is missing"
        );
        let myself: Me = self.ask("/me").await?;
        assert_eq!(myself.nickname.as_deref(), Some(me.nickname.as_str()));
        Some(())
    }
}

/// Hears of every message once, in order, whole; over as many connections as it takes.
async fn listen(api: Api, person: Person, names: BTreeSet<String>, heard: Arc<AtomicUsize>) {
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    loop {
        ticks.tick().await;
        let url = format!("{}/query/v1/live", api.base().replacen("http", "ws", 1));
        let mut request = url.into_client_request().expect("a request");
        let bearer = format!("Bearer {}", person.access).parse().expect("a header's value");
        request.headers_mut().insert("authorization", bearer);
        let Ok((mut socket, _)) = connect_async(request).await else { continue };
        let (mut last, mut numbers) = (0, BTreeMap::<ChatId, u64>::new());
        while let Some(Ok(frame)) = socket.next().await {
            let Frame::Text(text) = frame else { continue };
            match serde_json::from_str(&text).expect("a frame") {
                ServerFrame::Change { position, what: What::Message, ids, item } => {
                    assert!(position >= last, "{position} after {last}");
                    last = position;
                    let (chat_id, number) = (ids.chat_id.expect("a chat"), ids.number.expect("a number"));
                    if let Some(before) = numbers.insert(chat_id, number) {
                        assert_eq!(number, before + 1, "a message was not heard of, or twice");
                    }
                    let message = serde_json::from_value(item.expect("the message")).expect("a message");
                    assert_whole(&message, &names);
                    heard.fetch_add(1, Ordering::SeqCst);
                }
                ServerFrame::Gap { .. } => numbers.clear(),
                _ => {}
            }
        }
    }
}

/// Everybody who reads, until it is enough.
struct Readers {
    tasks: Vec<JoinHandle<()>>,
    listeners: Vec<JoinHandle<()>>,
    enough: Arc<AtomicBool>,
    reads: Arc<AtomicUsize>,
    heard: Arc<AtomicUsize>,
}

impl Readers {
    fn start(circle: &Circle, api: &Api) -> Self {
        let (enough, reads, heard) = (Arc::new(AtomicBool::new(false)), Arc::default(), Arc::default());
        let names: BTreeSet<String> = circle.people.iter().map(|person| person.nickname.clone()).collect();
        let (mut tasks, mut listeners) = (Vec::new(), Vec::new());
        for (me, person) in circle.people.iter().enumerate() {
            let mut reader = Reader {
                circle: circle.clone(),
                me,
                api: person.on(api),
                names: names.clone(),
                position: 0,
                numbers: BTreeMap::new(),
                reads: Arc::clone(&reads),
            };
            let enough = Arc::clone(&enough);
            tasks.push(tokio::spawn(async move {
                let mut ticks = tokio::time::interval(Duration::from_millis(5));
                while !enough.load(Ordering::SeqCst) {
                    reader.read_all().await;
                    ticks.tick().await;
                }
            }));
            listeners.push(tokio::spawn(listen(
                api.clone(),
                person.clone(),
                names.clone(),
                Arc::clone(&heard),
            )));
        }
        Self { tasks, listeners, enough, reads, heard }
    }

    /// Waits until everybody has read and heard again.
    async fn go_on(&self) {
        let (reads, heard) = (self.reads.load(Ordering::SeqCst), self.heard.load(Ordering::SeqCst));
        until("people read and hear", async || {
            assert!(
                !self.tasks.iter().chain(&self.listeners).any(JoinHandle::is_finished),
                "a reader stopped"
            );
            let more = |now: &AtomicUsize, before: usize| now.load(Ordering::SeqCst) > before + 30;
            (more(&self.reads, reads) && more(&self.heard, heard)).then_some(())
        })
        .await;
    }

    async fn stop(self) {
        self.enough.store(true, Ordering::SeqCst);
        for task in self.tasks {
            task.await.expect("a reader found fault");
        }
        for listener in self.listeners {
            assert!(!listener.is_finished(), "a listener found fault");
            listener.abort();
        }
    }
}

async fn generation(place: &Place, name: &str) -> u64 {
    place.projections().await[name]["generation"].as_u64().expect("a number")
}

on_both_engines!(no_read_is_empty_torn_or_old_while_projections_are_rebuilt);

async fn no_read_is_empty_torn_or_old_while_projections_are_rebuilt(engine: Engine) {
    let place = Place::new(engine).await;
    let letopis = place.start().await;
    let address = letopis.address;
    let api = Api::of(&letopis);
    let circle = Circle::gather(&api).await;
    let load = Load::through_kills(&circle, &api, SENDERS);
    load.goes_on(MESSAGES).await;
    let readers = Readers::start(&circle, &api);
    readers.go_on().await;

    for name in ["timeline", "directory", "sessions", "search"] {
        let before = generation(&place, name).await;
        let ran = place.settings().run(&["projections", "rebuild", name]).await;
        assert_eq!(ran.code, Some(0), "{name}: {ran:?}");
        assert!(generation(&place, name).await > before, "{name} serves what it served before");
        load.goes_on(SENDERS).await;
        readers.go_on().await;
    }
    assert_eq!(load.refused(), 0, "a rebuild has refused commands");

    // Killed while it builds, it serves what it served, and goes on building when it is back.
    let mut letopis = letopis;
    let midway = async {
        for _ in 0..10 {
            let before = generation(&place, "timeline").await;
            let is_midway = kill_while_it_builds(&place, letopis, before).await;
            letopis = place.settings().with("LETOPIS_LISTEN", address).start().await;
            until("it is built", async || (generation(&place, "timeline").await > before).then_some(()))
                .await;
            load.goes_on(SENDERS).await;
            readers.go_on().await;
            if is_midway {
                return letopis;
            }
        }
        panic!("no kill fell into a rebuild");
    };
    let letopis = midway.await;

    readers.stop().await;
    let mut all = load.stop().await;
    circle.send_all_again(&api, &mut all).await;
    circle.assert_all_there(&api, &all).await;
    let head = place.head().await.0;
    let before = everything(&api, &circle, head).await;
    letopis.stop().await;
    std::fs::remove_dir_all(place.folder.file("projections")).expect("they were there");
    let letopis = place.start().await;
    let after = everything(&Api::of(&letopis), &circle, head).await;
    assert!(after == before, "other rows than those of a rebuild from nothing");
    letopis.stop().await;
    place.assert_sound().await;
}

/// Whether it was killed before the new generation, which is `before + 1`, was served.
async fn kill_while_it_builds(place: &Place, letopis: Letopis, before: u64) -> bool {
    let folder = place.folder.file("projections/timeline");
    let settings = place.settings();
    let asking = tokio::spawn(async move { settings.run(&["projections", "rebuild", "timeline"]).await });
    // From here on it is known what was asked for.
    let begun = folder.join((before + 1).to_string()).join("asked.json");
    until("a new generation is begun", async || {
        std::fs::metadata(&begun).is_ok_and(|file| file.len() > 0).then_some(())
    })
    .await;
    letopis.kill().await;
    let served = std::fs::read_to_string(folder.join("CURRENT")).expect("the generation that is served");
    let is_midway = served.trim() == before.to_string();
    let asked = asking.await.expect("no panic");
    let was_told = asked.code != Some(0) && !asked.stderr.is_empty();
    assert!(!is_midway || was_told, "whoever asked is not told that it broke off: {asked:?}");
    is_midway
}

/// Every list of everybody, to its end.
async fn everything(api: &Api, circle: &Circle, head: u64) -> Vec<BTreeMap<String, Vec<u8>>> {
    let mut answers = Vec::new();
    for (me, person) in circle.people.iter().enumerate() {
        let mut paths: Vec<String> =
            ["/me", "/sessions", "/friends", "/chats", "/users?q=ann", "/users?q=bob"]
                .map(str::to_owned)
                .to_vec();
        for (_, chat_id) in circle.seats.iter().filter(|(sits, _)| *sits == me) {
            paths.extend([format!("/chats/{chat_id}"), format!("/chats/{chat_id}/messages?limit=200")]);
        }
        answers.push(ask_everything(api, person, paths, head).await);
    }
    answers
}
