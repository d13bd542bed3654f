//! Links into a group.

use serde_json::{Value, json};

use crate::stack::{Answer, Someone, Stack};

/// Ann's group, and strangers.
struct Door {
    stack: Stack,
    ann: Someone,
    eve: Someone,
    dan: Someone,
    chat: Value,
}

impl Door {
    async fn new() -> Self {
        let stack = Stack::new().await;
        let ann = stack.register("ann").await;
        let (eve, dan) = (stack.register("eve").await, stack.register("dan").await);
        let chat = stack.of(&ann, "create_chat", json!({ "title": "Open" })).await.ok()["chat_id"].clone();
        Self { stack, ann, eve, dan, chat }
    }

    async fn invite(&self, more: Value) -> Answer {
        let mut body = json!({ "chat_id": self.chat });
        body.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
        self.stack.of(&self.ann, "create_invite", body).await
    }

    async fn accept(&self, who: &Someone, token: &Value) -> Answer {
        self.stack.of(who, "accept_invite", json!({ "token": token })).await
    }

    async fn say(&self, who: &Someone) -> Answer {
        self.stack.of(who, "send", json!({ "chat_id": self.chat, "text": "hello" })).await
    }
}

#[tokio::test]
async fn whoever_holds_the_link_comes_in() {
    let door = Door::new().await;
    let Door { stack, ann, eve, dan, chat } = &door;
    let key = stack.key();
    let make = || stack.ask("create_invite", json!({ "chat_id": chat })).by(ann).key(key).send();
    let invite = make().await.ok();
    assert_eq!(make().await.ok(), invite, "a repeat gets the same link");
    let token = &invite["token"];
    assert!(token.as_str().is_some_and(|token| token.starts_with("i1.")));
    assert_eq!(invite["expires_at"], "2027-01-22T08:00:00.000000Z", "a week");
    assert_eq!(door.say(eve).await.refused(), (404, "not-found"));
    let joined = door.accept(eve, token).await.ok();
    assert_eq!(joined["chat_id"], *chat);
    assert_eq!(door.accept(eve, token).await.ok(), joined, "in it already");
    assert_eq!(door.accept(ann, token).await.ok()["chat_id"], *chat);
    door.say(eve).await.ok();
    for wrong in ["", "i1.", "x", &token.as_str().expect("text")[..20]] {
        assert_eq!(door.accept(dan, &json!(wrong)).await.refused(), (404, "not-found"), "{wrong}");
    }
    let as_member = stack.of(eve, "create_invite", json!({ "chat_id": chat })).await;
    assert_eq!(as_member.refused(), (403, "not-permitted"));
    let outside = stack.of(dan, "create_invite", json!({ "chat_id": chat })).await;
    assert_eq!(outside.refused(), (404, "not-found"));
    let removal = json!({ "chat_id": chat, "user_id": eve.id });
    stack.of(ann, "remove_member", removal).await.ok();
    assert_eq!(door.accept(eve, token).await.refused(), (403, "not-permitted"), "she was put out");
    stack.verify().await;
}

#[tokio::test]
async fn a_link_ends() {
    let door = Door::new().await;
    let Door { stack, ann, eve, dan, chat } = &door;
    let once = door.invite(json!({ "uses": 1 })).await.ok();
    door.accept(eve, &once["token"]).await.ok();
    assert_eq!(door.accept(dan, &once["token"]).await.refused(), (404, "not-found"), "used up");

    let revoked = door.invite(json!({})).await.ok();
    let revoke =
        |who| stack.of(who, "revoke_invite", json!({ "chat_id": chat, "invite_id": revoked["invite_id"] }));
    assert_eq!(revoke(eve).await.refused(), (403, "not-permitted"));
    let head = revoke(ann).await.ok()["position"].clone();
    assert_eq!(revoke(ann).await.ok()["position"], head, "over already");
    assert_eq!(door.accept(dan, &revoked["token"]).await.refused(), (404, "not-found"), "revoked");

    let short = door.invite(json!({ "expires_in": 60 })).await.ok();
    stack.clock.pass(60);
    assert_eq!(door.accept(dan, &short["token"]).await.refused(), (404, "not-found"), "expired");

    let last = door.invite(json!({})).await.ok();
    stack.of(ann, "dissolve_chat", json!({ "chat_id": chat })).await.ok();
    assert_eq!(door.accept(dan, &last["token"]).await.refused(), (404, "not-found"), "dissolved");
    stack.verify().await;
}

#[tokio::test]
async fn a_link_has_bounds() {
    let door = Door::new().await;
    assert_eq!(door.invite(json!({ "expires_in": 0 })).await.invalid(), ("/expires_in", "too-small"));
    for long in [366 * 86_400, u64::MAX] {
        assert_eq!(door.invite(json!({ "expires_in": long })).await.invalid(), ("/expires_in", "too-large"));
    }
    door.invite(json!({ "expires_in": 365 * 86_400 })).await.ok();
    assert_eq!(door.invite(json!({ "uses": 0 })).await.invalid(), ("/uses", "too-small"));
    assert_eq!(door.invite(json!({ "uses": -1 })).await.refused(), (400, "malformed"));
    for _ in 1..20 {
        door.invite(json!({})).await.ok();
    }
    assert_eq!(door.invite(json!({})).await.invalid(), ("", "too-many-invites"));
    door.stack.verify().await;
}

#[tokio::test]
async fn of_many_at_once_as_many_come_in_as_may() {
    let door = Door::new().await;
    let Door { eve, dan, .. } = &door;
    let once = door.invite(json!({ "uses": 1 })).await.ok();
    let (one, other) = tokio::join!(door.accept(eve, &once["token"]), door.accept(dan, &once["token"]));
    let came = [&one, &other].into_iter().filter(|answer| answer.status.is_success()).count();
    assert_eq!(came, 1);
}
