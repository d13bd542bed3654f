//! Packs `messages/*.json` for the download: the keys once for all languages, and the words of each in the keys' order,
//! a line each; an empty line where a language has none.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::{env, fs};

const LANGUAGES: [&str; 2] = ["en", "ru"];

#[expect(clippy::disallowed_methods, reason = "cargo speaks to build scripts by variables")]
fn main() {
    println!("cargo::rerun-if-changed=messages");
    let target = env::var("OUT_DIR").expect("cargo says where to");
    let write = |name: &str, lines: &[&str]| {
        assert!(lines.iter().all(|line| !line.contains('\n')), "{name} has words of two lines");
        fs::write(Path::new(&target).join(name), lines.join("\n")).expect("the target folder takes files");
    };
    let languages = LANGUAGES.map(read);
    let keys: BTreeSet<&str> = languages.iter().flat_map(BTreeMap::keys).map(String::as_str).collect();
    write("keys.txt", &keys.iter().copied().collect::<Vec<_>>());
    for (name, words) in LANGUAGES.iter().zip(&languages) {
        let lines: Vec<&str> = keys.iter().map(|key| words.get(*key).map_or("", String::as_str)).collect();
        write(&format!("{name}.txt"), &lines);
    }
}

fn read(language: &str) -> BTreeMap<String, String> {
    let file = format!("messages/{language}.json");
    let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{file} is no flat object of strings: {error}"))
}
