//! Bodies to stored pictures, one rule at a time.

use shards::image::decode;
use url::Url;

use super::*;
use crate::encode::EncodeFormat;
use crate::hash::HashKind;
use crate::resize_mode::ResizeMode;

fn options() -> ProcessOptions {
    ProcessOptions { image_size: 32, ..ProcessOptions::default() }
}

fn picture(width: u32, height: u32, channels: Channels, pixel: impl Fn(u32, u32) -> Vec<u8>) -> Picture {
    let places = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
    Picture { width, height, channels, pixels: places.flat_map(|(x, y)| pixel(x, y)).collect() }
}

/// Red on the left, blue on the right.
fn two_colors(width: u32, height: u32) -> Picture {
    picture(width, height, Channels::Rgb, |x, _| if x < width / 2 { vec![255, 0, 0] } else { vec![0, 0, 255] })
}

fn body(bytes: Vec<u8>) -> Fetched {
    let final_url = Url::parse("http://a.b/").unwrap();
    Fetched { body: bytes.into(), final_url, http_status: 200, content_type: Some("image/jpeg".into()) }
}

fn jpeg(width: u32, height: u32) -> Fetched {
    body(encode(two_colors(width, height), EncodeFormat::Jpg, 95).unwrap())
}

fn png(picture: Picture) -> Fetched {
    body(encode(picture, EncodeFormat::Png, 6).unwrap())
}

fn decoded(processed: &Processed) -> Picture {
    decode(&processed.image, &Limits::default(), JpegScale::Full).unwrap()
}

fn with(change: impl Fn(&mut ProcessOptions), fetched: &Fetched) -> Result<Processed, SampleFailure> {
    let mut options = options();
    change(&mut options);
    run(fetched, &options)
}

fn run(fetched: &Fetched, options: &ProcessOptions) -> Result<Processed, SampleFailure> {
    process(
        fetched,
        &RowInstructions::default(),
        options,
        &DecodeBudget::new(options.decode_budget_bytes),
        &mut Decoder::default(),
    )
}

#[test]
fn each_mode_gives_its_size() {
    let cases = [
        (ResizeMode::No, (600, 450)),
        (ResizeMode::Border, (32, 32)),
        (ResizeMode::KeepRatio, (43, 32)),
        (ResizeMode::KeepRatioLargest, (32, 24)),
        (ResizeMode::CenterCrop, (32, 32)),
    ];
    for (mode, expected) in cases {
        let processed = with(|options| options.resize_mode = mode, &jpeg(600, 450)).unwrap();
        let picture = decoded(&processed);
        assert_eq!((picture.width, picture.height), expected, "{mode}");
        assert_eq!(processed.size, Some(Size::new(expected.0, expected.1)), "{mode}");
        assert_eq!(processed.original_size, Some(Size::new(600, 450)), "{mode}");
    }
}

#[test]
fn a_reduced_decode_is_never_smaller_than_the_target() {
    let header = read_header(&jpeg(600, 450).body, &Limits::default()).unwrap();
    let original = Size::new(600, 450);
    let at = |size| decode_scale(&header, Geometry::Resize(size), original, &options());
    assert_eq!(at(Size::new(75, 56)), JpegScale::Eighth);
    assert_eq!(at(Size::new(76, 57)), JpegScale::Quarter);
    assert_eq!(at(Size::new(300, 225)), JpegScale::Half);
    assert_eq!(at(Size::new(301, 226)), JpegScale::Full);
    let in_full = ProcessOptions { scaled_decode: false, ..options() };
    assert_eq!(decode_scale(&header, Geometry::Resize(Size::new(75, 56)), original, &in_full), JpegScale::Full);
}

#[test]
fn a_border_is_white() {
    let processed = run(&jpeg(64, 32), &options()).unwrap();
    let picture = decoded(&processed);
    assert!(picture.pixels[..3].iter().all(|value| *value > 250));
    let middle = (16 * 32 + 4) * 3;
    assert!(picture.pixels[middle] > 200 && picture.pixels[middle + 1] < 60);
}

#[test]
fn what_shines_through_is_white() {
    let clear =
        picture(40, 40, Channels::Rgba, |x, _| if x < 20 { vec![10, 20, 30, 0] } else { vec![10, 20, 30, 255] });
    let processed = with(|options| options.encode_format = EncodeFormat::Png, &png(clear));
    let picture = decoded(&processed.unwrap());
    assert_eq!(&picture.pixels[..3], [255, 255, 255]);
    assert_eq!(&picture.pixels[31 * 3..32 * 3], [10, 20, 30]);
}

