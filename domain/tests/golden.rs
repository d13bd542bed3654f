//! Every event as it was first written, kept for ever: `golden/<Aggregate>/<EventType>.v<N>.json`,
//! written by hand, beside what it means. A version that was ever written is never taken out of
//! here; a new one is added.
#![cfg(feature = "aggregates")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use domain::Timestamp;
use domain::account::{AccountEvent, WhyChanged};
use domain::aggregate::{DecodeError, Event, Kind};
use domain::chat::ChatEvent;
use domain::chronicle::ChronicleEvent;
use domain::friendship::FriendshipEvent;
use domain::ids::PersonId;
use domain::personal::{Personal, Sealed};
use domain::read_marker::ReadMarkerEvent;
use domain::session::{Method, SessionEvent, WhyRevoked};
use domain::user::UserEvent;
use serde_json::Value;

const ANN: &str = "01935470-5a00-7a3c-8f21-0c9d5e7b1a01";
const BOB: &str = "01935470-5a03-7d6f-9c54-3f2a8b0e4d04";
const SESSION: &str = "01935470-5a01-7b4d-9e32-1d0e6f8c2b02";
const KEY: &str = "01935470-5a02-7c5e-8d43-2e1f7a9d3c03";
const CHAT: &str = "01935470-5a04-7e70-8b65-403b9c1f5e05";
const FIRST_MESSAGE: &str = "01935470-5a05-7f81-9a76-514cad206f06";
const SECOND_MESSAGE: &str = "01935470-5a06-7092-8987-625dbe317a07";
const PHOTO: &str = "01935470-5a07-71a3-9098-7f6dec428b09";
const BLOB: &str = "3b1f0c6e5d7a94823b1f0c6e5d7a94823b1f0c6e5d7a94823b1f0c6e5d7a9482";
const EARLIER_BLOB: &str = "c0ffee0123456789c0ffee0123456789c0ffee0123456789c0ffee0123456789";
const LOG: &str = "01935470-59ff-7000-8a98-736ecf428b08";

fn id<T: From<uuid::Uuid>>(text: &str) -> T {
    text.parse::<uuid::Uuid>().expect("a UUID").into()
}

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).expect("a time")
}

/// A value sealed with Ann's key.
fn sealed<T>(rest: &str) -> Personal<T> {
    sealed_with('a', rest)
}

fn sealed_with<T>(key: char, rest: &str) -> Personal<T> {
    let token = format!("s1.k9Zt2LrYw8QmXe1{key}.{rest}");
    Personal::Sealed(Sealed { token, event_id: None })
}

