//! A few samples of a batch to look at.

use std::sync::Arc;

use image::{ExtendedColorType, ImageEncoder};
use loader::Batch;

/// The text of a sample's token ids.
pub type Texts = Arc<dyn Fn(&[u32]) -> String>;

/// A picture as the model sees it, with its text as the model knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Which one.
    pub key: String,
    /// Cleaned, cut, words divided by spaces.
    pub text: String,
    /// The picture as PNG.
    pub png: Vec<u8>,
    /// Its height and width.
    pub side: u32,
}

/// The first samples of a batch; pictures that cannot be encoded are left out.
pub fn from_batch(batch: &Batch, texts: &Texts, count: usize) -> Vec<Sample> {
    let each = batch.keys.len().max(1);
    let (bytes, length) = (batch.pixels.len() / each, batch.input_ids.len() / each);
    let side = ((bytes / 3) as f64).sqrt().round() as u32;
    if bytes == 0 || length == 0 {
        return Vec::new();
    }
    let pictures = batch.pixels.chunks_exact(bytes).zip(batch.input_ids.chunks_exact(length));
    let sample = |(key, (pixels, ids)): (&shards::SampleKey, (&[u8], &[u32]))| {
        let png = png(pixels, side)?;
        Some(Sample { key: key.to_string(), text: texts(ids), png, side })
    };
    batch.keys.iter().zip(pictures).take(count).filter_map(sample).collect()
}

/// A square of RGB pixels as PNG.
pub fn png(pixels: &[u8], side: u32) -> Option<Vec<u8>> {
    let mut png = Vec::new();
    let encoder = image::codecs::png::PngEncoder::new(&mut png);
    encoder.write_image(pixels, side, side, ExtendedColorType::Rgb8).ok()?;
    Some(png)
}
