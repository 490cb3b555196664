//! Retrieval: how near each picture's own captions are to it among all captions, and each caption's own picture among
//! all pictures.
//!
//! Metrics and their names are open_clip's: with one caption a picture the numbers are the same. Of several captions the
//! nearest one counts for a picture, as in the literature on COCO and Flickr30k. Scores are made a block of rows at a
//! time, so that memory grows with the number of samples and not with its square.

use candle_core::Tensor;
use rayon::prelude::*;
use serde::Serialize;

use crate::error::{Error, Result};
use crate::metrics::Metrics;

/// Scores held at the same time: 64 MiB.
const BLOCK_SCORES: usize = 16 << 20;

/// How many of the first places R@k looks at.
const DEPTHS: [usize; 3] = [1, 5, 10];

/// How well one side finds the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Ranks {
    /// Mean place of what belongs together, from 1.
    pub mean_rank: f64,
    /// The same of the one in the middle, rounded down.
    pub median_rank: f64,
    /// Shares, 0 to 1, that are among the first 1, 5 and 10.
    pub recall: [f64; 3],
}

/// The outcome of an evaluation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct RetrievalReport {
    /// Of pictures that look for their captions.
    pub image_to_text: Ranks,
    /// Of captions that look for their picture.
    pub text_to_image: Ranks,
    /// Pictures.
    pub images: usize,
    /// Captions.
    pub texts: usize,
}

impl RetrievalReport {
    /// Adds the numbers under open_clip's names.
    pub fn add_to(&self, metrics: &mut Metrics) {
        for (direction, ranks) in [("image_to_text", self.image_to_text), ("text_to_image", self.text_to_image)] {
            metrics.set(&format!("{direction}_mean_rank"), ranks.mean_rank);
            metrics.set(&format!("{direction}_median_rank"), ranks.median_rank);
            for (depth, share) in DEPTHS.iter().zip(ranks.recall) {
                metrics.set(&format!("{direction}_R@{depth}"), share);
            }
        }
    }
}

/// Ranks `image_features [N, D]` against `text_features [M, D]`, both f32 and normalised; `image_of_text [M]` says which
/// picture each caption belongs to. Of equal scores the one with the lower index is the nearer one.
///
/// # Errors
/// When shapes and indices do not fit together, a picture has no caption, there is none at all, or the device fails.
pub fn retrieval(image_features: &Tensor, text_features: &Tensor, image_of_text: &[usize]) -> Result<RetrievalReport> {
    let (images, width) = image_features.dims2()?;
    let texts_of_image = captions_of(images, image_of_text)?;
    if text_features.dims2()? != (image_of_text.len(), width) {
        let reason =
            format!("expected text features [{}, {width}], got {:?}", image_of_text.len(), text_features.dims());
        return Err(Error::Retrieval { reason });
    }
    let own_image: Vec<Vec<usize>> = image_of_text.iter().map(|image| vec![*image]).collect();
    Ok(RetrievalReport {
        image_to_text: Ranks::of(places(image_features, text_features, &texts_of_image)?),
        text_to_image: Ranks::of(places(text_features, image_features, &own_image)?),
        images,
        texts: image_of_text.len(),
    })
}

/// The captions of each picture.
fn captions_of(images: usize, image_of_text: &[usize]) -> Result<Vec<Vec<usize>>> {
    let mut captions = vec![Vec::new(); images];
    for (text, image) in image_of_text.iter().enumerate() {
        let own = captions.get_mut(*image).ok_or_else(|| Error::Retrieval {
            reason: format!("caption {text} belongs to picture {image}, of which there are {images}"),
        })?;
        own.push(text);
    }
    match captions.iter().position(Vec::is_empty) {
        _ if images == 0 => Err(Error::Retrieval { reason: "there are no pictures".to_owned() }),
        Some(image) => Err(Error::Retrieval { reason: format!("picture {image} has no caption") }),
        None => Ok(captions),
    }
}

/// For each of `seekers [S, D]`, the place, from 0, of the first of its `own` among `sought [T, D]`.
fn places(seekers: &Tensor, sought: &Tensor, own: &[Vec<usize>]) -> Result<Vec<usize>> {
    let count = sought.dim(0)?;
    let sought = sought.t()?.contiguous()?;
    let rows = (BLOCK_SCORES / count.max(1)).max(1);
    let mut places = Vec::with_capacity(own.len());
    for (block, own) in (0..).step_by(rows).zip(own.chunks(rows)) {
        let scores = seekers.narrow(0, block, own.len())?.matmul(&sought)?;
        let scores: Vec<f32> = scores.flatten_all()?.to_vec1()?;
        places.par_extend(scores.par_chunks_exact(count).zip(own).map(|(scores, own)| place(scores, own)));
    }
    Ok(places)
}

