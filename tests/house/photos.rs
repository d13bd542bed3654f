//! Photos over the real binary: seen by whoever may, kept across restarts and rebuilds, swept when
//! nothing names them, on files and on S3.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use domain::requests::{Done, PhotoChanged};
use domain::views::{List, Me, Message, Person as Seen};
use image::{ImageFormat, Rgb, RgbImage};
use reqwest::header::CONTENT_TYPE;
use serde_json::json;

use crate::api::{Answer, Api, new_key};
use crate::letopis::{Folder, PATIENCE, Settings, until, within};
use crate::people::Person;

/// A picture of one colour.
pub fn picture(colour: [u8; 3]) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    RgbImage::from_pixel(300, 200, Rgb(colour)).write_to(&mut bytes, ImageFormat::Png).expect("written");
    bytes.into_inner()
}

/// Changes somebody's photo.
pub async fn send(api: &Api, who: &Person, body: &[u8]) -> Answer {
    post_picture(api, who, "change_photo", "image/png", body).await
}

/// Sends a file, once more where the machine was too busy for it.
pub async fn post_picture(api: &Api, who: &Person, command: &str, media_type: &str, body: &[u8]) -> Answer {
    within(PATIENCE * 4, "a picture finds its time", async || {
        let request = who.on(api).request("POST", &format!("/command/v1/{command}"));
        let request = request.header(CONTENT_TYPE, media_type);
        let request = request.header("Idempotency-Key", new_key().to_string()).body(body.to_vec());
        let answer = Answer::of(request).await.expect("it answers");
        let busy = ["keep a decoder busy", "too many pictures at once"];
        (!busy.iter().any(|words| answer.text().contains(words))).then_some(answer)
    })
    .await
}

/// Asks for a photo.
pub async fn photo(api: &Api, who: &Person, id: &str, query: &str, after: u64) -> Answer {
    who.on(api).show_bytes(&format!("/photos/{id}{query}"), after).await
}

pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

