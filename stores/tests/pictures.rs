//! Pictures as they may come from outside.

use std::io::Cursor;
use std::time::{Duration, Instant};

use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, GenericImageView, ImageFormat, Rgb, RgbImage, Rgba, RgbaImage};
use stores::blobs::{PictureError, Pictures, cleaned, media_type, sized};

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

/// How long this thread has been at work: what else a machine does meanwhile is no fault of ours.
fn at_work() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").expect("Linux");
    // Hundredths of a second, after a name that may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(") ").expect("a name").1.split(' ').collect();
    let ticks = |field: usize| fields[field].parse::<u64>().expect("a number");
    Duration::from_millis((ticks(11) + ticks(12)) * 10)
}

fn clean(came: &[u8]) -> Result<Vec<u8>, PictureError> {
    cleaned(came, soon())
}

fn read(picture: &[u8]) -> DynamicImage {
    image::load_from_memory(picture).expect("what was written is read")
}

/// Left half red, right half blue; with a little noise, so that no decoder has it too easy.
fn halves(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let noise = ((x * 7 + y * 13) % 8) as u8;
        if x < width / 2 { Rgb([240 + noise, noise, noise]) } else { Rgb([noise, noise, 240 + noise]) }
    })
}

fn written(picture: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.into().write_to(&mut bytes, format).expect("written");
    bytes.into_inner()
}

fn jpeg(picture: &RgbImage) -> Vec<u8> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, 90).encode_image(picture).expect("written");
    bytes
}

/// A JPEG with EXIF: its orientation, and a text where cameras write theirs.
fn with_exif(jpeg: &[u8], orientation: u8, text: &str) -> Vec<u8> {
    let mut tiff = b"MM\0\x2a\0\0\0\x08\0\x02".to_vec();
    tiff.extend([0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0]);
    tiff.extend([0x01, 0x0e, 0, 2]);
    tiff.extend((text.len() as u32).to_be_bytes());
    tiff.extend(38_u32.to_be_bytes());
    tiff.extend(0_u32.to_be_bytes());
    tiff.extend(text.as_bytes());
    let mut exif = b"Exif\0\0".to_vec();
    exif.extend(tiff);
    let mut segment = vec![0xFF, 0xE1];
    segment.extend((exif.len() as u16 + 2).to_be_bytes());
    segment.extend(exif);
    [&jpeg[..2], &segment, &jpeg[2..]].concat()
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|part| part == text.as_bytes())
}

fn is_red(pixel: Rgba<u8>) -> bool {
    pixel.0[0] > 180 && pixel.0[2] < 80
}

fn is_blue(pixel: Rgba<u8>) -> bool {
    pixel.0[2] > 180 && pixel.0[0] < 80
}

#[test]
fn nothing_but_pixels_is_kept_and_they_stand_upright() {
    // Stored lying: 6 says that the left side belongs on top.
    let came = with_exif(&jpeg(&halves(60, 40)), 6, "GPS canary 55.75, 37.61");
    assert!(contains(&came, "canary"), "the test's own file holds it");
    let kept = clean(&came).expect("taken");
    assert!(!contains(&kept, "canary") && !contains(&kept, "Exif"));
    assert_eq!(media_type(&kept), "image/jpeg");
    let kept = read(&kept);
    assert_eq!(kept.dimensions(), (40, 60));
    assert!(is_red(kept.get_pixel(20, 10)) && is_blue(kept.get_pixel(20, 50)));

    let straight = read(&clean(&with_exif(&jpeg(&halves(60, 40)), 1, "x")).expect("taken"));
    assert_eq!(straight.dimensions(), (60, 40));
    assert!(is_red(straight.get_pixel(10, 20)) && is_blue(straight.get_pixel(50, 20)));
    let mirrored = read(&clean(&with_exif(&jpeg(&halves(60, 40)), 2, "x")).expect("taken"));
    assert!(is_blue(mirrored.get_pixel(10, 20)) && is_red(mirrored.get_pixel(50, 20)));
}

