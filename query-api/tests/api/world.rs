//! A small world: read models, a keyring, and a router with somebody signed in.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn};
use chronicle::entropy::Entropy;
use chronicle::keys::{Keyring, Place, SqliteKeyStore, create_master_key, subject_of};
use chronicle::log::LogError;
use domain::caller::{Caller, Client};
use domain::chat::Chat;
use domain::ids::{BlobId, ChatId, EventId, InviteId, MessageId, Pair, PersonId, SessionId};
use domain::live::{Ids, What};
use domain::personal::{Address, Device, PersonalType, Sealed, Text, plaintext};
use domain::problem::Kind;
use domain::text::{fold, nickname_key};
use domain::views::{ChatKind, PersonState, Relation, Role, Settings};
use domain::{Problem, Timestamp};
use query_api::{Head, Invitations, Means, QueryState, Standing};
use serde_json::Value;
use stores::blobs::{Blobs, FileBlobs, Pictures};
use stores::directory::{self, AccountRow, Seen, UserRow};
use stores::live::Notice;
use stores::sessions::SessionRow;
use stores::timeline::{MessageRow, Touch};
use stores::{Checkpoint, ReadModel, Stores, Urls, search, sessions, timeline};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use uuid::Uuid;

pub const LOG_ID: Uuid = Uuid::from_u128(0xcafe);
pub const ORIGIN: &str = "http://127.0.0.1:8080";

/// Reproducible, and different each time (splitmix64).
struct Counter(AtomicU64);
impl Entropy for Counter {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let mut z = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::SeqCst);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            chunk.copy_from_slice(&(z ^ (z >> 31)).to_le_bytes()[..chunk.len()]);
        }
    }
}

struct LogEnd(Arc<AtomicU64>);
#[async_trait]
impl Head for LogEnd {
    async fn position(&self) -> Result<u64, LogError> {
        Ok(self.0.load(Ordering::SeqCst))
    }
}

/// Sessions that have ended.
#[derive(Clone, Default)]
pub struct Ended(Arc<Mutex<Vec<SessionId>>>);
#[async_trait]
impl Standing for Ended {
    async fn check(&self, caller: &Caller) -> Result<(), Problem> {
        let ended = self.0.lock().expect("not poisoned").contains(&caller.session);
        if ended { Err(Kind::SessionEnded.into()) } else { Ok(()) }
    }
}

/// What the write side has.
#[derive(Default)]
pub struct WriteSide {
    pub chats: HashMap<ChatId, Chat>,
    /// By the secret that leads to it.
    pub invites: HashMap<String, InviteId>,
    /// That messages carry, or carried.
    pub sent: Vec<BlobId>,
}

/// Of these invitations are found; it is always [`at`] 1,000.
#[derive(Clone, Default)]
pub struct Written(pub Arc<Mutex<WriteSide>>);
#[async_trait]
impl Invitations for Written {
    async fn chat(&self, chat_id: ChatId) -> Result<Chat, Problem> {
        Ok(self.0.lock().expect("not poisoned").chats.get(&chat_id).cloned().unwrap_or_default())
    }
    async fn find(&self, token: &str) -> Result<Option<(ChatId, InviteId)>, Problem> {
        let written = self.0.lock().expect("not poisoned");
        let Some(invite) = written.invites.get(token) else { return Ok(None) };
        let chat = written.chats.iter().find(|(_, chat)| chat.invites.contains_key(invite));
        Ok(chat.map(|(chat_id, _)| (*chat_id, *invite)))
    }
    async fn was_sent(&self, blob: BlobId) -> Result<bool, Problem> {
        Ok(self.0.lock().expect("not poisoned").sent.contains(&blob))
    }
    fn now(&self) -> Timestamp {
        at(1_000)
    }
}

pub struct World {
    /// Gone when the world is.
    _folder: tempfile::TempDir,
    pub stores: Stores,
    pub blobs: Arc<dyn Blobs>,
    pub keyring: Keyring,
    pub head: Arc<AtomicU64>,
    pub ended: Ended,
    pub written: Written,
    /// How many events of each chat are no messages.
    pub ordinals: Mutex<HashMap<ChatId, u64>>,
    pub shutdown: CancellationToken,
    pub state: QueryState,
}

