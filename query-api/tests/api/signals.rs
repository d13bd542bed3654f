//! Typing and presence.

use std::time::{Duration, Instant};

use domain::ids::{ChatId, PersonId};
use domain::live::{Ids, Signal};
use domain::views::{Audience, History, Settings};
use serde_json::{Value, json};

use crate::live::{Served, Socket, serve};
use crate::world::World;

/// Whoever types on is not passed on for so long.
const AT_ONCE: Duration = Duration::from_secs(2);

fn types(chat: ChatId) -> String {
    json!({ "type": "typing", "chat_id": chat }).to_string()
}

fn typing(chat: ChatId, who: PersonId) -> Value {
    json!({ "type": "signal", "signal": "typing", "ids": { "chat_id": chat, "user_id": who } })
}

fn presence(who: PersonId) -> Value {
    json!({ "type": "signal", "signal": "presence", "ids": { "user_id": who } })
}

impl Served {
    /// Connected, its own first frames read.
    async fn here(&self, who: PersonId) -> Socket {
        let mut socket = self.connect(who, "").await;
        socket.until_pong().await;
        socket
    }

    /// Says to all of `to` that `who` is here, past every rule of theirs.
    async fn mark(&self, who: PersonId, to: &[PersonId]) {
        let ids = Ids { user_id: Some(who), ..Ids::default() };
        self.world.stores.live.signal(Signal::Presence, ids, to).await.expect("signalled");
    }
}

/// The signals up to `last`, which is among them.
async fn until(socket: &mut Socket, last: &Value) -> Vec<Value> {
    let mut signals = Vec::new();
    loop {
        let frame = socket.frame().await;
        assert!(frame.get("closed").is_none(), "{frame}");
        if frame["type"] == "signal" {
            signals.push(frame);
        }
        if signals.last() == Some(last) {
            return signals;
        }
    }
}

#[tokio::test]
async fn who_writes_is_seen_by_the_others_in_the_chat() {
    let world = World::new().await;
    let [ann, bob, cy] = world.three().await;
    let dan = world.registered(4, "dan", "Dan").await;
    world.friends(ann, dan).await;
    let group = world.group(100, ann, &[bob, cy], "Choir", History::Joining).await;
    let other = world.group(101, ann, &[bob], "Band", History::Joining).await;
    let served = serve(world).await;
    let (mut of_bob, mut of_cy, mut of_dan) =
        (served.here(bob).await, served.here(cy).await, served.here(dan).await);
    // Once more at once is not passed on; of another chat it is.
    let mut of_ann = loop {
        let mut of_ann = served.connect(ann, "").await;
        of_ann.until_pong().await;
        let began = Instant::now();
        for chat in [group, group, other] {
            of_ann.say(types(chat)).await;
        }
        let heard = until(&mut of_bob, &typing(other, ann)).await;
        let times = heard.iter().filter(|it| **it == typing(group, ann)).count();
        if times == 1 {
            break of_ann;
        }
        // It was not at once, if the machine stood still.
        assert!(began.elapsed() >= AT_ONCE, "{heard:?}");
    };
    until(&mut of_cy, &typing(group, ann)).await;
    served.mark(ann, &[dan]).await;
    let heard = until(&mut of_dan, &presence(ann)).await;
    assert!(heard.iter().all(|it| it["signal"] == "presence"), "a friend elsewhere hears nothing of it");
    let frames = of_ann.until_pong().await;
    assert!(frames.iter().all(|it| it["signal"] != "typing"), "nor does oneself");
}

