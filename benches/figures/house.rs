//! A data folder as the product has it, opened in this process: log, keys, executor, and people who
//! talk. What is written here is what `letopis serve` writes and reads.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, anyhow};
use chronicle::entropy::Entropy;
use chronicle::format::Scope;
use chronicle::keys::{KeyStore, Keyring, SqliteKeyStore, create_master_key, read_master_key, subject_of};
use chronicle::log::Log;
use chronicle::log::postgres::PostgresLog;
use chronicle::log::sqlite::SqliteLog;
use chronicle::opening::open_chronicle;
use chronicle::tokens::Tokens;
use chronicle::{Clock, Envelope, Executor, Halt, Ledger};
use domain::account::{Account, AccountCommand};
use domain::aggregate::Event;
use domain::chat::{Chat, ChatCommand, ChatEvent, ChatFacts};
use domain::friendship::{Friendship, FriendshipCommand, FriendshipFacts, Wish};
use domain::ids::{ChatId, MessageId, Pair, PersonId, SessionId, uuid_v7};
use domain::personal::{Address, Device, Email, Name, Nickname, Text, Verifier};
use domain::session::{Method, Session, SessionCommand};
use domain::text::{email_key, nickname_key};
use domain::user::{User, UserCommand};
use domain::{Problem, Timestamp};
use futures::stream::{StreamExt, TryStreamExt};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::measure::{Client, Dice};
use crate::texts::Texts;

/// Commands that are under way at once while a folder is filled.
const AT_ONCE: usize = 400;

/// The machine's clock.
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the bench is its own composition root")]
    fn now(&self) -> Timestamp {
        let micros = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros());
        Timestamp(i64::try_from(micros).unwrap_or(i64::MAX))
    }
}

/// The kernel's random numbers.
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[expect(clippy::disallowed_methods, reason = "the bench is its own composition root")]
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("a kernel without random numbers must not go on");
    }
}

pub fn now() -> Timestamp {
    SystemClock.now()
}

/// Where the log lies.
#[derive(Clone, Debug)]
pub enum Engine {
    /// In the folder.
    Sqlite,
    /// The URL of a database.
    Postgres(String),
}

/// Somebody who is signed in.
#[derive(Clone, Copy, Debug)]
pub struct Person {
    pub id: PersonId,
    pub session: SessionId,
}

/// A direct chat of two of the house's people.
#[derive(Clone, Copy, Debug)]
pub struct Seat {
    pub chat: ChatId,
    pub pair: [usize; 2],
}

/// The folder, opened.
pub struct House {
    pub executor: Executor,
    /// What the connection that commits says of its durability.
    pub durability: String,
    pub people: Vec<Person>,
    pub seats: Vec<Seat>,
    committing: JoinHandle<()>,
    file: Option<Arc<SqliteLog>>,
    dice: Dice,
}

