//! An installation whose log lies in the one engine or the other.

use std::collections::BTreeMap;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::{Connection, PgConnection};

use crate::letopis::{Folder, Letopis, PATIENCE, Settings};
use crate::log_file::{self, Row};

/// Which engine holds the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

/// Makes of each `async fn name(engine: Engine)` two tests, `name::sqlite` and `name::postgres`.
macro_rules! on_both_engines {
    ($($test:ident),+ $(,)?) => {$(
        mod $test {
            use crate::engine::Engine;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                super::$test(Engine::Sqlite).await;
            }
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                super::$test(Engine::Postgres).await;
            }
        }
    )+};
}
pub(crate) use on_both_engines;

/// The PostgreSQL that all tests share, each with databases of its own.
fn shared_server() -> String {
    std::env::var("LETOPIS_TEST_POSTGRES").expect(
        "LETOPIS_TEST_POSTGRES names no PostgreSQL: run ./dev test, which starts one, or set it to \
         postgres://USER@127.0.0.1:PORT of a server of your own",
    )
}

/// A database of its own, gone with the test.
pub struct Database {
    server: String,
    name: String,
}

/// Its address, as `host:port`.
fn address_in(server: &str) -> &str {
    server.rsplit_once('@').expect("postgres://USER@127.0.0.1:PORT").1
}

impl Database {
    pub async fn new() -> Self {
        Self::on(&shared_server()).await
    }

    /// On the server of this URL, which names no database.
    pub async fn on(server: &str) -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("house_{}_{number}", std::process::id());
        let mut admin =
            PgConnection::connect(&format!("{server}/postgres")).await.expect("the server takes connections");
        let create = format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'");
        sqlx::query(&create).execute(&mut admin).await.expect("a database");
        Self { server: server.to_owned(), name }
    }

    pub fn url(&self) -> String {
        format!("{}/{}", self.server, self.name)
    }

    /// Where its server listens.
    pub fn address(&self) -> SocketAddr {
        address_in(&self.server).to_socket_addrs().expect("an address").next().expect("an address")
    }

    /// The same database through another address, as a proxy's.
    pub fn url_at(&self, address: SocketAddr) -> String {
        self.url().replace(address_in(&self.server), &address.to_string())
    }

    pub async fn connect(&self) -> PgConnection {
        PgConnection::connect(&self.url()).await.expect("the database takes connections")
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), self.name.clone());
        let drop = async move {
            // A server that the test has killed takes its databases with it.
            let Ok(mut admin) = PgConnection::connect(&format!("{server}/postgres")).await else { return };
            let drop = format!("DROP DATABASE {name} WITH (FORCE)");
            if let Err(error) = sqlx::query(&drop).execute(&mut admin).await {
                eprintln!("the database {name} is left over: {error}");
            }
        };
        // A runtime of its own: the test's may be ending.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(drop);
        });
        // A panic in there was printed.
        let _ = dropping.join();
    }
}

/// A data folder, and log and keys where their engine has them.
pub struct Place {
    pub folder: Folder,
    pub log: Option<Database>,
    keys: Option<Database>,
}

impl Place {
    pub async fn new(engine: Engine) -> Self {
        match engine {
            Engine::Sqlite => Self { folder: Folder::new(), log: None, keys: None },
            Engine::Postgres => Self::on(&shared_server()).await,
        }
    }

    /// With its log on this PostgreSQL. Its keys are on the shared one: without them nobody could
    /// read what was said.
    pub async fn on(server: &str) -> Self {
        let (log, keys) = (Database::on(server).await, Database::new().await);
        Self { folder: Folder::new(), log: Some(log), keys: Some(keys) }
    }

    /// With its keys on this PostgreSQL, and its log on the shared one.
    pub async fn with_keys_on(server: &str) -> Self {
        let (log, keys) = (Database::new().await, Database::on(server).await);
        Self { folder: Folder::new(), log: Some(log), keys: Some(keys) }
    }

    pub fn settings(&self) -> Settings {
        self.settings_in(&self.folder)
    }

    /// Of another process on the same log, with a data folder of its own.
    pub fn settings_in(&self, folder: &Folder) -> Settings {
        let mut settings = folder.settings();
        for (variable, database) in [("LETOPIS_LOG_URL", &self.log), ("LETOPIS_KEYS_URL", &self.keys)] {
            if let Some(database) = database {
                settings = settings.with(variable, database.url());
            }
        }
        settings
    }

    pub async fn start(&self) -> Letopis {
        self.settings().start().await
    }

    /// Position, event_id and recorded_at of the newest event.
    pub async fn head(&self) -> (u64, Option<String>, i64) {
        match &self.log {
            None => log_file::head(&log_file::open(&self.folder.file("log.db"))),
            Some(log) => head(&mut log.connect().await).await,
        }
    }

    /// Changes the log behind letopis's back: what the event at `position` says.
    pub async fn rewrite(&self, position: u64, payload: &str) {
        let update = "UPDATE events SET payload = $1 WHERE position = $2";
        let rewritten = match &self.log {
            None => {
                let log = rusqlite::Connection::open(self.folder.file("log.db")).expect("the log's file");
                log.busy_timeout(PATIENCE).expect("a timeout");
                log.execute(update, rusqlite::params![payload, position]).expect("rewritten")
            }
            Some(log) => {
                let update = "UPDATE events SET payload = $1::json WHERE position = $2";
                let position = i64::try_from(position).expect("a position");
                let update = sqlx::query(update).bind(payload).bind(position);
                let done = update.execute(&mut log.connect().await).await.expect("rewritten");
                usize::try_from(done.rows_affected()).expect("a few")
            }
        };
        assert_eq!(rewritten, 1, "there is no event {position}");
    }

    /// How the projections are, as `letopis projections status` says.
    pub async fn projections(&self) -> BTreeMap<String, serde_json::Value> {
        let ran = self.settings().run(&["projections", "status", "--json"]).await;
        let status: serde_json::Value =
            serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
        let all = status["projections"].as_array().expect("a list").iter();
        all.map(|it| (it["name"].as_str().expect("a name").to_owned(), it.clone())).collect()
    }

    /// The log's rows, which keep its order. A letopis may run on it, if nobody writes.
    pub async fn assert_sound(&self) -> Vec<Row> {
        let Some(log) = &self.log else {
            return log_file::assert_sound(&log_file::open(&self.folder.file("log.db")));
        };
        let mut log = log.connect().await;
        let rows: Vec<(i64, String, i64, String, String)> = sqlx::query_as(
            "SELECT position, event_id::text, recorded_at, event_type, payload::text FROM events ORDER BY position",
        )
        .fetch_all(&mut log)
        .await
        .expect("the design's columns");
        let rows: Vec<Row> = rows
            .into_iter()
            .map(|(position, event_id, recorded_at, event_type, payload)| Row {
                position: position.unsigned_abs(),
                event_id,
                recorded_at,
                event_type,
                payload,
            })
            .collect();
        assert_eq!(log_file::faults(&rows, head(&mut log).await), Vec::<String>::new());
        rows
    }
}

async fn head(log: &mut PgConnection) -> (u64, Option<String>, i64) {
    let read = "SELECT position, event_id::text, recorded_at FROM head";
    let (position, event_id, recorded_at): (i64, _, _) =
        sqlx::query_as(read).fetch_one(log).await.expect("a head");
    (position.unsigned_abs(), event_id, recorded_at)
}