#[test]
fn what_follows_the_picture_or_lies_beside_it_goes() {
    let mut zip = jpeg(&halves(30, 30));
    zip.extend(b"PK\x03\x04 canary <script>alert(1)</script>");
    let kept = clean(&zip).expect("it is a picture, too");
    assert!(!contains(&kept, "canary") && !contains(&kept, "PK\x03\x04"));

    // A text chunk, after the header of 33 bytes.
    let png = written(halves(30, 30), ImageFormat::Png);
    let text = b"Comment\0canary";
    let mut chunk = (text.len() as u32).to_be_bytes().to_vec();
    let typed = [b"tEXt", text.as_slice()].concat();
    chunk.extend(&typed);
    chunk.extend(crc32(&typed).to_be_bytes());
    let came = [&png[..33], &chunk, &png[33..]].concat();
    assert!(!contains(&clean(&came).expect("taken"), "canary"));
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 },
        )
    })
}

#[test]
fn every_format_is_taken_and_what_shows_through_still_does() {
    let clear = RgbaImage::from_fn(40, 40, |x, _| Rgba([200, 0, 0, if x < 20 { 0 } else { 255 }]));
    for format in [ImageFormat::Png, ImageFormat::WebP] {
        let kept = clean(&written(clear.clone(), format)).expect("taken");
        assert_eq!(media_type(&kept), "image/webp", "{format:?}");
        assert_eq!((read(&kept).get_pixel(5, 5).0[3], read(&kept).get_pixel(30, 5).0[3]), (0, 255));
        let opaque = clean(&written(halves(40, 40), format)).expect("taken");
        assert_eq!(media_type(&opaque), "image/jpeg", "{format:?}");
    }
    let deep = DynamicImage::ImageRgb8(halves(40, 40)).into_rgb16();
    let kept = clean(&written(deep, ImageFormat::Png)).expect("16 bits a channel");
    assert!(is_red(read(&kept).get_pixel(5, 20)));
    let grey = DynamicImage::ImageRgb8(halves(40, 40)).into_luma8();
    assert_eq!(read(&clean(&written(grey, ImageFormat::Png)).expect("grey")).dimensions(), (40, 40));
}

#[test]
fn an_original_is_made_smaller_and_never_larger() {
    let kept = read(&clean(&jpeg(&halves(4_096, 1_024))).expect("taken"));
    assert_eq!(kept.dimensions(), (2_048, 512));
    assert!(is_red(kept.get_pixel(100, 100)) && is_blue(kept.get_pixel(2_000, 100)));
    assert_eq!(read(&clean(&jpeg(&halves(3, 2))).expect("taken")).dimensions(), (3, 2));
}

#[test]
fn sizes_are_squares_of_the_middle_and_the_whole_picture() {
    let original = clean(&jpeg(&halves(2_000, 1_000))).expect("taken");
    for (size, expected) in [(64, (64, 64)), (256, (256, 256)), (1_024, (1_024, 512))] {
        let made = read(&sized(&original, size, soon()).expect("made"));
        assert_eq!(made.dimensions(), expected, "{size}");
        let (width, height) = expected;
        assert!(is_red(made.get_pixel(2, height / 2)) && is_blue(made.get_pixel(width - 3, height / 2)));
    }
    let small = clean(&jpeg(&halves(50, 40))).expect("taken");
    for (size, expected) in [(64, (40, 40)), (256, (40, 40)), (1_024, (50, 40))] {
        assert_eq!(read(&sized(&small, size, soon()).expect("made")).dimensions(), expected, "{size}");
    }
}

/// A PNG whose header says so much, and that holds next to nothing.
fn png_of(width: u32, height: u32) -> Vec<u8> {
    let small = written(halves(8, 8), ImageFormat::Png);
    let mut header = b"IHDR".to_vec();
    header.extend(width.to_be_bytes());
    header.extend(height.to_be_bytes());
    header.extend(&small[24..29]);
    let crc = crc32(&header).to_be_bytes();
    [&small[..12], &header, &crc, &small[33..]].concat()
}

#[test]
fn too_many_pixels_are_refused_by_the_header_alone() {
    let began = at_work();
    for (width, height) in [(10_000, 10_000), (60_000, 60_000), (24_000_001, 1), (u32::MAX >> 1, 2)] {
        assert_eq!(clean(&png_of(width, height)), Err(PictureError::TooManyPixels), "{width}x{height}");
    }
    // Of a JPEG: height and width stand after FF C0, its length and a byte.
    let mut large = jpeg(&halves(16, 16));
    let frame = large.windows(2).position(|pair| pair == [0xFF, 0xC0]).expect("a frame");
    large[frame + 5..frame + 9].copy_from_slice(&[0xFF, 0xFF, 0xFF, 0xFF]);
    assert_eq!(clean(&large), Err(PictureError::TooManyPixels));
    assert!(at_work() - began < Duration::from_secs(2), "nothing was decoded");
}

