//! Short names for what the wasm and its JavaScript call each other by. The half of each that is a hash is made no smaller
//! by any compression, and stands in both.

use std::collections::{HashMap, HashSet};

use anyhow::{Context, Result, ensure};
use walrus::Module;

/// The module that wasm-bindgen imports its JavaScript from.
const IMPORTED_FROM: &str = "./app_bg.js";

/// Renames imports, and exports that only `js` knows of, in both. What `others` mention keeps its name.
pub fn shorten(wasm: &[u8], js: &str, others: &[&str]) -> Result<(Vec<u8>, String)> {
    let mut module = Module::from_buffer(wasm).context("cannot read the bound wasm")?;
    let taken: HashSet<&str> = std::iter::once(js).chain(others.iter().copied()).flat_map(words).collect();
    let kept: HashSet<&str> = others.iter().copied().flat_map(words).collect();
    let mut names: HashMap<String, String> = HashMap::new();
    let mut short = |name: &mut String| {
        let count = names.len();
        let new = names.entry(name.clone()).or_insert_with(|| format!("_{count:x}"));
        name.clone_from(new);
    };
    for import in module.imports.iter_mut().filter(|import| import.module == IMPORTED_FROM) {
        short(&mut import.name);
    }
    let is_mangled = |name: &str| name.starts_with("_ZN") && taken.contains(name) && !kept.contains(name);
    for export in module.exports.iter_mut().filter(|export| is_mangled(&export.name)) {
        short(&mut export.name);
    }
    for (name, new) in &names {
        ensure!(taken.contains(name.as_str()), "{name} is imported, and not in the JavaScript");
        ensure!(!taken.contains(new.as_str()), "{new} is a name in the JavaScript already");
    }
    Ok((module.emit_wasm(), renamed(js, &names)))
}

fn is_of_word(letter: char) -> bool {
    letter.is_alphanumeric() || matches!(letter, '_' | '$')
}

/// Everything in JavaScript that may be a name.
fn words(js: &str) -> impl Iterator<Item = &str> {
    js.split(|letter| !is_of_word(letter)).filter(|word| !word.is_empty())
}

/// `js` with every word that is a key of `names` replaced.
fn renamed(js: &str, names: &HashMap<String, String>) -> String {
    let mut made = String::with_capacity(js.len());
    let mut rest = js;
    while !rest.is_empty() {
        let end = rest.find(|letter| !is_of_word(letter)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        made.push_str(names.get(word).map_or(word, String::as_str));
        let between = after.find(is_of_word).unwrap_or(after.len());
        made.push_str(&after[..between]);
        rest = &after[between..];
    }
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `(module (import "./app_bg.js" "__wbg_log_0123" (func)) (import "env" "other" (func)) (export "_ZN1aE" (func 0)))`
    fn module() -> Vec<u8> {
        let mut module = Module::default();
        let kind = module.types.add(&[], &[]);
        let (log, _) = module.add_import_func(IMPORTED_FROM, "__wbg_log_0123", kind);
        module.add_import_func("env", "other", kind);
        module.exports.add("_ZN1aE", log);
        module.exports.add("_ZN1bE", log);
        module.emit_wasm()
    }

    #[test]
    fn wasm_and_javascript_call_each_other_by_the_same_short_names() {
        let js = "const it = { __wbg_log_0123: () => 1 }; wasm._ZN1aE(); wasm._ZN1bE(); // __wbg_log_01234";
        let (wasm, js) = shorten(&module(), js, &["_ZN1bE"]).expect("shortened");
        assert_eq!(js, "const it = { _0: () => 1 }; wasm._1(); wasm._ZN1bE(); // __wbg_log_01234");
        let module = Module::from_buffer(&wasm).expect("wasm");
        let imports: Vec<_> =
            module.imports.iter().map(|it| (it.module.as_str(), it.name.as_str())).collect();
        assert_eq!(imports, [(IMPORTED_FROM, "_0"), ("env", "other")]);
        let exports: Vec<_> = module.exports.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(exports, ["_1", "_ZN1bE"]);
    }

    #[test]
    fn names_that_would_meet_others_are_refused() {
        assert!(shorten(&module(), "__wbg_log_0123, _0", &[]).is_err());
        assert!(shorten(&module(), "nothing of it", &[]).is_err());
    }
}
