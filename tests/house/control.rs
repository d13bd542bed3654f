//! Subcommands of the real binary, beside a running one and without: the control socket, `projections`,
//! `doctor`, `log verify`.

use std::io::{Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use domain::requests::Done;
use domain::views::{List, Message};
use serde_json::{Value, json};

use crate::api::Api;
use crate::engine::Database;
use crate::letopis::{Folder, PATIENCE, until};
use crate::people::Person;

/// How a subcommand ended, and what it said.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Said {
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

/// Runs a subcommand on a data folder.
pub async fn run(data: &Path, arguments: &[&str]) -> Said {
    run_with(data, arguments, &[]).await
}

/// The same with variables.
pub async fn run_with(data: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_letopis"));
    command.env_clear().env("LETOPIS_DATA", data).env("LETOPIS_LISTEN", "127.0.0.1:0").env("NO_COLOR", "1");
    command.envs(variables.iter().copied()).args(arguments).stdin(Stdio::null());
    let ended = tokio::task::spawn_blocking(move || command.output());
    let ended = tokio::time::timeout(PATIENCE, ended).await;
    let ended = ended.expect("it ends").expect("it is waited for").expect("it starts");
    Said {
        code: ended.status.code(),
        out: String::from_utf8(ended.stdout).expect("text"),
        err: String::from_utf8(ended.stderr).expect("text"),
    }
}

/// Two friends and some messages; the position of the last.
async fn talk(api: &Api) -> u64 {
    let ann = Person::register(api, "ann").await;
    let bob = Person::register(api, "bob").await;
    ann.befriend(api, &bob).await;
    let chat = ann.chat_with(api, &bob).await;
    for count in 0..5 {
        ann.say(api, chat, &format!("message {count}")).await;
    }
    let messages: List<Message> = bob.on(api).query(&format!("/chats/{chat}/messages")).await;
    assert_eq!(messages.items.len(), 5);
    bob.on(api).done::<Done>("block", &ann.whom()).await.position
}

fn names(status: &Value) -> Vec<&str> {
    let all = status["projections"].as_array().expect("a list");
    all.iter().map(|it| it["name"].as_str().expect("a name")).collect()
}

const ALL: [&str; 5] = ["sessions", "directory", "timeline", "search", "live"];

#[tokio::test(flavor = "multi_thread")]
async fn the_status_is_told_beside_a_running_letopis_and_without_one() {
    let folder = Folder::new();
    let letopis = folder.start().await;
    let head = talk(&Api::of(&letopis)).await;
    let caught_up = async || {
        let said = run(&folder.data(), &["projections", "status", "--json"]).await;
        let status = said.json();
        assert_eq!(names(&status), ALL);
        let all = status["projections"].as_array().expect("a list");
        all.iter().all(|it| it["position"] == head && it["lag_events"] == 0).then_some((said.code, status))
    };
    let (code, status) = until("all is shown", caught_up).await;
    assert_eq!(code, Some(0), "{status:#}");
    let lines = run(&folder.data(), &["projections", "status"]).await;
    for name in ALL {
        let line = lines.out.lines().find(|line| line.starts_with(name)).expect(name);
        assert!(line.contains("running") && line.contains(&head.to_string()), "{line}");
    }
    letopis.stop().await;

    let (code, status) = until("all is shown", caught_up).await;
    assert_eq!(code, Some(0), "{status:#}");
    // What was opened for it is left in order.
    let letopis = folder.start().await;
    letopis.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_is_followed_to_its_end_beside_a_running_letopis_and_without_one() {
    let folder = Folder::new();
    let letopis = folder.start().await;
    talk(&Api::of(&letopis)).await;
    let rebuilt = run(&folder.data(), &["projections", "rebuild", "timeline"]).await;
    assert_eq!(rebuilt.code, Some(0), "{rebuilt:#?}");
    assert!(rebuilt.out.contains("timeline: done: generation 2 is served"), "{rebuilt:#?}");
    let all = run(&folder.data(), &["projections", "rebuild", "--all"]).await;
    assert_eq!(all.code, Some(0), "{all:#?}");
    assert!(all.out.contains("live: passed over"), "{all:#?}");
    assert!(all.out.contains("timeline: done: generation 3"), "{all:#?}");
    let live = run(&folder.data(), &["projections", "rebuild", "live"]).await;
    assert_eq!(live.code, Some(1), "{live:#?}");
    letopis.stop().await;

    let rebuilt = run(&folder.data(), &["projections", "rebuild", "timeline"]).await;
    assert_eq!(rebuilt.code, Some(0), "{rebuilt:#?}");
    assert!(rebuilt.out.contains("timeline: done: generation 4 is served"), "{rebuilt:#?}");
    let letopis = folder.start().await;
    let status = run(&folder.data(), &["projections", "status", "--json"]).await.json();
    let timeline = &status["projections"][2];
    assert_eq!((timeline["name"].as_str(), timeline["generation"].as_u64()), (Some("timeline"), Some(4)));
    letopis.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_wrongly_is_refused_with_what_to_do() {
    let folder = Folder::new();
    let nowhere = run(&folder.data(), &["projections", "status"]).await;
    assert_eq!(nowhere.code, Some(1));
    assert!(nowhere.err.contains("LETOPIS_DATA"), "{nowhere:#?}");
    assert!(!folder.data().exists(), "asking makes nothing");

    let letopis = folder.start().await;
    for arguments in [&["projections", "rebuild", "timelin"][..], &["projections", "retry", "timelin"]] {
        let said = run(&folder.data(), arguments).await;
        assert_eq!(said.code, Some(1), "{said:#?}");
        assert!(said.err.contains("timeline, search"), "it names those that there are: {said:#?}");
    }
    let none = run(&folder.data(), &["projections", "retry", "timeline"]).await;
    assert_eq!((none.code, none.out.trim()), (Some(0), "timeline: no stream is parked"), "{none:#?}");
    let absent = run(&folder.data(), &["projections", "retry", "timeline", "Chat/1"]).await;
    assert_eq!(absent.code, Some(1), "{absent:#?}");
    let claims = run(&folder.data(), &["log", "rebuild-claims"]).await;
    assert_eq!(claims.code, Some(1), "{claims:#?}");
    assert!(claims.err.contains("stop it"), "{claims:#?}");
    for arguments in [&["projections", "rebuild"][..], &["projections", "rebuild", "timeline", "--all"]] {
        assert_eq!(run(&folder.data(), arguments).await.code, Some(2), "{arguments:?}");
    }
    letopis.stop().await;
}

/// Sends bytes to the socket and reads until it is closed.
fn converse(socket: &Path, bytes: &[u8]) -> Vec<Value> {
    let mut stream = UnixStream::connect(socket).expect("somebody listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    // It may hang up before all of it is written.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let mut part = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut part) {
        answer.extend_from_slice(&part[..count]);
    }
    let text = String::from_utf8(answer).expect("text");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_socket_is_its_owners_alone_and_takes_no_harm() {
    let folder = Folder::new();
    let letopis = folder.start().await;
    let socket = folder.file("control.sock");
    let about = std::fs::metadata(&socket).expect("it is there");
    assert!(about.file_type().is_socket());
    assert_eq!(about.permissions().mode() & 0o7777, 0o600);
    assert!(!folder.file("control.new").exists());

    let who = json!({ "version": 1, "ask": "who" }).to_string() + "\n";
    let refused = |bytes: &[u8], said: &str| {
        let answer = converse(&socket, bytes);
        assert_eq!(answer.len(), 1, "{answer:?}");
        assert_eq!(answer[0]["reply"], "refused");
        assert!(answer[0]["why"].as_str().expect("a text").contains(said), "{answer:?}");
    };
    refused(b"\xff\xfe garbage\n", "JSON");
    refused(b"{}\n", "version");
    refused(b"{\"version\":9,\"ask\":\"who\"}\n", "version 1");
    refused(b"{\"version\":1,\"ask\":\"stop\"}\n", "nothing to ask");
    refused(&vec![b'x'; 10_000_000], "at most 16384 bytes");
    // Silent ones keep nobody waiting, and too many are closed.
    let silent: Vec<UnixStream> =
        (0..10).map(|_| UnixStream::connect(&socket).expect("it listens")).collect();
    let answers: Vec<_> = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..4).map(|_| scope.spawn(|| converse(&socket, who.as_bytes()))).collect();
        asking.into_iter().map(|asked| asked.join().expect("answered")).collect()
    });
    for answer in &answers {
        assert_eq!(answer[0]["who"]["listen"], letopis.address.to_string());
    }
    drop(silent);
    letopis.kill().await;

    assert!(socket.exists(), "a killed one leaves it behind");
    let letopis = folder.start().await;
    assert_eq!(converse(&socket, who.as_bytes())[0]["reply"], "who");
    letopis.stop().await;
    assert!(!socket.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_clients_follow_one_rebuild() {
    let folder = Folder::new();
    let letopis = folder.start().await;
    talk(&Api::of(&letopis)).await;
    let data = folder.data();
    let (one, other) = tokio::join!(
        run(&data, &["projections", "rebuild", "directory"]),
        run(&data, &["projections", "rebuild", "directory"])
    );
    for said in [one, other] {
        assert_eq!(said.code, Some(0), "{said:#?}");
        assert!(said.out.contains("directory: done: generation"), "{said:#?}");
    }
    letopis.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_too_deep_for_a_socket_is_refused_by_name() {
    let folder = Folder::new();
    let deep = folder.beside(&"d".repeat(120));
    let said = folder.settings().with("LETOPIS_DATA", deep.display()).refused().await;
    assert!(said.contains("too long a path for the control socket"), "{said}");
}

fn states(report: &Value) -> Vec<(String, String)> {
    let findings = report["findings"].as_array().expect("a list");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    findings.iter().map(|it| (text(&it["name"]), text(&it["state"]))).collect()
}

/// The names of everything that is not ok.
async fn complaints(data: &Path) -> (Option<i32>, Vec<String>) {
    let said = run(data, &["doctor", "--json"]).await;
    let states = states(&said.json());
    (said.code, states.into_iter().filter(|(_, state)| state != "ok").map(|(name, _)| name).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_finds_what_is_planted_and_nothing_else() {
    let folder = Folder::new();
    let letopis = folder.start().await;
    talk(&Api::of(&letopis)).await;
    let data = folder.data();
    let well = until("the doctor is content", async || {
        let found = complaints(&data).await;
        let about_us: Vec<String> = found.1.iter().filter(|name| !is_the_machines(name)).cloned().collect();
        about_us.is_empty().then_some(found.0)
    })
    .await;
    assert_eq!(well, Some(0));
    let mode = |name: &str, mode| {
        std::fs::set_permissions(folder.file(name), std::fs::Permissions::from_mode(mode)).expect("chmod");
    };
    let found = async |name: &str| {
        let (code, names) = complaints(&data).await;
        assert!(names.iter().any(|it| it == name), "{name} is not in {names:?}");
        code
    };
    mode("control.sock", 0o666);
    assert_eq!(found("control socket").await, Some(1));
    mode("control.sock", 0o600);
    letopis.stop().await;
    assert_eq!(complaints(&data).await.0, Some(0));

    mode("master.key", 0o644);
    assert_eq!(found("master key").await, Some(1));
    mode("master.key", 0o600);
    mode("", 0o755);
    assert_eq!(found("data folder").await, Some(0), "a warning");
    mode("", 0o700);
    std::fs::rename(folder.file("keys.db"), folder.file("away.db")).expect("moved");
    assert_eq!(found("keys").await, Some(1));
    let other = Folder::new();
    other.start().await.stop().await;
    std::fs::copy(other.file("keys.db"), folder.file("keys.db")).expect("another's");
    assert_eq!(found("keys").await, Some(1));
    std::fs::rename(folder.file("away.db"), folder.file("keys.db")).expect("moved back");
    // The rows lie partly in the log that SQLite writes ahead, so all of a generation is exchanged.
    let (rows, aside) = (folder.file("projections/timeline/1"), folder.file("projections/aside"));
    std::fs::rename(&rows, &aside).expect("moved");
    std::fs::create_dir(&rows).expect("a folder");
    std::fs::write(rows.join("rows.db"), "x".repeat(8192)).expect("no rows");
    assert_eq!(found("projection timeline").await, Some(1));
    std::fs::remove_dir_all(&rows).expect("removed");
    std::fs::rename(&aside, &rows).expect("moved back");
    let log = folder.file("log.db");
    let intact = std::fs::read(&log).expect("the log");
    std::fs::write(&log, "no database at all, and no log either").expect("overwritten");
    assert_eq!(found("log").await, Some(1));
    std::fs::write(&log, intact).expect("put back");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let said = run_with(&data, &["doctor"], &[("LETOPIS_LISTEN", &address)]).await;
    assert_eq!(said.code, Some(1), "{said:#?}");
    assert!(said.out.contains("PROBLEM  listen address"), "{said:#?}");
    drop(taken);
    assert_eq!(complaints(&data).await.0, Some(0), "all was put right");

    let secret = [("LETOPIS_LOG_URL", "postgres://somebody:hunter2@127.0.0.1:1/none")];
    let said = run_with(&data, &["doctor"], &secret).await;
    assert_eq!(said.code, Some(1), "{said:#?}");
    assert!(said.out.contains("log settings") && !format!("{said:?}").contains("hunter2"), "{said:#?}");
}

/// What a small or busy machine is told, which is none of ours.
fn is_the_machines(name: &str) -> bool {
    ["free space", "open files"].contains(&name)
}

fn outcomes(report: &Value) -> Vec<(&str, &str)> {
    fn text(value: &Value) -> &str {
        value.as_str().expect("a text")
    }
    let checks = report["checks"].as_array().expect("a list");
    checks.iter().map(|it| (text(&it["name"]), text(&it["outcome"]))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_verified_beside_a_running_letopis_and_tampering_is_found() {
    let folder = Folder::new();
    let letopis = folder.start().await;
    let head = talk(&Api::of(&letopis)).await;
    let data = folder.data();
    let said = run(&data, &["log", "verify", "--json"]).await;
    assert_eq!(said.code, Some(0), "{said:#?}");
    let report = said.json();
    assert_eq!(report["events"], head);
    assert!(outcomes(&report).iter().all(|(_, outcome)| *outcome == "ok"), "{report:#}");
    assert!(outcomes(&report).len() > 14, "{report:#}");
    letopis.stop().await;

    let tamper = |statement: &str| {
        let log = rusqlite::Connection::open(folder.file("log.db")).expect("the log");
        let changed = log.execute(statement, []).expect("changed");
        assert!(changed > 0, "{statement}");
    };
    tamper(
        "UPDATE events SET payload = replace(payload, '\"text\":\"s1.', '\"text\":\"s1.A') \
         WHERE position = (SELECT max(position) FROM events WHERE event_type = 'MessageSent')",
    );
    tamper("DELETE FROM claims WHERE kind LIKE 'nickname/%'");
    let said = run(&data, &["log", "verify"]).await;
    assert_eq!(said.code, Some(1), "{said:#?}");
    let wrong: Vec<&str> = said.out.lines().filter(|line| line.starts_with("WRONG")).collect();
    assert_eq!(wrong.len(), 2, "{said:#?}");
    assert!(wrong[0].contains("sealed values") && wrong[1].contains("claims"), "{said:#?}");
    let refused = run(&data, &["log", "rebuild-claims"]).await;
    assert_eq!(refused.code, Some(1), "a wrong log makes nothing right: {refused:#?}");

    tamper(
        "UPDATE events SET payload = replace(payload, '\"text\":\"s1.A', '\"text\":\"s1.') \
         WHERE position = (SELECT max(position) FROM events WHERE event_type = 'MessageSent')",
    );
    let mended = run(&data, &["log", "rebuild-claims"]).await;
    assert_eq!(mended.code, Some(0), "{mended:#?}");
    assert!(mended.out.contains("claims: 2 put, 0 dropped"), "{mended:#?}");
    assert_eq!(run(&data, &["log", "verify"]).await.code, Some(0));

    // A projection that remembers another history is found too.
    let rows = rusqlite::Connection::open(folder.file("projections/directory/1/rows.db")).expect("rows");
    rows.execute("UPDATE checkpoint SET position = position + 1000", []).expect("moved");
    let said = run(&data, &["log", "verify", "--json"]).await;
    assert_eq!(said.code, Some(1), "{said:#?}");
    let report = said.json();
    let wrong: Vec<_> = outcomes(&report).into_iter().filter(|(_, outcome)| *outcome == "wrong").collect();
    assert_eq!(wrong, [("checkpoints", "wrong")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_leaves_the_rebuild_to_the_server() {
    let folder = Folder::new();
    let letopis = folder.start().await;
    talk(&Api::of(&letopis)).await;
    let ask = json!({ "version": 1, "ask": "rebuild", "name": "timeline", "accept": false });
    let mut stream = UnixStream::connect(folder.file("control.sock")).expect("it listens");
    stream.write_all(format!("{ask}\n").as_bytes()).expect("asked");
    let mut first = [0; 1];
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
    stream.read_exact(&mut first).expect("it has begun");
    drop(stream);
    until("the new generation is served", async || {
        let status = run(&folder.data(), &["projections", "status", "--json"]).await.json();
        (status["projections"][2]["generation"] == 2).then_some(())
    })
    .await;
    letopis.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_and_verify_look_at_postgresql_too() {
    let folder = Folder::new();
    let (log, keys) = (Database::new().await, Database::new().await);
    let (log_url, keys_url) = (log.url(), keys.url());
    let settings = folder.settings().with("LETOPIS_LOG_URL", &log_url).with("LETOPIS_KEYS_URL", &keys_url);
    let letopis = settings.start().await;
    let head = talk(&Api::of(&letopis)).await;
    let data = folder.data();
    let variables = [("LETOPIS_LOG_URL", log_url.as_str()), ("LETOPIS_KEYS_URL", keys_url.as_str())];
    let looks_good = async || {
        let said = run_with(&data, &["log", "verify", "--json"], &variables).await;
        assert_eq!(said.code, Some(0), "{said:#?}");
        assert_eq!(said.json()["events"], head);
        let said = run_with(&data, &["doctor", "--json"], &variables).await;
        assert_eq!(said.code, Some(0), "{said:#?}");
        let report = said.json();
        for name in ["log settings", "log", "keys settings", "keys"] {
            assert!(states(&report).contains(&(name.to_owned(), "ok".to_owned())), "{name}: {report:#}");
        }
    };
    looks_good().await;
    letopis.stop().await;
    looks_good().await;

    let mut connection = log.connect().await;
    sqlx::query("DELETE FROM claims WHERE kind = 'email/1'").execute(&mut connection).await.expect("deleted");
    assert_eq!(run_with(&data, &["log", "verify"], &variables).await.code, Some(1));
    let mended = run_with(&data, &["log", "rebuild-claims"], &variables).await;
    assert!(mended.out.contains("claims: 2 put, 0 dropped"), "{mended:#?}");
    looks_good().await;

    let together = [("LETOPIS_LOG_URL", log_url.as_str()), ("LETOPIS_KEYS_URL", log_url.as_str())];
    let said = run_with(&data, &["doctor"], &together).await;
    assert_eq!(said.code, Some(1), "{said:#?}");
    assert!(said.out.contains("the key store lies in the log's database"), "{said:#?}");
    drop((log, keys));
}
