//! What the key store promises: one suite, with the same expectations for every engine.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use base64::Engine;
use domain::ids::{EventId, PersonId, SessionId};
use domain::personal::{Nickname, Sealed, Text, plaintext};
use uuid::Uuid;

use super::*;
use crate::entropy::Seeded;

const LOG: Uuid = Uuid::from_u128(7);

fn ann() -> PersonId {
    PersonId(Uuid::from_u128(1))
}

fn bob() -> PersonId {
    PersonId(Uuid::from_u128(2))
}

fn place() -> Place<'static> {
    let event_id = EventId(Uuid::from_u128(9));
    Place { log_id: LOG, aggregate_type: "chat", aggregate_id: "c", event_id, field: "text" }
}

fn master(seed: u64) -> MasterKey {
    let mut key = zeroize::Zeroizing::new([0; 32]);
    Seeded::from(seed).fill(&mut *key);
    MasterKey(key)
}

/// Where a test's stores are.
enum Site {
    Sqlite(tempfile::TempDir),
    Postgres(String),
}

#[expect(clippy::disallowed_methods, reason = "how ./dev test names the server that it has started")]
fn server() -> String {
    std::env::var("LETOPIS_TEST_POSTGRES").expect(
        "LETOPIS_TEST_POSTGRES names no PostgreSQL: run ./dev test, which starts one, or set it to \
         postgres://USER@127.0.0.1:PORT of a server of your own",
    )
}

/// Says `sql` to `database` of the tests' server.
fn sql(database: &str, sql: &str) {
    use sqlx::{Connection, Executor, PgConnection};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let url = format!("{}/{database}", server());
        let mut connection = PgConnection::connect(&url).await.expect("the server takes connections");
        connection.execute(sql).await.expect(sql);
    });
}

/// An empty database.
fn database() -> String {
    static DATABASES: AtomicU32 = AtomicU32::new(0);
    let number = DATABASES.fetch_add(1, Ordering::Relaxed);
    let name = format!("letopis_keys_{}_{number}", std::process::id());
    sql("postgres", &format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'"));
    name
}

impl Site {
    fn sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().expect("a folder"))
    }
    fn postgres() -> Self {
        Self::Postgres(database())
    }
    fn store(&self) -> Arc<dyn KeyStore> {
        match self {
            Self::Sqlite(folder) => {
                Arc::new(SqliteKeyStore::open(&folder.path().join("keys.db")).expect("the store opens"))
            }
            Self::Postgres(name) => {
                Arc::new(PostgresKeyStore::open(&format!("{}/{name}", server())).expect("the store opens"))
            }
        }
    }
    /// An empty one of the same kind.
    fn another(&self) -> Self {
        match self {
            Self::Sqlite(_) => Self::sqlite(),
            Self::Postgres(_) => Self::postgres(),
        }
    }
}

struct Fixture {
    site: Site,
    keys: Keyring,
}

impl Fixture {
    fn new(site: Site) -> Self {
        let keys = Keyring::begin(site.store(), &master(1), LOG, Seeded::from(100)).expect("begun");
        Self { site, keys }
    }

    /// The same store in a process of its own.
    fn again(&self, with: &MasterKey, log: Uuid) -> Result<Keyring, KeyringError> {
        Keyring::unlock(self.site.store(), with, log, Seeded::from(200))
    }

    /// The folder of the files.
    fn folder(&self) -> &Path {
        match &self.site {
            Site::Sqlite(folder) => folder.path(),
            Site::Postgres(name) => panic!("{name} is no file"),
        }
    }

    fn sealed(&self, of: PersonId, text: &str) -> String {
        self.keys.ensure(&subject_of(of)).expect("a key");
        self.keys.seal(&place(), of, text).expect("sealed")
    }
}

macro_rules! suite {
    ($($promise:ident,)*) => {
        mod on_sqlite {
            use super::{Fixture, Site};
            $(#[test]
            fn $promise() {
                super::$promise(&Fixture::new(Site::sqlite()));
            })*
        }
        mod on_postgres {
            use super::{Fixture, Site};
            $(#[test]
            fn $promise() {
                super::$promise(&Fixture::new(Site::postgres()));
            })*
        }
    };
}

