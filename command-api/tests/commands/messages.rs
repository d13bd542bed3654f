//! What becomes of a message after it was sent.

use chronicle::keys::Place;
use domain::aggregate::Event;
use domain::chat::ChatEvent;
use domain::message::MessageEvent;
use domain::personal::{Sealed, Text};
use serde_json::{Value, json};

use crate::stack::{Answer, Someone, Stack};

/// A group of three, and one message of Bob's in it.
struct Room {
    stack: Stack,
    ann: Someone,
    bob: Someone,
    carol: Someone,
    chat: Value,
}

impl Room {
    async fn new() -> Self {
        let stack = Stack::new().await;
        let (ann, bob) = stack.friends().await;
        let carol = stack.register("carol").await;
        stack.befriend(&ann, &carol).await;
        let body = json!({ "title": "Three", "member_ids": [bob.id, carol.id] });
        let chat = stack.of(&ann, "create_chat", body).await.ok()["chat_id"].clone();
        stack.of(&bob, "send", json!({ "chat_id": chat, "text": "first" })).await.ok();
        Self { stack, ann, bob, carol, chat }
    }

    async fn of(&self, who: &Someone, command: &str, number: u64, more: Value) -> Answer {
        let mut body = json!({ "chat_id": self.chat, "number": number });
        body.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
        self.stack.of(who, command, body).await
    }

    async fn edit(&self, who: &Someone, text: &str) -> Answer {
        self.of(who, "edit_message", 1, json!({ "text": text })).await
    }

    async fn react(&self, who: &Someone, emoji: &str) -> Answer {
        self.of(who, "react", 1, json!({ "emoji": emoji })).await
    }

    async fn forward(&self, who: &Someone, number: u64, from: &Value, to: &Value) -> Answer {
        let body = json!({ "chat_id": to, "from_chat_id": from, "number": number });
        self.stack.of(who, "forward", body).await
    }

    /// A chat of Ann and Bob alone.
    async fn side(&self) -> Value {
        let body = json!({ "user_id": self.bob.id });
        self.stack.of(&self.ann, "create_chat", body).await.ok()["chat_id"].clone()
    }

    fn open(&self, kind: &str, stream: &str, sealed: &Sealed) -> String {
        let place = Place {
            log_id: self.stack.state.executor.log_id(),
            aggregate_type: kind,
            aggregate_id: stream,
            event_id: sealed.event_id.expect("bound"),
            field: "text",
        };
        let keyring = self.stack.state.executor.keyring();
        keyring.open_as::<Text>(&place, sealed).map(|Text(text)| text).unwrap_or_default()
    }
}

#[tokio::test]
async fn an_author_edits() {
    let room = Room::new().await;
    let Room { stack, ann, bob, chat, .. } = &room;
    let key = stack.key();
    let body = json!({ "chat_id": chat, "number": 1, "text": " second " });
    let edit = || stack.ask("edit_message", body.clone()).by(bob).key(key).send();
    let first = edit().await.ok();
    assert_eq!(edit().await.ok(), first, "a repeat edits once");
    let Event::Message(MessageEvent::MessageEdited { text, .. }) = stack.newest().await else {
        panic!("edited");
    };
    let stream = format!("{}~1", chat.as_str().expect("an id"));
    assert_eq!(room.open("Message", &stream, text.sealed().expect("sealed")), " second ");
    assert_eq!(room.edit(ann, "mine").await.refused(), (403, "not-permitted"), "another's");
    assert_eq!(room.edit(bob, " ").await.invalid(), ("/text", "too-short"));
    assert_eq!(room.edit(bob, &"x".repeat(4_001)).await.invalid(), ("/text", "too-long"));
    for number in [0, 2] {
        let nowhere = room.of(bob, "edit_message", number, json!({ "text": "x" })).await;
        assert_eq!(nowhere.refused(), (404, "not-found"), "{number}");
    }
    let dan = stack.register("dan").await;
    assert_eq!(room.edit(&dan, "x").await.refused(), (404, "not-found"), "a stranger");
    stack.of(bob, "leave_chat", json!({ "chat_id": chat })).await.ok();
    assert_eq!(room.edit(bob, "x").await.refused(), (403, "not-permitted"), "who has left");
    stack.verify().await;
}