#[test]
fn the_orientation_of_a_photo_is_applied() {
    let mut bytes = jpeg(64, 32).body.to_vec();
    // Orientation 6: the stored left is shown at the top.
    let mut segment = vec![0xff, 0xe1, 0, 34];
    segment.extend_from_slice(b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0");
    bytes.splice(2..2, segment);
    let processed = with(|options| options.resize_mode = ResizeMode::KeepRatioLargest, &body(bytes)).unwrap();
    assert_eq!(processed.original_size, Some(Size::new(32, 64)));
    assert_eq!(processed.size, Some(Size::new(16, 32)));
    let picture = decoded(&processed);
    assert!(picture.pixels[0] > 200, "the top is red");
    assert!(picture.pixels[picture.pixels.len() - 1] > 200, "the bottom is blue");
}

#[test]
fn an_unchanged_body_can_be_kept() {
    let fetched = jpeg(64, 32);
    let keep = |options: &mut ProcessOptions| {
        options.reencode = Reencode::WhenChanged;
        options.resize_mode = ResizeMode::No;
    };
    assert_eq!(with(keep, &fetched).unwrap().image, fetched.body);
    let other = png(two_colors(64, 32));
    assert_ne!(with(keep, &other).unwrap().image, other.body);
    let unseen = with(|options| options.reencode = Reencode::Never, &body(b"anything".to_vec())).unwrap();
    assert_eq!((unseen.image.as_ref(), unseen.size), (b"anything".as_ref(), None));
}

#[test]
fn the_hash_is_that_of_the_body() {
    let fetched = jpeg(64, 32);
    let processed = run(&fetched, &options()).unwrap();
    assert_eq!(processed.hash, Some(HashKind::Sha256.hex(&fetched.body)));
    assert_eq!(processed.exif.as_deref(), Some("{}"));
    assert_eq!(with(|options| options.compute_hash = None, &fetched).unwrap().hash, None);
}

#[test]
fn a_body_with_another_hash_is_refused() {
    let fetched = jpeg(64, 32);
    let expecting = |hash: &str| RowInstructions { expected_hash: Some(hash.into()), ..RowInstructions::default() };
    let budget = DecodeBudget::new(1 << 30);
    let kept = process(
        &fetched,
        &expecting(&HashKind::Sha256.hex(&fetched.body)),
        &options(),
        &budget,
        &mut Decoder::default(),
    );
    assert!(kept.is_ok());
    for wrong in ["", "abc"] {
        let failure = process(&fetched, &expecting(wrong), &options(), &budget, &mut Decoder::default()).unwrap_err();
        assert_eq!(failure.kind, FailureKind::HashMismatch);
    }
}

#[test]
fn boxes_are_blurred_even_where_bodies_could_be_kept() {
    let fetched = jpeg(64, 32);
    let boxes = vec![crate::blur::RelativeBox([0.25, 0.0, 0.75, 1.0])];
    let instructions = RowInstructions { boxes, ..RowInstructions::default() };
    let options = ProcessOptions {
        reencode: Reencode::WhenChanged,
        resize_mode: ResizeMode::No,
        encode_format: EncodeFormat::Jpg,
        ..options()
    };
    let blurred =
        process(&fetched, &instructions, &options, &DecodeBudget::new(1 << 30), &mut Decoder::default()).unwrap();
    assert_ne!(blurred.image, fetched.body);
}

#[test]
fn a_picture_beyond_the_memory_is_refused_with_both_numbers() {
    let failure = with(|options| options.decode_budget_bytes = 1 << 20, &png(two_colors(600, 600))).unwrap_err();
    assert_eq!(failure.kind, FailureKind::TooManyPixels);
    assert!(failure.message.starts_with("decoding 600x600 pixels takes up to "), "{failure}");
    assert!(failure.message.ends_with("(at most 1048576)"), "{failure}");
    // A JPEG of that size is read at a fraction of it.
    assert!(with(|options| options.decode_budget_bytes = 1 << 20, &jpeg(600, 600)).is_ok());
}

#[test]
fn limits_are_told_by_kind() {
    let kind = |change: fn(&mut ProcessOptions)| with(change, &jpeg(64, 16)).unwrap_err().kind;
    assert_eq!(kind(|options| options.min_image_size = 17), FailureKind::TooSmall);
    assert_eq!(kind(|options| options.max_aspect_ratio = 3.9), FailureKind::AspectRatio);
    assert_eq!(kind(|options| options.max_image_pixels = 1023), FailureKind::TooManyPixels);
}

#[test]
fn what_is_no_picture_is_told_with_its_type_and_start() {
    let mut fetched = body(b"<!DOCTYPE html><html>".to_vec());
    fetched.content_type = Some("text/html".into());
    let failure = run(&fetched, &options()).unwrap_err();
    assert_eq!(failure.kind, FailureKind::NotAnImage);
    assert_eq!(failure.message, "expected a picture, got text/html starting with `<!DOCTYPE html><`");
}

#[test]
fn damaged_pictures_are_failures() {
    let whole = jpeg(64, 48).body;
    let half = body(whole[..whole.len() / 2].to_vec());
    let kind = run(&half, &options()).unwrap_err().kind;
    assert!(matches!(kind, FailureKind::TruncatedImage | FailureKind::Decode), "{kind}");
    for cut in 0..whole.len().min(700) {
        // Whatever is cut off, there is an answer.
        let _ = run(&body(whole[..cut].to_vec()), &options());
    }
}
