//! Live in groups: touches, lines, coming and going.

use domain::ids::{ChatId, PersonId};
use domain::live::{Ids, What};
use domain::views::{Deleted, History};
use serde_json::{Value, json};

use crate::changes::{from, span};
use crate::live::{Served, message, serve};
use crate::world::World;

/// Of all that `frame` says, what and of what.
fn told(frames: &[Value]) -> Vec<Value> {
    let changes = frames.iter().filter(|frame| frame["type"] == "change");
    changes.map(|it| json!([it["position"], it["what"], it["ids"].get("number")])).collect()
}

impl Served {
    async fn line(&self, chat: ChatId, position: u64, to: &[PersonId]) {
        let ordinal = self.world.ordinals.lock().expect("not poisoned").get(&chat).copied();
        let of_chat = Ids { chat_id: Some(chat), ..Ids::default() };
        self.world.publish(position, What::Chat, of_chat, to).await;
        self.world.publish(position, What::Line, Ids { number: ordinal, ..of_chat }, to).await;
    }
}

#[tokio::test]
async fn touches_are_told_as_the_message_is_now() {
    let world = World::new().await;
    let [ann, bob, cy] = world.three().await;
    let group = world.group(100, ann, &[bob], "Choir", History::Joining).await;
    world.says(group, ann, 1..=1).await;
    world.added(group, ann, cy, 1, &[from(2)]).await;
    let served = serve(world).await;
    let (mut of_bob, mut of_cy) = (served.connect(bob, "").await, served.connect(cy, "").await);
    of_bob.until_pong().await;
    of_cy.until_pong().await;
    let world = &served.world;
    let next = async |socket: &mut crate::live::Socket| loop {
        let frame = socket.frame().await;
        if frame["type"] == "change" {
            return frame;
        }
    };
    let position = world.edited(group, ann, 1, "better").await;
    world.publish(position, What::Message, message(group, 1), &[ann, bob, cy]).await;
    let edited = next(&mut of_bob).await;
    assert_eq!((&edited["item"]["text"], &edited["position"]), (&json!("better"), &json!(position)));
    let position = world.reacted(group, 1, bob, Some("👍")).await;
    world.publish(position, What::Message, message(group, 1), &[ann, bob, cy]).await;
    assert_eq!(next(&mut of_bob).await["item"]["reactions"][0]["mine"], true);
    let position = world.deleted(group, 1, Deleted::Author).await;
    world.publish(position, What::Message, message(group, 1), &[ann, bob, cy]).await;
    let deleted = next(&mut of_bob).await;
    assert_eq!((&deleted["item"]["deleted"], &deleted["item"]["text"]), (&json!("author"), &json!("")));
    assert!(told(&of_cy.until_pong().await).is_empty(), "nothing of what was said before");
}

#[tokio::test]
async fn lines_are_told_with_their_view() {
    let world = World::new().await;
    let [ann, bob, cy] = world.three().await;
    let group = world.group(100, ann, &[bob], "Choir", History::Joining).await;
    world.says(group, ann, 1..=1).await;
    let served = serve(world).await;
    let (mut of_bob, mut of_cy) = (served.connect(bob, "").await, served.connect(cy, "").await);
    of_bob.until_pong().await;
    of_cy.until_pong().await;
    let renamed = served.world.renamed(group, ann, "Chorus", 1).await;
    served.line(group, renamed, &[ann, bob, cy]).await;
    assert!(told(&of_cy.until_pong().await).is_empty(), "nothing before they come");
    let added = served.world.added(group, ann, cy, 1, &[from(2)]).await;
    served.line(group, added, &[ann, bob, cy]).await;
    let frames = of_bob.until_pong().await;
    let lines: Vec<&Value> = frames.iter().filter(|it| it["what"] == "line").collect();
    let page = served.world.get(bob, &format!("/chats/{group}/messages")).await;
    let items: Vec<Value> = lines.iter().map(|line| line["item"].clone()).collect();
    assert_eq!(json!(items), json!(page["lines"].as_array().expect("lines")[1..]));
    assert_eq!(lines[0]["ids"], json!({ "chat_id": group }));
    let chat = frames.iter().find(|it| it["what"] == "chat").expect("it changed, too");
    assert_eq!(chat["item"]["title"], "Chorus");
    let of_cy = of_cy.until_pong().await;
    assert_eq!(json!(told(&of_cy)), json!([[added, "chat", null], [added, "line", null]]));
}