/// Changed, seen, sized, replaced, blocked, restarted, rebuilt.
async fn lives(folder: &Folder, settings: Settings) {
    let letopis = settings.start().await;
    let api = Api::of(&letopis);
    let (ann, bob, cyd) = (
        Person::register(&api, "ann").await,
        Person::register(&api, "bob").await,
        Person::register(&api, "cyd").await,
    );
    ann.befriend(&api, &bob).await;
    ann.befriend(&api, &cyd).await;
    let chat = ann.chat_with(&api, &bob).await;
    ann.say(&api, chat, "hello").await;
    let first: PhotoChanged = send(&api, &ann, &picture([200, 0, 0])).await.ok();
    let changed: PhotoChanged = send(&api, &ann, &picture([0, 0, 200])).await.ok();
    let id = changed.photo_id.to_string();
    cyd.on(&api).done::<Done>("block", &ann.whom()).await;

    let seen = photo(&api, &bob, &id, "", changed.position).await;
    assert_eq!((seen.status, seen.header("content-type")), (200, "image/jpeg"), "{}", seen.text());
    assert_eq!(seen.header("cache-control"), "private, max-age=300");
    let read = image::load_from_memory(&seen.body).expect("a picture").into_rgb8();
    assert_eq!(read.dimensions(), (300, 200));
    assert!(read.get_pixel(50, 50).0[2] > 150, "the later one");
    let sized = until("the sizes are made", async || {
        let sized = photo(&api, &bob, &id, "?size=64", 0).await;
        (sized.status == 200 && sized.header("etag").contains("-64")).then_some(sized)
    })
    .await;
    let read = image::load_from_memory(&sized.body).expect("a picture").into_rgb8();
    assert_eq!(read.dimensions(), (64, 64));
    photo(&api, &bob, &first.photo_id.to_string(), "", changed.position).await.problem(404, "not-found");
    let head = api.written();
    photo(&api, &cyd, &id, "", head).await.problem(404, "not-found");
    let messages: List<Message> = bob.on(&api).query(&format!("/chats/{chat}/messages")).await;
    assert_eq!(messages.items[0].author.photo_id, Some(id.clone()));
    letopis.kill().await;

    let letopis = settings.start().await;
    let api = Api::of(&letopis);
    assert_eq!(photo(&api, &bob, &id, "", head).await.body, seen.body);
    letopis.stop().await;
    std::fs::remove_dir_all(folder.file("projections")).expect("they were there");
    let letopis = settings.start().await;
    let api = Api::of(&letopis);
    assert_eq!(photo(&api, &bob, &id, "", head).await.body, seen.body);
    let me: Me = ann.on(&api).query("/me").await;
    assert_eq!(me.photo_id, Some(id.clone()));
    let of_cyd: Seen = cyd.on(&api).query(&format!("/users/{}", ann.id)).await;
    assert_eq!(of_cyd.photo_id, None);

    let removed: Done = ann.on(&api).done("remove_photo", &json!({})).await;
    photo(&api, &ann, &id, "", removed.position).await.problem(404, "not-found");
    letopis.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_photo_lives_in_files() {
    let folder = Folder::new();
    lives(&folder, folder.settings()).await;
    let letopis = folder.start().await;
    // What the kill left half-written has no name of a blob, and is swept.
    until("all of it is gone", async || blobs(&folder).is_empty().then_some(())).await;
    letopis.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_photo_lives_in_s3() {
    let read = |name: &str| {
        std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: ./dev test starts the servers"))
    };
    let folder = Folder::new();
    let bucket = read("LETOPIS_TEST_S3");
    let mut settings = folder.settings().with("LETOPIS_BLOBS_URL", format!("{bucket}/house-{}", new_key()));
    for name in ["AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
        settings = settings.with(name, read(name));
    }
    lives(&folder, settings).await;
    assert!(!folder.file("blobs").exists(), "nothing lies beside it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_that_no_event_names_is_swept_and_a_photo_is_not() {
    let folder = Folder::new();
    // Longer than any machine takes from a blob to its event.
    let settings = folder.settings().with("LETOPIS_BLOBS_KEEP", 10);
    let letopis = settings.start().await;
    let api = Api::of(&letopis);
    let ann = Person::register(&api, "ann").await;
    let changed: PhotoChanged = send(&api, &ann, &picture([0, 200, 0])).await.ok();
    until("the sizes are made", async || (blobs(&folder).len() == 4).then_some(())).await;
    let mut made = files(&folder.file("blobs"));
    letopis.kill().await;
    // As a process leaves it that is killed after the blob and before the event.
    let orphan = folder.file("blobs").join("ab").join("cd").join(format!("abcd{}", "0".repeat(60)));
    std::fs::create_dir_all(orphan.parent().expect("a folder")).expect("made");
    std::fs::write(&orphan, "sealed").expect("written");
    let letopis = settings.start().await;
    let api = Api::of(&letopis);
    until("the orphan is gone", async || (!orphan.exists()).then_some(())).await;
    // All are as old now, and some sweeps follow.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let mut left = files(&folder.file("blobs"));
    left.sort();
    made.sort();
    assert_eq!(left, made, "what an event names stays");
    assert_eq!(photo(&api, &ann, &changed.photo_id.to_string(), "", changed.position).await.status, 200);
    letopis.stop().await;
}

/// What a directory says that is ahead of the log, as after a restore without it, is nothing to delete by.
#[tokio::test(flavor = "multi_thread")]
async fn a_restored_log_keeps_its_photos_though_a_newer_directory_names_others() {
    let folder = Folder::new();
    // Nothing is swept for its age until the restore.
    let settings = folder.settings().with("LETOPIS_BLOBS_KEEP", 300);
    let letopis = settings.start().await;
    let api = Api::of(&letopis);
    let ann = Person::register(&api, "ann").await;
    let first: PhotoChanged = send(&api, &ann, &picture([200, 0, 0])).await.ok();
    until("the sizes are made", async || (blobs(&folder).len() == 4).then_some(())).await;
    letopis.stop().await;
    let backup = folder.beside("backup");
    let (of_it, back) = (backup.join("blobs"), folder.file("blobs"));
    copy_tree(&back, &of_it);
    crate::letopis::copy_files(&folder.data(), &backup);

    let letopis = settings.start().await;
    let api = Api::of(&letopis);
    let changed: PhotoChanged = send(&api, &ann, &picture([0, 200, 0])).await.ok();
    assert_eq!(photo(&api, &ann, &changed.photo_id.to_string(), "", changed.position).await.status, 200);
    until("the first one is gone", async || {
        let left = blobs(&folder);
        (left.len() == 4 && blobs_in(&of_it).iter().all(|blob| !left.contains(blob))).then_some(())
    })
    .await;
    letopis.stop().await;
    std::fs::remove_dir_all(&back).expect("it was there");
    copy_tree(&of_it, &back);
    crate::letopis::copy_files(&backup, &folder.data());

    let settings = settings.with("LETOPIS_BLOBS_KEEP", 5);
    let letopis = settings.launch().await;
    let refused = "the directory is of another log, history or version";
    letopis.says(refused, |said| said.contains(refused).then_some(())).await;
    // Many sweeps long; each of them would have deleted all of it.
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(blobs(&folder), blobs_in(&of_it), "what the log names stays");
    letopis.kill().await;
    std::fs::remove_dir_all(folder.file("projections")).expect("they were there");
    let letopis = settings.start().await;
    let seen = photo(&Api::of(&letopis), &ann, &first.photo_id.to_string(), "", 0).await;
    assert_eq!(seen.status, 200, "{}", seen.text());
    letopis.stop().await;
}

fn blobs(folder: &Folder) -> BTreeSet<String> {
    blobs_in(&folder.file("blobs"))
}

/// By their names.
fn blobs_in(folder: &Path) -> BTreeSet<String> {
    let names = files(folder).into_iter().filter_map(|file| file.file_name()?.to_str().map(str::to_owned));
    names.filter(|name| name.len() >= 64 && !name.contains('.')).collect()
}

fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.parent().expect("a folder")).expect("made");
    let copied = std::process::Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(copied.expect("there is cp").success());
}

/// A PNG whose header says 100 megapixels.
fn bomb() -> Vec<u8> {
    let mut bomb = picture([1, 2, 3]);
    bomb[16..24].copy_from_slice(&[0, 0, 0x27, 0x10, 0, 0, 0x27, 0x10]);
    let crc = !bomb[12..29].iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 },
        )
    });
    bomb[29..33].copy_from_slice(&crc.to_be_bytes());
    bomb
}

