//! Talking.

use domain::aggregate::Event;
use domain::read_marker::ReadMarkerEvent;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::stack::{Answer, Someone, Stack};

struct Talk {
    stack: Stack,
    ann: Someone,
    bob: Someone,
    chat: Value,
}

impl Talk {
    async fn new() -> Self {
        let stack = Stack::new().await;
        let (ann, bob) = stack.friends().await;
        let chat = stack.ask("create_chat", json!({ "user_id": bob.id })).by(&ann).send().await.ok();
        Self { chat: chat["chat_id"].clone(), stack, ann, bob }
    }

    async fn send(&self, who: &Someone, text: &str) -> Answer {
        self.stack.ask("send", json!({ "chat_id": self.chat, "text": text })).by(who).send().await
    }

    async fn mark(&self, who: &Someone, number: u64) -> Answer {
        self.stack.ask("mark_read", json!({ "chat_id": self.chat, "number": number })).by(who).send().await
    }
}

#[tokio::test]
async fn a_pair_has_one_chat() {
    let talk = Talk::new().await;
    let again = |who, other: &str| talk.stack.ask("create_chat", json!({ "user_id": other })).by(who).send();
    assert_eq!(again(&talk.bob, &talk.ann.id).await.ok()["chat_id"], talk.chat);
    assert_eq!(again(&talk.ann, &talk.bob.id).await.ok()["chat_id"], talk.chat);
    let carol = talk.stack.register("carol").await;
    assert_eq!(again(&carol, &talk.ann.id).await.refused(), (403, "not-permitted"), "no friends");
    assert_eq!(again(&carol, &carol.id).await.refused(), (422, "invalid"));
    assert_eq!(again(&carol, &Uuid::from_u128(9).to_string()).await.refused(), (404, "not-found"));
    let both = json!({ "user_id": talk.ann.id, "title": "Us", "history": "all" });
    let both = talk.stack.of(&talk.bob, "create_chat", both).await;
    assert_eq!(both.invalid(), ("/title", "unknown-field"), "a direct chat has no title");
    assert_eq!(both.body["errors"][1]["pointer"], "/history");
    assert_eq!(talk.stack.of(&talk.bob, "create_chat", json!({})).await.invalid(), ("/user_id", "required"));
}

#[tokio::test]
async fn two_openers_at_once_get_one_chat() {
    let stack = Stack::new().await;
    let (ann, bob) = stack.friends().await;
    let (a, b) = tokio::join!(
        stack.ask("create_chat", json!({ "user_id": bob.id })).by(&ann).send(),
        stack.ask("create_chat", json!({ "user_id": ann.id })).by(&bob).send(),
    );
    assert_eq!(a.ok()["chat_id"], b.ok()["chat_id"]);
}

#[tokio::test]
async fn messages_are_numbered_without_a_gap() {
    let talk = Talk::new().await;
    let first = talk.send(&talk.ann, "  hi ").await.ok();
    assert_eq!(first["number"], 1);
    assert_eq!(first["sent_at"], "2027-01-15T08:00:00.000000Z");
    assert_eq!(talk.send(&talk.bob, " \n").await.refused(), (422, "invalid"));
    assert_eq!(talk.send(&talk.bob, &"x".repeat(4_001)).await.refused(), (422, "invalid"));
    assert_eq!(talk.send(&talk.bob, &"👍".repeat(4_000)).await.ok()["number"], 2);
    let reply = |number: u64| {
        let body = json!({ "chat_id": talk.chat, "text": "re", "reply_to": number });
        talk.stack.ask("send", body).by(&talk.ann).send()
    };
    assert_eq!(reply(2).await.ok()["number"], 3);
    let nowhere = reply(9).await;
    assert_eq!(nowhere.refused(), (422, "invalid"));
    assert_eq!(nowhere.body["errors"][0]["code"], "no-such-message");
    let sends = (0..20).map(|_| talk.send(&talk.bob, "at once"));
    let mut numbers = Vec::new();
    for answer in futures(sends).await {
        numbers.push(answer.ok()["number"].as_u64().expect("a number"));
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (4..24).collect::<Vec<_>>());
}

/// Runs them all at once.
async fn futures<F: Future>(all: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut all: Vec<_> = all.map(|one| (Box::pin(one), None)).collect();
    std::future::poll_fn(|context| {
        let mut waiting = false;
        for (future, output) in &mut all {
            if output.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(ready) => *output = Some(ready),
                    std::task::Poll::Pending => waiting = true,
                }
            }
        }
        if waiting { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
    })
    .await;
    all.into_iter().filter_map(|(_, output)| output).collect()
}

#[tokio::test]
async fn nobody_writes_where_they_may_not() {
    let talk = Talk::new().await;
    let carol = talk.stack.register("carol").await;
    assert_eq!(talk.send(&carol, "hello?").await.refused(), (404, "not-found"));
    assert_eq!(talk.mark(&carol, 0).await.refused(), (404, "not-found"));
    let nowhere = json!({ "chat_id": Uuid::from_u128(9), "text": "hello?" });
    assert_eq!(talk.stack.ask("send", nowhere).by(&carol).send().await.refused(), (404, "not-found"));

    let of = |command, who, other: &str| talk.stack.ask(command, json!({ "user_id": other })).by(who).send();
    of("block", &talk.bob, &talk.ann.id).await.ok();
    let blocked = talk.send(&talk.ann, "x").await;
    of("unblock", &talk.bob, &talk.ann.id).await.ok();
    let parted = talk.send(&talk.ann, "x").await;
    assert_eq!(parted.refused(), (403, "not-permitted"));
    assert_eq!(blocked.body, parted.body, "a block looks like a former friendship");
    assert_eq!(talk.send(&talk.bob, "x").await.refused(), (403, "not-permitted"));
    of("add", &talk.ann, &talk.bob.id).await.ok();
    of("accept", &talk.bob, &talk.ann.id).await.ok();
    talk.send(&talk.ann, "again").await.ok();
}