pub fn person(number: u128) -> PersonId {
    PersonId(Uuid::from_u128(number))
}

/// A person's session has the person's number.
pub fn session_of(person: PersonId) -> SessionId {
    SessionId(person.0)
}

pub fn at(position: u64) -> Timestamp {
    Timestamp(1_700_000_000_000_000 + position as i64 * Timestamp::SECOND)
}

impl World {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// A world with engines of the test's own.
    pub async fn with(replace: impl FnOnce(&mut Stores)) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut stores = Stores::open(&Urls::embedded(folder.path())).await.expect("engines");
        replace(&mut stores);
        let entropy = Arc::new(Counter(AtomicU64::new(1)));
        let master = create_master_key(&folder.path().join("master.key"), &*entropy).expect("a master key");
        let keys = SqliteKeyStore::open(&folder.path().join("keys.db")).expect("a key store");
        let keyring = Keyring::begin(Arc::new(keys), &master, LOG_ID, entropy).expect("a keyring");
        let (head, ended, shutdown) =
            (Arc::new(AtomicU64::new(0)), Ended::default(), CancellationToken::new());
        let blobs: Arc<dyn Blobs> =
            Arc::new(FileBlobs::open(&folder.path().join("blobs")).expect("a blob store"));
        let written = Written::default();
        let state = QueryState::new(Means {
            stores: stores.clone(),
            keyring: keyring.clone(),
            blobs: blobs.clone(),
            pictures: Pictures::default(),
            head: Arc::new(LogEnd(head.clone())),
            standing: Arc::new(ended.clone()),
            invitations: Arc::new(written.clone()),
            public_origin: ORIGIN.into(),
            shutdown: shutdown.clone(),
        });
        let fresh = Checkpoint::start(LOG_ID, 1);
        stores.directory.serving().take_over(fresh.clone()).await.expect("taken over");
        stores.timeline.serving().take_over(fresh.clone()).await.expect("taken over");
        stores.sessions.serving().take_over(fresh.clone()).await.expect("taken over");
        stores.search.serving().take_over(fresh).await.expect("taken over");
        let ordinals = Mutex::default();
        Self { _folder: folder, stores, blobs, keyring, head, ended, written, ordinals, shutdown, state }
    }

    /// The position of a new event.
    pub fn next(&self) -> u64 {
        self.head.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// Lets the projections show everything.
    pub fn show(&self) {
        for projection in ["sessions", "directory", "timeline", "search", "live"] {
            self.stores.progress.show(projection, self.head.load(Ordering::SeqCst));
        }
    }

    pub async fn publish(&self, position: u64, what: What, ids: Ids, to: &[PersonId]) {
        let notice = Notice { position, what, ids, to: to.to_vec() };
        self.stores.live.publish(vec![notice]).await.expect("published");
    }

    pub fn seal<T: PersonalType>(
        &self,
        kind: &str,
        id: &str,
        field: &str,
        owner: PersonId,
        position: u64,
        value: &T,
    ) -> Sealed {
        let event_id = EventId(Uuid::from_u128(u128::from(position)));
        let place = Place { log_id: LOG_ID, aggregate_type: kind, aggregate_id: id, event_id, field };
        self.keyring.ensure(&subject_of(owner)).expect("a key");
        let token = self.keyring.seal(&place, owner, &plaintext(value)).expect("sealed");
        Sealed { token, event_id: Some(event_id) }
    }

    /// Somebody with a nickname and a name, signed in.
    pub async fn registered(&self, number: u128, nickname: &str, name: &str) -> PersonId {
        let (id, position) = (person(number), self.next());
        let email = format!("{number}@example.org");
        let account = AccountRow { user_id: id, email, state: PersonState::Active, position };
        let user = UserRow {
            user_id: id,
            nickname: nickname.into(),
            nickname_key: nickname_key(nickname),
            name: name.into(),
            about: String::new(),
            sort_key: fold(name),
            photo: None,
            settings: Settings::default(),
            state: PersonState::Active,
            position,
        };
        self.directory(vec![directory::Change::Account(account), directory::Change::User(user)], position)
            .await;
        let document =
            search::Document { user_id: id, nickname: nickname.into(), name: name.into(), position };
        let changes = vec![search::Change::Put(document)];
        write(&*self.stores.search.serving(), changes, position).await;
        let session_id = session_of(id);
        let key = session_id.to_string();
        let row = SessionRow {
            session_id,
            person: id,
            method: "password".into(),
            device: self.seal("Session", &key, "device", id, position, &Device("Lynx".into())),
            address: self.seal("Session", &key, "address", id, position, &Address("192.0.2.7".into())),
            started_at: at(position),
            refreshed_at: at(position),
            generation: 1,
            position,
        };
        write(&*self.stores.sessions.serving(), vec![sessions::Change::Started(row)], position).await;
        self.show();
        id
    }

    pub async fn directory(&self, changes: Vec<directory::Change>, position: u64) {
        write(&*self.stores.directory.serving(), changes, position).await;
    }

    /// What `a` sees of `b`, and `b` of `a`.
    pub async fn linked(&self, a: PersonId, b: PersonId, a_sees: Seen, b_sees: Seen) -> u64 {
        let position = self.next();
        let pair = Pair::of(a, b).expect("two people");
        let seen = if pair.both()[0] == a { [a_sees, b_sees] } else { [b_sees, a_sees] };
        self.directory(vec![directory::Change::Link { pair, state: "{}".into(), seen, position }], position)
            .await;
        self.show();
        position
    }

    pub async fn friends(&self, a: PersonId, b: PersonId) -> u64 {
        let friends = Seen { relation: Relation::Friends, blocked: false, parted: false };
        self.linked(a, b, friends, friends).await
    }

    pub async fn writes_about(&self, user_id: PersonId, about: &str) {
        let position = self.next();
        let about = Some(about.to_owned());
        let edited = directory::Change::UserEdited { user_id, nickname: None, name: None, about, position };
        self.directory(vec![edited], position).await;
    }

    pub async fn unfriends(&self, who: PersonId, whom: PersonId) -> u64 {
        let none = Seen { relation: Relation::None, blocked: false, parted: false };
        self.linked(who, whom, Seen { parted: true, ..none }, none).await
    }

    pub async fn blocks(&self, who: PersonId, whom: PersonId) -> u64 {
        let none = Seen { relation: Relation::None, blocked: false, parted: false };
        self.linked(who, whom, Seen { blocked: true, parted: true, ..none }, none).await
    }

    /// A direct chat of two friends.
    pub async fn chat(&self, number: u128, a: PersonId, b: PersonId) -> ChatId {
        let (chat_id, position) = (ChatId(Uuid::from_u128(number)), self.next());
        let created = timeline::Change::Created {
            chat_id,
            kind: ChatKind::Direct,
            created_by: a,
            created_at: at(position),
            title: None,
            history: None,
            position,
        };
        let joined = |person| timeline::Change::Joined {
            chat_id,
            person,
            role: Role::Member,
            joined_number: 0,
            sees: Vec::new(),
            position,
        };
        self.ordinal(chat_id);
        self.timeline(vec![created, joined(a), joined(b)], position).await;
        chat_id
    }

    /// The ordinal of a new event of a chat that is no message.
    pub fn ordinal(&self, chat_id: ChatId) -> u64 {
        let mut ordinals = self.ordinals.lock().expect("not poisoned");
        let ordinal = ordinals.entry(chat_id).or_default();
        *ordinal += 1;
        *ordinal
    }

    /// Writes what an event at `position` changes in the timeline.
    pub async fn timeline(&self, changes: Vec<timeline::Change>, position: u64) {
        write(&*self.stores.timeline.serving(), changes, position).await;
        self.show();
    }

    /// Sends message `number`; answers its position.
    pub async fn sent(
        &self,
        chat_id: ChatId,
        author: PersonId,
        number: u64,
        text: &str,
        reply_to: Option<u64>,
    ) -> u64 {
        let row = self.message(chat_id, author, number, text);
        let position = row.position;
        self.timeline(vec![timeline::Change::Sent(MessageRow { reply_to, ..row })], position).await;
        position
    }

    /// The row of a new message.
    pub fn message(&self, chat_id: ChatId, author: PersonId, number: u64, text: &str) -> MessageRow {
        let position = self.next();
        MessageRow {
            chat_id,
            number,
            message_id: MessageId(Uuid::from_u128(u128::from(position))),
            author,
            text: self.seal("Chat", &chat_id.to_string(), "text", author, position, &Text(text.into())),
            sent_at: at(position),
            reply_to: None,
            attachments: Vec::new(),
            forwarded_from: None,
            lines: self.ordinals.lock().expect("not poisoned").get(&chat_id).copied().unwrap_or(0),
            position,
            touch: Touch::default(),
        }
    }

    pub async fn read(&self, chat_id: ChatId, person: PersonId, number: u64) -> u64 {
        let position = self.next();
        self.timeline(vec![timeline::Change::Read { chat_id, person, number, position }], position).await;
        position
    }

    pub fn end(&self, session: SessionId) -> u64 {
        self.ended.0.lock().expect("not poisoned").push(session);
        let position = self.next();
        self.show();
        position
    }

    /// The router behind something that signs in whomever `x-test-person` names, by cookie with
    /// `x-test-cookie`.
    pub fn app(&self) -> Router {
        query_api::router(self.state.clone()).layer(from_fn(sign_in))
    }

    pub async fn ask_with(
        &self,
        method: &str,
        who: Option<PersonId>,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(who) = who {
            request = request.header("x-test-person", who.to_string());
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response =
            self.app().oneshot(request.body(Body::empty()).expect("a request")).await.expect("infallible");
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.expect("a body");
        Answer {
            status: parts.status,
            headers: parts.headers,
            json: serde_json::from_slice(&body).unwrap_or_default(),
            bytes: body.to_vec(),
        }
    }

    /// The answer to `path` for somebody; it must be 200.
    pub async fn get(&self, who: PersonId, path: &str) -> Value {
        let answer = self.ask_with("GET", Some(who), &format!("/query/v1{path}"), &[]).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.json);
        answer.json
    }

    /// Status, slug and the name of the first field of the refusal of `path`.
    pub async fn refused(&self, who: PersonId, path: &str) -> (u16, String, String) {
        self.ask_with("GET", Some(who), &format!("/query/v1{path}"), &[]).await.refusal()
    }

    /// `field` of each item at `path`.
    pub async fn each(&self, who: PersonId, path: &str, field: &str) -> Vec<Value> {
        items(&self.get(who, path).await, field)
    }
}

