//! The arrows between the crates of this workspace, as ARCHITECTURE.md draws them: who may use whom.

use std::collections::BTreeMap;
use std::process::Command;

/// Every member, and the members that it may use.
const ARROWS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("chronicle", &["domain"]),
    ("stores", &["domain"]),
    ("command-api", &["domain", "chronicle", "stores"]),
    ("query-api", &["domain", "chronicle", "stores"]),
    ("projectors", &["domain", "chronicle", "stores"]),
    ("frontend", &["domain"]),
    ("bundler", &[]),
    ("letopis", &["domain", "chronicle", "stores", "command-api", "query-api", "projectors"]),
];

/// Member → the members that it uses, for building or for tests alike.
type Uses = BTreeMap<String, Vec<String>>;

fn uses(metadata: &serde_json::Value) -> Uses {
    let packages = metadata["packages"].as_array().expect("cargo metadata lists packages");
    let name = |value: &serde_json::Value| value["name"].as_str().expect("a name").to_owned();
    let ours = |dependency: &&serde_json::Value| !dependency["path"].is_null();
    packages
        .iter()
        .map(|package| {
            let dependencies = package["dependencies"].as_array().expect("a package lists its dependencies");
            (name(package), dependencies.iter().filter(ours).map(name).collect())
        })
        .collect()
}

/// What breaks the drawing, a line each.
fn strays(uses: &Uses) -> Vec<String> {
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    let mut strays = Vec::new();
    for (member, used) in uses {
        match allowed.get(member.as_str()) {
            None => strays.push(format!("{member} is not in the drawing")),
            Some(allowed) => {
                let stray = used.iter().filter(|name| !allowed.contains(&name.as_str()));
                strays.extend(stray.map(|name| format!("{member} may not use {name}")));
            }
        }
    }
    strays
}

#[test]
fn no_crate_uses_one_that_it_may_not() {
    let cargo = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(cargo.status.success(), "{}", String::from_utf8_lossy(&cargo.stderr));
    let metadata = serde_json::from_slice(&cargo.stdout).expect("cargo metadata is JSON");
    let uses = uses(&metadata);

    // If the reading broke, an empty graph would break no rule.
    assert_eq!(uses.len(), ARROWS.len(), "{:?}", uses.keys());
    assert!(uses["letopis"].contains(&"domain".to_owned()));
    assert_eq!(strays(&uses), Vec::<String>::new());
}

#[test]
fn a_stray_arrow_is_found() {
    let metadata = serde_json::json!({ "packages": [
        { "name": "domain", "dependencies": [{ "name": "serde", "path": null }] },
        { "name": "stores", "dependencies": [{ "name": "domain", "path": "/x" }, { "name": "chronicle", "path": "/x" }] },
        { "name": "query-api", "dependencies": [{ "name": "command-api", "path": "/x", "kind": "dev" }] },
        { "name": "newcomer", "dependencies": [] },
    ]});
    let mut found = strays(&uses(&metadata));
    found.sort();
    assert_eq!(
        found,
        [
            "newcomer is not in the drawing",
            "query-api may not use command-api",
            "stores may not use chronicle"
        ]
    );
}

/// Every path in backticks that a document names: what has a folder and an ending.
fn named_files(text: &str) -> Vec<&str> {
    text.split('`')
        .skip(1)
        .step_by(2)
        .filter(|name| name.contains('/') && !name.contains(['*', '<', '$', ' ', ':']))
        .filter(|name| [".rs", ".sql", ".toml", ".json"].iter().any(|ending| name.ends_with(ending)))
        .collect()
}

#[test]
fn the_files_that_the_architecture_names_are_there() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let named = named_files(&text);
    assert!(named.len() > 20, "the walks name their files: {named:?}");
    let missing: Vec<&str> = named.into_iter().filter(|name| !root.join(name).exists()).collect();
    assert!(missing.is_empty(), "ARCHITECTURE.md names what is not there: {missing:?}");
}

#[test]
fn a_file_that_is_gone_would_be_noticed() {
    assert_eq!(named_files("in `src/gone.rs`, not `src/`, nor `gone.rs` or `data/x.db`"), ["src/gone.rs"]);
}
