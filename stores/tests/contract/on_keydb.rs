//! What KeyDB adds to the contract: how it is opened, and what its faults come to.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use domain::Timestamp;
use domain::live::{Ids, What};
use stores::live::{Notice, Received};
use stores::sessions::{Change, SessionRow, SessionState};
use stores::{Batch, StoreError};
use tokio::time::timeout;
use uuid::Uuid;

use crate::own::free_ports;
use crate::{PATIENCE, at, engine, fresh, namespace, person, sealed, session};

pub fn url(folder: &Path) -> String {
    format!("{}?prefix={}", engine("KEYDB"), namespace(folder))
}

/// A server of the test's own, killed with it.
struct Server {
    folder: tempfile::TempDir,
    port: u16,
    settings: &'static [&'static str],
    running: Option<Child>,
}

impl Server {
    async fn start(settings: &'static [&'static str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut server = Self { folder, port: free_ports(), settings, running: None };
        server.run().await;
        server
    }

    async fn run(&mut self) {
        let port = self.port.to_string();
        let folder = self.folder.path().to_string_lossy().into_owned();
        let run = |program: &str| {
            Command::new(program)
                .args(["--bind", "127.0.0.1", "--port", &port, "--dir", &folder, "--save", ""])
                .args(["--appendonly", "yes", "--appendfsync", "always"])
                .args(self.settings)
                .stdout(Stdio::null())
                .spawn()
        };
        let running = ["keydb-server", "redis-server", "valkey-server"].iter().find_map(|it| run(it).ok());
        self.running = Some(running.expect("keydb-server, redis-server or valkey-server on the PATH"));
        let connects = async {
            while tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, connects).await.expect("it answers");
    }

