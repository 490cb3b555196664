//! Decoding one picture after another without a new buffer for each.

use super::jpeg::{self, Decompressor, Grey};
use super::{Format, ImageError, JpegScale, Limits, Picture, decode, decode_rgb, recognise};

/// A buffer that a very large picture needed is not kept for the small ones behind it.
const MOST_BYTES_KEPT: usize = 64 << 20;

/// Decodes on one thread; each thread has its own.
#[derive(Debug)]
pub struct Decoder {
    pixels: Vec<u8>,
    most_kept: usize,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::keeping(MOST_BYTES_KEPT)
    }
}

/// A picture in somebody's buffer, `[height, width, 3]`, 8 bits.
#[derive(Clone, Copy, Debug)]
pub struct RgbView<'a> {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// `width * height * 3` bytes.
    pub pixels: &'a [u8],
}

impl Decoder {
    /// One that keeps a buffer of so many bytes at most.
    pub fn keeping(most_kept: usize) -> Self {
        Self { pixels: Vec::new(), most_kept }
    }

    /// The same picture that [`decode`] gives, for JPEGs in the decoder's buffer; whoever is done with its pixels gives them
    /// to [`Decoder::keep`].
    ///
    /// # Errors
    /// Those of [`decode`].
    pub fn decode(&mut self, bytes: &[u8], limits: &Limits, scale: JpegScale) -> Result<Picture, ImageError> {
        match recognise(bytes)? {
            Format::Jpeg => jpeg::decode(bytes, limits, scale, &mut self.pixels),
            _ => decode(bytes, limits, scale),
        }
    }

    /// Keeps pixels as the buffer of the next picture.
    pub fn keep(&mut self, pixels: Vec<u8>) {
        if pixels.capacity() <= self.most_kept {
            self.pixels = pixels;
        }
    }

    /// The same picture that [`decode_rgb`] gives, in the decoder's buffer.
    ///
    /// # Errors
    /// Those of [`decode_rgb`].
    pub fn decode_rgb(&mut self, bytes: &[u8], limits: &Limits, scale: JpegScale) -> Result<RgbView<'_>, ImageError> {
        if self.pixels.capacity() > self.most_kept {
            self.pixels = Vec::new();
        }
        let (width, height) = match recognise(bytes)? {
            Format::Jpeg => {
                // A new one each time: libjpeg-turbo goes on within a header that was cut, and lends a picture without
                // tables those of the one before it.
                let jpeg = Decompressor::new()?;
                let (width, height, _) = jpeg.decode(bytes, limits, scale, Grey::Repeated, &mut self.pixels)?;
                (width, height)
            }
            _ => {
                let picture = decode_rgb(bytes, limits, scale)?;
                self.pixels = picture.pixels;
                (picture.width, picture.height)
            }
        };
        Ok(RgbView { width, height, pixels: &self.pixels })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Channels, Picture, encode_jpeg};
    use super::*;

    #[test]
    fn pictures_in_a_row_are_those_decoded_alone() {
        let mut decoder = Decoder::default();
        let (limits, sizes) = (Limits::default(), [(40, 30), (64, 64), (9, 70), (40, 30)]);
        for (channels, (width, height)) in [Channels::Rgb, Channels::Luma].into_iter().cycle().zip(sizes) {
            let count = width as usize * height as usize * channels.count();
            let pixels = (0..count).map(|i| (i * 31 % 253) as u8).collect();
            let bytes = encode_jpeg(&Picture { width, height, channels, pixels }, 90).unwrap();
            let alone = decode_rgb(&bytes, &limits, JpegScale::Full).unwrap();
            let view = decoder.decode_rgb(&bytes, &limits, JpegScale::Full).unwrap();
            assert_eq!((view.width, view.height, view.pixels), (width, height, &alone.pixels[..]));
            for kept in [3, 200, bytes.len() / 2, bytes.len() - 2] {
                assert!(decoder.decode_rgb(&bytes[..kept], &limits, JpegScale::Full).is_err());
            }
        }
    }
}