/// Every golden file, without `.json`, and what it means.
fn golden() -> Vec<(&'static str, Event)> {
    let account = Event::Account;
    let session = Event::Session;
    let friendship = Event::Friendship;
    let chat = Event::Chat;
    let (ann, bob) = (id::<PersonId>(ANN), id::<PersonId>(BOB));
    vec![
        (
            "Account/AccountRegistered.v1",
            account(AccountEvent::AccountRegistered {
                person: ann,
                email: sealed("bm9uY2UtZW1haWw"),
                verifier: sealed("bm9uY2UtdmVyaWZpZXI"),
            }),
        ),
        (
            "Account/PasswordChanged.v1",
            account(AccountEvent::PasswordChanged {
                person: ann,
                verifier: sealed("bm9uY2UtbmV3"),
                why: WhyChanged::Chosen,
            }),
        ),
        (
            "Account/PasswordChanged.v1.rehashed",
            account(AccountEvent::PasswordChanged {
                person: ann,
                verifier: sealed("bm9uY2UtcmU"),
                why: WhyChanged::Rehashed,
            }),
        ),
        (
            "Session/SessionStarted.v1",
            session(SessionEvent::SessionStarted {
                session: id(SESSION),
                person: ann,
                method: Method::Password,
                device: sealed("bm9uY2UtZGV2aWNl"),
                address: sealed("bm9uY2UtYWRkcmVzcw"),
                at: at("2024-11-22T16:00:00.000007Z"),
            }),
        ),
        (
            "Session/SessionRefreshed.v1",
            session(SessionEvent::SessionRefreshed {
                session: id(SESSION),
                person: ann,
                generation: 2,
                key: id(KEY),
                at: at("2024-11-22T16:30:00Z"),
            }),
        ),
        (
            "Session/RefreshReuseDetected.v1",
            session(SessionEvent::RefreshReuseDetected {
                session: id(SESSION),
                person: ann,
                generation: 1,
                at: at("2024-11-22T16:30:10Z"),
            }),
        ),
        (
            "Session/SessionRevoked.v1",
            session(SessionEvent::SessionRevoked {
                session: id(SESSION),
                person: ann,
                why: WhyRevoked::SignedOut,
                at: at("2024-11-22T16:31:00Z"),
            }),
        ),
        (
            "Session/SessionRevoked.v1.elsewhere",
            session(SessionEvent::SessionRevoked {
                session: id(SESSION),
                person: ann,
                why: WhyRevoked::EndedElsewhere,
                at: at("2024-11-22T16:31:00Z"),
            }),
        ),
        (
            "User/UserCreated.v1",
            Event::User(UserEvent::UserCreated {
                person: ann,
                nickname: sealed("bm9uY2Utbmljaw"),
                name: sealed("bm9uY2UtbmFtZQ"),
            }),
        ),
        (
            "User/InfoEdited.v1",
            Event::User(UserEvent::InfoEdited { person: ann, nickname: None, name: None, about: None }),
        ),
        (
            "User/InfoEdited.v1.full",
            Event::User(UserEvent::InfoEdited {
                person: ann,
                nickname: Some(sealed("bm9uY2Utbmljaw")),
                name: Some(sealed("bm9uY2UtbmFtZQ")),
                about: Some(sealed("bm9uY2UtYWJvdXQ")),
            }),
        ),
        (
            "User/PhotoChanged.v1",
            Event::User(UserEvent::PhotoChanged {
                person: ann,
                photo_id: id(PHOTO),
                blob: BLOB.parse().expect("a name"),
                previous: None,
                at: at("2024-11-22T16:40:00Z"),
            }),
        ),
        (
            "User/PhotoChanged.v1.full",
            Event::User(UserEvent::PhotoChanged {
                person: ann,
                photo_id: id(PHOTO),
                blob: BLOB.parse().expect("a name"),
                previous: Some(EARLIER_BLOB.parse().expect("a name")),
                at: at("2024-11-22T16:40:00.000001Z"),
            }),
        ),
        (
            "User/PhotoRemoved.v1",
            Event::User(UserEvent::PhotoRemoved {
                person: ann,
                photo_id: id(PHOTO),
                previous: BLOB.parse().expect("a name"),
                at: at("2024-11-22T16:41:00Z"),
            }),
        ),
        (
            "Friendship/FriendRequested.v1",
            friendship(FriendshipEvent::FriendRequested {
                from: ann,
                to: bob,
                at: at("2024-11-22T17:00:00Z"),
            }),
        ),
        (
            "Friendship/FriendAccepted.v1",
            friendship(FriendshipEvent::FriendAccepted {
                by: bob,
                from: ann,
                at: at("2024-11-22T17:01:00Z"),
            }),
        ),
        (
            "Friendship/FriendDeclined.v1",
            friendship(FriendshipEvent::FriendDeclined {
                by: bob,
                from: ann,
                at: at("2024-11-22T17:01:00Z"),
            }),
        ),
        (
            "Friendship/FriendRemoved.v1",
            friendship(FriendshipEvent::FriendRemoved {
                by: ann,
                other: bob,
                at: at("2024-11-22T17:02:00Z"),
            }),
        ),
        (
            "Friendship/PersonBlocked.v1",
            friendship(FriendshipEvent::PersonBlocked {
                by: ann,
                other: bob,
                at: at("2024-11-22T17:03:00Z"),
            }),
        ),
        (
            "Friendship/PersonUnblocked.v1",
            friendship(FriendshipEvent::PersonUnblocked {
                by: ann,
                other: bob,
                at: at("2024-11-22T17:04:00Z"),
            }),
        ),
        (
            "Chat/DirectChatCreated.v1",
            chat(ChatEvent::DirectChatCreated {
                chat: id(CHAT),
                by: ann,
                with: bob,
                at: at("2024-11-22T17:05:00Z"),
            }),
        ),
        (
            "Chat/MessageSent.v1",
            chat(ChatEvent::MessageSent {
                chat: id(CHAT),
                author: ann,
                message_id: id(FIRST_MESSAGE),
                number: 1,
                text: sealed("bm9uY2UtdGV4dA"),
                sent_at: at("2024-11-22T17:06:00.123456Z"),
                reply_to: None,
            }),
        ),
        (
            "Chat/MessageSent.v1.full",
            chat(ChatEvent::MessageSent {
                chat: id(CHAT),
                author: bob,
                message_id: id(SECOND_MESSAGE),
                number: 2,
                text: sealed_with('b', "bm9uY2UtYW5zd2Vy"),
                sent_at: at("2024-11-22T17:06:00.123456Z"),
                reply_to: Some(1),
            }),
        ),
        (
            "ReadMarker/ReadUpTo.v1",
            Event::ReadMarker(ReadMarkerEvent::ReadUpTo {
                chat: id(CHAT),
                person: bob,
                number: 2,
                at: at("2024-11-22T17:07:00Z"),
            }),
        ),
        (
            "Chronicle/ChronicleOpened.v1",
            Event::Chronicle(ChronicleEvent::ChronicleOpened {
                log_id: id(LOG),
                format: 1,
                at: at("2024-11-22T15:59:59.999999Z"),
            }),
        ),
    ]
}

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden"))
}

