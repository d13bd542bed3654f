//! The stock sqlite-es repository reads the log.

use cqrs_es::persist::PersistedEventRepository;
use domain::chat::{Chat, ChatEvent};
use sqlite_es::SqliteEventRepository;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use tempfile::TempDir;

use crate::support::{House, chat, key};

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_es_reads_what_was_written() {
    let folder = TempDir::new().expect("a folder");
    let house = House::open(folder.path()).await;
    house.make_chat(1).await.expect("a chat");
    for message in 0..3 {
        house.send(1, 0, key(1, message), "hello").await.expect("sent");
    }
    let options = SqliteConnectOptions::new().filename(folder.path().join("log.db")).read_only(true);
    let pool = SqlitePoolOptions::new().connect_with(options).await.expect("a pool");
    let events = SqliteEventRepository::new(pool)
        .get_events::<Chat>(&chat(1).to_string())
        .await
        .expect("the stock repository reads the stream");
    let numbers: Vec<u64> = events
        .into_iter()
        .filter_map(|event| match serde_json::from_value(event.payload).expect("the aggregate's event") {
            ChatEvent::MessageSent { number, .. } => Some(number),
            _ => None,
        })
        .collect();
    assert_eq!(numbers, [1, 2, 3]);
}
