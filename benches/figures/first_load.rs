//! What a browser loads the first time: every file of the app, as it is sent to whoever takes Brotli.

use std::path::Path;

use anyhow::{Context, ensure};

use crate::Bench;
use crate::table::{Bar, Row};

const APP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/frontend/dist");

pub fn run(bench: &mut Bench) -> anyhow::Result<()> {
    let watch = bench.machine.watch();
    let mut bytes = 0;
    for entry in std::fs::read_dir(Path::new(APP)).context("the app is not built: run ./dev app")? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "br") {
            bytes += std::fs::metadata(path)?.len();
        }
    }
    ensure!(bytes > 0, "the app is not built: run ./dev app");
    let row = Row::value("first load of the app, Brotli", bytes as f64 / 1e3, " kB").bar(Bar::AtMost(350.0));
    bench.add(row, &watch);
    Ok(())
}