pub fn items(list: &Value, field: &str) -> Vec<Value> {
    list["items"].as_array().expect("items").iter().map(|item| item[field].clone()).collect()
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub json: Value,
    pub bytes: Vec<u8>,
}

impl Answer {
    pub fn refusal(&self) -> (u16, String, String) {
        assert_eq!(self.headers["content-type"], "application/problem+json", "{}", self.json);
        let problem: Problem = serde_json::from_value(self.json.clone()).expect("a problem");
        assert_eq!(problem.status, self.status.as_u16());
        let field = problem.errors.first().map_or_else(String::new, |error| error.pointer.clone());
        (problem.status, problem.slug().to_owned(), field)
    }
}

async fn write<M: ReadModel + ?Sized>(model: &M, changes: Vec<M::Change>, position: u64) {
    let held = model.checkpoint().await.expect("a checkpoint").expect("taken over");
    let checkpoint =
        Checkpoint { position, event_id: Some(EventId(Uuid::from_u128(u128::from(position)))), ..held };
    model.write(changes, checkpoint).await.expect("written");
}

async fn sign_in(mut request: Request, next: Next) -> axum::response::Response {
    let named = |headers: &HeaderMap, name| headers.get(name).map(|it| it.to_str().expect("text").to_owned());
    let by_cookie = named(request.headers(), "x-test-cookie").is_some();
    let session = named(request.headers(), "x-test-session");
    if let Some(who) = named(request.headers(), "x-test-person") {
        let person: PersonId = who.parse().expect("a person");
        let session = session.map_or(session_of(person), |it| it.parse().expect("a session"));
        request.extensions_mut().insert(Caller { person, session, by_cookie });
    }
    let client =
        Client { address: "127.0.0.1".into(), user_agent: String::new(), browser: by_cookie, secure: false };
    request.extensions_mut().insert(client);
    next.run(request).await
}
