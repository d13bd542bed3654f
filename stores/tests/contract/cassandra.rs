//! What Cassandra adds to the contract: a keyspace a test, which goes with it.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use domain::Timestamp;
use domain::ids::MessageId;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use stores::inspect::State;
use stores::timeline::{Change, Keep, MessageQuery, MessageRow, Timeline, Touch};
use stores::{Asked, Batch, Checkpoint, Port, StoreError};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Instrument, Metadata, Subscriber};
use uuid::Uuid;

use crate::timeline::rows;
use crate::{at, carry, chat, engine, fresh, namespace, person, sealed};

/// The keyspace of a test: dropped at its end, since a server's memory holds few tables.
#[derive(Default)]
pub struct Keyspace(OnceLock<String>);

impl Keyspace {
    pub async fn open(&self, folder: &Path) -> Port<dyn Timeline> {
        stores::resolver::timeline(&self.url(folder)).await.expect("opened")
    }

    pub fn url(&self, folder: &Path) -> String {
        let name = self.0.get_or_init(|| namespace(folder));
        format!("{}/{name}", engine("CASSANDRA"))
    }
}

impl Drop for Keyspace {
    fn drop(&mut self) {
        let Some(name) = self.0.take() else { return };
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let drop = format!("DROP KEYSPACE IF EXISTS {name}");
                server().await.query_unpaged(drop, ()).await.expect("dropped");
            });
        });
        // A test that has failed says why by itself.
        let _ = dropping.join();
    }
}

/// The server's own client.
pub async fn server() -> Session {
    let url = engine("CASSANDRA");
    let address = url.strip_prefix("cassandra://").expect("a URL").to_owned();
    SessionBuilder::new().known_node(address).fetch_schema_metadata(false).build().await.expect("connected")
}

/// Counts what the adapter reads for what is [`asked`]: questions and rows. A question is a slice of one partition in
/// the order of its key, so what it answers is what was read for it.
#[derive(Clone, Default)]
struct Reads {
    counts: Arc<Mutex<(u64, u64)>>,
    /// Spans that are entered: the checkpoint, which settles by itself on the same thread, is in none.
    depth: Arc<AtomicUsize>,
}

impl Reads {
    /// What was read since this was asked last.
    fn take(&self) -> (u64, u64) {
        std::mem::take(&mut *self.counts.lock().expect("nobody panicked"))
    }
}

/// The answer to what the test asks, whose reads count.
async fn asked<T>(question: impl Future<Output = stores::Result<T>>) -> T {
    question.instrument(tracing::info_span!("asked")).await.expect("an answer")
}

