//! From a body to the picture that is stored: header checked, decoded, turned upright, put on
//! white, resized, encoded. CPU work only; never run on the async runtime.
//!
//! A JPEG that is to be shrunk to half or less is decoded at a reduced scale, as long as the
//! result is still at least as large as the target. Sizes are those of the upright picture.

mod options;

use bytes::Bytes;
use shards::image::{
    Channels, Format, ImageError, ImageHeader, JpegScale, Limits, Picture, decode, read_header, sniff,
};

use crate::encode::encode;
use crate::exif::{Orientation, Tags};
use crate::failure::{FailureKind, SampleFailure};
use crate::fetch::Fetched;
use crate::resize::{self, Interpolation};
use crate::resize_mode::{Geometry, Size, geometry};

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

/// Makes the stored picture out of a body.
///
/// # Errors
/// Any failure from `not_an_image` to `encode`.
pub fn process(fetched: &Fetched, options: &ProcessOptions) -> Result<Processed, SampleFailure> {
    let body = &fetched.body;
    let hash = options.compute_hash.map(|hash| hash.hex(body));
    if options.reencode == Reencode::Never {
        let exif = options.extract_exif.then(|| Tags::read(body).to_json());
        return Ok(Processed { image: body.clone(), size: None, original_size: None, exif, hash });
    }
    if sniff(body).is_none() {
        return Err(not_an_image(fetched));
    }
    let limits = Limits { max_pixels: options.max_image_pixels, max_side: MAX_SIDE };
    let header = read_header(body, &limits).map_err(failure)?;
    let tags = Tags::read(body);
    let orientation = tags.orientation();
    let original = upright(Size::new(header.width, header.height), orientation);
    check_size(original, options)?;

    let exif = options.extract_exif.then(|| tags.to_json());
    let geometry = geometry(options.resize_mode, options.image_size, options.resize_only_if_bigger, original);
    if is_stored_as_it_came(&header, geometry, orientation, options) {
        // Decoded all the same: a shard holds only pictures that can be read.
        decode(body, &limits, JpegScale::Full).map_err(failure)?;
        let original_size = Some(original);
        return Ok(Processed { image: body.clone(), size: original_size, original_size, exif, hash });
    }
    let picture = decode(body, &limits, scale(&header, geometry, original, options)).map_err(failure)?;
    let picture = shaped(orientation.apply(on_white(picture)), geometry, original, options)?;
    let size = Some(Size::new(picture.width, picture.height));
    let image = encode(picture, options.encode_format, options.quality())?.into();
    Ok(Processed { image, size, original_size: Some(original), exif, hash })
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

fn is_stored_as_it_came(
    header: &ImageHeader,
    geometry: Geometry,
    orientation: Orientation,
    options: &ProcessOptions,
) -> bool {
    options.reencode == Reencode::WhenChanged
        && geometry == Geometry::Keep
        && orientation.is_upright()
        && options.encode_format.is(header.format)
}

/// The size that the resizing aims at, before padding or cropping.
fn resized(geometry: Geometry, original: Size) -> Size {
    match geometry {
        Geometry::Keep => original,
        Geometry::Resize(size) | Geometry::Crop(size, _) | Geometry::Pad(size, _) => size,
    }
}

/// The smallest scale at which the decoder still gives as many pixels as are wanted.
fn scale(header: &ImageHeader, geometry: Geometry, original: Size, options: &ProcessOptions) -> JpegScale {
    if header.format != Format::Jpeg || options.downscale_interpolation != Interpolation::Area {
        return JpegScale::Full;
    }
    let target = resized(geometry, original);
    let suffices = |scale: &JpegScale| {
        scale.apply(original.width) >= target.width && scale.apply(original.height) >= target.height
    };
    [JpegScale::Eighth, JpegScale::Quarter, JpegScale::Half].into_iter().find(suffices).unwrap_or(JpegScale::Full)
}

fn shaped(
    picture: Picture,
    geometry: Geometry,
    original: Size,
    options: &ProcessOptions,
) -> Result<Picture, SampleFailure> {
    let target = resized(geometry, original);
    if target == original && geometry == Geometry::Keep {
        return Ok(picture);
    }
    let enlarges = target.width > original.width || target.height > original.height;
    let interpolation = if enlarges { options.upscale_interpolation } else { options.downscale_interpolation };
    let picture = resize::resize(&picture, target, interpolation)?;
    match geometry {
        Geometry::Crop(_, placement) => resize::crop(&picture, placement),
        Geometry::Pad(_, placement) => resize::pad(&picture, placement),
        Geometry::Keep | Geometry::Resize(_) => Ok(picture),
    }
}

/// What shines through is white; pictures without transparency stay as they are.
fn on_white(picture: Picture) -> Picture {
    if picture.channels != Channels::Rgba {
        return picture;
    }
    let blend = |color: u8, alpha: u8| {
        let (color, alpha) = (u32::from(color), u32::from(alpha));
        // Rounded to nearest; at most 255.
        ((color * alpha + 255 * (255 - alpha) + 127) / 255) as u8
    };
    let pixels = picture
        .pixels
        .chunks_exact(4)
        .flat_map(|p| [blend(p[0], p[3]), blend(p[1], p[3]), blend(p[2], p[3])])
        .collect();
    Picture { width: picture.width, height: picture.height, channels: Channels::Rgb, pixels }
}

fn not_an_image(fetched: &Fetched) -> SampleFailure {
    let claimed = fetched.content_type.as_deref().unwrap_or("no type");
    let claimed: String = claimed.chars().take(80).collect();
    let start: String = fetched.body.iter().take(16).map(|byte| byte.escape_ascii().to_string()).collect();
    let message = format!("expected a picture, got {claimed} starting with `{start}`");
    SampleFailure::new(FailureKind::NotAnImage, message)
}

fn failure(error: ImageError) -> SampleFailure {
    let kind = match &error {
        ImageError::UnknownFormat { .. } => FailureKind::NotAnImage,
        ImageError::TooLarge { .. } => FailureKind::TooManyPixels,
        ImageError::Truncated { .. } => FailureKind::TruncatedImage,
        ImageError::Encode { .. } => FailureKind::Encode,
        _ => FailureKind::Decode,
    };
    SampleFailure::new(kind, error.to_string())
}

#[cfg(test)]
mod tests;
