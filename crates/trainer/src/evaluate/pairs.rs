//! Pictures and captions that were kept back: the contrastive loss within batches, and how well each finds the other.
//!
//! Numbers and their names are open_clip's. The loss is over the pictures of a batch and the first caption of each, so it
//! depends on the size of batches.

use candle_core::Tensor;
use loader::{CaptionsOf, EvalBatch, EvalPairs, Stop};
use model::clip::Clip;
use model::loss::contrastive_loss;
use model::tokenizer::Tokenizer;
use model::zero_shot::top_k;
use serde::Serialize;

use crate::error::{Error, Result};
use crate::evaluate::eval_config;
use crate::evaluate::retrieval::{RetrievalReport, retrieval};
use crate::input;
use crate::metrics::Metrics;

/// Pictures whose nearest captions are kept to be looked at.
const EXAMPLES: usize = 8;

/// Different captions kept of each, and how many of the nearest are looked through for them.
const NEAREST: usize = 5;
const LOOKED_AT: usize = 500;

/// An evaluation on pairs.
#[derive(Clone, Debug)]
pub struct PairsTask {
    /// The data.
    pub data: EvalPairs,
    /// How many captions a picture has.
    pub captions_of: CaptionsOf,
    /// Pictures, and captions, encoded at once.
    pub batch_size: usize,
    /// Threads that decode.
    pub workers: usize,
}

/// A picture and the captions that are nearest to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// Path or key of the picture.
    pub key: String,
    /// As the model saw it: `[side, side, 3]`, 0 to 255.
    pub pixels: Vec<u8>,
    /// Height and width.
    pub side: usize,
    /// Its own captions.
    pub captions: Vec<String>,
    /// The nearest of all captions, with their cosines, nearest first.
    pub nearest: Vec<(String, f32)>,
}

/// The outcome.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PairsReport {
    /// Mean contrastive loss within batches.
    pub loss: f64,
    /// Ranks both ways.
    pub retrieval: RetrievalReport,
    /// Pictures and shards that could not be read; they count in nothing.
    pub unreadable: u64,
    /// The first pictures with what is nearest to them.
    #[serde(skip)]
    pub examples: Vec<Example>,
}

impl PairsReport {
    /// Adds the numbers under open_clip's names.
    pub fn add_to(&self, metrics: &mut Metrics) {
        self.retrieval.add_to(metrics);
        metrics.set("clip_val_loss", self.loss);
        metrics.set("num_samples", self.retrieval.images);
        if self.retrieval.texts != self.retrieval.images {
            metrics.set("num_captions", self.retrieval.texts);
        }
        if self.unreadable > 0 {
            metrics.set("val-unreadable", self.unreadable);
        }
    }
}

/// What was encoded so far.
#[derive(Default)]
struct Encoded {
    images: Vec<Tensor>,
    texts: Vec<Tensor>,
    image_of_text: Vec<usize>,
    captions: Vec<String>,
    pictures: usize,
    summed_loss: f64,
    examples: Vec<Example>,
}

impl PairsTask {
    /// Reads, encodes and compares everything.
    ///
    /// # Errors
    /// When no pair can be read, features are not numbers, the device fails, or `stop` is set.
    pub fn run(&self, clip: &Clip, tokenizer: &Tokenizer, stop: &Stop) -> Result<PairsReport> {
        let config = eval_config(clip, self.batch_size, self.workers, stop);
        let mut batches = self.data.batches(self.captions_of, &config);
        let mut encoded = Encoded::default();
        for batch in &mut batches {
            encoded.take(clip, tokenizer, batch?, self.batch_size)?;
        }
        if stop.is_set() {
            return Err(Error::Interrupted);
        }
        let unreadable = batches.unreadable();
        for pair in unreadable {
            tracing::warn!("`{}`: {}; what cannot be read of it is left out", pair.key, pair.reason);
        }
        if encoded.pictures == 0 {
            let first = unreadable.first().map(|pair| format!("; the first: {}", pair.reason)).unwrap_or_default();
            let reason = format!("no pair could be read ({} tried{first})", unreadable.len());
            return Err(Error::Config { option: "--val-data", reason });
        }
        encoded.report(unreadable.len() as u64)
    }
}

