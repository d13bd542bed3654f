//! Requests and answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use domain::Problem;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use uuid::Uuid;

use crate::letopis::{Letopis, PATIENCE, in_time};

/// How long a query waits for what it is to show, before it answers what there is.
const SHOWN_WITHIN: Duration = Duration::from_secs(5);

/// A new UUIDv7.
pub fn new_key() -> Uuid {
    static MADE: AtomicU64 = AtomicU64::new(0);
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    let mut random = [0; 10];
    getrandom::fill(&mut random).expect("random numbers");
    // Even if the random numbers were bad, no two keys of one run are the same.
    random[2..].copy_from_slice(&MADE.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    let millis = u64::try_from(since.as_millis()).expect("a time of this age");
    uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}

/// An HTTP answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub async fn of(request: reqwest::RequestBuilder) -> reqwest::Result<Self> {
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Self { status, headers, body: response.bytes().await?.to_vec() })
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The body of an answer that must be 200.
    #[track_caller]
    pub fn ok<T: DeserializeOwned>(&self) -> T {
        assert_eq!(self.status, 200, "{}", self.text());
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The problem of an answer that must be this refusal.
    #[track_caller]
    pub fn problem(&self, status: u16, slug: &str) -> Problem {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.text());
        let problem: Problem =
            serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()));
        assert_eq!((problem.slug(), problem.status), (slug, status), "{}", self.text());
        assert_eq!(problem.r#type, format!("/docs/problems/{slug}"));
        assert!(problem.instance.is_some(), "a problem names its request: {}", self.text());
        problem
    }
}

/// Speaks to a running letopis, signed in or not. A clone shares its connections, and reads what
/// any of them wrote.
#[derive(Clone)]
pub struct Api {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
    /// The highest position that a command has answered.
    written: Arc<AtomicU64>,
}

impl Api {
    /// What is no browser: its tokens come in bodies.
    pub fn of(letopis: &Letopis) -> Self {
        Self::with_agent(letopis, "house")
    }

    /// With a User-Agent of one's own.
    pub fn with_agent(letopis: &Letopis, agent: &str) -> Self {
        let http = reqwest::Client::builder().user_agent(agent).build().expect("an HTTP client");
        Self { http, base: letopis.url(""), token: None, written: Arc::default() }
    }

    /// Through a proxy at this address, with connections of its own.
    pub fn through(&self, address: std::net::SocketAddr) -> Self {
        let http = reqwest::Client::builder().user_agent("house").build().expect("an HTTP client");
        Self { http, base: format!("http://{address}"), ..self.clone() }
    }

    /// Waits until `/readyz` says so.
    pub async fn is_ready(&self) {
        let mut complaint = String::new();
        let ready = in_time(async || {
            let ready = self.get("/readyz").await;
            complaint = ready.text();
            (ready.status == 200).then_some(())
        });
        if ready.await.is_none() {
            panic!("it is not ready in time: {complaint}");
        }
    }

    pub fn base(&self) -> &str {
        &self.base
    }

    /// The highest position that a command has answered.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::SeqCst)
    }

    /// With this access token.
    pub fn by(&self, access_token: &str) -> Self {
        Self { token: Some(access_token.to_owned()), ..self.clone() }
    }

    /// A request to `path`, with whatever credentials this one has.
    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = method.parse().expect("a method");
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.token {
            Some(token) => request.header(AUTHORIZATION, format!("Bearer {token}")),
            None => request,
        }
    }

    pub async fn get(&self, path: &str) -> Answer {
        Answer::of(self.request("GET", path)).await.expect("it answers")
    }

    /// A query that shows what was written before it.
    pub async fn query<T: DeserializeOwned>(&self, path: &str) -> T {
        self.show(path, self.written()).await.expect("it answers").ok()
    }

    /// A query that shows `position`. An answer that shows less is right only of a server that has waited for as
    /// long as it may; then it is asked again.
    ///
    /// # Errors
    /// If no answer comes.
    pub async fn show(&self, path: &str, position: u64) -> reqwest::Result<Answer> {
        let began = Instant::now();
        loop {
            let asked = Instant::now();
            let request = self.request("GET", &format!("/query/v1{path}"));
            let answer = Answer::of(request.header("X-Letopis-Position", position)).await?;
            // A refusal, and what has no position, is for the caller to judge.
            let shown = (answer.status == 200).then(|| answer.ok::<Value>()["position"].as_u64());
            let Some(shown) = shown.flatten().filter(|shown| *shown < position) else { return Ok(answer) };
            assert!(asked.elapsed() >= SHOWN_WITHIN, "{path} shows {shown} at once instead of {position}");
            assert!(began.elapsed() < PATIENCE, "{path} shows {shown} instead of {position}");
        }
    }

    /// What is no JSON, at `position` or later: an answer that took as long as a query waits for its rows may be of
    /// older ones, and is asked for again.
    pub async fn show_bytes(&self, path: &str, position: u64) -> Answer {
        let began = Instant::now();
        loop {
            let asked = Instant::now();
            let request = self.request("GET", &format!("/query/v1{path}"));
            let answer =
                Answer::of(request.header("X-Letopis-Position", position)).await.expect("it answers");
            if asked.elapsed() < SHOWN_WITHIN || began.elapsed() > PATIENCE {
                return answer;
            }
        }
    }

    /// A command under this key, or without one.
    ///
    /// # Errors
    /// If no answer comes.
    pub async fn try_command(
        &self,
        name: &str,
        key: Option<Uuid>,
        body: &impl Serialize,
    ) -> reqwest::Result<Answer> {
        let mut request = self.request("POST", &format!("/command/v1/{name}")).json(body);
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key.to_string());
        }
        let answer = Answer::of(request).await?;
        if answer.status == 200 {
            let position = answer.ok::<serde_json::Value>()["position"].as_u64();
            self.written.fetch_max(position.expect("every command answers its position"), Ordering::SeqCst);
        }
        Ok(answer)
    }

    pub async fn command(&self, name: &str, key: Option<Uuid>, body: &impl Serialize) -> Answer {
        self.try_command(name, key, body).await.expect("it answers")
    }

    /// A command under a new key that must be done.
    pub async fn done<T: DeserializeOwned>(&self, name: &str, body: &impl Serialize) -> T {
        self.command(name, Some(new_key()), body).await.ok()
    }

    /// A command with a body as it is written.
    pub async fn raw_command(&self, name: &str, content_type: &str, body: &str) -> Answer {
        let request = self.request("POST", &format!("/command/v1/{name}"));
        let request =
            request.header(CONTENT_TYPE, content_type).header("Idempotency-Key", new_key().to_string());
        Answer::of(request.body(body.to_owned())).await.expect("it answers")
    }
}
