//! What became of messages: edits, deletions, reactions, forwards, answers, and blocked authors.

use chronicle::keys::subject_of;
use domain::personal::Text;
use domain::views::{Deleted, History};
use serde_json::{Value, json};
use stores::timeline::{Change, MessageRow};

use crate::changes::from;
use crate::world::{World, at, items};

#[tokio::test]
async fn an_edited_message_shows_its_last_wording_and_all_before_it() {
    let world = World::new().await;
    let [ann, bob, cy] = world.three().await;
    let chat = world.chat(100, ann, bob).await;
    let sent = world.sent(chat, ann, 1, "once", None).await;
    let path = format!("/chats/{chat}/messages");
    let versions = format!("{path}/1/versions");
    assert_eq!(world.each(bob, &versions, "text").await, ["once"]);
    assert_eq!(world.get(bob, &path).await["items"][0].get("edited_at"), None);
    let first = world.edited(chat, ann, 1, "first").await;
    let second = world.edited(chat, ann, 1, "First!").await;
    world.sent(chat, bob, 2, "yes", Some(1)).await;
    let page = world.get(bob, &path).await;
    let message = &page["items"][0];
    assert_eq!((&message["text"], &message["edited_at"]), (&json!("First!"), &json!(at(second))));
    assert_eq!(message["sent_at"], json!(at(sent)));
    assert_eq!(page["items"][1]["reply_to"]["excerpt"], "First!");
    let list = world.get(bob, &versions).await;
    assert_eq!(items(&list, "text"), ["once", "first", "First!"]);
    assert_eq!(items(&list, "at"), [json!(at(sent)), json!(at(first)), json!(at(second))]);
    for path in [versions.clone(), format!("{path}/9/versions")] {
        assert_eq!(world.refused(cy, &path).await.0, 404, "{path}");
    }
    assert_eq!(world.refused(ann, &format!("{path}/9/versions")).await.0, 404);
    let unreadable = (400, "malformed".into(), "number".into());
    assert_eq!(world.refused(ann, &format!("{path}/x/versions")).await, unreadable);
    world.keyring.destroy(&subject_of(ann)).expect("destroyed");
    assert_eq!(world.get(bob, &versions).await["items"], json!([]));
    let message = world.get(bob, &path).await["items"][0].clone();
    assert_eq!((&message["text"], &message["author"]["state"]), (&json!(""), &json!("erased")));
}

#[tokio::test]
async fn of_a_deleted_message_nothing_is_left_but_its_place() {
    let world = World::new().await;
    let [ann, bob, _] = world.three().await;
    let chat = world.chat(100, ann, bob).await;
    world.sent(chat, bob, 1, "first", None).await;
    world.sent(chat, ann, 2, "canary", Some(1)).await;
    world.edited(chat, ann, 2, "canary two").await;
    world.reacted(chat, 2, bob, Some("👍")).await;
    world.sent(chat, bob, 3, "an answer", Some(2)).await;
    world.deleted(chat, 2, Deleted::Author).await;
    world.deleted(chat, 3, Deleted::Moderator).await;
    world.sent(chat, bob, 4, "again", Some(2)).await;
    world.sent(chat, ann, 5, "and what was taken away?", Some(3)).await;
    let path = format!("/chats/{chat}/messages");
    for who in [ann, bob] {
        let page = world.get(who, &path).await;
        for gone in ["canary", "an answer"] {
            assert!(!page.to_string().contains(gone), "{page}");
        }
        let [deleted, removed, answer] = [1, 2, 3].map(|index| &page["items"][index]);
        assert_eq!((&deleted["deleted"], &removed["deleted"]), (&json!("author"), &json!("moderator")));
        assert_eq!((&deleted["text"], &deleted["number"]), (&json!(""), &json!(2)));
        assert_eq!(deleted["author"]["nickname"], "ann");
        for field in ["edited_at", "reactions", "attachments", "reply_to", "forwarded_from"] {
            assert_eq!(deleted.get(field), None, "{field}");
        }
        for (answer, number) in [(answer, 2), (&page["items"][4], 3)] {
            let reply = &answer["reply_to"];
            assert_eq!((&reply["number"], reply.get("excerpt")), (&json!(number), None));
        }
        assert_eq!(world.get(who, &format!("{path}/2/versions")).await["items"], json!([]));
    }
    world.deleted(chat, 5, Deleted::Author).await;
    let last = world.get(ann, "/chats").await["items"][0]["last"].clone();
    assert_eq!((&last["number"], &last["deleted"], &last["text"]), (&json!(5), &json!("author"), &json!("")));
}