/// The payload that a golden file holds: its one line.
fn payload(name: &str) -> String {
    let path = folder().join(format!("{name}.json"));
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.strip_suffix('\n').expect("a golden file ends with a newline").to_owned()
}

/// Aggregate type, event type, version and variant of a golden file.
fn parts(name: &str) -> (&str, &str, &str, Option<&str>) {
    let (aggregate_type, rest) = name.split_once('/').expect("a folder an aggregate");
    let mut rest = rest.split('.');
    let event_type = rest.next().expect("an event type");
    let version = rest.next().and_then(|version| version.strip_prefix('v')).expect("a version");
    (aggregate_type, event_type, version, rest.next())
}

fn decode(name: &str, payload: &str) -> Result<Event, DecodeError> {
    let (aggregate_type, event_type, version, _) = parts(name);
    Event::decode(aggregate_type, event_type, version, payload)
}

/// Whether `payload` reads as `meant`, and the current version is written as exactly `payload`.
fn agrees(name: &str, payload: &str, meant: &Event) -> Result<(), String> {
    let event = decode(name, payload).map_err(|error| error.to_string())?;
    if event != *meant {
        return Err("it means something else".to_owned());
    }
    let (aggregate_type, event_type, version, _) = parts(name);
    let is_current = event_types().contains(&(aggregate_type, event_type, version));
    let written = event.encode().map_err(|error| error.to_string())?;
    if is_current && written != payload {
        return Err(format!("it is now written {written}"));
    }
    Ok(())
}

/// Aggregate type, event type and version of every event that is written now.
fn event_types() -> BTreeSet<(&'static str, &'static str, &'static str)> {
    Kind::ALL
        .iter()
        .flat_map(|kind| kind.event_types().iter().map(|(name, version)| (kind.name(), *name, *version)))
        .collect()
}

/// Names that a serde error lists in backticks after "expected".
fn expected(error: &DecodeError) -> BTreeSet<String> {
    let DecodeError::Unreadable { source, .. } = error else { return BTreeSet::new() };
    let message = source.to_string();
    let Some((_, list)) = message.split_once("expected ") else { return BTreeSet::new() };
    list.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn fields(payload: &str) -> serde_json::Map<String, Value> {
    let event: Value = serde_json::from_str(payload).expect("JSON");
    let fields = event.as_object().and_then(|event| event.values().next()).and_then(Value::as_object);
    fields.expect("an event and its fields").clone()
}

fn with_fields(event_type: &str, fields: serde_json::Map<String, Value>) -> String {
    serde_json::json!({ event_type: fields }).to_string()
}

#[test]
fn every_golden_file_means_what_it_meant_and_is_written_the_same() {
    for (name, meant) in golden() {
        assert_eq!(agrees(name, &payload(name), &meant), Ok(()), "{name}");
    }
}

#[test]
fn a_single_changed_byte_in_a_golden_file_is_noticed() {
    for (name, meant) in golden() {
        let payload = payload(name);
        for at in 0..payload.len() {
            for flip in [0x01, 0x20] {
                let mut bytes = payload.clone().into_bytes();
                bytes[at] ^= flip;
                let changed = String::from_utf8(bytes).expect("a golden file is ASCII");
                assert!(agrees(name, &changed, &meant).is_err(), "{name}, byte {at}: {changed}");
            }
        }
    }
}

#[test]
fn every_event_that_is_written_has_its_golden_file() {
    let golden = golden();
    let kept: BTreeSet<_> = golden
        .iter()
        .map(|(name, _)| parts(name))
        .map(|(kind, event, version, _)| (kind, event, version))
        .collect();
    let missing: Vec<_> = event_types().difference(&kept).copied().collect();
    assert_eq!(missing, []);
}

#[test]
fn no_golden_file_lies_about_unread() {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder()).expect("the golden folder") {
        let folder = entry.expect("an aggregate's folder");
        for file in fs::read_dir(folder.path()).expect("is a folder") {
            let (folder, file) = (folder.file_name(), file.expect("a file").file_name());
            found.insert(format!("{}/{}", folder.to_string_lossy(), file.to_string_lossy()));
        }
    }
    let read: BTreeSet<String> = golden().iter().map(|(name, _)| format!("{name}.json")).collect();
    assert_eq!(found, read);
}

