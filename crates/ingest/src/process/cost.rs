//! How much memory one picture takes on its way from body to stored bytes: an upper bound, from its header alone.

use super::{Job, decode_scale, target};
use crate::blur::blur_cost;
use crate::encode::EncodeFormat;
use crate::resize::resize_cost;
use crate::resize_mode::{Geometry, Size};

impl Job<'_> {
    /// The bytes that are to be borrowed. It does not matter here whether the picture will be turned: all that counts is
    /// the same for both sides exchanged.
    pub(super) fn cost(&self, stored: Size) -> u64 {
        let geometry = self.geometry(stored);
        let scale = decode_scale(&self.header, geometry, stored, self.options);
        let decoded = Size::new(scale.apply(stored.width), scale.apply(stored.height));
        let target = target(geometry, stored);
        let depth = self.header.memory.per_pixel.min(4);
        let resizing = if decoded == target { 0 } else { resize_cost(decoded, target, depth) };
        let blurring = if self.instructions.boxes.is_empty() { 0 } else { blur_cost(target.pixels()) };
        let result = canvas(geometry, target).pixels();
        // One after the other: resized, turned or padded or cropped into a copy, blurred, encoded.
        let phases = [
            self.header.decode_cost(scale),
            decoded.pixels() * depth + resizing,
            result * depth * 2,
            result * depth + blurring,
            result * (depth + self.encoding_bytes_per_pixel()),
        ];
        // The tags are copied out of the body.
        self.body.len() as u64 + phases.into_iter().max().unwrap_or(0)
    }

    /// What encoders hold beside the picture, with the bytes they make.
    fn encoding_bytes_per_pixel(&self) -> u64 {
        match self.options.encode_format {
            EncodeFormat::Jpg => 3,
            EncodeFormat::Png => 8,
            EncodeFormat::Webp if self.options.quality() > 100 => 40,
            EncodeFormat::Webp => 10,
        }
    }
}

/// The size that is encoded, or that of the picture before it is cropped.
fn canvas(geometry: Geometry, target: Size) -> Size {
    match geometry {
        Geometry::Pad(_, placement) => placement.size,
        Geometry::Keep | Geometry::Resize(_) | Geometry::Crop(..) => target,
    }
}
