//! Whatever becomes of the server: nothing is torn, and the writer goes on.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use sqlx::{Connection, Executor, PgConnection};
use stores::directory::Directory;
use stores::{StoreError, Summary};

use crate::server::Server;
use crate::{at, everybody, fresh, open, put, whole};

const PATIENCE: Duration = Duration::from_secs(60);

/// As the runner does: what passes is tried again, and what went back is taken over anew. Answers
/// how often it was.
async fn carry(rows: &dyn Directory, to: u64) -> u64 {
    let (began, mut taken_over) = (Instant::now(), 0);
    let mut held = take_over(rows).await;
    while held.0 < to {
        assert!(began.elapsed() < PATIENCE, "the writer does not go on from {held:?}");
        match put(rows, held.0 + 1, held.1).await {
            Ok(()) => held.0 += 1,
            Err(StoreError::Engine { .. }) => tokio::time::sleep(Duration::from_millis(50)).await,
            Err(StoreError::WentBack { .. } | StoreError::StaleEpoch { .. }) => {
                taken_over += 1;
                held = take_over(rows).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
    taken_over
}

/// Position and epoch to go on from.
async fn take_over(rows: &dyn Directory) -> (u64, u64) {
    let began = Instant::now();
    loop {
        match rows.take_over(fresh()).await {
            Ok(held) => return (held.position, held.epoch),
            Err(error) => assert!(began.elapsed() < PATIENCE, "it can't be taken over: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn summary(rows: &dyn Directory) -> Summary {
    rows.summary().await.expect("a snapshot").await.expect("a summary")
}

/// What a replay from the first event comes to.
async fn replayed(server: &Server, to: u64) -> Summary {
    let port = open(&format!("{}?schema=replayed", server.url("letopis"))).await;
    carry(&*port.serving(), to).await;
    summary(&*port.serving()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_under_load_comes_back_whole_and_is_carried_on() {
    let mut server = Server::start(&["synchronous_commit=off"]).await;
    let url = server.database().await;
    let port = open(&url).await;
    let rows = port.serving();
    for stop in [40, 80, 120] {
        let carried = rows.clone();
        let carrying = tokio::spawn(async move { carry(&*carried, stop).await });
        let began = Instant::now();
        // Somewhere in the middle of it.
        while whole_so_far(&*rows).await < stop - 25 {
            assert!(began.elapsed() < PATIENCE, "the writer does not go on");
        }
        server.kill();
        server.run().await;
        carrying.await.expect("it goes on");
        // Had it ended before the kill, its last commits may be lost.
        carry(&*rows, stop).await;
        assert_eq!(whole(&*rows).await, stop);
    }
    assert_eq!(summary(&*rows).await, replayed(&server, 120).await);
}

/// As [`whole`], while somebody writes.
async fn whole_so_far(rows: &dyn Directory) -> u64 {
    let people: Vec<_> = (0..crate::PEOPLE).map(crate::person).collect();
    let found = rows.persons(&people).await.expect("an answer");
    let position = found.first().map_or(0, |user| user.position);
    assert!(found.iter().all(|user| user.position == position), "a reader sees half of a batch");
    position
}

#[tokio::test]
async fn a_server_set_back_to_an_older_copy_is_noticed_and_carried_on() {
    let mut server = Server::start(&[]).await;
    let url = server.database().await;
    let port = open(&url).await;
    let rows = port.serving();
    carry(&*rows, 5).await;
    let data = server.folder.path().join("data");
    server.kill();
    let copy = server.folder.path().join("copy");
    copied(&data, &copy);
    server.run().await;
    let (_, epoch) = take_over(&*rows).await;
    for position in 6..=9 {
        put_when_it_is_there(&*rows, position, epoch).await;
    }
    server.kill();
    std::fs::remove_dir_all(&data).expect("removed");
    copied(&copy, &data);
    server.run().await;

    // Of before the copy's epoch, or not: either way nothing is written.
    let refused = loop {
        match put(&*rows, 10, epoch).await {
            Err(StoreError::Engine { .. }) => tokio::time::sleep(Duration::from_millis(50)).await,
            refused => break refused,
        }
    };
    assert!(matches!(refused, Err(StoreError::StaleEpoch { .. })), "{refused:?}");
    assert_eq!(whole(&*rows).await, 5);
    let (position, epoch) = take_over(&*rows).await;
    assert_eq!(position, 5);
    let refused = put(&*rows, 10, epoch).await;
    assert!(matches!(refused, Err(StoreError::WentBack { expected: 9, held: 5, .. })), "{refused:?}");
    assert_eq!(whole(&*rows).await, 5);
    carry(&*rows, 12).await;
    assert_eq!(summary(&*rows).await, replayed(&server, 12).await);
}

async fn put_when_it_is_there(rows: &dyn Directory, position: u64, epoch: u64) {
    let began = Instant::now();
    while let Err(error) = put(rows, position, epoch).await {
        assert!(began.elapsed() < PATIENCE, "{error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// With its owner, whom PostgreSQL looks at.
fn copied(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().expect("there is cp");
    assert!(copied.success());
}

#[tokio::test]
async fn a_server_that_was_emptied_is_filled_again() {
    let server = Server::start(&[]).await;
    let url = server.database().await;
    let port = open(&url).await;
    let shelf = port.shelf();
    shelf.take_over(uuid::Uuid::from_u128(1), fresh()).await.expect("taken over");
    put(&*port.serving(), 1, 1).await.expect("written");
    let mut other = PgConnection::connect(&url).await.expect("connects");
    other.execute("DROP SCHEMA letopis_directory_1, letopis_directory CASCADE").await.expect("dropped");

    let rows = port.serving();
    assert!(rows.links(&[]).await.expect("nothing").is_empty());
    assert!(rows.linked_with(crate::person(1)).await.is_err(), "nobody is told that there is nobody");
    let refused = put(&*rows, 2, 1).await;
    assert!(matches!(refused, Err(StoreError::WentBack { expected: 1, held: 0, .. })), "{refused:?}");
    let held = shelf.take_over(uuid::Uuid::from_u128(1), fresh()).await.expect("taken over anew");
    assert_eq!(held.serving.expect("made").checkpoint.position, 0);
    carry(&*port.serving(), 3).await;
    assert_eq!(whole(&*port.serving()).await, 3);
}

/// Waits until some connection of ours waits for a lock, and answers its process.
async fn waiting(other: &mut PgConnection) -> i32 {
    let began = Instant::now();
    let asked =
        "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
    loop {
        if let Some(pid) = sqlx::query_scalar(asked).fetch_optional(&mut *other).await.expect("an answer") {
            return pid;
        }
        assert!(began.elapsed() < PATIENCE, "nobody waits");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_ended_within_a_batch_leaves_nothing_of_it() {
    let server = Server::start(&[]).await;
    let url = server.database().await;
    let port = open(&url).await;
    let rows = port.serving();
    carry(&*rows, 3).await;
    let (_, epoch) = take_over(&*rows).await;
    // What is parked is written after people, so that the batch is half done while it waits.
    let mut holder = PgConnection::connect(&url).await.expect("connects");
    holder.execute("BEGIN; LOCK TABLE letopis_directory_1.parked").await.expect("locked");
    let putting = rows.clone();
    let parking = vec![stores::Parking::Unpark("User/x".into())];
    let batch = stores::Batch { changes: everybody(4), parking, checkpoint: at(4, epoch), follows: Some(3) };
    let put_then = tokio::spawn(async move { putting.put(std::sync::Arc::new(batch)).await });
    let mut other = PgConnection::connect(&url).await.expect("connects");
    let pid = waiting(&mut other).await;
    sqlx::query("SELECT pg_terminate_backend($1)").bind(pid).execute(&mut other).await.expect("ended");
    let failed = put_then.await.expect("it ends");
    assert!(matches!(failed, Err(StoreError::Engine { .. })), "{failed:?}");
    assert_eq!(whole(&*rows).await, 3);
    holder.execute("ROLLBACK").await.expect("let go");
    put(&*rows, 4, epoch).await.expect("the same writer goes on");
    assert_eq!(whole(&*rows).await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_takes_over_while_a_batch_waits_is_the_one_writer() {
    let server = Server::start(&[]).await;
    let url = server.database().await;
    let port = open(&url).await;
    let rows = port.serving();
    carry(&*rows, 3).await;
    let (_, epoch) = take_over(&*rows).await;
    let mut holder = PgConnection::connect(&url).await.expect("connects");
    holder.execute("BEGIN; UPDATE letopis_directory_1.checkpoint SET epoch = epoch + 1").await.expect("held");
    let mut other = PgConnection::connect(&url).await.expect("connects");
    let putting = rows.clone();
    let put_then = tokio::spawn(async move { put(&*putting, 4, epoch).await });
    waiting(&mut other).await;
    holder.execute("COMMIT").await.expect("taken over");
    let refused = put_then.await.expect("it ends");
    assert!(
        matches!(refused, Err(StoreError::StaleEpoch { mine, theirs }) if theirs == mine + 1),
        "{refused:?}"
    );
    assert_eq!(whole(&*rows).await, 3);
}

#[tokio::test]
async fn a_summary_is_of_one_moment_while_rows_are_written() {
    let server = Server::start(&[]).await;
    let url = server.database().await;
    let port = open(&url).await;
    let rows = port.serving();
    carry(&*rows, 3).await;
    let (_, epoch) = take_over(&*rows).await;
    let under_way = rows.summary().await.expect("a snapshot");
    put(&*rows, 4, epoch).await.expect("written");
    assert_eq!(under_way.await.expect("a summary"), replayed(&server, 3).await);
}

#[tokio::test]
async fn a_server_that_is_away_is_told_of_in_time() {
    let mut server = Server::start(&[]).await;
    let url = server.database().await;
    let port = open(&url).await;
    carry(&*port.serving(), 1).await;
    server.kill();
    let began = Instant::now();
    for _ in 0..8 {
        let failed = port.serving().account(crate::person(1)).await;
        assert!(matches!(failed, Err(StoreError::Engine { engine: "postgresql", .. })), "{failed:?}");
    }
    // Soon it is asked only once in a while.
    loop {
        let failed = port.serving().account(crate::person(1)).await;
        let Err(StoreError::Engine { message, .. }) = failed else { panic!("{failed:?}") };
        if message.contains("away") {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{message}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    server.run().await;
    let began = Instant::now();
    while port.serving().account(crate::person(1)).await.is_err() {
        assert!(began.elapsed() < PATIENCE, "it is not asked again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
