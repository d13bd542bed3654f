//! What Elasticsearch adds to the contract: how it is opened, and what its faults come to.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, UNIX_EPOCH};

use elasticsearch::Elasticsearch;
use elasticsearch::cat::CatIndicesParts;
use elasticsearch::http::Method;
use elasticsearch::http::headers::HeaderMap;
use elasticsearch::http::transport::Transport;
use elasticsearch::indices::IndicesDeleteParts;
use serde_json::{Value, json};
use stores::inspect::State;
use stores::search::{Change, Document, Search, SearchQuery};
use stores::{Asked, Batch, Checkpoint, Port, StoreError};
use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::own::Own;
use crate::{PATIENCE, at, carry, engine, fresh, namespace, person};

/// What a run that ended long ago has left in a server that stays.
const LEFT: Duration = Duration::from_secs(1_800);

static SWEPT: OnceCell<()> = OnceCell::const_new();

/// The search of a test.
pub async fn open(folder: &Path) -> Port<dyn Search> {
    SWEPT.get_or_init(sweep).await;
    stores::resolver::search(&url(folder)).await.expect("opened")
}

pub fn url(folder: &Path) -> String {
    format!("{}/{}", engine("ELASTICSEARCH"), namespace(folder))
}

/// The server's own client.
pub fn server() -> Elasticsearch {
    let url = engine("ELASTICSEARCH").replacen("elasticsearch", "http", 1);
    Elasticsearch::new(Transport::single_node(&url).expect("a URL"))
}

/// A server takes a thousand indices at most.
#[expect(clippy::disallowed_methods, reason = "it dates indices by the clock")]
async fn sweep() {
    let server = server();
    let cat = server.cat();
    let found = cat.indices(CatIndicesParts::Index(&["t*-letopis", "t*-search-*"]));
    let found = found.format("json").h(&["index", "creation.date"]).send().await.expect("an answer");
    let found: Vec<Value> = found.json().await.expect("a list");
    let now = std::time::SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    for it in found {
        let made = it["creation.date"].as_str().and_then(|made| made.parse().ok()).expect("when it was made");
        if now.saturating_sub(Duration::from_millis(made)) > LEFT {
            let index = it["index"].as_str().expect("a name");
            server.indices().delete(IndicesDeleteParts::Index(&[index])).send().await.expect("an answer");
        }
    }
}

const HOLDER: Uuid = Uuid::from_u128(1);

fn put(n: u128, nickname: &str, position: u64) -> Change {
    let (nickname, name) = (nickname.to_owned(), String::new());
    Change::Put(Document { user_id: person(n), nickname, name, position })
}

fn of(generation: u64, position: u64) -> Checkpoint {
    Checkpoint { generation, ..at(position, 1) }
}

fn following(change: Change, position: u64, follows: u64) -> Arc<Batch<Change>> {
    let (checkpoint, follows) = (at(position, 1), Some(follows));
    Arc::new(Batch { changes: vec![change], parking: Vec::new(), checkpoint, follows })
}

async fn found(store: &dyn Search, query: &str) -> usize {
    store.candidates(SearchQuery::of(query)).await.expect("an answer").len()
}

/// Asks the server itself; the answer, whatever its status.
async fn ask(method: Method, path: &str, body: Value) -> Value {
    let body = (!body.is_null()).then(|| body.to_string());
    let sent = server().send(method, path, HeaderMap::new(), None::<&()>, body, None).await;
    sent.expect("an answer").json().await.expect("JSON")
}

/// The names of the indices that an expression stands for.
async fn indices(expression: &str) -> Vec<String> {
    let found = ask(Method::Get, &format!("/{expression}?filter_path=*.aliases"), Value::Null).await;
    found.as_object().expect("an object").keys().cloned().collect()
}

