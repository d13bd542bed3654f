//! Groups: who is in them, and who may do what.

use domain::aggregate::Event;
use domain::chat::ChatEvent;
use domain::personal::Title;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::stack::{Answer, Options, Someone, Stack};

/// Ann's group, with Bob in it, and Carol, a friend of hers, outside.
struct Group {
    stack: Stack,
    ann: Someone,
    bob: Someone,
    carol: Someone,
    chat: Value,
}

impl Group {
    async fn new(more: Value) -> Self {
        let stack = Stack::new().await;
        let (ann, bob) = stack.friends().await;
        let carol = stack.register("carol").await;
        stack.befriend(&ann, &carol).await;
        let mut body = json!({ "title": " Choir ", "member_ids": [bob.id] });
        body.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
        let chat = stack.of(&ann, "create_chat", body).await.ok()["chat_id"].clone();
        Self { stack, ann, bob, carol, chat }
    }

    async fn of(&self, who: &Someone, command: &str, more: Value) -> Answer {
        let mut body = json!({ "chat_id": self.chat });
        body.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
        self.stack.of(who, command, body).await
    }

    async fn about(&self, who: &Someone, command: &str, whom: &Someone) -> Answer {
        self.of(who, command, json!({ "user_id": whom.id })).await
    }

    async fn role(&self, who: &Someone, whom: &Someone, role: &str) -> Answer {
        self.of(who, "set_role", json!({ "user_id": whom.id, "role": role })).await
    }

    async fn say(&self, who: &Someone) -> Answer {
        self.of(who, "send", json!({ "text": "la" })).await
    }
}

#[tokio::test]
async fn a_group_is_made_of_friends() {
    let stack = Stack::new().await;
    let (ann, bob) = stack.friends().await;
    let carol = stack.register("carol").await;
    let make = |title: &str, members: Value| {
        stack.of(&ann, "create_chat", json!({ "title": title, "member_ids": members }))
    };
    assert_eq!(make("Us", json!([bob.id, carol.id])).await.refused(), (403, "not-permitted"), "no friend");
    assert_eq!(make("Us", json!([bob.id, bob.id])).await.invalid(), ("/member_ids/1", "twice"));
    assert_eq!(make("Us", json!([ann.id])).await.invalid(), ("/member_ids/0", "oneself"));
    let nobody = Uuid::from_u128(9);
    assert_eq!(make("Us", json!([bob.id, nobody])).await.invalid(), ("/member_ids/1", "no-such-person"));
    let many: Vec<Uuid> = (0..500).map(Uuid::from_u128).collect();
    assert_eq!(make("Us", json!(many)).await.invalid(), ("/member_ids", "too-many-members"));
    assert_eq!(make(" ", json!([bob.id])).await.invalid(), ("/title", "too-short"));
    assert_eq!(make(&"x".repeat(65), json!([])).await.invalid(), ("/title", "too-long"));
    let untitled = stack.of(&ann, "create_chat", json!({ "member_ids": [bob.id] })).await;
    assert_eq!(untitled.invalid(), ("/title", "required"));

    stack.of(&bob, "block", json!({ "user_id": ann.id })).await.ok();
    assert_eq!(make("Us", json!([bob.id])).await.refused(), (403, "not-permitted"), "blocked");
    make("Alone", json!([])).await.ok();
    stack.verify().await;
}

#[tokio::test]
async fn a_title_is_sealed_and_a_repeat_answers_the_same_group() {
    let stack = Stack::new().await;
    let (ann, bob) = stack.friends().await;
    let key = stack.key();
    let body = json!({ "title": "Choir", "member_ids": [bob.id], "history": "all" });
    let make = || stack.ask("create_chat", body.clone()).by(&ann).key(key).send();
    let first = make().await.ok();
    assert_eq!(make().await.ok(), first);
    let Event::Chat(ChatEvent::GroupCreated { chat, title, members, .. }) = stack.newest().await else {
        panic!("made");
    };
    assert_eq!(first["chat_id"], chat.to_string());
    assert_eq!(members.len(), 1);
    let sealed = title.sealed().expect("sealed");
    let place = chronicle::keys::Place {
        log_id: stack.state.executor.log_id(),
        aggregate_type: "Chat",
        aggregate_id: &chat.to_string(),
        event_id: sealed.event_id.expect("bound"),
        field: "title",
    };
    let opened = stack.state.executor.keyring().open_as::<Title>(&place, sealed).expect("opened");
    assert_eq!(opened, Title("Choir".to_owned()));
}

#[tokio::test]
async fn a_large_group_is_made_right_after_a_start() {
    let stack = Stack::new().await;
    let ann = stack.register("ann").await;
    let mut members = Vec::new();
    for number in 0..120 {
        let friend = stack.register(&format!("friend{number}")).await;
        stack.befriend(&ann, &friend).await;
        members.push(friend.id);
    }
    let stack = stack.reopened(Options::default()).await;
    stack.of(&ann, "create_chat", json!({ "title": "All", "member_ids": members })).await.ok();
}