#[tokio::test]
async fn reading_never_goes_back() {
    let talk = Talk::new().await;
    for _ in 0..3 {
        talk.send(&talk.ann, "x").await.ok();
    }
    let read = talk.mark(&talk.bob, 2).await.ok();
    assert_eq!(talk.mark(&talk.bob, 1).await.ok()["position"], read["position"]);
    let beyond = talk.mark(&talk.bob, 4).await;
    assert_eq!(beyond.refused(), (422, "invalid"));
    assert_eq!(
        beyond.body["errors"][0],
        json!({"pointer": "/number", "code": "too-large", "params": {"max": 3}})
    );
    talk.mark(&talk.bob, 3).await.ok();
    // Who has sent the third has read it: nothing to tell anybody.
    let head = talk.stack.head().await;
    assert_eq!(talk.mark(&talk.ann, 1).await.ok()["position"], head);
    assert_eq!(talk.mark(&talk.ann, 3).await.ok()["position"], head);
}

#[tokio::test]
async fn members_of_one_group_may_talk() {
    let stack = Stack::new().await;
    let (ann, bob) = stack.friends().await;
    let carol = stack.register("carol").await;
    stack.befriend(&ann, &carol).await;
    let open = || stack.of(&bob, "create_chat", json!({ "user_id": carol.id }));
    assert_eq!(open().await.refused(), (403, "not-permitted"), "strangers");
    let members = json!({ "title": "Three", "member_ids": [bob.id, carol.id] });
    let group = stack.of(&ann, "create_chat", members).await.ok()["chat_id"].clone();
    let chat = open().await.ok()["chat_id"].clone();
    assert_eq!(open().await.ok()["chat_id"], chat);
    let say = |who| stack.of(who, "send", json!({ "chat_id": chat, "text": "hello" }));
    say(&bob).await.ok();
    say(&carol).await.ok();
    let of = |number, command, more: (&str, &str)| {
        let mut body = json!({ "chat_id": chat, "number": number });
        body[more.0] = more.1.into();
        stack.of(&bob, command, body)
    };
    of(1, "edit_message", ("text", "hi")).await.ok();
    of(2, "react", ("emoji", "👍")).await.ok();

    stack.of(&carol, "block", json!({ "user_id": bob.id })).await.ok();
    assert_eq!(say(&bob).await.refused(), (403, "not-permitted"), "blocked");
    assert_eq!(say(&carol).await.refused(), (403, "not-permitted"));
    stack.of(&carol, "unblock", json!({ "user_id": bob.id })).await.ok();
    say(&bob).await.ok();

    stack.of(&carol, "leave_chat", json!({ "chat_id": group })).await.ok();
    assert_eq!(say(&bob).await.refused(), (403, "not-permitted"), "in no group any more");
    assert_eq!(of(1, "edit_message", ("text", "hey")).await.refused(), (403, "not-permitted"));
    assert_eq!(of(2, "react", ("emoji", "🎉")).await.refused(), (403, "not-permitted"));
    assert_eq!(open().await.ok()["chat_id"], chat, "it stays readable");
    stack.of(&ann, "add_member", json!({ "chat_id": group, "user_id": carol.id })).await.ok();
    say(&bob).await.ok();
    stack.of(&ann, "dissolve_chat", json!({ "chat_id": group })).await.ok();
    assert_eq!(say(&bob).await.refused(), (403, "not-permitted"), "it has ended");
    stack.verify().await;
}

#[tokio::test]
async fn a_chat_is_kept_as_one_likes() {
    let talk = Talk::new().await;
    let keep = |body: Value| {
        let mut body = body;
        body["chat_id"] = talk.chat.clone();
        talk.stack.of(&talk.ann, "set_chat_prefs", body)
    };
    let head = talk.stack.head().await;
    assert_eq!(keep(json!({})).await.ok()["position"], head, "nothing changed");
    assert_eq!(keep(json!({ "pinned": true })).await.ok()["position"], head + 1);
    assert_eq!(keep(json!({ "muted_until": "2028-01-01T00:00:00Z" })).await.ok()["position"], head + 2);
    let Event::ReadMarker(ReadMarkerEvent::ChatPrefsSet { pinned, muted_until, .. }) =
        talk.stack.newest().await
    else {
        panic!("kept");
    };
    assert!(pinned && muted_until.is_some());
    assert_eq!(keep(json!({ "pinned": true })).await.ok()["position"], head + 2);
    assert_eq!(keep(json!({ "muted_until": null })).await.ok()["position"], head + 3);
    assert_eq!(keep(json!({ "muted_until": "tomorrow" })).await.refused(), (400, "malformed"));
    let carol = talk.stack.register("carol").await;
    let strange = talk.stack.of(&carol, "set_chat_prefs", json!({ "chat_id": talk.chat, "pinned": true }));
    assert_eq!(strange.await.refused(), (404, "not-found"));
}
