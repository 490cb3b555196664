//! What a training step takes: pixels and captions of many samples in plain buffers.

use std::fmt;
use std::ops::Deref;

use bytes::BytesMut;
use crossbeam_channel::Sender;
use shards::SampleKey;

/// Samples side by side, in the order of the run.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// The epoch it is of, from 0.
    pub epoch: u64,
    /// The samples, `B` of them.
    pub keys: Vec<SampleKey>,
    /// RGB as 0 to 255, not normalised: `[B, image_size, image_size, 3]`.
    pub pixels: Pixels,
    /// Token ids: `[B, context_length]`.
    pub input_ids: Vec<u32>,
}

/// The pixels of a batch. Dropped, its buffer is used for a batch to come.
#[derive(Default)]
pub struct Pixels {
    buffer: BytesMut,
    home: Option<Sender<BytesMut>>,
}

impl Pixels {
    pub(crate) fn new(buffer: BytesMut, home: Sender<BytesMut>) -> Self {
        Self { buffer, home: Some(home) }
    }
}

impl Deref for Pixels {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Pixels {
    fn drop(&mut self) {
        if let Some(home) = &self.home {
            // Nobody wants it once the batches have ended.
            let _ = home.send(std::mem::take(&mut self.buffer));
        }
    }
}

impl PartialEq for Pixels {
    fn eq(&self, other: &Self) -> bool {
        self[..] == other[..]
    }
}

impl Eq for Pixels {}

impl fmt::Debug for Pixels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes of pixels", self.len())
    }
}