#[test]
fn every_field_stands_in_a_golden_file_and_only_what_may_be_absent_is_left_out_of_the_plain_one() {
    for (aggregate_type, event_type, version) in event_types() {
        let plain = format!("{aggregate_type}/{event_type}.v{version}");
        let required = fields(&payload(&plain));
        for name in required.keys() {
            let mut without = required.clone();
            without.remove(name);
            assert!(
                decode(&plain, &with_fields(event_type, without)).is_err(),
                "{plain}: {name} may be absent"
            );
        }

        let mut unknown = required.clone();
        unknown.insert("no_such_field".to_owned(), Value::Null);
        let refusal =
            decode(&plain, &with_fields(event_type, unknown)).expect_err("an unknown field is refused");
        let known = expected(&refusal);
        assert!(!known.is_empty(), "{refusal} tells the known fields");

        let full = format!("{plain}.full");
        let has_full = golden().iter().any(|(name, _)| *name == full);
        let shown = if has_full { fields(&payload(&full)) } else { required.clone() };
        assert_eq!(shown.keys().cloned().collect::<BTreeSet<_>>(), known, "{plain}");
        assert_eq!(has_full, known.len() > required.len(), "{full} is kept where a field may be absent");
    }
}

#[test]
fn every_word_of_an_enumeration_stands_in_a_golden_file() {
    for (aggregate_type, event_type, version) in event_types() {
        let of_type: Vec<(&str, serde_json::Map<String, Value>)> = golden()
            .iter()
            .filter(|(name, _)| {
                let (kind, event, of_version, _) = parts(name);
                (kind, event, of_version) == (aggregate_type, event_type, version)
            })
            .map(|(name, _)| (*name, fields(&payload(name))))
            .collect();
        for (name, fields) in &of_type {
            for field in fields.keys() {
                let mut strange = fields.clone();
                strange.insert(field.clone(), Value::from("no-such-word"));
                let refusal =
                    decode(name, &with_fields(event_type, strange)).expect_err("no field takes any word");
                if refusal.to_string().contains("unknown variant") {
                    let words: BTreeSet<String> = of_type
                        .iter()
                        .filter_map(|(_, fields)| fields.get(field)?.as_str().map(str::to_owned))
                        .collect();
                    assert_eq!(words, expected(&refusal), "{name}: {field}");
                }
            }
        }
    }
}

#[test]
fn an_unknown_event_or_version_is_refused_by_name() {
    for (name, _) in golden() {
        let (aggregate_type, event_type, version, _) = parts(name);
        let payload = payload(name);
        for (kind, event, of_version) in [
            (aggregate_type, event_type, "0"),
            (aggregate_type, event_type, "2"),
            (aggregate_type, event_type, "1.0"),
            (aggregate_type, event_type, ""),
            (aggregate_type, "NoSuchEvent", version),
            ("NoSuchAggregate", event_type, version),
        ] {
            let refusal = Event::decode(kind, event, of_version, &payload).expect_err("unknown");
            assert!(matches!(refusal, DecodeError::Unknown { .. }), "{refusal}");
            assert!(
                refusal.to_string().contains(&format!("{kind}/{event} version {of_version}")),
                "{refusal}"
            );
        }
    }
}

#[test]
fn a_payload_that_is_another_event_than_its_row_says_is_refused() {
    for (name, _) in golden() {
        let (aggregate_type, event_type, ..) = parts(name);
        for (kind, other, version) in event_types() {
            if kind == aggregate_type && other != event_type {
                let refusal = Event::decode(kind, other, version, &payload(name)).expect_err("another event");
                assert!(matches!(refusal, DecodeError::Unreadable { .. }), "{name} as {other}: {refusal}");
            }
        }
    }
}

#[test]
fn a_clear_text_where_a_seal_belongs_is_not_read() {
    for (name, _) in golden() {
        let payload = payload(name);
        if payload.contains("\"s1.") {
            assert!(decode(name, &payload.replacen("\"s1.", "\"", 1)).is_err(), "{name}");
        }
    }
}

#[test]
fn what_is_not_sealed_is_not_written() {
    let text = domain::personal::Text("clear".to_owned());
    let (_, event) = golden().into_iter().find(|(name, _)| *name == "Chat/MessageSent.v1").expect("is kept");
    let Event::Chat(ChatEvent::MessageSent { chat, author, message_id, number, sent_at, reply_to, .. }) =
        event
    else {
        panic!("a message is a message")
    };
    let clear =
        ChatEvent::MessageSent { chat, author, message_id, number, text: text.into(), sent_at, reply_to };
    assert!(Event::Chat(clear).encode().is_err());
}
