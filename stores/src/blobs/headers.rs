//! What a picture's headers say of the work that it asks for, read before a decoder is. A decoder
//! believes what it reads: a length beyond the end of the file, a frame larger than the picture, a JPEG
//! whose coefficients all have to be held at once.
//!
//! Sources: WebP, RFC 9649; JPEG, ITU-T T.81.

use super::picture::{ALLOCATION, MOST_PIXELS, MOST_SCANS, PictureError};

/// Whether a WebP stays within bounds: all of its frames, wherever they stand, and all lengths.
///
/// # Errors
/// `Broken`, `TooManyPixels`.
pub(super) fn webp(file: &[u8]) -> Result<(), PictureError> {
    let canvas = riff(file.get(12..).ok_or(PictureError::Broken)?, None, false)?;
    canvas.map(drop).ok_or(PictureError::Broken)
}

/// Walks over chunks, each an id, a length and a body of it. No frame is larger than `canvas`, or than
/// the first that says how large the picture is. Answers that.
fn riff(
    mut rest: &[u8],
    mut canvas: Option<Size>,
    within_a_frame: bool,
) -> Result<Option<Size>, PictureError> {
    while rest.len() >= 8 {
        let (id, length) = (&rest[..4], u32::from_le_bytes([rest[4], rest[5], rest[6], rest[7]]) as usize);
        let body = rest[8..].get(..length).ok_or(PictureError::Broken)?;
        let part = |from, to| body.get(from..to).ok_or(PictureError::Broken);
        let frame = match id {
            b"VP8X" => Some(Size::of_24_bits(part(4, 10)?)),
            b"VP8 " => {
                let at = |byte: usize| {
                    Ok(u32::from(u16::from_le_bytes([
                        part(byte, byte + 1)?[0],
                        part(byte + 1, byte + 2)?[0],
                    ])))
                };
                Some(Size { width: at(6)? & 0x3fff, height: at(8)? & 0x3fff })
            }
            b"VP8L" => {
                let bits = part(1, 5)?;
                let bits = u32::from_le_bytes([bits[0], bits[1], bits[2], bits[3]]);
                Some(Size { width: (bits & 0x3fff) + 1, height: (bits >> 14 & 0x3fff) + 1 })
            }
            b"ANMF" => Some(Size::of_24_bits(part(6, 12)?)),
            _ => None,
        };
        if let Some(frame) = frame {
            if frame.pixels() > MOST_PIXELS {
                return Err(PictureError::TooManyPixels);
            }
            if !frame.fits(*canvas.get_or_insert(frame)) {
                return Err(PictureError::Broken);
            }
        }
        if id == b"ANMF" {
            if within_a_frame {
                return Err(PictureError::Broken);
            }
            // It is put together on a canvas beside its frame, four bytes a pixel each.
            if canvas.is_some_and(|canvas| canvas.pixels() * 8 > ALLOCATION) {
                return Err(PictureError::TooManyPixels);
            }
            riff(part(16, length)?, canvas, true)?;
        }
        // Chunks begin at even places.
        rest = rest.get(8 + length + length % 2..).unwrap_or_default();
    }
    Ok(canvas)
}

#[derive(Clone, Copy)]
struct Size {
    width: u32,
    height: u32,
}

impl Size {
    /// Width and height, less one each.
    fn of_24_bits(bytes: &[u8]) -> Self {
        let number = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], 0]) + 1;
        Self { width: number(0), height: number(3) }
    }

    fn pixels(self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    fn fits(self, canvas: Self) -> bool {
        self.width <= canvas.width && self.height <= canvas.height
    }
}

/// Whether a JPEG stays within bounds: its scans, each of which costs as much as the whole picture, and
/// its coefficients, which all lie in memory where a scan does not hold all of a pixel. What follows its
/// end (a film, where a camera makes both) is none of it.
///
/// # Errors
/// `Broken`, `TooManyPixels`, `TooLong`.
pub(super) fn jpeg(file: &[u8]) -> Result<(), PictureError> {
    let mut rest = file.get(2..).ok_or(PictureError::Broken)?;
    let (mut frame, mut scans) = (None, 0);
    loop {
        // Bytes between segments are passed over, as decoders do.
        let Some(start) = rest.windows(2).position(|pair| pair[0] == 0xFF && !matches!(pair[1], 0x00 | 0xFF))
        else {
            // A file that was cut short is its decoder's to refuse.
            return Ok(());
        };
        let marker = rest[start + 1];
        rest = &rest[start + 2..];
        if marker == 0xD9 {
            return Ok(());
        }
        if matches!(marker, 0x01 | 0xD0..=0xD8) {
            continue;
        }
        let Some(length) = rest.first_chunk().map(|bytes| usize::from(u16::from_be_bytes(*bytes))) else {
            return Ok(());
        };
        let Some(body) = rest.get(2..length.max(2)) else { return Ok(()) };
        rest = &rest[length.max(2)..];
        match marker {
            0xC0..=0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF => {
                frame = Some(Frame::read(marker, body).ok_or(PictureError::Broken)?);
            }
            0xDA => {
                scans += 1;
                if scans > MOST_SCANS {
                    return Err(PictureError::TooLong);
                }
                let frame: &Frame = frame.as_ref().ok_or(PictureError::Broken)?;
                let whole = body.first() == Some(&frame.components);
                if (frame.progressive || !whole) && frame.coefficients > ALLOCATION {
                    return Err(PictureError::TooManyPixels);
                }
            }
            _ => {}
        }
    }
}

struct Frame {
    progressive: bool,
    components: u8,
    /// Bytes of all coefficients, two each.
    coefficients: u64,
}

impl Frame {
    /// Precision, height, width, and of each component an id, its sampling, a table.
    fn read(marker: u8, body: &[u8]) -> Option<Self> {
        let [_, height_high, height_low, width_high, width_low, components] = *body.first_chunk()?;
        let height = u64::from(u16::from_be_bytes([height_high, height_low]));
        let width = u64::from(u16::from_be_bytes([width_high, width_low]));
        let samplings = body.get(6..)?.chunks_exact(3).take(usize::from(components));
        let samplings: Vec<(u64, u64)> =
            samplings.map(|one| (u64::from(one[1] >> 4), u64::from(one[1] & 15))).collect();
        let most = |of: fn(&(u64, u64)) -> u64| samplings.iter().map(of).max().filter(|most| *most > 0);
        let (horizontal, vertical) = (most(|it| it.0)?, most(|it| it.1)?);
        let units = width.div_ceil(8 * horizontal) * height.div_ceil(8 * vertical);
        let blocks: u64 = samplings.iter().map(|(horizontal, vertical)| horizontal * vertical * units).sum();
        let progressive = matches!(marker, 0xC2 | 0xC6 | 0xCA | 0xCE);
        Some(Self { progressive, components, coefficients: blocks * 64 * 2 })
    }
}
