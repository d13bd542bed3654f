//! The page, its style sheet, its boot module and its static files.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::assets::{self, Assets};
use crate::binding::{APP, Bound, LINK};

/// Where the bundle's tags go in `index.html`.
const PLACE: &str = "<!-- bundle -->";
const HEAD_END: &str = "</head>";

/// Static files that are asked for by a fixed name, by browsers or by crawlers.
const PLAIN: &[&str] = &["robots.txt", "favicon.ico"];

/// The service worker's name: a fixed one, because browsers look there for its next version.
const WORKER: &str = "sw.js";

/// Adds everything under `frontend`, and the bound app.
pub fn add_all(assets: &mut Assets, frontend: &Path, bound: Bound) -> Result<()> {
    let path = frontend.join("index.html");
    let template = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let statics = add_static(assets, &frontend.join("static"), &template)?;

    let mut js = bound.js;
    for (import, text) in bound.snippets {
        let file = assets.add_hashed(&import, text.into_bytes(), true)?;
        js = js.replace(&import, &format!("./{file}"));
    }
    let mut later = Vec::new();
    let mut link = bound.link;
    for (name, bytes) in bound.parts {
        let file = assets.add_hashed(&name, bytes, false)?;
        link = link.replace(&format!("./{name}"), &format!("./{file}"));
        later.push(file);
    }
    let wasm = assets.add_hashed("app_bg.wasm", bound.wasm, true)?;
    let (js, link) = add_linked(assets, js, link)?;
    let style = rename(&style_sheet(&frontend.join("style"))?, &statics);
    let style = assets.add_hashed("style.css", style.into_bytes(), true)?;
    let boot = assets.add_hashed("boot.js", boot(&js, &wasm).into_bytes(), true)?;

    let tags = tags(&style, &js, &wasm, &boot);
    let page = rename(&fill(&template, &tags)?, &statics);
    let mut shell: Vec<String> =
        [style, js, link, wasm, boot].iter().chain(&later).map(|file| format!("/{file}")).collect();
    shell.extend(statics.into_iter().map(|(_, file)| file));
    let worker = worker(&shell, &page)?;
    assets.add_plain("index.html", page.into_bytes(), true)?;
    assets.add_plain(WORKER, worker.into_bytes(), false)?;
    Ok(())
}

/// Adds the app's JavaScript and what fetches the app's later parts, which import each other; answers their names.
///
/// A name is made of content, and either's content holds the other's name. So the link is named by both as they were
/// before, and the app by its content as it is then: whatever changes in one of them changes both names.
fn add_linked(assets: &mut Assets, js: String, link: String) -> Result<(String, String)> {
    // Only where they are imported from: elsewhere these names stand for what the wasm imports.
    let (of_app, of_link) = (format!("from \"./{APP}\""), format!("from \"./{LINK}\""));
    if !js.contains(&of_link) || !link.contains(&of_app) {
        bail!("{APP} and {LINK} do not import each other: has the app no split point?");
    }
    let link_file = assets::hashed(LINK, format!("{link}{js}").as_bytes());
    let js = js.replace(&of_link, &format!("from \"./{link_file}\""));
    let js_file = assets.add_hashed(APP, js.into_bytes(), true)?;
    let link = link.replace(&of_app, &format!("from \"./{js_file}\""));
    assets.add_named(LINK, link_file.clone(), link.into_bytes(), true)?;
    Ok((js_file, link_file))
}

/// The service worker, which keeps the shell for when there is no network. It changes with whatever it keeps.
fn worker(shell: &[String], page: &str) -> Result<String> {
    let files: Vec<&str> = std::iter::once("/").chain(shell.iter().map(String::as_str)).collect();
    let version = assets::hash(page.as_bytes());
    let template = include_str!("sw.js");
    Ok(template.replace("__FILES__", &serde_json::to_string(&files)?).replace("__VERSION__", &version))
}

/// The module that starts the app; a file of its own because the page's policy allows no inline script.
/// Where the app cannot start, the page's element `boot-failed` is shown.
fn boot(js: &str, wasm: &str) -> String {
    include_str!("boot.js").replace("__JS__", js).replace("__WASM__", wasm).replace("__WORKER__", WORKER)
}

fn tags(style: &str, js: &str, wasm: &str, boot: &str) -> String {
    format!(
        "<link rel=\"stylesheet\" href=\"/{style}\">\n\
         <link rel=\"modulepreload\" href=\"/{js}\">\n\
         <link rel=\"preload\" href=\"/{wasm}\" as=\"fetch\" type=\"application/wasm\" crossorigin>\n\
         <script type=\"module\" src=\"/{boot}\"></script>"
    )
}

/// Puts the tags at their place, or at the end of the head where the page names none.
fn fill(template: &str, tags: &str) -> Result<String> {
    let place = if template.contains(PLACE) { PLACE } else { HEAD_END };
    if template.matches(place).count() != 1 {
        bail!("index.html needs one {PLACE}, or else one {HEAD_END}");
    }
    let rest = if place == HEAD_END { HEAD_END } else { "" };
    Ok(template.replace(place, &format!("{tags}{rest}")))
}

