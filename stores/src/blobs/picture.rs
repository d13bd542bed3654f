//! Pictures that come from outside: looked at before they are decoded, decoded within bounds, and
//! written anew, so that nothing of the file that came is kept but its pixels.
//!
//! | bound | |
//! |---|---|
//! | formats, by content | JPEG, PNG, WebP; of an animation its first frame |
//! | size of the file | [`LARGEST_PICTURE`] |
//! | pixels, by the header | [`MOST_PIXELS`] |
//! | one decoded picture, and what its decoder holds beside it | [`ALLOCATION`] each |
//! | scans of a JPEG | [`MOST_SCANS`], since each costs as much as the whole picture |
//! | lengths and frames within the file | what the file holds (`headers.rs`) |
//! | time | [`DEADLINE`] from the first byte on |
//! | at once | one in a process |
//!
//! Colour profiles go with the rest: what was written for a wider gamut than sRGB looks a little
//! paler.

use std::io::{self, BufRead, Cursor, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::time::{Duration, Instant};

use image::codecs::jpeg::JpegEncoder;
use image::codecs::webp::WebPEncoder;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};
use tokio::sync::Semaphore;

use super::headers;

/// Bytes of a picture that comes.
pub const LARGEST_PICTURE: usize = 10 * 1024 * 1024;
/// The longest side in pixels of an attached picture as a conversation shows it.
pub const PREVIEW: u32 = 640;
/// Width times height.
pub const MOST_PIXELS: u64 = 24_000_000;
/// Sizes that are made of an original, in pixels. The two small ones are squares cut out of the
/// middle; the large one is the whole picture, its longest side this long. None is enlarged.
pub const SIZES: [u32; 3] = [64, 256, 1024];

/// Bytes of one decoded picture.
pub(super) const ALLOCATION: u64 = 128 * 1024 * 1024;
pub(super) const MOST_SCANS: usize = 64;
/// Bytes of an original as it is kept: what shows through has no other limit.
const LARGEST_KEPT: usize = 8 * 1024 * 1024;
const DEADLINE: Duration = Duration::from_secs(5);
/// For its turn.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest side of an original as it is kept.
const KEPT: u32 = 2_048;
/// Of JPEG, of 100.
const QUALITY: u8 = 85;

/// Why a picture is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PictureError {
    #[error("none of JPEG, PNG and WebP")]
    WrongType,
    #[error("too many pixels")]
    TooManyPixels,
    #[error("broken")]
    Broken,
    /// It takes longer than any honest picture.
    #[error("takes too long to decode")]
    TooLong,
    /// Others are before it.
    #[error("too many pictures at once")]
    Busy,
}

/// Works on one picture at a time. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Pictures(Arc<Semaphore>);

impl Default for Pictures {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

impl Pictures {
    /// [`cleaned`], in its turn.
    ///
    /// # Errors
    /// As [`cleaned`]; `Busy`.
    pub async fn clean(&self, came: impl AsRef<[u8]> + Send + 'static) -> Result<Vec<u8>, PictureError> {
        self.work(move |end| cleaned(came.as_ref(), end)).await
    }

    /// [`sized`], in its turn.
    ///
    /// # Errors
    /// As [`sized`]; `Busy`.
    pub async fn size(&self, original: Arc<[u8]>, size: u32) -> Result<Vec<u8>, PictureError> {
        self.work(move |end| sized(&original, size, end)).await
    }

    /// [`fitted`], in its turn.
    ///
    /// # Errors
    /// As [`fitted`]; `Busy`.
    pub async fn fit(&self, original: Arc<[u8]>, longest: u32) -> Result<Vec<u8>, PictureError> {
        self.work(move |end| fitted(&original, longest, end)).await
    }

