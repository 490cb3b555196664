//! From a body to the picture that is stored: hash compared, header checked, decoded, put on white, resized, turned
//! upright, blurred where the list says so, encoded. CPU work only; never run on the async runtime.
//!
//! A JPEG that is to be shrunk to half or less is decoded at a reduced scale, as long as the
//! result is still at least as large as the target. Sizes are those of the upright picture. All that a picture takes is
//! estimated from its header and borrowed from a budget before anything is decoded.

mod cost;
mod decode_budget;
mod instructions;
mod options;

use bytes::Bytes;
use shards::image::{Channels, Decoder, Format, ImageError, ImageHeader, JpegScale, Limits, Picture, read_header};

use crate::blur::blur;
use crate::encode::encode;
use crate::exif::{Orientation, Tags};
use crate::failure::{FailureKind, SampleFailure};
use crate::fetch::Fetched;
use crate::resize::{self, Interpolation};
use crate::resize_mode::{Geometry, Size, geometry};

pub use self::decode_budget::{BeyondBudget, DecodeBudget, DecodeShare};
pub use self::instructions::{InstructionColumns, RowInstructions, VerifyHash};
pub use self::options::{ProcessOptions, Reencode};

/// Longest side that any format here can store.
const MAX_SIDE: u32 = 65_535;

/// A picture ready to be stored.
#[derive(Clone, Debug)]
pub struct Processed {
    /// The encoded picture.
    pub image: Bytes,
    /// Its size; `None` where bodies are not looked at.
    pub size: Option<Size>,
    /// Size of the upright picture that was downloaded.
    pub original_size: Option<Size>,
    /// EXIF tags as JSON text.
    pub exif: Option<String>,
    /// Hexadecimal hash of the downloaded bytes.
    pub hash: Option<String>,
}

/// Makes the stored picture out of a body. Waits for memory.
///
/// # Errors
/// `hash_mismatch`, and any failure from `not_an_image` to `encode`.
pub fn process(
    fetched: &Fetched,
    instructions: &RowInstructions,
    options: &ProcessOptions,
    budget: &DecodeBudget,
    decoder: &mut Decoder,
) -> Result<Processed, SampleFailure> {
    let body = &fetched.body;
    let hash = options.compute_hash.map(|hash| hash.hex(body));
    check_hash(hash.as_deref(), instructions)?;
    if options.reencode == Reencode::Never {
        let exif = options.extract_exif.then(|| Tags::read(body).to_json());
        return Ok(Processed { image: body.clone(), size: None, original_size: None, exif, hash });
    }
    let limits = Limits { max_pixels: options.max_image_pixels, max_side: MAX_SIDE };
    let header = read_header(body, &limits).map_err(|error| failure(&error, fetched))?;
    let stored = Size::new(header.width, header.height);
    check_size(stored, options)?;
    let job = Job { body, header, limits, instructions, options };
    let bytes = job.cost(stored);
    let _share = budget.borrow(bytes).map_err(|beyond| too_much(stored, beyond))?;

    let tags = Tags::read(body);
    let orientation = tags.orientation();
    let exif = options.extract_exif.then(|| tags.to_json());
    drop(tags);
    let original = upright(stored, orientation);
    let (image, size) = job.picture(orientation, original, decoder).map_err(|trouble| match trouble {
        Trouble::Image(error) => failure(&error, fetched),
        Trouble::Sample(failure) => failure,
    })?;
    Ok(Processed { image, size: Some(size), original_size: Some(original), exif, hash })
}

fn check_hash(hash: Option<&str>, instructions: &RowInstructions) -> Result<(), SampleFailure> {
    let (Some(expected), Some(hash)) = (&instructions.expected_hash, hash) else { return Ok(()) };
    if expected == hash {
        return Ok(());
    }
    let expected: String = expected.chars().take(128).collect();
    Err(SampleFailure::new(FailureKind::HashMismatch, format!("expected `{expected}`, got {hash}")))
}

/// One picture on its way.
struct Job<'a> {
    body: &'a Bytes,
    header: ImageHeader,
    limits: Limits,
    instructions: &'a RowInstructions,
    options: &'a ProcessOptions,
}

/// What goes wrong within a [`Job`].
enum Trouble {
    Image(ImageError),
    Sample(SampleFailure),
}

impl From<ImageError> for Trouble {
    fn from(error: ImageError) -> Self {
        Self::Image(error)
    }
}

impl From<SampleFailure> for Trouble {
    fn from(failure: SampleFailure) -> Self {
        Self::Sample(failure)
    }
}

impl Job<'_> {
    fn geometry(&self, original: Size) -> Geometry {
        let options = self.options;
        geometry(options.resize_mode, options.image_size, options.resize_only_if_bigger, original)
    }

    /// The encoded picture and its size.
    fn picture(
        &self,
        orientation: Orientation,
        original: Size,
        decoder: &mut Decoder,
    ) -> Result<(Bytes, Size), Trouble> {
        let (options, geometry) = (self.options, self.geometry(original));
        if self.is_stored_as_it_came(geometry, orientation) {
            // Decoded all the same: a shard holds only pictures that can be read.
            let decoded = decoder.decode(self.body, &self.limits, JpegScale::Full)?;
            decoder.keep(decoded.pixels);
            return Ok((self.body.clone(), original));
        }
        let scale = decode_scale(&self.header, geometry, original, options);
        let decoded = on_white(decoder.decode(self.body, &self.limits, scale)?);
        let picture = match resized(&decoded, geometry, orientation, original, options)? {
            Some(smaller) => {
                decoder.keep(decoded.pixels);
                smaller
            }
            None => decoded,
        };
        // Turned when it is small.
        let mut picture = orientation.apply(picture);
        blur(&mut picture, &self.instructions.boxes);
        let picture = match geometry {
            Geometry::Crop(_, placement) => resize::crop(picture, placement)?,
            Geometry::Pad(_, placement) => resize::pad(picture, placement)?,
            Geometry::Keep | Geometry::Resize(_) => picture,
        };
        let size = Size::new(picture.width, picture.height);
        Ok((encode(picture, options.encode_format, options.quality())?.into(), size))
    }

    fn is_stored_as_it_came(&self, geometry: Geometry, orientation: Orientation) -> bool {
        self.options.reencode == Reencode::WhenChanged
            && geometry == Geometry::Keep
            && orientation.is_upright()
            && self.instructions.boxes.is_empty()
            && self.options.encode_format.is(self.header.format)
    }
}

