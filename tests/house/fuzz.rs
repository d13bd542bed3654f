//! Calls that a tool makes up from the OpenAPI documents find no 5xx, and no status, content type or body
//! that the documents do not tell of.

use std::process::Stdio;

use domain::requests::Done;

use crate::api::Api;
use crate::letopis::Folder;
use crate::people::Person;

/// Asks for each operation so many times, beside what the documents' own bounds ask for.
const EXAMPLES: &str = "12";
const CHECKS: &str =
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";

#[expect(clippy::disallowed_methods, reason = "where the tool is is the script's to say")]
fn tool() -> String {
    std::env::var("LETOPIS_SCHEMATHESIS")
        .expect("LETOPIS_SCHEMATHESIS names no schemathesis: `./dev test` installs one")
}

/// Runs the tool over a document; panics with what it found.
async fn calls(api: &Api, who: &Person, document: &str, which: &[&str]) {
    let folder = tempfile::tempdir().expect("a folder");
    let output = tokio::process::Command::new(tool())
        .args(["run", &format!("{}{document}", api.base())])
        .args(["--checks", CHECKS, "--phases", "examples,coverage,fuzzing", "--max-examples", EXAMPLES])
        .args([
            "--request-timeout",
            "60",
            "--seed",
            "1",
            "--no-shrink",
            "--warnings",
            "off",
            "--no-color",
            "--continue-on-failure",
        ])
        .args(["--header", &format!("Authorization: Bearer {}", who.access)])
        .args(which)
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("Test cases:") || said.contains("generated"), "it called something: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn made_up_calls_find_nothing_that_is_not_told() {
    let folder = Folder::new();
    let letopis = folder.settings().with("LETOPIS_PASSWORD_HASH", "m=8,t=1,p=1").start().await;
    let api = Api::of(&letopis);
    let (ann, bob) = (Person::register(&api, "ann").await, Person::register(&api, "bob").await);
    ann.befriend(&api, &bob).await;
    let chat = ann.chat_with(&api, &bob).await;
    ann.say(&api, chat, "hello").await;
    calls(&api, &ann, "/query/openapi.json", &[]).await;
    // One that ends the caller's own session comes last.
    calls(&api, &ann, "/command/openapi.json", &["--exclude-operation-id", "revoke"]).await;
    calls(&api, &bob, "/command/openapi.json", &["--include-operation-id", "revoke"]).await;
    ann.on(&api).done::<Done>("remove", &bob.whom()).await;
    let said = letopis.stop().await;
    assert!(!said.contains("panicked"), "{said}");
}
