//! The stack and typed people who use it.

use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use chronicle::entropy::Entropy;
use chronicle::keys::{Keyring, SqliteKeyStore, create_master_key};
use chronicle::log::sqlite::SqliteLog;
use chronicle::tokens::Tokens;
use chronicle::verify::sqlite::SqliteSource;
use chronicle::verify::{Outcome, verify};
use chronicle::{Clock, Executor};
use command_api::passwords::{Hashing, Passwords};
use command_api::throttle::{InMemory, Off, Throttle};
use command_api::{CommandState, Photos, Registration};
use domain::Timestamp;
use domain::aggregate::Event;
use domain::caller::{Caller, Client, RequestId, access_cookie};
use serde_json::{Value, json};
use stores::Progress;
use stores::blobs::{FileBlobs, Pictures};
use tower::ServiceExt;
use uuid::Uuid;

pub const PASSWORD: &str = "ключ от чулана";

pub struct TestClock(AtomicI64);

impl TestClock {
    pub fn pass(&self, seconds: i64) {
        self.0.fetch_add(seconds * Timestamp::SECOND, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

struct TestEntropy(AtomicU64);

impl Entropy for TestEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        for byte in bytes {
            // SplitMix64: enough to keep ids apart.
            let mut z = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::SeqCst);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            *byte = (z >> 56) as u8;
        }
    }
}

/// What a stack is made with.
pub struct Options {
    pub throttle: Arc<dyn Throttle>,
    pub registration: Registration,
    pub hashing: Hashing,
}

impl Default for Options {
    fn default() -> Self {
        let hashing = Hashing { memory_kib: 64, passes: 1, lanes: 1, at_once: 2, waiting: 64 };
        Self { throttle: Arc::new(Off), registration: Registration::Open, hashing }
    }
}

impl Options {
    pub fn throttled() -> Self {
        Self { throttle: Arc::new(InMemory::default()), ..Self::default() }
    }
}

pub struct Stack {
    pub folder: tempfile::TempDir,
    pub state: CommandState,
    pub clock: Arc<TestClock>,
    router: Router,
    next_key: Mutex<u128>,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Answer {
    #[track_caller]
    pub fn ok(self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", self.body);
        assert!(self.body["position"].is_u64(), "{}", self.body);
        self.body
    }

    /// The refusal's status and kind.
    #[track_caller]
    pub fn refused(&self) -> (u16, &str) {
        assert!(!self.status.is_success(), "{}", self.body);
        assert_eq!(self.headers[header::CONTENT_TYPE], "application/problem+json");
        assert_eq!(self.body["status"], self.status.as_u16());
        let kind = self.body["type"].as_str().expect("a type");
        (self.status.as_u16(), kind.strip_prefix("/docs/problems/").expect("one of ours"))
    }

    /// Refused for one field: its pointer and code.
    #[track_caller]
    pub fn invalid(&self) -> (&str, &str) {
        assert_eq!(self.refused(), (422, "invalid"), "{}", self.body);
        let error = &self.body["errors"][0];
        (error["pointer"].as_str().expect("a pointer"), error["code"].as_str().expect("a code"))
    }

    pub fn cookies(&self) -> Vec<&str> {
        self.headers.get_all(header::SET_COOKIE).iter().filter_map(|it| it.to_str().ok()).collect()
    }
}

/// Somebody with tokens.
pub struct Someone {
    pub id: String,
    pub session: String,
    pub access: String,
    pub refresh: String,
}

impl Someone {
    pub fn of(answer: &Value) -> Self {
        let text = |name: &str| answer[name].as_str().expect("tokens in the body").to_owned();
        Self {
            id: text("user_id"),
            session: text("session_id"),
            access: text("access_token"),
            refresh: text("refresh_token"),
        }
    }
}

/// One request.
pub struct Ask<'a> {
    stack: &'a Stack,
    command: &'a str,
    body: Vec<u8>,
    key: Option<Uuid>,
    headers: Vec<(&'static str, String)>,
}

impl Stack {
    pub async fn new() -> Self {
        Self::with(Options::default()).await
    }

    pub async fn with(options: Options) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let clock = Arc::new(TestClock(AtomicI64::new(1_800_000_000 * Timestamp::SECOND)));
        let entropy: Arc<dyn Entropy> = Arc::new(TestEntropy(AtomicU64::new(7)));
        let master = create_master_key(&folder.path().join("master.key"), &*entropy).expect("a key");
        let log_id = Uuid::from_u128(0x1234);
        let keys = SqliteKeyStore::open(&folder.path().join("keys.db")).expect("a key store");
        let keyring = Keyring::begin(Arc::new(keys), &master, log_id, entropy.clone()).expect("begun");
        let mut stack = Self::over(folder, clock, entropy, keyring, options).await;
        stack.next_key = Mutex::new(1);
        stack
    }

    async fn over(
        folder: tempfile::TempDir,
        clock: Arc<TestClock>,
        entropy: Arc<dyn Entropy>,
        keyring: Keyring,
        options: Options,
    ) -> Self {
        let log = SqliteLog::open(&folder.path().join("log.db")).expect("a log");
        chronicle::opening::open_chronicle(&*log, keyring.log_id(), clock.now()).await.expect("opened");
        let (executor, _) =
            Executor::start(log, keyring.log_id(), keyring.clone(), clock.clone()).await.expect("started");
        let progress = Progress::default();
        // No projector runs here; whatever is waited for is there.
        progress.show("sessions", u64::MAX);
        let state = CommandState {
            executor,
            tokens: Arc::new(Tokens::new(&keyring)),
            passwords: Passwords::new(options.hashing, entropy.clone()).expect("good parameters"),
            throttle: options.throttle,
            registration: options.registration,
            sessions: stores::resolver::sessions(&format!(
                "sqlite:{}",
                folder.path().join("sessions").display()
            ))
            .await
            .expect("a store"),
            progress,
            photos: Photos::new(
                Arc::new(FileBlobs::open(&folder.path().join("blobs")).expect("a blob store")),
                Pictures::default(),
                std::time::Duration::from_secs(24 * 60 * 60),
            ),
            entropy,
        };
        let router = command_api::router(state.clone()).layer(from_fn_with_state(state.clone(), gateway));
        Self { folder, state, clock, router, next_key: Mutex::new(1) }
    }

