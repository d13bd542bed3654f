//! From the compiler's wasm to the two files that a browser loads.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use wasm_bindgen_cli_support::Bindgen;

/// The wasm and the JavaScript around it.
pub struct Bound {
    pub wasm: Vec<u8>,
    pub js: String,
    /// JavaScript that crates brought along: the path by which `js` imports it, and its text.
    pub snippets: Vec<(String, String)>,
}

/// Binds `wasm` for the web and shrinks it with `wasm_opt` where given.
/// Fails when the crate `wasm-bindgen` in the wasm is of another version than this tool's.
pub fn bind(wasm: &Path, wasm_opt: Option<&Path>) -> Result<Bound> {
    let work = wasm.with_extension("bound");
    match fs::remove_dir_all(&work) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => fs::create_dir_all(&work)?,
    }
    Bindgen::new()
        .input_path(wasm)
        .out_name("app")
        .web(true)?
        .typescript(false)
        .remove_name_section(true)
        .remove_producers_section(true)
        .generate(&work)
        .with_context(|| format!("cannot bind {}", wasm.display()))?;

    let bound = work.join("app_bg.wasm");
    let small = work.join("app_opt.wasm");
    let wasm = match wasm_opt {
        Some(program) => {
            // No feature flags: it reads what the compiler recorded. `--all-features` makes a file that browsers
            // refuse.
            let status = Command::new(program).arg("-Oz").arg(&bound).arg("-o").arg(&small).status();
            let status = status.with_context(|| format!("cannot run {}", program.display()))?;
            if !status.success() {
                bail!("{} ended with {status}", program.display());
            }
            small
        }
        None => bound,
    };
    Ok(Bound {
        wasm: fs::read(&wasm).with_context(|| format!("cannot read {}", wasm.display()))?,
        js: fs::read_to_string(work.join("app.js"))?,
        snippets: snippets(&work)?,
    })
}

fn snippets(work: &Path) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    let mut folders = vec![work.join("snippets")];
    while let Some(folder) = folders.pop() {
        if !folder.exists() {
            continue;
        }
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(work).context("a snippet lies outside its folder")?;
                let text = fs::read_to_string(&path)?;
                if text.contains("import ") && text.contains("from") {
                    bail!("{} imports other files; the bundler cannot rename those", name.display());
                }
                found.push((format!("./{}", name.display()), text));
            }
        }
    }
    found.sort();
    Ok(found)
}