#[tokio::test]
async fn what_is_deleted_stays_so() {
    let room = Room::new().await;
    let Room { stack, ann, bob, carol, .. } = &room;
    room.react(carol, "👍").await.ok();
    let delete = |who| room.of(who, "delete_message", 1, json!({}));
    let remove = |who| room.of(who, "remove_message", 1, json!({}));
    assert_eq!(delete(ann).await.refused(), (403, "not-permitted"), "another's, even as an owner");
    assert_eq!(remove(carol).await.refused(), (403, "not-permitted"), "no moderator");
    let deleted = delete(bob).await.ok();
    assert_eq!(delete(bob).await.ok()["position"], deleted["position"], "twice");
    assert_eq!(remove(ann).await.ok()["position"], deleted["position"]);
    assert_eq!(room.edit(bob, "x").await.refused(), (409, "message-deleted"));
    assert_eq!(room.react(carol, "👍").await.refused(), (409, "message-deleted"));
    let side = room.side().await;
    assert_eq!(room.forward(bob, 1, &room.chat, &side).await.refused(), (409, "message-deleted"));
    stack.verify().await;
}

#[tokio::test]
async fn a_moderator_removes() {
    let room = Room::new().await;
    let Room { stack, ann, carol, .. } = &room;
    let promoted = json!({ "chat_id": room.chat, "user_id": carol.id, "role": "admin" });
    stack.of(ann, "set_role", promoted).await.ok();
    room.of(carol, "remove_message", 1, json!({})).await.ok();
    let newest = stack.newest().await;
    assert!(matches!(newest, Event::Message(MessageEvent::MessageRemoved { .. })), "{newest:?}");
    // In a direct chat nobody rules.
    let side = room.side().await;
    stack.of(&room.bob, "send", json!({ "chat_id": side, "text": "x" })).await.ok();
    let removed = stack.of(ann, "remove_message", json!({ "chat_id": side, "number": 1 })).await;
    assert_eq!(removed.refused(), (403, "not-permitted"));
}

#[tokio::test]
async fn one_reacts_with_one_emoji() {
    let room = Room::new().await;
    let Room { stack, ann, bob, carol, .. } = &room;
    let first = room.react(ann, "👍").await.ok();
    assert_eq!(room.react(ann, "👍").await.ok()["position"], first["position"]);
    room.react(ann, "🎉").await.ok();
    room.react(bob, "🎉").await.ok();
    let back = room.of(ann, "react", 1, json!({})).await.ok();
    assert_eq!(room.of(ann, "react", 1, json!({})).await.ok()["position"], back["position"]);
    for wrong in ["", "x", "👍👍", "no"] {
        assert_eq!(room.react(carol, wrong).await.invalid(), ("/emoji", "bad-emoji"), "{wrong}");
    }
    let dan = stack.register("dan").await;
    assert_eq!(room.react(&dan, "👍").await.refused(), (404, "not-found"));
    stack.of(carol, "leave_chat", json!({ "chat_id": room.chat })).await.ok();
    assert_eq!(room.react(carol, "👍").await.refused(), (403, "not-permitted"), "she may read alone");
    stack.verify().await;
}

#[tokio::test]
async fn a_newcomer_touches_nothing_from_before() {
    let room = Room::new().await;
    let Room { stack, ann, .. } = &room;
    let dan = stack.register("dan").await;
    stack.befriend(ann, &dan).await;
    stack.of(ann, "add_member", json!({ "chat_id": room.chat, "user_id": dan.id })).await.ok();
    assert_eq!(room.react(&dan, "👍").await.refused(), (404, "not-found"));
    let side = stack.of(&dan, "create_chat", json!({ "user_id": ann.id })).await.ok()["chat_id"].clone();
    assert_eq!(room.forward(&dan, 1, &room.chat, &side).await.refused(), (404, "not-found"));
    let reply = json!({ "chat_id": room.chat, "text": "what?", "reply_to": 1 });
    assert_eq!(stack.of(&dan, "send", reply).await.invalid(), ("/reply_to", "no-such-message"));
    stack.of(&room.bob, "send", json!({ "chat_id": room.chat, "text": "hello Dan" })).await.ok();
    room.of(&dan, "react", 2, json!({ "emoji": "👍" })).await.ok();
}

#[tokio::test]
async fn a_report_is_made_once_and_not_of_oneself() {
    let room = Room::new().await;
    let Room { stack, ann, bob, .. } = &room;
    let report = |who, reason: &str| room.of(who, "report", 1, json!({ "reason": reason }));
    let made = report(ann, "abuse").await.ok();
    assert_eq!(report(ann, "spam").await.ok()["position"], made["position"], "once");
    assert_eq!(report(bob, "spam").await.invalid(), ("/number", "oneself"));
    assert_eq!(report(ann, "boring").await.refused(), (400, "malformed"));
    let dan = stack.register("dan").await;
    assert_eq!(report(&dan, "spam").await.refused(), (404, "not-found"));
    stack.verify().await;
}

