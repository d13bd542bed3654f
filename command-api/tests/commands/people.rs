//! Who one is to others, and who others are to one.

use domain::aggregate::Event;
use domain::user::UserEvent;
use serde_json::json;
use uuid::Uuid;

use crate::stack::{Options, PASSWORD, Someone, Stack};

#[tokio::test]
async fn a_nickname_that_is_given_up_can_be_taken() {
    let stack = Stack::new().await;
    let (ann, bob) = (stack.register("ann").await, stack.register("bob").await);
    let rename = |who, nickname: &str| stack.ask("edit_info", json!({ "nickname": nickname })).by(who).send();
    assert_eq!(rename(&bob, "Ann").await.refused(), (409, "nickname-taken"));
    rename(&ann, "ANN").await.ok();
    rename(&ann, "anna").await.ok();
    rename(&bob, "ann").await.ok();
    assert_eq!(rename(&ann, "ann").await.refused(), (409, "nickname-taken"));
    let body = json!({ "email": "c@example.org", "password": PASSWORD, "nickname": "bob" });
    stack.ask("register", body).send().await.ok();
}

#[tokio::test]
async fn a_nickname_is_swapped_by_one_of_many_at_once() {
    let stack = Stack::new().await;
    let (ann, bob) = (stack.register("ann").await, stack.register("bob").await);
    let rename = |who| stack.ask("edit_info", json!({ "nickname": "star" })).by(who).send();
    let (a, b) = tokio::join!(rename(&ann), rename(&bob));
    let won = [&a, &b].into_iter().filter(|answer| answer.status.is_success()).count();
    assert_eq!(won, 1);
}

#[tokio::test]
async fn what_is_edited_follows_the_rules() {
    let stack = Stack::new().await;
    let ann = stack.register("ann").await;
    let head = stack.head().await;
    let edit = |body| stack.ask("edit_info", body).by(&ann).send();
    assert_eq!(edit(json!({})).await.ok()["position"], head, "nothing changed");
    edit(json!({ "name": "Anna K.", "about": "two\nlines" })).await.ok();
    edit(json!({ "about": "" })).await.ok();
    let bad = edit(json!({ "nickname": "a b", "name": " ", "about": "x".repeat(501) })).await;
    assert_eq!(bad.refused(), (422, "invalid"));
    assert_eq!(bad.body["errors"].as_array().map(Vec::len), Some(3));
    let again = stack.ask("create_user", json!({ "nickname": "second" })).by(&ann).send().await;
    assert_eq!(again.refused(), (409, "user-exists"));
}

#[tokio::test]
async fn two_become_friends_and_part() {
    let stack = Stack::new().await;
    let (ann, bob) = (stack.register("ann").await, stack.register("bob").await);
    let of = |command, who, other: &str| stack.ask(command, json!({ "user_id": other })).by(who).send();
    assert_eq!(of("accept", &bob, &ann.id).await.refused(), (409, "no-such-request"));
    assert_eq!(of("decline", &bob, &ann.id).await.refused(), (409, "no-such-request"));
    let asked = of("add", &ann, &bob.id).await.ok();
    assert_eq!(of("add", &ann, &bob.id).await.ok()["position"], asked["position"], "asked already");
    assert_eq!(of("accept", &ann, &bob.id).await.refused(), (409, "no-such-request"), "not one's own");
    of("accept", &bob, &ann.id).await.ok();
    assert_eq!(of("accept", &bob, &ann.id).await.refused(), (409, "no-such-request"));
    of("remove", &ann, &bob.id).await.ok();
    of("add", &bob, &ann.id).await.ok();
    of("decline", &ann, &bob.id).await.ok();
    of("block", &ann, &bob.id).await.ok();
    let head = stack.head().await;
    assert_eq!(of("block", &ann, &bob.id).await.ok()["position"], head);
    of("unblock", &ann, &bob.id).await.ok();
}

#[tokio::test]
async fn wishes_about_oneself_and_nobody_are_refused() {
    let stack = Stack::new().await;
    let ann = stack.register("ann").await;
    for command in ["add", "accept", "decline", "remove", "block", "unblock"] {
        let of = |id: String| stack.ask(command, json!({ "user_id": id })).by(&ann).send();
        let own = of(ann.id.clone()).await;
        assert_eq!(own.refused(), (422, "invalid"), "{command}");
        assert_eq!(own.body["errors"][0], json!({ "pointer": "/user_id", "code": "oneself" }));
        assert_eq!(of(Uuid::from_u128(9).to_string()).await.refused(), (404, "not-found"), "{command}");
    }
}

#[tokio::test]
async fn a_new_account_has_ten_requests_pending_and_an_older_one_a_hundred() {
    let stack = Stack::with(Options::throttled()).await;
    let ann = stack.register("ann").await;
    let mut others = Vec::new();
    for number in 0..12 {
        others.push(stack.register(&format!("other{number}")).await);
    }
    let of = |command, who, other: &str| stack.ask(command, json!({ "user_id": other })).by(who).send();
    for other in &others[..10] {
        of("add", &ann, &other.id).await.ok();
    }
    let full = of("add", &ann, &others[10].id).await;
    assert_eq!(full.refused(), (422, "invalid"));
    assert_eq!(full.body["errors"][0]["code"], "too-many-pending");
    assert_eq!(full.body["errors"][0]["params"]["max"], 10);
    of("add", &ann, &others[0].id).await.ok();

    of("decline", &others[0], &ann.id).await.ok();
    assert_eq!(of("add", &ann, &others[10].id).await.refused().0, 422, "a refusal is not seen");
    of("accept", &others[1], &ann.id).await.ok();
    of("add", &ann, &others[10].id).await.ok();
    assert_eq!(of("add", &ann, &others[11].id).await.refused().0, 422);
    of("remove", &ann, &others[2].id).await.ok();
    of("remove", &ann, &others[1].id).await.ok();
    of("add", &others[11], &ann.id).await.ok();
    of("add", &ann, &others[11].id).await.ok();
    of("add", &ann, &others[2].id).await.ok();
    of("block", &others[3], &ann.id).await.ok();
    of("add", &ann, &others[3].id).await.ok();
    assert_eq!(of("add", &ann, &others[1].id).await.refused().0, 422, "ten are pending");

    stack.clock.pass(7 * 24 * 3_600);
    let ann = Someone::of(&stack.authorize("ann").await.ok());
    of("add", &ann, &others[1].id).await.ok();
}

#[tokio::test]
async fn settings_that_are_absent_stay() {
    let stack = Stack::new().await;
    let ann = stack.register("ann").await;
    let head = stack.head().await;
    let change = |body| stack.of(&ann, "change_settings", body);
    assert_eq!(change(json!({})).await.ok()["position"], head, "nothing changed");
    assert_eq!(change(json!({ "discoverable": true })).await.ok()["position"], head, "it was so");
    change(json!({ "discoverable": false, "photo": "friends" })).await.ok();
    change(json!({ "presence": "friends" })).await.ok();
    let Event::User(UserEvent::SettingsChanged { settings, .. }) = stack.newest().await else {
        panic!("changed");
    };
    let settings = serde_json::to_value(settings).expect("settings");
    let expected =
        json!({ "discoverable": false, "photo": "friends", "about": "everyone", "presence": "friends" });
    assert_eq!(settings, expected);
    assert_eq!(change(json!({ "about": "nobody" })).await.refused(), (400, "malformed"));
}