fn upright(stored: Size, orientation: Orientation) -> Size {
    if orientation.transposes() { stored.transposed() } else { stored }
}

fn check_size(size: Size, options: &ProcessOptions) -> Result<(), SampleFailure> {
    if size.shorter() < options.min_image_size {
        let message =
            format!("expected sides of {} or more, got {}x{}", options.min_image_size, size.width, size.height);
        return Err(SampleFailure::new(FailureKind::TooSmall, message));
    }
    let ratio = f64::from(size.longer()) / f64::from(size.shorter().max(1));
    if ratio > options.max_aspect_ratio {
        let message =
            format!("expected {} or less, got {ratio:.2} ({}x{})", options.max_aspect_ratio, size.width, size.height);
        return Err(SampleFailure::new(FailureKind::AspectRatio, message));
    }
    Ok(())
}

/// The size that the resizing aims at, before padding or cropping.
fn target(geometry: Geometry, original: Size) -> Size {
    match geometry {
        Geometry::Keep => original,
        Geometry::Resize(size) | Geometry::Crop(size, _) | Geometry::Pad(size, _) => size,
    }
}

/// The smallest scale at which the decoder still gives as many pixels as are wanted.
pub fn decode_scale(header: &ImageHeader, geometry: Geometry, original: Size, options: &ProcessOptions) -> JpegScale {
    let may_scale = options.scaled_decode && options.downscale_interpolation == Interpolation::Area;
    if header.format != Format::Jpeg || !may_scale {
        return JpegScale::Full;
    }
    let target = target(geometry, original);
    let suffices = |scale: &JpegScale| {
        scale.apply(original.width) >= target.width && scale.apply(original.height) >= target.height
    };
    [JpegScale::Eighth, JpegScale::Quarter, JpegScale::Half].into_iter().find(suffices).unwrap_or(JpegScale::Full)
}

/// A picture, still as it was stored, in the size that it is to have; `None` where it has that.
fn resized(
    picture: &Picture,
    geometry: Geometry,
    orientation: Orientation,
    original: Size,
    options: &ProcessOptions,
) -> Result<Option<Picture>, SampleFailure> {
    let target = target(geometry, original);
    let size = upright(target, orientation);
    if geometry == Geometry::Keep || (picture.width, picture.height) == (size.width, size.height) {
        return Ok(None);
    }
    let enlarges = target.width > original.width || target.height > original.height;
    let interpolation = if enlarges { options.upscale_interpolation } else { options.downscale_interpolation };
    resize::resize(picture, size, interpolation).map(Some)
}

/// What shines through is white; pictures without transparency stay as they are. Done in place.
fn on_white(mut picture: Picture) -> Picture {
    if picture.channels != Channels::Rgba {
        return picture;
    }
    let blend = |color: u8, alpha: u8| {
        let (color, alpha) = (u32::from(color), u32::from(alpha));
        // Rounded to nearest; at most 255.
        ((color * alpha + 255 * (255 - alpha) + 127) / 255) as u8
    };
    let count = picture.pixels.len() / 4;
    for place in 0..count {
        let (from, alpha) = (place * 4, picture.pixels[place * 4 + 3]);
        for channel in 0..3 {
            picture.pixels[place * 3 + channel] = blend(picture.pixels[from + channel], alpha);
        }
    }
    picture.pixels.truncate(count * 3);
    picture.channels = Channels::Rgb;
    picture
}

fn not_an_image(fetched: &Fetched) -> SampleFailure {
    let claimed = fetched.content_type.as_deref().unwrap_or("no type");
    let claimed: String = claimed.chars().take(80).collect();
    let start: String = fetched.body.iter().take(16).map(|byte| byte.escape_ascii().to_string()).collect();
    let message = format!("expected a picture, got {claimed} starting with `{start}`");
    SampleFailure::new(FailureKind::NotAnImage, message)
}

fn too_much(size: Size, beyond: BeyondBudget) -> SampleFailure {
    let (Size { width, height }, BeyondBudget { bytes, total }) = (size, beyond);
    let message = format!("decoding {width}x{height} pixels takes up to {bytes} bytes of memory (at most {total})");
    SampleFailure::new(FailureKind::TooManyPixels, message)
}

fn failure(error: &ImageError, fetched: &Fetched) -> SampleFailure {
    let kind = match error {
        ImageError::UnknownFormat { .. } => return not_an_image(fetched),
        ImageError::Unsupported { .. } => FailureKind::UnsupportedFormat,
        ImageError::TooLarge { .. } => FailureKind::TooManyPixels,
        ImageError::Truncated { .. } => FailureKind::TruncatedImage,
        ImageError::Encode { .. } => FailureKind::Encode,
        _ => FailureKind::Decode,
    };
    SampleFailure::new(kind, error.to_string())
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod tests_reference;
