//! Registering, signing in, staying signed in, signing out.

use std::time::Instant;

use command_api::Registration;
use command_api::passwords::Hashing;
use serde_json::{Value, json};
use stores::checkpoint::Checkpoint;
use stores::sessions::{Change, SessionRow};

use crate::stack::{Answer, Options, PASSWORD, Someone, Stack};

fn registration(nickname: &str) -> Value {
    json!({ "email": format!("{nickname}@example.org"), "password": PASSWORD, "nickname": nickname })
}

async fn refresh(stack: &Stack, token: &str, key: impl Into<Option<uuid::Uuid>>) -> Answer {
    stack.ask("refresh", json!({ "refresh_token": token })).key(key).send().await
}

#[tokio::test]
async fn registering_signs_in() {
    let stack = Stack::new().await;
    let answer = stack.ask("register", registration("ann")).send().await;
    assert!(answer.cookies().is_empty(), "no browser asked");
    let body = answer.ok();
    assert_eq!(body["expires_in"], 1800);
    let ann = Someone::of(&body);
    let bob = stack.register("bob").await;
    stack.ask("add", json!({ "user_id": bob.id })).by(&ann).send().await.ok();
}

#[tokio::test]
async fn names_and_addresses_belong_to_one() {
    let stack = Stack::new().await;
    stack.register("paul").await;
    let with = |email: &str, nickname: &str| {
        stack.ask("register", json!({ "email": email, "password": PASSWORD, "nickname": nickname })).send()
    };
    assert_eq!(with(" PAUL@Example.org", "other").await.refused(), (409, "email-taken"));
    assert_eq!(with("other@example.org", "Paul").await.refused(), (409, "nickname-taken"));
    assert_eq!(
        with("other@example.org", "рaul").await.refused(),
        (409, "nickname-taken"),
        "a Cyrillic look-alike"
    );
    with("other@example.org", "other").await.ok();
    let (a, b) = tokio::join!(with("x@example.org", "twin"), with("y@example.org", "twin"));
    let refused: Vec<_> = [&a, &b].into_iter().filter(|it| !it.status.is_success()).collect();
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].refused(), (409, "nickname-taken"));
}

#[tokio::test]
async fn everything_wrong_with_a_registration_is_said_at_once() {
    let stack = Stack::new().await;
    let body = json!({ "email": "ann", "password": "password", "nickname": "_", "name": " " });
    let answer = stack.ask("register", body).send().await;
    assert_eq!(answer.refused(), (422, "invalid"));
    let errors: Vec<_> =
        answer.body["errors"].as_array().expect("errors").iter().map(|it| &it["pointer"]).collect();
    assert_eq!(errors, ["/email", "/password", "/nickname", "/name"]);
    let long = json!({ "email": "a@b.org", "password": "п".repeat(257), "nickname": "ann" });
    let answer = stack.ask("register", long).send().await;
    assert_eq!(
        answer.body["errors"][0],
        json!({"pointer": "/password", "code": "too-long", "params": {"max": 256}})
    );
    let longest = json!({ "email": "a@b.org", "password": "п".repeat(256), "nickname": "ann" });
    stack.ask("register", longest).send().await.ok();
    let one_less = json!({ "email": "a@b.org", "password": "п".repeat(255) });
    assert_eq!(
        stack.ask("authorize", one_less).send().await.refused(),
        (401, "bad-credentials"),
        "nothing is cut off"
    );
}

#[tokio::test]
async fn a_closed_installation_takes_nobody() {
    let closed = Stack::with(Options { registration: Registration::Closed, ..Options::default() }).await;
    assert_eq!(closed.ask("register", registration("ann")).send().await.refused(), (403, "not-permitted"));
    let hosts = "domains:example.org, example.net".parse().expect("hosts");
    let some = Stack::with(Options { registration: hosts, ..Options::default() }).await;
    some.ask("register", registration("ann")).send().await.ok();
    let other = json!({ "email": "ann@evil.example.org", "password": PASSWORD, "nickname": "eve" });
    assert_eq!(some.ask("register", other).send().await.refused(), (403, "not-permitted"));
    assert!("sometimes".parse::<Registration>().is_err());
}

