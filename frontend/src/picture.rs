//! A picture that somebody has chosen, before the server sees it: what can be told at once is told at once.

use std::rc::Rc;

use js_sys::{Array, ArrayBuffer, Promise, Uint8Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{Blob, BlobPropertyBag, File, HtmlImageElement, Url};

/// What the file picker offers.
pub const TYPES: &str = "image/jpeg,image/png,image/webp";
/// The server takes no more bytes.
pub const MOST_BYTES: u32 = 10 * 1024 * 1024;
/// Nor more pixels.
pub const MOST_PIXELS: u32 = 24_000_000;

/// Why a file is no photo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    TooLarge,
    WrongType,
    TooManyPixels,
    Broken,
    /// The file itself could not be read.
    Unreadable,
}

/// A file that looks like a photo. The bytes are a copy, so that sending them again sends the same.
#[derive(Clone)]
pub struct Picture {
    pub bytes: ArrayBuffer,
    /// The content type.
    pub kind: &'static str,
    pub url: Rc<ObjectUrl>,
    /// Width and height in pixels.
    pub size: (u32, u32),
}

/// An address under which the page itself may show a blob, for as long as this lives.
pub struct ObjectUrl(pub String);

impl Drop for ObjectUrl {
    fn drop(&mut self) {
        let _ = Url::revoke_object_url(&self.0);
    }
}

/// The type that a file's first bytes tell; its name may say anything.
fn type_of(start: &[u8]) -> Option<&'static str> {
    match start {
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some("image/png"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        _ => None,
    }
}

impl Picture {
    pub async fn take(file: &File) -> Result<Self, Unfit> {
        if file.size() > f64::from(MOST_BYTES) {
            return Err(Unfit::TooLarge);
        }
        let buffer = JsFuture::from(file.array_buffer()).await.map_err(|_| Unfit::Unreadable)?;
        let bytes: ArrayBuffer = buffer.unchecked_into();
        let start =
            Uint8Array::new_with_byte_offset_and_length(&bytes, 0, bytes.byte_length().min(16)).to_vec();
        let kind = type_of(&start).ok_or(Unfit::WrongType)?;
        let bag = BlobPropertyBag::new();
        bag.set_type(kind);
        let url = Blob::new_with_buffer_source_sequence_and_options(&Array::of1(&bytes), &bag)
            .and_then(|blob| Url::create_object_url_with_blob(&blob));
        let url = url.map_err(|_| Unfit::Unreadable)?;
        let url = Rc::new(ObjectUrl(url));
        let (width, height) = measure(&url.0).await.ok_or(Unfit::Broken)?;
        if u64::from(width) * u64::from(height) > u64::from(MOST_PIXELS) {
            return Err(Unfit::TooManyPixels);
        }
        Ok(Self { bytes, kind, url, size: (width, height) })
    }
}

/// Width and height of the image at `url`, once it has loaded; none if it is no image. It is not decoded for this.
pub async fn measure(url: &str) -> Option<(u32, u32)> {
    let image = HtmlImageElement::new().ok()?;
    let loaded = Promise::new(&mut |done, failed| {
        image.set_onload(Some(&done));
        image.set_onerror(Some(&failed));
        image.set_src(url);
    });
    JsFuture::from(loaded).await.ok()?;
    Some((image.natural_width(), image.natural_height()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_is_what_the_bytes_say() {
        assert_eq!(type_of(b"\xff\xd8\xff\xe0\x00\x10JFIF"), Some("image/jpeg"));
        assert_eq!(type_of(b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0d"), Some("image/png"));
        assert_eq!(type_of(b"RIFF\x24\x00\x00\x00WEBPVP8 "), Some("image/webp"));
        for other in
            [&b"GIF89a\x01\x00"[..], b"RIFF\x24\x00\x00\x00WAVEfmt ", b"<svg xmlns=", b"\xff\xd8", b""]
        {
            assert_eq!(type_of(other), None, "{other:?}");
        }
    }
}