/// A WebP of these chunks.
fn webp_of(chunks: &[(&[u8; 4], Vec<u8>)]) -> Vec<u8> {
    let mut body = b"WEBP".to_vec();
    for (id, chunk) in chunks {
        body.extend(*id);
        body.extend((chunk.len() as u32).to_le_bytes());
        body.extend(chunk);
        body.extend(vec![0; chunk.len() % 2]);
    }
    [b"RIFF".as_slice(), &(body.len() as u32).to_le_bytes(), &body].concat()
}

fn less_one(width: u32, height: u32) -> Vec<u8> {
    [&(width - 1).to_le_bytes()[..3], &(height - 1).to_le_bytes()[..3]].concat()
}

/// A chunk that says how large the whole picture is, with `flags`.
fn vp8x(flags: u8, width: u32, height: u32) -> Vec<u8> {
    [vec![flags, 0, 0, 0], less_one(width, height)].concat()
}

/// The head of a lossy frame, and nothing of its inside.
fn vp8(width: u16, height: u16) -> Vec<u8> {
    [&[0x50, 0, 0, 0x9d, 0x01, 0x2a], &width.to_le_bytes()[..], &height.to_le_bytes(), &[0; 60]].concat()
}

/// A frame of an animation with `inner` in it.
fn anmf(width: u32, height: u32, inner: &[u8]) -> Vec<u8> {
    [&[0; 6], &less_one(width, height)[..], &[100, 0, 0, 0], inner].concat()
}

#[test]
fn a_webp_is_held_to_what_it_says_of_itself() {
    // Frames in frames in frames, which take longer to make than to refuse.
    let small = webp_of(&[(b"VP8 ", vp8(8, 8))]).split_off(12);
    let mut nested = anmf(8, 8, &small);
    for _ in 0..20_000 {
        nested = anmf(8, 8, &webp_of(&[(b"ANMF", nested)]).split_off(12));
    }
    let nested = webp_of(&[(b"VP8X", vp8x(2, 8, 8)), (b"ANIM", vec![0; 6]), (b"ANMF", nested)]);
    let began = at_work();
    assert_eq!(clean(&nested), Err(PictureError::Broken));
    // A small picture with a frame of 268 megapixels in it, in either place.
    let large = webp_of(&[(b"VP8X", vp8x(0, 1, 1)), (b"VP8 ", vp8(16_383, 16_383))]);
    assert_eq!(clean(&large), Err(PictureError::TooManyPixels));
    let frame = webp_of(&[(b"VP8 ", vp8(16_383, 16_383))]).split_off(12);
    let animated = webp_of(&[(b"VP8X", vp8x(2, 8, 8)), (b"ANIM", vec![0; 6]), (b"ANMF", anmf(8, 8, &frame))]);
    assert_eq!(clean(&animated), Err(PictureError::TooManyPixels));
    let wider = webp_of(&[(b"VP8X", vp8x(0, 8, 8)), (b"VP8 ", vp8(9, 8))]);
    assert_eq!(clean(&wider), Err(PictureError::Broken));
    // An animation is held twice.
    let twice =
        webp_of(&[(b"VP8X", vp8x(2, 6_000, 4_000)), (b"ANIM", vec![0; 6]), (b"ANMF", anmf(8, 8, &small))]);
    assert_eq!(clean(&twice), Err(PictureError::TooManyPixels));
    // Four gigabytes of metadata in a few bytes, before the picture and after it.
    let whole = written(halves(8, 8), ImageFormat::WebP).split_off(12);
    let exif = [b"EXIF".as_slice(), &u32::MAX.to_le_bytes()].concat();
    for chunks in [[&exif[..], &whole], [&whole, &exif]] {
        let file = [&webp_of(&[(b"VP8X", vp8x(8, 8, 8))])[..], &chunks.concat()].concat();
        assert_eq!(clean(&file), Err(PictureError::Broken));
    }
    assert!(at_work() - began < Duration::from_secs(5), "nothing was decoded");
}