suite! {
    what_is_sealed_opens_after_a_restart,
    a_token_has_the_form_that_the_format_gives,
    a_value_opens_only_in_its_place,
    destroying_a_subject_takes_its_values_and_no_others,
    sealing_needs_a_durable_key_first,
    a_wrong_master_key_and_another_log_are_refused_by_name,
    personal_values_open_as_their_kind,
    claim_keys_depend_on_kind_and_store,
    a_refresh_token_is_read_back_and_cannot_be_made_up,
    a_cursor_is_authenticated,
    threads_that_ensure_at_once_get_one_key,
    another_process_finds_a_key_and_forgets_a_destroyed_one,
}

fn what_is_sealed_opens_after_a_restart(f: &Fixture) {
    let token = f.sealed(ann(), "привет\n");
    assert_eq!(f.keys.open(&place(), &token).expect("opens"), "привет\n");
    let again = f.again(&master(1), LOG).expect("unlocks");
    assert_eq!(again.open(&place(), &token).expect("opens"), "привет\n");
    let id = again.ensure(&subject_of(ann())).expect("still there");
    assert_eq!(f.keys.ensure(&subject_of(ann())).expect("the same"), id);
    assert_ne!(token, f.sealed(ann(), "привет\n"), "a nonce is never used twice");
}

fn a_token_has_the_form_that_the_format_gives(f: &Fixture) {
    let token = f.sealed(ann(), "hello");
    let parts: Vec<&str> = token.split('.').collect();
    assert_eq!((parts.len(), parts[0], parts[1].len()), (3, "s1", 16));
    let body = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(parts[2]).expect("base64url");
    assert_eq!(body.len(), wrap::NONCE + "hello".len() + wrap::TAG);
}

fn a_value_opens_only_in_its_place(f: &Fixture) {
    let token = f.sealed(ann(), "hello");
    let others = [
        Place { log_id: Uuid::from_u128(8), ..place() },
        Place { aggregate_type: "user", ..place() },
        Place { aggregate_id: "d", ..place() },
        Place { event_id: EventId(Uuid::from_u128(10)), ..place() },
        Place { field: "name", ..place() },
    ];
    for other in others {
        assert!(matches!(f.keys.open(&other, &token), Err(OpenError::Unreadable)), "{other:?}");
    }
    let last = token.len() - 10;
    let flipped = if token.as_bytes()[last] == b'A' { "B" } else { "A" };
    let damaged = format!("{}{flipped}{}", &token[..last], &token[last + 1..]);
    for bad in [damaged.as_str(), "s1.AAAAAAAAAAAAAAAA.AAAA", "s1.", "s1.x.!", "hello"] {
        assert!(matches!(f.keys.open(&place(), bad), Err(OpenError::Unreadable)), "{bad}");
    }
}

fn destroying_a_subject_takes_its_values_and_no_others(f: &Fixture) {
    let (of_ann, of_bob) = (f.sealed(ann(), "ann's"), f.sealed(bob(), "bob's"));
    destroyed(&f.keys, &subject_of(ann()));
    destroyed(&f.keys, &subject_of(ann()));
    for keys in [f.keys.clone(), f.again(&master(1), LOG).expect("unlocks")] {
        assert!(matches!(keys.open(&place(), &of_ann), Err(OpenError::Destroyed)));
        assert_eq!(keys.open(&place(), &of_bob).expect("bob's own"), "bob's");
        assert!(matches!(keys.ensure(&subject_of(ann())), Err(KeyringError::Destroyed)));
        assert!(matches!(keys.seal(&place(), ann(), "x"), Err(SealError::Destroyed)));
    }
    let carol = PersonId(Uuid::from_u128(3));
    destroyed(&f.keys, &subject_of(carol));
    assert!(matches!(f.keys.ensure(&subject_of(carol)), Err(KeyringError::Destroyed)));
}