    async fn work(
        &self,
        act: impl FnOnce(Instant) -> Result<Vec<u8>, PictureError> + Send + 'static,
    ) -> Result<Vec<u8>, PictureError> {
        let turn = tokio::time::timeout(PATIENCE, self.0.clone().acquire_owned()).await;
        let turn = turn.map_err(|_elapsed| PictureError::Busy)?.map_err(|_closed| PictureError::Busy)?;
        let work = tokio::task::spawn_blocking(move || {
            // Held until the work has ended, also when nobody waits for it any more.
            let _turn = turn;
            act(Instant::now() + DEADLINE)
        });
        match tokio::time::timeout(DEADLINE, work).await {
            Ok(Ok(done)) => done,
            // A decoder that panics has met what it cannot read.
            Ok(Err(_panic)) => Err(PictureError::Broken),
            Err(_elapsed) => Err(PictureError::TooLong),
        }
    }
}

/// The picture in `came` as it is kept: upright, at most [`KEPT`] pixels on its longest side, and
/// nothing but pixels. JPEG, or lossless WebP where something shows through.
///
/// # Errors
/// See [`PictureError`]; `TooLong` after `end`.
pub fn cleaned(came: &[u8], end: Instant) -> Result<Vec<u8>, PictureError> {
    let (picture, orientation) = decoded(came, end)?;
    // Made small before it is turned: then both never lie in memory at full size.
    let mut picture =
        if picture.width().max(picture.height()) > KEPT { picture.thumbnail(KEPT, KEPT) } else { picture };
    in_time(end)?;
    picture.apply_orientation(orientation);
    encoded(picture, end)
}

/// One of [`SIZES`] of what [`cleaned`] made.
///
/// # Errors
/// `Broken` for anything else.
pub fn sized(original: &[u8], size: u32, end: Instant) -> Result<Vec<u8>, PictureError> {
    let (picture, _) = decoded(original, end)?;
    let picture = if size < KEPT / 2 {
        let side = picture.width().min(picture.height());
        let (left, top) = ((picture.width() - side) / 2, (picture.height() - side) / 2);
        picture.crop_imm(left, top, side, side)
    } else {
        picture
    };
    let is_larger = picture.width().max(picture.height()) > size;
    encoded(if is_larger { picture.thumbnail(size, size) } else { picture }, end)
}

/// The whole of what [`cleaned`] made, at most `longest` pixels on its longest side.
///
/// # Errors
/// `Broken` for anything else.
pub fn fitted(original: &[u8], longest: u32, end: Instant) -> Result<Vec<u8>, PictureError> {
    let (picture, _) = decoded(original, end)?;
    let is_larger = picture.width().max(picture.height()) > longest;
    encoded(if is_larger { picture.thumbnail(longest, longest) } else { picture }, end)
}

/// Width and height in pixels of what [`cleaned`] made, by its header.
pub fn dimensions(picture: &[u8]) -> Option<(u32, u32)> {
    ImageReader::with_format(Cursor::new(picture), format(picture)?).into_dimensions().ok()
}

/// The media type of what [`cleaned`] or [`sized`] made.
pub fn media_type(picture: &[u8]) -> &'static str {
    match format(picture) {
        Some(ImageFormat::Jpeg) => "image/jpeg",
        Some(ImageFormat::Png) => "image/png",
        Some(ImageFormat::WebP) => "image/webp",
        _ => "application/octet-stream",
    }
}

/// Whether these bytes begin as one of the pictures that are taken in.
pub fn is_picture(bytes: &[u8]) -> bool {
    format(bytes).is_some()
}

/// By content.
fn format(picture: &[u8]) -> Option<ImageFormat> {
    image::guess_format(picture)
        .ok()
        .filter(|format| matches!(format, ImageFormat::Jpeg | ImageFormat::Png | ImageFormat::WebP))
}

fn decoded(picture: &[u8], end: Instant) -> Result<(DynamicImage, Orientation), PictureError> {
    let format = format(picture).ok_or(PictureError::WrongType)?;
    match format {
        ImageFormat::Jpeg => headers::jpeg(picture)?,
        ImageFormat::WebP => headers::webp(picture)?,
        // Its decoder holds itself to the allocation.
        _ => {}
    }
    let mut reader = ImageReader::with_format(Until { bytes: Cursor::new(picture), end }, format);
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(ALLOCATION);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(|error| refused(&error, end))?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MOST_PIXELS || decoder.total_bytes() > ALLOCATION {
        return Err(PictureError::TooManyPixels);
    }
    // One that cannot be read says nothing.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let decoded = DynamicImage::from_decoder(decoder).map_err(|error| refused(&error, end))?;
    in_time(end)?;
    Ok((decoded, orientation))
}

fn encoded(picture: DynamicImage, end: Instant) -> Result<Vec<u8>, PictureError> {
    let mut bytes = Vec::new();
    let shows_through = picture.color().has_alpha() && {
        let rgba = picture.to_rgba8();
        rgba.pixels().any(|pixel| pixel.0[3] < u8::MAX)
    };
    let written = if shows_through {
        let picture = DynamicImage::ImageRgba8(picture.into_rgba8());
        picture.write_with_encoder(WebPEncoder::new_lossless(&mut bytes))
    } else {
        let picture = DynamicImage::ImageRgb8(picture.into_rgb8());
        picture.write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, QUALITY))
    };
    written.map_err(|error| refused(&error, end))?;
    // Noise that shows through: nobody would wait for it.
    if bytes.len() > LARGEST_KEPT {
        return Err(PictureError::TooManyPixels);
    }
    Ok(bytes)
}

fn refused(error: &ImageError, end: Instant) -> PictureError {
    match error {
        _ if Instant::now() >= end => PictureError::TooLong,
        ImageError::Limits(_) => PictureError::TooManyPixels,
        _ => PictureError::Broken,
    }
}

fn in_time(end: Instant) -> Result<(), PictureError> {
    if Instant::now() < end { Ok(()) } else { Err(PictureError::TooLong) }
}

/// Bytes that cannot be read any more after `end`.
struct Until<'a> {
    bytes: Cursor<&'a [u8]>,
    end: Instant,
}

impl Until<'_> {
    fn check(&self) -> io::Result<()> {
        in_time(self.end).map_err(|late| io::Error::new(io::ErrorKind::TimedOut, late))
    }
}

impl Read for Until<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.check()?;
        self.bytes.read(into)
    }
}

impl BufRead for Until<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.check()?;
        self.bytes.fill_buf()
    }
    fn consume(&mut self, amount: usize) {
        self.bytes.consume(amount);
    }
}

impl Seek for Until<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.check()?;
        self.bytes.seek(to)
    }
}