#[test]
fn what_a_progressive_jpeg_holds_at_once_counts() {
    let frame = |marker: u8, width: u16, height: u16, components: &[u8]| {
        let mut file = vec![0xFF, 0xD8, 0xFF, marker, 0, 8 + 3 * components.len() as u8, 8];
        file.extend(height.to_be_bytes());
        file.extend(width.to_be_bytes());
        file.push(components.len() as u8);
        for (id, sampling) in components.iter().enumerate() {
            file.extend([id as u8 + 1, *sampling, 0]);
        }
        // A scan of one component.
        file.extend([0xFF, 0xDA, 0, 8, 1, 1, 0, 0, 63, 0, 0xFF, 0xD9]);
        file
    };
    let fine = [0x11, 0x11, 0x11];
    for (marker, name) in [(0xC2, "progressive"), (0xC0, "a component at a time")] {
        assert_eq!(clean(&frame(marker, 6_000, 4_000, &fine)), Err(PictureError::TooManyPixels), "{name}");
        assert_eq!(
            clean(&frame(marker, 5_000, 4_000, &[0x11; 4])),
            Err(PictureError::TooManyPixels),
            "{name}"
        );
        let usual = clean(&frame(marker, 6_000, 4_000, &[0x22, 0x11, 0x11]));
        assert_ne!(usual, Err(PictureError::TooManyPixels), "{name}, as cameras write it");
    }
}

#[test]
fn a_film_behind_a_picture_does_not_count_as_scans() {
    let mut both = jpeg(&halves(30, 30));
    for _ in 0..200 {
        both.extend([0xFF, 0xDA, 0, 8, 1, 1, 0, 0, 63, 0]);
    }
    assert!(clean(&both).is_ok(), "a camera makes both");
}

#[test]
fn what_is_broken_or_something_else_is_refused_by_its_content() {
    for other in [
        b"".as_slice(),
        b"GIF89a\x01\0\x01\0\0\0\0;",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"BM........",
        b"<!doctype html>",
    ] {
        assert_eq!(clean(other), Err(PictureError::WrongType));
    }
    for (name, whole) in [
        ("png", written(halves(80, 80), ImageFormat::Png)),
        ("webp", written(halves(80, 80), ImageFormat::WebP)),
    ] {
        assert_eq!(clean(&whole[..whole.len() / 2]), Err(PictureError::Broken), "{name}");
        assert!(clean(&whole).is_ok(), "{name}");
    }
    let whole = jpeg(&halves(80, 80));
    assert_eq!(clean(&whole[..200]), Err(PictureError::Broken));
    // Every cut of the head, and some bytes turned round: refused or taken, never worse.
    for cut in 0..whole.len().min(700) {
        let _ = clean(&whole[..cut]);
        let mut turned = whole.clone();
        turned[cut] ^= 0x55;
        let _ = clean(&turned);
    }
}

#[test]
fn many_scans_are_refused_before_they_are_decoded() {
    let mut busy = jpeg(&halves(16, 16));
    busy.truncate(busy.len() - 2);
    for _ in 0..100 {
        busy.extend([0xFF, 0xDA, 0, 8, 1, 1, 0, 0, 63, 0]);
    }
    assert_eq!(clean(&busy), Err(PictureError::TooLong));
}

#[test]
fn nothing_is_decoded_after_its_time() {
    let late = Instant::now();
    for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP] {
        assert_eq!(
            cleaned(&written(halves(400, 400), format), late),
            Err(PictureError::TooLong),
            "{format:?}"
        );
    }
}

/// The largest that may come takes no longer than it is given, in a debug build, too.
#[test]
fn the_largest_picture_is_done_in_time() {
    let largest = jpeg(&halves(6_000, 4_000));
    let began = at_work();
    let kept = clean(&largest).expect("taken");
    let took = at_work() - began;
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(read(&kept).dimensions(), (2_048, 1_365));
}

/// Small ones: no machine is so slow that they would wait in vain.
#[tokio::test]
async fn pictures_that_come_at_once_are_all_done() {
    let pictures = Pictures::default();
    let came = jpeg(&halves(60, 40));
    let (one, two) = tokio::join!(pictures.clean(came.clone()), pictures.clean(came));
    for kept in [one, two] {
        assert_eq!(read(&kept.expect("in its turn")).dimensions(), (60, 40));
    }
}