fn sealing_needs_a_durable_key_first(f: &Fixture) {
    assert!(matches!(f.keys.seal(&place(), ann(), "x"), Err(SealError::NoKey)));
    f.keys.ensure(&subject_of(ann())).expect("a key");
    let token = f.keys.seal(&place(), ann(), "x").expect("at once");
    assert_eq!(f.again(&master(1), LOG).expect("unlocks").open(&place(), &token).expect("durable"), "x");
}

fn a_wrong_master_key_and_another_log_are_refused_by_name(f: &Fixture) {
    assert!(matches!(f.again(&master(2), LOG), Err(KeyringError::WrongMaster)));
    let error = f.again(&master(1), Uuid::from_u128(8)).expect_err("another log").to_string();
    assert!(error.contains(&LOG.to_string()) && error.contains(&Uuid::from_u128(8).to_string()), "{error}");
    let begun = Keyring::begin(f.site.store(), &master(1), LOG, Seeded::from(3));
    assert!(matches!(begun, Err(KeyringError::Begun(log)) if log == LOG));
    let empty = f.site.another();
    let unbegun = Keyring::unlock(empty.store(), &master(1), LOG, Seeded::from(3));
    assert!(matches!(unbegun, Err(KeyringError::NotBegun(_))));
}

#[test]
fn no_key_lies_in_the_file_in_the_clear() {
    let f = Fixture::new(Site::sqlite());
    f.sealed(ann(), "x");
    let mut secret: Vec<Vec<u8>> = vec![master(1).0.to_vec()];
    secret.push(f.keys.newest(&subject_of(ann())).expect("loads").expect("there").key.to_vec());
    secret.extend(f.keys.signing_seeds().iter().map(|seed| seed.to_vec()));
    let macs = &f.keys.0.macs;
    secret.extend(
        [&macs.claims, &macs.requests, &macs.refresh, &macs.cursors, &macs.invites].map(|key| key.to_vec()),
    );
    let mut files = 0;
    for entry in std::fs::read_dir(f.folder()).expect("the folder") {
        let bytes = std::fs::read(entry.expect("an entry").path()).expect("a file");
        files += 1;
        let holds = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
        for key in &secret {
            assert!(!holds(key), "raw");
            assert!(!holds(hex::encode(key).as_bytes()), "hexadecimal");
            assert!(
                !holds(&base64::engine::general_purpose::STANDARD.encode(key).as_bytes()[..42]),
                "base64"
            );
            assert!(!holds(&macs::base64(key).as_bytes()[..42]), "base64url");
        }
    }
    assert!(files >= 1, "something was searched");
}

#[test]
fn a_destroyed_key_leaves_no_trace_in_the_file() {
    let f = Fixture::new(Site::sqlite());
    f.sealed(ann(), "x");
    let Found::Live(row) = f.keys.0.store.newest_key(&subject_of(ann())).expect("loads") else {
        panic!("ann has a key");
    };
    let on_disk = || {
        std::fs::read_dir(f.folder()).expect("the folder").any(|entry| {
            let bytes = std::fs::read(entry.expect("an entry").path()).expect("a file");
            bytes.windows(row.wrapped.len()).any(|window| window == row.wrapped)
        })
    };
    assert!(on_disk());
    destroyed(&f.keys, &subject_of(ann()));
    assert!(!on_disk());
}

fn personal_values_open_as_their_kind(f: &Fixture) {
    let token = f.sealed(ann(), &plaintext(&Text("two\nlines".into())));
    let sealed = Sealed { token, event_id: Some(place().event_id) };
    assert_eq!(f.keys.open_as::<Text>(&place(), &sealed).expect("a text"), Text("two\nlines".into()));
    let newer = Sealed { token: f.sealed(ann(), "99\nx"), event_id: None };
    assert!(matches!(f.keys.open_as::<Nickname>(&place(), &newer), Err(OpenError::Unreadable)));
}

