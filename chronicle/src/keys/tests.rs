//! What the key store promises, on its embedded engine.

use std::path::Path;
use std::sync::Arc;

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

fn store(path: &Path) -> Arc<dyn KeyStore> {
    Arc::new(SqliteKeyStore::open(path).expect("the store opens"))
}

struct Fixture {
    folder: tempfile::TempDir,
    keys: Keyring,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = store(&folder.path().join("keys.db"));
        let keys = Keyring::begin(store, &master(1), LOG, Seeded::from(100)).expect("begun");
        Self { folder, keys }
    }

    /// The same store in a process of its own.
    fn again(&self, with: &MasterKey, log: Uuid) -> Result<Keyring, KeyringError> {
        Keyring::unlock(store(&self.folder.path().join("keys.db")), with, log, Seeded::from(200))
    }

    fn sealed(&self, of: PersonId, text: &str) -> String {
        self.keys.ensure(&subject_of(of)).expect("a key");
        self.keys.seal(&place(), of, text).expect("sealed")
    }
}

#[test]
fn what_is_sealed_opens_after_a_restart() {
    let f = Fixture::new();
    let token = f.sealed(ann(), "привет\n");
    assert_eq!(f.keys.open(&place(), &token).expect("opens"), "привет\n");
    let again = f.again(&master(1), LOG).expect("unlocks");
    assert_eq!(again.open(&place(), &token).expect("opens"), "привет\n");
    let id = again.ensure(&subject_of(ann())).expect("still there");
    assert_eq!(f.keys.ensure(&subject_of(ann())).expect("the same"), id);
    assert_ne!(token, f.sealed(ann(), "привет\n"), "a nonce is never used twice");
}

#[test]
fn a_token_has_the_form_that_the_format_gives() {
    let f = Fixture::new();
    let token = f.sealed(ann(), "hello");
    let parts: Vec<&str> = token.split('.').collect();
    assert_eq!((parts.len(), parts[0], parts[1].len()), (3, "s1", 16));
    let body = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(parts[2]).expect("base64url");
    assert_eq!(body.len(), wrap::NONCE + "hello".len() + wrap::TAG);
}