#[tokio::test]
async fn a_repeated_registration_gets_the_same_tokens_until_the_session_ends() {
    let stack = Stack::new().await;
    let key = stack.key();
    let register = || stack.ask("register", registration("ann")).key(key).send();
    let first = register().await.ok();
    stack.clock.pass(60);
    assert_eq!(register().await.ok(), first);
    let ann = Someone::of(&first);
    stack.ask("revoke", json!({})).by(&ann).send().await.ok();
    assert_eq!(register().await.refused(), (401, "session-ended"));
}

#[tokio::test]
async fn a_browser_gets_cookies_and_no_tokens_in_the_body() {
    let stack = Stack::new().await;
    let answer =
        stack.ask("register", registration("ann")).header("sec-fetch-site", "same-origin").send().await;
    let cookies: Vec<String> = answer.cookies().into_iter().map(str::to_owned).collect();
    let body = answer.ok();
    assert!(body.get("access_token").is_none() && body.get("refresh_token").is_none());
    let [access, refresh, device] = &cookies[..] else { panic!("{cookies:?}") };
    assert!(device.starts_with("__Host-letopis-device="), "{device}");
    assert!(device.ends_with("; Path=/; Max-Age=31536000; HttpOnly; SameSite=Strict; Secure"), "{device}");
    assert!(access.starts_with("__Host-letopis-access=ey"), "{access}");
    assert!(access.ends_with("; Path=/; Max-Age=1800; HttpOnly; SameSite=Strict; Secure"), "{access}");
    assert!(refresh.starts_with("__Secure-letopis-refresh=r1."), "{refresh}");
    assert!(refresh.contains("; Path=/command/v1/refresh; "), "{refresh}");
    assert!(refresh.ends_with("HttpOnly; SameSite=Strict; Secure"), "{refresh}");

    let pair = |cookie: &str| cookie.split(';').next().expect("a pair").to_owned();
    let renew = stack.ask("refresh", json!({})).header("sec-fetch-site", "same-origin");
    let renewed = renew.header("cookie", &pair(refresh)).send().await;
    assert_eq!(renewed.cookies().len(), 2);
    assert!(renewed.ok().get("refresh_token").is_none());

    let out = stack.ask("revoke", json!({})).header("cookie", &pair(access)).send().await;
    assert!(out.cookies().iter().all(|cookie| cookie.contains("=; ") && cookie.contains("Max-Age=0")));
    assert_eq!(out.cookies().len(), 2);
    out.ok();
}

#[tokio::test]
async fn an_unknown_address_and_a_wrong_password_look_the_same() {
    let hashing = Hashing { memory_kib: 8 * 1024, passes: 2, ..Options::default().hashing };
    let stack = Stack::with(Options { hashing, ..Options::default() }).await;
    stack.register("ann").await;
    stack.authorize("ann").await.ok();
    let attempt = async |email: &str| {
        let begun = Instant::now();
        let answer =
            stack.ask("authorize", json!({ "email": email, "password": "not the one" })).send().await;
        assert_eq!(answer.refused(), (401, "bad-credentials"));
        (begun.elapsed(), answer.body)
    };
    let (_, known) = attempt("ann@example.org").await;
    let (_, unknown) = attempt("nobody@example.org").await;
    assert_eq!(known, unknown);
    // The hash dominates both: the fastest of several runs with and without an account are close, of more
    // runs where a machine does much beside.
    let mut fastest = [std::time::Duration::MAX; 2];
    for round in 1..=30 {
        for (index, email) in ["ann@example.org", "nobody@example.org"].into_iter().enumerate() {
            fastest[index] = fastest[index].min(attempt(email).await.0);
        }
        if round >= 5 && fastest[1] * 3 > fastest[0] {
            return;
        }
    }
    panic!("the unknown one hashes too: {fastest:?}");
}

#[tokio::test]
async fn a_new_login_is_a_new_session() {
    let stack = Stack::new().await;
    let ann = stack.register("ann").await;
    let again = Someone::of(&stack.authorize("ann").await.ok());
    assert_eq!(again.id, ann.id);
    assert_ne!(again.session, ann.session);
    assert_ne!(again.refresh, ann.refresh);
    let key = stack.key();
    let login = || {
        let body = json!({ "email": "ann@example.org", "password": PASSWORD });
        stack.ask("authorize", body).key(key).send()
    };
    let first = login().await.ok();
    assert_eq!(login().await.ok(), first);
}