    fn kill(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.kill().expect("killed");
            running.wait().expect("ended");
        }
    }

    fn url(&self) -> String {
        format!("keydb://127.0.0.1:{}", self.port)
    }

    /// Copies the files of one that does not run.
    fn copy(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut copied = Vec::new();
        let mut folders = vec![self.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    copied.push((path.clone(), std::fs::read(&path).expect("read")));
                }
            }
        }
        copied
    }

    fn restore(&self, copied: &[(PathBuf, Vec<u8>)]) {
        for (path, _) in self.copy() {
            std::fs::remove_file(path).expect("removed");
        }
        for (path, bytes) in copied {
            std::fs::write(path, bytes).expect("written");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn started(position: u64) -> Change {
    Change::Started(SessionRow {
        session_id: session(1),
        person: person(1),
        method: "password".into(),
        device: sealed("device", position),
        address: sealed("address", position),
        started_at: Timestamp(1),
        refreshed_at: Timestamp(1),
        generation: 1,
        position,
    })
}

fn ended(position: u64) -> Change {
    Change::Ended { session_id: session(1), person: person(1), until: Timestamp(9), position }
}

/// Waits until the engine answers again.
async fn back<T, F: Future<Output = stores::Result<T>>>(mut ask: impl FnMut() -> F) -> T {
    let asked = async {
        loop {
            match ask().await {
                Ok(answer) => return answer,
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    };
    timeout(PATIENCE, asked).await.expect("it comes back")
}

#[tokio::test]
async fn a_revocation_stays_one_where_the_server_is_given_an_older_copy() {
    let mut server = Server::start(&[]).await;
    let port = stores::resolver::sessions(&server.url()).await.expect("opened");
    let held = port.shelf().take_over(Uuid::from_u128(1), fresh()).await.expect("taken over");
    let writer = held.serving.expect("it can be read").model;
    writer.write(vec![started(99)], at(99, 1)).await.expect("written");
    let reader = port.serving();
    assert!(matches!(reader.session(session(1)).await, Ok(SessionState::Live(_))));
    server.kill();
    let older = server.copy();
    server.run().await;
    back(|| writer.checkpoint()).await;
    writer.write(vec![ended(100)], at(100, 1)).await.expect("written");

    server.kill();
    server.restore(&older);
    server.run().await;
    assert_eq!(back(|| writer.checkpoint()).await.expect("a checkpoint").position, 99);
    let answer = reader.session(session(1)).await;
    assert!(
        matches!(&answer, Err(StoreError::Engine { message, .. }) if message.contains("went back")),
        "{answer:?}"
    );
    assert!(reader.sessions_of(person(1)).await.is_err());
    // The writer learns of it, too, and brings it back.
    let on = |follows| {
        let (changes, parking, checkpoint) = (vec![ended(100)], Vec::new(), at(101, 1));
        Arc::new(Batch { changes, parking, checkpoint, follows })
    };
    let refused = writer.put(on(Some(100))).await;
    assert!(matches!(refused, Err(StoreError::WentBack { expected: 100, held: 99, .. })), "{refused:?}");
    writer.put(on(Some(99))).await.expect("written");
    assert_eq!(reader.session(session(1)).await.expect("an answer"), SessionState::Ended);
}

#[tokio::test]
async fn what_follows_another_position_is_refused_whole() {
    // So much at once keeps a server that others use from answering them, and the other way round.
    let server = Server::start(&[]).await;
    let port = stores::resolver::sessions(&server.url()).await.expect("opened");
    let store = port.serving();
    store.take_over(fresh()).await.expect("taken over");
    // More than one script's worth, which ends with the revocation.
    let changes: Vec<Change> = (1..=4_500).map(started).chain([ended(4_501)]).collect();
    let batch = |follows| {
        let (changes, parking, checkpoint) = (changes.clone(), Vec::new(), at(4_501, 1));
        Arc::new(Batch { changes, parking, checkpoint, follows })
    };
    let refused = store.put(batch(Some(7))).await;
    assert!(matches!(refused, Err(StoreError::WentBack { expected: 7, held: 0, .. })), "{refused:?}");
    assert_eq!(store.session(session(1)).await.expect("an answer"), SessionState::Unknown);
    store.put(batch(Some(0))).await.expect("written");
    assert_eq!(store.session(session(1)).await.expect("an answer"), SessionState::Ended);
}

#[tokio::test]
async fn numbers_keep_all_their_digits() {
    let folder = tempfile::tempdir().expect("a folder");
    let port = stores::resolver::sessions(&url(folder.path())).await.expect("opened");
    let store = port.serving();
    store.take_over(fresh()).await.expect("taken over");
    // Microseconds of the year 2100, and positions that differ in the last digit.
    let (time, position) = (4_102_444_800_123_457, 9_007_199_254_740_001);
    let Change::Started(mut row) = started(position) else { unreachable!() };
    (row.started_at, row.refreshed_at) = (Timestamp(time), Timestamp(time));
    store.write(vec![Change::Started(row.clone())], at(position, 1)).await.expect("written");
    assert_eq!(store.checkpoint().await.expect("an answer").expect("it").position, position);
    store.write(vec![ended(position - 1)], at(position, 1)).await.expect("written");
    assert_eq!(store.session(session(1)).await.expect("an answer"), SessionState::Live(row.clone()));
    let forget = |before| Change::Forget {
        now: Timestamp(0),
        started_before: Timestamp(before),
        refreshed_before: Timestamp(0),
    };
    store.write(vec![forget(time)], at(position, 1)).await.expect("written");
    assert_eq!(store.session(session(1)).await.expect("an answer"), SessionState::Live(row));
    store.write(vec![forget(time + 1)], at(position, 1)).await.expect("written");
    assert_eq!(store.session(session(1)).await.expect("an answer"), SessionState::Unknown);
}

#[tokio::test]
async fn a_server_that_may_evict_rows_is_refused_with_what_to_do() {
    let server = Server::start(&["--maxmemory-policy", "allkeys-lru"]).await;
    let refused = stores::resolver::sessions(&server.url()).await.err().map(|error| error.to_string());
    let why = refused.expect("it must be refused");
    for word in ["LETOPIS_SESSIONS_URL", "allkeys-lru", "CONFIG SET maxmemory-policy noeviction"] {
        assert!(why.contains(word), "{why}");
    }
    let found = stores::inspect::inspect("sessions", &server.url()).await.expect("it is no embedded one");
    let settings = found.iter().find(|it| it.name == "settings").expect("looked at");
    assert_eq!(settings.state, stores::inspect::State::Problem);
}

#[tokio::test]
async fn one_that_is_well_is_said_to_be() {
    let server = Server::start(&[]).await;
    let found = stores::inspect::inspect("live", &server.url()).await.expect("it is no embedded one");
    assert!(found.iter().all(|it| it.state == stores::inspect::State::Ok), "{found:?}");
    let names: Vec<_> = found.iter().map(|it| it.name).collect();
    assert_eq!(names, ["version", "settings", "durability", "permissions", "channels"]);
}

#[tokio::test]
async fn the_rights_that_the_docs_list_are_enough_and_fewer_are_told() {
    let server = Server::start(&[]).await;
    let rights = "~letopis:* &letopis:* +@read +@write +@scripting +@pubsub +@connection +time";
    let admin = redis::Client::open(format!("redis://127.0.0.1:{}", server.port)).expect("a URL");
    let mut admin = admin.get_multiplexed_async_connection().await.expect("connected");
    for (name, more) in
        [("whole", "+info +config|get"), ("discreet", ""), ("reader", "+info +config|get -@write")]
    {
        let mut user = redis::cmd("ACL");
        user.arg("SETUSER").arg(name).arg("on").arg(">pass").arg("resetchannels");
        user.arg(rights.split(' ').chain(more.split_whitespace()).collect::<Vec<_>>());
        user.exec_async(&mut admin).await.expect("a user");
    }
    let url = |name: &str| format!("keydb://{name}:pass@127.0.0.1:{}", server.port);
    let state = async |name: &str| {
        let found = stores::inspect::inspect("sessions", &url(name)).await.expect("it is no embedded one");
        found.into_iter().find(|it| it.state != stores::inspect::State::Ok).map(|it| (it.name, it.state))
    };
    for name in ["whole", "discreet"] {
        let port = stores::resolver::sessions(&url(name)).await.expect("opened");
        let held = port.shelf().take_over(Uuid::from_u128(1), fresh()).await.expect("taken over");
        let writer = held.serving.expect("it can be read").model;
        writer.write(vec![ended(1)], at(1, held.epoch)).await.expect("written");
        writer.summary().await.expect("a snapshot").await.expect("a summary");
        port.shelf().begin(fresh(), held.epoch, Default::default()).await.expect("begun");
        let number = port.shelf().lease().await.expect("a lease").serving + 1;
        let _ = port.shelf().discard(number, held.epoch).await;
        let live = stores::resolver::live(&url(name)).await.expect("opened");
        let mut subscription = live.subscribe(person(1)).await.expect("subscribed");
        live.publish(vec![notice(1)]).await.expect("published");
        assert!(timeout(PATIENCE, subscription.next()).await.expect("in time").is_some());
    }
    assert_eq!(state("whole").await, None);
    assert_eq!(state("discreet").await, Some(("version", stores::inspect::State::Warning)));
    assert_eq!(state("reader").await, Some(("permissions", stores::inspect::State::Problem)));
}

#[tokio::test]
async fn one_that_is_not_there_is_refused_without_its_password() {
    for url in ["keydb://:secret@127.0.0.1:1", "keydbs://:secret@127.0.0.1:1"] {
        for refused in [
            stores::resolver::sessions(url).await.err(),
            stores::resolver::live(url).await.err(),
            stores::resolver::counters(url).await.err(),
        ] {
            let why = refused.expect("it must be refused").to_string();
            assert!(why.contains("127.0.0.1:1") && why.contains("_URL"), "{why}");
            assert!(!why.contains("secret"), "{why}");
        }
        let found = stores::inspect::inspect("live", url).await.expect("it is no embedded one");
        assert!(found.iter().all(|it| it.state == stores::inspect::State::Problem), "{found:?}");
    }
}

fn notice(position: u64) -> Notice {
    Notice { position, what: What::Me, ids: Ids::default(), to: vec![person(1)] }
}

#[tokio::test]
async fn a_lost_connection_is_told_to_everybody_who_listens() {
    let mut server = Server::start(&[]).await;
    let live = stores::resolver::live(&server.url()).await.expect("opened");
    let mut subscription = live.subscribe(person(1)).await.expect("subscribed");
    let mut other = live.subscribe(person(2)).await.expect("subscribed");
    server.kill();
    assert!(live.publish(vec![notice(1)]).await.is_err(), "nobody hears it");
    server.run().await;
    for subscription in [&mut subscription, &mut other] {
        let told = timeout(PATIENCE, subscription.next()).await.expect("in time");
        assert_eq!(told, Some(Received::Resumed));
    }
    back(|| live.publish(vec![notice(2)])).await;
    let Some(Received::Notice(heard)) = timeout(PATIENCE, subscription.next()).await.expect("in time") else {
        panic!("a notice")
    };
    assert_eq!(heard.position, 2);
}

#[tokio::test]
async fn a_stale_publisher_is_heard_by_nobody() {
    let folder = tempfile::tempdir().expect("a folder");
    let live = stores::resolver::live(&url(folder.path())).await.expect("opened");
    let mut subscription = live.subscribe(person(1)).await.expect("subscribed");
    let outlet = live.outlet().expect("others may publish");
    assert!(outlet.shelf().is_shared());
    let take = async |n| outlet.shelf().take_over(Uuid::from_u128(n), fresh()).await.expect("taken over");
    let first = take(1).await.serving.expect("it");
    first.model.write(vec![notice(7)], at(7, 1)).await.expect("published");
    let second = take(2).await.serving.expect("it");
    assert_eq!(second.checkpoint, at(7, 2), "it goes on where the other was");
    let refused = first.model.write(vec![notice(8)], at(8, 1)).await;
    assert!(matches!(refused, Err(StoreError::StaleEpoch { mine: 1, theirs: 2 })), "{refused:?}");
    second.model.write(vec![notice(9)], at(9, 2)).await.expect("published");
    second.model.write(Vec::new(), at(20, 2)).await.expect("passed over");
    let mut heard = Vec::new();
    for _ in 0..3 {
        heard.push(match timeout(PATIENCE, subscription.next()).await.expect("in time") {
            Some(Received::Notice(notice)) => Some(notice.position),
            Some(Received::Resumed) => None,
            other => panic!("{other:?}"),
        });
    }
    assert_eq!(heard, [Some(7), Some(9), None]);
}
