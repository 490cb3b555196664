//! Pictures against Pillow's bytes: the evaluation transform, and crops brought to 224 pixels.

use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use serde::Deserialize;
use shards::image::{Format, JpegScale, Limits, RgbImage, decode_rgb, sniff};

use crate::crop::{CropBox, centre_crop, shorter_side_to};
use crate::resample::Resampler;

#[derive(Deserialize)]
struct Index {
    images: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    file: String,
    width: u32,
    height: u32,
    crops_top_left_height_width: [[u32; 4]; 3],
}

/// Folders of recorded pictures; they are too large to stand among the project's own recorded answers.
fn folders() -> Vec<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures");
    let roots = std::iter::once(beside).chain(std::env::var_os("CLIP_FIXTURES").map(PathBuf::from));
    let folders = roots.flat_map(|root| ["preprocess", "preprocess_drawn"].map(|name| root.join(name)));
    folders.filter(|folder| folder.is_dir()).collect()
}

#[test]
fn parity_preprocess() {
    let mut read = 0;
    for folder in folders() {
        let index: Index = serde_json::from_slice(&std::fs::read(folder.join("index.json")).unwrap()).unwrap();
        for case in &index.images {
            check(&folder, case);
            println!("{}", folder.join(&case.file).display());
            read += 1;
        }
    }
    if read == 0 {
        println!("skipped: neither ../shared/fixtures nor $CLIP_FIXTURES is here");
    }
}

fn check(folder: &Path, case: &Case) {
    let bytes = std::fs::read(folder.join(&case.file)).unwrap();
    let picture = decode_rgb(&bytes, &Limits::default(), JpegScale::Full).unwrap();
    assert_eq!((picture.width, picture.height), (case.width, case.height), "{}", case.file);
    let recorded = std::fs::read(folder.join(format!("{}.safetensors", case.file))).unwrap();
    let recorded = SafeTensors::deserialize(&recorded).unwrap();
    // Only WebP's decoders differ among themselves.
    let tolerance = if sniff(&bytes) == Some(Format::WebP) { 1.0 } else { 0.0 };
    let compare = |name: &str, got: Vec<u8>| {
        let expected = recorded.tensor(name).unwrap().data().to_vec();
        let distance: u64 = got.iter().zip(&expected).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
        let mean = distance as f64 / expected.len() as f64;
        assert!(got.len() == expected.len() && mean <= tolerance, "{} {name}: off by {mean} in the mean", case.file);
    };
    for side in [224, 336] {
        let name = format!("val_{side}.u8");
        if recorded.names().iter().any(|known| **known == *name) {
            compare(&name, evaluation(&picture, side));
        }
    }
    for (k, [top, left, height, width]) in case.crops_top_left_height_width.into_iter().enumerate() {
        let window = CropBox { left: 0, top: 0, width: 224, height: 224 };
        compare(&format!("crop_{k}.u8"), exact(&picture, CropBox { left, top, width, height }, (224, 224), window));
    }
}

fn evaluation(picture: &RgbImage, side: u32) -> Vec<u8> {
    let whole = CropBox { left: 0, top: 0, width: picture.width, height: picture.height };
    let resized = shorter_side_to(side, (picture.width, picture.height));
    exact(picture, whole, resized, centre_crop(side, resized))
}

fn exact(picture: &RgbImage, part: CropBox, size: (u32, u32), window: CropBox) -> Vec<u8> {
    let mut out = vec![0; (window.width * window.height * 3) as usize];
    Resampler::default().exact(picture.view(), part, size, window, &mut out);
    out
}