#[tokio::test]
async fn a_verifier_is_renewed_when_its_parameters_are_old() {
    let stack = Stack::new().await;
    stack.register("ann").await;
    let stronger = Hashing { passes: 2, ..Options::default().hashing };
    let stack = stack.reopened(Options { hashing: stronger, ..Options::default() }).await;
    let before = stack.head().await;
    stack.authorize("ann").await.ok();
    assert_eq!(stack.head().await, before + 2, "a session, and the verifier anew");
    stack.authorize("ann").await.ok();
    assert_eq!(stack.head().await, before + 3, "a session alone");
}

#[tokio::test]
async fn guessing_is_slowed_and_its_victim_is_not_locked_out() {
    let stack = Stack::with(Options::throttled()).await;
    stack.register("ann").await;
    let from = |address: &'static str, password: &str| {
        let body = json!({ "email": "ann@example.org", "password": password });
        stack.ask("authorize", body).header("x-address", address).send()
    };
    for _ in 0..5 {
        assert_eq!(from("198.51.100.1", "a wrong one").await.refused(), (401, "bad-credentials"));
    }
    for _ in 0..3 {
        let slowed = from("198.51.100.1", PASSWORD).await;
        assert_eq!(slowed.refused(), (429, "too-many-requests"), "even the right one, till it is time");
        assert_eq!(slowed.headers["retry-after"], "1");
    }
    from("203.0.113.5", PASSWORD).await.ok();
    stack.clock.pass(1);
    from("198.51.100.1", PASSWORD).await.ok();
    for _ in 0..20 {
        from("198.51.100.1", PASSWORD).await.ok();
    }
}

#[tokio::test]
async fn asking_for_taken_addresses_is_slowed() {
    let stack = Stack::with(Options::throttled()).await;
    stack.register("ann").await;
    let probe = |nickname: String| {
        stack
            .ask(
                "register",
                json!({ "email": "ann@example.org", "password": PASSWORD, "nickname": nickname }),
            )
            .send()
    };
    for n in 0..10 {
        assert_eq!(probe(format!("probe{n}")).await.refused(), (409, "email-taken"));
    }
    assert_eq!(probe("probe".into()).await.refused(), (429, "too-many-requests"));
}

#[tokio::test]
async fn a_refresh_whose_answer_was_lost_gets_it_again() {
    let stack = Stack::new().await;
    let ann = stack.register("ann").await;
    let key = stack.key();
    let first = refresh(&stack, &ann.refresh, key).await.ok();
    stack.clock.pass(60);
    let again = refresh(&stack, &ann.refresh, key).await.ok();
    assert_eq!(again["refresh_token"], first["refresh_token"]);
    assert_eq!(again["access_token"], first["access_token"]);
    let next = first["refresh_token"].as_str().expect("a token");
    refresh(&stack, next, stack.key()).await.ok();
    let late = refresh(&stack, &ann.refresh, key).await;
    assert_eq!(late.refused(), (401, "session-ended"), "its successor was used: it is a theft now");
    let state: domain::session::Session =
        stack.state.executor.state(ann.session.as_str()).await.expect("the session");
    assert!(state.ended);
}

#[tokio::test]
async fn two_tabs_never_win_different_successors() {
    let stack = Stack::new().await;
    let ann = stack.register("ann").await;
    let (a, b) =
        tokio::join!(refresh(&stack, &ann.refresh, stack.key()), refresh(&stack, &ann.refresh, None));
    let (a, b) = (a.ok(), b.ok());
    assert_eq!(a["refresh_token"], b["refresh_token"]);
    stack.clock.pass(9);
    let c = refresh(&stack, &ann.refresh, stack.key()).await.ok();
    assert_eq!(c["refresh_token"], a["refresh_token"]);
    let token = a["refresh_token"].as_str().expect("a token").to_owned();
    refresh(&stack, &token, stack.key()).await.ok();
}

#[tokio::test]
async fn a_stolen_predecessor_ends_the_session() {
    let stack = Stack::new().await;
    let ann = stack.register("ann").await;
    let next = refresh(&stack, &ann.refresh, stack.key()).await.ok();
    stack.clock.pass(11);
    assert_eq!(refresh(&stack, &ann.refresh, stack.key()).await.refused(), (401, "session-ended"));
    let token = next["refresh_token"].as_str().expect("a token");
    assert_eq!(
        refresh(&stack, token, stack.key()).await.refused(),
        (401, "session-ended"),
        "the thief's too"
    );
}

