//! Turns the compiled app into the folder that the server embeds.
//!
//! It divides the wasm at its split points, binds it for the web, shrinks it, gives every file a name that holds a hash
//! of its content, writes these names into `index.html`, and compresses everything once with brotli and gzip. What a
//! browser gets is thus fixed here: the server only picks a variant.
//!
//! Inputs in the frontend's folder: `index.html` (the tags of the bundle go where `<!-- bundle -->` stands, else at
//! the end of its head), `style/*.css` (one sheet, in the order of the file names), `static/` (any file;
//! `/static/NAME` in the page, the sheet, the web manifest and scripts becomes its hashed name).

mod assets;
mod binding;
mod names;
mod page;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use crate::assets::Assets;

const USAGE: &str = "bundler --wasm FILE --frontend DIR --out DIR [--wasm-opt PROGRAM]";

struct Options {
    wasm: PathBuf,
    frontend: PathBuf,
    out: PathBuf,
    wasm_opt: Option<PathBuf>,
}

fn options(mut arguments: impl Iterator<Item = String>) -> Result<Options> {
    let (mut wasm, mut frontend, mut out, mut wasm_opt) = (None, None, None, None);
    while let Some(name) = arguments.next() {
        let place = match name.as_str() {
            "--wasm" => &mut wasm,
            "--frontend" => &mut frontend,
            "--out" => &mut out,
            "--wasm-opt" => &mut wasm_opt,
            _ => bail!("unknown argument {name}\n{USAGE}"),
        };
        *place =
            Some(PathBuf::from(arguments.next().with_context(|| format!("{name} needs a value\n{USAGE}"))?));
    }
    Ok(Options {
        wasm: wasm.context(USAGE)?,
        frontend: frontend.context(USAGE)?,
        out: out.context(USAGE)?,
        wasm_opt,
    })
}

fn bundle(options: &Options) -> Result<Assets> {
    let bound = binding::bind(&options.wasm, options.wasm_opt.as_deref())?;
    let mut assets = Assets::default();
    page::add_all(&mut assets, &options.frontend, bound)?;
    Ok(assets)
}

fn main() -> ExitCode {
    let run = || -> Result<()> {
        let options = options(std::env::args().skip(1))?;
        let assets = bundle(&options)?;
        assets.write(&options.out)?;
        report(&assets, &options.out);
        Ok(())
    };
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bundler: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn report(assets: &Assets, out: &Path) {
    eprintln!("{:>9} {:>9} {:>9}  file in {}", "bytes", "brotli", "gzip", out.display());
    for asset in assets.iter() {
        eprintln!(
            "{:>9} {:>9} {:>9}  {}",
            asset.bytes.len(),
            asset.brotli.len(),
            asset.gzip.len(),
            asset.file
        );
    }
    eprintln!("first load: {} bytes brotli", assets.first_load());
}
