//! Pictures for evaluation, each with its label (a class, or its captions): in a fixed order, each once, each either in a
//! batch or among the unreadable.

use std::cell::RefCell;
use std::path::PathBuf;

use bytes::Bytes;
use shards::image::{Decoder, JpegScale, Limits, RgbImage, RgbView};

use crate::error::{Error, Result};
use crate::picture_file::read_picture;
use crate::seed::Draws;
use crate::stop::Stop;
use crate::transform::{Fitting, Painter, Transform};
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
    /// How a picture becomes a square.
    pub fitting: Fitting,
    /// The largest picture that is decoded.
    pub limits: Limits,
    /// Pixels at each edge that are no part of the picture, such as ObjectNet's red frame.
    pub border: u32,
    /// Ends the evaluation before its last batch.
    pub stop: Stop,
}

impl EvalConfig {
    /// With the usual limits.
    pub fn new(batch_size: usize, workers: usize, image_size: u32) -> Self {
        let (batch_size, workers) = (batch_size.max(1), workers.max(1));
        let (fitting, limits) = (Fitting::default(), Limits::default());
        Self { batch_size, workers, image_size, fitting, limits, border: 0, stop: Stop::default() }
    }
}

/// Labelled pictures side by side; the last batch may be smaller than the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvalBatch<L = u32> {
    /// Path or key of each picture, `B` of them.
    pub keys: Vec<String>,
    /// Index of each picture's class, or its captions: `[B]`.
    pub labels: Vec<L>,
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
pub(crate) struct Labelled<L = u32> {
    pub(crate) key: String,
    pub(crate) label: L,
    pub(crate) content: Content,
}

/// Where a picture's bytes are.
pub(crate) enum Content {
    File(PathBuf),
    Bytes(Bytes),
}

struct EvalExample<L> {
    key: String,
    label: L,
    pixels: Vec<u8>,
}

/// The batches of one evaluation.
pub struct EvalBatches<L = u32> {
    examples: Ordered<std::result::Result<EvalExample<L>, Unreadable>>,
    batch_size: usize,
    unreadable: Vec<Unreadable>,
    is_over: bool,
}

impl<L: Send + 'static> EvalBatches<L> {
    pub(crate) fn new(
        pictures: impl Iterator<Item = std::result::Result<Labelled<L>, Unreadable>> + Send + 'static,
        config: &EvalConfig,
    ) -> Self {
        let view =
            View { side: config.image_size, fitting: config.fitting, border: config.border, limits: config.limits };
        let work = move |picture: std::result::Result<_, _>| prepare(picture?, &view);
        let examples = ordered(pictures, config.workers, window(config.batch_size, config.workers), &config.stop, work);
        Self { examples, batch_size: config.batch_size, unreadable: Vec::new(), is_over: false }
    }

    /// What was met so far and is in no batch, in order.
    pub fn unreadable(&self) -> &[Unreadable] {
        &self.unreadable
    }
}

impl<L: Send + 'static> Iterator for EvalBatches<L> {
    type Item = Result<EvalBatch<L>>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut batch = EvalBatch { keys: Vec::new(), labels: Vec::new(), pixels: Vec::new() };
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
pub fn evaluation_pixels(name: &str, bytes: &[u8], image_size: u32, fitting: Fitting) -> Result<Vec<u8>> {
    let view = View { side: image_size, fitting, border: 0, limits: Limits::default() };
    let pixels = HANDS.with_borrow_mut(|hands| hands.prepare(bytes, &view));
    pixels.map_err(|reason| Error::Picture { name: name.to_owned(), reason })
}

/// What of a picture is seen.
struct View {
    side: u32,
    fitting: Fitting,
    border: u32,
    limits: Limits,
}

fn prepare<L>(picture: Labelled<L>, view: &View) -> std::result::Result<EvalExample<L>, Unreadable> {
    let Labelled { key, label, content } = picture;
    let read = || match &content {
        Content::File(path) => read_picture(path).map(Bytes::from).map_err(|error| error.to_string()),
        Content::Bytes(bytes) => Ok(bytes.clone()),
    };
    let pixels = read().and_then(|bytes| HANDS.with_borrow_mut(|hands| hands.prepare(&bytes, view)));
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
    fn prepare(&mut self, bytes: &[u8], view: &View) -> std::result::Result<Vec<u8>, String> {
        let side = view.side;
        let decoded = self.decoder.decode_rgb(bytes, &view.limits, JpegScale::Full);
        let picture = decoded.map_err(|error| error.to_string())?;
        let inner = without_border(picture, view.border);
        let picture = inner.as_ref().map_or(picture, RgbImage::view);
        let mut pixels = vec![0; side as usize * side as usize * 3];
        let mut draws = |domain| Draws::new(0, domain, &[]);
        self.painter.paint(&Transform::Evaluation(view.fitting), picture, side, &mut draws, &mut pixels);
        Ok(pixels)
    }
}

/// What is within the border; nothing where there is none, or it would leave nothing.
fn without_border(picture: RgbView<'_>, border: u32) -> Option<RgbImage> {
    let [width, height] = [picture.width, picture.height].map(|side| side.checked_sub(2 * border).filter(|s| *s > 0));
    let (width, height) = (width?, height?);
    if border == 0 {
        return None;
    }
    let stride = picture.width as usize * 3;
    let (start, length) = (border as usize * 3, width as usize * 3);
    let rows = picture.pixels.chunks_exact(stride).skip(border as usize).take(height as usize);
    let pixels = rows.flat_map(|row| row[start..start + length].iter().copied()).collect();
    Some(RgbImage { width, height, pixels })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_border_is_cut_off_where_something_is_left() {
        let pixels: Vec<u8> = (0..4 * 5 * 3).collect();
        let picture = RgbView { width: 4, height: 5, pixels: &pixels };
        let inner = without_border(picture, 1).unwrap();
        assert_eq!((inner.width, inner.height), (2, 3));
        assert_eq!(inner.pixels[..6], pixels[15..21]);
        assert!(without_border(picture, 0).is_none() && without_border(picture, 2).is_none());
    }
}
