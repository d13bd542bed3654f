//! `doctor` and `log verify` of the real binary: what is planted is found, and nothing else.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;

use crate::api::Api;
use crate::control::{run, run_with, talk};
use crate::engine::Database;
use crate::letopis::{Folder, until};

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
async fn doctor_and_verify_look_at_postgresql_too() {
    let folder = Folder::new();
    let (log, keys) = (Database::new().await, Database::new().await);
    let (log_url, keys_url) = (log.url(), keys.url());
    let settings = folder.settings().with("LETOPIS_LOG_URL", &log_url).with("LETOPIS_KEYS_URL", &keys_url);
    let data = folder.data();
    let variables = [("LETOPIS_LOG_URL", log_url.as_str()), ("LETOPIS_KEYS_URL", keys_url.as_str())];
    let said = run_with(&data, &["doctor", "--json"], &variables).await;
    assert_eq!(said.code, Some(0), "what the first start makes is no problem: {said:#?}");
    for name in ["log", "keys"] {
        assert!(states(&said.json()).contains(&(name.to_owned(), "warning".to_owned())), "{said:#?}");
    }
    let letopis = settings.start().await;
    let head = talk(&Api::of(&letopis)).await;
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
