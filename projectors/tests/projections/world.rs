//! A log, its keys and its read models under one folder, and people who do things.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chronicle::Clock;
use chronicle::entropy::Entropy;
use chronicle::keys::{Keyring, Place, SqliteKeyStore, create_master_key, subject_of};
use chronicle::log::sqlite::SqliteLog;
use chronicle::log::{Appended, Batch, Head, Log, Recorded};
use domain::Timestamp;
use domain::account::AccountEvent;
use domain::aggregate::Event;
use domain::chat::{ChatEvent, Span};
use domain::friendship::FriendshipEvent;
use domain::ids::{ChatId, EventId, MessageId, Pair, PersonId, SessionId};
use domain::message::MessageEvent;
use domain::personal::{Address, Device, Email, Name, Nickname, Personals, Text, Title, Verifier};
use domain::read_marker::ReadMarkerEvent;
use domain::session::{Method, SessionEvent, WhyRevoked};
use domain::user::UserEvent;
use domain::views::{History, ReportReason};
use projectors::{Context, Health, Pace, Projection, Running, Status};
use stores::timeline::Timeline;
use stores::{Stores, Urls};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub const PATIENCE: Duration = Duration::from_secs(30);
pub const ROWS: [&str; 4] = ["sessions", "directory", "timeline", "search"];
pub const ANN: PersonId = PersonId(Uuid::from_u128(0xA));
pub const BOB: PersonId = PersonId(Uuid::from_u128(0xB));
pub const CHAT: ChatId = ChatId(Uuid::from_u128(0xC));

/// Bytes that never repeat.
struct Counting(AtomicU8);

impl Entropy for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill_with(|| self.0.fetch_add(7, Ordering::Relaxed).wrapping_mul(13));
    }
}

/// A clock that stands still, long after whatever happens here.
pub struct Frozen;

impl Clock for Frozen {
    fn now(&self) -> Timestamp {
        at(1_000).plus(60 * Timestamp::SECOND)
    }
}

pub struct World {
    pub folder: TempDir,
    pub log: Arc<dyn Log>,
    pub log_id: Uuid,
    pub keyring: Keyring,
    /// How many events each stream has.
    sequences: Mutex<HashMap<(&'static str, String), u64>>,
}

impl World {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let log_id = Uuid::from_u128(0x106);
        let entropy: Arc<dyn Entropy> = Arc::new(Counting(AtomicU8::new(1)));
        let master = create_master_key(&folder.path().join("master.key"), &*entropy).expect("a key");
        let store = SqliteKeyStore::open(&folder.path().join("keys.db")).expect("a key store");
        let keyring = Keyring::begin(Arc::new(store), &master, log_id, entropy).expect("a keyring");
        let log = SqliteLog::open(&folder.path().join("log.db")).expect("a log");
        Self { folder, log, log_id, keyring, sequences: Mutex::default() }
    }

    /// Opens the read models that lie in a folder of this name.
    pub async fn open(&self, name: &str) -> Context {
        let data: PathBuf = self.folder.path().join(name);
        std::fs::create_dir_all(&data).expect("a folder");
        let stores = Stores::open(&Urls::embedded(&data)).await.expect("stores");
        self.over(stores)
    }

    /// As [`Self::open`], once whoever had them open has let go (of tantivy's lock, last).
    pub async fn open_after_a_kill(&self, name: &str) -> Context {
        let data = self.folder.path().join(name);
        let opened = async {
            loop {
                if let Ok(stores) = Stores::open(&Urls::embedded(&data)).await {
                    return stores;
                }
                tokio::task::yield_now().await;
            }
        };
        let stores = tokio::time::timeout(PATIENCE, opened).await.expect("they let go in time");
        self.over(stores)
    }

    fn over(&self, stores: Stores) -> Context {
        Context {
            log: self.log.clone(),
            log_id: self.log_id,
            keyring: self.keyring.clone(),
            stores,
            clock: Arc::new(Frozen),
            node: Uuid::from_u128(0x40DE),
        }
    }

