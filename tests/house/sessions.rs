//! Sessions: refreshing, theft, and their end in both APIs.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::requests::{Authorize, Done, Refresh, Revoke, Secret, SignedIn};
use domain::views::{List, Session};

use crate::api::{Answer, Api, new_key};
use crate::letopis::Folder;
use crate::people::Person;

fn with(token: &str) -> Refresh {
    Refresh { refresh_token: Some(Secret(token.to_owned())) }
}

fn token_of(answer: &Answer) -> String {
    answer.ok::<SignedIn>().refresh_token.expect("no browser: the body carries it")
}

/// The session is dead for both APIs.
async fn assert_ended(api: &Api, access: &str) {
    let api = api.by(access);
    api.get("/query/v1/me").await.problem(401, "session-ended");
    api.command("mark_read", Some(new_key()), &serde_json::json!({})).await.problem(401, "session-ended");
}

async fn authorize(api: &Api, person: &Person) -> SignedIn {
    let body = Authorize { email: person.email.clone(), password: Secret(person.password.clone()) };
    api.command("authorize", None, &body).await.ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keys_that_sign_access_tokens_are_published() {
    let folder = Folder::new();
    let letopis = folder.start().await;
    let api = Api::of(&letopis);
    let ann = Person::register(&api, "ann").await;
    let header = ann.access.split('.').next().expect("a JWT");
    let header = URL_SAFE_NO_PAD.decode(header).expect("base64url");
    let header: serde_json::Value = serde_json::from_slice(&header).expect("JSON");
    let published: serde_json::Value = api.get("/.well-known/jwks.json").await.ok();
    let keys = published["keys"].as_array().expect("keys");
    let key = keys.iter().find(|key| key["kid"] == header["kid"]).expect("the key of this token");
    assert_eq!((&key["kty"], &key["crv"]), (&"OKP".into(), &"Ed25519".into()));
    assert!(key["x"].is_string() && key["d"].is_null(), "the public half alone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_had_again_under_its_key() {
    let folder = Folder::new();
    let letopis = folder.start().await;
    let api = Api::of(&letopis);
    let ann = Person::register(&api, "ann").await;
    let key = new_key();
    let first = token_of(&api.command("refresh", Some(key), &with(&ann.refresh)).await);
    let again = token_of(&api.command("refresh", Some(key), &with(&ann.refresh)).await);
    assert_eq!(first, again);
    assert_ne!(first, ann.refresh);
    // Across a kill as well.
    letopis.kill().await;
    let letopis = folder.start().await;
    let api = Api::of(&letopis);
    assert_eq!(first, token_of(&api.command("refresh", Some(key), &with(&ann.refresh)).await));
    // Once the successor is used, the predecessor is a thief's, under whatever key.
    let next: SignedIn = api.command("refresh", None, &with(&first)).await.ok();
    api.command("refresh", Some(key), &with(&ann.refresh)).await.problem(401, "session-ended");
    assert_ended(&api, &next.access_token.expect("in the body")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_tabs_at_once_win_one_successor() {
    let folder = Folder::new();
    let letopis = folder.start().await;
    let api = Api::of(&letopis);
    let ann = Person::register(&api, "ann").await;
    let mut newest = ann.refresh.clone();
    for _ in 0..20 {
        let body = with(&newest);
        let tabs = (0..4).map(|tab| {
            let key = (tab % 2 == 0).then(new_key);
            let (api, body) = (&api, &body);
            async move { token_of(&api.command("refresh", key, body).await) }
        });
        let mut won = futures::future::join_all(tabs).await;
        won.dedup();
        assert_eq!(won.len(), 1, "tabs hold different successors");
        assert_ne!(won[0], newest);
        newest = won.remove(0);
    }
    let me = ann.on(&api).get("/query/v1/me").await;
    assert_eq!(me.status, 200, "the session lives: {}", me.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spent_token_is_theft_and_ends_the_session() {
    let folder = Folder::new();
    let letopis = folder.start().await;
    let api = Api::of(&letopis);
    let ann = Person::register(&api, "ann").await;
    let elsewhere = authorize(&api, &ann).await;
    let second = token_of(&api.command("refresh", Some(new_key()), &with(&ann.refresh)).await);
    let third: SignedIn = api.command("refresh", Some(new_key()), &with(&second)).await.ok();
    let theirs = third.access_token.expect("in the body");
    assert_eq!(ann.on(&api).get("/query/v1/me").await.status, 200);

    api.command("refresh", Some(new_key()), &with(&ann.refresh)).await.problem(401, "session-ended");
    for access in [&ann.access, &theirs] {
        assert_ended(&api, access).await;
    }
    let newest = third.refresh_token.expect("in the body");
    api.command("refresh", Some(new_key()), &with(&newest)).await.problem(401, "session-ended");
    // Her other session is not touched.
    let other = elsewhere.access_token.expect("in the body");
    assert_eq!(api.by(&other).get("/query/v1/me").await.status, 200);
    // A token that nobody ever gave out is no theft.
    let forged = newest.replace("r1.", "r1.0");
    api.command("refresh", None, &with(&forged)).await.problem(401, "unauthenticated");
}

#[tokio::test(flavor = "multi_thread")]
async fn revoking_ends_access_at_once_in_both_apis() {
    let folder = Folder::new();
    let letopis = folder.start().await;
    let api = Api::of(&letopis);
    let ann = Person::register(&api, "ann").await;
    let bob = Person::register(&api, "bob").await;
    for round in 0..10 {
        let other = authorize(&api, &ann).await;
        let (access, refresh) = (other.access_token.expect("there"), other.refresh_token.expect("there"));
        assert_eq!(api.by(&access).get("/query/v1/me").await.status, 200);
        let end = Revoke { session_id: Some(other.session_id), others: None };
        match round % 3 {
            // Itself, from another session by its id, as one of the others.
            0 => api.by(&access).command("revoke", None, &serde_json::json!({})).await.ok::<Done>(),
            1 => ann.on(&api).command("revoke", None, &end).await.ok::<Done>(),
            _ => {
                let others = Revoke { session_id: None, others: Some(true) };
                ann.on(&api).command("revoke", Some(new_key()), &others).await.ok::<Done>()
            }
        };
        assert_ended(&api, &access).await;
        api.command("refresh", None, &with(&refresh)).await.problem(401, "session-ended");
    }
    let left: List<Session> = ann.on(&api).query("/sessions").await;
    let left: Vec<_> = left.items.iter().map(|session| (session.session_id, session.current)).collect();
    assert_eq!(left, [(ann.session, true)]);
    // Nobody ends somebody else's.
    let end = Revoke { session_id: Some(ann.session), others: None };
    bob.on(&api).command("revoke", None, &end).await.problem(404, "not-found");
    assert_eq!(ann.on(&api).get("/query/v1/me").await.status, 200);
}