#[tokio::test]
async fn who_is_put_out_is_told_so_and_then_nothing() {
    let world = World::new().await;
    let [ann, bob, _] = world.three().await;
    world.friends(ann, bob).await;
    let group = world.group(100, ann, &[bob], "Choir", History::Joining).await;
    world.says(group, ann, 1..=2).await;
    let start = world.head.load(std::sync::atomic::Ordering::SeqCst);
    let served = serve(world).await;
    let mut socket = served.connect(bob, "").await;
    socket.until_pong().await;
    let world = &served.world;
    let removed = world.parted(group, Some(ann), bob, 2, &[span(1, 2)]).await;
    served.line(group, removed, &[ann, bob]).await;
    let frames = socket.until_pong().await;
    assert_eq!(json!(told(&frames)), json!([[removed, "chat", null], [removed, "line", null]]));
    let chat = frames.iter().find(|it| it["what"] == "chat").expect("told");
    assert_eq!((&chat["item"]["left"], &chat["item"]["title"]), (&json!(true), &json!("Choir")));

    let position = world.sent(group, ann, 3, "later", None).await;
    world.publish(position, What::Message, message(group, 3), &[ann, bob]).await;
    let renamed = world.renamed(group, ann, "Secret", 3).await;
    let ids = Ids { chat_id: Some(group), number: Some(3), ..Ids::default() };
    world.publish(renamed, What::Line, ids, &[ann, bob]).await;
    let read = world.read(group, ann, 3).await;
    let ids = Ids { chat_id: Some(group), user_id: Some(ann), number: Some(3), ..Ids::default() };
    world.publish(read, What::Read, ids, &[ann, bob]).await;
    assert!(told(&socket.until_pong().await).is_empty());
    // Whoever comes back is told the same, once, and of what was left nothing but that it is deleted.
    let edited = world.edited(group, ann, 2, "not for Bob").await;
    world.publish(edited, What::Message, message(group, 2), &[ann, bob]).await;
    assert!(told(&socket.until_pong().await).is_empty());
    let deleted = world.deleted(group, 1, Deleted::Author).await;
    let mut back = served.connect(bob, &format!("?after={start}")).await;
    let frames = back.until_pong().await;
    let what_was = json!([[removed, "chat", null], [removed, "line", null], [removed, "message", 2]]);
    let expected = [
        what_was.as_array().expect("a list").clone(),
        vec![json!([removed, "message", 1]), json!([deleted, "message", 1])],
    ];
    assert_eq!(told(&frames), expected.concat());
    let second = frames.iter().find(|frame| frame["ids"]["number"] == 2).expect("told as of then");
    assert_eq!(second["item"]["text"], "text 2");
    let mut later = served.connect(bob, &format!("?after={removed}")).await;
    let frames = later.until_pong().await;
    assert_eq!(
        json!(told(&frames)),
        json!([[deleted, "message", 1]]),
        "what is taken away goes from every screen"
    );
}

#[tokio::test]
async fn of_a_busy_group_that_was_left_a_deletion_is_not_missed() {
    let world = World::new().await;
    let [ann, bob, _] = world.three().await;
    let group = world.group(100, ann, &[bob], "Choir", History::Joining).await;
    world.says(group, ann, 1..=2).await;
    let left = world.parted(group, None, bob, 2, &[span(1, 2)]).await;
    world.says(group, ann, 3..=1_010).await;
    let served = serve(world).await;
    let back = async || served.connect(bob, &format!("?after={left}")).await.until_pong().await;
    assert!(told(&back().await).is_empty(), "how it goes on is nothing to him");
    served.world.deleted(group, 2, Deleted::Author).await;
    let frames = back().await;
    assert!(frames.iter().any(|frame| frame["type"] == "gap"), "{frames:?}");
}

#[tokio::test]
async fn a_role_that_was_changed_hides_nothing_that_was_missed() {
    let world = World::new().await;
    let [ann, bob, _] = world.three().await;
    let group = world.group(100, ann, &[bob], "Choir", History::Joining).await;
    let start = world.head.load(std::sync::atomic::Ordering::SeqCst);
    world.says(group, ann, 1..=1).await;
    let role = world.role_set(group, ann, bob, domain::views::Role::Admin, 1).await;
    let kept = world.kept(group, bob, true).await;
    world.kept(group, ann, true).await;
    let served = serve(world).await;
    let mut socket = served.connect(bob, &format!("?after={start}")).await;
    let frames = socket.until_pong().await;
    let expected =
        json!([[start + 1, "message", 1], [role, "line", null], [role, "chat", null], [kept, "chat", null],]);
    assert_eq!(json!(told(&frames)), expected, "how somebody else keeps it is theirs");
    let last = frames.iter().rfind(|it| it["what"] == "chat").expect("told");
    assert_eq!(last["item"]["pinned"], true);
}
