//! A photo's way in.

use std::path::Path;

use serde_json::json;

use crate::stack::{Answer, Someone, Stack};

/// One pixel.
pub const PNG: &[u8] = &[
    0x89, b'P', b'N', b'G', 13, 10, 26, 10, 0, 0, 0, 13, b'I', b'H', b'D', b'R', 0, 0, 0, 1, 0, 0, 0, 1, 8,
    2, 0, 0, 0, 0x90, 0x77, 0x53, 0xDE, 0, 0, 0, 12, b'I', b'D', b'A', b'T', 8, 0xD7, 0x63, 0xF8, 0xCF, 0xC0,
    0, 0, 3, 1, 1, 0, 0x18, 0xDD, 0x8D, 0xB0, 0, 0, 0, 0, b'I', b'E', b'N', b'D', 0xAE, 0x42, 0x60, 0x82,
];

async fn change(stack: &Stack, who: &Someone, kind: &str, body: &[u8]) -> Answer {
    stack.ask("change_photo", json!({})).by(who).header("content-type", kind).raw(body).send().await
}

/// The files of the blob store.
fn blobs(stack: &Stack) -> Vec<Vec<u8>> {
    fn walk(folder: &Path, found: &mut Vec<Vec<u8>>) {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() { walk(&path, found) } else { found.push(std::fs::read(&path).expect("a file")) }
        }
    }
    let mut found = Vec::new();
    walk(&stack.path().join("blobs"), &mut found);
    found
}

#[tokio::test]
async fn a_photo_is_sealed_and_durable_before_its_event() {
    let stack = Stack::new().await;
    let ann = stack.register("ann").await;
    let head = stack.head().await;
    let answer = change(&stack, &ann, "image/png", PNG).await.ok();
    assert_eq!(answer["position"], head + 1);
    assert!(answer["photo_id"].is_string());
    let [sealed] = blobs(&stack).try_into().expect("one blob");
    assert!(sealed.starts_with(b"letopis-blob/1\n"));
    for magic in [b"\x89PNG".as_slice(), b"\xFF\xD8\xFF", b"JFIF", b"RIFF"] {
        assert!(!sealed.windows(magic.len()).any(|part| part == magic), "no picture in clear");
    }
    let keyring = stack.state.executor.keyring();
    let person = ann.id.parse().expect("an id");
    let open = keyring.open_blob(person, &sealed).expect("opened");
    assert_eq!(stores::blobs::media_type(&open), "image/jpeg");
    let bob = stack.register("bob").await;
    assert!(keyring.open_blob(bob.id.parse().expect("an id"), &sealed).is_err(), "bound to its owner");
    let mut damaged = sealed.clone();
    *damaged.last_mut().expect("bytes") ^= 1;
    assert!(keyring.open_blob(person, &damaged).is_err());
    keyring.destroy(&chronicle::keys::subject_of(person)).expect("destroyed");
    assert!(matches!(keyring.open_blob(person, &sealed), Err(chronicle::keys::OpenError::Destroyed)));
}

#[tokio::test]
async fn a_repeated_change_answers_the_same_and_keeps_nothing_more() {
    let stack = Stack::new().await;
    let ann = stack.register("ann").await;
    let key = stack.key();
    let ask = |body: &[u8]| {
        stack
            .ask("change_photo", json!({}))
            .by(&ann)
            .header("content-type", "image/png")
            .raw(body)
            .key(key)
            .send()
    };
    let first = ask(PNG).await.ok();
    assert_eq!(ask(PNG).await.ok(), first);
    assert_eq!(blobs(&stack).len(), 1);
    assert_eq!(ask(b"another").await.refused(), (422, "key-reused"));
    let second = change(&stack, &ann, "image/png", PNG).await.ok();
    assert_ne!(second["photo_id"], first["photo_id"]);
}

#[tokio::test]
async fn a_photo_is_removed_once() {
    let stack = Stack::new().await;
    let ann = stack.register("ann").await;
    change(&stack, &ann, "image/png", PNG).await.ok();
    let head = stack.head().await;
    let remove = || stack.ask("remove_photo", json!({})).by(&ann).send();
    assert_eq!(remove().await.ok()["position"], head + 1);
    assert_eq!(remove().await.ok()["position"], head + 1, "nothing to remove");
}

#[tokio::test]
async fn what_is_no_fit_picture_is_refused_and_nothing_is_kept() {
    let stack = Stack::new().await;
    let ann = stack.register("ann").await;
    let mut bomb = PNG.to_vec();
    bomb[16..24].copy_from_slice(&[0, 0, 0x40, 0, 0, 0, 0x40, 0]);
    let sum = crc32(&bomb[12..29]).to_be_bytes();
    bomb[29..33].copy_from_slice(&sum);
    let large = vec![0; 10 * 1024 * 1024 + 1];
    for (kind, body, status, slug, code) in [
        ("application/json", PNG, 415, "unsupported-type", None),
        ("multipart/form-data", PNG, 415, "unsupported-type", None),
        ("image/png", b"<svg/>".as_slice(), 415, "unsupported-type", None),
        ("image/png", b"", 415, "unsupported-type", None),
        ("image/png", &PNG[..45], 422, "invalid", Some("broken-picture")),
        ("image/png", &bomb, 422, "invalid", Some("too-many-pixels")),
        ("image/png", &large, 413, "too-large", None),
    ] {
        let answer = change(&stack, &ann, kind, body).await;
        assert_eq!(answer.refused(), (status, slug), "{kind} {}", answer.body);
        assert_eq!(answer.body["errors"][0]["code"].as_str(), code);
    }
    assert_eq!(blobs(&stack), Vec::<Vec<u8>>::new());
    // By its content, whatever the header says of the kind of picture.
    change(&stack, &ann, "image/webp", PNG).await.ok();
    let nobody =
        stack.ask("change_photo", json!({})).header("content-type", "image/png").raw(PNG).send().await;
    assert_eq!(nobody.refused(), (401, "unauthenticated"));
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 },
        )
    })
}
