//! A projection whose rows are damaged: found out, said, and made good from the log, while the others
//! go on. Nobody is ever shown what is not so.

use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::api::Api;
use crate::engine::{Engine, Place, on_both_engines};
use crate::letopis::until;
use crate::load::{Circle, assert_unavailable};

const PAGE: u64 = 4_096;

/// The folder of what is served.
fn generation_of(place: &Place, name: &str) -> PathBuf {
    let folder = place.folder.file("projections").join(name);
    let current = std::fs::read_to_string(folder.join("CURRENT")).expect("the generation that is served");
    folder.join(current.trim())
}

fn rows_of(place: &Place, name: &str) -> PathBuf {
    generation_of(place, name).join("rows.db")
}

/// Brings what stands in the write-ahead log into the file, while nobody has it open.
fn fold(file: &Path) {
    let rows = rusqlite::Connection::open(file).expect("the rows");
    rows.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).expect("folded");
}

/// Overwrites all of a file from this page on.
fn damage(file: &Path, from: u64) {
    let length = std::fs::metadata(file).expect("a file").len();
    assert!(length > from * PAGE, "{} is too small to be damaged: {length}", file.display());
    let mut rows = std::fs::File::options().write(true).open(file).expect("a file");
    rows.seek(SeekFrom::Start(from * PAGE)).expect("sought");
    rows.write_all(&vec![0xa5; usize::try_from(length - from * PAGE).expect("small")]).expect("written");
    rows.sync_all().expect("synced");
}

/// Enough messages for many pages, each of which somebody can read; every chat's newest page.
async fn live_a_while(api: &Api, circle: &Circle) -> Vec<serde_json::Value> {
    for (author, chat_id) in &circle.seats {
        for count in 0..20 {
            let text = format!("{count}: {}", "so much to say ".repeat(40));
            circle.people[*author].say(api, *chat_id, &text).await;
        }
    }
    read_all(api, circle).await
}

async fn read_all(api: &Api, circle: &Circle) -> Vec<serde_json::Value> {
    let mut pages = Vec::new();
    for chat_id in circle.chats() {
        let path = format!("/chats/{chat_id}/messages?limit=200");
        let page: serde_json::Value = circle.reader_of(chat_id).on(api).query(&path).await;
        pages.push(page["items"].clone());
    }
    pages
}

on_both_engines!(
    rows_damaged_at_rest_are_set_aside_and_made_anew,
    rows_damaged_while_they_are_served_are_not_shown_and_a_rebuild_cures_them,
    damaged_rows_of_sessions_let_nobody_in,
);

async fn rows_damaged_at_rest_are_set_aside_and_made_anew(engine: Engine) {
    let place = Place::new(engine).await;
    let letopis = place.start().await;
    let api = Api::of(&letopis);
    let circle = Circle::gather(&api).await;
    live_a_while(&api, &circle).await;
    let before = look_around(&api, &circle).await;
    letopis.stop().await;
    for name in ["timeline", "directory", "sessions"] {
        fold(&rows_of(&place, name));
        damage(&rows_of(&place, name), 0);
    }
    damage(&generation_of(&place, "search").join("meta.json"), 0);
    let letopis = place.start().await;
    let api = Api::of(&letopis);
    assert_eq!(look_around(&api, &circle).await, before);
    for name in ["timeline", "directory", "sessions", "search"] {
        let told = |line: &str| line.contains("set aside") && line.contains(&format!("projections/{name} "));
        letopis.says(name, |said| said.lines().any(told).then_some(())).await;
    }
    letopis.stop().await;
}

/// Something of every projection.
async fn look_around(api: &Api, circle: &Circle) -> Vec<serde_json::Value> {
    let mut seen = read_all(api, circle).await;
    for person in circle.people.iter() {
        for path in ["/me", "/friends", "/chats", "/sessions", "/users?q=ann", "/users?q=bob"] {
            seen.push(person.on(api).query(path).await);
        }
    }
    seen
}

async fn rows_damaged_while_they_are_served_are_not_shown_and_a_rebuild_cures_them(engine: Engine) {
    let place = Place::new(engine).await;
    let letopis = place.start().await;
    let api = Api::of(&letopis);
    let circle = Circle::gather(&api).await;
    let before = live_a_while(&api, &circle).await;
    // All of it in the file, and nothing of it read yet.
    letopis.stop().await;
    fold(&rows_of(&place, "timeline"));
    let letopis = place.start().await;
    let api = Api::of(&letopis);
    damage(&rows_of(&place, "timeline"), 1);

    for chat_id in circle.chats() {
        let reader = circle.reader_of(chat_id).on(&api);
        assert_unavailable(&reader.get(&format!("/query/v1/chats/{chat_id}/messages?limit=200")).await);
        // The other parts are as ever.
        for path in ["/query/v1/me", "/query/v1/friends", "/query/v1/sessions", "/query/v1/users?q=ann"] {
            assert_eq!(reader.get(path).await.status, 200, "{path}");
        }
    }
    let (author, chat_id) = circle.seats[0];
    let sent = circle.people[author].say(&api, chat_id, "commands go on").await;
    let complaint = until("it says that it is not ready", async || {
        let ready = api.get("/readyz").await;
        (ready.status == 503).then(|| ready.text())
    })
    .await;
    assert!(complaint.contains("timeline"), "{complaint}");

    let ran = place.settings().run(&["projections", "rebuild", "timeline"]).await;
    let ran = if ran.code == Some(0) {
        ran
    } else {
        // There is nothing sound to compare with.
        place.settings().run(&["projections", "rebuild", "timeline", "--accept"]).await
    };
    assert_eq!(ran.code, Some(0), "{ran:?}");
    api.is_ready().await;
    let mut after = read_all(&api, &circle).await;
    let whole = after.iter_mut().filter_map(serde_json::Value::as_array_mut);
    let newest: Vec<_> = whole
        .filter_map(|page| page.pop_if(|it| it["number"] == sent.number && it["text"] == "commands go on"))
        .collect();
    assert_eq!(newest.len(), 1, "the message sent meanwhile is shown");
    assert_eq!(after, before);
    letopis.stop().await;
}

async fn damaged_rows_of_sessions_let_nobody_in(engine: Engine) {
    let place = Place::new(engine).await;
    let letopis = place.start().await;
    let api = Api::of(&letopis);
    let circle = Circle::gather(&api).await;
    let [ann, bob, _] = &circle.people[..] else { panic!("three people") };
    let gone = ann.on(&api).command("revoke", None, &serde_json::json!({})).await;
    assert_eq!(gone.status, 200, "{}", gone.text());
    letopis.stop().await;
    fold(&rows_of(&place, "sessions"));
    let letopis = place.start().await;
    let api = Api::of(&letopis);
    damage(&rows_of(&place, "sessions"), 1);
    // The log decides where the rows can't.
    ann.on(&api).get("/query/v1/me").await.problem(401, "session-ended");
    assert_eq!(bob.on(&api).get("/query/v1/me").await.status, 200);
    assert_unavailable(&bob.on(&api).get("/query/v1/sessions").await);
    let ran = place.settings().run(&["projections", "rebuild", "sessions", "--accept"]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(bob.on(&api).get("/query/v1/sessions").await.status, 200);
    ann.on(&api).get("/query/v1/me").await.problem(401, "session-ended");
    letopis.stop().await;
}
