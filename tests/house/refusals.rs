//! What a start refuses, by name and with what to do; and that what was there is unharmed.

use std::net::TcpListener;
use std::path::Path;

use domain::views::Me;
use rusqlite::Connection;

use crate::api::Api;
use crate::letopis::{Folder, copy_files};
use crate::people::Person;

/// A stopped installation in which Ann has registered.
async fn lived_in() -> (Folder, Person) {
    let folder = Folder::new();
    let letopis = folder.start().await;
    let ann = Person::register(&Api::of(&letopis), "ann").await;
    letopis.stop().await;
    (folder, ann)
}

/// It starts, and Ann's token still opens her account.
async fn assert_unharmed(folder: &Folder, ann: &Person) {
    let letopis = folder.start().await;
    let me: Me = ann.on(&Api::of(&letopis)).query("/me").await;
    assert_eq!((me.user_id, me.nickname.as_deref()), (ann.id, Some("ann")));
    letopis.stop().await;
}

#[track_caller]
fn assert_says(said: &str, words: &[&str]) {
    for word in words {
        assert!(said.contains(word), "it does not say {word:?}:\n{said}");
    }
}

fn remove_database(file: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        let name = format!("{}{suffix}", file.display());
        match std::fs::remove_file(&name) {
            Ok(()) => {}
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{name}: {error}"),
        }
    }
}

#[tokio::test]
async fn a_second_process_on_the_same_folder_is_refused_and_the_first_goes_on() {
    let folder = Folder::new();
    let letopis = folder.start().await;
    let ann = Person::register(&Api::of(&letopis), "ann").await;
    let said = folder.settings().refused().await;
    assert_says(&said, &["another letopis", "LETOPIS_DATA", &folder.file("lock").display().to_string()]);
    let me: Me = ann.on(&Api::of(&letopis)).query("/me").await;
    assert_eq!(me.user_id, ann.id);
    letopis.stop().await;
}

#[tokio::test]
async fn the_blobs_of_another_log_are_refused() {
    let (folder, ann) = lived_in().await;
    let blobs = format!("file:{}", folder.file("blobs").display());
    let other = Folder::new().settings().with("LETOPIS_BLOBS_URL", &blobs).refused().await;
    assert_says(&other, &["LETOPIS_BLOBS_URL", "the blobs there are of log", "name an empty place"]);
    assert_unharmed(&folder, &ann).await;
}

#[tokio::test]
async fn a_missing_or_wrong_master_key_is_refused() {
    let (folder, ann) = lived_in().await;
    let (key, kept) = (folder.file("master.key"), folder.beside("kept"));
    std::fs::rename(&key, &kept).expect("moved");
    let said = folder.settings().refused().await;
    assert_says(&said, &["master key", "missing", "LETOPIS_MASTER_KEY", &key.display().to_string()]);
    assert!(!key.exists(), "a new master key was made over existing data");

    std::fs::copy(&kept, &key).expect("copied");
    std::fs::write(&key, format!("{}\n", "5a".repeat(32))).expect("written over, mode kept");
    assert_says(&folder.settings().refused().await, &["master key is not the one", "LETOPIS_MASTER_KEY"]);

    std::fs::rename(&kept, &key).expect("moved back");
    assert_unharmed(&folder, &ann).await;
}

#[tokio::test]
async fn a_log_of_a_newer_format_is_refused() {
    let (folder, ann) = lived_in().await;
    let set_format = |from: &str, to: &str| {
        let log = Connection::open(folder.file("log.db")).expect("the log");
        let changed = log.execute(
            "UPDATE events SET payload = replace(payload, ?1, ?2) WHERE position = 1 AND instr(payload, ?1) > 0",
            [from, to],
        );
        assert_eq!(changed.expect("updated"), 1, "event 1 does not say {from}");
    };
    set_format("\"format\":1", "\"format\":2");
    assert_says(&folder.settings().refused().await, &["format 2", "newer letopis"]);
    set_format("\"format\":2", "\"format\":1");
    assert_unharmed(&folder, &ann).await;
}

