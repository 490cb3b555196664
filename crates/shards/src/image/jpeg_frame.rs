//! The markers of a JPEG: where its first scan begins, and its frame, which decides how much memory libjpeg-turbo takes.

use super::cost::DecodeMemory;

/// Components and how they are sampled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    width: u64,
    height: u64,
    /// Horizontal and vertical sampling factors.
    sampling: Vec<(u64, u64)>,
    /// Whether the coefficients of the whole picture are kept until the last scan has been read.
    keeps_coefficients: bool,
}

impl Frame {
    /// The frame that stands before the first scan; `None` where the markers are damaged.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes.get(2..)?;
        let mut frame = None;
        loop {
            let (marker, payload, after) = segment(rest)?;
            rest = after;
            match marker {
                // Start of frame; 0xc4, 0xc8 and 0xcc share the range and are none.
                0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => frame = Some(Self::parse(marker, payload)?),
                0xda => {
                    let mut frame = frame?;
                    frame.keeps_coefficients |= usize::from(*payload.first()?) < frame.sampling.len();
                    return Some(frame);
                }
                _ => {}
            }
        }
    }

    fn parse(marker: u8, payload: &[u8]) -> Option<Self> {
        let side = |at: usize| Some(u64::from(u16::from_be_bytes([*payload.get(at)?, *payload.get(at + 1)?])));
        let count = usize::from(*payload.get(5)?);
        let components = payload.get(6..6 + 3 * count)?.chunks_exact(3);
        let factors = |factors: u8| (u64::from(factors >> 4).clamp(1, 4), u64::from(factors & 15).clamp(1, 4));
        Some(Self {
            width: side(3)?,
            height: side(1)?,
            sampling: components.map(|component| factors(component[1])).collect(),
            keeps_coefficients: matches!(marker, 0xc2 | 0xc6 | 0xca | 0xce),
        })
    }

    /// What the decoder holds beside a picture of `channels` bytes a pixel.
    pub(super) fn memory(&self, channels: u64) -> DecodeMemory {
        let unscaled = if self.keeps_coefficients { self.coefficient_bytes() } else { 0 };
        DecodeMemory { unscaled, per_pixel: channels }
    }

    /// Two bytes for each coefficient of each component, in whole blocks of the largest sampling.
    fn coefficient_bytes(&self) -> u64 {
        let most = |of: fn(&(u64, u64)) -> u64| self.sampling.iter().map(of).max().unwrap_or(1);
        let (across, down) = (most(|factors| factors.0), most(|factors| factors.1));
        let units = self.width.div_ceil(8 * across) * self.height.div_ceil(8 * down);
        self.sampling.iter().map(|(h, v)| units * h * v * 64 * 2).sum()
    }
}

/// A JPEG up to its first scan; other files, and JPEGs whose markers are damaged, as they are.
pub fn before_scan(bytes: &[u8]) -> &[u8] {
    scan_start(bytes).map_or(bytes, |start| &bytes[..start])
}

fn scan_start(bytes: &[u8]) -> Option<usize> {
    let mut rest = bytes.strip_prefix(&[0xff, 0xd8])?;
    loop {
        let (marker, payload, after) = segment(rest)?;
        match marker {
            // Marker and length stand before what belongs to it.
            0xda => return Some(bytes.len() - after.len() - payload.len() - 4),
            0x01 | 0xd0..=0xd9 => return None,
            _ => rest = after,
        }
    }
}

/// The next marker, what belongs to it, and what follows.
fn segment(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let start = bytes.windows(2).position(|two| two[0] == 0xff && !matches!(two[1], 0 | 0xff))?;
    let marker = bytes[start + 1];
    let rest = &bytes[start + 2..];
    if matches!(marker, 0x01 | 0xd0..=0xd9) {
        return Some((marker, &[], rest));
    }
    let length = usize::from(u16::from_be_bytes([*rest.first()?, *rest.get(1)?]));
    Some((marker, rest.get(2..length)?, &rest[length..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame of 100x50, 4:2:0, then a scan of `in_scan` components.
    fn jpeg(start_of_frame: u8, in_scan: u8) -> Vec<u8> {
        let mut bytes = vec![0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 2, 0xff, start_of_frame, 0, 17, 8, 0, 50, 0, 100, 3];
        bytes.extend_from_slice(&[1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1, 0xff, 0xda, 0, 3, in_scan, 0, 0]);
        bytes
    }

    #[test]
    fn the_head_of_a_jpeg_ends_at_its_scan() {
        let head = b"\xff\xd8\xff\xe0\0\x04ab\xff\xdb\0\x03q".to_vec();
        let scan = b"\xff\xda\0\x02\xff\xe1\0\x08Exif\0\0";
        assert_eq!(before_scan(&[head.as_slice(), scan].concat()), head);
        for whole in [&head[..], &head[..5], b"\xff\xd8", b"\xff\xd8\xff\xd8\xff\xda\0\x02", b"II*\0", b""] {
            assert_eq!(before_scan(whole), whole);
        }
    }

    #[test]
    fn coefficients_are_kept_by_progressive_and_by_separate_scans() {
        let memory = |start_of_frame, in_scan| Frame::read(&jpeg(start_of_frame, in_scan)).unwrap().memory(3);
        assert_eq!(memory(0xc0, 3), DecodeMemory { unscaled: 0, per_pixel: 3 });
        // 7 x 4 units of six blocks.
        let kept = DecodeMemory { unscaled: 7 * 4 * 6 * 128, per_pixel: 3 };
        assert_eq!(memory(0xc2, 3), kept);
        assert_eq!(memory(0xc0, 1), kept);
    }

    #[test]
    fn damaged_markers_are_no_frame() {
        let whole = jpeg(0xc2, 3);
        for cut in 0..whole.len() - 3 {
            assert_eq!(Frame::read(&whole[..cut]), None, "{cut}");
        }
    }
}