    /// The same people and log with other settings.
    pub async fn reopened(self, options: Options) -> Self {
        let keyring = self.state.executor.keyring().clone();
        let next = *self.next_key.lock().expect("no panic");
        let stack = Self::over(self.folder, self.clock, self.state.entropy, keyring, options).await;
        *stack.next_key.lock().expect("no panic") = next;
        stack
    }

    pub fn key(&self) -> Uuid {
        let mut next = self.next_key.lock().expect("no panic");
        *next += 1;
        Uuid::from_u128(0x0193_543c_2b00_7abc_8def_0000_0000_0000 | *next)
    }

    /// A command with a fresh key and a JSON body.
    pub fn ask<'a>(&'a self, command: &'a str, body: Value) -> Ask<'a> {
        let key = Some(self.key());
        let headers = vec![("content-type", "application/json".to_owned())];
        Ask { stack: self, command, body: body.to_string().into_bytes(), key, headers }
    }

    pub async fn register(&self, nickname: &str) -> Someone {
        let body =
            json!({ "email": format!("{nickname}@example.org"), "password": PASSWORD, "nickname": nickname });
        Someone::of(&self.ask("register", body).send().await.ok())
    }

    pub async fn authorize(&self, nickname: &str) -> Answer {
        let body = json!({ "email": format!("{nickname}@example.org"), "password": PASSWORD });
        self.ask("authorize", body).send().await
    }

    /// Two people who are friends.
    pub async fn friends(&self) -> (Someone, Someone) {
        let (ann, bob) = (self.register("ann").await, self.register("bob").await);
        self.befriend(&ann, &bob).await;
        (ann, bob)
    }

    pub async fn befriend(&self, one: &Someone, other: &Someone) {
        self.ask("add", json!({ "user_id": other.id })).by(one).send().await.ok();
        self.ask("accept", json!({ "user_id": one.id })).by(other).send().await.ok();
    }

    /// A command with a fresh key by somebody.
    pub async fn of(&self, who: &Someone, command: &str, body: Value) -> Answer {
        self.ask(command, body).by(who).send().await
    }

    /// The newest event, as it was written.
    pub async fn newest(&self) -> Event {
        let log = self.state.executor.log();
        let found = log.read(self.head().await - 1, 1).await.expect("read");
        found.first().expect("an event").decode().expect("one of ours")
    }

    /// Whatever can be checked in the log, claims and memberships among it, is as it must be.
    pub async fn verify(&self) {
        let mut source = SqliteSource::open(&self.path().join("log.db"), false).await.expect("a log");
        let keyring = self.state.executor.keyring();
        let report = verify(&mut source, Some(keyring), &mut |_| {}).await.expect("read");
        for check in report.checks {
            assert_eq!(check.outcome, Outcome::Ok, "{}: {:?}", check.name, check.faults);
        }
    }

    pub async fn head(&self) -> u64 {
        self.state.executor.log().head().await.expect("a head").position
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl Ask<'_> {
    pub fn by(self, who: &Someone) -> Self {
        let bearer = format!("Bearer {}", who.access);
        self.header("authorization", &bearer)
    }
    pub fn key(mut self, key: impl Into<Option<Uuid>>) -> Self {
        self.key = key.into();
        self
    }
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.retain(|(other, _)| *other != name);
        self.headers.push((name, value.to_owned()));
        self
    }
    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(other, _)| *other != name);
        self
    }
    pub fn raw(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub async fn send(self) -> Answer {
        let mut request = Request::builder().method("POST").uri(format!("/command/v1/{}", self.command));
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        if let Some(key) = self.key {
            request = request.header("idempotency-key", key.to_string());
        }
        self.stack.http(request.body(Body::from(self.body)).expect("a request")).await
    }
}

impl Stack {
    pub async fn http(&self, request: Request) -> Answer {
        let response = self.router.clone().oneshot(request).await.expect("infallible");
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.expect("a body");
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Answer { status: parts.status, headers: parts.headers, body }
    }
}

/// Hands over who asks, without any of the real gateway's checks.
async fn gateway(
    axum::extract::State(state): axum::extract::State<CommandState>,
    mut request: Request,
    next: Next,
) -> Response {
    let headers = request.headers().clone();
    let text =
        |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let browser = !text("sec-fetch-site").is_empty();
    let address = match text("x-address") {
        address if address.is_empty() => "192.0.2.1".to_owned(),
        address => address,
    };
    let cookie = text("cookie").split("; ").find_map(|pair| {
        pair.strip_prefix(access_cookie(true)).and_then(|rest| rest.strip_prefix('=')).map(str::to_owned)
    });
    let token = text("authorization").strip_prefix("Bearer ").map(str::to_owned).or(cookie.clone());
    let claims = token.and_then(|token| state.tokens.verify(&token, state.executor.clock().now()).ok());
    let client = Client { address, user_agent: "tests".to_owned(), browser, secure: true };
    let extensions = request.extensions_mut();
    extensions.insert(client);
    extensions.insert(RequestId(Uuid::from_u128(5)));
    if let Some(claims) = claims {
        extensions.insert(Caller {
            person: claims.person,
            session: claims.session,
            by_cookie: cookie.is_some(),
        });
    }
    next.run(request).await
}