#[tokio::test]
async fn the_alias_names_what_is_served_and_what_was_left_goes() {
    let folder = tempfile::tempdir().expect("a folder");
    let (port, name) = (open(folder.path()).await, namespace(folder.path()));
    let (alias, of_number) = (format!("{name}-search"), |n: u64| format!("{name}-search-{n}"));
    port.shelf().take_over(HOLDER, fresh()).await.expect("taken over");
    assert_eq!(indices(&alias).await, [of_number(1)]);
    port.shelf().begin(fresh(), 1, Asked::default()).await.expect("begun");
    assert_eq!(indices(&alias).await, [of_number(1)], "readers see nothing of it");
    port.shelf().switch(2, 1).await.expect("switched");
    assert_eq!(indices(&alias).await, [of_number(2)]);
    port.shelf().discard(1, 1).await.expect("dropped");
    assert_eq!(indices(&format!("{name}-search-*")).await, [of_number(2)]);
}

#[tokio::test]
async fn a_load_is_refreshed_when_it_is_searched_and_later_by_its_writer() {
    let folder = tempfile::tempdir().expect("a folder");
    let (port, name) = (open(folder.path()).await, namespace(folder.path()));
    port.shelf().take_over(HOLDER, fresh()).await.expect("taken over");
    let it = port.shelf().begin(fresh(), 1, Asked::default()).await.expect("begun").model;
    let path = format!("/{name}-search-2/_count?q=user_id:*");
    let shown = async || ask(Method::Get, &path, Value::Null).await["count"].as_u64().expect("a count");
    carry(&*it, vec![put(1, "ann", 7)], of(2, 7)).await;
    assert_eq!(shown().await, 0, "a load refreshes nothing");
    assert_eq!(found(&*it, "ann").await, 1, "a search in it does");
    it.index().await.expect("indexed");
    carry(&*it, vec![put(2, "bob", 8)], of(2, 8)).await;
    assert_eq!(shown().await, 2, "whoever serves shows what it writes");
}

#[tokio::test]
async fn an_older_copy_is_met_as_such_and_carried_on_from() {
    let folder = tempfile::tempdir().expect("a folder");
    let (port, index) = (open(folder.path()).await, format!("{}-search-1", namespace(folder.path())));
    let store = port.serving();
    store.take_over(fresh()).await.expect("taken over");
    store.put(following(put(1, "ann", 7), 7, 0)).await.expect("written");
    // As a snapshot that is restored: the index as it was, with its alias.
    let (kept, rows) = (format!("{index}-kept"), format!("{index}-rows"));
    let block = |on: bool| json!({ "index.blocks.write": on });
    let unblocked = json!({ "settings": block(false), "aliases": { rows: {} } });
    ask(Method::Put, &format!("/{index}/_settings"), block(true)).await;
    ask(Method::Post, &format!("/{index}/_clone/{kept}"), json!({ "settings": block(true) })).await;
    ask(Method::Put, &format!("/{index}/_settings"), block(false)).await;
    store.put(following(put(2, "bob", 8), 8, 7)).await.expect("written");
    ask(Method::Delete, &format!("/{index}"), Value::Null).await;
    ask(Method::Post, &format!("/{kept}/_clone/{index}"), unblocked).await;

    let met = store.put(following(put(3, "zoe", 9), 9, 8)).await;
    assert!(matches!(met, Err(StoreError::WentBack { expected: 8, held: 7, .. })), "{met:?}");
    assert_eq!(found(&*store, "zoe").await, 0, "nothing was written");
    assert_eq!(store.take_over(fresh()).await.expect("taken over"), at(7, 2));
    carry(&*store, vec![put(2, "bob", 8), put(3, "zoe", 9)], at(9, 2)).await;
    assert_eq!((found(&*store, "bob").await, found(&*store, "zoe").await), (1, 1));
}