fn claim_keys_depend_on_kind_and_store(f: &Fixture) {
    let key = f.keys.claim_key("email/1", "ann@example.org");
    assert_eq!(key.len(), 64);
    assert_eq!(key, f.again(&master(1), LOG).expect("unlocks").claim_key("email/1", "ann@example.org"));
    assert_ne!(key, f.keys.claim_key("email/2", "ann@example.org"));
    assert_ne!(key, f.keys.claim_key("nickname/1", "ann@example.org"));
    let other = f.site.another();
    let other = Keyring::begin(other.store(), &master(1), LOG, Seeded::from(5)).expect("begun");
    assert_ne!(key, other.claim_key("email/1", "ann@example.org"), "random, not derived from the master key");
}

fn a_refresh_token_is_read_back_and_cannot_be_made_up(f: &Fixture) {
    let session = SessionId(Uuid::from_u128(0xabcdef));
    let token = f.keys.refresh_token(session, 3);
    assert_eq!(token, f.keys.refresh_token(session, 3), "a repeat gets the same one");
    assert_eq!(f.keys.read_refresh_token(&token), Some((session, 3)));
    let bad = [
        token.replace(".3.", ".4."),
        token.replace(".3.", ".03."),
        token.to_uppercase(),
        token.replace("abcdef", "ABCDEF"),
        format!("{token}.x"),
        format!("r1.{session}.3."),
        "r1..".to_owned(),
        String::new(),
    ];
    for bad in bad {
        assert_eq!(f.keys.read_refresh_token(&bad), None, "{bad}");
    }
}

fn a_cursor_is_authenticated(f: &Fixture) {
    let tag = f.keys.cursor_mac(b"after 7");
    assert!(f.keys.is_cursor_mac(b"after 7", &tag));
    assert!(!f.keys.is_cursor_mac(b"after 8", &tag));
    assert!(!f.keys.is_cursor_mac(b"after 7", &tag[..16]));
}

fn threads_that_ensure_at_once_get_one_key(f: &Fixture) {
    let ids: Vec<KeyId> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..8).map(|_| scope.spawn(|| f.keys.ensure("somebody").expect("a key"))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    assert!(ids.iter().all(|id| *id == ids[0]));
}

fn another_process_finds_a_key_and_forgets_a_destroyed_one(f: &Fixture) {
    let other = f.again(&master(1), LOG).expect("unlocks");
    let (of_ann, of_bob) = (f.sealed(ann(), "ann's"), f.sealed(bob(), "bob's"));
    let id = other.ensure(&subject_of(ann())).expect("the one that is there");
    assert_eq!(id, f.keys.ensure(&subject_of(ann())).expect("the same"));
    // Both have it in memory now.
    assert_eq!(other.open(&place(), &of_ann).expect("opens"), "ann's");
    assert_eq!(other.open(&place(), &of_bob).expect("opens"), "bob's");
    if matches!(f.site, Site::Sqlite(_)) {
        // Its file is one process's own.
        return;
    }
    destroyed(&f.keys, &subject_of(ann()));
    assert!(matches!(other.open(&place(), &of_ann), Err(OpenError::Destroyed)), "not from memory either");
    assert!(matches!(other.seal(&place(), ann(), "x"), Err(SealError::Destroyed)));
    assert_eq!(other.open(&place(), &of_bob).expect("bob's own"), "bob's");
    // Both at once wait for each other, and neither for ever.
    std::thread::scope(|scope| {
        let bobs = scope.spawn(|| destroyed(&other, &subject_of(bob())));
        destroyed(&f.keys, "somebody");
        bobs.join().expect("no panic");
    });
    assert!(matches!(f.keys.open(&place(), &of_bob), Err(OpenError::Destroyed)));
}

/// Destroys a key, again where its store has not answered in time.
fn destroyed(keys: &Keyring, subject: &str) {
    until("it is destroyed", || match keys.destroy(subject) {
        Ok(()) => true,
        Err(KeyringError::Store(_)) => false,
        Err(error) => panic!("{error}"),
    });
}

