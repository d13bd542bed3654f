//! Bad luck: servers and processes that are killed, answers that are lost, processes that were paused.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chronicle::log::postgres::PostgresLog;
use chronicle::log::{Appended, Batch, ClaimKey, Head, Log, LogError};
use domain::aggregate::StreamId;
use domain::problem::Kind;
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;

use crate::load::Load;
use crate::postgres::Postgres;
use crate::server::{Proxy, Server};
use crate::support::{House, Machine, chat, event, everything, key};

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_mid_batch_loses_and_doubles_nothing_and_commands_go_on() {
    let mut server = Server::start(&[]).await;
    let load = Load::start(Some(server.database().await)).await;
    load.writes(200).await;
    // Back at once, then after some commands were told that it is away.
    server.kill();
    server.run().await;
    load.writes(200).await;
    server.kill();
    for child in 0..2 {
        load.answers_more(child, "Unavailable", 1).await;
    }
    server.run().await;
    for child in 0..2 {
        load.answers_more(child, "Wrote", 50).await;
    }
    load.check().await;
}

async fn killed_process(url: Option<String>) {
    let mut load = Load::start(url).await;
    load.writes(200).await;
    for child in 0..3 {
        load.kill(child);
        load.one_more();
        load.answers_more(child + 2, "Wrote", 30).await;
    }
    load.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_process_leaves_one_history_on_postgres() {
    let database = Postgres::new().await;
    killed_process(Some(database.0.clone())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_process_leaves_one_history_on_sqlite() {
    killed_process(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_process_comes_back_with_a_stale_head_and_goes_on() {
    let database = Postgres::new().await;
    let load = Load::start(Some(database.0.clone())).await;
    load.writes(200).await;
    // Few enough for its cache to be brought up to date; then so many that it is dropped.
    for missed in [500, 10_500] {
        load.pause(1);
        load.writes(missed).await;
        load.resume(1);
        load.answers_more(1, "Wrote", 50).await;
    }
    load.check().await;
}

/// The answer to what was committed never arrives.
async fn lost_answer(under_the_lock: bool) {
    let (folder, database) = (TempDir::new().expect("a folder"), Postgres::new().await);
    let proxy = Proxy::before(&database.0).await;
    let log = PostgresLog::open(&proxy.url(&database.0), Arc::new(Machine)).await.expect("a log");
    let house = House::on(folder.path(), log).await;
    house.make_chat(1).await.expect("a chat");
    if under_the_lock {
        let log = PostgresLog::open(&database.0, Arc::new(Machine)).await.expect("a log");
        let stranger = House::on(folder.path(), log).await;
        stranger.send(1, 1, key(2, 1), "a stranger's").await.expect("sent");
    }
    house.send(1, 0, key(1, 1), "before").await.expect("sent");
    let head = house.log.head().await.expect("read").position;
    proxy.lose_the_answer_at(head + 1);
    let sent = house.send(1, 0, key(1, 2), "once").await.expect("answered");
    assert_eq!(proxy.cuts(), 1, "an answer was lost");
    assert_eq!((sent.position, sent.events.len()), (head + 1, 1));
    let again = house.send(1, 0, key(1, 2), "once").await.expect("answered");
    assert_eq!((again.position, again.events), (sent.position, sent.events));
    house.send(1, 0, key(1, 3), "after").await.expect("sent");
    assert_eq!(everything(&*house.log).await.len() as u64, head + 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_lost_between_commit_and_answer_gets_the_original_answer() {
    lost_answer(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_lost_between_commit_and_answer_under_the_lock_too() {
    lost_answer(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_was_paused_under_the_lock_does_not_keep_it() {
    let (folder, database) = (TempDir::new().expect("a folder"), Postgres::new().await);
    let proxy = Proxy::before(&database.0).await;
    let log = PostgresLog::open(&proxy.url(&database.0), Arc::new(Machine)).await.expect("a log");
    let house = Arc::new(House::on(folder.path(), log).await);
    house.make_chat(1).await.expect("a chat");
    // So much is written by others that it does not fit between server and process.
    let others = PostgresLog::open(&database.0, Arc::new(Machine)).await.expect("a log");
    let stream = StreamId { kind: domain::aggregate::Kind::Chat, id: "others".into() };
    let mut head = others.head().await.expect("read");
    let write = async |head: Head, sequence: u64, count: u64| {
        let mut batch = Batch::default();
        for offset in 1..=count {
            let id = 1_000_000 + u128::from(sequence + offset);
            let mut event = event(head, offset, &stream, sequence + offset, id);
            event.payload = format!("\"{}\"", "x".repeat(3_000));
            batch.events.push(event);
        }
        let last = batch.events[batch.events.len() - 1].head();
        others.append(head, Arc::new(batch)).await.map(|appended| (appended, last))
    };
    for thousand in 0..11 {
        let (appended, last) = write(head, thousand * 1_000, 1_000).await.expect("written");
        assert_eq!(appended, Appended::Committed);
        head = last;
    }
    proxy.stall_beyond(1_000_000);
    let sending = house.clone();
    let sending = tokio::spawn(async move { sending.send(1, 0, key(1, 1), "hello").await });
    let stuck = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'ClientWrite'";
    let mut connection = PgConnection::connect(&database.0).await.expect("connects");
    let began = Instant::now();
    while sqlx::query_scalar::<_, i64>(stuck).fetch_one(&mut connection).await.expect("read") == 0 {
        assert!(began.elapsed() < PATIENCE, "the server finds a reader for everything");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    loop {
        match write(head, 11_000, 1).await {
            Ok((Appended::Committed, _)) => break,
            Err(LogError::Unavailable(_)) if began.elapsed() < PATIENCE => {}
            other => panic!("others do not go on: {other:?}"),
        }
    }
    proxy.stall_beyond(0);
    // It was told to try again, or not even that.
    let _ = sending.await.expect("no panic");
    house.send(1, 0, key(1, 1), "hello").await.expect("sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_to_be_had_is_refused_with_what_to_do() {
    let open = async |url: &str| {
        let refused = PostgresLog::open(url, Arc::new(Machine)).await.expect_err("it is not to be had");
        refused.to_string()
    };
    let mut server =
        Server::start(&["max_connections=3", "superuser_reserved_connections=0", "max_wal_senders=0"]).await;
    let says = |said: String, words: &[&str]| {
        for word in words {
            assert!(said.contains(word), "it does not say {word:?}: {said}");
        }
    };
    says(open(&server.url("nowhere")).await, &["no database nowhere", "CREATE DATABASE nowhere"]);
    let url = server.database().await;
    // Refused again and again: a place that somebody has left is free a moment later.
    let (mut others, mut refused) = (Vec::new(), 0);
    while refused < 10 {
        match PgConnection::connect(&url).await {
            Ok(other) => {
                others.push(other);
                refused = 0;
            }
            Err(_) => refused += 1,
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    says(open(&url).await, &["no connection left", "max_connections"]);
    drop(others);
    server.kill();
    says(open(&url).await, &["no PostgreSQL answers at 127.0.0.1", "start it"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_goes_away_refuses_commands_and_takes_them_when_it_is_back() {
    let mut server = Server::start(&[]).await;
    let folder = TempDir::new().expect("a folder");
    let log = PostgresLog::open(&server.database().await, Arc::new(Machine)).await.expect("a log");
    let house = House::on(folder.path(), log).await;
    house.make_chat(1).await.expect("a chat");
    server.kill();
    let refused = house.send(1, 0, key(1, 1), "hello").await.expect_err("there is no server");
    assert!(refused.is(Kind::Unavailable), "{refused}");
    server.run().await;
    let sent = house.send(1, 0, key(1, 1), "hello").await.expect("the same again is safe");
    assert_eq!(everything(&*house.log).await.len() as u64, sent.position);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flow_that_vanishes_leaves_nobody_waiting_and_all_go_on_when_it_is_back() {
    let (folder, database) = (TempDir::new().expect("a folder"), Postgres::new().await);
    let proxy = Proxy::before(&database.0).await;
    let log = PostgresLog::open(&proxy.url(&database.0), Arc::new(Machine)).await.expect("a log");
    let house = House::on(folder.path(), log.clone()).await;
    house.make_chat(1).await.expect("a chat");
    let others = PostgresLog::open(&database.0, Arc::new(Machine)).await.expect("a log");
    let others = House::on(folder.path(), others).await;
    others.make_chat(2).await.expect("a chat");
    let stream = StreamId::of::<domain::chat::Chat>(chat(1));
    let claim = ClaimKey { kind: "email/1".into(), key: "nobody's".into() };
    // As many connections as there may be, all in the pool when the flow vanishes.
    let reads = (0..64).map(|_| log.stream(&stream, 0, 10));
    for read in futures::future::join_all(reads).await {
        read.expect("read");
    }

    proxy.swallow(true);
    let head = others.log.head().await.expect("read");
    let snapshot = chronicle::snapshots::Snapshot {
        stream: stream.clone(),
        shape: "a shape".into(),
        sequence: 1,
        event_id: head.event_id.expect("the log has begun"),
        state: "{}".into(),
    };
    let commands = async {
        let sent =
            tokio::time::timeout(PATIENCE, house.send(2, 0, key(1, 1), "of a stream that must be read"));
        let refused = sent.await.expect("the command is answered").expect_err("the log can't be read");
        assert!(refused.is(Kind::Unavailable), "{refused}");
    };
    tokio::join!(
        unavailable("head", log.head()),
        unavailable("read", log.read(head.position, 10)),
        unavailable("stream", log.stream(&stream, 0, 10)),
        unavailable("event", log.event(&stream, 1)),
        unavailable("claim", log.claim(&claim)),
        unavailable("by_ids", log.by_ids(&[])),
        unavailable("find", log.snapshots().find(&stream, "a shape")),
        unavailable("keep", log.snapshots().keep(snapshot)),
        commands,
    );

    proxy.swallow(false);
    // What was under way then stays as it is; new connections find the server.
    let began = Instant::now();
    while let Err(error) = house.send(2, 0, key(1, 1), "of a stream that must be read").await {
        assert!(began.elapsed() < PATIENCE, "commands do not go on: {error}");
    }
    while let Err(error) = log.head().await {
        assert!(began.elapsed() < PATIENCE, "reads do not go on: {error}");
    }
    let reads = (0..64).map(|_| log.stream(&stream, 0, 10));
    for read in futures::future::join_all(reads).await {
        read.expect("every place in the pool is of use again");
    }
    let written = others.send(1, 1, key(2, 1), "by another process").await.expect("sent").position;
    let mut head = log.watch();
    let seen = head.wait_for(|head| head.position >= written);
    tokio::time::timeout(PATIENCE, seen)
        .await
        .expect("the head is followed again")
        .expect("the log is there");
}

async fn unavailable<T: std::fmt::Debug>(what: &str, asked: impl Future<Output = Result<T, LogError>>) {
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Err(LogError::Unavailable(_))) => {}
        Ok(other) => panic!("{what} answers {other:?}"),
        Err(_elapsed) => panic!("{what} waits without end"),
    }
}
