//! What an attachment's blob holds before it is sealed: what it is, then its bytes.

use domain::Timestamp;
use domain::views::AttachmentKind;
use serde::{Deserialize, Serialize};

/// Begins every attachment's blob; a photo's begins as its picture does.
const MAGIC: &[u8; 4] = b"LAT1";

/// What an attachment is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    pub kind: AttachmentKind,
    pub media_type: String,
    /// A message takes it for a while: then it is swept.
    pub uploaded_at: Timestamp,
    /// Pixels, of an image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
}

impl Content {
    /// With its bytes behind it.
    pub fn wrap(&self, bytes: &[u8]) -> Vec<u8> {
        let header = serde_json::to_vec(self).expect("strings and numbers are JSON");
        let length = u32::try_from(header.len()).expect("a media type is short");
        [MAGIC, &length.to_be_bytes()[..], &header, bytes].concat()
    }

    /// What [`Content::wrap`] made; `None` of anything else.
    pub fn unwrap(blob: &[u8]) -> Option<(Self, &[u8])> {
        let rest = blob.strip_prefix(MAGIC)?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let (header, bytes) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        Some((serde_json::from_slice(header).ok()?, bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_wrapped_comes_out_and_nothing_else() {
        let content = Content {
            kind: AttachmentKind::Image,
            media_type: "image/jpeg".to_owned(),
            uploaded_at: Timestamp(7),
            width: Some(3),
            height: Some(2),
        };
        let blob = content.wrap(b"bytes");
        assert_eq!(Content::unwrap(&blob), Some((content, &b"bytes"[..])));
        assert_eq!(Content::unwrap(&blob[..blob.len() - 6]), None);
        assert_eq!(Content::unwrap(b"\xff\xd8\xff\xe0"), None);
    }
}