#[tokio::test]
async fn a_key_store_that_is_gone_or_of_another_log_is_refused() {
    let (folder, ann) = lived_in().await;
    let (other, _) = lived_in().await;
    let kept = folder.beside("kept");
    copy_files(&folder.data(), &kept);

    remove_database(&folder.file("keys.db"));
    assert_says(&folder.settings().refused().await, &["no key store", "keys.db", "backup"]);

    remove_database(&folder.file("keys.db"));
    std::fs::copy(other.file("keys.db"), folder.file("keys.db")).expect("copied");
    assert_says(&folder.settings().refused().await, &["key store belongs to log", "LETOPIS_KEYS_URL"]);
    // And so with its own master key.
    std::fs::copy(other.file("master.key"), folder.file("master.key")).expect("copied");
    assert_says(&folder.settings().refused().await, &["key store belongs to log"]);

    remove_database(&folder.file("keys.db"));
    copy_files(&kept, &folder.data());
    assert_unharmed(&folder, &ann).await;
}

#[tokio::test]
async fn two_engines_in_one_file_are_refused() {
    let folder = Folder::new();
    let url = |path: &str| format!("sqlite:{}/{path}", folder.data().display());
    let settings = folder.settings().with("LETOPIS_LOG_URL", url("one.db"));
    let refused_as = async |variable: &str, path: &str| {
        let said = settings.clone().with(variable, url(path)).refused().await;
        assert_says(&said, &[variable, "LETOPIS_LOG_URL", "one file"]);
    };
    refused_as("LETOPIS_KEYS_URL", "one.db").await;
    let ann = {
        let letopis = settings.start().await;
        let ann = Person::register(&Api::of(&letopis), "ann").await;
        letopis.stop().await;
        ann
    };
    // Nor by another spelling of the path, or through a link; and no projection, for it would throw
    // away what it finds there.
    refused_as("LETOPIS_KEYS_URL", "../data/one.db").await;
    std::os::unix::fs::symlink(folder.file("one.db"), folder.file("link.db")).expect("linked");
    for variable in
        ["LETOPIS_KEYS_URL", "LETOPIS_SESSIONS_URL", "LETOPIS_DIRECTORY_URL", "LETOPIS_TIMELINE_URL"]
    {
        refused_as(variable, "link.db").await;
    }
    let letopis = settings.start().await;
    let me: Me = ann.on(&Api::of(&letopis)).query("/me").await;
    assert_eq!(me.user_id, ann.id);
}

#[tokio::test]
async fn unknown_engines_are_refused_by_name_and_their_passwords_kept() {
    for engine in ["LOG", "KEYS", "SESSIONS", "DIRECTORY", "TIMELINE", "SEARCH", "LIVE"] {
        let (folder, variable) = (Folder::new(), format!("LETOPIS_{engine}_URL"));
        let url = "mongodb://letopis:hunter22@db.example/letopis";
        let said = folder.settings().with(&variable, url).refused().await;
        assert_says(&said, &[&variable, "\"mongodb\""]);
        assert!(!said.contains("hunter22"), "a password is in a log line:\n{said}");
    }
}

#[tokio::test]
async fn what_this_version_cannot_honour_is_refused() {
    for variable in ["LETOPIS_MAIL_URL", "LETOPIS_VERIFY_MAIL", "LETOPIS_ERASE_AFTER"] {
        let said = Folder::new().settings().with(variable, "on").refused().await;
        assert_says(&said, &[variable]);
    }
}

#[tokio::test]
async fn lifted_limits_are_refused_where_others_can_reach_it() {
    let said = Folder::new().settings().with("LETOPIS_LISTEN", "0.0.0.0:0").refused().await;
    assert_says(&said, &["LETOPIS_RATE_LIMIT=off", "loopback", "LETOPIS_LISTEN"]);
    let settings = Folder::new().settings();
    let said = settings.with("LETOPIS_PUBLIC_URL", "https://letopis.example").refused().await;
    assert_says(&said, &["LETOPIS_RATE_LIMIT=off", "loopback", "LETOPIS_PUBLIC_URL"]);
}

#[tokio::test]
async fn a_password_hash_that_costs_too_little_is_refused() {
    for weak in ["m=8,t=1,p=1", "m=19456,t=1,p=1", "m=19455,t=2,p=1"] {
        let settings = Folder::new().settings().with("LETOPIS_RATE_LIMIT", "on");
        let said = settings.with("LETOPIS_PASSWORD_HASH", weak).refused().await;
        assert_says(&said, &["LETOPIS_PASSWORD_HASH", "m=19456,t=2,p=1"]);
    }
}

#[tokio::test]
async fn a_taken_port_is_refused() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("an address");
    let said = Folder::new().settings().with("LETOPIS_LISTEN", address).refused().await;
    assert_says(&said, &[&format!("LETOPIS_LISTEN={address}")]);
}
