//! JPEG by libjpeg-turbo's raw interface. The safe wrapper makes an error of every warning,
//! whereas Pillow, whose verdict decides which samples a dataset has, accepts a damaged scan and
//! refuses a missing end only.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_int};

use turbojpeg::raw;

use super::cost::DecodeMemory;
use super::jpeg_frame::Frame;
use super::{Channels, Format, ImageError, JpegScale, Limits, Picture};

/// Progressive pictures of more scans are made to burn time.
const MAX_SCANS: c_int = 500;

/// Rows and tables beside coefficients.
const INTERNAL_MIB: u64 = 16;

/// An owned instance of libjpeg-turbo.
struct Codec(raw::tjhandle);

/// What stands in a JPEG's header.
struct Header {
    width: u32,
    height: u32,
    colourspace: raw::TJCS,
    is_lossless: bool,
}

/// Width, height and memory by the header.
pub(super) fn read_header(bytes: &[u8]) -> Result<(u32, u32, DecodeMemory), ImageError> {
    let header = Codec::new(raw::TJINIT_TJINIT_DECOMPRESS)?.read_header(bytes)?;
    Ok((header.width, header.height, memory(&header, bytes)))
}

fn memory(header: &Header, bytes: &[u8]) -> DecodeMemory {
    let channels = match header.colourspace {
        raw::TJCS_TJCS_GRAY => 1,
        raw::TJCS_TJCS_CMYK | raw::TJCS_TJCS_YCCK => 4,
        _ => 3,
    };
    // Where the markers cannot be followed, four components at full resolution are the most there can be.
    let most = || {
        let blocks = u64::from(header.width).div_ceil(8) * u64::from(header.height).div_ceil(8);
        DecodeMemory { unscaled: blocks * 64 * 2 * 4, per_pixel: channels }
    };
    Frame::read(bytes).map_or_else(most, |frame| frame.memory(channels))
}

/// Decodes grey to luma and anything else to RGB, in the buffer `spare`.
pub(super) fn decode(
    bytes: &[u8],
    limits: &Limits,
    scale: JpegScale,
    spare: &mut Vec<u8>,
) -> Result<Picture, ImageError> {
    let (width, height, channels) = Decompressor::new()?.decode(bytes, limits, scale, Grey::Kept, spare)?;
    Ok(Picture { width, height, channels, pixels: std::mem::take(spare) })
}

/// What becomes of a picture of one component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grey {
    Kept,
    Repeated,
}

/// A decoder for one picture after another.
pub(super) struct Decompressor(Codec);

impl Decompressor {
    pub(super) fn new() -> Result<Self, ImageError> {
        let codec = Codec::new(raw::TJINIT_TJINIT_DECOMPRESS)?;
        codec.set(raw::TJPARAM_TJPARAM_SCANLIMIT, MAX_SCANS)?;
        Ok(Self(codec))
    }

    /// Decodes into `pixels`, which is as long as the picture afterwards; returns width, height and channels.
    pub(super) fn decode(
        &self,
        bytes: &[u8],
        limits: &Limits,
        scale: JpegScale,
        grey: Grey,
        pixels: &mut Vec<u8>,
    ) -> Result<(u32, u32, Channels), ImageError> {
        let Self(codec) = self;
        let header = codec.read_header(bytes)?;
        limits.check(header.width, header.height)?;
        let scale = if header.is_lossless { JpegScale::Full } else { scale };
        codec.set_scale(scale)?;
        // Nothing that the bound did not foresee is allocated: libjpeg-turbo refuses first.
        let most = (memory(&header, bytes).unscaled >> 20) + INTERNAL_MIB;
        codec.set(raw::TJPARAM_TJPARAM_MAXMEMORY, c_int::try_from(most).unwrap_or(c_int::MAX))?;
        let (width, height) = (scale.apply(header.width), scale.apply(header.height));
        let mut decompress = |format, channels| codec.decompress(bytes, (width, height), format, channels, pixels);
        let channels = match (header.colourspace, grey) {
            (raw::TJCS_TJCS_GRAY, Grey::Kept) => decompress(raw::TJPF_TJPF_GRAY, 1).map(|()| Channels::Luma)?,
            (raw::TJCS_TJCS_CMYK | raw::TJCS_TJCS_YCCK, _) => {
                decompress(raw::TJPF_TJPF_CMYK, 4)?;
                inverted_cmyk_to_rgb(pixels);
                Channels::Rgb
            }
            _ => decompress(raw::TJPF_TJPF_RGB, 3).map(|()| Channels::Rgb)?,
        };
        Ok((width, height, channels))
    }
}

