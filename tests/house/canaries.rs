//! Personal data stands nowhere in the clear but in the read models that are made to show it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use domain::requests::{Authorize, Register, Secret};
use domain::views::{List, Message, Person as Seen};

use crate::api::{Api, new_key};
use crate::letopis::Folder;
use crate::log_file;
use crate::people::Person;

/// Something that must not be found, and what it is.
struct Canary {
    what: &'static str,
    text: String,
}

/// The spellings in which bytes hide: plain, hexadecimal, base64 at each alignment, escaped JSON,
/// UTF-16.
fn spellings(text: &str) -> Vec<(&'static str, Vec<u8>)> {
    let bytes = text.as_bytes();
    let mut spellings = vec![
        ("plain", bytes.to_vec()),
        ("lower case", text.to_lowercase().into_bytes()),
        ("hex", hex::encode(bytes).into_bytes()),
        ("HEX", hex::encode_upper(bytes).into_bytes()),
        ("JSON", serde_json::to_string(text).expect("text").trim_matches('"').as_bytes().to_vec()),
        ("UTF-16LE", text.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("UTF-16BE", text.encode_utf16().flat_map(u16::to_be_bytes).collect()),
    ];
    let escaped = |upper: bool| {
        let escape = |unit: u16| match u8::try_from(unit) {
            Ok(ascii) if (b' '..0x7f).contains(&ascii) => char::from(ascii).to_string(),
            _ if upper => format!("\\u{unit:04X}"),
            _ => format!("\\u{unit:04x}"),
        };
        text.encode_utf16().map(escape).collect::<String>().into_bytes()
    };
    spellings.extend([("\\u", escaped(false)), ("\\U", escaped(true))]);
    for before in 0..3 {
        let padded = [&vec![0; before][..], bytes].concat();
        // The characters that hold nothing but the text's own bits.
        let (from, to) = ((before * 8).div_ceil(6), padded.len() * 8 / 6);
        for (name, engine) in [("base64", &STANDARD_NO_PAD), ("base64url", &URL_SAFE_NO_PAD)] {
            spellings.push((name, engine.encode(&padded).as_bytes()[from..to].to_vec()));
        }
    }
    spellings
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    assert!(needle.len() >= 8, "too short to mean anything");
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// Which canaries stand in `bytes`, and how they are spelt.
fn found(canaries: &[Canary], bytes: &[u8]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for canary in canaries {
        for (spelling, needle) in spellings(&canary.text) {
            if contains(bytes, &needle) {
                found.insert(format!("{} ({spelling})", canary.what));
            }
        }
    }
    found
}

fn files_under(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let entry = entry.expect("an entry");
        if entry.file_type().expect("a type").is_dir() {
            files.extend(files_under(&entry.path()));
        } else if entry.file_type().expect("a type").is_file() {
            files.push(entry.path());
        }
    }
    files
}

/// What the read models of people are for: showing them. Everything else holds nothing.
fn may_show(file: &Path) -> bool {
    let name = file.display().to_string();
    name.contains("/projections/directory/") || name.contains("/projections/search/")
}

/// Scans every file of the data folder; answers what the files hold that may show people.
fn scan(folder: &Folder, canaries: &[Canary]) -> BTreeSet<String> {
    let mut shown = BTreeSet::new();
    let files = files_under(&folder.data());
    for must in [
        "log.db",
        "keys.db",
        "master.key",
        "projections/timeline/1/rows.db",
        "projections/sessions/1/rows.db",
    ] {
        assert!(files.contains(&folder.file(must)), "{must} is not where the scan looks: {files:?}");
    }
    for file in files {
        let found = found(canaries, &std::fs::read(&file).expect("a file"));
        if may_show(&file) {
            shown.extend(found);
        } else {
            assert_eq!(found, BTreeSet::new(), "{}", file.display());
        }
    }
    shown
}

#[tokio::test(flavor = "multi_thread")]
async fn canaries_stand_in_no_log_no_claim_no_key_store_no_timeline_and_no_log_line() {
    let canaries = [
        ("email", "kanarejka.pochta.83@letopis.example"),
        ("nickname", "канарейка_прозвище"),
        ("name", "Имя Канарейки Золотое"),
        ("about", "Canary about: lives in the mine of \"Ореховая\""),
        ("text", "Canary text: meet at the old mill, полночь"),
        ("reply", "Canary reply \\ with \t odd ☃ characters"),
        ("password", "canary's secret Пароль 4711"),
        ("wrong password", "canary's other secret 0815"),
        ("unknown email", "kanarejka.nikto.84@letopis.example"),
        ("device", "CanaryBrowser/83.1 (Mine; Deep)"),
    ]
    .map(|(what, text)| Canary { what, text: text.to_owned() });
    let canary =
        |what: &str| canaries.iter().find(|canary| canary.what == what).expect("one of them").text.clone();

    let folder = Folder::new();
    // Talkative, so that a line that is rarely written is looked at as well.
    let talkative = "debug,hyper=info,hyper_util=info,h2=info";
    let letopis = folder.settings().with("RUST_LOG", talkative).start().await;
    let api = Api::with_agent(&letopis, &canary("device"));
    let register = Register {
        email: canary("email"),
        password: Secret(canary("password")),
        nickname: canary("nickname"),
        name: Some(canary("name")),
    };
    let ann = Person::register_as(&api, register.clone()).await;
    let bob = Person::register(&api, "bob").await;
    ann.tell_about(&api, &canary("about")).await;
    ann.befriend(&api, &bob).await;
    let chat_id = ann.chat_with(&api, &bob).await;
    let first = ann.say(&api, chat_id, &canary("text")).await;
    bob.answer(&api, chat_id, first.number, &canary("reply")).await;
    // What is refused is not written down either.
    let authorize =
        |email: &str, password: &str| Authorize { email: canary(email), password: Secret(canary(password)) };
    api.command("authorize", None, &authorize("email", "wrong password"))
        .await
        .problem(401, "bad-credentials");
    api.command("authorize", None, &authorize("unknown email", "password"))
        .await
        .problem(401, "bad-credentials");
    assert_eq!(api.command("authorize", None, &authorize("email", "password")).await.status, 200);
    api.command("register", Some(new_key()), &register).await.problem(409, "email-taken");
    let broken =
        serde_json::json!({ "text": canary("text"), "Canary text: meet at the old mill, полночь": 1 });
    ann.on(&api).command("send", Some(new_key()), &broken).await.problem(400, "malformed");
    let hits: List<Seen> = bob.on(&api).query("/users?q=%D0%BA%D0%B0%D0%BD%D0%B0%D1%80%D0%B5%D0%B9").await;
    assert_eq!(hits.items[0].nickname, ann.nickname);
    let messages: List<Message> = bob.on(&api).query(&format!("/chats/{chat_id}/messages")).await;
    assert_eq!(messages.items[0].text, canary("text"));
    assert_eq!(messages.items[1].text, canary("reply"));

    // As a crash leaves the files, and as an orderly stop does.
    let mut said = letopis.kill().await;
    assert!(std::fs::metadata(folder.file("log.db-wal")).expect("a WAL").len() > 0);
    let shown = scan(&folder, &canaries);
    said.push_str(&folder.start().await.stop().await);
    scan(&folder, &canaries);

    // The scan is not blind: it finds what the directory and the search index are for.
    for shows in ["nickname (plain)", "email (plain)", "about (plain)"] {
        assert!(shown.contains(shows), "the scan found only {shown:?}");
    }
    let log = log_file::assert_sound(&log_file::open(&folder.file("log.db")));
    assert!(log.iter().any(|row| row.payload.contains("\"s1.")), "the log holds sealed values");

    assert!(said.contains("registered"), "nothing was logged:\n{said}");
    assert_eq!(found(&canaries, said.as_bytes()), BTreeSet::new(), "{said}");
    for (what, secret) in [("access", &ann.access), ("refresh", &ann.refresh), ("access", &bob.access)] {
        assert!(!said.contains(secret.as_str()), "an {what} token is in a log line");
        let signature = secret.rsplit('.').next().expect("a part");
        assert!(
            !contains(said.as_bytes(), signature.as_bytes()),
            "a part of an {what} token is in a log line"
        );
    }
}

#[test]
fn a_canary_is_found_however_it_is_spelt() {
    let canaries = [Canary { what: "it", text: "Золотая канарейка".into() }];
    let finds = |bytes: &[u8]| found(&canaries, bytes);
    assert!(finds("Золотая канарея, золотая".as_bytes()).is_empty());
    let plain = "x Золотая канарейка y".as_bytes();
    assert_eq!(finds(plain), BTreeSet::from(["it (plain)".to_owned(), "it (JSON)".to_owned()]));
    assert!(!finds("золотая канарейка".as_bytes()).is_empty());
    for before in 0..6 {
        let bytes = [vec![b'x'; before], "Золотая канарейка".as_bytes().to_vec(), vec![b'y'; 5]].concat();
        for encoded in [STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)] {
            assert!(!finds(encoded.as_bytes()).is_empty(), "{before} before it");
        }
        assert!(!finds(hex::encode(&bytes).as_bytes()).is_empty());
    }
    let escaped = "\\u0417\\u043e\\u043b\\u043e\\u0442\\u0430\\u044f \
                   \\u043a\\u0430\\u043d\\u0430\\u0440\\u0435\\u0439\\u043a\\u0430";
    assert_eq!(finds(escaped.as_bytes()), BTreeSet::from(["it (\\u)".to_owned()]));
}