/// Waits for what must come.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(30), "{what}: in vain");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_process_that_is_cut_off_uses_no_key_from_memory() {
    let name = database();
    let url = format!("{}/{name}", server());
    let store = PostgresKeyStore::with_lease(&url, Duration::from_secs(2)).expect("opens");
    let keys = Keyring::begin(Arc::new(store), &master(1), LOG, Seeded::from(100)).expect("begun");
    keys.ensure(&subject_of(ann())).expect("a key");
    let token = keys.seal(&place(), ann(), "x").expect("sealed");
    assert_eq!(keys.open(&place(), &token).expect("from memory"), "x");
    sql("postgres", &format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false"));
    let others = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
    sql("postgres", &others);
    until("the lease runs out", || matches!(keys.open(&place(), &token), Err(OpenError::Store(_))));
    sql("postgres", &format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true"));
    until("it goes on by itself", || keys.open(&place(), &token).is_ok());
}

#[test]
fn a_process_that_was_paused_asks_before_it_uses_a_key_from_memory() {
    let name = database();
    let url = format!("{}/{name}", server());
    let store = Arc::new(PostgresKeyStore::with_lease(&url, Duration::from_secs(600)).expect("opens"));
    let keys = Keyring::begin(store.clone(), &master(1), LOG, Seeded::from(100)).expect("begun");
    keys.ensure(&subject_of(ann())).expect("a key");
    let token = keys.seal(&place(), ann(), "x").expect("sealed");
    // Nobody tells it.
    sql(&name, "INSERT INTO destroyed_keys SELECT key_id FROM keys; DELETE FROM keys");
    assert_eq!(keys.open(&place(), &token).expect("from memory"), "x");
    store.lapse();
    assert!(matches!(keys.open(&place(), &token), Err(OpenError::Destroyed)));
}

#[test]
fn destroying_waits_for_a_process_that_says_nothing_until_its_lease_is_over() {
    let name = database();
    let url = format!("{}/{name}", server());
    let store = PostgresKeyStore::with_lease(&url, Duration::from_secs(2)).expect("opens");
    let keys = Keyring::begin(Arc::new(store), &master(1), LOG, Seeded::from(100)).expect("begun");
    // Paused, with keys in its memory.
    let node = "00000000-0000-0000-0000-000000000001";
    sql(&name, &format!("INSERT INTO nodes VALUES ('{node}', 0, clock_timestamp() + interval '1 s')"));
    destroyed(&keys, &subject_of(ann()));
    sql(
        &name,
        &format!(
            "DO $$ BEGIN ASSERT NOT EXISTS (SELECT FROM nodes WHERE node = '{node}' AND until > clock_timestamp()); END $$"
        ),
    );
}

#[test]
fn a_logs_database_is_refused_by_name() {
    let name = database();
    sql(&name, "CREATE TABLE log_schema (version bigint)");
    let refused = PostgresKeyStore::open(&format!("{}/{name}", server())).expect_err("a log's").to_string();
    assert!(refused.contains("holds a log") && refused.contains("CREATE DATABASE"), "{refused}");
}

#[test]
fn who_waits_for_a_slow_store_keeps_no_task_from_running() {
    let keys = Fixture::new(Site::sqlite()).keys;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().expect("a runtime");
    let (holding, held) = std::sync::mpsc::channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let slow = keys.clone();
    let slow = std::thread::spawn(move || {
        slow.changing(|| {
            holding.send(()).expect("awaited");
            released.recv().expect("released");
        });
    });
    held.recv().expect("held");
    let (began, begun) = std::sync::mpsc::channel();
    let waiting = keys.clone();
    let waiting = runtime.spawn(async move {
        began.send(()).expect("awaited");
        waiting.ensure("ann")
    });
    begun.recv().expect("begun");
    let (ran, run) = std::sync::mpsc::channel();
    runtime.spawn(async move { ran.send(()).expect("awaited") });
    let others = run.recv_timeout(Duration::from_secs(60));
    release.send(()).expect("awaited");
    slow.join().expect("no panic");
    runtime.block_on(waiting).expect("no panic").expect("a key");
    others.expect("the only worker stood still");
}