/// The place of the nearest of `own` in the order of falling scores.
fn place(scores: &[f32], own: &[usize]) -> usize {
    let nearer = |a: usize, b: usize| if scores[a] > scores[b] || (scores[a] == scores[b] && a < b) { a } else { b };
    let nearest = own.iter().copied().reduce(nearer);
    let Some(nearest) = nearest else { return scores.len() };
    let best = scores[nearest];
    let before = scores[..nearest].iter().filter(|score| **score >= best).count();
    before + scores[nearest + 1..].iter().filter(|score| **score > best).count()
}

impl Ranks {
    fn of(mut places: Vec<usize>) -> Self {
        places.sort_unstable();
        let count = places.len().max(1) as f64;
        let within = |depth: &usize| places.partition_point(|place| place < depth) as f64 / count;
        let middle = |at: usize| places.get(at).copied().unwrap_or_default();
        let median = (middle(places.len() / 2) + middle(places.len().saturating_sub(1) / 2)) / 2;
        Self {
            mean_rank: places.iter().sum::<usize>() as f64 / count + 1.0,
            median_rank: (median + 1) as f64,
            recall: [within(&DEPTHS[0]), within(&DEPTHS[1]), within(&DEPTHS[2])],
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use serde_json::Value;

    use super::*;

    fn matrix(rows: &Value) -> Tensor {
        let rows: Vec<Vec<f32>> = serde_json::from_value(rows.clone()).unwrap();
        Tensor::new(rows, &Device::Cpu).unwrap()
    }

    #[test]
    fn ranks_are_those_of_open_clip() {
        for path in support::fixtures::paths("retrieval.json") {
            let cases: Vec<Value> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
            for case in cases {
                let (images, texts) = (matrix(&case["image_features"]), matrix(&case["text_features"]));
                let one_each: Vec<usize> = (0..images.dim(0).unwrap()).collect();
                let mut found = Metrics::of_epoch(0);
                retrieval(&images, &texts, &one_each).unwrap().add_to(&mut found);
                for (name, expected) in case["metrics"].as_object().unwrap() {
                    let (found, expected) = (found.get(name).unwrap(), expected.as_f64().unwrap());
                    assert!((found - expected).abs() < 1e-9, "{name}: {found}, not {expected}");
                }
            }
        }
    }

    #[test]
    fn the_nearest_of_several_captions_counts_and_each_of_them_seeks() {
        let images = Tensor::new(&[[1f32, 0.0], [0.0, 1.0]], &Device::Cpu).unwrap();
        let texts = Tensor::new(&[[0.6f32, 0.8], [1.0, 0.0], [0.0, 1.0], [0.8, 0.6]], &Device::Cpu).unwrap();
        let report = retrieval(&images, &texts, &[0, 0, 1, 1]).unwrap();
        assert_eq!((report.image_to_text.recall[0], report.image_to_text.mean_rank), (1.0, 1.0));
        assert_eq!((report.text_to_image.recall[0], report.text_to_image.mean_rank), (0.5, 1.5));
        assert_eq!((report.images, report.texts), (2, 4));
    }

    #[test]
    fn blocks_change_nothing() {
        let values = |seed: usize, count: usize| -> Vec<f32> {
            (0..count).map(|i| ((i * 7919 + seed * 104_729) % 1009) as f32 / 1009.0 - 0.5).collect()
        };
        let images = Tensor::from_vec(values(1, 90 * 8), (90, 8), &Device::Cpu).unwrap();
        let texts = Tensor::from_vec(values(2, 90 * 8), (90, 8), &Device::Cpu).unwrap();
        let own: Vec<Vec<usize>> = (0..90).map(|at| vec![at]).collect();
        let whole = places(&images, &texts, &own).unwrap();
        let scores: Vec<Vec<f32>> = images.matmul(&texts.t().unwrap()).unwrap().to_vec2().unwrap();
        let one_by_one: Vec<usize> = scores.iter().zip(&own).map(|(scores, own)| place(scores, own)).collect();
        assert_eq!(whole, one_by_one);
    }

    #[test]
    fn of_equal_scores_the_lower_index_is_nearer() {
        assert_eq!(place(&[0.5, 0.5, 0.5], &[1]), 1);
        assert_eq!(place(&[0.5, 0.7, 0.5], &[0]), 1);
        assert_eq!(place(&[0.1, 0.7, 0.7], &[2, 1]), 0);
    }

    #[test]
    fn what_does_not_fit_together_is_named() {
        let features = Tensor::zeros((2, 3), candle_core::DType::F32, &Device::Cpu).unwrap();
        let reason = |image_of_text: &[usize]| retrieval(&features, &features, image_of_text).unwrap_err().to_string();
        assert!(reason(&[0, 2]).contains("caption 1 belongs to picture 2"));
        assert!(reason(&[0, 0]).contains("picture 1 has no caption"));
        assert!(reason(&[0, 1, 1]).contains("expected text features [3, 3]"));
    }
}
