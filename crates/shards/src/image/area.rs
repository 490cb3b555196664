//! The mean over the area that a target pixel covers, parts of source pixels weighed by their part: OpenCV's INTER_AREA,
//! for enlarging as well.
//!
//! Rows are summed up first, whole rows at a time, which compilers turn into vector code and which touches each source
//! row once or twice; then each sum is brought to the target's width. Values stay `f32` until the end.

use wide::f32x4;

use super::Picture;

/// Adding it to a value from 0 to 255 leaves that value, rounded half to even, in the lowest byte.
const ROUNDING: f32 = 8_388_608.0;

/// A pixel is worked on as a vector of four channels, whatever number it has; those behind it are overwritten by the next.
const LANES: usize = 4;

/// The source positions that one target position covers, and their shares, which sum up to 1.
#[derive(Clone, Debug, PartialEq)]
struct Cover {
    start: usize,
    shares: Vec<f32>,
}

/// Brings `picture` to `width` times `height` pixels; it and the result have at least one.
pub fn resize_by_area(picture: &Picture, width: u32, height: u32) -> Vec<u8> {
    match picture.channels.count() {
        1 => resize_channels::<1>(picture, width, height),
        3 => resize_channels::<3>(picture, width, height),
        _ => resize_channels::<4>(picture, width, height),
    }
}

fn resize_channels<const N: usize>(picture: &Picture, width: u32, height: u32) -> Vec<u8> {
    let columns = Columns::new(&covers(picture.width, width));
    let (from, to) = (picture.width as usize * N, width as usize * N);
    let mut pixels = vec![0; to * height as usize];
    // What is read and written behind the last pixel.
    let mut sums = vec![0.0; from + columns.taps * N + LANES];
    let mut means = vec![0.0; to + LANES];
    for (line, cover) in pixels.chunks_exact_mut(to).zip(covers(picture.height, height)) {
        let rows = picture.pixels[cover.start * from..].chunks_exact(from);
        sum_rows(rows.zip(cover.shares), &mut sums[..from]);
        columns.shrink::<N>(&sums, &mut means);
        line.iter_mut().zip(&means).for_each(|(place, mean)| *place = (mean + ROUNDING).to_bits() as u8);
    }
    pixels
}

/// The covers of a row's positions, all of one length: shares of 0 follow where one covers less.
struct Columns {
    taps: usize,
    starts: Vec<usize>,
    shares: Vec<f32>,
}

impl Columns {
    fn new(covers: &[Cover]) -> Self {
        let taps = covers.iter().map(|cover| cover.shares.len()).max().unwrap_or(1);
        let padded = |cover: &Cover| {
            let mut shares = cover.shares.clone();
            shares.resize(taps, 0.0);
            shares
        };
        let shares = covers.iter().flat_map(padded).collect();
        Self { taps, starts: covers.iter().map(|cover| cover.start).collect(), shares }
    }

    /// The weighed sum of each position's pixels.
    fn shrink<const N: usize>(&self, sums: &[f32], means: &mut [f32]) {
        match self.taps {
            // Loops of a known length are unrolled.
            2 => self.shrink_by::<N>(2, sums, means),
            3 => self.shrink_by::<N>(3, sums, means),
            4 => self.shrink_by::<N>(4, sums, means),
            taps => self.shrink_by::<N>(taps, sums, means),
        }
    }

    #[inline(always)]
    fn shrink_by<const N: usize>(&self, taps: usize, sums: &[f32], means: &mut [f32]) {
        for ((at, start), shares) in (0..).step_by(N).zip(&self.starts).zip(self.shares.chunks_exact(taps)) {
            let pixels = &sums[start * N..(start + taps - 1) * N + LANES];
            let mut total = f32x4::ZERO;
            for (tap, share) in shares.iter().enumerate() {
                let pixel = pixels[tap * N..].first_chunk::<LANES>();
                total += f32x4::splat(*share) * f32x4::new(*pixel.expect("the slice ends LANES behind the last tap"));
            }
            let mean = means[at..].first_chunk_mut::<LANES>();
            *mean.expect("means are LANES longer than a row") = total.to_array();
        }
    }
}

/// What each of `to` positions covers of `from` positions.
fn covers(from: u32, to: u32) -> Vec<Cover> {
    let scale = f64::from(from) / f64::from(to);
    let cover = |target: u32| {
        let (start, end) = (f64::from(target) * scale, (f64::from(target + 1) * scale).min(f64::from(from)));
        // Slivers that only the rounding of the bounds makes are left out, as OpenCV leaves them out.
        let first = ((start + 1e-3).floor() as u32).min(from - 1);
        let last = ((end - 1e-3).ceil() as u32).clamp(first + 1, from);
        let part = |at: u32| end.min(f64::from(at + 1)) - start.max(f64::from(at));
        let whole: f64 = (first..last).map(part).sum();
        Cover { start: first as usize, shares: (first..last).map(|at| (part(at) / whole) as f32).collect() }
    };
    (0..to).map(cover).collect()
}