    /// Seals and appends one event; answers its position.
    pub async fn append(&self, event: Event) -> u64 {
        let recorded = self.record(event).await;
        self.append_recorded(recorded).await
    }

    pub async fn append_all(&self, events: impl IntoIterator<Item = Event>) -> u64 {
        let mut last = 0;
        for event in events {
            last = self.append(event).await;
        }
        last
    }

    pub async fn append_recorded(&self, recorded: Recorded) -> u64 {
        let fence = self.log.head().await.expect("a head");
        let position = recorded.position;
        let batch = Batch { events: vec![recorded], ..Batch::default() };
        let appended = self.log.append(fence, Arc::new(batch)).await.expect("an answer");
        assert_eq!(appended, Appended::Committed);
        position
    }

    /// An event as it would follow the head.
    pub async fn record(&self, mut event: Event) -> Recorded {
        let Head { position, .. } = self.log.head().await.expect("a head");
        let position = position + 1;
        let event_id = EventId(Uuid::from_u128(0xE0_0000 + u128::from(position)));
        let (kind, aggregate_id) = (event.kind().name(), stream(&event));
        let place = |field| Place {
            log_id: self.log_id,
            aggregate_type: kind,
            aggregate_id: &aggregate_id,
            event_id,
            field,
        };
        event.personals(&mut |field, person, value| {
            self.keyring.ensure(&subject_of(person)).expect("a key");
            let clear = value.clear().expect("it is clear yet");
            value.seal(self.keyring.seal(&place(field), person, &clear).expect("sealed"), event_id);
        });
        Recorded {
            position,
            event_id,
            recorded_at: at(position),
            aggregate_type: kind.to_owned(),
            aggregate_id: aggregate_id.clone(),
            sequence: self.sequence(kind, &aggregate_id),
            event_type: event.event_type(),
            event_version: event.event_version(),
            payload: event.encode().expect("sealed"),
            metadata: "{}".to_owned(),
        }
    }
}

impl World {
    /// The next one of a stream.
    fn sequence(&self, kind: &'static str, aggregate_id: &str) -> u64 {
        let mut sequences = self.sequences.lock().expect("no panic");
        let sequence = sequences.entry((kind, aggregate_id.to_owned())).or_default();
        *sequence += 1;
        *sequence
    }
}

fn stream(event: &Event) -> String {
    match event {
        Event::Account(AccountEvent::AccountRegistered { person, .. })
        | Event::Account(AccountEvent::PasswordChanged { person, .. }) => person.to_string(),
        Event::User(event) => event.person().to_string(),
        Event::Session(
            SessionEvent::SessionStarted { session, .. }
            | SessionEvent::SessionRefreshed { session, .. }
            | SessionEvent::RefreshReuseDetected { session, .. }
            | SessionEvent::SessionRevoked { session, .. },
        ) => session.to_string(),
        Event::Friendship(event) => {
            let (a, b) = match event {
                FriendshipEvent::FriendRequested { from, to, .. } => (from, to),
                FriendshipEvent::FriendAccepted { by, from, .. }
                | FriendshipEvent::FriendDeclined { by, from, .. } => (by, from),
                FriendshipEvent::FriendRemoved { by, other, .. }
                | FriendshipEvent::PersonBlocked { by, other, .. }
                | FriendshipEvent::PersonUnblocked { by, other, .. } => (by, other),
            };
            Pair::of(*a, *b).expect("two people").to_string()
        }
        Event::Chat(event) => event.chat().to_string(),
        Event::Message(event) => {
            let (chat, number) = event.place();
            domain::ids::message_stream_id(chat, number)
        }
        Event::ReadMarker(event) => {
            let (chat, person) = event.place();
            domain::ids::read_marker_id(chat, person)
        }
        Event::Chronicle(_) => "chronicle".to_owned(),
    }
}

/// Projections at work until dropped or stopped.
pub struct Work {
    pub context: Context,
    pub running: Running,
    pub stop: CancellationToken,
}

impl Work {
    pub fn begin(context: Context) -> Self {
        Self::at(context, Pace::default())
    }

