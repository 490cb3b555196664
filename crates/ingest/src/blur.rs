//! Boxes of a picture made unrecognisable, as img2dataset does it after ImageNet's face obfuscation: a Gaussian over the
//! picture, blended in through a mask of the boxes that is blurred alike.
//!
//! What lies farther from every box than the Gaussian reaches stays as it is, and is not computed.

use serde::Deserialize;
use shards::image::Picture;

/// Left, top, right and bottom, relative to width and height, 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct RelativeBox(pub [f64; 4]);

/// Pixels from `left` up to `right` and from `top` up to `bottom`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Area {
    left: usize,
    top: usize,
    right: usize,
    bottom: usize,
}

/// Reads a cell such as `[[0.1, 0.2, 0.3, 0.4]]`; a cell without text has no boxes.
///
/// # Errors
/// In words, when the text is no list of boxes.
pub fn parse_boxes(text: &str) -> Result<Vec<RelativeBox>, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let boxes: Vec<RelativeBox> = serde_json::from_str(text).map_err(|e| e.to_string())?;
    match boxes.iter().flat_map(|relative| relative.0).find(|value| !value.is_finite()) {
        Some(value) => Err(format!("a box has {value} for a side")),
        None => Ok(boxes),
    }
}

/// Bytes that [`blur`] holds for a picture of so many pixels: the mask, and a channel blurred one way and both ways.
pub fn blur_cost(pixels: u64) -> u64 {
    pixels.saturating_mul(3 * 4)
}

/// Blurs the boxes of `picture`.
pub fn blur(picture: &mut Picture, boxes: &[RelativeBox]) {
    let (width, height) = (picture.width as usize, picture.height as usize);
    let longest = boxes.iter().map(|relative| longer_side(relative, width, height)).max().unwrap_or(0);
    let areas: Vec<Area> = boxes.iter().filter_map(|relative| grown(relative, width, height)).collect();
    let kernel = Gaussian::new(0.1 * longest.max(0) as f64);
    let Some(region) = around(&areas, kernel.radius(), width, height) else { return };
    let is_within = |x, y| areas.iter().any(|area| area.contains(x, y));
    let mask = kernel.blurred(&region, (width, height), |x, y| f32::from(u8::from(is_within(x, y))));
    let depth = picture.channels.count();
    for channel in 0..depth {
        let at = |x: usize, y: usize| (y * width + x) * depth + channel;
        let blurred = kernel.blurred(&region, (width, height), |x, y| f32::from(picture.pixels[at(x, y)]));
        let mut places = mask.iter().zip(&blurred);
        for y in region.top..region.bottom {
            for x in region.left..region.right {
                let Some((share, value)) = places.next() else { return };
                let pixel = &mut picture.pixels[at(x, y)];
                // Cut off, not rounded, as img2dataset converts.
                *pixel = (f32::from(*pixel) * (1.0 - share) + value * share + 1e-3) as u8;
            }
        }
    }
}

/// Of a box in pixels.
fn longer_side(relative: &RelativeBox, width: usize, height: usize) -> i64 {
    let [left, top, right, bottom] = in_pixels(relative, width, height);
    (right - left).max(bottom - top)
}

fn in_pixels(relative: &RelativeBox, width: usize, height: usize) -> [i64; 4] {
    let [left, top, right, bottom] = relative.0;
    // Casts saturate; within twice any side the arithmetic that follows cannot overflow.
    let pixel = |value: f64, side: usize| ((value * side as f64) as i64).clamp(-131_072, 131_072);
    [pixel(left, width), pixel(top, height), pixel(right, width), pixel(bottom, height)]
}

/// The box with a tenth of its longer side added all around, within the picture; `None` where nothing is left.
fn grown(relative: &RelativeBox, width: usize, height: usize) -> Option<Area> {
    let [left, top, right, bottom] = in_pixels(relative, width, height);
    let more = 0.1 * longer_side(relative, width, height) as f64;
    let within = |value: f64, side: usize| (value as i64).clamp(0, side as i64 - 1) as usize;
    let area = Area {
        left: within(left as f64 - more, width),
        top: within(top as f64 - more, height),
        right: within(right as f64 + more, width),
        bottom: within(bottom as f64 + more, height),
    };
    (area.left < area.right && area.top < area.bottom).then_some(area)
}

/// What lies within `reach` of an area.
fn around(areas: &[Area], reach: usize, width: usize, height: usize) -> Option<Area> {
    Some(Area {
        left: areas.iter().map(|area| area.left).min()?.saturating_sub(reach),
        top: areas.iter().map(|area| area.top).min()?.saturating_sub(reach),
        right: (areas.iter().map(|area| area.right).max()? + reach).min(width),
        bottom: (areas.iter().map(|area| area.bottom).max()? + reach).min(height),
    })
}

impl Area {
    fn contains(&self, x: usize, y: usize) -> bool {
        (self.left..self.right).contains(&x) && (self.top..self.bottom).contains(&y)
    }
}

/// The weights of a Gaussian, which sum up to 1.
struct Gaussian(Vec<f32>);

