//! Labelled pictures for evaluation: in a fixed order, each once, each either in a batch or among the unreadable.

use std::cell::RefCell;
use std::path::PathBuf;

use bytes::Bytes;
use shards::image::{Decoder, JpegScale, Limits};

use crate::error::{Error, Result};
use crate::seed::Draws;
use crate::stop::Stop;
use crate::transform::{Painter, Transform};
use crate::worker::{Ordered, ordered, window};

/// How pictures are prepared.
#[derive(Clone, Debug)]
pub struct EvalConfig {
    /// Pictures per batch.
    pub batch_size: usize,
    /// Decoding threads; 0 means one.
    pub workers: usize,
    /// Side of the pictures in a batch, in pixels.
    pub image_size: u32,
    /// The largest picture that is decoded.
    pub limits: Limits,
    /// Ends the evaluation before its last batch.
    pub stop: Stop,
}

impl EvalConfig {
    /// With the usual limits.
    pub fn new(batch_size: usize, workers: usize, image_size: u32) -> Self {
        let (batch_size, workers) = (batch_size.max(1), workers.max(1));
        Self { batch_size, workers, image_size, limits: Limits::default(), stop: Stop::default() }
    }
}

/// Labelled pictures side by side; the last batch may be smaller than the others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EvalBatch {
    /// Path or key of each picture, `B` of them.
    pub keys: Vec<String>,
    /// Index of each picture's class: `[B]`.
    pub labels: Vec<u32>,
    /// RGB as 0 to 255, not normalised: `[B, image_size, image_size, 3]`.
    pub pixels: Vec<u8>,
}

/// Something that counts in no batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Path or key of a picture, or the name of a shard that is not whole.
    pub key: String,
    /// Why.
    pub reason: String,
}

/// A picture before it is decoded.
pub(crate) struct Labelled {
    pub(crate) key: String,
    pub(crate) label: u32,
    pub(crate) content: Content,
}

/// Where a picture's bytes are.
pub(crate) enum Content {
    File(PathBuf),
    Bytes(Bytes),
}

struct EvalExample {
    key: String,
    label: u32,
    pixels: Vec<u8>,
}

/// The batches of one evaluation.
pub struct EvalBatches {
    examples: Ordered<std::result::Result<EvalExample, Unreadable>>,
    batch_size: usize,
    unreadable: Vec<Unreadable>,
    is_over: bool,
}

impl EvalBatches {
    pub(crate) fn new(
        pictures: impl Iterator<Item = std::result::Result<Labelled, Unreadable>> + Send + 'static,
        config: &EvalConfig,
    ) -> Self {
        let (side, limits) = (config.image_size, config.limits);
        let work = move |picture: std::result::Result<_, _>| prepare(picture?, side, &limits);
        let examples = ordered(pictures, config.workers, window(config.batch_size, config.workers), &config.stop, work);
        Self { examples, batch_size: config.batch_size, unreadable: Vec::new(), is_over: false }
    }

    /// What was met so far and is in no batch, in order.
    pub fn unreadable(&self) -> &[Unreadable] {
        &self.unreadable
    }
}

impl Iterator for EvalBatches {
    type Item = Result<EvalBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut batch = EvalBatch::default();
        while !self.is_over && batch.keys.len() < self.batch_size {
            match self.examples.next() {
                Some(Ok(Ok(example))) => {
                    batch.keys.push(example.key);
                    batch.labels.push(example.label);
                    batch.pixels.extend_from_slice(&example.pixels);
                }
                Some(Ok(Err(unreadable))) => self.unreadable.push(unreadable),
                Some(Err(error)) => {
                    self.is_over = true;
                    return Some(Err(error));
                }
                None => self.is_over = true,
            }
        }
        if batch.keys.is_empty() { None } else { Some(Ok(batch)) }
    }
}

/// One picture as evaluation prepares it, RGB `[image_size, image_size, 3]`; `name` is what an error calls it.
///
/// # Errors
/// For bytes that are no picture, or one beyond the usual limits.
pub fn evaluation_pixels(name: &str, bytes: &[u8], image_size: u32) -> Result<Vec<u8>> {
    let pixels = HANDS.with_borrow_mut(|hands| hands.prepare(bytes, image_size, &Limits::default()));
    pixels.map_err(|reason| Error::Picture { name: name.to_owned(), reason })
}

fn prepare(picture: Labelled, side: u32, limits: &Limits) -> std::result::Result<EvalExample, Unreadable> {
    let Labelled { key, label, content } = picture;
    let read = || match &content {
        Content::File(path) => std::fs::read(path).map(Bytes::from).map_err(|error| error.to_string()),
        Content::Bytes(bytes) => Ok(bytes.clone()),
    };
    let pixels = read().and_then(|bytes| HANDS.with_borrow_mut(|hands| hands.prepare(&bytes, side, limits)));
    match pixels {
        Ok(pixels) => Ok(EvalExample { key, label, pixels }),
        Err(reason) => Err(Unreadable { key, reason }),
    }
}

/// What a decoding thread works with.
#[derive(Default)]
struct Hands {
    decoder: Decoder,
    painter: Painter,
}

thread_local! {
    static HANDS: RefCell<Hands> = RefCell::default();
}

impl Hands {
    fn prepare(&mut self, bytes: &[u8], side: u32, limits: &Limits) -> std::result::Result<Vec<u8>, String> {
        let picture = self.decoder.decode_rgb(bytes, limits, JpegScale::Full).map_err(|error| error.to_string())?;
        let mut pixels = vec![0; side as usize * side as usize * 3];
        let mut draws = |domain| Draws::new(0, domain, &[]);
        self.painter.paint(&Transform::Evaluation, picture, side, &mut draws, &mut pixels);
        Ok(pixels)
    }
}
