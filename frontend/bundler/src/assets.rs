//! The files of the bundle: named by their content, compressed once.

use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// Hexadecimal digits of a name's hash: 64 bits, so that two contents never meet in practice.
const HASH_DIGITS: usize = 16;

/// One file of the bundle.
pub struct Asset {
    /// What the sources call it.
    pub source: String,
    /// What it is called in the bundle.
    pub file: String,
    pub bytes: Vec<u8>,
    pub brotli: Vec<u8>,
    pub gzip: Vec<u8>,
    first_load: bool,
}

/// All files of the bundle.
#[derive(Default)]
pub struct Assets(Vec<Asset>);

impl Assets {
    /// Adds a file under a name made of its content; answers that name.
    /// `first_load` says whether a first visit downloads it.
    pub fn add_hashed(&mut self, source: &str, bytes: Vec<u8>, first_load: bool) -> Result<String> {
        let name = source.rsplit_once('/').map_or(source, |(_, name)| name);
        let file = hashed(name, &bytes);
        self.add_named(source, file, bytes, first_load)
    }

    /// Adds a file under its own name, for those that a browser looks for by name.
    pub fn add_plain(&mut self, source: &str, bytes: Vec<u8>, first_load: bool) -> Result<String> {
        self.add_named(source, source.to_owned(), bytes, first_load)
    }

    /// Adds a file under a name that the caller has made; answers that name.
    pub fn add_named(
        &mut self,
        source: &str,
        file: String,
        bytes: Vec<u8>,
        first_load: bool,
    ) -> Result<String> {
        if let Some(other) = self.0.iter().find(|other| other.file == file) {
            // The same name means the same content; two sources may well hold one icon.
            if other.bytes != bytes {
                bail!("{source} and {} would both be {file}", other.source);
            }
        } else {
            let (brotli, gzip) = (brotli(&bytes)?, gzip(&bytes)?);
            self.0.push(Asset {
                source: source.to_owned(),
                file: file.clone(),
                bytes,
                brotli,
                gzip,
                first_load,
            });
        }
        Ok(file)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Asset> {
        self.0.iter()
    }

    /// Bytes that a first visit downloads, brotli.
    pub fn first_load(&self) -> usize {
        self.0.iter().filter(|asset| asset.first_load).map(|asset| asset.brotli.len()).sum()
    }

    /// Puts the bundle in the place of whatever `out` held. A server that embeds the folder never sees half of it:
    /// the new one is complete before the names are swapped.
    pub fn write(&self, out: &Path) -> Result<()> {
        let fresh = out.with_extension("new");
        remove(&fresh)?;
        fs::create_dir_all(&fresh).with_context(|| format!("cannot make {}", fresh.display()))?;
        for asset in &self.0 {
            put(&fresh, &asset.file, &asset.bytes)?;
            // A variant that saves nothing would only be looked up in vain.
            if asset.brotli.len() < asset.bytes.len() {
                put(&fresh, &format!("{}.br", asset.file), &asset.brotli)?;
            }
            if asset.gzip.len() < asset.bytes.len() {
                put(&fresh, &format!("{}.gz", asset.file), &asset.gzip)?;
            }
        }
        put(&fresh, "manifest.json", &pretty(&self.manifest())?)?;
        put(&fresh, "sizes.json", &pretty(&self.sizes())?)?;
        remove(out)?;
        fs::rename(&fresh, out).with_context(|| format!("cannot put the bundle at {}", out.display()))
    }

    fn manifest(&self) -> Value {
        let files = self.0.iter().map(|asset| (asset.source.clone(), Value::from(asset.file.as_str())));
        Value::Object(files.collect::<Map<_, _>>())
    }

    fn sizes(&self) -> Value {
        let files = self.0.iter().map(|asset| {
            let sizes =
                json!({ "bytes": asset.bytes.len(), "brotli": asset.brotli.len(), "gzip": asset.gzip.len() });
            (asset.source.clone(), sizes)
        });
        json!({ "first_load_brotli": self.first_load(), "files": files.collect::<Map<_, _>>() })
    }
}

/// `name.ext` with a hash of the content before the dot: `name-0123456789abcdef.ext`.
pub fn hashed(name: &str, bytes: &[u8]) -> String {
    let hash = hash(bytes);
    match name.split_once('.') {
        Some((stem, extension)) => format!("{stem}-{hash}.{extension}"),
        None => format!("{name}-{hash}"),
    }
}

/// What stands for a content in names.
pub fn hash(bytes: &[u8]) -> String {
    let mut digest = hex::encode(Sha256::digest(bytes));
    digest.truncate(HASH_DIGITS);
    digest
}

fn pretty(value: &Value) -> Result<Vec<u8>> {
    let mut text = serde_json::to_vec_pretty(value)?;
    text.push(b'\n');
    Ok(text)
}

fn put(folder: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let path = folder.join(name);
    fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

fn brotli(bytes: &[u8]) -> Result<Vec<u8>> {
    let parameters = brotli::enc::BrotliEncoderParams {
        quality: 11,
        lgwin: 24,
        size_hint: bytes.len(),
        ..Default::default()
    };
    let mut packed = Vec::new();
    brotli::BrotliCompress(&mut &bytes[..], &mut packed, &parameters).context("brotli")?;
    Ok(packed)
}

fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).context("gzip")?;
    encoder.finish().context("gzip")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_follows_the_content() {
        assert_eq!(hashed("app.js", b"one"), hashed("app.js", b"one"));
        assert_ne!(hashed("app.js", b"one"), hashed("app.js", b"two"));
        let name = hashed("app_bg.wasm", b"one");
        assert!(name.starts_with("app_bg-") && name.ends_with(".wasm"), "{name}");
        assert_eq!(name.len(), "app_bg-.wasm".len() + HASH_DIGITS);
    }

    #[test]
    fn compressed_variants_open_to_the_same_bytes() {
        let text = "a chronicle, ".repeat(500).into_bytes();
        let mut assets = Assets::default();
        assets.add_hashed("style.css", text.clone(), true).expect("a file");
        let asset = assets.iter().next().expect("the file");

        let mut opened = Vec::new();
        brotli::BrotliDecompress(&mut &asset.brotli[..], &mut opened).expect("brotli");
        assert_eq!(opened, text);

        opened.clear();
        let mut decoder = flate2::read::GzDecoder::new(&asset.gzip[..]);
        std::io::Read::read_to_end(&mut decoder, &mut opened).expect("gzip");
        assert_eq!(opened, text);
        assert_eq!(assets.first_load(), asset.brotli.len());
    }

    #[test]
    fn two_files_of_one_plain_name_are_refused() {
        let mut assets = Assets::default();
        assets.add_plain("robots.txt", b"one".to_vec(), false).expect("the first");
        assert!(assets.add_plain("robots.txt", b"two".to_vec(), false).is_err());
    }
}