#[tokio::test(flavor = "multi_thread")]
async fn bombs_and_the_largest_pictures_at_once_stay_within_memory() {
    let folder = Folder::new();
    let letopis = folder.start().await;
    let api = Api::of(&letopis);
    let ann = Person::register(&api, "ann").await;
    let before = letopis.highest_memory();
    for _ in 0..20 {
        assert_eq!(send(&api, &ann, &bomb()).await.problem(422, "invalid").errors[0].code, "too-many-pixels");
    }
    let after_bombs = letopis.highest_memory();
    assert!(after_bombs < before + 32 * 1024, "nothing was decoded: {before} then {after_bombs} KiB");
    let mut largest = std::io::Cursor::new(Vec::new());
    RgbImage::from_fn(6_000, 4_000, |x, y| Rgb([(x / 24) as u8, (y / 16) as u8, 0]))
        .write_to(&mut largest, ImageFormat::Jpeg)
        .expect("written");
    let largest = largest.into_inner();
    let all = (0..4).map(|_| send(&api, &ann, &largest));
    for answer in futures::future::join_all(all).await {
        answer.ok::<PhotoChanged>();
    }
    // One decoded picture (72 MiB of RGB), what its decoder holds beside it and the files that came.
    let most = letopis.highest_memory();
    assert!(most < before + 256 * 1024, "{before} then {most} KiB");
    letopis.stop().await;
}