impl House {
    /// Opens the folder, and makes what it lacks.
    ///
    /// # Errors
    /// If a part of it can't be opened.
    pub async fn open(folder: &Path, engine: &Engine) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
        let (log, durability, file): (Arc<dyn Log>, String, _) = match engine {
            Engine::Sqlite => {
                let log = SqliteLog::open(&folder.join("log.db"))?;
                let (journal, synchronous) = log.durability().await?;
                (log.clone(), format!("journal_mode={journal} synchronous={synchronous}"), Some(log))
            }
            Engine::Postgres(url) => {
                let log = PostgresLog::open(url, clock.clone()).await?;
                let (fsync, commit) = log.durability().await?;
                (log, format!("fsync={fsync} synchronous_commit={commit}"), None)
            }
        };
        let store = Arc::new(SqliteKeyStore::open(&folder.join("keys.db"))?);
        let master = folder.join("master.key");
        let keyring = match store.identity()? {
            Some(identity) => Keyring::unlock(store, &read_master_key(&master)?, identity.log_id, entropy)?,
            None => {
                let log_id = uuid_v7(clock.now(), &Dice::new(clock.now().0 as u64).ten_bytes());
                Keyring::begin(store, &create_master_key(&master, &*entropy)?, log_id, entropy)?
            }
        };
        let log_id = open_chronicle(&*log, keyring.log_id(), clock.now()).await?;
        let (executor, committing) = Executor::start(log, log_id, keyring, clock).await?;
        let dice = Dice::new(now().0 as u64);
        Ok(Self { executor, durability, people: Vec::new(), seats: Vec::new(), committing, file, dice })
    }

    /// Lets go of the folder.
    ///
    /// # Errors
    /// If the log can't be left in order.
    pub async fn close(self) -> anyhow::Result<()> {
        drop(self.executor);
        self.committing.await?;
        if let Some(file) = &self.file {
            file.fold().await?;
        }
        Ok(())
    }

    fn envelope(&mut self, operation: &'static str, who: Option<Person>) -> Envelope {
        let at = now();
        envelope(operation, who, uuid_v7(at, &self.dice.ten_bytes()), Vec::new(), at)
    }

    /// Registers `people`, makes each a friend of the `friends` that follow, and opens their chats.
    ///
    /// # Errors
    /// What the product refuses.
    pub async fn populate(&mut self, people: usize, friends: usize) -> anyhow::Result<()> {
        let executor = self.executor.clone();
        let mut registering = Vec::new();
        for number in 0..people {
            let person = Person {
                id: PersonId(uuid_v7(now(), &self.dice.ten_bytes())),
                session: SessionId(uuid_v7(now(), &self.dice.ten_bytes())),
            };
            self.people.push(person);
            self.executor.keyring().ensure(&subject_of(person.id)).context("a person's key")?;
            let at = now();
            let command = register(number, person, at);
            registering.push(executor.execute(self.envelope("register", None), command));
        }
        all(registering).await?;

        let mut befriending = Vec::new();
        let mut known = BTreeSet::new();
        for one in 0..people {
            for step in 1..=friends {
                let other = (one + step) % people;
                let pair = Pair::of(self.people[one].id, self.people[other].id);
                if pair.is_some_and(|pair| known.insert(pair)) {
                    befriending.push((one, other));
                }
            }
        }
        for (operation, wish) in [("add", Wish::Add), ("accept", Wish::Accept)] {
            let mut wishes = Vec::new();
            for (one, other) in &befriending {
                let (by, other) = if wish == Wish::Add { (*one, *other) } else { (*other, *one) };
                let (by, other) = (self.people[by], self.people[other].id);
                let envelope = self.envelope(operation, Some(by));
                let pair = Pair::of(by.id, other).context("two people")?;
                let command = FriendshipCommand { by: by.id, other, wish, at: envelope.at };
                wishes.push(executor.execute(envelope, move |ledger: &mut Ledger<'_, '_>| {
                    ledger.decide::<Friendship>(
                        pair,
                        command.clone(),
                        &FriendshipFacts { other_exists: true },
                    )
                }));
            }
            all(wishes).await?;
        }

        let mut opening = Vec::new();
        for (one, other) in &befriending {
            let (by, with) = (self.people[*one], self.people[*other].id);
            let envelope = self.envelope("create_chat", Some(by));
            let chat = ChatId(uuid_v7(envelope.at, &self.dice.ten_bytes()));
            self.seats.push(Seat { chat, pair: [*one, *other] });
            let pair = Pair::of(by.id, with).context("two people")?.to_string();
            let at = envelope.at;
            opening.push(executor.execute(envelope, move |ledger: &mut Ledger<'_, '_>| {
                let facts = ChatFacts { friends: true, blocked: false, in_a_group: false };
                let create = ChatCommand::CreateDirect { chat, by: by.id, with, at };
                ledger.decide::<Chat>(chat, create, &facts)?;
                ledger.set_claim("direct/1", &pair, Some(chat.to_string()))
            }));
        }
        all(opening).await
    }

    /// Clients, each a person who writes into any of the person's own chats.
    pub fn senders(&self, clients: usize, texts: &Arc<Texts>) -> Vec<Sender> {
        let mut senders = Vec::new();
        for client in 0..clients {
            let person = client % self.people.len();
            let seats = self.seats.iter().filter(|seat| seat.pair.contains(&person)).copied().collect();
            senders.push(self.sender(client, person, seats, texts));
        }
        senders
    }

    /// Clients that all write into one chat, in the name of either of its two.
    pub fn senders_into(&self, clients: usize, seat: Seat, texts: &Arc<Texts>) -> Vec<Sender> {
        (0..clients).map(|client| self.sender(client, seat.pair[client % 2], vec![seat], texts)).collect()
    }

    fn sender(&self, client: usize, person: usize, seats: Vec<Seat>, texts: &Arc<Texts>) -> Sender {
        let person = self.people[person];
        let dice = Dice::new(now().0 as u64 ^ (client as u64) << 48);
        Sender { executor: self.executor.clone(), person, seats, texts: texts.clone(), dice }
    }

    /// Writes `messages` into `seats` (drawn with equal chance), as they come in chats: in bursts with
    /// long pauses between, `step` microseconds apart on average, the last one about now.
    ///
    /// # Errors
    /// What the product refuses.
    pub async fn fill(
        &mut self,
        seats: &[Seat],
        messages: u64,
        step: i64,
        texts: &Arc<Texts>,
    ) -> anyhow::Result<()> {
        let mut at = now().plus(-step.saturating_mul(i64::try_from(messages)?));
        let mut dice = self.dice.clone();
        self.dice.roll();
        let orders = (0..messages).map(|_| {
            let pause = if dice.below(10) == 0 { dice.below(181) } else { dice.below(2) };
            at = at.plus(step / 10 * pause as i64 + 1_000).min(now());
            let seat = seats[dice.below(seats.len())];
            let person = self.people[seat.pair[dice.below(2)]];
            let text = texts.pick(&mut dice).to_owned();
            (seat.chat, person, uuid_v7(at, &dice.ten_bytes()), text, at)
        });
        futures::stream::iter(orders.collect::<Vec<_>>())
            .map(|(chat, person, key, text, at)| send(&self.executor, person, chat, key, text, at))
            .buffered(AT_ONCE)
            .try_for_each(|_| async { Ok(()) })
            .await
    }

    /// An access token of a person.
    pub fn token(&self, person: Person) -> String {
        Tokens::new(self.executor.keyring()).issue(person.id, person.session, now())
    }
}

