//! Keys in a PostgreSQL database of their own.

use domain::views::Me;

use crate::api::Api;
use crate::engine::Database;
use crate::letopis::{Folder, Settings};
use crate::people::Person;

fn settings(folder: &Folder, log: &Database, keys: &Database) -> Settings {
    folder.settings().with("LETOPIS_LOG_URL", log.url()).with("LETOPIS_KEYS_URL", keys.url())
}

#[tokio::test]
async fn two_processes_share_the_keys_and_outlive_a_restart() {
    let (log, keys) = (Database::new().await, Database::new().await);
    let (one, two) = (Folder::new(), Folder::new());
    let first = settings(&one, &log, &keys).start().await;
    let ann = Person::register(&Api::of(&first), "ann").await;
    assert!(!one.file("keys.db").exists(), "the keys are elsewhere");

    // The master key is handed over; everything else is in the databases.
    let second = settings(&two, &log, &keys).with("LETOPIS_MASTER_KEY", one.file("master.key").display());
    let second = second.start().await;
    let bob = Person::register(&Api::of(&second), "bob").await;
    ann.befriend(&Api::of(&second), &bob).await;
    let chat = ann.chat_with(&Api::of(&first), &bob).await;
    bob.say(&Api::of(&second), chat, "привет").await;
    second.kill().await;
    first.stop().await;

    let again = settings(&one, &log, &keys).start().await;
    let me: Me = bob.on(&Api::of(&again)).query("/me").await;
    assert_eq!(me.nickname.as_deref(), Some("bob"));
}

#[tokio::test]
async fn keys_in_the_logs_database_are_refused_by_name() {
    let log = Database::new().await;
    let folder = Folder::new();
    let other_spelling = format!("{}?application_name=keys", log.url());
    let said = folder.settings().with("LETOPIS_LOG_URL", log.url()).with("LETOPIS_KEYS_URL", other_spelling);
    let said = said.refused().await;
    for word in ["LETOPIS_LOG_URL", "LETOPIS_KEYS_URL", "one database", "CREATE DATABASE"] {
        assert!(said.contains(word), "it does not say {word:?}:\n{said}");
    }
    assert!(!folder.file("master.key").exists(), "nothing was made");
}
