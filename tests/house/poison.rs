//! A poisonous event: its stream is parked where it can't be applied, and nothing else stands still.

use std::path::Path;

use domain::requests::{Authorize, Revoke, Secret, SignedIn};

use crate::api::{Api, new_key};
use crate::engine::{Engine, Place, on_both_engines};
use crate::letopis::until;
use crate::log_file::Row;
use crate::people::Person;

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let into = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy_folder(&entry.path(), &into);
        } else {
            std::fs::copy(entry.path(), into).expect("copied");
        }
    }
}

/// The newest event of this type.
fn newest<'rows>(rows: &'rows [Row], event_type: &str) -> &'rows Row {
    rows.iter().rfind(|row| row.event_type == event_type).expect("there is one")
}

/// What a person sees of a chat.
async fn history(api: &Api, reader: &Person, chat_id: impl std::fmt::Display) -> serde_json::Value {
    let path = format!("/chats/{chat_id}/messages?limit=200");
    let page: serde_json::Value = reader.on(api).query(&path).await;
    page["items"].clone()
}

on_both_engines!(
    a_poisonous_event_parks_its_stream_and_nothing_else,
    a_revocation_that_cannot_be_read_lets_nobody_in,
);

async fn a_poisonous_event_parks_its_stream_and_nothing_else(engine: Engine) {
    let place = Place::new(engine).await;
    let letopis = place.start().await;
    let api = Api::of(&letopis);
    let ann = Person::register(&api, "ann").await;
    let bob = Person::register(&api, "bob").await;
    let cyd = Person::register(&api, "cyd").await;
    ann.befriend(&api, &bob).await;
    bob.befriend(&api, &cyd).await;
    let (chat, other) = (ann.chat_with(&api, &bob).await, bob.chat_with(&api, &cyd).await);
    ann.say(&api, chat, "good").await;
    let again = Authorize { email: ann.email.clone(), password: Secret(ann.password.clone()) };
    let stolen: SignedIn = api.command("authorize", None, &again).await.ok();
    let access = stolen.access_token.clone().expect("in the body");
    letopis.stop().await;
    // What follows is not in these rows yet.
    let (projections, kept) = (place.folder.file("projections"), place.folder.beside("kept"));
    copy_folder(&projections, &kept);

    let letopis = place.start().await;
    let api = Api::of(&letopis);
    ann.say(&api, chat, "to be poison").await;
    bob.say(&api, chat, "behind it").await;
    let refresh = serde_json::json!({ "refresh_token": stolen.refresh_token });
    assert_eq!(api.command("refresh", Some(new_key()), &refresh).await.status, 200);
    let end = Revoke { session_id: Some(stolen.session_id), others: None };
    assert_eq!(ann.on(&api).command("revoke", Some(new_key()), &end).await.status, 200);
    bob.say(&api, other, "elsewhere").await;
    let whole = history(&api, &bob, chat).await;
    assert_eq!(whole.as_array().map(Vec::len), Some(3));
    letopis.stop().await;

    std::fs::remove_dir_all(&projections).expect("they were there");
    copy_folder(&kept, &projections);
    let rows = place.assert_sound().await;
    let message = rows.iter().filter(|row| row.event_type == "MessageSent").nth(1).expect("ann's second");
    let refreshed = newest(&rows, "SessionRefreshed");
    for row in [message, refreshed] {
        place.rewrite(row.position, r#"{"damaged":true}"#).await;
    }

    // It starts and is ready: what is parked keeps nobody waiting.
    let letopis = place.start().await;
    let api = Api::of(&letopis);
    let (chat_stream, session) = (format!("Chat/{chat}"), format!("Session/{}", stolen.session_id));
    let status = place.projections().await;
    let parked = |name: &str| -> Vec<String> {
        let parked = status[name]["parked"].as_array().expect("a list").iter();
        parked.map(|it| it["stream"].as_str().expect("a stream").to_owned()).collect()
    };
    assert!(parked("timeline").contains(&chat_stream), "{status:?}");
    assert!(parked("sessions").contains(&session), "{status:?}");
    for (name, status) in &status {
        assert_eq!(status["health"]["state"], "running", "{name}: {status}");
        assert_eq!(status["lag_events"], 0, "{name}: {status}");
    }
    // Everything before it is shown, nothing after it.
    let seen = history(&api, &bob, chat).await;
    assert_eq!(seen.as_array().map(Vec::as_slice), whole.as_array().map(|whole| &whole[..1]));
    // Other streams go on, for reading and for writing.
    cyd.say(&api, other, "goes on").await;
    let seen = history(&api, &cyd, other).await;
    let texts: Vec<&str> =
        seen.as_array().expect("a list").iter().filter_map(|it| it["text"].as_str()).collect();
    assert_eq!(texts, ["elsewhere", "goes on"]);
    // The end of a session is never passed over, wherever its stream stands.
    api.by(&access).get("/query/v1/me").await.problem(401, "session-ended");
    assert_eq!(ann.on(&api).get("/query/v1/me").await.status, 200, "her other session lives");

    // Poison that is tried again is poison.
    let ran = place.settings().run(&["projections", "retry", "timeline"]).await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stdout.contains(&chat_stream) && ran.stdout.contains("stays parked"), "{ran:?}");

    for row in [message, refreshed] {
        place.rewrite(row.position, &row.payload).await;
    }
    for (name, status) in place.projections().await {
        if status["parked"].as_array().is_some_and(|parked| !parked.is_empty()) {
            let ran = place.settings().run(&["projections", "retry", &name]).await;
            assert_eq!(ran.code, Some(0), "{ran:?}");
            assert!(ran.stdout.contains("goes on"), "{ran:?}");
        }
    }
    for (name, status) in place.projections().await {
        assert_eq!(status["parked"], serde_json::json!([]), "{name}: {status}");
    }
    assert_eq!(history(&api, &bob, chat).await, whole, "it is as if nothing had been");
    api.by(&access).get("/query/v1/me").await.problem(401, "session-ended");
    until("the chat takes messages again", async || {
        let body = serde_json::json!({ "chat_id": chat, "text": "healed" });
        (ann.on(&api).command("send", Some(new_key()), &body).await.status == 200).then_some(())
    })
    .await;
    letopis.stop().await;
    place.assert_sound().await;
}