#[tokio::test]
async fn an_index_that_somebody_deletes_is_damage_and_a_rebuild_cures_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let (port, name) = (open(folder.path()).await, namespace(folder.path()));
    let (damage, store) = (port.damage(), port.serving());
    port.shelf().take_over(HOLDER, fresh()).await.expect("taken over");
    carry(&*store, vec![put(1, "ann", 7)], at(7, 1)).await;
    assert_eq!(damage(), None);
    ask(Method::Delete, &format!("/{name}-search-1"), Value::Null).await;
    for met in [
        store.write(vec![put(2, "bob", 8)], at(8, 1)).await.err(),
        store.candidates(SearchQuery::of("ann")).await.err(),
        store.documents(&[person(1)]).await.err(),
        store.checkpoint().await.err(),
    ] {
        assert!(matches!(met, Some(StoreError::Damaged { .. })), "{met:?}");
    }
    assert!(damage().is_some_and(|why| why.contains("index_not_found")));
    let next = port.shelf().begin(fresh(), 1, Asked::default()).await.expect("begun");
    carry(&*next.model, vec![put(1, "ann", 7)], of(2, 7)).await;
    port.shelf().switch(2, 1).await.expect("switched");
    assert_eq!((found(&*port.serving(), "ann").await, damage()), (1, None));
}

/// A write to an index that has just been dropped would make one that nobody described.
#[tokio::test]
async fn a_late_write_makes_no_index() {
    let folder = tempfile::tempdir().expect("a folder");
    let (port, name) = (open(folder.path()).await, namespace(folder.path()));
    let store = port.serving();
    store.take_over(fresh()).await.expect("taken over");
    let rows = format!("{name}-search-1-rows");
    // The checkpoint is still read; the rows have nowhere to go.
    ask(Method::Delete, &format!("/{name}-search-1/_alias/{rows}"), Value::Null).await;
    let met = store.write(vec![put(1, "ann", 7)], at(7, 1)).await;
    assert!(matches!(met, Err(StoreError::Damaged { .. })), "{met:?}");
    assert_eq!(indices(&format!("{name}-*")).await, [format!("{name}-letopis"), format!("{name}-search-1")]);
}

#[tokio::test]
async fn a_server_without_room_says_what_to_do_and_goes_on_afterwards() {
    let folder = tempfile::tempdir().expect("a folder");
    let (port, name) = (open(folder.path()).await, namespace(folder.path()));
    let store = port.serving();
    store.take_over(fresh()).await.expect("taken over");
    let block = async |on: Value| {
        let settings = json!({ "index.blocks.read_only_allow_delete": on });
        ask(Method::Put, &format!("/{name}-search-1/_settings"), settings).await
    };
    // What the server does itself at its flood stage.
    block(true.into()).await;
    let met = store.write(vec![put(1, "ann", 7)], at(7, 1)).await;
    assert!(
        matches!(&met, Err(StoreError::Engine { message, .. }) if message.contains("make room")),
        "{met:?}"
    );
    assert_eq!(found(&*store, "ann").await, 0, "it is searched meanwhile");
    let looked = stores::inspect::inspect("search", &url(folder.path())).await.expect("it is on the network");
    let settings = looked.iter().find(|it| it.name == "settings").expect("looked at");
    assert_eq!(settings.state, State::Problem, "{settings:?}");
    assert!(settings.advice.as_ref().is_some_and(|advice| advice.contains("make room")), "{settings:?}");
    block(Value::Null).await;
    carry(&*store, vec![put(1, "ann", 7)], at(7, 1)).await;
    assert_eq!(found(&*store, "ann").await, 1);
}

#[tokio::test]
async fn a_look_finds_all_well_and_an_alias_out_of_step() {
    let folder = tempfile::tempdir().expect("a folder");
    let (port, name) = (open(folder.path()).await, namespace(folder.path()));
    port.shelf().take_over(HOLDER, fresh()).await.expect("taken over");
    let look = async || {
        let looked = stores::inspect::inspect("search", &url(folder.path())).await.expect("on the network");
        let names: Vec<_> = looked.iter().map(|it| it.name).collect();
        assert_eq!(names, ["version", "health", "settings", "privileges", "alias"]);
        looked.into_iter().filter(|it| it.state != State::Ok).collect::<Vec<_>>()
    };
    assert_eq!(look().await, []);
    ask(Method::Delete, &format!("/{name}-search-1/_alias/{name}-search"), Value::Null).await;
    let odd = look().await;
    assert!(matches!(&odd[..], [it] if it.name == "alias" && it.state == State::Warning), "{odd:?}");
    drop((port, open(folder.path()).await.shelf().take_over(HOLDER, fresh()).await.expect("taken over")));
    assert_eq!(look().await, [], "a restart puts it right");
    let peeked = stores::peek::peek("search", &url(folder.path())).await.expect("read").expect("made");
    assert_eq!((peeked.generation, peeked.parked), (1, 0));
}

