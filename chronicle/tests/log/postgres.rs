//! The contract on PostgreSQL, in a real server: `./dev test` starts one and names it in
//! `LETOPIS_TEST_POSTGRES`. Without one the tests fail.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use chronicle::log::Log;
use chronicle::log::postgres::PostgresLog;
use cqrs_es::persist::PersistedEventRepository;
use domain::aggregate::Event;
use domain::chat::{Chat, ChatEvent};
use futures::future::BoxFuture;
use postgres_es::PostgresEventRepository;
use sqlx::{Connection, Executor, PgConnection, PgPool};
use tempfile::TempDir;

use crate::contract::{Engine, complaints};
use crate::support::{House, Machine, chat, everything, key};

/// A database of its own, while this lives.
pub struct Postgres(pub String);

/// Databases that are of no more use to anybody. A new one costs the server hundreds of files, and its
/// next checkpoint a sync of each.
static FREE: Mutex<Vec<String>> = Mutex::new(Vec::new());

#[expect(clippy::disallowed_methods, reason = "how ./dev test names the server that it has started")]
fn server() -> String {
    std::env::var("LETOPIS_TEST_POSTGRES").expect(
        "LETOPIS_TEST_POSTGRES names no PostgreSQL: run ./dev test, which starts one, or set it to \
         postgres://USER@127.0.0.1:PORT of a server of your own",
    )
}

impl Postgres {
    pub async fn new() -> Self {
        static DATABASES: AtomicU32 = AtomicU32::new(0);
        let server = server();
        let mut admin =
            PgConnection::connect(&format!("{server}/postgres")).await.expect("the server takes connections");
        let free = FREE.lock().expect("no panic holds it").pop();
        let Some(url) = free else {
            let number = DATABASES.fetch_add(1, Ordering::Relaxed);
            let name = format!("letopis_{}_{number}", std::process::id());
            let create = format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'");
            admin.execute(create.as_str()).await.expect("a database");
            return Self(format!("{server}/{name}"));
        };
        let name = url.rsplit_once('/').expect("a database").1;
        let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1";
        sqlx::query(others).bind(name).execute(&mut admin).await.expect("ended");
        admin.execute(format!("ALTER DATABASE {name} RESET ALL").as_str()).await.expect("reset");
        let mut database = PgConnection::connect(&url).await.expect("the database takes connections");
        database.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public").await.expect("emptied");
        Self(url)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Ok(mut free) = FREE.lock() {
            free.push(std::mem::take(&mut self.0));
        }
    }
}

impl Engine for Postgres {
    fn open(&self) -> BoxFuture<'_, Arc<dyn Log>> {
        Box::pin(async {
            PostgresLog::open(&self.0, Arc::new(Machine)).await.expect("a log") as Arc<dyn Log>
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_keeps_the_contract() {
    let complaints = complaints(Postgres::new).await;
    assert!(complaints.is_empty(), "{complaints:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_connections_that_commit_wait_for_the_disk() {
    let database = Postgres::new().await;
    let mut admin = PgConnection::connect(&database.0).await.expect("connects");
    let name = database.0.rsplit_once('/').expect("a database").1;
    // Whatever the database's own default is.
    let careless = format!("ALTER DATABASE {name} SET synchronous_commit = off");
    sqlx::query(&careless).execute(&mut admin).await.expect("set");
    let log = PostgresLog::open(&database.0, Arc::new(Machine)).await.expect("a log");
    assert_eq!(log.durability().await.expect("answers"), ("on".into(), "on".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_database_is_refused_by_name() {
    let database = Postgres::new().await;
    let mut admin = PgConnection::connect(&database.0).await.expect("connects");
    sqlx::query("CREATE TABLE events (id int)").execute(&mut admin).await.expect("a table");
    let refused = PostgresLog::open(&database.0, Arc::new(Machine)).await.expect_err("it is somebody else's");
    assert!(refused.to_string().contains("no letopis log"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_committers_on_postgres_write_one_history_that_the_stock_repository_reads() {
    let (folder, database) = (TempDir::new().expect("a folder"), Postgres::new().await);
    let one = Arc::new(House::on(folder.path(), database.open().await).await);
    one.make_chat(1).await.expect("a chat");
    let two = Arc::new(House::on(folder.path(), database.open().await).await);
    let mut senders = Vec::new();
    for sender in 0..8_u64 {
        let house = if sender % 2 == 0 { one.clone() } else { two.clone() };
        senders.push(tokio::spawn(async move {
            for message in 0..25 {
                let send = async || house.send_in_time(1, u128::from(sender % 2), key(sender, message)).await;
                let (done, again) = (send().await, send().await);
                assert_eq!((done.position, done.events), (again.position, again.events));
            }
        }));
    }
    for sender in senders {
        sender.await.expect("both make progress");
    }
    let numbers: Vec<u64> = everything(&*one.log)
        .await
        .iter()
        .filter_map(|event| match event.decode().expect("readable") {
            Event::Chat(ChatEvent::MessageSent { number, .. }) => Some(number),
            _ => None,
        })
        .collect();
    assert!(numbers.into_iter().eq(1..=200));
    let pool = PgPool::connect(&database.0).await.expect("a pool");
    let stock = PostgresEventRepository::new(pool).get_events::<Chat>(&chat(1).to_string()).await;
    assert_eq!(stock.expect("the stock repository reads the stream").len(), 201);
}