impl Encoded {
    fn take(
        &mut self,
        clip: &Clip,
        tokenizer: &Tokenizer,
        batch: EvalBatch<Vec<String>>,
        texts_at_once: usize,
    ) -> Result<()> {
        let (count, side) = (batch.labels.len(), clip.config().vision_cfg.image_size);
        let pixels = input::pixel_values(&batch.pixels, count, side, clip.preprocess(), clip.device())?;
        let image = clip.encode_image(&pixels)?;
        let firsts: Vec<u32> = batch
            .labels
            .iter()
            .scan(0, |next, captions| {
                let first = *next;
                *next += captions.len() as u32;
                Some(first)
            })
            .collect();
        for (index, captions) in batch.labels.iter().enumerate() {
            self.image_of_text.extend(std::iter::repeat_n(self.pictures + index, captions.len()));
        }
        self.keep_examples(&batch, side);
        let captions: Vec<String> = batch.labels.into_iter().flatten().collect();
        let text = texts(clip, tokenizer, &captions, texts_at_once)?;
        let own = text.index_select(&Tensor::new(firsts, clip.device())?, 0)?;
        let scale = clip.parameters().value(clip.logit_scale_id());
        let loss = contrastive_loss(&image, &own, scale)?.value()?;
        if !loss.is_finite() {
            return Err(Error::NonFiniteFeatures { key: batch.keys.into_iter().next().unwrap_or_default() });
        }
        self.summed_loss += loss * count as f64;
        self.pictures += count;
        self.captions.extend(captions);
        self.images.push(image);
        self.texts.push(text);
        Ok(())
    }

    fn keep_examples(&mut self, batch: &EvalBatch<Vec<String>>, side: usize) {
        let wanted = EXAMPLES.saturating_sub(self.examples.len());
        let pictures = batch.pixels.chunks_exact(side * side * 3);
        for ((key, captions), pixels) in batch.keys.iter().zip(&batch.labels).zip(pictures).take(wanted) {
            let (key, captions, pixels) = (key.clone(), captions.clone(), pixels.to_vec());
            self.examples.push(Example { key, pixels, side, captions, nearest: Vec::new() });
        }
    }

    fn report(mut self, unreadable: u64) -> Result<PairsReport> {
        let (images, texts) = (Tensor::cat(&self.images, 0)?, Tensor::cat(&self.texts, 0)?);
        let retrieval = retrieval(&images, &texts, &self.image_of_text)?;
        let cosines = images.narrow(0, 0, self.examples.len())?.matmul(&texts.t()?)?.to_vec2::<f32>()?;
        for (example, row) in self.examples.iter_mut().zip(&cosines) {
            for text in top_k(row, LOOKED_AT) {
                let caption = &self.captions[text];
                if example.nearest.len() < NEAREST && example.nearest.iter().all(|(known, _)| known != caption) {
                    example.nearest.push((caption.clone(), row[text]));
                }
            }
        }
        let loss = self.summed_loss / self.pictures as f64;
        Ok(PairsReport { loss, retrieval, unreadable, examples: self.examples })
    }
}

/// Features of texts, so many at a time.
fn texts(clip: &Clip, tokenizer: &Tokenizer, captions: &[String], at_once: usize) -> Result<Tensor> {
    let length = clip.config().text_cfg.context_length;
    let encode = |captions: &[String]| -> Result<Tensor> {
        let ids: Vec<u32> = captions.iter().flat_map(|caption| tokenizer.encode(caption, length)).collect();
        Ok(clip.encode_text(&input::input_ids(&ids, captions.len(), length, clip.device())?)?)
    };
    let parts = captions.chunks(at_once.max(1)).map(encode).collect::<Result<Vec<_>>>()?;
    Ok(Tensor::cat(&parts, 0)?)
}
