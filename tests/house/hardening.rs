//! What is refused over HTTP, each as a problem whose type leads to a page.

use std::collections::BTreeSet;

use domain::Problem;
use domain::requests::{Authorize, CreateChat, Done, Secret, Send};

use crate::api::{Answer, Api, new_key};
use crate::letopis::Folder;
use crate::people::{Person, registration};

async fn send(request: reqwest::RequestBuilder) -> Answer {
    Answer::of(request).await.expect("it answers")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_is_a_problem_whose_type_is_served() {
    let folder = Folder::new();
    let letopis = folder.start().await;
    let api = Api::of(&letopis);
    let (ann, bob, cyd) = (
        Person::register(&api, "ann").await,
        Person::register(&api, "bob").await,
        Person::register(&api, "cyd").await,
    );
    ann.befriend(&api, &bob).await;
    let chat_id = ann.chat_with(&api, &bob).await;
    let head = ann.say(&api, chat_id, "hello").await.position;
    let by_ann = ann.on(&api);
    let cookie = format!("letopis-access={}", ann.access);
    let key = || new_key().to_string();
    let hello = serde_json::json!({ "chat_id": chat_id, "text": "hello" });

    let mut slugs = BTreeSet::new();
    let mut expect = |answer: Answer, status: u16, slug: &str| -> Problem {
        slugs.insert(slug.to_owned());
        answer.problem(status, slug)
    };

    // Bodies.
    for body in ["", "{", "[]", "null", "{\"chat_id\":7,\"text\":\"x\"}", "\u{0}"] {
        expect(by_ann.raw_command("send", "application/json", body).await, 400, "malformed");
    }
    let unknown =
        expect(by_ann.raw_command("add", "application/json", "{\"who\":1}").await, 400, "malformed");
    assert_eq!((&*unknown.errors[0].pointer, &*unknown.errors[0].code), ("/who", "unknown-field"));
    let missing = expect(by_ann.raw_command("add", "application/json", "{}").await, 400, "malformed");
    assert_eq!((&*missing.errors[0].pointer, &*missing.errors[0].code), ("/user_id", "required"));
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
    {
        let answer = by_ann.raw_command("send", content_type, &hello.to_string()).await;
        expect(answer, 415, "unsupported-type");
    }
    let large = format!("{{\"text\":\"{}\"}}", "x".repeat(70_000));
    expect(by_ann.raw_command("send", "application/json", &large).await, 413, "too-large");

    // The key.
    let missing = expect(by_ann.command("send", None, &hello).await, 400, "malformed");
    assert_eq!((&*missing.errors[0].pointer, &*missing.errors[0].code), ("Idempotency-Key", "required"));
    let request = by_ann.request("POST", "/command/v1/send").header("Idempotency-Key", "seven").json(&hello);
    expect(send(request).await, 400, "malformed");
    let used = new_key();
    by_ann.command("send", Some(used), &hello).await.ok::<Done>();
    let other = serde_json::json!({ "chat_id": chat_id, "text": "another" });
    expect(by_ann.command("send", Some(used), &other).await, 422, "key-reused");
    expect(
        by_ann
            .command("mark_read", Some(used), &serde_json::json!({ "chat_id": chat_id, "number": 1 }))
            .await,
        422,
        "key-reused",
    );

    // Paths and methods.
    for path in [
        "/command",
        "/command/",
        "/command/v1/nothing",
        "/command/v2/send",
        "/query/v1/nothing",
        "/query",
        "/query/",
    ] {
        expect(by_ann.get(path).await, 404, "not-found");
        expect(send(by_ann.request("POST", path).json(&hello)).await, 404, "not-found");
    }
    for (method, path) in [
        ("GET", "/command/v1/send"),
        ("DELETE", "/command/v1/send"),
        ("PUT", "/command/v1/register"),
        ("POST", "/query/v1/me"),
        ("DELETE", "/query/v1/chats"),
    ] {
        let answer = send(by_ann.request(method, path)).await;
        assert!(!answer.header("allow").is_empty(), "{method} {path} does not say what is allowed");
        expect(answer, 405, "method-not-allowed");
    }

    // Positions and parameters.
    for path in ["/query/v1/me", "/query/v1/chats"] {
        let at = |position: u64| send(by_ann.request("GET", path).header("X-Letopis-Position", position));
        assert_eq!(at(head).await.status, 200);
        expect(at(head + 1_000).await, 400, "position-ahead");
        let unreadable = by_ann.request("GET", path).header("X-Letopis-Position", "soon");
        expect(send(unreadable).await, 400, "malformed");
    }
    expect(by_ann.get("/query/v1/live?after=999999").await, 400, "position-ahead");
    for path in ["/me?x=1", "/users/nobody", "/chats?limit=x", "/friends?state=enemies", "/chats?cursor=x"] {
        let answer = by_ann.get(&format!("/query/v1{path}")).await;
        assert!([400, 422].contains(&answer.status), "{path}: {}", answer.text());
        let slug = if answer.status == 400 { "malformed" } else { "invalid" };
        expect(answer, if slug == "malformed" { 400 } else { 422 }, slug);
    }
    expect(by_ann.get("/query/v1/chats?limit=201").await, 422, "invalid");
    expect(by_ann.get("/query/v1/users?q=a").await, 422, "invalid");

    // What one may not see is not there.
    let by_cyd = cyd.on(&api);
    for path in [format!("/query/v1/chats/{chat_id}"), format!("/query/v1/chats/{chat_id}/messages")] {
        expect(by_cyd.get(&path).await, 404, "not-found");
    }
    let absent = by_cyd.command("send", Some(new_key()), &Send::text(ann.id.0.into(), "x")).await;
    let absent = expect(absent, 404, "not-found");
    let foreign = expect(by_cyd.command("send", Some(new_key()), &hello).await, 404, "not-found");
    assert_eq!(
        (absent.detail, absent.errors),
        (foreign.detail, foreign.errors),
        "a chat shows that it exists"
    );
    let read = serde_json::json!({ "chat_id": chat_id, "number": 1 });
    expect(by_cyd.command("mark_read", Some(new_key()), &read).await, 404, "not-found");
    expect(
        by_cyd.command("create_chat", Some(new_key()), &CreateChat::direct(ann.id)).await,
        403,
        "not-permitted",
    );
    expect(by_cyd.command("accept", Some(new_key()), &ann.whom()).await, 409, "no-such-request");
    let again = serde_json::json!({ "nickname": "cydney" });
    expect(by_cyd.command("create_user", Some(new_key()), &again).await, 409, "user-exists");

    // Credentials.
    for path in ["/query/v1/me", "/query/v1/live"] {
        expect(api.get(path).await, 401, "unauthenticated");
        expect(api.by("not.a.token").get(path).await, 401, "unauthenticated");
    }
    expect(api.command("send", Some(new_key()), &hello).await, 401, "unauthenticated");
    // The same claims under no signature, and under a broken one.
    let parts: Vec<&str> = ann.access.split('.').collect();
    let unsigned = format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{}.", parts[1]);
    expect(api.by(&unsigned).get("/query/v1/me").await, 401, "unauthenticated");
    let tail = if parts[2].starts_with('A') { "B" } else { "A" };
    let broken = format!("{}.{}.{tail}{}", parts[0], parts[1], &parts[2][1..]);
    expect(api.by(&broken).get("/query/v1/me").await, 401, "unauthenticated");
    expect(send(by_ann.request("GET", "/query/v1/me").header("Cookie", &cookie)).await, 400, "malformed");
    let with_cookie = |site: Option<(&'static str, String)>| {
        let mut request = api.request("POST", "/command/v1/send").header("Cookie", &cookie).json(&hello);
        if let Some((name, value)) = site {
            request = request.header(name, value);
        }
        send(request.header("Idempotency-Key", key()))
    };
    for site in ["cross-site", "same-site", "none"] {
        expect(with_cookie(Some(("Sec-Fetch-Site", site.into()))).await, 403, "cross-site");
    }
    expect(with_cookie(Some(("Origin", "https://evil.example".into()))).await, 403, "cross-site");
    expect(with_cookie(Some(("Origin", "null".into()))).await, 403, "cross-site");
    expect(with_cookie(None).await, 403, "cross-site");
    with_cookie(Some(("Sec-Fetch-Site", "same-origin".into()))).await.ok::<Done>();
    with_cookie(Some(("Origin", letopis.url("")))).await.ok::<Done>();
    let from_elsewhere = api.request("POST", "/command/v1/register").header("Sec-Fetch-Site", "cross-site");
    let from_elsewhere = from_elsewhere.header("Idempotency-Key", key()).json(&registration("eve"));
    expect(send(from_elsewhere).await, 403, "cross-site");

    // Rules, with the field, the code and the limit.
    let too_long = Send::text(chat_id, "ё".repeat(4_001));
    let invalid = expect(by_ann.command("send", Some(new_key()), &too_long).await, 422, "invalid");
    let error = &invalid.errors[0];
    assert_eq!((&*error.pointer, &*error.code, &error.params["max"]), ("/text", "too-long", &4_000.into()));
    let longest = Send { text: "ё".repeat(4_000), ..too_long };
    by_ann.command("send", Some(new_key()), &longest).await.ok::<Done>();
    let blank = Send { text: " \n\t".into(), ..longest };
    expect(by_ann.command("send", Some(new_key()), &blank).await, 422, "invalid");
    let mut bad = registration("x");
    bad.email = "nobody".into();
    bad.password = Secret("12345678".into());
    let invalid = expect(api.command("register", Some(new_key()), &bad).await, 422, "invalid");
    let told: Vec<_> = invalid.errors.iter().map(|error| (&*error.pointer, &*error.code)).collect();
    let all = [("/email", "bad-email"), ("/password", "common-password"), ("/nickname", "too-short")];
    assert_eq!(told, all, "all that is wrong is said at once");
    let mut taken = registration("ann");
    expect(api.command("register", Some(new_key()), &taken).await, 409, "email-taken");
    taken.email = "other@letopis.example".into();
    expect(api.command("register", Some(new_key()), &taken).await, 409, "nickname-taken");

    for slug in slugs {
        let page = api.get(&format!("/docs/problems/{slug}")).await;
        assert_eq!(page.status, 200, "{slug} has no page");
        assert!(page.header("content-type").starts_with("text/html") && page.text().contains(&slug));
    }
    assert_eq!(api.get("/docs/problems/no-such-kind").await.status, 404);
    // None of it left a trace: the last number is that of the messages that were taken.
    let last = ann.say(&api, chat_id, "last").await.number;
    assert_eq!(last, 6);
    let said = letopis.stop().await;
    assert!(!said.contains("panicked"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_is_slowed_and_tells_nothing_about_accounts() {
    let folder = Folder::new();
    let letopis = folder.settings().with("LETOPIS_RATE_LIMIT", "on").start().await;
    let api = Api::of(&letopis);
    let ann = Person::register(&api, "ann").await;
    let attempt = |email: String| {
        let api = api.clone();
        async move {
            api.command("authorize", None, &Authorize { email, password: Secret("a guess of mine".into()) })
                .await
        }
    };
    // Both accounts in turn: the same answers, until both are slowed.
    let (mut refused, mut slowed) = (Vec::new(), [false; 2]);
    for round in 0..40 {
        let answers = [attempt(ann.email.clone()).await, attempt("nobody@letopis.example".to_owned()).await];
        for (answer, slowed) in answers.iter().zip(&mut slowed) {
            if answer.status == 429 && round >= 5 {
                answer.problem(429, "too-many-requests");
                let seconds: u64 = answer.header("retry-after").parse().expect("seconds");
                assert!((1..=300).contains(&seconds), "{seconds}");
                *slowed = true;
            } else {
                refused.push(Problem { instance: None, ..answer.problem(401, "bad-credentials") });
            }
        }
        if slowed == [true; 2] {
            break;
        }
    }
    assert_eq!(slowed, [true; 2], "nobody was slowed");
    refused.dedup();
    assert_eq!(refused.len(), 1, "the answers tell accounts apart: {refused:?}");
    // Who is signed in goes on.
    assert_eq!(ann.on(&api).get("/query/v1/me").await.status, 200);
}