#[tokio::test]
async fn writing_is_seen_where_one_may_write_and_by_nobody_who_was_blocked() {
    let world = World::new().await;
    let [ann, bob, cy] = world.three().await;
    let dan = world.registered(4, "dan", "Dan").await;
    let group = world.group(100, ann, &[bob, cy, dan], "Choir", History::Joining).await;
    let over = world.group(101, ann, &[bob], "Over", History::Joining).await;
    world.dissolved(over, ann, 0).await;
    let direct = world.chat(102, ann, bob).await;
    // Bob was blocked by ann, cy has blocked her.
    world.friends(ann, bob).await;
    world.blocks(ann, bob).await;
    world.blocks(cy, ann).await;
    let served = serve(world).await;
    let (mut of_bob, mut of_cy, mut of_dan) =
        (served.here(bob).await, served.here(cy).await, served.here(dan).await);
    let mut of_ann = served.connect(ann, "").await;
    of_ann.until_pong().await;
    for chat in [direct, over, ChatId(uuid::Uuid::from_u128(999)), group] {
        of_ann.say(types(chat)).await;
    }
    until(&mut of_dan, &typing(group, ann)).await;
    served.mark(dan, &[bob, cy]).await;
    for (name, socket) in [("bob", &mut of_bob), ("cy", &mut of_cy)] {
        let heard = until(socket, &presence(dan)).await;
        assert!(heard.iter().all(|it| it["ids"]["user_id"] != json!(ann)), "{name}: {heard:?}");
    }
    // Whoever has gone hears no more, and is not heard.
    served.world.parted(group, None, dan, 0, &[]).await;
    let ids = Ids { chat_id: Some(group), user_id: Some(bob), ..Ids::default() };
    served.world.stores.live.signal(Signal::Typing, ids, &[dan]).await.expect("signalled");
    served.mark(bob, &[dan]).await;
    assert!(!until(&mut of_dan, &presence(bob)).await.contains(&typing(group, bob)));
}

#[tokio::test]
async fn who_is_here_is_known_to_whom_they_let_know() {
    let world = World::new().await;
    let [ann, bob, cy] = world.three().await;
    let (dan, eve) = (world.registered(4, "dan", "Dan").await, world.registered(5, "eve", "Eve").await);
    world.friends(ann, bob).await;
    world.group(100, ann, &[cy, dan], "Choir", History::Joining).await;
    world.unfriends(ann, dan).await;
    let served = serve(world).await;
    let mut sockets = Vec::new();
    for who in [bob, cy, dan, eve] {
        sockets.push(served.here(who).await);
    }
    let [of_bob, of_cy, of_dan, of_eve] = &mut sockets[..] else { panic!("four") };
    let mut of_ann = served.here(ann).await;
    until(of_bob, &presence(ann)).await;
    until(of_cy, &presence(ann)).await;
    // Dan was a friend, eve is nobody to ann: both hear of bob alone.
    served.mark(bob, &[dan, eve]).await;
    for socket in [of_dan, of_eve] {
        assert!(!until(socket, &presence(bob)).await.contains(&presence(ann)));
    }
    served.world.set(ann, Settings { presence: Audience::Friends, ..Settings::default() }).await;
    served.mark(ann, &[bob, cy]).await;
    served.mark(dan, &[bob, cy]).await;
    until(of_bob, &presence(ann)).await;
    assert!(!until(of_cy, &presence(dan)).await.contains(&presence(ann)), "friends alone");
    let frames = of_ann.until_pong().await;
    assert!(!frames.contains(&presence(ann)), "oneself knows");
}

#[tokio::test]
async fn that_somebody_is_here_is_said_again() {
    let world = World::new().await;
    let [ann, bob, _] = world.three().await;
    world.friends(ann, bob).await;
    let mut heard = world.stores.live.subscribe(bob).await.expect("subscribed");
    let served = serve(world).await;
    let mut socket = served.connect(ann, "").await;
    socket.until_pong().await;
    let mut signal = async || {
        let next = tokio::time::timeout(Duration::from_secs(100), heard.next()).await;
        assert!(matches!(next, Ok(Some(stores::live::Received::Signal { .. }))), "{next:?}");
    };
    signal().await;
    tokio::time::pause();
    // From one beat to the next: the first began by the machine's clock.
    signal().await;
    let begun = tokio::time::Instant::now();
    signal().await;
    let again = begun.elapsed();
    assert!(Duration::from_secs(19) < again && again < Duration::from_secs(21), "{again:?}");
}