/// Encodes at 4:2:0, or one component for luma.
pub(super) fn encode(picture: &Picture, quality: u8) -> Result<Vec<u8>, ImageError> {
    let (format, subsampling) = match picture.channels {
        Channels::Luma => (raw::TJPF_TJPF_GRAY, raw::TJSAMP_TJSAMP_GRAY),
        Channels::Rgb => (raw::TJPF_TJPF_RGB, raw::TJSAMP_TJSAMP_420),
        Channels::Rgba => (raw::TJPF_TJPF_RGBX, raw::TJSAMP_TJSAMP_420),
    };
    let codec = Codec::new(raw::TJINIT_TJINIT_COMPRESS)?;
    codec.set(raw::TJPARAM_TJPARAM_QUALITY, c_int::from(quality))?;
    codec.set(raw::TJPARAM_TJPARAM_SUBSAMP, subsampling as c_int)?;
    codec.compress(picture, format as c_int)
}

impl Codec {
    fn new(purpose: raw::TJINIT) -> Result<Self, ImageError> {
        // SAFETY: tj3Init has no precondition; null is handled.
        let handle = unsafe { raw::tj3Init(purpose as c_int) };
        if handle.is_null() {
            return Err(ImageError::Encode { reason: "libjpeg-turbo does not start".into() });
        }
        Ok(Self(handle))
    }

    fn set(&self, parameter: raw::TJPARAM, value: c_int) -> Result<(), ImageError> {
        // SAFETY: the handle lives as long as `self`.
        let status = unsafe { raw::tj3Set(self.0, parameter as c_int, value) };
        if status == 0 { Ok(()) } else { Err(ImageError::Encode { reason: self.message() }) }
    }

    fn get(&self, parameter: raw::TJPARAM) -> c_int {
        // SAFETY: the handle lives as long as `self`.
        unsafe { raw::tj3Get(self.0, parameter as c_int) }
    }

    fn set_scale(&self, scale: JpegScale) -> Result<(), ImageError> {
        let factor = raw::tjscalingfactor { num: 1, denom: scale.denominator() as c_int };
        // SAFETY: the handle lives as long as `self`; the factor is passed by value.
        let status = unsafe { raw::tj3SetScalingFactor(self.0, factor) };
        if status == 0 { Ok(()) } else { Err(self.malformed()) }
    }

    fn read_header(&self, bytes: &[u8]) -> Result<Header, ImageError> {
        // SAFETY: pointer and length are those of a live slice.
        let status = unsafe { raw::tj3DecompressHeader(self.0, bytes.as_ptr(), bytes.len() as raw::size_t) };
        self.judge(status, bytes)?;
        let side = |parameter| u32::try_from(self.get(parameter)).ok().filter(|side| *side > 0);
        let sides = side(raw::TJPARAM_TJPARAM_JPEGWIDTH).zip(side(raw::TJPARAM_TJPARAM_JPEGHEIGHT));
        let (width, height) = sides.ok_or_else(|| malformed("no size in the header"))?;
        Ok(Header {
            width,
            height,
            colourspace: self.get(raw::TJPARAM_TJPARAM_COLORSPACE) as raw::TJCS,
            is_lossless: self.get(raw::TJPARAM_TJPARAM_LOSSLESS) == 1,
        })
    }

    fn decompress(
        &self,
        bytes: &[u8],
        (width, height): (u32, u32),
        format: raw::TJPF,
        channels: usize,
        pixels: &mut Vec<u8>,
    ) -> Result<(), ImageError> {
        pixels.resize(width as usize * height as usize * channels, 0);
        // SAFETY: the source is a live slice; the target holds `height` rows of `width` pixels of
        // `channels` bytes, the size that header and scale ask of libjpeg-turbo, with no gap (pitch 0).
        let status = unsafe {
            raw::tj3Decompress8(
                self.0,
                bytes.as_ptr(),
                bytes.len() as raw::size_t,
                pixels.as_mut_ptr(),
                0,
                format as c_int,
            )
        };
        self.judge(status, bytes)
    }