#[tokio::test]
async fn a_session_runs_out() {
    let stack = Stack::new().await;
    let ann = stack.register("ann").await;
    let mut token = ann.refresh;
    const DAY: i64 = 86_400;
    for _ in 0..3 {
        stack.clock.pass(29 * DAY);
        let next = refresh(&stack, &token, stack.key()).await.ok();
        token = next["refresh_token"].as_str().expect("a token").to_owned();
    }
    stack.clock.pass(4 * DAY);
    assert_eq!(refresh(&stack, &token, stack.key()).await.refused(), (401, "session-ended"), "91 days");
    let bob = stack.register("bob").await;
    stack.clock.pass(31 * DAY);
    assert_eq!(refresh(&stack, &bob.refresh, stack.key()).await.refused(), (401, "session-ended"), "idle");
}

#[tokio::test]
async fn refresh_tokens_that_are_not_ours_are_refused() {
    let stack = Stack::new().await;
    let ann = stack.register("ann").await;
    for bad in ["", "r1", &ann.access, &format!("{}x", ann.refresh)] {
        assert_eq!(refresh(&stack, bad, None).await.refused(), (401, "unauthenticated"), "{bad}");
    }
    let none = stack.ask("refresh", json!({})).send().await;
    assert_eq!(none.refused(), (401, "unauthenticated"));
    let empty = stack.ask("refresh", json!({})).raw("").without("content-type").send().await;
    assert_eq!(empty.refused(), (401, "unauthenticated"));
    let cookie = format!("__Secure-letopis-refresh={}", ann.refresh);
    let twice =
        stack.ask("refresh", json!({ "refresh_token": ann.refresh })).header("cookie", &cookie).send().await;
    assert_eq!(twice.refused(), (400, "malformed"));
}

#[tokio::test]
async fn one_ends_ones_own_sessions_and_nobody_elses() {
    let stack = Stack::new().await;
    let ann = stack.register("ann").await;
    let laptop = Someone::of(&stack.authorize("ann").await.ok());
    let bob = stack.register("bob").await;
    let theirs = stack.ask("revoke", json!({ "session_id": ann.session })).by(&bob).send().await;
    assert_eq!(theirs.refused(), (404, "not-found"));
    stack.ask("revoke", json!({ "session_id": laptop.session })).by(&ann).send().await.ok();
    assert_eq!(refresh(&stack, &laptop.refresh, None).await.refused(), (401, "session-ended"));
    refresh(&stack, &ann.refresh, None).await.ok();
    let both =
        stack.ask("revoke", json!({ "session_id": ann.session, "others": true })).by(&ann).send().await;
    assert_eq!(both.refused(), (400, "malformed"));
}

#[tokio::test]
async fn the_others_are_ended_and_this_one_stays() {
    let stack = Stack::new().await;
    let ann = stack.register("ann").await;
    let laptop = Someone::of(&stack.authorize("ann").await.ok());
    let phone = Someone::of(&stack.authorize("ann").await.ok());
    // What the projection would have written.
    let fresh = Checkpoint::start(stack.state.executor.log_id(), 1);
    let checkpoint = stack.state.sessions.serving().take_over(fresh).await.expect("taken over");
    let sealed =
        || serde_json::from_value(json!({ "token": "s1.x.y", "event_id": null })).expect("a sealed value");
    let row = |who: &Someone| {
        Change::Started(SessionRow {
            session_id: who.session.parse().expect("an id"),
            person: who.id.parse().expect("an id"),
            method: "password".into(),
            device: sealed(),
            address: sealed(),
            started_at: domain::Timestamp(1),
            refreshed_at: domain::Timestamp(1),
            generation: 1,
            position: 1,
        })
    };
    stack
        .state
        .sessions
        .serving()
        .write(vec![row(&ann), row(&laptop), row(&phone)], checkpoint)
        .await
        .expect("written");
    stack.ask("revoke", json!({ "others": true })).by(&laptop).send().await.ok();
    for ended in [&ann, &phone] {
        assert_eq!(refresh(&stack, &ended.refresh, None).await.refused(), (401, "session-ended"));
    }
    refresh(&stack, &laptop.refresh, None).await.ok();
}
