//! Engines are picked by URL and by nothing else.

use stores::{StoreError, Stores, Urls};

#[tokio::test]
async fn an_engine_that_is_not_ours_is_refused_by_name() {
    let embedded = Urls::embedded(std::path::Path::new("/nonexistent"));
    let wrong = Urls { timeline: "mongodb://user:secret@host/timeline".into(), ..embedded };
    let Err(StoreError::Refused(why)) = stores::resolver::timeline(&wrong.timeline).await else {
        panic!("it must be refused")
    };
    assert!(why.contains("timeline") && why.contains("\"mongodb\"") && why.contains("sqlite:"), "{why}");
    assert!(!why.contains("secret"), "{why}");
}

#[tokio::test]
async fn a_password_in_a_url_is_never_told() {
    for url in [
        "postgres://ann:secret@127.0.0.1:1/letopis",
        "postgres://127.0.0.1:1/letopis?user=ann&password=secret",
    ] {
        let refused = stores::resolver::directory(url).await.err().expect("nobody is there").to_string();
        assert!(refused.contains("127.0.0.1:1") && !refused.contains("secret"), "{refused}");
    }
}

#[tokio::test]
async fn a_place_that_cannot_be_used_is_refused_with_what_to_do() {
    for refused in [
        stores::resolver::sessions("sqlite:").await.err(),
        stores::resolver::directory("sqlite:/proc/nonexistent/d").await.err(),
        stores::resolver::live("memory:x").await.err(),
    ] {
        assert!(matches!(refused, Some(StoreError::Refused(_))), "{refused:?}");
    }
}

#[tokio::test]
async fn the_embedded_engines_open_under_one_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let stores = Stores::open(&Urls::embedded(folder.path())).await.expect("opened");
    assert_eq!(stores.timeline.serving().checkpoint().await.expect("an answer"), None);
    assert_eq!(stores.search.serving().checkpoint().await.expect("an answer"), None);
}

/// What the folder of a port holds.
fn names(folder: &std::path::Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn rows_that_are_no_rows_are_set_aside_and_made_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("timeline");
    let url = format!("sqlite:{}", path.display());
    let store = stores::resolver::timeline(&url).await.expect("opened");
    store.serving().take_over(crate::fresh()).await.expect("taken over");
    drop(store);
    let raw = rusqlite::Connection::open(path.join("1/rows.db")).expect("opened");
    raw.execute_batch("PRAGMA user_version = 99").expect("changed");
    drop(raw);
    for (number, names_then) in [("2", ["1.damaged", "2", "CURRENT"]), ("3", ["2.damaged", "3", "CURRENT"])] {
        let store = stores::resolver::timeline(&url).await.expect("opened");
        assert_eq!(store.serving().checkpoint().await.expect("an answer"), None);
        store.serving().take_over(crate::fresh()).await.expect("its tables are there");
        drop(store);
        assert_eq!(names(&path), names_then, "and what was set aside before is gone");
        for file in ["rows.db-wal", "rows.db-shm"] {
            let _ = std::fs::remove_file(path.join(number).join(file));
        }
        std::fs::write(path.join(number).join("rows.db"), "no database ".repeat(999)).expect("written");
    }
}

#[tokio::test]
async fn an_index_that_is_no_index_is_set_aside_and_made_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("search");
    let url = format!("tantivy:{}", path.display());
    for (number, meta) in [(1, "no JSON"), (2, ""), (3, r#"{"segments":[],"schema":[],"opstamp":0}"#)] {
        let store = stores::resolver::search(&url).await.expect("opened");
        assert_eq!(store.serving().checkpoint().await.expect("an answer"), None, "{number}");
        store.serving().take_over(crate::fresh()).await.expect("taken over");
        drop(store);
        let file = path.join(number.to_string()).join("meta.json");
        std::fs::write(&file, meta).expect("damaged");
    }
    drop(stores::resolver::search(&url).await.expect("opened"));
    assert_eq!(names(&path), ["3.damaged", "4", "CURRENT"]);
}

#[tokio::test]
async fn damage_that_is_met_while_serving_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("timeline");
    let store =
        stores::resolver::timeline(&format!("sqlite:{}", path.display())).await.expect("opened").serving();
    store.take_over(crate::fresh()).await.expect("taken over");
    assert_eq!(store.damage(), None);
    let raw = rusqlite::Connection::open(path.join("1/rows.db")).expect("opened");
    raw.execute_batch("DROP TABLE messages").expect("dropped");
    let met = store.message(crate::chat(1), 1).await;
    assert!(matches!(met, Err(StoreError::Damaged { .. })), "{met:?}");
    assert!(store.damage().is_some_and(|why| why.contains("messages")));
}

#[tokio::test]
async fn a_pointer_that_points_nowhere_costs_the_rows_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sessions");
    let url = format!("sqlite:{}", path.display());
    for pointer in ["", "77", "no number"] {
        drop(stores::resolver::sessions(&url).await.expect("opened"));
        std::fs::write(path.join("CURRENT"), pointer).expect("written");
    }
    let store = stores::resolver::sessions(&url).await.expect("opened");
    assert_eq!(store.serving().checkpoint().await.expect("an answer"), None);
    assert_eq!(names(&path), ["4", "CURRENT"]);
}

#[tokio::test]
async fn a_file_where_the_folder_should_be_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("letter");
    std::fs::write(&file, "Dear reader, this has never been a database. ".repeat(99)).expect("written");
    let refused = stores::resolver::sessions(&format!("sqlite:{}", file.display())).await.err();
    assert!(matches!(refused, Some(StoreError::Refused(_))), "{refused:?}");
    assert!(std::fs::read_to_string(&file).expect("still there").starts_with("Dear"));
}
