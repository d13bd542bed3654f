//! The gateway as a whole, before a small router.

use std::sync::Mutex;

use async_trait::async_trait;
use axum::body::{Body, to_bytes};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Extension, Json};
use domain::caller::{Caller, Client};
use domain::ids::{PersonId, SessionId};
use domain::problem::FieldError;
use domain::session::Session;
use serde_json::Value;
use tower::ServiceExt;

use super::credentials::{Credentials, Tokens, Verified};
use super::standing::{Away, Log, Row, Rows, Standing};
use super::*;

const ANN: PersonId = PersonId(Uuid::from_u128(1));
const LIVE: SessionId = SessionId(Uuid::from_u128(10));
const ENDED: SessionId = SessionId(Uuid::from_u128(11));

/// A token is the number of a session.
struct Numbers;
impl Tokens for Numbers {
    fn verify(&self, token: &str, _: Timestamp) -> Option<Verified> {
        let session = SessionId(Uuid::from_u128(token.parse().ok()?));
        Some(Verified { person: ANN, session, expires_at: Timestamp(i64::MAX) })
    }
}

struct Engine;
#[async_trait]
impl Rows for Engine {
    async fn session(&self, session: SessionId) -> Result<Row, Away> {
        Ok(match session {
            LIVE => Row::Live { person: ANN, started_at: Timestamp(0), refreshed_at: Timestamp(0) },
            ENDED => Row::Ended,
            _ => Row::Unknown,
        })
    }
    fn shown(&self) -> u64 {
        0
    }
}
#[async_trait]
impl Log for Engine {
    async fn session(&self, _: SessionId) -> Result<Session, Away> {
        Ok(Session::default())
    }
}

async fn who(
    caller: Option<Extension<Caller>>,
    Extension(client): Extension<Client>,
    Extension(RequestId(id)): Extension<RequestId>,
) -> Json<Value> {
    Json(serde_json::json!({
        "request_id": id,
        "person": caller.as_ref().map(|it| it.person),
        "by_cookie": caller.as_ref().map(|it| it.by_cookie),
        "browser": client.browser,
    }))
}

async fn hang() {
    std::future::pending().await
}

async fn panics() {
    panic!("on purpose")
}

async fn invalid() -> Response {
    rejections::respond(&Problem::field(FieldError::new("/text", "too-long").with("max", 4000)))
}

fn app() -> Router {
    let ids = Mutex::new(0);
    let gateway = Gateway {
        credentials: Arc::new(Credentials::new(Numbers)),
        standing: Arc::new(Standing::new(Engine, Engine)),
        public: PublicUrl::parse("https://letopis.example").expect("a url"),
        trusted_proxies: Arc::new([]),
        limits: None,
        now: Arc::new(|| Timestamp(1)),
        request_id: Arc::new(move || {
            let mut last = ids.lock().expect("not poisoned");
            *last += 1;
            Uuid::from_u128(*last)
        }),
        timeout: Duration::from_secs(30),
    };
    let router = Router::new()
        .route("/query/v1/me", get(who))
        .route("/query/openapi.json", get(who))
        .route("/query/v1/hang", get(hang))
        .route("/query/v1/panics", get(panics))
        .route("/command/v1/send", post(who))
        .route("/command/v1/authorize", post(who))
        .route("/command/v1/invalid", post(invalid))
        .route("/command/v1/json", post(|Json(_): Json<Vec<u64>>| async {}))
        .route("/picture.png", get(|| async { (StatusCode::NOT_FOUND, "no picture") }))
        .merge(pages::pages());
    layer(gateway, router)
}

struct Answer {
    status: StatusCode,
    headers: axum::http::HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).expect("JSON")
    }
    /// The slug of a well-formed problem.
    fn problem(&self) -> String {
        assert_eq!(self.headers["content-type"], "application/problem+json");
        let problem: Problem = serde_json::from_str(&self.text).expect("a problem");
        assert_eq!(problem.status, self.status.as_u16());
        assert_eq!(problem.instance.as_deref(), self.headers["x-request-id"].to_str().ok());
        problem.slug().to_owned()
    }
}

async fn ask_for(
    app: Router,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &'static str,
) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = app.oneshot(request.body(Body::from(body)).expect("a request")).await.expect("infallible");
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.expect("a body");
    Answer {
        status: parts.status,
        headers: parts.headers,
        text: String::from_utf8(body.to_vec()).expect("UTF-8"),
    }
}

async fn ask(method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    ask_for(app(), method, path, headers, "").await
}

const COOKIE: (&str, &str) = ("cookie", "__Host-letopis-access=10");
const BEARER: (&str, &str) = ("authorization", "Bearer 10");
const SAME: (&str, &str) = ("sec-fetch-site", "same-origin");

#[tokio::test]
async fn a_live_sessions_credentials_become_the_caller() {
    let bearer = ask("GET", "/query/v1/me", &[BEARER]).await.json();
    assert_eq!(bearer["person"], ANN.to_string());
    assert_eq!(bearer["by_cookie"], false);
    assert_eq!(bearer["browser"], false);
    let cookie = ask("POST", "/command/v1/send", &[COOKIE, SAME]).await.json();
    assert_eq!(cookie["person"], ANN.to_string());
    assert_eq!(cookie["by_cookie"], true);
    assert_eq!(cookie["browser"], true);
}