    fn compress(&self, picture: &Picture, format: c_int) -> Result<Vec<u8>, ImageError> {
        let needed = (picture.width as usize).checked_mul(picture.height as usize);
        let needed = needed.and_then(|count| count.checked_mul(picture.channels.count()));
        if needed != Some(picture.pixels.len()) {
            let (width, height, got) = (picture.width, picture.height, picture.pixels.len());
            return Err(ImageError::Encode { reason: format!("{got} bytes of pixels for {width}x{height}") });
        }
        let too_wide = |_| ImageError::Encode { reason: "sides beyond what JPEG can hold".into() };
        let width = c_int::try_from(picture.width).map_err(too_wide)?;
        let height = c_int::try_from(picture.height).map_err(too_wide)?;
        let (mut buffer, mut size) = (std::ptr::null_mut(), 0);
        // SAFETY: the source holds `height` rows of `width` pixels without gaps, checked above; the
        // target starts as null, so that libjpeg-turbo allocates it.
        let status = unsafe {
            raw::tj3Compress8(self.0, picture.pixels.as_ptr(), width, 0, height, format, &mut buffer, &mut size)
        };
        let encoded = if status == 0 && !buffer.is_null() {
            // SAFETY: on success `buffer` points at `size` bytes.
            Ok(unsafe { std::slice::from_raw_parts(buffer, size as usize) }.to_vec())
        } else {
            Err(ImageError::Encode { reason: self.message() })
        };
        // SAFETY: null or allocated by libjpeg-turbo, and not used afterwards.
        unsafe { raw::tj3Free(buffer.cast()) };
        encoded
    }

    /// Accepts what Pillow accepts: success, or a warning while the end of the picture is there.
    fn judge(&self, status: c_int, bytes: &[u8]) -> Result<(), ImageError> {
        if status == 0 {
            return Ok(());
        }
        // SAFETY: the handle lives as long as `self`.
        let code = unsafe { raw::tj3GetErrorCode(self.0) };
        let is_cut = self.message().starts_with("Premature end of JPEG file") || !has_end(bytes);
        match (code == raw::TJERR_TJERR_WARNING as c_int, is_cut) {
            (true, false) => Ok(()),
            (true, true) => Err(ImageError::Truncated { format: Format::Jpeg }),
            (false, _) => Err(self.malformed()),
        }
    }

    fn malformed(&self) -> ImageError {
        malformed(&self.message())
    }

    /// Meaningful only after a call that failed.
    fn message(&self) -> String {
        // SAFETY: the handle lives as long as `self`, and the text is terminated.
        unsafe { CStr::from_ptr(raw::tj3GetErrorStr(self.0)) }.to_string_lossy().into_owned()
    }
}

impl Drop for Codec {
    fn drop(&mut self) {
        // SAFETY: the handle is owned and not used afterwards.
        unsafe { raw::tj3Destroy(self.0) }
    }
}

fn malformed(reason: &str) -> ImageError {
    ImageError::Malformed { format: Format::Jpeg, reason: reason.into() }
}

/// Whether an end marker follows the last start of a scan. Only the first of several warnings
/// is reported, so that a missing end can hide behind earlier damage.
fn has_end(bytes: &[u8]) -> bool {
    let last = |marker: u8| bytes.windows(2).rposition(|two| two == [0xff, marker]);
    last(0xd9) > last(0xda)
}

/// libjpeg-turbo delivers the stored values, which are 255 minus what Pillow calls CMYK. Done in place: the picture is
/// held once.
fn inverted_cmyk_to_rgb(pixels: &mut Vec<u8>) {
    let channel = |ink: u8, white: u8| {
        let product = u32::from(255 - ink) * u32::from(white) + 128;
        white - (((product >> 8) + product) >> 8) as u8
    };
    let count = pixels.len() / 4;
    for place in 0..count {
        let (ink, white) = (place * 4, pixels[place * 4 + 3]);
        for colour in 0..3 {
            pixels[place * 3 + colour] = channel(pixels[ink + colour], white);
        }
    }
    pixels.truncate(count * 3);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ink_becomes_colour_as_pillow_has_it() {
        for (ink, colour) in [
            ([255, 255, 255, 255], [255, 255, 255]),
            ([0, 255, 255, 255], [0, 255, 255]),
            ([255, 255, 255, 0], [0, 0, 0]),
            ([128, 64, 0, 200], [100, 50, 0]),
        ] {
            let mut pixels = ink.to_vec();
            inverted_cmyk_to_rgb(&mut pixels);
            assert_eq!(pixels, colour);
        }
    }

    #[test]
    fn an_end_in_a_thumbnail_is_not_the_end() {
        assert!(has_end(&[0xff, 0xda, 1, 2, 0xff, 0xd9]));
        assert!(!has_end(&[0xff, 0xd9, 0xff, 0xda, 1, 2]));
        assert!(!has_end(&[]));
    }
}
