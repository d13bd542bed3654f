//! The OpenAPI documents list the design's operations, no less and no more.

use std::collections::BTreeSet;
use std::path::Path;

use crate::api::Api;
use crate::letopis::Folder;

const COMMANDS: &str = "register authorize refresh revoke create_user edit_info change_settings change_photo \
                        remove_photo add accept decline remove block unblock create_chat rename_chat add_member \
                        remove_member set_role leave_chat dissolve_chat create_invite revoke_invite accept_invite \
                        send edit_message delete_message remove_message react forward report mark_read \
                        set_chat_prefs upload";
const QUERIES: &str = "me sessions search_user user photo blob friends get_chats chat members invites invite get \
                       versions live";

/// Operation ids with their methods and paths.
fn operations(document: &serde_json::Value) -> Vec<(String, String, String)> {
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("methods") {
            let id = operation["operationId"].as_str().unwrap_or_default();
            operations.push((id.to_owned(), method.clone(), path.clone()));
        }
    }
    operations
}

#[tokio::test]
async fn both_documents_list_exactly_what_there_is() {
    let folder = Folder::new();
    let letopis = folder.start().await;
    let api = Api::of(&letopis);
    for (path, expected, method, under) in [
        ("/command/openapi.json", COMMANDS, "post", "/command/v1/"),
        ("/query/openapi.json", QUERIES, "get", "/query/v1/"),
    ] {
        let document: serde_json::Value = api.get(path).await.ok();
        // Whoever changes an API sees what that means for those who speak to it.
        let name = path.trim_start_matches('/').trim_end_matches("/openapi.json");
        let copy = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/openapi/{name}.json"));
        let copy = std::fs::read_to_string(copy).expect("a committed copy");
        let copy: serde_json::Value = serde_json::from_str(&copy).expect("JSON");
        assert!(copy == document, "docs/openapi/{name}.json is not what is served: ./dev openapi writes it");
        assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.")), "{path}");
        let operations = operations(&document);
        let ids: BTreeSet<&str> = operations.iter().map(|(id, _, _)| id.as_str()).collect();
        assert_eq!(ids, expected.split_whitespace().collect(), "{path}");
        assert_eq!(ids.len(), operations.len(), "{path} lists an operation twice");
        for (id, its_method, its_path) in operations {
            assert_eq!(its_method, method, "{id}");
            assert!(its_path.starts_with(under), "{id} at {its_path}");
            // It is really there: signed out, it says so or wants a body, and is not unknown.
            let mut its_path = its_path;
            for parameter in ["{chat_id}", "{user_id}", "{photo_id}", "{blob_id}", "{number}"] {
                its_path = its_path.replace(parameter, "x");
            }
            let status =
                api.request(&method.to_uppercase(), &its_path).send().await.expect("it answers").status();
            assert!(![404, 405, 500].contains(&status.as_u16()), "{id} answers {status}");
        }
    }
}

#[tokio::test]
async fn both_documents_are_there_to_browse_under_a_policy_without_exceptions() {
    let folder = Folder::new();
    let letopis = folder.start().await;
    let api = Api::of(&letopis);
    let page = api.get("/docs/").await;
    assert!(page.status == 200 && page.header("content-type").starts_with("text/html"), "{}", page.text());
    let policy = page.header("content-security-policy");
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe-inline"), "{policy}");
    assert!(!page.text().contains("<script>") && !page.text().contains("style=\""), "nothing inline");
    let settings = api.get("/docs/swagger-initializer.js").await.text();
    for document in ["/command/openapi.json", "/query/openapi.json"] {
        assert!(settings.contains(document), "{settings}");
    }
    assert_eq!(api.get("/docs/no-such-file").await.status, 404);
}