#[test]
fn a_value_opens_only_in_its_place() {
    let f = Fixture::new();
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

#[test]
fn destroying_a_subject_takes_its_values_and_no_others() {
    let f = Fixture::new();
    let (of_ann, of_bob) = (f.sealed(ann(), "ann's"), f.sealed(bob(), "bob's"));
    f.keys.destroy(&subject_of(ann())).expect("destroyed");
    f.keys.destroy(&subject_of(ann())).expect("again");
    for keys in [f.keys.clone(), f.again(&master(1), LOG).expect("unlocks")] {
        assert!(matches!(keys.open(&place(), &of_ann), Err(OpenError::Destroyed)));
        assert_eq!(keys.open(&place(), &of_bob).expect("bob's own"), "bob's");
        assert!(matches!(keys.ensure(&subject_of(ann())), Err(KeyringError::Destroyed)));
        assert!(matches!(keys.seal(&place(), ann(), "x"), Err(SealError::Destroyed)));
    }
    let carol = PersonId(Uuid::from_u128(3));
    f.keys.destroy(&subject_of(carol)).expect("before it had any");
    assert!(matches!(f.keys.ensure(&subject_of(carol)), Err(KeyringError::Destroyed)));
}

#[test]
fn sealing_needs_a_durable_key_first() {
    let f = Fixture::new();
    assert!(matches!(f.keys.seal(&place(), ann(), "x"), Err(SealError::NoKey)));
    f.keys.ensure(&subject_of(ann())).expect("a key");
    let token = f.keys.seal(&place(), ann(), "x").expect("at once");
    assert_eq!(f.again(&master(1), LOG).expect("unlocks").open(&place(), &token).expect("durable"), "x");
}

#[test]
fn a_wrong_master_key_and_another_log_are_refused_by_name() {
    let f = Fixture::new();
    assert!(matches!(f.again(&master(2), LOG), Err(KeyringError::WrongMaster)));
    let error = f.again(&master(1), Uuid::from_u128(8)).expect_err("another log").to_string();
    assert!(error.contains(&LOG.to_string()) && error.contains(&Uuid::from_u128(8).to_string()), "{error}");
    let path = f.folder.path().join("keys.db");
    let begun = Keyring::begin(store(&path), &master(1), LOG, Seeded::from(3));
    assert!(matches!(begun, Err(KeyringError::Begun(log)) if log == LOG));
    let empty = store(&f.folder.path().join("other.db"));
    let unbegun = Keyring::unlock(empty, &master(1), LOG, Seeded::from(3));
    assert!(matches!(unbegun, Err(KeyringError::NotBegun(_))));
}

#[test]
fn no_key_lies_in_the_file_in_the_clear() {
    let f = Fixture::new();
    f.sealed(ann(), "x");
    let mut secret: Vec<Vec<u8>> = vec![master(1).0.to_vec()];
    secret.push(f.keys.newest(&subject_of(ann())).expect("loads").expect("there").key.to_vec());
    secret.extend(f.keys.signing_seeds().iter().map(|seed| seed.to_vec()));
    let macs = &f.keys.0.macs;
    secret.extend([&macs.claims, &macs.requests, &macs.refresh, &macs.cursors].map(|key| key.to_vec()));
    let mut files = 0;
    for entry in std::fs::read_dir(f.folder.path()).expect("the folder") {
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
    let f = Fixture::new();
    f.sealed(ann(), "x");
    let Found::Live(row) = f.keys.0.store.newest_key(&subject_of(ann())).expect("loads") else {
        panic!("ann has a key");
    };
    let on_disk = || {
        std::fs::read_dir(f.folder.path()).expect("the folder").any(|entry| {
            let bytes = std::fs::read(entry.expect("an entry").path()).expect("a file");
            bytes.windows(row.wrapped.len()).any(|window| window == row.wrapped)
        })
    };
    assert!(on_disk());
    f.keys.destroy(&subject_of(ann())).expect("destroyed");
    assert!(!on_disk());
}

#[test]
fn personal_values_open_as_their_kind() {
    let f = Fixture::new();
    let token = f.sealed(ann(), &plaintext(&Text("two\nlines".into())));
    let sealed = Sealed { token, event_id: Some(place().event_id) };
    assert_eq!(f.keys.open_as::<Text>(&place(), &sealed).expect("a text"), Text("two\nlines".into()));
    let newer = Sealed { token: f.sealed(ann(), "99\nx"), event_id: None };
    assert!(matches!(f.keys.open_as::<Nickname>(&place(), &newer), Err(OpenError::Unreadable)));
}

#[test]
fn claim_keys_depend_on_kind_and_store() {
    let f = Fixture::new();
    let key = f.keys.claim_key("email/1", "ann@example.org");
    assert_eq!(key.len(), 64);
    assert_eq!(key, f.again(&master(1), LOG).expect("unlocks").claim_key("email/1", "ann@example.org"));
    assert_ne!(key, f.keys.claim_key("email/2", "ann@example.org"));
    assert_ne!(key, f.keys.claim_key("nickname/1", "ann@example.org"));
    let other = tempfile::tempdir().expect("a folder");
    let other =
        Keyring::begin(store(&other.path().join("k.db")), &master(1), LOG, Seeded::from(5)).expect("begun");
    assert_ne!(key, other.claim_key("email/1", "ann@example.org"), "random, not derived from the master key");
}

#[test]
fn a_refresh_token_is_read_back_and_cannot_be_made_up() {
    let f = Fixture::new();
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

#[test]
fn a_cursor_is_authenticated() {
    let f = Fixture::new();
    let tag = f.keys.cursor_mac(b"after 7");
    assert!(f.keys.is_cursor_mac(b"after 7", &tag));
    assert!(!f.keys.is_cursor_mac(b"after 8", &tag));
    assert!(!f.keys.is_cursor_mac(b"after 7", &tag[..16]));
}

#[test]
fn threads_that_ensure_at_once_get_one_key() {
    let f = Fixture::new();
    let ids: Vec<KeyId> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..8).map(|_| scope.spawn(|| f.keys.ensure("somebody").expect("a key"))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    assert!(ids.iter().all(|id| *id == ids[0]));
}
