//! A full disk: commands are refused and come back by themselves, queries go on, and nothing that
//! was answered is lost.

use domain::views::{List, Message};

use crate::api::{Api, new_key};
use crate::disk::Disk;
use crate::engine::{Engine, Place, on_both_engines};
use crate::letopis::{Folder, Letopis, until};
use crate::load::{Circle, Load, assert_unavailable};
use crate::log_file;
use crate::people::registration;
use crate::postgres::Server;

const SENDERS: usize = 8;

/// Fills the disk under load and frees it again, and looks at everything in between.
async fn fill_and_free(
    disk: &Disk,
    letopis: &Letopis,
    api: &Api,
    circle: &Circle,
    load: &Load,
    mut server: Option<&mut Server>,
) {
    load.goes_on(4 * SENDERS).await;
    every_chat_shows_something(api, circle).await;
    disk.fill();
    // What is given back in between, as by a checkpoint, is taken away again.
    until("everybody is refused", async || {
        disk.fill();
        let (answered, refused) = (load.answered(), load.refused());
        load.is_refused(SENDERS).await;
        (load.answered() == answered && load.refused() > refused).then_some(())
    })
    .await;
    // A key that must be durable first is refused as well, unless room has just come back.
    let (round, mut tries) = (load.answered(), 0);
    until("a key is refused", async || {
        disk.fill();
        tries += 1;
        let newcomer = registration(&format!("newcomer_{round}_{tries}"));
        let answer = api.command("register", Some(new_key()), &newcomer).await;
        (answer.status != 200).then(|| assert_unavailable(&answer))
    })
    .await;
    every_chat_is_there(api, circle).await;
    let complaints = |said: &str| said.lines().filter(|line| line.contains("a batch")).count();
    let complaints =
        letopis.says("why", |said| Some(complaints(said)).filter(|&complaints| complaints > 0)).await;
    // Each batch that fails says so once, and somebody is refused for it.
    assert!(complaints <= load.refused() + SENDERS, "{complaints} complaints of {} refusals", load.refused());
    disk.free();
    let answered = load.answered();
    until("it goes on", async || {
        // Without room for its WAL it may have ended; whoever looks after it starts it again.
        if let Some(server) = &mut server
            && server.has_ended()
        {
            server.start().await;
        }
        (load.answered() > answered).then_some(())
    })
    .await;
    load.goes_on(4 * SENDERS).await;
    api.is_ready().await;
}

/// Its rows have come by then: an answer is of the log alone.
async fn every_chat_shows_something(api: &Api, circle: &Circle) {
    for chat_id in circle.chats() {
        let path = format!("/chats/{chat_id}/messages");
        let page: List<Message> = circle.reader_of(chat_id).on(api).query(&path).await;
        assert!(!page.items.is_empty(), "{chat_id} is empty");
    }
}

/// As it shows now, without waiting for what was written last.
async fn every_chat_is_there(api: &Api, circle: &Circle) {
    for chat_id in circle.chats() {
        let path = format!("/query/v1/chats/{chat_id}/messages");
        let page: List<Message> = circle.reader_of(chat_id).on(api).get(&path).await.ok();
        assert!(!page.items.is_empty(), "{chat_id} is empty");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_commands_and_loses_nothing_on_sqlite() {
    let (disk, folder) = (Disk::new("24m").await, Folder::new());
    let letopis = disk.hosts(folder.settings()).start().await;
    let api = Api::of(&letopis);
    let circle = Circle::gather(&api).await;
    let load = Load::through_refusals(&circle, &api, SENDERS);
    for _ in 0..3 {
        fill_and_free(&disk, &letopis, &api, &circle, &load, None).await;
    }
    let mut all = load.stop().await;
    circle.send_all_again(&api, &mut all).await;
    circle.assert_all_there(&api, &all).await;
    letopis.stop().await;
    // What stands on the disk is all there is of it.
    let letopis = disk.hosts(folder.settings()).start().await;
    let api = Api::of(&letopis);
    circle.send_all_again(&api, &mut all).await;
    circle.assert_all_there(&api, &all).await;
    letopis.stop().await;
    // SQLite follows links, and the one to the disk leads nowhere from here.
    let log = folder.beside("log.db");
    for name in ["log.db", "log.db-wal"] {
        // The second is empty or gone, unless the stop took too long to fold it.
        let from = disk.outside().join("data").join(name);
        if from.exists() {
            std::fs::copy(from, folder.beside(name)).expect("copied");
        }
    }
    let rows = log_file::assert_sound(&log_file::open(&log));
    assert_eq!(rows.iter().filter(|row| row.event_type == "MessageSent").count(), all.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_commands_and_loses_nothing_on_postgres() {
    let disk = Disk::new("128m").await;
    let mut server = Server::at(
        disk.path().join("postgres"),
        disk.hosts_postgres(),
        &["--wal-segsize=1"],
        &["min_wal_size=2MB", "max_wal_size=4MB", "wal_recycle=off"],
    )
    .await;
    let place = Place::on(&server.url()).await;
    let letopis = place.start().await;
    let api = Api::of(&letopis);
    let circle = Circle::gather(&api).await;
    let load = Load::through_refusals(&circle, &api, SENDERS);
    for _ in 0..2 {
        fill_and_free(&disk, &letopis, &api, &circle, &load, Some(&mut server)).await;
    }
    let mut all = load.stop().await;
    circle.send_all_again(&api, &mut all).await;
    circle.assert_all_there(&api, &all).await;
    letopis.stop().await;
    let rows = place.assert_sound().await;
    assert_eq!(rows.iter().filter(|row| row.event_type == "MessageSent").count(), all.len());
}

on_both_engines!(a_full_disk_beneath_the_rows_refuses_no_command);

/// Log and keys have room, projections have none.
async fn a_full_disk_beneath_the_rows_refuses_no_command(engine: Engine) {
    let (disk, place) = (Disk::new("24m").await, Place::new(engine).await);
    let mut settings = disk.hosts(place.settings());
    let log = place.folder.beside("log.db");
    if engine == Engine::Sqlite {
        for (variable, file) in
            [("LETOPIS_LOG_URL", &log), ("LETOPIS_KEYS_URL", &place.folder.beside("keys.db"))]
        {
            settings = settings.with(variable, format!("sqlite:{}", file.display()));
        }
    }
    let letopis = settings.start().await;
    let api = Api::of(&letopis);
    let circle = Circle::gather(&api).await;
    let load = Load::through_refusals(&circle, &api, SENDERS);
    load.goes_on(4 * SENDERS).await;
    every_chat_shows_something(&api, &circle).await;
    disk.fill();
    until("it says what it waits for", async || {
        let ready = api.get("/readyz").await;
        (ready.status == 503 && ready.text().contains("waits for its engines")).then_some(())
    })
    .await;
    load.goes_on(4 * SENDERS).await;
    assert_eq!(load.refused(), 0, "commands were refused");
    every_chat_is_there(&api, &circle).await;
    disk.free();
    api.is_ready().await;
    let mut all = load.stop().await;
    circle.send_all_again(&api, &mut all).await;
    circle.assert_all_there(&api, &all).await;
    letopis.stop().await;
    match engine {
        Engine::Sqlite => log_file::assert_sound(&log_file::open(&log)),
        Engine::Postgres => place.assert_sound().await,
    };
}