async fn a_revocation_that_cannot_be_read_lets_nobody_in(engine: Engine) {
    let place = Place::new(engine).await;
    let letopis = place.start().await;
    let api = Api::of(&letopis);
    let ann = Person::register(&api, "ann").await;
    let again = Authorize { email: ann.email.clone(), password: Secret(ann.password.clone()) };
    let stolen: SignedIn = api.command("authorize", None, &again).await.ok();
    let stolen_access = stolen.access_token.expect("in the body");
    assert_eq!(api.by(&stolen_access).get("/query/v1/me").await.status, 200);
    letopis.stop().await;
    let (projections, kept) = (place.folder.file("projections"), place.folder.beside("kept"));
    copy_folder(&projections, &kept);

    let letopis = place.start().await;
    let api = Api::of(&letopis);
    let end = Revoke { session_id: Some(stolen.session_id), others: None };
    assert_eq!(ann.on(&api).command("revoke", Some(new_key()), &end).await.status, 200);
    letopis.stop().await;
    std::fs::remove_dir_all(&projections).expect("they were there");
    copy_folder(&kept, &projections);
    let rows = place.assert_sound().await;
    let revoked = newest(&rows, "SessionRevoked");
    place.rewrite(revoked.position, r#"{"damaged":true}"#).await;

    // The rows say that it lives, and must not be believed; nor is anybody told that all is well.
    let letopis = place.settings().launch().await;
    let api = Api::of(&letopis);
    let complaint = until("it says that it is not ready", async || {
        let ready = api.get("/readyz").await;
        (ready.status == 503 && ready.text().contains("sessions has stopped")).then(|| ready.text())
    });
    complaint.await;
    let refused = until("the session is not let in", async || {
        let answer = api.by(&stolen_access).get("/query/v1/me").await;
        (answer.status != 200).then_some(answer)
    })
    .await;
    refused.problem(503, "unavailable");
    for _ in 0..20 {
        assert_ne!(api.by(&stolen_access).get("/query/v1/me").await.status, 200, "let in");
    }
    // Whoever's own stream can be read is let in by it.
    assert_eq!(ann.on(&api).get("/query/v1/me").await.status, 200, "her other session lives");

    place.rewrite(revoked.position, &revoked.payload).await;
    let ran = place.settings().run(&["projections", "rebuild", "sessions", "--accept"]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    api.is_ready().await;
    api.by(&stolen_access).get("/query/v1/me").await.problem(401, "session-ended");
    assert_eq!(ann.on(&api).get("/query/v1/me").await.status, 200, "her other session lives");
    letopis.stop().await;
}
