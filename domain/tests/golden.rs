//! Every event as it was first written, kept for ever: `golden/<Aggregate>/<EventType>.v<N>.json`,
//! written by hand, beside what it means. A version that was ever written is never taken out of
//! here; a new one is added.
#![cfg(feature = "aggregates")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use domain::aggregate::{DecodeError, Event, Kind};
use domain::chat::ChatEvent;
use serde_json::Value;

mod meanings;

use meanings::golden;

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

/// Whether `payload` reads as `meant`, and is written as exactly `payload` still.
fn agrees(name: &str, payload: &str, meant: &Event) -> Result<(), String> {
    let event = decode(name, payload).map_err(|error| error.to_string())?;
    if event != *meant {
        return Err("it means something else".to_owned());
    }
    // An older version is today's without what was added, and so is written the same.
    let written = event.encode().map_err(|error| error.to_string())?;
    if written != payload {
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
                // Within a letter that is no ASCII.
                let Ok(changed) = String::from_utf8(bytes) else { continue };
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
                let refusal = match decode(name, &with_fields(event_type, strange)) {
                    Err(refusal) => refusal,
                    // Whether it is one is asked when it is decided.
                    Ok(_) if field == "emoji" => continue,
                    Ok(_) => panic!("{name}: {field} takes any word"),
                };
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
            (aggregate_type, event_type, "3"),
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
    let clear = ChatEvent::MessageSent {
        chat,
        author,
        message_id,
        number,
        text: text.into(),
        sent_at,
        reply_to,
        attachments: Vec::new(),
        forwarded_from: None,
    };
    assert!(Event::Chat(clear).encode().is_err());
}
