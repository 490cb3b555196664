//! How much memory decoding takes, known from the header: callers that decode several pictures at a time keep the sum of
//! these bounds within what they have.

use super::{ImageHeader, JpegScale};

/// What tables, buffers of rows and the like take, whatever the picture.
const OVERHEAD_BYTES: u64 = 512 << 10;

/// What decoding holds at its peak: an upper bound, beside the encoded bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeMemory {
    /// Bytes held however far a JPEG is reduced: the coefficients of a progressive one.
    pub unscaled: u64,
    /// Bytes held for each pixel that comes out.
    pub per_pixel: u64,
}

impl DecodeMemory {
    /// So many bytes for each pixel, and nothing else.
    pub(super) fn per_pixel(per_pixel: u64) -> Self {
        Self { unscaled: 0, per_pixel }
    }
}

impl ImageHeader {
    /// An upper bound of the bytes that [`decode`](super::decode) holds at the same time, the picture it returns
    /// among them.
    pub fn decode_cost(&self, scale: JpegScale) -> u64 {
        let pixels = u64::from(scale.apply(self.width)) * u64::from(scale.apply(self.height));
        let rows = u64::from(self.width) * 64;
        self.memory.unscaled + pixels.saturating_mul(self.memory.per_pixel) + rows + OVERHEAD_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::super::Format;
    use super::*;

    #[test]
    fn a_reduced_picture_costs_less_but_its_coefficients_remain() {
        let memory = DecodeMemory { unscaled: 1_000_000, per_pixel: 3 };
        let header = ImageHeader { format: Format::Jpeg, width: 800, height: 400, memory };
        let beside = 1_000_000 + 800 * 64 + OVERHEAD_BYTES;
        assert_eq!(header.decode_cost(JpegScale::Full), 800 * 400 * 3 + beside);
        assert_eq!(header.decode_cost(JpegScale::Quarter), 200 * 100 * 3 + beside);
    }
}