#[tokio::test]
async fn without_credentials_there_is_no_caller() {
    let nobody = ask("GET", "/query/v1/me", &[]).await;
    assert_eq!(nobody.status, StatusCode::OK);
    assert_eq!(nobody.json()["person"], Value::Null);
}

#[tokio::test]
async fn dead_credentials_are_refused() {
    let ended = ask("GET", "/query/v1/me", &[("authorization", "Bearer 11")]).await;
    assert_eq!(ended.problem(), "session-ended");
    assert_eq!(ended.headers["www-authenticate"], "Bearer");
    for token in ["Bearer 12", "Bearer nonsense", "Basic YTpi"] {
        let refused = ask("GET", "/query/v1/me", &[("authorization", token)]).await;
        assert_eq!((refused.status.as_u16(), refused.problem()), (401, "unauthenticated".into()), "{token}");
    }
}

#[tokio::test]
async fn credentials_that_come_twice_are_malformed_wherever_they_come_from() {
    assert_eq!(ask("GET", "/query/v1/me", &[BEARER, COOKIE]).await.problem(), "malformed");
    assert_eq!(ask("POST", "/command/v1/send", &[BEARER, COOKIE, SAME]).await.problem(), "malformed");
}

#[tokio::test]
async fn a_cookie_command_from_elsewhere_is_refused() {
    let refused = ask("POST", "/command/v1/send", &[COOKIE, ("sec-fetch-site", "cross-site")]).await;
    assert_eq!((refused.status.as_u16(), refused.problem()), (403, "cross-site".into()));
    assert_eq!(ask("POST", "/command/v1/send", &[COOKIE]).await.problem(), "cross-site");
}

#[tokio::test]
async fn signing_in_does_not_look_at_credentials() {
    for headers in [
        &[("authorization", "Bearer nonsense")][..],
        &[("authorization", "Bearer 11"), SAME],
        &[COOKIE, SAME],
    ] {
        let open = ask("POST", "/command/v1/authorize", headers).await;
        assert_eq!(open.status, StatusCode::OK, "{headers:?}");
        assert_eq!(open.json()["person"], Value::Null);
    }
}

#[tokio::test]
async fn what_is_no_api_does_not_look_at_credentials() {
    for path in ["/query/openapi.json", "/docs/problems"] {
        let answer = ask("GET", path, &[("authorization", "Bearer nonsense")]).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn every_refusal_of_the_frameworks_is_a_problem() {
    let unknown = ask("GET", "/query/v1/nothing", &[]).await;
    assert_eq!((unknown.status.as_u16(), unknown.problem()), (404, "not-found".into()));
    let method = ask("DELETE", "/query/v1/me", &[]).await;
    assert_eq!((method.status.as_u16(), method.problem()), (405, "method-not-allowed".into()));
    assert!(method.headers["allow"].to_str().is_ok_and(|allow| allow.contains("GET")));
    let json = [("content-type", "application/json")];
    for (headers, body, status, slug) in [
        (&json[..], "[", 400, "malformed"),
        (&json[..], "{}", 400, "malformed"),
        (&[][..], "[]", 415, "unsupported-type"),
    ] {
        let answer = ask_for(app(), "POST", "/command/v1/json", headers, body).await;
        assert_eq!((answer.status.as_u16(), answer.problem()), (status, slug.into()), "{body}");
    }
}

#[tokio::test]
async fn the_apps_own_words_to_people_stay() {
    let answer = ask("GET", "/picture.png", &[]).await;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (404, "no picture"));
    assert!(answer.headers.contains_key("x-request-id"));
}

#[tokio::test]
async fn a_handlers_own_problem_keeps_its_fields() {
    let problem = ask("POST", "/command/v1/invalid", &[]).await;
    assert_eq!(problem.problem(), "invalid");
    assert_eq!(problem.json()["errors"][0]["params"]["max"], 4000);
}

#[tokio::test]
async fn a_panic_is_a_problem_and_tells_nothing() {
    let panicked = ask("GET", "/query/v1/panics", &[]).await;
    assert_eq!((panicked.status.as_u16(), panicked.problem()), (500, "internal".into()));
    assert!(!panicked.text.contains("purpose"));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_hangs_ends_as_unavailable() {
    let late = ask("GET", "/query/v1/hang", &[]).await;
    assert_eq!(late.problem(), "unavailable");
    assert_eq!(late.headers["retry-after"], "1");
}

#[tokio::test]
async fn every_request_has_an_id_of_its_own() {
    let app = app();
    let mut seen = Vec::new();
    for _ in 0..2 {
        let answer = ask_for(app.clone(), "GET", "/query/v1/me", &[("x-request-id", "chosen")], "").await;
        assert_eq!(answer.json()["request_id"], answer.headers["x-request-id"].to_str().expect("text"));
        seen.push(answer.headers["x-request-id"].clone());
        assert_eq!(answer.headers["cache-control"], "no-store");
    }
    assert_ne!(seen[0], seen[1]);
    assert!(!seen.iter().any(|id| id == "chosen"));
}

#[tokio::test]
async fn every_kind_of_problem_has_its_page() {
    let list = ask("GET", "/docs/problems", &[]).await;
    for kind in domain::problem::Kind::ALL {
        let page = ask("GET", &kind.uri(), &[]).await;
        assert_eq!(page.status, StatusCode::OK, "{}", kind.slug());
        assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
        assert!(page.text.contains(kind.title()) && list.text.contains(&kind.uri()));
    }
    assert_eq!(ask("GET", "/docs/problems/nonsense", &[]).await.problem(), "not-found");
}