impl Subscriber for Reads {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "stores::cassandra::read" || metadata.name() == "asked"
    }
    fn event(&self, event: &Event<'_>) {
        struct Rows(u64);
        impl Visit for Rows {
            fn record_u64(&mut self, _: &Field, rows: u64) {
                self.0 = rows;
            }
            fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
        }
        if self.depth.load(Ordering::Relaxed) == 0 {
            return;
        }
        let mut rows = Rows(0);
        event.record(&mut rows);
        let mut all = self.counts.lock().expect("nobody panicked");
        *all = (all.0 + 1, all.1 + rows.0);
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {
        self.depth.fetch_add(1, Ordering::Relaxed);
    }
    fn exit(&self, _: &Id) {
        self.depth.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Message `number` of a chat that has one a second.
fn message(n: u128, number: u64, position: u64) -> Change {
    let row = rows::message(number, 1, position);
    Change::Sent(MessageRow { chat_id: chat(n), sent_at: second(number), ..row })
}

/// A chat that began at 1 s and has a message a second.
async fn talked(store: &dyn Timeline, n: u128, from: u64, messages: u64, position: u64) {
    let numbers: Vec<u64> = (from..=messages).collect();
    for numbers in numbers.chunks(5_000) {
        let changes = numbers.iter().map(|number| message(n, *number, position + number)).collect();
        carry(store, changes, at(position + numbers[numbers.len() - 1], 1)).await;
    }
}

fn second(n: u64) -> Timestamp {
    Timestamp(n as i64 * 1_000_000)
}

/// Asks for everything that a screen asks of a chat around `number`; what was read for each.
async fn looked(store: &dyn Timeline, n: u128, number: u64, last: u64) -> Vec<(&'static str, u64, u64)> {
    let reads = Reads::default();
    let _reads = tracing::subscriber::set_default(reads.clone());
    let all = MessageQuery { from: None, to: None, before: None, after: None, keep: Keep::Oldest, limit: 50 };
    let mut counts = Vec::new();
    let mut count = |what| {
        let (questions, rows) = reads.take();
        counts.push((what, questions, rows));
    };
    let numbers = async |query| {
        let found = asked(store.messages(chat(n), query)).await;
        found.iter().map(|it| it.number).collect::<Vec<_>>()
    };
    let period = MessageQuery { from: Some(second(number)), to: Some(second(number + 50)), ..all.clone() };
    assert_eq!(numbers(period).await, (number..number + 50).collect::<Vec<_>>());
    count("period");
    let nobody = MessageQuery { from: Some(second(last + 1)), ..all.clone() };
    assert!(numbers(nobody).await.is_empty());
    count("period without a message");
    let newest = MessageQuery { keep: Keep::Newest, ..all.clone() };
    assert_eq!(numbers(newest).await, (last - 49..=last).collect::<Vec<_>>());
    count("newest page");
    let before = MessageQuery { before: Some(number), keep: Keep::Newest, ..all.clone() };
    assert_eq!(numbers(before).await, (number - 50..number).collect::<Vec<_>>());
    count("page before");
    let after = MessageQuery { after: Some(number), ..all };
    assert_eq!(numbers(after).await, (number + 1..=number + 50).collect::<Vec<_>>());
    count("page after");
    assert!(asked(store.message(chat(n), number)).await.is_some());
    count("message");
    let feed = asked(store.feed_since(chat(n), at_number(n, last - 3), 100)).await;
    assert_eq!((feed.complete, feed.entries.len()), (true, 3));
    count("feed");
    counts
}

/// Positions of the two chats don't meet.
fn at_number(n: u128, number: u64) -> u64 {
    n as u64 * 10_000_000 + number
}

/// How long the longer chat is; a million by hand.
const LONG: u64 = 100_000;

#[tokio::test]
async fn a_page_and_a_period_read_as_much_of_a_long_chat_as_of_a_short_one() {
    let (folder, keyspace) = (tempfile::tempdir().expect("a folder"), Keyspace::default());
    let store = keyspace.open(folder.path()).await.serving();
    store.take_over(fresh()).await.expect("taken over");
    talked(&*store, 1, 1, 1_000, at_number(1, 0)).await;
    talked(&*store, 2, 1, LONG, at_number(2, 0)).await;
    let (short, long) =
        (looked(&*store, 1, 600, 1_000).await, looked(&*store, 2, LONG / 2 + 600, LONG).await);
    assert_eq!(short, long);
    assert_eq!(short[0].0, "period");
    for (what, questions, rows) in short {
        assert!((1..=8).contains(&questions) && rows <= 190, "{what}: {questions} questions, {rows} rows");
    }
}

#[tokio::test]
async fn a_message_a_year_costs_no_look_into_the_years_between() {
    let (folder, keyspace) = (tempfile::tempdir().expect("a folder"), Keyspace::default());
    let store = keyspace.open(folder.path()).await.serving();
    store.take_over(fresh()).await.expect("taken over");
    const YEAR: i64 = 365 * 24 * 3_600 * 1_000_000;
    let yearly = (1..=10).map(|number: u64| {
        Change::Sent(MessageRow {
            chat_id: chat(1),
            number,
            message_id: MessageId(Uuid::from_u128(u128::from(number))),
            author: person(1),
            text: sealed("again", number),
            sent_at: Timestamp(number as i64 * YEAR),
            reply_to: None,
            attachments: Vec::new(),
            forwarded_from: None,
            lines: 1,
            position: number,
            touch: Touch::default(),
        })
    });
    carry(&*store, yearly.collect(), at(10, 1)).await;
    let reads = Reads::default();
    let subscribed = tracing::subscriber::set_default(reads.clone());
    let (from, to) = (Some(Timestamp(2 * YEAR)), Some(Timestamp(9 * YEAR)));
    let decade = MessageQuery { from, to, before: None, after: None, keep: Keep::Oldest, limit: 50 };
    let found = asked(store.messages(chat(1), decade)).await;
    assert_eq!(found.iter().map(|it| it.number).collect::<Vec<_>>(), (2..9).collect::<Vec<_>>());
    let (questions, rows) = reads.take();
    assert!((1..=8).contains(&questions) && rows <= 40, "{questions} questions, {rows} rows");
    drop(subscribed);
}

#[tokio::test]
async fn doctor_finds_what_an_operator_should_know() {
    let (folder, keyspace) = (tempfile::tempdir().expect("a folder"), Keyspace::default());
    let url = keyspace.url(folder.path());
    let found = stores::inspect::inspect("timeline", &url).await.expect("an engine on the network");
    assert!(found.iter().all(|it| it.state == State::Ok), "{found:?}");
    assert_eq!(stores::peek::peek("timeline", &url).await.expect("an answer").map(|it| it.generation), None);
    drop(keyspace.open(folder.path()).await);
    let found = stores::inspect::inspect("timeline", &url).await.expect("an engine on the network");
    let single = found.iter().find(|it| it.name == "keyspace").expect("it was looked at");
    assert!(single.state == State::Warning && single.said.contains("SimpleStrategy"), "{single:?}");
    let peeked = stores::peek::peek("timeline", &url).await.expect("an answer").expect("it was made");
    assert_eq!((peeked.generation, peeked.checkpoint, peeked.parked), (1, None, 0));
    let away = "cassandra://ann:secret@127.0.0.1:1/letopis";
    let found = stores::inspect::inspect("timeline", away).await.expect("an engine on the network");
    assert!(found[0].state == State::Problem && !format!("{found:?}").contains("secret"), "{found:?}");
    let refused = stores::resolver::timeline(away).await.err().map(|error| error.to_string());
    let refused = refused.expect("nobody is there");
    assert!(refused.contains("LETOPIS_TIMELINE_URL") && refused.contains("127.0.0.1:1"), "{refused}");
    assert!(!refused.contains("secret"), "{refused}");
}

/// As after a power cut that the checkpoint has outlived: rows that were acknowledged are gone, and the
/// servers are in another life.
#[tokio::test]
async fn rows_that_a_server_lost_are_written_again_from_what_is_safe() {
    let (folder, keyspace) = (tempfile::tempdir().expect("a folder"), Keyspace::default());
    let port = keyspace.open(folder.path()).await;
    let model = port.shelf().take_over(Uuid::from_u128(7), fresh()).await.expect("taken over").serving;
    let model = model.expect("it can be read").model;
    talked(&*model, 1, 1, 2, 0).await;
    let (name, server) = (keyspace.0.get().expect("it was opened").clone(), server().await);
    let ask = async |cql: String| server.query_unpaged(cql, ()).await.expect("it answers");
    talked(&*model, 1, 3, 5, 0).await;
    assert_eq!(model.checkpoint().await.expect("an answer").map(|it| it.position), Some(5));
    ask(format!("TRUNCATE {name}.messages_1")).await;
    let nodes = ask(format!("SELECT nodes FROM {name}.checkpoints WHERE generation = 1")).await;
    let nodes = nodes.into_rows_result().expect("rows").single_row::<(String,)>().expect("a row").0;
    let mut lives: std::collections::BTreeMap<String, i32> = serde_json::from_str(&nodes).expect("JSON");
    lives.values_mut().for_each(|life| *life -= 1);
    let lives = serde_json::to_string(&lives).expect("JSON");
    let safe = at(2, 1).event_id.expect("an event");
    ask(format!(
        "UPDATE {name}.checkpoints SET safe_position = 2, safe_event_id = {safe}, nodes = '{lives}' \
         WHERE generation = 1"
    ))
    .await;

    assert_eq!(model.checkpoint().await.expect("an answer").map(|it| it.position), Some(2));
    let batch = Batch { changes: Vec::new(), parking: Vec::new(), checkpoint: at(6, 1), follows: Some(5) };
    let refused = model.put(Arc::new(batch)).await;
    assert!(matches!(refused, Err(StoreError::WentBack { expected: 5, held: 2, .. })), "{refused:?}");
    let held = port.shelf().take_over(Uuid::from_u128(7), fresh()).await.expect("taken over anew");
    let serving = held.serving.expect("it can be read");
    assert_eq!(serving.checkpoint.position, 2);
    let again: Vec<Change> = (3..=5).map(|number| message(1, number, number)).collect();
    let batch = Batch {
        changes: again,
        parking: Vec::new(),
        checkpoint: Checkpoint { epoch: held.epoch, ..at(5, 1) },
        follows: Some(2),
    };
    serving.model.put(Arc::new(batch)).await.expect("written again");
    for number in 3..=5 {
        assert!(serving.model.message(chat(1), number).await.expect("an answer").is_some(), "{number}");
    }
}

/// A writer that stood still while another took over, built anew and dropped what was before.
#[tokio::test]
async fn a_writer_whose_tables_were_dropped_meanwhile_gives_way() {
    let (folder, keyspace) = (tempfile::tempdir().expect("a folder"), Keyspace::default());
    let (one, two) = (keyspace.open(folder.path()).await, keyspace.open(folder.path()).await);
    let held = one.shelf().take_over(Uuid::from_u128(1), fresh()).await.expect("taken over");
    let asleep = held.serving.expect("it can be read").model;
    talked(&*asleep, 1, 1, 3, 0).await;
    let held = two.shelf().take_over(Uuid::from_u128(2), fresh()).await.expect("taken over");
    let next = two.shelf().begin(fresh(), held.epoch, Asked::default()).await.expect("begun");
    two.shelf().switch(next.number, held.epoch).await.expect("switched");
    two.shelf().discard(1, held.epoch).await.expect("dropped");
    let late = asleep.write(vec![message(1, 4, 4)], at(4, 1)).await;
    assert!(matches!(late, Err(StoreError::StaleEpoch { mine: 1, .. })), "{late:?}");
}

#[tokio::test]
async fn a_keyspace_that_was_dropped_is_begun_anew() {
    let (folder, keyspace) = (tempfile::tempdir().expect("a folder"), Keyspace::default());
    let port = keyspace.open(folder.path()).await;
    let node = Uuid::from_u128(7);
    let held = port.shelf().take_over(node, fresh()).await.expect("taken over");
    let model = held.serving.expect("it can be read").model;
    talked(&*model, 1, 1, 3, 0).await;
    let name = keyspace.0.get().expect("it was opened").clone();
    server().await.query_unpaged(format!("DROP KEYSPACE {name}"), ()).await.expect("dropped");
    assert_eq!(model.checkpoint().await.expect("an answer"), None);
    let held = port.shelf().take_over(node, fresh()).await.expect("taken over anew");
    let serving = held.serving.expect("it can be read");
    assert_eq!(serving.checkpoint.position, 0);
    assert!(serving.model.message(chat(1), 3).await.expect("an answer").is_none());
    let written = serving.model.write(Vec::new(), Checkpoint { epoch: held.epoch, ..at(3, 1) }).await;
    written.expect("its writer goes on");
}