fn style_sheet(folder: &Path) -> Result<String> {
    let mut sheet = String::new();
    for path in files(folder)? {
        if path.extension().is_some_and(|extension| extension == "css") {
            let text = fs::read_to_string(&path)?;
            if text.contains("@import") {
                bail!("{}: all files of the folder are one sheet; @import is not needed", path.display());
            }
            sheet.push_str(&text);
            sheet.push('\n');
        }
    }
    Ok(sheet)
}

/// Adds the static files, of which a first visit downloads those that the page names; answers the name in the sources
/// and in the bundle of each.
fn add_static(assets: &mut Assets, folder: &Path, page: &str) -> Result<Vec<(String, String)>> {
    let (mut names, mut referring) = (Vec::new(), Vec::new());
    for path in files(folder)? {
        let name =
            path.file_name().and_then(|name| name.to_str()).context("a file name is not UTF-8")?.to_owned();
        if name.ends_with(".webmanifest") || name.ends_with(".js") {
            referring.push((name, path));
            continue;
        }
        names.push(add_one(assets, &name, fs::read(&path)?, page)?);
    }
    // These name others, so they come once the others have their names.
    for (name, path) in referring {
        let bytes = rename(&fs::read_to_string(&path)?, &names).into_bytes();
        names.push(add_one(assets, &name, bytes, page)?);
    }
    Ok(names)
}

fn add_one(assets: &mut Assets, name: &str, bytes: Vec<u8>, page: &str) -> Result<(String, String)> {
    let source = format!("/static/{name}");
    let first_load = page.contains(&source);
    let file = match PLAIN.contains(&name) {
        true => assets.add_plain(name, bytes, first_load)?,
        false => assets.add_hashed(name, bytes, first_load)?,
    };
    Ok((source, format!("/{file}")))
}

fn rename(text: &str, names: &[(String, String)]) -> String {
    names.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// The files of a folder in the order of their names; none if there is no such folder.
fn files(folder: &Path) -> Result<Vec<std::path::PathBuf>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            bail!("{}: folders are not bundled", path.display());
        }
        files.push(path);
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_names_the_hashed_files_and_has_no_inline_script() {
        let page = fill("<head><!-- bundle --></head>", &tags("s-1.css", "a-2.js", "a-3.wasm", "b-4.js"));
        let page = page.expect("a page");
        for name in ["/s-1.css", "/a-2.js", "/a-3.wasm", "/b-4.js"] {
            assert!(page.contains(&format!("\"{name}\"")), "{name} in {page}");
        }
        assert!(page.contains("></script>"), "{page}");
    }

    #[test]
    fn without_a_place_the_tags_close_the_head() {
        assert_eq!(fill("<head></head>", "tags").expect("a page"), "<head>tags</head>");
        assert!(fill("<body></body>", "").is_err());
        assert!(fill("<!-- bundle --><!-- bundle -->", "").is_err());
    }

    #[test]
    fn what_imports_each_other_changes_its_names_together() {
        let names = |js: &str, link: &str| {
            let mut assets = Assets::default();
            let names = add_linked(&mut assets, js.to_owned(), link.to_owned()).expect("two files");
            let text = |name: &str| {
                let asset = assets.iter().find(|it| it.file == name).expect("the file");
                String::from_utf8(asset.bytes.clone()).expect("text")
            };
            assert!(text(&names.0).contains(&format!(r#"from "./{}""#, names.1)), "{names:?}");
            assert!(text(&names.1).contains(&format!(r#"from "./{}""#, names.0)), "{names:?}");
            names
        };
        let (js, link) =
            (r#"import * as later from "./later.js""#, r#"import { initSync } from "./app.js";"#);
        let before = names(js, link);
        for after in [names(&format!("{js}1"), link), names(js, &format!("{link}1"))] {
            assert!(before.0 != after.0 && before.1 != after.1, "{before:?} {after:?}");
        }
        assert!(add_linked(&mut Assets::default(), js.to_owned(), String::new()).is_err());
    }

    #[test]
    fn the_worker_keeps_the_shell_and_changes_with_the_page() {
        let shell = ["/a-2.js".to_owned()];
        let one = worker(&shell, "one").expect("a worker");
        assert!(one.contains(r#"const FILES = ["/","/a-2.js"];"#), "{one}");
        assert!(!one.contains("__"), "{one}");
        assert_ne!(one, worker(&shell, "two").expect("a worker"));
    }

    #[test]
    fn static_names_are_replaced_wherever_they_stand() {
        let names = vec![("/static/icon.svg".to_owned(), "/icon-1.svg".to_owned())];
        assert_eq!(rename("<link href=\"/static/icon.svg\">", &names), "<link href=\"/icon-1.svg\">");
    }
}
