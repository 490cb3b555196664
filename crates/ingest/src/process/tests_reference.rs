//! Pictures of other projects and what is known of them; skipped where `../shared` is not beside the project.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use url::Url;

use super::*;
use crate::blur::RelativeBox;
use crate::encode::EncodeFormat;
use crate::hash::HashKind;
use crate::resize_mode::ResizeMode;

fn beside(path: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(path);
    if !path.exists() {
        println!("skipped: {} is not here", path.display());
        return None;
    }
    Some(path)
}

fn body(path: PathBuf) -> Fetched {
    let body = std::fs::read(path).unwrap().into();
    Fetched { body, final_url: Url::parse("http://a.b/").unwrap(), http_status: 200, content_type: None }
}

/// The pictures whose names are their sizes, in order of name.
fn sized() -> Vec<Fetched> {
    let Some(folder) = beside("img2dataset/resize_test_image") else { return Vec::new() };
    let names = ["123_456", "208_495", "321_421", "389_535", "416_264", "456_123", "524_316"];
    names.iter().map(|name| body(folder.join(format!("{name}.jpg")))).collect()
}

fn run(fetched: &Fetched, boxes: &[RelativeBox], options: &ProcessOptions) -> Result<Processed, SampleFailure> {
    let instructions = RowInstructions { boxes: boxes.to_vec(), expected_hash: None };
    process(fetched, &instructions, options, &DecodeBudget::new(options.decode_budget_bytes), &mut Decoder::default())
}

#[test]
fn sizes_are_those_of_img2dataset() {
    let cases = [
        (ResizeMode::KeepRatio, [(256, 949), (256, 609), (256, 336), (256, 352), (403, 256), (949, 256), (425, 256)]),
        (
            ResizeMode::KeepRatioLargest,
            [(69, 256), (108, 256), (195, 256), (186, 256), (256, 162), (256, 69), (256, 154)],
        ),
    ];
    for (resize_mode, expected) in cases {
        let options = ProcessOptions { resize_mode, ..ProcessOptions::default() };
        for (fetched, (width, height)) in sized().iter().zip(expected) {
            assert_eq!(run(fetched, &[], &options).unwrap().size, Some(Size::new(width, height)), "{resize_mode}");
        }
    }
}

#[test]
fn filters_refuse_what_img2dataset_refuses() {
    let verdicts = |options: &ProcessOptions| {
        let mut counts = BTreeMap::new();
        for fetched in sized() {
            let verdict = run(&fetched, &[], options).map_or_else(|failure| failure.kind.name(), |_| "success".into());
            *counts.entry(verdict).or_insert(0) += 1;
        }
        counts.into_iter().collect::<Vec<_>>()
    };
    let no = ProcessOptions { resize_mode: ResizeMode::No, ..ProcessOptions::default() };
    let sides = ProcessOptions { min_image_size: 200, max_aspect_ratio: 1.5, ..no.clone() };
    let area = ProcessOptions { max_image_pixels: 60_000, ..no };
    let count = |name: &str, count: i32| (name.to_string(), count);
    if sized().is_empty() {
        return;
    }
    assert_eq!(verdicts(&sides), [count("aspect_ratio", 3), count("success", 2), count("too_small", 2)]);
    assert_eq!(verdicts(&area), [count("success", 2), count("too_many_pixels", 5)]);
}

#[test]
fn hashes_are_those_that_img2dataset_computes() {
    let Some(folder) = beside("img2dataset") else { return };
    let text = std::fs::read_to_string(folder.join("test_files/hashes.json")).unwrap();
    let expected: BTreeMap<String, String> = serde_json::from_str(&text).unwrap();
    let original = body(folder.join("blur_test_files/original.png")).body;
    for kind in [HashKind::Md5, HashKind::Sha256, HashKind::Sha512] {
        assert_eq!(kind.hex(&original), expected[kind.as_str()], "{kind}");
    }
}

fn psnr(a: &[u8], b: &[u8]) -> f64 {
    assert_eq!(a.len(), b.len());
    let squares: f64 = a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
    10.0 * (255.0 * 255.0 * a.len() as f64 / squares.max(1e-9)).log10()
}

fn rgb(bytes: &[u8]) -> Vec<u8> {
    shards::image::decode_rgb(bytes, &Limits::default(), JpegScale::Full).unwrap().pixels
}

#[test]
fn blurred_pictures_are_those_of_img2dataset() {
    let Some(folder) = beside("img2dataset/blur_test_files") else { return };
    let original = body(folder.join("original.png"));
    // The last 16 bytes of the array file are its only row.
    let array = std::fs::read(folder.join("bbox.npy")).unwrap();
    let (sides, _) = array[array.len() - 16..].as_chunks::<4>();
    let sides: Vec<f64> = sides.iter().map(|four| f64::from(f32::from_le_bytes(*four))).collect();
    let boxes = [RelativeBox(sides.try_into().unwrap())];
    let plain = ProcessOptions {
        resize_mode: ResizeMode::No,
        encode_format: EncodeFormat::Png,
        image_size: 600,
        ..ProcessOptions::default()
    };
    let mut results = vec![("blurred.png", plain.clone())];
    for (name, resize_mode) in [
        ("resize_no.jpg", ResizeMode::No),
        ("resize_border.jpg", ResizeMode::Border),
        ("resize_center_crop.jpg", ResizeMode::CenterCrop),
        ("resize_keep_ratio.jpg", ResizeMode::KeepRatio),
        ("resize_keep_ratio_largest.jpg", ResizeMode::KeepRatioLargest),
    ] {
        results.push((name, ProcessOptions { resize_mode, encode_format: EncodeFormat::Jpg, ..plain.clone() }));
    }
    for (name, options) in results {
        let made = run(&original, &boxes, &options).unwrap();
        let expected = std::fs::read(folder.join(name)).unwrap();
        let ratio = psnr(&rgb(&made.image), &rgb(&expected));
        println!("{name}: {ratio:.1} dB");
        assert!(ratio >= 35.0, "{name}: {ratio:.1} dB");
    }
}

#[test]
fn odd_broken_and_hostile_pictures_each_end_in_a_verdict() {
    let Some(folder) = beside("robustness") else { return };
    let manifest = std::fs::read_to_string(folder.join("MANIFEST.tsv")).unwrap();
    let mut counts = BTreeMap::new();
    for line in manifest.lines().skip(1) {
        let (name, pillow) = (line.split('\t').next().unwrap(), line.rsplit('\t').next().unwrap());
        let fetched = body(folder.join(name));
        let answer = catch_unwind(AssertUnwindSafe(|| run(&fetched, &[], &ProcessOptions::default())));
        // As the pool of the pipeline has it.
        let verdict = match answer {
            Ok(Ok(_)) => "success".to_string(),
            Ok(Err(failure)) => failure.kind.name(),
            Err(_) => "a decoder panicked".to_string(),
        };
        println!("{verdict}\t{}\t{name}", if pillow == "ok" { "loads" } else { "does not load" });
        *counts.entry(verdict).or_insert(0) += 1;
    }
    println!("{counts:#?}");
    assert_eq!(counts.values().sum::<i32>(), manifest.lines().count() as i32 - 1);
    assert!(!counts.contains_key("a decoder panicked"), "{counts:?}");
    assert!(counts["success"] >= 150, "{counts:?}");
}