    pub fn at(context: Context, pace: Pace) -> Self {
        let stop = CancellationToken::new();
        let running = projectors::start_at(&context, &stop, pace);
        Self { context, running, stop }
    }

    /// One projection of the timeline's rows alone.
    pub fn of<P: Projection<Model = dyn Timeline>>(
        context: Context,
        pace: Pace,
        make: impl Fn(Arc<dyn Timeline>) -> P + Send + Sync + 'static,
    ) -> Self {
        let stop = CancellationToken::new();
        let mut running = Running::none(&context, &stop, pace);
        running.carry(&context.stores.timeline, make);
        Self { context, running, stop }
    }

    pub fn status(&self, name: &str) -> Status {
        let all = self.running.handle().status();
        all.into_iter().find(|status| status.name == name).expect("a projection")
    }

    /// Waits until a projection is as it should be.
    pub async fn until(&self, name: &str, state: impl Fn(&Status) -> bool) -> Status {
        let reached = async {
            loop {
                let status = self.status(name);
                if state(&status) {
                    return status;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        match tokio::time::timeout(PATIENCE, reached).await {
            Ok(status) => status,
            Err(_elapsed) => panic!("not within {PATIENCE:?}: {:?}", self.status(name)),
        }
    }

    /// Why a projection has halted.
    pub async fn halts(&self, name: &str) -> String {
        match self.until(name, |status| matches!(status.health, Health::Halted { .. })).await.health {
            Health::Halted { why } => why,
            health => panic!("{health:?}"),
        }
    }

    pub async fn shows(&self, position: u64) {
        let shown = self.context.stores.progress.wait(&ROWS, position, PATIENCE).await;
        assert!(shown >= position, "{:?} within {PATIENCE:?}", self.context.stores.progress.all());
    }

    /// Waits until every task has ended.
    pub async fn end(mut self) -> Context {
        self.stop.cancel();
        while let Some((name, ended)) = self.running.ended().await {
            assert!(ended.is_ok(), "{name}: {ended:?}");
        }
        self.context
    }
}

pub fn at(position: u64) -> Timestamp {
    Timestamp(1_800_000_000 * Timestamp::SECOND + position as i64)
}

pub fn registered(person: PersonId, email: &str) -> Event {
    let (email, verifier) = (Email(email.into()).into(), Verifier("$argon2id$".into()).into());
    Event::Account(AccountEvent::AccountRegistered { person, email, verifier })
}

pub fn created(person: PersonId, nickname: &str, name: &str) -> Event {
    let (nickname, name) = (Nickname(nickname.into()).into(), Name(name.into()).into());
    Event::User(UserEvent::UserCreated { person, nickname, name })
}

pub fn renamed(person: PersonId, nickname: Option<&str>, name: Option<&str>) -> Event {
    Event::User(UserEvent::InfoEdited {
        person,
        nickname: nickname.map(|it| Nickname(it.into()).into()),
        name: name.map(|it| Name(it.into()).into()),
        about: None,
    })
}

pub fn signed_in(person: PersonId, session: SessionId) -> Event {
    Event::Session(SessionEvent::SessionStarted {
        session,
        person,
        method: Method::Password,
        device: Device("Firefox".into()).into(),
        address: Address("192.0.2.1".into()).into(),
        at: at(0),
    })
}

pub fn signed_out(person: PersonId, session: SessionId) -> Event {
    let why = WhyRevoked::SignedOut;
    Event::Session(SessionEvent::SessionRevoked { session, person, why, at: at(0) })
}

pub fn requested(from: PersonId, to: PersonId) -> Event {
    Event::Friendship(FriendshipEvent::FriendRequested { from, to, at: at(0) })
}

pub fn accepted(by: PersonId, from: PersonId) -> Event {
    Event::Friendship(FriendshipEvent::FriendAccepted { by, from, at: at(0) })
}

pub fn declined(by: PersonId, from: PersonId) -> Event {
    Event::Friendship(FriendshipEvent::FriendDeclined { by, from, at: at(0) })
}

pub fn blocked(by: PersonId, other: PersonId) -> Event {
    Event::Friendship(FriendshipEvent::PersonBlocked { by, other, at: at(0) })
}

pub fn chat_created(by: PersonId, with: PersonId) -> Event {
    Event::Chat(ChatEvent::DirectChatCreated { chat: CHAT, by, with, at: at(0) })
}

pub fn sent(author: PersonId, number: u64, text: &str) -> Event {
    Event::Chat(ChatEvent::MessageSent {
        chat: CHAT,
        author,
        message_id: MessageId(Uuid::from_u128(0x3E55 + u128::from(number))),
        number,
        text: Text(text.into()).into(),
        sent_at: at(number),
        reply_to: None,
        attachments: Vec::new(),
        forwarded_from: None,
    })
}

/// A group of `by`, with `members`.
pub fn group_created(by: PersonId, members: &[PersonId]) -> Event {
    Event::Chat(ChatEvent::GroupCreated {
        chat: CHAT,
        by,
        title: Title("Choir".into()).into(),
        history: History::Joining,
        members: members.to_vec(),
        at: at(0),
    })
}

/// `person` reads from the message after `after_number` on.
pub fn added(by: PersonId, person: PersonId, after_number: u64) -> Event {
    let sees = vec![Span { first: after_number + 1, last: None }];
    Event::Chat(ChatEvent::MemberAdded { chat: CHAT, by, person, sees, after_number, at: at(0) })
}

pub fn left(person: PersonId, after_number: u64) -> Event {
    let sees = vec![Span { first: 1, last: Some(after_number) }];
    Event::Chat(ChatEvent::MemberLeft { chat: CHAT, person, sees, after_number, at: at(0) })
}

pub fn edited(author: PersonId, number: u64, text: &str) -> Event {
    let text = Text(text.into()).into();
    Event::Message(MessageEvent::MessageEdited { chat: CHAT, number, author, text, at: at(0) })
}

pub fn deleted(by: PersonId, number: u64) -> Event {
    Event::Message(MessageEvent::MessageDeleted { chat: CHAT, number, by, at: at(0) })
}

pub fn reacted(person: PersonId, number: u64, emoji: &str) -> Event {
    let emoji = Some(emoji.to_owned());
    Event::Message(MessageEvent::ReactionSet { chat: CHAT, number, person, emoji, at: at(0) })
}

pub fn reported(by: PersonId, number: u64) -> Event {
    let reason = ReportReason::Spam;
    Event::Message(MessageEvent::MessageReported { chat: CHAT, number, by, reason, at: at(0) })
}

pub fn kept(person: PersonId, pinned: bool) -> Event {
    let muted_until = Some(at(9));
    Event::ReadMarker(ReadMarkerEvent::ChatPrefsSet { chat: CHAT, person, muted_until, pinned, at: at(0) })
}

pub fn read(person: PersonId, number: u64) -> Event {
    Event::ReadMarker(ReadMarkerEvent::ReadUpTo { chat: CHAT, person, number, at: at(0) })
}

/// Two who became friends and talked; every kind of event at least once.
pub fn a_story() -> Vec<Event> {
    let session = |n| SessionId(Uuid::from_u128(n));
    vec![
        registered(ANN, "ann@example.org"),
        created(ANN, "ann", "Ann Lee"),
        signed_in(ANN, session(1)),
        registered(BOB, "bob@example.org"),
        created(BOB, "bob", "Bob"),
        signed_in(BOB, session(2)),
        requested(ANN, BOB),
        declined(BOB, ANN),
        requested(BOB, ANN),
        accepted(ANN, BOB),
        chat_created(ANN, BOB),
        sent(ANN, 1, "Hello"),
        sent(BOB, 2, "Hello yourself"),
        sent(ANN, 3, "How are you?"),
        read(BOB, 3),
        renamed(BOB, Some("bobby"), None),
        renamed(BOB, None, Some("Robert")),
        signed_out(BOB, session(2)),
        sent(BOB, 4, "Well"),
        edited(BOB, 4, "Quite well"),
        reacted(ANN, 4, "👍"),
        reported(ANN, 2),
        deleted(ANN, 1),
        kept(ANN, true),
    ]
}
