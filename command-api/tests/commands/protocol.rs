//! What every command has in common.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::extract::Request;
use serde_json::{Value, json};

use crate::stack::{PASSWORD, Stack};

const COMMANDS: [&str; 35] = [
    "register",
    "authorize",
    "refresh",
    "revoke",
    "create_user",
    "edit_info",
    "change_settings",
    "change_photo",
    "remove_photo",
    "add",
    "accept",
    "decline",
    "remove",
    "block",
    "unblock",
    "create_chat",
    "rename_chat",
    "add_member",
    "remove_member",
    "set_role",
    "leave_chat",
    "dissolve_chat",
    "create_invite",
    "revoke_invite",
    "accept_invite",
    "send",
    "edit_message",
    "delete_message",
    "remove_message",
    "react",
    "forward",
    "report",
    "set_chat_prefs",
    "mark_read",
    "upload",
];

async fn request(stack: &Stack, method: &str, path: &str) -> crate::stack::Answer {
    stack.http(Request::builder().method(method).uri(path).body(Body::empty()).expect("a request")).await
}

#[tokio::test]
async fn whatever_cannot_be_read_is_a_problem() {
    let stack = Stack::new().await;
    let ann = stack.register("ann").await;
    assert_eq!(request(&stack, "POST", "/command/v1/nothing").await.refused(), (404, "not-found"));
    assert_eq!(request(&stack, "GET", "/command/nothing/at/all").await.refused(), (404, "not-found"));
    assert_eq!(request(&stack, "GET", "/command").await.refused(), (404, "not-found"));
    let method = request(&stack, "GET", "/command/v1/send").await;
    assert_eq!(method.refused(), (405, "method-not-allowed"));
    assert_eq!(method.headers["allow"], "POST");

    let ask = || stack.ask("add", json!({ "user_id": ann.id })).by(&ann);
    assert_eq!(ask().raw("{").send().await.refused(), (400, "malformed"));
    assert_eq!(ask().raw(r#"{"user_id":7}"#).send().await.refused(), (400, "malformed"));
    assert_eq!(
        ask().raw("{}").send().await.body["errors"][0],
        json!({"pointer": "/user_id", "code": "required"})
    );
    assert_eq!(ask().raw(vec![b' '; 64 * 1024 + 1]).send().await.refused(), (413, "too-large"));
    assert_eq!(ask().header("content-type", "text/plain").send().await.refused(), (415, "unsupported-type"));
    assert_eq!(ask().without("content-type").send().await.refused(), (415, "unsupported-type"));
    let charset = ask().header("content-type", "application/json; charset=utf-8").send().await;
    assert_eq!(charset.refused(), (422, "invalid"), "the body was read: one can't add oneself");
    assert_eq!(ask().without("authorization").send().await.refused(), (401, "unauthenticated"));
}

#[tokio::test]
async fn every_command_but_three_needs_a_key() {
    let stack = Stack::new().await;
    let ann = stack.register("ann").await;
    for command in COMMANDS {
        let answer = stack.ask(command, json!({})).by(&ann).key(None).send().await;
        if ["authorize", "refresh", "revoke"].contains(&command) {
            assert_ne!(answer.body["errors"][0]["pointer"], "Idempotency-Key", "{command}");
        } else {
            assert_eq!(answer.refused(), (400, "malformed"), "{command}");
            let error = json!({ "pointer": "Idempotency-Key", "code": "required" });
            assert_eq!(answer.body["errors"][0], error, "{command}");
        }
    }
    let bad = stack.ask("add", json!({ "user_id": ann.id })).by(&ann).key(None);
    let bad = bad.header("idempotency-key", "seven").send().await;
    assert_eq!(bad.refused(), (400, "malformed"));
}

#[tokio::test]
async fn a_repeat_gets_the_first_answer_and_another_body_is_refused() {
    let stack = Stack::new().await;
    let (ann, bob) = stack.friends().await;
    let chat = stack.ask("create_chat", json!({ "user_id": bob.id })).by(&ann).send().await.ok();
    let key = stack.key();
    let send =
        |text: &str| stack.ask("send", json!({ "chat_id": chat["chat_id"], "text": text })).by(&ann).key(key);
    let first = send("one").send().await.ok();
    assert_eq!(first["message_id"], key.to_string());
    let after = stack.head().await;
    let (again, twice) = tokio::join!(send("one").send(), send("one").send());
    assert_eq!((again.ok(), twice.ok()), (first.clone(), first));
    assert_eq!(send("two").send().await.refused(), (422, "key-reused"));
    let other = stack.ask("add", json!({ "user_id": bob.id })).by(&ann).key(key).send().await;
    assert_eq!(other.refused(), (422, "key-reused"), "one key, two commands");
    assert_eq!(stack.head().await, after, "nothing was written");
    let bobs = stack.ask("send", json!({ "chat_id": chat["chat_id"], "text": "mine" })).by(&bob).key(key);
    assert_eq!(bobs.send().await.ok()["number"], 2, "another person's keys are others");
}

#[tokio::test]
async fn the_document_describes_every_command_and_its_problems() {
    let stack = Stack::new().await;
    let document = request(&stack, "GET", "/command/openapi.json").await;
    assert_eq!(document.status, 200);
    let paths = document.body["paths"].as_object().expect("paths");
    let described: BTreeSet<&str> =
        paths.values().filter_map(|path| path["post"]["operationId"].as_str()).collect();
    assert_eq!(described, COMMANDS.into());
    for (path, item) in paths {
        let operation = &item["post"];
        assert_eq!(path, &format!("/command/v1/{}", operation["operationId"].as_str().expect("an id")));
        let answers = operation["responses"].as_object().expect("answers");
        for status in ["200", "400", "401", "403", "404", "409", "413", "415", "422", "429", "503"] {
            assert!(answers.contains_key(status), "{path} {status}");
        }
        let problem = &answers["422"]["content"]["application/problem+json"]["schema"]["$ref"];
        assert_eq!(problem, "#/components/schemas/Problem");
        let key = operation["parameters"].as_array().expect("parameters").iter();
        let key = key.filter(|it| it["name"] == "Idempotency-Key").collect::<Vec<_>>();
        let optional = ["authorize", "refresh", "revoke"].iter().any(|command| path.ends_with(command));
        assert_eq!(key.len(), 1, "{path}");
        assert_eq!(key[0]["required"], !optional, "{path}");
        // Pictures and files come as they are.
        let body = match path.rsplit('/').next() {
            Some("change_photo") => "image/*",
            Some("upload") => "*/*",
            _ => "application/json",
        };
        assert!(operation["requestBody"]["content"][body].is_object(), "{path}");
    }
    let schemas = document.body["components"]["schemas"].as_object().expect("schemas");
    assert!(schemas.contains_key("Problem"));
    for reference in references(&document.body) {
        let name = reference.strip_prefix("#/components/schemas/").expect("a schema");
        assert!(schemas.contains_key(name), "{name} is described");
    }
}

fn references(value: &Value) -> Vec<String> {
    match value {
        Value::Object(map) => map
            .iter()
            .flat_map(|(name, value)| match value {
                Value::String(text) if name == "$ref" => vec![text.clone()],
                value => references(value),
            })
            .collect(),
        Value::Array(list) => list.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}

#[tokio::test]
async fn nothing_personal_lies_in_the_log_in_the_clear() {
    let stack = Stack::new().await;
    let (ann, bob) = stack.friends().await;
    let chat = stack.ask("create_chat", json!({ "user_id": bob.id })).by(&ann).send().await.ok();
    let text = "a canary sings";
    stack.ask("send", json!({ "chat_id": chat["chat_id"], "text": text })).by(&ann).send().await.ok();
    let edit = json!({ "chat_id": chat["chat_id"], "number": 1, "text": "no canary sings" });
    stack.of(&ann, "edit_message", edit).await.ok();
    let group = stack.of(&ann, "create_chat", json!({ "title": "Canary lovers" })).await.ok();
    let invite = stack.of(&ann, "create_invite", json!({ "chat_id": group["chat_id"] })).await.ok();
    let token = invite["token"].as_str().expect("a token").to_owned();
    let forward = json!({ "chat_id": group["chat_id"], "from_chat_id": chat["chat_id"], "number": 1 });
    stack.of(&ann, "forward", forward).await.ok();
    let upload = stack.ask("upload", json!({})).by(&ann).header("content-type", "text/plain").raw("canary");
    let carried = json!([{ "blob_id": upload.send().await.ok()["blob_id"], "name": "canary.txt" }]);
    let carry = json!({ "chat_id": chat["chat_id"], "text": "", "attachments": carried });
    stack.of(&ann, "send", carry).await.ok();
    stack.ask("edit_info", json!({ "name": "Anna Canary" })).by(&ann).send().await.ok();
    let mut searched = 0;
    for entry in std::fs::read_dir(stack.path()).expect("the folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            continue;
        }
        let bytes = std::fs::read(path).expect("a file");
        searched += bytes.len();
        for canary in [
            "canary",
            "Canary",
            "ann@example",
            PASSWORD,
            "$argon2id",
            "192.0.2.1",
            &ann.access,
            &ann.refresh,
            &token,
        ] {
            assert!(!bytes.windows(canary.len()).any(|window| window == canary.as_bytes()), "{canary}");
        }
    }
    assert!(searched > 10_000, "the log was searched");
}
