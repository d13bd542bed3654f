//! From the compiler's wasm to the files that a browser loads.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};
use wasm_bindgen_cli_support::Bindgen;

use crate::names::shorten;

/// What the app's JavaScript is called before it is named by its content.
pub const APP: &str = "app.js";
/// The JavaScript that fetches the parts of the app which are not in the first load.
pub const LINK: &str = "later.js";

/// How wasm-opt is asked for the smallest download. Nothing is kept in the first kilobyte of memory, which is the end of
/// the stack; and a function with one caller that is not small is found more often by the compression where it stands.
const SHRINKING: [&str; 4] = ["-Oz", "--low-memory-unused", "--one-caller-inline-max-function-size", "20"];

/// The wasm and the JavaScript around it.
pub struct Bound {
    pub wasm: Vec<u8>,
    pub js: String,
    /// JavaScript that crates brought along: the path by which `js` imports it, and its text.
    pub snippets: Vec<(String, String)>,
    /// [`LINK`]: `js` imports it, and it imports `js`.
    pub link: String,
    /// Wasm that is fetched when it is wanted: the name that `link` fetches it by, and the bytes.
    pub parts: Vec<(String, Vec<u8>)>,
}

/// Divides `wasm` at its split points, binds it for the web and shrinks every part with `wasm_opt` where given.
/// Fails when the crate `wasm-bindgen` in the wasm is of another version than this tool's, or when the wasm was linked
/// without its relocations.
pub fn bind(wasm: &Path, wasm_opt: Option<&Path>) -> Result<Bound> {
    let work = wasm.with_extension("bound");
    match fs::remove_dir_all(&work) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => fs::create_dir_all(&work)?,
    }
    let main = work.join("app.wasm");
    let parts = divide(wasm, &work, &main).with_context(|| format!("cannot divide {}", wasm.display()))?;
    Bindgen::new()
        .input_path(&main)
        .out_name("app")
        .web(true)?
        .typescript(false)
        // The parts find by these names what they share with the main one.
        .keep_lld_exports(true)
        .demangle(false)
        .remove_name_section(true)
        .remove_producers_section(true)
        .generate(&work)
        .with_context(|| format!("cannot bind {}", main.display()))?;
    let bound = work.join("app_bg.wasm");
    let (js, link) = (fs::read_to_string(work.join(APP))?, fs::read_to_string(work.join(LINK))?);
    // Where a part does not come, the app says so itself; a page that is left while one is on its way is no error.
    let link = link.replace("console.error(", "console.warn(");
    let (short, js) = shorten(&fs::read(&bound)?, &js, &[&link])?;
    fs::write(&bound, short)?;
    Ok(Bound {
        wasm: shrink(&bound, wasm_opt)?,
        js,
        snippets: snippets(&work)?,
        link,
        parts: parts
            .into_iter()
            .map(|part| {
                let name = part.file_name().and_then(|name| name.to_str()).context("a name is not UTF-8")?;
                Ok((name.to_owned(), shrink(&part, wasm_opt)?))
            })
            .collect::<Result<_>>()?,
    })
}

/// Writes the main part of `wasm` to `main`, and the others into `work`; answers where those are.
fn divide(wasm: &Path, work: &Path, main: &Path) -> Result<Vec<PathBuf>> {
    let bytes = fs::read(wasm)?;
    let mut options = wasm_split_cli_support::Options::new(&bytes);
    let (app, link) = (format!("./{APP}"), format!("./{LINK}"));
    options.output_dir = work;
    options.main_out_path = main;
    options.main_module = &app;
    options.link_name = &link;
    let divided = wasm_split_cli_support::transform(options).map_err(|error| anyhow!("{error:?}"))?;
    Ok(divided.split_modules)
}

/// The bytes of `wasm`, made smaller where there is a program for it.
fn shrink(wasm: &Path, wasm_opt: Option<&Path>) -> Result<Vec<u8>> {
    let mut read = wasm.to_owned();
    if let Some(program) = wasm_opt {
        read.set_extension("opt");
        // No feature flags: it reads what the compiler recorded. `--all-features` makes a file that browsers refuse.
        let status = Command::new(program).args(SHRINKING).arg(wasm).arg("-o").arg(&read).status();
        let status = status.with_context(|| format!("cannot run {}", program.display()))?;
        if !status.success() {
            bail!("{} ended with {status}", program.display());
        }
    }
    fs::read(&read).with_context(|| format!("cannot read {}", read.display()))
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
