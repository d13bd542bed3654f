//! Several processes under load on one log: each has a committer of its own and many clients, who move
//! money and take names. Every answer is noted in a file as it comes. Afterwards the checker of the
//! simulation reads what really stands in the log.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chronicle::Ledger;
use chronicle::executor::{Done, Halt};
use chronicle::format::{Metadata, event_id};
use chronicle::log::postgres::PostgresLog;
use chronicle::log::sqlite::SqliteLog;
use chronicle::log::{ClaimKey, Log, Recorded};
use domain::aggregate::Event;
use domain::problem::Kind;
use domain::read_marker::{self, ReadFacts, ReadMarker, ReadMarkerCommand, ReadMarkerEvent};
use domain::{Problem, Timestamp};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use uuid::Uuid;

use crate::bank::{Account, Booked, Order, View, Wish, claim, id};
use crate::history::{Claimed, Dice, History};
use crate::model_log::Row;
use crate::postgres::Postgres;
use crate::support::{House, Machine, chat, everything, key, person};

const CHILD: &str = "LETOPIS_LOAD_CHILD";
const FOLDER: &str = "LETOPIS_LOAD_FOLDER";
const URL: &str = "LETOPIS_LOAD_URL";
const SECONDS: &str = "LETOPIS_TEST_LOAD_SECONDS";
const CLIENTS: u64 = 16;
const ACCOUNTS: Account = 6;
const NAMES: u64 = 4;
const SLICE: Duration = Duration::from_secs(10);
/// Commands whose keys two processes use at once.
const SHARED: u64 = 0;
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Serialize, Deserialize)]
enum Line {
    /// With the head that was known before.
    Asked { order: Order, from: u64 },
    /// With the head that was there after, and the milliseconds since the process began.
    Answered { key: u64, to: u64, after: u64, told: Told },
}

#[derive(Serialize, Deserialize)]
enum Told {
    /// Its last event is here.
    Wrote(u64),
    Nothing,
    Invalid,
    Taken,
    Unavailable,
    Other(String),
}

/// What an account's money is made of: how far three readers have read. Each event moves one of them
/// on, so an amount is a difference.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Part {
    In,
    Out,
    Names,
}

const PARTS: [Part; 3] = [Part::In, Part::Out, Part::Names];

fn stream(account: Account, part: Part) -> String {
    format!("{}~{}", chat(100 + u128::from(account)), person(part as u128))
}

fn number(ledger: &mut Ledger<'_, '_>, account: Account, part: Part) -> Result<u64, Halt> {
    Ok(ledger.read::<ReadMarker>(stream(account, part))?.number)
}

struct InLedger<'a, 'l, 'w>(&'a mut Ledger<'l, 'w>);

impl View for InLedger<'_, '_, '_> {
    type Stop = Halt;
    fn balance(&mut self, account: Account) -> Result<i64, Halt> {
        let (came, went) = (number(self.0, account, Part::In)?, number(self.0, account, Part::Out)?);
        Ok(came as i64 - went as i64)
    }
    fn owner(&mut self, name: &str) -> Result<Option<String>, Halt> {
        self.0.claim("name/1", name)
    }
}

/// The bank's decision, in events of the product.
fn decide(order: &Order, ledger: &mut Ledger<'_, '_>) -> Result<(), Halt> {
    let effects = order.plan(&mut InLedger(ledger))?;
    for (account, Booked { amount, .. }) in effects.events {
        let part = match amount {
            1.. => Part::In,
            0 => Part::Names,
            _ => Part::Out,
        };
        let number = number(ledger, account, part)? + amount.unsigned_abs().max(1);
        let (chat, person) = (chat(100 + u128::from(account)), person(part as u128));
        let command =
            ReadMarkerCommand { chat, person, wish: read_marker::Wish::Read(number), at: Timestamp(0) };
        let facts = ReadFacts { may_read: true, last_number: u64::MAX, own_last: 0 };
        ledger.decide::<ReadMarker>(stream(account, part), command, &facts)?;
    }
    for (claim, owner) in effects.claims {
        ledger.set_claim("name/1", &claim.key, owner)?;
    }
    Ok(())
}

fn key_of(order: u64) -> Uuid {
    key(order >> 24, order & 0xff_ffff)
}

async fn execute(house: &House, order: &Order) -> Result<Done, Problem> {
    let envelope = house.envelope(0, key_of(order.key), "order", &format!("{:?}", order.wish));
    let order = order.clone();
    house.executor.execute(envelope, move |ledger| decide(&order, ledger)).await
}

async fn open(folder: &Path, url: Option<&str>) -> House {
    let log: Arc<dyn Log> = match url {
        Some(url) => PostgresLog::open(url, Arc::new(Machine)).await.expect("a log"),
        None => SqliteLog::open(&folder.join("log.db")).expect("a log"),
    };
    House::with(folder, log, Arc::new(Machine)).await
}

