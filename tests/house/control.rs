//! The control socket of the real binary, and `projections` beside a running letopis and without one.

use std::io::{BufRead, Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use domain::requests::Done;
use domain::views::{List, Message};
use serde_json::{Value, json};

use crate::api::Api;
use crate::letopis::{Folder, PATIENCE, PATIENCE_WITH_COMMANDS, signal, until};
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

fn command(data: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_letopis"));
    command.env_clear().env("LETOPIS_DATA", data).env("LETOPIS_LISTEN", "127.0.0.1:0").env("NO_COLOR", "1");
    command.args(arguments).stdin(Stdio::null());
    command
}

/// The same with variables.
pub async fn run_with(data: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Said {
    let mut command = command(data, arguments);
    command.envs(variables.iter().copied());
    let ended = tokio::task::spawn_blocking(move || command.output());
    let ended = tokio::time::timeout(PATIENCE_WITH_COMMANDS, ended).await;
    let ended = ended.expect("it ends").expect("it is waited for").expect("it starts");
    Said {
        code: ended.status.code(),
        out: String::from_utf8(ended.stdout).expect("text"),
        err: String::from_utf8(ended.stderr).expect("text"),
    }
}

/// Two friends and some messages; the position of the last.
pub async fn talk(api: &Api) -> u64 {
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

/// Somebody who has the folder, answers every request with `lines`, and hangs up when told to.
struct Pretender {
    _lock: std::fs::File,
    hang_up: std::sync::mpsc::Sender<()>,
}

impl Pretender {
    fn over(folder: &Folder, lines: &'static str) -> Self {
        std::fs::create_dir_all(folder.data()).expect("a folder");
        let lock = std::fs::File::create(folder.file("lock")).expect("a lock");
        lock.try_lock().expect("nobody has it");
        let listener = UnixListener::bind(folder.file("control.sock")).expect("a socket");
        let (hang_up, hung_up) = std::sync::mpsc::channel::<()>();
        std::thread::spawn(move || {
            // The first connection only looks whether somebody is there.
            for stream in listener.incoming().map_while(Result::ok) {
                let mut request = String::new();
                let mut reader = std::io::BufReader::new(&stream);
                if reader.read_line(&mut request).is_ok_and(|count| count > 0) {
                    // A client that has gone reads nothing.
                    let _ = (&stream).write_all(lines.as_bytes());
                    let _ = hung_up.recv();
                }
            }
        });
        Self { _lock: lock, hang_up }
    }
}

const LOADING: &str = "{\"reply\":\"stage\",\"stage\":{\"stage\":\"loading\",\"position\":7,\"head\":90,\"per_second\":3.0,\"seconds_left\":null}}\n";

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_leaves_the_rebuild_to_the_server_and_says_so() {
    let folder = Folder::new();
    let pretender = Pretender::over(&folder, LOADING);
    let mut client = command(&folder.data(), &["projections", "rebuild", "timeline"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let said = tokio::task::spawn_blocking(move || {
        let mut lines = std::io::BufReader::new(client.stderr.take().expect("a pipe")).lines();
        let first = lines.next().expect("it tells").expect("text");
        signal(client.id(), "INT");
        let rest: Vec<String> = lines.map_while(Result::ok).collect();
        (first, rest.join("\n"), client.wait().expect("it ends").code())
    });
    let (first, rest, code) = tokio::time::timeout(PATIENCE, said).await.expect("in time").expect("no panic");
    assert_eq!(first, "timeline: loading 7 of 90 events, 3/s");
    assert!(rest.contains("the rebuild goes on in the running letopis"), "{rest}");
    assert_eq!(code, Some(1));
    drop(pretender);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_up_or_is_not_understood_is_no_success() {
    for (lines, expected) in [
        (LOADING, "hung up before it had answered"),
        ("{\"reply\":\"moved\"}\n", "use one program"),
        ("", "hung up"),
    ] {
        let folder = Folder::new();
        let pretender = Pretender::over(&folder, lines);
        pretender.hang_up.send(()).expect("it listens");
        let said = run(&folder.data(), &["projections", "rebuild", "timeline"]).await;
        assert_eq!(said.code, Some(1), "{said:#?}");
        assert!(said.err.contains(expected), "{said:#?}");
    }
}
