//! A figure as a PNG picture: lines with soft edges, letters of [`super::lettering`].

use std::io::Cursor;

use anyhow::Context;
use image::{ImageFormat, Rgb, RgbImage};

use super::figure::{Anchor, Colour, Direction, Figure, Mark};
use super::lettering;

/// Pixels of a unit.
const SCALE: f64 = 2.0;

/// The picture, encoded.
///
/// # Errors
/// When it cannot be encoded, which no picture of sensible size meets.
pub fn render(figure: &Figure) -> anyhow::Result<Vec<u8>> {
    let [width, height] = [figure.width, figure.height].map(|side| (side * SCALE).ceil().max(1.0) as u32);
    let mut canvas = Canvas { image: RgbImage::from_pixel(width, height, Rgb([255; 3])) };
    figure.marks.iter().for_each(|mark| canvas.draw(mark));
    let mut png = Cursor::new(Vec::new());
    canvas.image.write_to(&mut png, ImageFormat::Png).context("cannot encode the picture as PNG")?;
    Ok(png.into_inner())
}

struct Canvas {
    image: RgbImage,
}

/// How much of each pixel of a part of the picture is covered.
struct Cover {
    left: i64,
    top: i64,
    width: usize,
    shares: Vec<f32>,
}

impl Canvas {
    fn draw(&mut self, mark: &Mark) {
        match mark {
            Mark::Line { points, colour, width, opacity } => self.stroke(points, *width, *colour, *opacity),
            Mark::Dot { at, radius, colour } => {
                self.stroke(&[*at, *at], 2.0 * radius + 1.0, [255; 3], 1.0);
                self.stroke(&[*at, *at], 2.0 * radius, *colour, 1.0);
            }
            Mark::Text { at: [x, y], text, size, anchor, direction, colour } => {
                let shift = match anchor {
                    Anchor::Start => 0.0,
                    Anchor::Middle => -lettering::width(text, *size) / 2.0,
                    Anchor::End => -lettering::width(text, *size),
                };
                let place = |[a, b]: [f64; 2]| match direction {
                    Direction::Across => [x + shift + a, y - b],
                    Direction::Up => [x - b, y - shift - a],
                };
                for stroke in lettering::strokes(text, *size) {
                    let points: Vec<[f64; 2]> = stroke.into_iter().map(place).collect();
                    self.stroke(&points, lettering::stroke_width(*size), *colour, 1.0);
                }
            }
        }
    }

    /// A line of round ends and corners; where it crosses itself it is no darker.
    fn stroke(&mut self, points: &[[f64; 2]], width: f64, colour: Colour, opacity: f64) {
        let points: Vec<[f64; 2]> = points.iter().map(|point| point.map(|value| value * SCALE)).collect();
        let reach = width * SCALE / 2.0;
        let Some(mut cover) = Cover::around(&points, reach + 1.0, &self.image) else { return };
        points.windows(2).for_each(|ends| cover.add(ends[0], ends[1], reach));
        for (i, share) in cover.shares.iter().enumerate().filter(|(_, share)| **share > 0.0) {
            let (x, y) = (cover.left as usize + i % cover.width, cover.top as usize + i / cover.width);
            let pixel = self.image.get_pixel_mut(x as u32, y as u32);
            let share = f64::from(*share) * opacity;
            for (below, above) in pixel.0.iter_mut().zip(colour) {
                *below = (f64::from(*below) * (1.0 - share) + f64::from(above) * share).round() as u8;
            }
        }
    }
}

impl Cover {
    /// Nothing covered yet of the part around points; none where it lies outside of the picture.
    fn around(points: &[[f64; 2]], reach: f64, image: &RgbImage) -> Option<Self> {
        let bound = |axis: usize, most: u32| {
            let values = points.iter().map(|point| point[axis]).filter(|value| value.is_finite());
            let (low, high) =
                values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
            if low > high {
                return (0, 0);
            }
            let within = |value: f64| value.clamp(0.0, f64::from(most)) as i64;
            let (low, high) = (within((low - reach).floor()), within((high + reach).ceil()));
            (low, (high - low) as usize)
        };
        let ((left, width), (top, height)) = (bound(0, image.width()), bound(1, image.height()));
        (width > 0 && height > 0).then(|| Self { left, top, width, shares: vec![0.0; width * height] })
    }

    /// Covers what is within `reach` of the line from `a` to `b`.
    fn add(&mut self, a: [f64; 2], b: [f64; 2], reach: f64) {
        if !a.iter().chain(&b).all(|value| value.is_finite()) {
            return;
        }
        let height = self.shares.len() / self.width;
        let span = |low: f64, high: f64, start: i64, count: usize| {
            let first = ((low - reach - 1.0).floor() as i64 - start).clamp(0, count as i64) as usize;
            let last = ((high + reach + 1.0).ceil() as i64 - start).clamp(0, count as i64) as usize;
            first..last
        };
        let columns = span(a[0].min(b[0]), a[0].max(b[0]), self.left, self.width);
        for row in span(a[1].min(b[1]), a[1].max(b[1]), self.top, height) {
            for column in columns.clone() {
                let pixel = [(self.left + column as i64) as f64 + 0.5, (self.top + row as i64) as f64 + 0.5];
                let share = (reach + 0.5 - distance(pixel, a, b)).clamp(0.0, 1.0) as f32;
                let cell = &mut self.shares[row * self.width + column];
                *cell = cell.max(share);
            }
        }
    }
}

/// Of a point from the line between two others.
fn distance(point: [f64; 2], a: [f64; 2], b: [f64; 2]) -> f64 {
    let (dx, dy) = (b[0] - a[0], b[1] - a[1]);
    let length = dx * dx + dy * dy;
    let along = if length > 0.0 { ((point[0] - a[0]) * dx + (point[1] - a[1]) * dy) / length } else { 0.0 };
    let along = along.clamp(0.0, 1.0);
    (point[0] - a[0] - along * dx).hypot(point[1] - a[1] - along * dy)
}

#[cfg(test)]
mod tests {
    use super::super::figure::INK;
    use super::*;

    #[test]
    fn a_line_covers_its_pixels_and_no_others() {
        let mut figure = Figure { width: 20.0, height: 10.0, ..Figure::default() };
        figure.line(vec![[2.0, 5.0], [18.0, 5.0]], INK, 2.0);
        let picture = image::load_from_memory(&render(&figure).unwrap()).unwrap().into_rgb8();
        assert_eq!((picture.width(), picture.height()), (40, 20));
        assert_eq!(picture.get_pixel(20, 10).0, INK);
        assert_eq!((picture.get_pixel(20, 2).0, picture.get_pixel(0, 10).0), ([255; 3], [255; 3]));
    }

    #[test]
    fn what_lies_outside_or_is_no_number_is_left_out() {
        let mut figure = Figure { width: 8.0, height: 8.0, ..Figure::default() };
        figure.line(vec![[-50.0, -40.0], [-30.0, -40.0]], INK, 2.0);
        figure.line(vec![[f64::NAN, 1.0], [3.0, f64::INFINITY]], INK, 2.0);
        figure.text([4.0, 90.0], "far away", 12.0, Anchor::Middle, INK);
        let picture = image::load_from_memory(&render(&figure).unwrap()).unwrap().into_rgb8();
        assert!(picture.pixels().all(|pixel| pixel.0 == [255; 3]));
    }
}