/// One process of the load, until the file `stop` is there.
#[tokio::main]
async fn child(number: u64, folder: &Path, url: Option<&str>) {
    let house = Arc::new(open(folder, url).await);
    let began = Instant::now();
    let notes = Arc::new(File::create(notes(folder, number)).expect("a file"));
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let (house, notes, stop) = (house.clone(), notes.clone(), stop.clone());
            // The first client of every process goes through the same commands.
            let space = if client == 0 { SHARED } else { (number + 1) * 1_000 + client };
            tokio::spawn(async move { client_of(&house, &notes, &stop, space, began).await })
        })
        .collect();
    while !folder.join("stop").exists() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.expect("a client");
    }
}

async fn client_of(house: &House, notes: &File, stop: &AtomicBool, space: u64, began: Instant) {
    let note = |line: &Line| {
        // In one piece, so that a kill cuts off the last line at most.
        let line = serde_json::to_string(line).expect("JSON") + "\n";
        { notes }.write_all(line.as_bytes()).expect("noted");
    };
    let mut dice = Dice(space);
    let mut sent = 0;
    let mut again = None;
    while !stop.load(Ordering::Relaxed) {
        let order = again.take().unwrap_or_else(|| {
            sent += 1;
            dice.order(space << 24 | sent)
        });
        note(&Line::Asked { order: order.clone(), from: house.log.watch().borrow().position });
        let answer = execute(house, &order).await;
        let told = match &answer {
            Ok(done) if done.events.is_empty() => Told::Nothing,
            Ok(done) => Told::Wrote(done.position),
            Err(problem) if problem.is(Kind::Invalid) => Told::Invalid,
            Err(problem) if problem.is(Kind::NicknameTaken) => Told::Taken,
            Err(problem) if problem.is(Kind::Unavailable) => Told::Unavailable,
            Err(problem) => Told::Other(problem.to_string()),
        };
        let to = match told {
            Told::Nothing | Told::Invalid | Told::Taken => {
                // Out of reach, nothing can be said of what it was.
                house.log.head().await.map_or(u64::MAX, |head| head.position)
            }
            _ => 0,
        };
        let retry = matches!(told, Told::Unavailable) || dice.one_in(20);
        let after = began.elapsed().as_millis() as u64;
        note(&Line::Answered { key: order.key, to, after, told });
        again = retry.then_some(order);
    }
}

fn notes(folder: &Path, child: u64) -> PathBuf {
    folder.join(format!("notes-{child}"))
}

/// The load, as the test that started it sees it.
pub struct Load {
    pub folder: TempDir,
    url: Option<String>,
    children: Vec<Child>,
    log: Arc<dyn Log>,
}