#[tokio::test]
async fn owners_and_admins_rule() {
    let group = Group::new(json!({})).await;
    let Group { stack, ann, bob, carol, .. } = &group;
    let rename = |who| group.of(who, "rename_chat", json!({ "title": "Band" }));
    for refused in [
        rename(bob).await,
        group.about(bob, "add_member", carol).await,
        group.about(bob, "remove_member", ann).await,
        group.role(bob, bob, "owner").await,
        group.of(bob, "dissolve_chat", json!({})).await,
    ] {
        assert_eq!(refused.refused(), (403, "not-permitted"), "{}", refused.body);
    }
    for refused in [
        rename(carol).await,
        group.about(carol, "add_member", carol).await,
        group.role(carol, carol, "owner").await,
        group.of(carol, "leave_chat", json!({})).await,
        group.of(carol, "dissolve_chat", json!({})).await,
        group.say(carol).await,
    ] {
        assert_eq!(refused.refused(), (404, "not-found"), "{}", refused.body);
    }
    assert_eq!(group.role(ann, carol, "admin").await.invalid(), ("/user_id", "no-such-person"));
    assert_eq!(group.role(ann, ann, "member").await.invalid(), ("/role", "last-owner"));
    group.role(ann, bob, "admin").await.ok();
    rename(bob).await.ok();
    assert_eq!(
        group.of(bob, "rename_chat", json!({ "title": "a\nb" })).await.invalid(),
        ("/title", "bad-character")
    );
    assert_eq!(group.about(bob, "remove_member", ann).await.refused(), (403, "not-permitted"));
    assert_eq!(group.about(bob, "add_member", carol).await.refused(), (403, "not-permitted"), "no friend");
    let added = group.about(ann, "add_member", carol).await.ok();
    assert_eq!(group.about(ann, "add_member", carol).await.ok()["position"], added["position"]);
    group.say(carol).await.ok();
    group.about(bob, "remove_member", carol).await.ok();
    let head = stack.head().await;
    assert_eq!(group.about(bob, "remove_member", carol).await.ok()["position"], head, "out already");
    assert_eq!(group.say(carol).await.refused(), (403, "not-permitted"), "she may read what was");
    group.role(ann, bob, "owner").await.ok();
    group.role(bob, ann, "member").await.ok();
    assert_eq!(group.role(ann, ann, "owner").await.refused(), (403, "not-permitted"));
    stack.verify().await;
}

#[tokio::test]
async fn the_last_owner_hands_over_and_the_last_one_ends_it() {
    let group = Group::new(json!({})).await;
    let Group { stack, ann, bob, .. } = &group;
    group.say(bob).await.ok();
    let head = stack.head().await;
    let leave = |who| group.of(who, "leave_chat", json!({}));
    assert_eq!(leave(ann).await.ok()["position"], head + 2, "handed over, then left");
    assert_eq!(leave(ann).await.ok()["position"], head + 2, "gone already");
    assert_eq!(group.say(ann).await.refused(), (403, "not-permitted"));
    group.of(ann, "mark_read", json!({ "number": 1 })).await.ok();
    group.say(bob).await.ok();
    let beyond = group.of(ann, "mark_read", json!({ "number": 2 })).await;
    assert_eq!(beyond.invalid(), ("/number", "too-large"), "said after she left");
    group.of(bob, "rename_chat", json!({ "title": "Mine" })).await.ok();
    leave(bob).await.ok();
    assert_eq!(group.say(bob).await.refused(), (403, "not-permitted"));
    stack.verify().await;
}

#[tokio::test]
async fn a_dissolved_group_stays_readable_and_nothing_else() {
    let group = Group::new(json!({ "history": "all" })).await;
    let Group { stack, ann, bob, carol, .. } = &group;
    group.say(bob).await.ok();
    let ended = group.of(ann, "dissolve_chat", json!({})).await.ok();
    assert_eq!(group.of(ann, "dissolve_chat", json!({})).await.ok()["position"], ended["position"]);
    for refused in [
        group.say(bob).await,
        group.about(ann, "add_member", carol).await,
        group.of(ann, "rename_chat", json!({ "title": "New" })).await,
        group.of(ann, "create_invite", json!({})).await,
        group.of(bob, "edit_message", json!({ "number": 1, "text": "lo" })).await,
        group.of(ann, "react", json!({ "number": 1, "emoji": "👍" })).await,
    ] {
        assert_eq!(refused.refused(), (403, "not-permitted"), "{}", refused.body);
    }
    group.of(ann, "mark_read", json!({ "number": 1 })).await.ok();
    group.of(bob, "delete_message", json!({ "number": 1 })).await.ok();
    stack.verify().await;
}

#[tokio::test]
async fn a_direct_chat_is_no_group() {
    let stack = Stack::new().await;
    let (ann, bob) = stack.friends().await;
    let chat = stack.of(&ann, "create_chat", json!({ "user_id": bob.id })).await.ok()["chat_id"].clone();
    for (command, more) in [
        ("leave_chat", json!({})),
        ("dissolve_chat", json!({})),
        ("create_invite", json!({})),
        ("rename_chat", json!({ "title": "Us" })),
        ("add_member", json!({ "user_id": bob.id })),
        ("remove_member", json!({ "user_id": bob.id })),
        ("set_role", json!({ "user_id": bob.id, "role": "owner" })),
    ] {
        let mut body = more;
        body["chat_id"] = chat.clone();
        assert_eq!(stack.of(&ann, command, body).await.refused(), (403, "not-permitted"), "{command}");
    }
}
