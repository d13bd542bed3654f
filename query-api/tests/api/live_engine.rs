//! Live, when an engine or rows were away for a while.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use domain::ids::{ChatId, PersonId};
use domain::live::{Ids, Signal, What};
use serde_json::json;
use stores::live::{Live, Notice, Received, Subscription};
use tokio::sync::mpsc;

use crate::live::{Served, Socket, message, serve};
use crate::world::World;

/// What a subscriber gets is the test's to say.
struct Told {
    sockets: mpsc::UnboundedSender<mpsc::UnboundedSender<Received>>,
}

struct Telling(mpsc::UnboundedReceiver<Received>);

#[async_trait]
impl Subscription for Telling {
    async fn next(&mut self) -> Option<Received> {
        self.0.recv().await
    }
}

#[async_trait]
impl Live for Told {
    async fn publish(&self, _: Vec<Notice>) -> stores::Result<()> {
        Ok(())
    }
    async fn signal(&self, _: Signal, _: Ids, _: &[PersonId]) -> stores::Result<()> {
        Ok(())
    }
    async fn subscribe(&self, _: PersonId) -> stores::Result<Box<dyn Subscription>> {
        let (tell, told) = mpsc::unbounded_channel();
        self.sockets.send(tell).expect("the test listens");
        Ok(Box::new(Telling(told)))
    }
}

/// Bob's socket, and what it is told; Ann writes to him.
struct Scene {
    served: Served,
    ann: PersonId,
    chat: ChatId,
    socket: Socket,
    tell: mpsc::UnboundedSender<Received>,
}

impl Scene {
    async fn new() -> Self {
        let (sockets, mut subscribed) = mpsc::unbounded_channel();
        let world = World::with(|stores| stores.live = Arc::new(Told { sockets })).await;
        let (ann, bob) = (world.registered(1, "ann", "Ann").await, world.registered(2, "bob", "Bob").await);
        let chat = world.chat(100, ann, bob).await;
        let served = serve(world).await;
        let mut socket = served.connect(bob, "").await;
        socket.frame().await;
        let tell = subscribed.recv().await.expect("it subscribes");
        Self { served, ann, chat, socket, tell }
    }
}

/// That message `number` was sent at `position`.
fn sent(position: u64, chat: ChatId, number: u64) -> Received {
    let (what, ids) = (What::Message, message(chat, number));
    Received::Notice(Arc::new(Notice { position, what, ids, to: Vec::new() }))
}

#[tokio::test]
async fn an_engine_that_was_away_costs_an_open_socket_nothing() {
    let Scene { served, ann, chat, mut socket, tell } = Scene::new().await;
    let first = served.world.sent(chat, ann, 1, "one", None).await;
    tell.send(sent(first, chat, 1)).expect("told");
    assert_eq!(socket.frame().await["item"]["text"], "one");
    // Nobody is told of these.
    let second = served.world.sent(chat, ann, 2, "two", None).await;
    let third = served.world.sent(chat, ann, 3, "three", None).await;
    tell.send(Received::Resumed).expect("told");
    // One that was under way all the same.
    tell.send(sent(second, chat, 2)).expect("told");
    let mut frames = Vec::new();
    for _ in 0..4 {
        frames.push(socket.frame().await);
    }
    let texts: Vec<_> = frames.iter().map(|frame| frame["item"]["text"].as_str().unwrap_or("")).collect();
    assert_eq!(texts, ["one", "two", "three", ""], "the last one sent is said again");
    assert_eq!(frames[3]["what"], "session", "which leave no feed");
    assert_eq!(socket.until_pong().await, [json!({ "type": "pong", "position": third })]);
}

#[tokio::test]
async fn what_is_shown_late_is_told_once_it_is() {
    let Scene { served, ann, chat, mut socket, tell } = Scene::new().await;
    let shown = served.world.head.load(Ordering::SeqCst);
    for number in 1..=2 {
        tell.send(sent(shown + number, chat, number)).expect("told");
    }
    // Its rows stand still for longer than anybody waits.
    assert_eq!(socket.frame().await, json!({ "type": "gap", "position": shown }));
    assert_eq!(socket.until_pong().await, [json!({ "type": "pong", "position": shown })]);
    served.world.sent(chat, ann, 1, "one", None).await;
    served.world.sent(chat, ann, 2, "two", None).await;
    let mut texts = Vec::new();
    while texts.len() < 2 {
        texts.extend(socket.frame().await["item"]["text"].as_str().map(str::to_owned));
    }
    assert_eq!(texts, ["one", "two"]);
}
