//! Engines are picked by URL and by nothing else.

use stores::{StoreError, Stores, Urls};

#[test]
fn an_engine_that_is_not_ours_is_refused_by_name() {
    let embedded = Urls::embedded(std::path::Path::new("/nonexistent"));
    let wrong = Urls { timeline: "cassandra://user:secret@host/keyspace".into(), ..embedded };
    let Err(StoreError::Refused(why)) = stores::resolver::timeline(&wrong.timeline) else {
        panic!("it must be refused")
    };
    assert!(why.contains("timeline") && why.contains("\"cassandra\"") && why.contains("sqlite:"), "{why}");
    assert!(!why.contains("secret"), "{why}");
}

#[test]
fn a_place_that_cannot_be_used_is_refused_with_what_to_do() {
    for refused in [
        stores::resolver::sessions("sqlite:").err(),
        stores::resolver::directory("sqlite:/nonexistent/d.db").err(),
        stores::resolver::live("memory:x").err(),
    ] {
        assert!(matches!(refused, Some(StoreError::Refused(_))), "{refused:?}");
    }
}

#[tokio::test]
async fn the_embedded_engines_open_under_one_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let stores = Stores::open(&Urls::embedded(folder.path())).expect("opened");
    assert_eq!(stores.timeline.checkpoint().await.expect("an answer"), None);
    assert_eq!(stores.search.checkpoint().await.expect("an answer"), None);
}

#[tokio::test]
async fn rows_of_another_schema_are_thrown_away() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("t.db");
    let url = format!("sqlite:{}", file.display());
    let store = stores::resolver::timeline(&url).expect("opened");
    store.take_over(crate::fresh()).await.expect("taken over");
    drop(store);
    let raw = rusqlite::Connection::open(&file).expect("opened");
    raw.execute_batch("CREATE TABLE of_old (it INTEGER); PRAGMA user_version = 99").expect("changed");
    drop(raw);
    let store = stores::resolver::timeline(&url).expect("opened");
    assert_eq!(store.checkpoint().await.expect("an answer"), None);
    store.take_over(crate::fresh()).await.expect("its tables are there");
}

#[test]
fn a_file_that_is_something_else_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("letter.db");
    std::fs::write(&file, "Dear reader, this has never been a database. ".repeat(99)).expect("written");
    let refused = stores::resolver::sessions(&format!("sqlite:{}", file.display())).err();
    assert!(matches!(refused, Some(StoreError::Refused(_))), "{refused:?}");
    assert!(std::fs::read_to_string(&file).expect("still there").starts_with("Dear"));
}