#[tokio::test]
async fn a_server_that_is_away_is_refused_by_name_and_without_secrets() {
    // Nobody listens there: the port was given to this process and is free again.
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("it");
    let url = format!("elasticsearch://ann:secret@{free}/x");
    let Err(StoreError::Refused(why)) = stores::resolver::search(&url).await else { panic!("it is away") };
    assert!(why.contains("LETOPIS_SEARCH_URL") && why.contains(&free.to_string()), "{why}");
    assert!(!why.contains("secret"), "{why}");
    let looked = stores::inspect::inspect("search", &url).await.expect("on the network");
    assert!(matches!(&looked[..], [it] if it.state == State::Problem), "{looked:?}");
    assert!(!format!("{looked:?}").contains("secret"));
}

/// People that are written at once: in several requests.
const CROWD: u64 = 4_000;

/// The `n`th crowd, whose last change has the position that is answered.
fn crowd(n: u64) -> (Vec<Change>, u64) {
    let positions = (n - 1) * CROWD + 1..=n * CROWD;
    (positions.map(|p| put(u128::from(p), &format!("person{p}"), p)).collect(), n * CROWD)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_amid_a_write_loses_nothing_that_was_answered() {
    let own = Own::start("elasticsearch").await;
    let url = format!("{}/own", own.url().await);
    let port = stores::resolver::search(&url).await.expect("opened");
    port.shelf().take_over(HOLDER, fresh()).await.expect("taken over");
    let store = port.serving();
    store.index().await.expect("indexed");
    let (written, killed) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let writing = tokio::spawn({
        let (store, written, killed) = (store.clone(), written.clone(), killed.clone());
        async move {
            for n in 1.. {
                let (changes, position) = crowd(n);
                // A server that is slow is asked again, and one that is gone is not.
                while store.write(changes.clone(), at(position, 1)).await.is_err() {
                    if killed.load(Ordering::SeqCst) {
                        return;
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                written.store(n, Ordering::SeqCst);
            }
        }
    });
    let began = Instant::now();
    while written.load(Ordering::SeqCst) < 2 {
        assert!(!writing.is_finished() && began.elapsed() < PATIENCE * 4, "nothing is written");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    own.kill().await;
    killed.store(true, Ordering::SeqCst);
    writing.await.expect("it ends with the server");
    let answered = written.load(Ordering::SeqCst);
    let away = store.candidates(SearchQuery::of("person")).await;
    assert!(matches!(away, Err(StoreError::Engine { .. })), "{away:?}");
    own.up().await;

    let began = Instant::now();
    let held = loop {
        // The breaker, and the shards, take their time.
        match port.shelf().take_over(HOLDER, fresh()).await {
            Ok(held) => break held.serving.expect("it can be read").checkpoint,
            Err(error) => {
                assert!(matches!(error, StoreError::Engine { .. }) && began.elapsed() < PATIENCE, "{error}");
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let kept = held.position / CROWD;
    assert!(kept == answered || kept == answered + 1, "{answered} were answered, {kept} are there");
    let last = answered + 2;
    for n in kept + 1..=last {
        let (changes, position) = crowd(n);
        carry(&*store, changes, at(position, 2)).await;
    }
    let replayed = port.shelf().begin(fresh(), 2, Asked::default()).await.expect("begun");
    for n in 1..=last {
        let (changes, position) = crowd(n);
        let checkpoint = Checkpoint { generation: 2, ..at(position, 2) };
        carry(&*replayed.model, changes, checkpoint).await;
    }
    let sum = async |of: &dyn Search| of.summary().await.expect("a snapshot").await.expect("a sum");
    let (rows, replay) = (sum(&*store).await, sum(&*replayed.model).await);
    assert_eq!(rows.tables["documents"].count, last * CROWD);
    assert_eq!(rows.differences(&replay), Vec::<String>::new());
}