impl Drop for Load {
    fn drop(&mut self) {
        for child in &mut self.children {
            // It may have ended, which is what is wanted.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A signal to one process.
pub fn signal(name: &str, process: u32) {
    let sent = Command::new("kill").args([name, &process.to_string()]).status().expect("kill");
    assert!(sent.success(), "{name} to {process}");
}

impl Load {
    /// On PostgreSQL where a URL is given, else on a file.
    pub async fn start(url: Option<String>) -> Self {
        let folder = TempDir::new().expect("a folder");
        let log = open(folder.path(), url.as_deref()).await.log.clone();
        let mut load = Self { folder, url, children: Vec::new(), log };
        load.one_more();
        load.one_more();
        load
    }

    /// Another process.
    pub fn one_more(&mut self) {
        let mut child = Command::new(std::env::current_exe().expect("this test's binary"));
        child
            .args(["--exact", "load::two_processes_under_load_on_postgres", "--nocapture"])
            .env(FOLDER, self.folder.path())
            .env(CHILD, self.children.len().to_string())
            .stdout(Stdio::null());
        if let Some(url) = &self.url {
            child.env(URL, url);
        }
        self.children.push(child.spawn().expect("a process"));
    }

    pub fn pause(&self, child: usize) {
        signal("-STOP", self.children[child].id());
    }
    pub fn resume(&self, child: usize) {
        signal("-CONT", self.children[child].id());
    }
    pub fn kill(&mut self, child: usize) {
        self.children[child].kill().expect("killed");
        self.children[child].wait().expect("ended");
    }

    /// The head, where it can be read.
    pub async fn head(&self) -> u64 {
        self.log.head().await.map_or(0, |head| head.position)
    }

    /// Waits until `count` more events are in the log, for each anew: a slow machine takes long over many.
    pub async fn writes(&self, count: u64) {
        let (mut came, mut last) = (Instant::now(), 0);
        let mut from = self.head().await;
        loop {
            let head = self.head().await;
            from = if from == 0 { head } else { from };
            if from > 0 && head >= from + count {
                return;
            }
            if head > last {
                (came, last) = (Instant::now(), head);
            }
            assert!(came.elapsed() < PATIENCE, "the log stands at {head} instead of {from} + {count}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// How many answers with these words this process has noted.
    pub fn answers(&self, child: usize, words: &str) -> usize {
        let notes = std::fs::read_to_string(notes(self.folder.path(), child as u64)).unwrap_or_default();
        notes.lines().filter(|line| line.starts_with("{\"Answered\"") && line.contains(words)).count()
    }

    /// Waits until this process notes `count` more of them.
    pub async fn answers_more(&self, child: usize, words: &str, count: usize) {
        let (began, from) = (Instant::now(), self.answers(child, words));
        while self.answers(child, words) < from + count {
            assert!(began.elapsed() < PATIENCE, "process {child} does not get {count} more {words:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn stop(&mut self) {
        File::create(self.folder.path().join("stop")).expect("a file");
        for child in &mut self.children {
            // One that was killed has been waited for.
            child.wait().expect("ended");
        }
    }

    /// Stops all, reads the log, and checks everything that was noted.
    pub async fn check(mut self) -> Vec<Slices> {
        self.stop();
        let mut asked = Asked::default();
        let slices = (0..self.children.len())
            .map(|child| asked.take(&notes(self.folder.path(), child as u64)))
            .collect();
        let recorded = everything(&*self.log).await;
        let house = open(self.folder.path(), self.url.as_deref()).await;
        let rows = asked.rows(&recorded[1..]);
        let claims = claims(&house).await;
        let Asked { orders, acknowledged, mut explained, .. } = asked;
        let end = rows.len() as u64;
        explained.iter_mut().for_each(|claimed| claimed.to = claimed.to.min(end));
        let history = History {
            rows: &rows,
            claims: &claims,
            orders: &orders,
            acknowledged: &acknowledged,
            explained: &explained,
        };
        if let Err(broken) = history.check() {
            panic!("{broken}");
        }
        assert!(!acknowledged.is_empty() && !explained.is_empty(), "something was checked");
        slices
    }
}

/// Answers that a process got for what it wrote, by slice of ten seconds.
pub type Slices = BTreeMap<u64, u64>;

/// What the processes noted. Positions count from the first event after the chronicle's own.
#[derive(Default)]
struct Asked {
    orders: BTreeMap<u64, Order>,
    acknowledged: BTreeMap<u64, u64>,
    explained: Vec<Claimed>,
}

impl Asked {
    fn take(&mut self, notes: &Path) -> Slices {
        // There are none of a process that was killed before it began.
        let notes = match std::fs::read_to_string(notes) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            notes => notes.expect("notes"),
        };
        let (mut slices, mut from) = (Slices::new(), HashMap::new());
        let mut lines = notes.lines().peekable();
        while let Some(line) = lines.next() {
            let line = match serde_json::from_str(line) {
                Ok(line) => line,
                Err(_) if lines.peek().is_none() => break,
                Err(error) => panic!("{line}: {error}"),
            };
            let (key, to, after, told) = match line {
                Line::Asked { order, from: known } => {
                    from.insert(order.key, known.saturating_sub(1));
                    let before = self.orders.insert(order.key, order.clone());
                    assert!(before.is_none_or(|before| before == order), "a key has one order");
                    continue;
                }
                Line::Answered { key, to, after, told } => (key, to.saturating_sub(1), after, told),
            };
            let refused = match told {
                Told::Wrote(position) => {
                    let before = self.acknowledged.insert(key, position - 1);
                    assert!(
                        before.is_none_or(|before| before == position - 1),
                        "command {key} was said to be at {before:?} and at {}",
                        position - 1
                    );
                    *slices.entry(after / SLICE.as_millis() as u64).or_default() += 1;
                    continue;
                }
                Told::Unavailable => continue,
                Told::Other(other) => panic!("command {key} was answered {other}"),
                Told::Nothing => None,
                Told::Invalid => Some(Problem::new(Kind::Invalid)),
                Told::Taken => Some(Problem::new(Kind::NicknameTaken)),
            };
            let order = self.orders[&key].clone();
            self.explained.push(Claimed { order, refused, from: from[&key], to });
        }
        slices
    }

    /// The log in the bank's words.
    fn rows(&self, recorded: &[Recorded]) -> Vec<Row> {
        let keys: HashMap<Uuid, u64> = self.orders.keys().map(|order| (key_of(*order), *order)).collect();
        let parts: HashMap<String, (Account, Part)> = (0..ACCOUNTS)
            .flat_map(|account| PARTS.map(|part| (stream(account, part), (account, part))))
            .collect();
        let mut streams: HashMap<&str, (u64, u64)> = HashMap::new();
        let mut accounts: HashMap<Account, u64> = HashMap::new();
        let mut rows = Vec::with_capacity(recorded.len());
        for event in recorded {
            let metadata = Metadata::decode(&event.metadata).expect("metadata");
            let said = |name| metadata.get(name).expect(name);
            let used: Uuid = said("key").parse().expect("a key");
            let ordinal: u32 = said("ordinal").parse().expect("a number");
            assert_eq!(event.event_id, event_id(said("scope"), used, ordinal), "an id is made of its key");
            let order = *keys.get(&used).expect("an event of nobody's");
            let Ok(Event::ReadMarker(ReadMarkerEvent::ReadUpTo { number, .. })) = event.decode() else {
                panic!("{event:?} is nobody's")
            };
            let (account, part) = parts[&event.aggregate_id];
            let (sequence, before) = streams.entry(&event.aggregate_id).or_default();
            assert_eq!(event.sequence, *sequence + 1, "a stream has no hole");
            let moved = i64::try_from(number - *before).expect("it goes on");
            (*sequence, *before) = (event.sequence, number);
            let (amount, name) = match (part, &self.orders[&order].wish) {
                (Part::In, _) => (moved, None),
                (Part::Out, _) => (-moved, None),
                (Part::Names, Wish::Take { name, .. }) => (0, Some((name.clone(), true))),
                (Part::Names, Wish::GiveUp { name, .. }) => (0, Some((name.clone(), false))),
                (Part::Names, wish) => panic!("{wish:?} has no name"),
            };
            let sequence = accounts.entry(account).or_default();
            *sequence += 1;
            rows.push(Row {
                position: event.position - 1,
                stream: account,
                sequence: *sequence,
                event: Booked { id: id(order, u64::from(ordinal)), amount, name },
            });
        }
        rows
    }
}

async fn claims(house: &House) -> BTreeMap<ClaimKey, String> {
    let mut claims = BTreeMap::new();
    for name in (0..NAMES).map(|number| format!("n{number}")) {
        if let Some(owner) = house.executor.claim("name/1", &name).await.expect("read") {
            claims.insert(claim(&name), owner);
        }
    }
    claims
}

/// No process was held up for ten seconds in which another got on; a machine that stood still held up all.
fn assert_all_got_on(slices: &[Slices], seconds: u64) {
    for slice in 0..(seconds / SLICE.as_secs()).max(1) {
        let got_on = |process: &Slices| process.contains_key(&slice);
        let (all, some) = (slices.iter().all(got_on), slices.iter().any(got_on));
        assert!(all || !some, "in slice {slice} one process got on alone: {slices:?}");
    }
}

#[expect(clippy::disallowed_methods, reason = "how a process is told what it is")]
fn told(variable: &str) -> Option<String> {
    std::env::var(variable).ok()
}

fn under_load(url: Option<String>, seconds: u64) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        // SQLite lets nobody wait in order: on a slow disk one process may be unlucky for long.
        let in_order = url.is_some();
        let load = Load::start(url).await;
        for child in 0..2 {
            load.answers_more(child, "Wrote", 1).await;
        }
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        let slices = load.check().await;
        eprintln!("answers in slices of ten seconds: {slices:?}");
        if in_order {
            assert_all_got_on(&slices, seconds);
        }
    });
}

/// Runs in the test process, which starts itself twice as a process of the load.
#[test]
fn two_processes_under_load_on_postgres() {
    if let (Some(number), Some(folder)) = (told(CHILD), told(FOLDER)) {
        child(number.parse().expect("a number"), Path::new(&folder), told(URL).as_deref());
        return;
    }
    let seconds = told(SECONDS).map_or(60, |seconds| seconds.parse().expect(SECONDS));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let database = runtime.block_on(Postgres::new());
    under_load(Some(database.0.clone()), seconds);
}

#[test]
fn two_processes_under_load_on_sqlite() {
    under_load(None, 5);
}

/// What a process would have noted of an answer that it never should have got.
async fn check_with(told: Told) {
    let mut load = Load::start(None).await;
    load.writes(50).await;
    load.stop();
    let order = Order { key: 77 << 24, wish: Wish::Deposit { to: 0, amount: 1 } };
    let head = load.head().await;
    let lines = [
        Line::Asked { order: order.clone(), from: head },
        Line::Answered { key: order.key, to: head, after: 0, told },
    ];
    let mut notes = File::options().append(true).open(notes(load.folder.path(), 0)).expect("notes");
    for line in lines {
        writeln!(notes, "{}", serde_json::to_string(&line).expect("JSON")).expect("noted");
    }
    load.check().await;
}

#[tokio::test(flavor = "multi_thread")]
#[should_panic(expected = "was lost")]
async fn an_answered_command_that_is_not_in_the_log_is_noticed() {
    check_with(Told::Wrote(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[should_panic(expected = "explains")]
async fn an_answer_that_no_state_of_the_log_explains_is_noticed() {
    check_with(Told::Nothing).await;
}