/// The weighed sum of rows; the first one also clears what was there.
fn sum_rows<'a>(mut rows: impl Iterator<Item = (&'a [u8], f32)>, sums: &mut [f32]) {
    let Some((row, share)) = rows.next() else { return };
    match rows.next() {
        None => sums.iter_mut().zip(row).for_each(|(sum, value)| *sum = share * f32::from(*value)),
        Some((second, other)) => {
            for ((sum, a), b) in sums.iter_mut().zip(row).zip(second) {
                *sum = share * f32::from(*a) + other * f32::from(*b);
            }
        }
    }
    for (row, share) in rows {
        sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += share * f32::from(*value));
    }
}

#[cfg(test)]
mod tests {
    use super::super::Channels;

    use super::*;

    #[test]
    fn shares_are_the_parts_that_are_covered() {
        let shares: Vec<_> = covers(5, 2).into_iter().map(|cover| (cover.start, cover.shares)).collect();
        assert_eq!(shares, [(0, vec![0.4, 0.4, 0.2]), (2, vec![0.2, 0.4, 0.4])]);
        assert_eq!(covers(2, 4)[1], Cover { start: 0, shares: vec![1.0] });
        for (from, to) in [(7, 3), (1000, 999), (3, 1000), (65_500, 256), (1, 1)] {
            for cover in covers(from, to) {
                assert!(cover.start + cover.shares.len() <= from as usize);
                assert!((cover.shares.iter().sum::<f32>() - 1.0).abs() < 1e-5);
            }
        }
    }

    /// A picture without any symmetry: `(x * 37 + y * 91 + c * 53 + x * y * 7) mod 256`.
    fn drawn(width: u32, height: u32, channels: Channels) -> Picture {
        let count = channels.count() as u32;
        let value = |i: u32| {
            let (c, x, y) = (i % count, i / count % width, i / count / width);
            (x * 37 + y * 91 + c * 53 + x * y * 7) as u8
        };
        Picture { width, height, channels, pixels: (0..width * height * count).map(value).collect() }
    }

    type Case = (((u32, u32, u32), (u32, u32)), &'static [u8]);

    #[test]
    fn results_are_those_of_opencv() {
        // cv2.resize(…, interpolation=cv2.INTER_AREA), OpenCV 4.14.
        let cases: &[Case] = &[
            (((7, 5, 1), (3, 2)), &[96, 120, 144, 122, 140, 159]),
            (((10, 6, 1), (5, 3)), &[66, 147, 100, 117, 134, 127, 108, 153, 134, 115, 124, 133, 142, 151, 96]),
            (((9, 9, 1), (3, 3)), &[107, 125, 115, 116, 140, 136, 126, 128, 130]),
            (
                ((8, 6, 3), (3, 2)),
                &[108, 129, 129, 117, 138, 159, 126, 115, 125, 112, 143, 132, 154, 132, 111, 133, 154, 121],
            ),
            (
                ((11, 4, 3), (4, 3)),
                &[
                    58, 111, 147, 129, 158, 171, 118, 101, 114, 96, 125, 161, 145, 151, 123, 111, 118, 136, 125, 131,
                    149, 138, 144, 116, 92, 122, 151, 164, 147, 119, 131, 143, 115, 110, 111, 140,
                ],
            ),
            (
                ((5, 3, 1), (7, 4)),
                &[
                    0, 22, 44, 74, 104, 126, 148, 61, 85, 111, 144, 177, 134, 57, 121, 149, 160, 129, 166, 125, 51,
                    182, 213, 192, 28, 69, 99, 130,
                ],
            ),
            (((13, 2, 1), (6, 1)), &[70, 138, 117, 106, 114, 123]),
        ];
        for (((width, height, count), (to_width, to_height)), expected) in cases {
            let channels = if *count == 1 { Channels::Luma } else { Channels::Rgb };
            let found = resize_by_area(&drawn(*width, *height, channels), *to_width, *to_height);
            let worst = found.iter().zip(*expected).map(|(a, b)| a.abs_diff(*b)).max();
            // OpenCV rounds halves up where both sides are halved, and works with fewer bits when enlarging.
            assert!(worst <= Some(1) && found.len() == expected.len(), "{width}x{height}: {found:?}");
        }
    }
}