fn register(
    number: usize,
    who: Person,
    at: Timestamp,
) -> impl Fn(&mut Ledger<'_, '_>) -> Result<(), Halt> + Send + Sync + 'static {
    move |ledger| {
        let (email, nickname) = (format!("person{number}@letopis.example"), format!("person{number}"));
        let (email_key, nickname_key) = (email_key(&email), nickname_key(&nickname));
        let register = AccountCommand::Register {
            person: who.id,
            email: Email(email),
            verifier: Verifier("a verifier that no password has".into()),
        };
        ledger.decide::<Account>(who.id, register, &())?;
        ledger.set_claim("email/1", &email_key, Some(who.id.to_string()))?;
        let name = Name(format!("Person Number {number}"));
        let create = UserCommand::Create { person: who.id, nickname: Nickname(nickname), name };
        ledger.decide::<User>(who.id, create, &())?;
        ledger.set_claim("nickname/1", &nickname_key, Some(who.id.to_string()))?;
        let start = SessionCommand::Start {
            session: who.session,
            person: who.id,
            method: Method::Password,
            device: Device("bench".into()),
            address: Address("127.0.0.1".into()),
            at,
        };
        ledger.decide::<Session>(who.session, start, &())
    }
}

async fn all<T>(commands: Vec<impl Future<Output = Result<T, Problem>>>) -> anyhow::Result<()> {
    let mut running = futures::stream::iter(commands).buffer_unordered(AT_ONCE);
    while let Some(done) = running.next().await {
        done.map_err(refused)?;
    }
    Ok(())
}

fn refused(problem: Problem) -> anyhow::Error {
    anyhow!("refused: {} {}", problem.slug(), problem.detail.as_deref().unwrap_or_default())
}

fn envelope(
    operation: &'static str,
    who: Option<Person>,
    key: Uuid,
    request: Vec<u8>,
    at: Timestamp,
) -> Envelope {
    Envelope {
        scope: who.map_or(Scope::Operation(operation), |who| Scope::Person(who.id)),
        operation,
        actor: who.map(|who| who.id),
        session: who.map(|who| who.session),
        key,
        request,
        correlation: key.to_string(),
        at,
    }
}

/// The command `send` as its endpoint gives it to the executor.
async fn send(
    executor: &Executor,
    who: Person,
    chat_id: ChatId,
    key: Uuid,
    text: String,
    at: Timestamp,
) -> anyhow::Result<u64> {
    let request = domain::requests::Send::text(chat_id, text.clone());
    let envelope = envelope("send", Some(who), key, serde_json::to_vec(&request)?, at);
    let (author, message_id) = (who.id, MessageId(key));
    let done = executor
        .execute(envelope, move |ledger| {
            let chat = ledger.read::<Chat>(chat_id)?;
            let peer = chat.has_member(author).then(|| chat.peer_of(author)).flatten();
            let facts = match peer.and_then(|peer| Pair::of(author, peer)) {
                Some(pair) => {
                    let link = ledger.read::<Friendship>(pair)?;
                    ChatFacts { friends: link.are_friends(), blocked: link.is_blocked(), in_a_group: false }
                }
                None => ChatFacts::default(),
            };
            let send = ChatCommand::say(author, message_id, Text(text.clone()), None, at);
            ledger.decide::<Chat>(chat_id, send, &facts)
        })
        .await
        .map_err(refused)?;
    match done.events.first() {
        Some(Event::Chat(ChatEvent::MessageSent { number, .. })) => Ok(*number),
        _ => Err(anyhow!("a send came to no message")),
    }
}

/// One client of the executor.
pub struct Sender {
    executor: Executor,
    person: Person,
    seats: Vec<Seat>,
    texts: Arc<Texts>,
    dice: Dice,
}

impl Client for Sender {
    async fn command(&mut self) -> anyhow::Result<bool> {
        let seat = self.seats[self.dice.below(self.seats.len())];
        let at = now();
        let key = uuid_v7(at, &self.dice.ten_bytes());
        let text = self.texts.pick(&mut self.dice).to_owned();
        send(&self.executor, self.person, seat.chat, key, text, at).await?;
        Ok(true)
    }
}
