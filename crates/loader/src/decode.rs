//! From the bytes of a sample to pixels and ids.

use std::sync::Arc;

use bytes::Bytes;
use shards::SampleKey;
use shards::image::{ImageError, JpegScale, decode_rgb};

use crate::config::LoaderConfig;
use crate::error::Result;
use crate::seed::{Domain, Draws};
use crate::tokenized::tokenize;

/// A sample that has a picture and a caption, both as they stand in the shard.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) key: SampleKey,
    pub(crate) shard: Arc<str>,
    pub(crate) image: Bytes,
    pub(crate) caption: String,
    /// Which pass over the shards it was read in, from 0.
    pub(crate) pass: u64,
    /// What its random draws depend on.
    pub(crate) place: [u64; 5],
}

/// A sample ready for a batch.
#[derive(Debug)]
pub(crate) struct Example {
    pub(crate) key: SampleKey,
    pub(crate) pixels: Vec<u8>,
    pub(crate) input_ids: Vec<u32>,
    pub(crate) pass: u64,
}

/// What became of a candidate.
#[derive(Debug)]
pub(crate) enum Decoded {
    Example(Example),
    Undecodable { key: SampleKey, shard: Arc<str>, pass: u64, error: ImageError },
}

/// Decodes, transforms and tokenizes.
pub(crate) fn decode(config: &LoaderConfig, candidate: Candidate) -> Result<Decoded> {
    let Candidate { key, shard, image, caption, pass, place } = candidate;
    let picture = match decode_rgb(&image, &config.limits, JpegScale::Full) {
        Ok(picture) => picture,
        Err(error) => return Ok(Decoded::Undecodable { key, shard, pass, error }),
    };
    let mut draws = Draws::new(config.seed, Domain::Crop, &place);
    let pixels = config.transform.apply(&picture, config.image_size, &mut draws);
    let input_ids = tokenize(&config.tokenize, &caption, config.context_length)?;
    Ok(Decoded::Example(Example { key, pixels, input_ids, pass }))
}
