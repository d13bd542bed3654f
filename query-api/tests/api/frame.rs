//! What all queries have in common.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::world::World;

#[tokio::test]
async fn nobody_is_answered_without_signing_in() {
    let world = World::new().await;
    let id = crate::world::person(9);
    for path in ["/me", "/sessions", "/users?q=ann", "/friends", "/chats", "/invite", "/live"] {
        let refused = world.ask_with("GET", None, &format!("/query/v1{path}"), &[]).await.refusal();
        assert_eq!((refused.0, refused.1.as_str()), (401, "unauthenticated"), "{path}");
    }
    let of_chat = ["", "/messages", "/members", "/invites", "/messages/1/versions"];
    let of_chat = of_chat.map(|rest| format!("/chats/{id}{rest}"));
    let blob = format!("/blobs/{}", "0f".repeat(32));
    for path in [format!("/users/{id}"), blob].into_iter().chain(of_chat) {
        let refused = world.ask_with("GET", None, &format!("/query/v1{path}"), &[]).await.refusal();
        assert_eq!(refused.0, 401, "{path}");
    }
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems() {
    let world = World::new().await;
    let ann = world.registered(1, "ann", "Ann").await;
    for path in ["/query", "/query/v1", "/query/v1/nothing", "/query/v2/me", "/query/v1/me/more"] {
        let refused = world.ask_with("GET", Some(ann), path, &[]).await.refusal();
        assert_eq!((refused.0, refused.1.as_str()), (404, "not-found"), "{path}");
    }
    let method = world.ask_with("POST", Some(ann), "/query/v1/me", &[]).await;
    assert_eq!(method.refusal().1, "method-not-allowed");
    assert!(method.headers["allow"].to_str().is_ok_and(|allow| allow.contains("GET")));
    let plain = world.ask_with("GET", Some(ann), "/query/v1/live", &[]).await;
    assert_eq!(plain.refusal().0, 400, "no WebSocket");
    assert_eq!(world.refused(ann, "/me?x=1").await, (400, "malformed".into(), "x".into()));
}

#[tokio::test]
async fn a_query_waits_for_what_was_just_written() {
    let world = Arc::new(World::new().await);
    let ann = world.registered(1, "ann", "Ann").await;
    world.head.store(2, Ordering::SeqCst);
    // A clock that goes on only where nobody has anything to do: whoever is woken needs none of its time.
    tokio::time::pause();
    let asked = tokio::time::Instant::now();
    let asking = tokio::spawn({
        let world = world.clone();
        async move { world.ask_with("GET", Some(ann), "/query/v1/me", &[("x-letopis-position", "2")]).await }
    });
    tokio::task::yield_now().await;
    assert!(!asking.is_finished());
    world.stores.progress.show("directory", 2);
    let answer = tokio::time::timeout(Duration::from_secs(60), asking).await;
    let answer = answer.expect("in time").expect("an answer");
    assert!(asked.elapsed() < Duration::from_secs(5), "its patience ended instead");
    assert_eq!(answer.json["position"], 2);
}

#[tokio::test]
async fn a_query_answers_what_it_has_when_patience_ends() {
    let world = World::new().await;
    let ann = world.registered(1, "ann", "Ann").await;
    world.head.store(7, Ordering::SeqCst);
    // The timeline is ahead; the answer shows no more than the directory does.
    world.stores.progress.show("timeline", 7);
    tokio::time::pause();
    let answer = world.ask_with("GET", Some(ann), "/query/v1/chats", &[("x-letopis-position", "7")]).await;
    assert_eq!((answer.status.as_u16(), &answer.json["position"]), (200, &serde_json::json!(1)));
}

#[tokio::test]
async fn a_position_beyond_the_head_is_refused() {
    let world = World::new().await;
    let ann = world.registered(1, "ann", "Ann").await;
    let ask = async |position| {
        world.ask_with("GET", Some(ann), "/query/v1/me", &[("x-letopis-position", position)]).await.refusal()
    };
    assert_eq!(ask("2").await.1, "position-ahead");
    assert_eq!(ask("two").await, (400, "malformed".into(), "X-Letopis-Position".into()));
}

#[tokio::test]
async fn the_openapi_document_names_every_query() {
    let world = World::new().await;
    let api = world.ask_with("GET", None, "/query/openapi.json", &[]).await.json;
    for (path, operation) in [
        ("/me", "me"),
        ("/sessions", "sessions"),
        ("/users", "search_user"),
        ("/users/{user_id}", "user"),
        ("/photos/{photo_id}", "photo"),
        ("/friends", "friends"),
        ("/chats", "get_chats"),
        ("/chats/{chat_id}", "chat"),
        ("/chats/{chat_id}/members", "members"),
        ("/chats/{chat_id}/invites", "invites"),
        ("/chats/{chat_id}/messages", "get"),
        ("/chats/{chat_id}/messages/{number}/versions", "versions"),
        ("/invite", "invite"),
        ("/blobs/{blob_id}", "blob"),
        ("/live", "live"),
    ] {
        let documented = &api["paths"][format!("/query/v1{path}")]["get"];
        assert_eq!(documented["operationId"], operation);
        let problem =
            &documented["responses"]["401"]["content"]["application/problem+json"]["schema"]["$ref"];
        assert_eq!(problem, "#/components/schemas/Problem", "{operation}");
    }
    // Every reference leads somewhere.
    let text = api.to_string();
    for reference in text.split("\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().expect("a name");
        assert!(api["components"]["schemas"].get(name).is_some(), "{name}");
    }
}