impl Gaussian {
    /// So many standard deviations in pixels; the kernel ends at the next whole pixel, as img2dataset's does.
    fn new(sigma: f64) -> Self {
        let radius = sigma.ceil() as i64;
        let weight = |at: i64| if radius == 0 { 1.0 } else { (-((at * at) as f64) / (2.0 * sigma * sigma)).exp() };
        let sum: f64 = (-radius..=radius).map(weight).sum();
        Self((-radius..=radius).map(|at| (weight(at) / sum) as f32).collect())
    }

    fn radius(&self) -> usize {
        self.0.len() / 2
    }

    /// The values of `region`, blurred; beyond the picture its pixels are mirrored, the last one not repeated.
    fn blurred(&self, region: &Area, (width, height): (usize, usize), value: impl Fn(usize, usize) -> f32) -> Vec<f32> {
        let radius = self.radius();
        let across = region.right - region.left;
        let mut row = vec![0.0; across + 2 * radius];
        // Rows that are needed above and below the region; those beyond the picture are found again by mirroring.
        let (first, last) = (region.top.saturating_sub(radius), (region.bottom + radius).min(height));
        let mut rows = Vec::with_capacity(across * (last - first));
        for y in first..last {
            for (place, cell) in row.iter_mut().enumerate() {
                *cell = value(mirrored(region.left + place, radius, width), y);
            }
            rows.extend(row.windows(self.0.len()).map(|window| dot(window, &self.0)));
        }
        let mut result = vec![0.0; across * (region.bottom - region.top)];
        for (line, y) in result.chunks_exact_mut(across).zip(region.top..) {
            for (step, weight) in self.0.iter().enumerate() {
                let from = mirrored(y + step, radius, height).clamp(first, last - 1) - first;
                let source = &rows[from * across..][..across];
                line.iter_mut().zip(source).for_each(|(sum, value)| *sum += weight * value);
            }
        }
        result
    }
}

fn dot(values: &[f32], weights: &[f32]) -> f32 {
    values.iter().zip(weights).map(|(value, weight)| value * weight).sum()
}

/// The position `ahead - back`, brought into `0..side` by mirrors at the first and last position.
fn mirrored(ahead: usize, back: usize, side: usize) -> usize {
    let period = 2 * (side - 1).max(1);
    let place = (ahead as i64 - back as i64).rem_euclid(period as i64) as usize;
    place.min(period - place).min(side - 1)
}

#[cfg(test)]
mod tests {
    use shards::image::Channels;

    use super::*;

    /// Black and white stripes of one pixel.
    fn stripes(width: u32, height: u32) -> Picture {
        let pixels = (0..width * height).map(|i| if (i % width).is_multiple_of(2) { 0 } else { 255 }).collect();
        Picture { width, height, channels: Channels::Luma, pixels }
    }

    #[test]
    fn a_box_is_blurred_and_the_rest_is_not() {
        let original = stripes(80, 60);
        let mut picture = original.clone();
        blur(&mut picture, &[RelativeBox([0.25, 0.25, 0.75, 0.75])]);
        let middle = 30 * 80 + 40;
        assert!(picture.pixels[middle].abs_diff(picture.pixels[middle + 1]) < 20, "grey within");
        assert_eq!(picture.pixels[..80 * 6], original.pixels[..80 * 6]);
        assert_eq!(picture.pixels[80 * 54..], original.pixels[80 * 54..]);
    }

    #[test]
    fn boxes_that_cover_nothing_change_nothing() {
        let original = stripes(20, 10);
        for nothing in [[0.5; 4], [0.9, 0.9, 0.1, 0.1], [2.0, 2.0, 3.0, 3.0], [-3.0, -3.0, -2.0, -2.0], [1e300; 4]] {
            let mut picture = original.clone();
            blur(&mut picture, &[RelativeBox(nothing)]);
            assert_eq!(picture, original, "{nothing:?}");
        }
    }

    #[test]
    fn any_box_of_any_picture_ends() {
        for (width, height) in [(1, 1), (1, 9), (9, 1), (2, 2), (16, 3)] {
            let mut picture = stripes(width, height);
            blur(&mut picture, &[RelativeBox([-1.0, -1e9, 5.0, 1e9]), RelativeBox([0.0, 0.0, 1.0, 1.0])]);
        }
    }

    #[test]
    fn a_flat_picture_stays_flat() {
        let mut picture = Picture { width: 30, height: 30, channels: Channels::Rgb, pixels: vec![77; 2700] };
        blur(&mut picture, &[RelativeBox([0.0, 0.0, 0.5, 1.0])]);
        assert!(picture.pixels.iter().all(|value| *value == 77));
    }

    #[test]
    fn mirrors_do_not_repeat_the_border() {
        let places: Vec<_> = (0..9).map(|ahead| mirrored(ahead, 3, 4)).collect();
        assert_eq!(places, [3, 2, 1, 0, 1, 2, 3, 2, 1]);
        assert_eq!(mirrored(5, 9, 1), 0);
    }

    #[test]
    fn cells_are_lists_of_boxes() {
        assert_eq!(parse_boxes("[[0.1, 0.2, 0.3, 0.4]]"), Ok(vec![RelativeBox([0.1, 0.2, 0.3, 0.4])]));
        assert_eq!(parse_boxes(" [] "), Ok(Vec::new()));
        assert_eq!(parse_boxes(""), Ok(Vec::new()));
        assert!(parse_boxes("[[0.1, 0.2]]").is_err());
        assert!(parse_boxes("face").is_err());
    }
}
