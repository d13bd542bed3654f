//! What the tests of the log share: folders, keys, clocks and small events.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chronicle::clock::Clock;
use chronicle::entropy::Entropy;
use chronicle::executor::{Done, Envelope, Executor};
use chronicle::format::Scope;
use chronicle::keys::{Keyring, SqliteKeyStore, create_master_key, read_master_key, subject_of};
use chronicle::log::sqlite::SqliteLog;
use chronicle::log::{Head, Log, Recorded};
use chronicle::opening::open_chronicle;
use domain::aggregate::StreamId;
use domain::chat::{Chat, ChatCommand, ChatFacts};
use domain::ids::{ChatId, EventId, MessageId, PersonId};
use domain::personal::Text;
use domain::problem::Kind;
use domain::{Problem, Timestamp};
use uuid::Uuid;

/// Goes a millisecond on at every look.
#[derive(Debug)]
pub struct Ticking(AtomicI64);

impl Ticking {
    pub fn new() -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(1_800_000_000_000_000)))
    }
}

impl Clock for Ticking {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.fetch_add(1_000, Ordering::Relaxed))
    }
}

/// The machine's clock, which a test's PostgreSQL has too.
#[derive(Debug)]
pub struct Machine;

impl Clock for Machine {
    #[expect(clippy::disallowed_methods, reason = "what PostgreSQL compares its own clock with")]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Timestamp(since.expect("after 1970").as_micros() as i64)
    }
}

/// Different bytes at every call, the same in every run.
pub struct Counting(AtomicU64);

impl Counting {
    pub fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(seed)))
    }
}

impl Entropy for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        use std::hash::{DefaultHasher, Hash, Hasher};
        for byte in bytes {
            let mut hasher = DefaultHasher::new();
            self.0.fetch_add(1, Ordering::Relaxed).hash(&mut hasher);
            *byte = hasher.finish() as u8;
        }
    }
}

pub fn person(number: u128) -> PersonId {
    PersonId(Uuid::from_u128(0x0193_543c_2b00_7000_8000_0000_0000_0000 + number))
}

pub fn chat(number: u128) -> ChatId {
    ChatId(Uuid::from_u128(0x0193_543c_2b00_7000_9000_0000_0000_0000 + number))
}

/// A key of a client: `number` in the namespace `space`.
pub fn key(space: u64, number: u64) -> Uuid {
    Uuid::from_u64_pair(0x0193_543c_2b00_7000 + space, 0x8000_0000_0000_0000 + number)
}

/// A written house: log, keys, executor in one folder.
pub struct House {
    pub log: Arc<dyn Log>,
    pub executor: Executor,
}

impl House {
    /// Opens or makes it. Several may be open on one folder.
    pub async fn open(folder: &Path) -> Self {
        Self::on(folder, SqliteLog::open(&folder.join("log.db")).expect("a log")).await
    }

    /// The same with a log that lies elsewhere.
    pub async fn on(folder: &Path, log: Arc<dyn Log>) -> Self {
        Self::with(folder, log, Ticking::new()).await
    }

    /// The same by another clock.
    pub async fn with(folder: &Path, log: Arc<dyn Log>, clock: Arc<dyn Clock>) -> Self {
        let log_id = open_chronicle(&*log, Uuid::from_u128(7), clock.now()).await.expect("a chronicle");
        let store = Arc::new(SqliteKeyStore::open(&folder.join("keys.db")).expect("a key store"));
        let master = folder.join("master.key");
        let entropy = Counting::new(u64::from(std::process::id()) << 32);
        let keyring = if master.exists() {
            let master = read_master_key(&master).expect("a master key");
            Keyring::unlock(store, &master, log_id, entropy).expect("unlocks")
        } else {
            let master = create_master_key(&master, &*entropy).expect("a master key");
            Keyring::begin(store, &master, log_id, entropy).expect("begins")
        };
        for number in 0..4 {
            keyring.ensure(&subject_of(person(number))).expect("a key");
        }
        let (executor, _) = Executor::start(log.clone(), log_id, keyring, clock).await.expect("an executor");
        Self { log, executor }
    }

    pub fn envelope(&self, who: u128, key: Uuid, operation: &'static str, request: &str) -> Envelope {
        Envelope {
            scope: Scope::Person(person(who)),
            operation,
            actor: Some(person(who)),
            session: None,
            key,
            request: request.as_bytes().to_vec(),
            correlation: "test".into(),
            at: self.executor.clock().now(),
        }
    }

    /// Person 0 makes a chat with person 1.
    pub async fn make_chat(&self, number: u128) -> Result<Done, Problem> {
        let at = self.executor.clock().now();
        let envelope = self.envelope(0, key(9, number as u64), "create_chat", "");
        self.executor
            .execute(envelope, move |ledger| {
                let facts = ChatFacts { friends: true, blocked: false, in_a_group: false };
                let command =
                    ChatCommand::CreateDirect { chat: chat(number), by: person(0), with: person(1), at };
                ledger.decide::<Chat>(chat(number), command, &facts)
            })
            .await
    }

    /// `who` (0 or 1) writes `text` into chat `number`.
    pub async fn send(&self, number: u128, who: u128, key: Uuid, text: &str) -> Result<Done, Problem> {
        let envelope = self.envelope(who, key, "send", text);
        let (at, text) = (envelope.at, text.to_owned());
        self.executor
            .execute(envelope, move |ledger| {
                let facts = ChatFacts { friends: true, blocked: false, in_a_group: false };
                let command = ChatCommand::say(person(who), MessageId(key), Text(text.clone()), None, at);
                ledger.decide::<Chat>(chat(number), command, &facts)
            })
            .await
    }

    /// The same, "hello", again and again while the log is busy: the lock may be held for longer than one waits.
    pub async fn send_in_time(&self, number: u128, who: u128, key: Uuid) -> Done {
        let began = Instant::now();
        loop {
            match self.send(number, who, key, "hello").await {
                Err(refused)
                    if refused.is(Kind::Unavailable) && began.elapsed() < Duration::from_secs(60) =>
                {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                done => return done.expect("sent"),
            }
        }
    }
}

/// The whole log; positions are 1, 2, 3 … or this panics.
pub async fn everything(log: &dyn Log) -> Vec<Recorded> {
    let mut all: Vec<Recorded> = Vec::new();
    loop {
        let page = log.read(all.len() as u64, 500).await.expect("a page");
        if page.is_empty() {
            return all;
        }
        for event in page {
            assert_eq!(event.position, all.len() as u64 + 1, "a hole in the log");
            all.push(event);
        }
    }
}

/// An event that only the log looks at. Its payload is what no serialiser would write.
pub fn event(after: Head, offset: u64, stream: &StreamId, sequence: u64, id: u128) -> Recorded {
    Recorded {
        position: after.position + offset,
        event_id: EventId(Uuid::from_u128(id)),
        recorded_at: Timestamp(after.recorded_at.0 + 1),
        aggregate_type: stream.kind.name().into(),
        aggregate_id: stream.id.clone(),
        sequence,
        event_type: "Tried".into(),
        event_version: "1".into(),
        payload: format!("{{ \"b\":1e0,\"a\" : \"\\u0041 привет 🦊 {id}\" }}"),
        metadata: "{\"z\":\"1\",\"a\":\"2\"}".into(),
    }
}