#[tokio::test]
async fn reactions_are_counted_and_ones_own_is_marked() {
    let world = World::new().await;
    let [ann, bob, cy] = world.three().await;
    let group = world.group(100, ann, &[bob, cy], "Choir", History::Joining).await;
    world.says(group, ann, 1..=1).await;
    for (who, emoji) in [(ann, "😂"), (bob, "👍"), (cy, "😂")] {
        world.reacted(group, 1, who, Some(emoji)).await;
    }
    world.blocks(bob, cy).await;
    world.keyring.destroy(&subject_of(cy)).expect("destroyed");
    let reactions = async |who| {
        world.get(who, &format!("/chats/{group}/messages")).await["items"][0]["reactions"].clone()
    };
    let of_bob = json!([
        { "emoji": "😂", "count": 2, "mine": false },
        { "emoji": "👍", "count": 1, "mine": true },
    ]);
    assert_eq!(reactions(bob).await, of_bob, "the blocked and the erased count");
    assert_eq!(reactions(ann).await[0]["mine"], true);
    world.reacted(group, 1, ann, Some("👍")).await;
    world.reacted(group, 1, bob, None).await;
    assert_eq!(
        reactions(bob).await,
        json!([{ "emoji": "👍", "count": 1, "mine": false }, { "emoji": "😂", "count": 1, "mine": false }])
    );
}

#[tokio::test]
async fn a_forward_is_its_first_authors() {
    let world = World::new().await;
    let [ann, bob, cy] = world.three().await;
    let chat = world.chat(100, bob, cy).await;
    let row = world.message(chat, bob, 1, "");
    let text = Text("ann's words".into());
    let text = world.seal("Chat", &chat.to_string(), "text", ann, row.position, &text);
    let position = row.position;
    let row = MessageRow { text, forwarded_from: Some(ann), ..row };
    world.timeline(vec![Change::Sent(row)], position).await;
    let message = async || world.get(cy, &format!("/chats/{chat}/messages")).await["items"][0].clone();
    let shown = |message: &Value| {
        json!([message["author"]["nickname"], message["forwarded_from"]["nickname"], message["text"]])
    };
    assert_eq!(shown(&message().await), json!(["bob", "ann", "ann's words"]));
    world.keyring.destroy(&subject_of(ann)).expect("destroyed");
    let erased = message().await;
    assert_eq!(shown(&erased), json!(["bob", "", ""]));
    assert_eq!(erased["forwarded_from"]["state"], "erased");
}

#[tokio::test]
async fn an_answer_says_nothing_of_what_one_may_not_read() {
    let world = World::new().await;
    let [ann, bob, cy] = world.three().await;
    let group = world.group(100, ann, &[bob], "Choir", History::Joining).await;
    world.sent(group, ann, 1, "canary", None).await;
    world.added(group, ann, cy, 1, &[from(2)]).await;
    world.sent(group, bob, 2, "yes", Some(1)).await;
    let of_bob = world.get(bob, &format!("/chats/{group}/messages")).await;
    assert_eq!(of_bob["items"][1]["reply_to"]["excerpt"], "canary");
    let of_cy = world.get(cy, &format!("/chats/{group}/messages")).await;
    assert_eq!(items(&of_cy, "text"), ["yes"]);
    assert!(!of_cy.to_string().contains("canary"), "{of_cy}");
}

#[tokio::test]
async fn whom_one_has_blocked_is_collapsed_in_groups() {
    let world = World::new().await;
    let [ann, bob, cy] = world.three().await;
    let group = world.group(100, ann, &[bob, cy], "Choir", History::Joining).await;
    let direct = world.chat(101, ann, bob).await;
    world.sent(group, bob, 1, "noise", None).await;
    world.sent(group, cy, 2, "what?", Some(1)).await;
    world.sent(direct, bob, 1, "once", None).await;
    world.blocks(ann, bob).await;
    let page = world.get(ann, &format!("/chats/{group}/messages")).await;
    let first = &page["items"][0];
    assert_eq!((&first["collapsed"], &first["text"]), (&json!(true), &json!("noise")));
    assert_eq!(page["items"][1].get("collapsed"), None);
    assert_eq!(page["items"][1]["reply_to"].get("excerpt"), None, "nor is it quoted");
    let old = world.get(ann, &format!("/chats/{direct}/messages")).await;
    assert_eq!((old["items"][0].get("collapsed"), &old["items"][0]["text"]), (None, &json!("once")));
    for who in [bob, cy] {
        let page = world.get(who, &format!("/chats/{group}/messages")).await;
        assert!(!page.to_string().contains("collapsed"), "the blocker alone");
    }
}
