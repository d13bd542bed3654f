//! The live socket, against a bound listener.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::ids::{ChatId, PersonId};
use domain::live::{Ids, Signal, What};
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use stores::live::{Live, Notice, Subscription};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::world::{ORIGIN, World, person, session_of};

pub struct Served {
    pub world: World,
    address: String,
}

pub struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

pub async fn serve(world: World) -> Served {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let app = world.app();
    tokio::spawn(async move { axum::serve(listener, app).await });
    Served { world, address }
}

impl Served {
    async fn try_connect(
        &self,
        who: PersonId,
        query: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Socket, Error> {
        let mut request = format!("ws://{}/query/v1/live{query}", self.address).into_client_request()?;
        request.headers_mut().insert("x-test-person", who.to_string().parse().expect("a value"));
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().expect("a value"));
        }
        connect_async(request).await.map(|(socket, _)| Socket(socket))
    }

    pub async fn connect(&self, who: PersonId, query: &str) -> Socket {
        self.try_connect(who, query, &[]).await.expect("connected")
    }

    /// The status of a refused upgrade.
    async fn refused(&self, who: PersonId, query: &str, headers: &[(&'static str, &str)]) -> u16 {
        match self.try_connect(who, query, headers).await {
            Err(Error::Http(response)) => response.status().as_u16(),
            Err(error) => panic!("{error}"),
            Ok(_) => 101,
        }
    }
}

impl Socket {
    /// The next frame.
    pub async fn frame(&mut self) -> Value {
        loop {
            let message =
                tokio::time::timeout(Duration::from_secs(60), self.0.next()).await.expect("in time");
            match message {
                Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).expect("JSON"),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => return json!({ "closed": format!("{other:?}") }),
            }
        }
    }

    pub async fn say(&mut self, text: impl Into<String>) {
        self.0.send(Message::text(text.into())).await.expect("sent");
    }

    /// Frames up to the answer to a ping.
    pub async fn until_pong(&mut self) -> Vec<Value> {
        self.say(r#"{"type":"ping"}"#).await;
        let mut frames = Vec::new();
        loop {
            let frame = self.frame().await;
            assert!(frame.get("closed").is_none(), "{frame}");
            let pong = frame["type"] == "pong";
            frames.push(frame);
            if pong {
                return frames;
            }
        }
    }

    async fn reason(&mut self) -> Value {
        loop {
            let frame = self.frame().await;
            assert!(frame.get("closed").is_none(), "closed without a bye");
            if frame["type"] == "bye" {
                return frame["reason"].clone();
            }
        }
    }
}

/// Two friends with a chat: positions 1 to 4.
async fn friends() -> (World, PersonId, PersonId, ChatId) {
    let world = World::new().await;
    let (ann, bob) = (world.registered(1, "ann", "Ann").await, world.registered(2, "bob", "Bob").await);
    world.friends(ann, bob).await;
    let chat = world.chat(100, ann, bob).await;
    (world, ann, bob, chat)
}

pub fn message(chat: ChatId, number: u64) -> Ids {
    Ids { chat_id: Some(chat), number: Some(number), ..Ids::default() }
}

fn about(person: PersonId) -> Ids {
    Ids { user_id: Some(person), ..Ids::default() }
}

#[tokio::test]
async fn a_message_reaches_the_other_screen_as_its_reader_may_see_it() {
    let (world, ann, bob, chat) = friends().await;
    let served = serve(world).await;
    let mut socket = served.connect(bob, "").await;
    assert_eq!(socket.frame().await, json!({ "type": "hello", "position": 4 }));
    let position = served.world.sent(chat, ann, 1, "hello bob", None).await;
    served.world.publish(position, What::Message, message(chat, 1), &[ann, bob]).await;
    let change = socket.frame().await;
    assert_eq!(
        (&change["type"], &change["what"], &change["position"]),
        (&json!("change"), &json!("message"), &json!(5))
    );
    assert_eq!(change["ids"], json!({ "chat_id": chat, "number": 1 }));
    let page = served.world.get(bob, &format!("/chats/{chat}/messages")).await;
    assert_eq!(change["item"], page["items"][0]);
    assert_eq!(socket.until_pong().await, [json!({ "type": "pong", "position": 5 })]);
}

#[tokio::test]
async fn chats_and_links_come_with_their_view() {
    let (world, ann, bob, _) = friends().await;
    let served = serve(world).await;
    let mut socket = served.connect(bob, "").await;
    socket.frame().await;
    let world = &served.world;
    let cy = world.registered(3, "cy", "Cy").await;
    let position = world.friends(bob, cy).await;
    world.publish(position, What::Person, about(cy), &[bob]).await;
    let change = socket.frame().await;
    assert_eq!((&change["what"], &change["item"]["relation"]), (&json!("person"), &json!("friends")));
    let chat = world.chat(101, cy, bob).await;
    world.publish(7, What::Chat, Ids { chat_id: Some(chat), ..Ids::default() }, &[bob, cy]).await;
    let change = socket.frame().await;
    assert_eq!((&change["what"], &change["item"]["peer"]["nickname"]), (&json!("chat"), &json!("cy")));
    assert_eq!(change["item"]["can_send"], true);
    world.publish(8, What::Me, Ids::default(), &[bob]).await;
    world.head.store(8, std::sync::atomic::Ordering::SeqCst);
    world.show();
    assert_eq!(socket.frame().await["what"], "me");
    let _ = ann;
}

#[tokio::test]
async fn what_one_may_not_see_is_not_sent() {
    let (world, ann, bob, chat) = friends().await;
    let eve = world.registered(3, "eve", "Eve").await;
    let served = serve(world).await;
    let (mut of_eve, mut of_bob) = (served.connect(eve, "").await, served.connect(bob, "").await);
    of_eve.frame().await;
    of_bob.frame().await;
    let world = &served.world;
    // A notice that went to somebody who is not in the chat.
    let position = world.sent(chat, ann, 1, "private", None).await;
    world.publish(position, What::Message, message(chat, 1), &[ann, bob, eve]).await;
    assert_eq!(of_eve.until_pong().await.len(), 1, "a pong and nothing else");
    assert_eq!(of_bob.frame().await["what"], "message");
    // How far somebody has read is told to friends.
    let read =
        |number| Ids { chat_id: Some(chat), user_id: Some(ann), number: Some(number), ..Ids::default() };
    let position = world.read(chat, ann, 1).await;
    world.publish(position, What::Read, read(1), &[ann, bob]).await;
    assert_eq!(of_bob.frame().await["ids"], json!({ "chat_id": chat, "user_id": ann, "number": 1 }));
    world.blocks(ann, bob).await;
    let position = world.read(chat, ann, 1).await;
    world.publish(position, What::Read, read(1), &[ann, bob]).await;
    assert_eq!(of_bob.until_pong().await.len(), 1, "and to nobody else");
}

#[tokio::test]
async fn coming_back_one_is_told_what_was_missed_and_then_goes_on() {
    let (world, ann, bob, chat) = friends().await;
    world.sent(chat, ann, 1, "one", None).await;
    let cy = world.registered(3, "cy", "Cy").await;
    world.friends(cy, bob).await;
    world.sent(chat, ann, 2, "two", None).await;
    world.read(chat, bob, 2).await;
    let served = serve(world).await;
    let mut socket = served.connect(bob, "?after=5").await;
    assert_eq!(socket.frame().await, json!({ "type": "hello", "position": 5 }));
    let missed: Vec<Value> = socket.until_pong().await;
    let told: Vec<(Value, Value)> =
        missed.iter().map(|it| (it["position"].clone(), it["what"].clone())).collect();
    assert_eq!(
        told,
        [
            (json!(7), json!("person")),
            (json!(8), json!("message")),
            (json!(9), json!("read")),
            (json!(9), Value::Null)
        ]
    );
    assert_eq!(missed[1]["item"]["text"], "two");
    // A notice that was published late for what the feed has told is not told again.
    served.world.publish(8, What::Message, message(chat, 2), &[ann, bob]).await;
    let position = served.world.sent(chat, ann, 3, "three", None).await;
    served.world.publish(position, What::Message, message(chat, 3), &[ann, bob]).await;
    assert_eq!(socket.frame().await["item"]["text"], "three");
}

#[tokio::test]
async fn a_new_chat_is_told_on_coming_back_with_its_messages() {
    let (world, _, bob, chat) = friends().await;
    world.sent(chat, bob, 1, "one", None).await;
    let served = serve(world).await;
    let mut socket = served.connect(bob, "?after=2").await;
    socket.frame().await;
    let told: Vec<Value> = socket.until_pong().await.iter().map(|it| it["what"].clone()).collect();
    assert_eq!(told, [json!("person"), json!("chat"), json!("message"), Value::Null]);
}

/// Lets the test do something at the moment of subscribing.
struct Interrupted {
    live: Arc<dyn Live>,
    moments: mpsc::UnboundedSender<oneshot::Sender<()>>,
}

#[async_trait]
impl Live for Interrupted {
    async fn publish(&self, notices: Vec<Notice>) -> stores::Result<()> {
        self.live.publish(notices).await
    }
    async fn signal(&self, signal: Signal, ids: Ids, to: &[PersonId]) -> stores::Result<()> {
        self.live.signal(signal, ids, to).await
    }
    async fn subscribe(&self, person: PersonId) -> stores::Result<Box<dyn Subscription>> {
        let (done, waiting) = oneshot::channel();
        self.moments.send(done).expect("the test listens");
        waiting.await.expect("the test goes on");
        self.live.subscribe(person).await
    }
}

#[tokio::test]
async fn what_happens_just_before_one_has_subscribed_is_told() {
    let (moments, mut moment) = mpsc::unbounded_channel();
    let world =
        World::with(|stores| stores.live = Arc::new(Interrupted { live: stores.live.clone(), moments }))
            .await;
    let (ann, bob) = (world.registered(1, "ann", "Ann").await, world.registered(2, "bob", "Bob").await);
    let chat = world.chat(100, ann, bob).await;
    let served = serve(world).await;
    let mut socket = served.connect(bob, "?after=3").await;
    let go_on = moment.recv().await.expect("it subscribes");
    let position = served.world.sent(chat, ann, 1, "just now", None).await;
    served.world.publish(position, What::Message, message(chat, 1), &[ann, bob]).await;
    go_on.send(()).expect("it waits");
    let told: Vec<Value> = socket.until_pong().await.iter().map(|it| it["item"]["text"].clone()).collect();
    assert_eq!(told, [Value::Null, json!("just now"), Value::Null], "hello, the message, pong");
}

#[tokio::test]
async fn nothing_that_happens_while_sockets_come_and_go_is_lost() {
    let (world, ann, bob, chat) = friends().await;
    let served = serve(world).await;
    // Messages go on while sockets come and go; each time one resumes where the last one ended.
    let sending = async {
        for number in 1..=60 {
            let position = served.world.sent(chat, ann, number, "text", None).await;
            served.world.publish(position, What::Message, message(chat, number), &[ann, bob]).await;
        }
    };
    let listening = async {
        let (mut position, mut seen) = (4, Vec::new());
        while seen.len() < 60 {
            let mut socket = served.connect(bob, &format!("?after={position}")).await;
            for _ in 0..7 {
                let frame = socket.frame().await;
                // It comes back, as a client does that a slow disk has cost its socket.
                if frame.get("closed").is_some() {
                    break;
                }
                position = frame["position"].as_u64().expect("a position").max(position);
                seen.extend(frame["ids"]["number"].as_u64());
                if seen.len() >= 60 {
                    break;
                }
            }
        }
        seen
    };
    let (seen, ()) = tokio::join!(listening, sending);
    assert_eq!(seen, (1..=60).collect::<Vec<_>>());
}

#[tokio::test]
async fn too_much_missed_is_a_gap() {
    let (world, ann, bob, chat) = friends().await;
    for number in 1..=1_001 {
        world.sent(chat, ann, number, "text", None).await;
    }
    let served = serve(world).await;
    let mut socket = served.connect(bob, "?after=4").await;
    assert_eq!(socket.frame().await["type"], "hello");
    assert_eq!(socket.frame().await, json!({ "type": "gap", "position": 1_005 }));
    let mut socket = served.connect(bob, "?after=105").await;
    assert_eq!(socket.frame().await["type"], "hello");
    assert_eq!(socket.until_pong().await.len(), 901, "900 changes and a pong");
}

#[tokio::test]
async fn a_position_beyond_the_head_is_refused_before_the_upgrade() {
    let (world, ann, ..) = friends().await;
    let served = serve(world).await;
    assert_eq!(served.refused(ann, "?after=5", &[]).await, 400);
    assert_eq!(served.refused(ann, "?after=x", &[]).await, 400);
    assert_eq!(served.refused(ann, "?token=x", &[]).await, 400);
    assert_eq!(served.refused(ann, "?after=4", &[]).await, 101);
}

#[tokio::test]
async fn by_cookie_the_origin_must_be_the_apps() {
    let (world, ann, ..) = friends().await;
    let served = serve(world).await;
    let own_host = format!("http://{}", served.address);
    let cookie = ("x-test-cookie", "yes");
    assert_eq!(served.refused(ann, "", &[cookie, ("origin", ORIGIN)]).await, 101);
    assert_eq!(served.refused(ann, "", &[cookie, ("origin", &own_host)]).await, 101);
    for origin in [
        "http://evil.example",
        "null",
        "http://127.0.0.1",
        "https://127.0.0.1:8080",
        "http://127.0.0.1:8080/",
    ] {
        assert_eq!(served.refused(ann, "", &[cookie, ("origin", origin)]).await, 403, "{origin}");
    }
    assert_eq!(served.refused(ann, "", &[cookie]).await, 403);
    assert_eq!(served.refused(ann, "", &[("origin", "http://evil.example")]).await, 101, "not by cookie");
}

#[tokio::test]
async fn a_socket_ends_with_its_session() {
    let (world, ann, ..) = friends().await;
    let served = serve(world).await;
    let mut here = served.connect(ann, "").await;
    let other = person(77).to_string();
    let mut elsewhere = served.try_connect(ann, "", &[("x-test-session", &other)]).await.expect("connected");
    here.frame().await;
    elsewhere.frame().await;
    let ended = session_of(person(77));
    let position = served.world.end(ended);
    served
        .world
        .publish(position, What::Session, Ids { session_id: Some(ended), ..Ids::default() }, &[ann])
        .await;
    assert_eq!(elsewhere.reason().await, "session-ended");
    let change = here.frame().await;
    assert_eq!((&change["what"], &change["ids"]["session_id"]), (&json!("session"), &json!(ended)));
    assert_eq!(here.until_pong().await.len(), 1, "the other session's socket goes on");
    let again = served.try_connect(ann, "", &[("x-test-session", &other)]).await;
    assert_eq!(again.expect("upgraded").reason().await, "session-ended");
}

#[tokio::test]
async fn the_eleventh_socket_is_one_too_many() {
    let (world, ann, bob, _) = friends().await;
    let served = serve(world).await;
    let mut sockets = Vec::new();
    for _ in 0..10 {
        let mut socket = served.connect(ann, "").await;
        assert_eq!(socket.frame().await["type"], "hello");
        sockets.push(socket);
    }
    assert_eq!(served.connect(ann, "").await.reason().await, "too-many-sockets");
    assert_eq!(served.connect(bob, "").await.frame().await["type"], "hello");
}

#[tokio::test]
async fn bad_frames_end_the_socket() {
    let (world, ann, ..) = friends().await;
    let served = serve(world).await;
    let longest = format!("{{\"type\":\"ping\"}}{}", " ".repeat(4096 - 15));
    let mut socket = served.connect(ann, "").await;
    socket.frame().await;
    socket.say(longest.clone()).await;
    assert_eq!(socket.frame().await["type"], "pong", "4 KiB are taken");
    for bad in [
        format!("{longest} "),
        "nonsense".into(),
        r#"{"type":"shout"}"#.into(),
        r#"{"type":"ping","x":1}"#.into(),
    ] {
        let mut socket = served.connect(ann, "").await;
        socket.frame().await;
        socket.say(bad.clone()).await;
        assert_eq!(socket.reason().await, "bad-frame", "{bad}");
    }
}

#[tokio::test]
async fn shutting_down_says_bye_and_waits_for_the_sockets() {
    let (world, ann, ..) = friends().await;
    let served = serve(world).await;
    let mut socket = served.connect(ann, "").await;
    socket.frame().await;
    served.world.shutdown.cancel();
    assert_eq!(socket.reason().await, "shutdown");
    drop(socket);
    let closed = served.world.state.sockets_closed();
    tokio::time::timeout(Duration::from_secs(60), closed).await.expect("all closed");
}

#[tokio::test]
async fn one_who_lags_is_told_of_the_gap() {
    let (world, ann, bob, chat) = friends().await;
    let served = serve(world).await;
    let mut socket = served.connect(bob, "").await;
    socket.frame().await;
    // More at once than wait for one subscriber; the rows are there.
    let position = served.world.sent(chat, ann, 1, "text", None).await;
    let notice = Notice { position, what: What::Message, ids: message(chat, 1), to: vec![bob] };
    served.world.stores.live.publish(vec![notice; 2_000]).await.expect("published");
    loop {
        let frame = socket.frame().await;
        if frame["type"] == "gap" {
            assert_eq!(frame["position"], 5);
            break;
        }
        assert_eq!(frame["type"], "change");
    }
    assert_eq!(socket.until_pong().await.last().expect("a pong")["type"], "pong");
}
