//! Patches of pictures `[B, H, W, C]` as rows of a matrix: which pixels a window covers, and copies of some of them.

use std::ops::Range;

use candle_core::{Result, Tensor};

use super::tile;

/// A square window that moves over a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Height and width.
    pub kernel: usize,
    /// Distance of two positions.
    pub stride: usize,
    /// Rows and columns of zeros around the picture.
    pub padding: usize,
}

impl Window {
    /// Whether it covers one pixel, each once.
    pub fn is_point(&self) -> bool {
        *self == Self { kernel: 1, stride: 1, padding: 0 }
    }

    /// The window that leads from the output's gradient to the input's.
    ///
    /// # Errors
    /// For a stride other than 1.
    pub fn turned(&self) -> Result<Self> {
        if self.stride != 1 || self.padding >= self.kernel {
            candle_core::bail!("convolution: only windows of stride 1 have an input gradient, got {self:?}");
        }
        Ok(Self { padding: self.kernel - 1 - self.padding, ..*self })
    }
}

/// Pictures and the window over them.
#[derive(Clone, Copy, Debug)]
pub struct Pictures {
    /// Number of pictures.
    pub batch: usize,
    /// Values of a pixel.
    pub channels: usize,
    height: usize,
    width: usize,
    window: Window,
}

/// Where the terms of a block of columns lie: a tap and a run of channels.
struct Segment {
    row: usize,
    col: usize,
    channels: Range<usize>,
}

impl Pictures {
    /// Takes the sizes from `[B, H, W, C]`.
    ///
    /// # Errors
    /// When the channels are not those expected, or the window does not fit in.
    pub fn of(x: &Tensor, channels: usize, window: Window) -> Result<Self> {
        let (batch, height, width, got) = x.dims4()?;
        let least = height.min(width) + 2 * window.padding;
        if got != channels || window.kernel == 0 || window.stride == 0 || least < window.kernel {
            candle_core::bail!("convolution: {:?} does not take {window:?} over {channels} channels", x.dims());
        }
        Ok(Self { batch, channels, height, width, window })
    }

    /// Height of the output.
    pub fn out_height(&self) -> usize {
        (self.height + 2 * self.window.padding - self.window.kernel) / self.window.stride + 1
    }

    /// Width of the output.
    pub fn out_width(&self) -> usize {
        (self.width + 2 * self.window.padding - self.window.kernel) / self.window.stride + 1
    }

    /// Pixels of all outputs: rows of the matrix of patches.
    pub fn pixels(&self) -> usize {
        self.batch * self.out_height() * self.out_width()
    }

    /// Values of a patch, tap by tap: columns of the matrix of patches.
    pub fn terms(&self) -> usize {
        self.window.kernel * self.window.kernel * self.channels
    }

    fn segments(&self, terms: Range<usize>) -> Vec<Segment> {
        let mut segments = Vec::new();
        let mut at = terms.start;
        while at < terms.end {
            let tap = at / self.channels;
            let end = terms.end.min((tap + 1) * self.channels);
            let channels = at - tap * self.channels..end - tap * self.channels;
            segments.push(Segment { row: tap / self.window.kernel, col: tap % self.window.kernel, channels });
            at = end;
        }
        segments
    }

    /// Top left corner of the window of an output pixel: the picture's first value, its row and column, moved by the
    /// padding.
    fn corner(&self, pixel: usize) -> (usize, usize, usize) {
        let (rest, col) = (pixel / self.out_width(), pixel % self.out_width());
        let (picture, row) = (rest / self.out_height(), rest % self.out_height());
        let first = picture * self.height * self.width * self.channels;
        (first, row * self.window.stride, col * self.window.stride)
    }

    /// The values of a segment of a patch; `None` where it lies in the padding.
    #[inline(always)]
    fn values<'a>(&self, from: &'a [f32], corner: (usize, usize, usize), segment: &Segment) -> Option<&'a [f32]> {
        let (first, row, col) = corner;
        let row = (row + segment.row).checked_sub(self.window.padding).filter(|row| *row < self.height)?;
        let col = (col + segment.col).checked_sub(self.window.padding).filter(|col| *col < self.width)?;
        let start = first + (row * self.width + col) * self.channels;
        Some(&from[start + segment.channels.start..start + segment.channels.end])
    }

    /// Copies columns `terms` of the patches of output pixels from `first` on: as many rows as `to` holds.
    pub fn gather(&self, from: &[f32], first: usize, terms: Range<usize>, to: &mut [f32]) {
        let segments = self.segments(terms.clone());
        for (i, row) in to.chunks_exact_mut(terms.len()).enumerate() {
            self.gather_row(from, first + i, &segments, row);
        }
    }

    /// Copies the values of one output pixel to the start of `row`; what is left of it.
    #[inline]
    fn gather_row<'a>(&self, from: &[f32], pixel: usize, segments: &[Segment], row: &'a mut [f32]) -> &'a mut [f32] {
        let corner = self.corner(pixel);
        let mut rest = row;
        for segment in segments {
            let (target, after) = rest.split_at_mut(segment.channels.len());
            match self.values(from, corner, segment) {
                Some(values) => target.copy_from_slice(values),
                None => target.fill(0.0),
            }
            rest = after;
        }
        rest
    }

    /// As [`Pictures::gather`], laid out as a packed right operand whose steps are the pixels.
    pub fn gather_packed(&self, from: &[f32], first: usize, columns: Range<usize>, packed: &mut [f32]) {
        let width = tile::panel_width();
        let panels = columns.len().div_ceil(width).max(1);
        let steps = packed.len() / (panels * width);
        for (p, panel) in packed.chunks_exact_mut(steps * width).enumerate() {
            let start = columns.start + p * width;
            let segments = self.segments(start..columns.end.min(start + width));
            for (i, row) in panel.chunks_exact_mut(width).enumerate() {
                self.gather_row(from, first + i, &segments, row).fill(0.0);
            }
        }
    }
}