#[tokio::test]
async fn a_forward_is_its_first_authors() {
    let room = Room::new().await;
    let Room { stack, ann, bob, carol, chat, .. } = &room;
    for emoji in ["👍", "🎉"] {
        room.react(carol, emoji).await.ok();
    }
    room.edit(bob, "second").await.ok();
    room.edit(bob, "third").await.ok();
    room.react(ann, "👍").await.ok();
    let side = room.side().await;
    let key = stack.key();
    let body = json!({ "chat_id": side, "from_chat_id": chat, "number": 1 });
    let pass = || stack.ask("forward", body.clone()).by(ann).key(key).send();
    let passed = pass().await.ok();
    assert_eq!((&passed["number"], &passed["message_id"]), (&json!(1), &json!(key)));
    assert_eq!(pass().await.ok(), passed, "a repeat passes nothing on");
    let Event::Chat(ChatEvent::MessageSent { text, author, forwarded_from, .. }) = stack.newest().await
    else {
        panic!("sent");
    };
    assert_eq!(author.to_string(), ann.id);
    assert_eq!(forwarded_from.map(|who| who.to_string()).as_deref(), Some(&*bob.id));
    let sealed = text.sealed().expect("sealed").clone();
    let stream = side.as_str().expect("an id");
    assert_eq!(room.open("Chat", stream, &sealed), "third", "as it reads now");

    // Passed on once more it stays Bob's; nobody edits it.
    room.forward(ann, 1, &side, chat).await.ok();
    let Event::Chat(ChatEvent::MessageSent { forwarded_from, .. }) = stack.newest().await else {
        panic!("sent");
    };
    assert_eq!(forwarded_from.map(|who| who.to_string()).as_deref(), Some(&*bob.id));
    let edited = room.of(ann, "edit_message", 2, json!({ "text": "x" })).await;
    assert_eq!(edited.refused(), (403, "not-permitted"));

    assert_eq!(room.forward(carol, 1, chat, &side).await.refused(), (404, "not-found"), "into another's");
    assert_eq!(room.forward(carol, 1, &side, chat).await.refused(), (404, "not-found"), "out of another's");
    stack.of(bob, "block", json!({ "user_id": ann.id })).await.ok();
    assert_eq!(room.forward(ann, 1, chat, &side).await.refused(), (403, "not-permitted"), "blocked");
    stack.verify().await;

    let bobs = bob.id.parse().expect("an id");
    stack.state.executor.keyring().destroy(&chronicle::keys::subject_of(bobs)).expect("destroyed");
    assert_eq!(room.open("Chat", stream, &sealed), "", "it is lost with him");
    assert_eq!(room.forward(ann, 1, chat, chat).await.refused(), (409, "message-deleted"));
}

#[tokio::test]
async fn who_has_left_passes_on_what_they_could_read() {
    let room = Room::new().await;
    let Room { stack, ann, bob, carol, chat, .. } = &room;
    let side = stack.of(carol, "create_chat", json!({ "user_id": ann.id })).await.ok()["chat_id"].clone();
    let passed = async || {
        room.forward(carol, 1, chat, &side).await.ok();
        let Event::Chat(ChatEvent::MessageSent { text, .. }) = stack.newest().await else { panic!("sent") };
        room.open("Chat", side.as_str().expect("an id"), text.sealed().expect("sealed"))
    };
    room.edit(bob, "second").await.ok();
    // What happens beside it changes nothing of it.
    stack.of(ann, "rename_chat", json!({ "chat_id": chat, "title": "Four" })).await.ok();
    stack.of(ann, "remove_member", json!({ "chat_id": chat, "user_id": carol.id })).await.ok();
    room.edit(bob, "not for Carol").await.ok();
    assert_eq!(passed().await, "second", "before anything else is said");
    stack.of(bob, "send", json!({ "chat_id": chat, "text": "she is gone" })).await.ok();
    assert_eq!(passed().await, "second");
    stack.of(ann, "add_member", json!({ "chat_id": chat, "user_id": carol.id })).await.ok();
    assert_eq!(passed().await, "not for Carol", "she is back");
    room.of(bob, "delete_message", 1, json!({})).await.ok();
    assert_eq!(room.forward(carol, 1, chat, &side).await.refused(), (409, "message-deleted"));
    stack.verify().await;
}
