//! What a training step takes: pixels and captions of many samples in plain buffers.

use shards::SampleKey;

use crate::decode::Example;

/// Samples side by side, in the order of the epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// The samples, `B` of them.
    pub keys: Vec<SampleKey>,
    /// RGB as 0 to 255, not normalised: `[B, image_size, image_size, 3]`.
    pub pixels: Vec<u8>,
    /// Token ids: `[B, context_length]`.
    pub input_ids: Vec<u32>,
}

impl Batch {
    pub(crate) fn with_capacity(samples: usize, bytes_per_picture: usize, context_length: usize) -> Self {
        Self {
            keys: Vec::with_capacity(samples),
            pixels: Vec::with_capacity(samples * bytes_per_picture),
            input_ids: Vec::with_capacity(samples * context_length),
        }
    }

    pub(crate) fn push(&mut self, example: Example) {
        self.keys.push(example.key);
        self.pixels.extend_from_slice(&example.pixels);
        self.input_ids.extend_from_slice(&example.input_ids);
    }
}
