//! Blobs: sealed bytes under a name, a primary store beside the log and the keys. Not a projection:
//! nothing makes a lost original again, so a backup holds them too.
//!
//! Whatever is put here is sealed already; an engine sees no picture. A blob is durable before the
//! event that names it is written, so what an event names is there; what none names is swept.

use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;
use domain::Timestamp;
use domain::ids::BlobId;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::error::{Result, StoreError};

mod content;
mod files;
mod headers;
mod inspect;
mod picture;
mod s3;

pub use content::Content;
pub use files::FileBlobs;
pub(crate) use inspect::inspect;
pub use picture::{
    LARGEST_PICTURE, MOST_PIXELS, PREVIEW, PictureError, Pictures, SIZES, cleaned, dimensions, fitted,
    is_picture, media_type, sized,
};
pub use s3::{S3Access, S3Blobs};

/// Names that are listed at once.
const PAGE: usize = 1_000;

/// Beside the blobs: the id of the log that they are of.
const LOG_ID: &str = "log-id";

fn log_id_of(engine: &'static str, text: &[u8]) -> Result<Uuid> {
    Uuid::try_parse_ascii(text.trim_ascii())
        .map_err(|error| StoreError::Unreadable { engine, message: format!("{LOG_ID}: {error}") })
}

/// What the bytes of a blob are called.
pub fn blob_id(sealed: &[u8]) -> BlobId {
    BlobId(Sha256::digest(sealed).into())
}

/// The name of a blob: an original, or a size that was made of it (`<original>-64`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobName {
    pub original: BlobId,
    /// The longest side in pixels; `None` for the original itself.
    pub size: Option<u32>,
}

impl BlobName {
    pub fn original(original: BlobId) -> Self {
        Self { original, size: None }
    }

    pub fn sized(original: BlobId, size: u32) -> Self {
        Self { original, size: Some(size) }
    }
}

impl fmt::Display for BlobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.size {
            None => write!(f, "{}", self.original),
            Some(size) => write!(f, "{}-{size}", self.original),
        }
    }
}

impl FromStr for BlobName {
    type Err = String;
    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        let name = match text.split_once('-') {
            None => Self::original(text.parse()?),
            Some((original, size)) => Self::sized(
                original.parse()?,
                size.parse().map_err(|_| format!("not the name of a blob: {text:?}"))?,
            ),
        };
        // One spelling: "064" and "+64" are not ours.
        if name.to_string() == text { Ok(name) } else { Err(format!("not the name of a blob: {text:?}")) }
    }
}

/// Some names, in the order of their spelling.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    pub names: Vec<BlobName>,
    /// Where to go on; `None` at the end.
    pub next: Option<String>,
}

/// Keeps blobs. Names are never given to other bytes.
#[async_trait]
pub trait Blobs: Send + Sync + fmt::Debug {
    /// The bytes are durable when it returns. What is there already stays.
    ///
    /// # Errors
    /// If the engine does not answer; so with the others.
    async fn put(&self, name: BlobName, sealed: Vec<u8>) -> Result<()>;

    async fn get(&self, name: BlobName) -> Result<Option<Vec<u8>>>;

    /// Nothing if it is not there.
    async fn delete(&self, name: BlobName) -> Result<()>;

    /// Whose blobs these are: `log_id`'s from now on, if they are nobody's yet. Two logs on one place would
    /// sweep away each other's.
    async fn claim(&self, log_id: Uuid) -> Result<Uuid>;

    /// Blobs that were put before `before`, a page at a time: those after `after`. What has no name
    /// of a blob is passed over.
    async fn older(&self, before: Timestamp, after: Option<String>) -> Result<Names>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_spelling() {
        let original = BlobId([7; 32]);
        for name in [BlobName::original(original), BlobName::sized(original, 64)] {
            assert_eq!(name.to_string().parse(), Ok(name));
        }
        for wrong in
            ["", "x", &format!("{original}-"), &format!("{original}-064"), &format!("{original}-64-64")]
        {
            assert!(wrong.parse::<BlobName>().is_err(), "{wrong}");
        }
    }
}
