//! The chunks of a WebP file up to its first frame: how large the picture within is, which may be larger than the canvas
//! around it says, and how much memory its decoder takes.

use super::cost::DecodeMemory;

/// The first frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Frame {
    /// Width and height by the lossy bitstream; `None` where it is lossless, which its decoder compares by itself.
    pub lossy_size: Option<(u32, u32)>,
    has_alpha_chunk: bool,
    is_animated: bool,
}

impl Frame {
    /// Reads the chunks of a file.
    pub(super) fn read(bytes: &[u8]) -> Self {
        let mut frame = Self::default();
        frame.walk(bytes.get(12..).unwrap_or_default());
        frame
    }

    fn walk(&mut self, mut rest: &[u8]) {
        while let Some((name, payload, after)) = chunk(rest) {
            match name {
                b"VP8 " => {
                    self.lossy_size = lossy_size(payload);
                    return;
                }
                b"VP8L" => return,
                b"ALPH" => self.has_alpha_chunk = true,
                b"ANMF" => {
                    self.is_animated = true;
                    return self.walk(payload.get(16..).unwrap_or_default());
                }
                _ => {}
            }
            rest = after;
        }
    }

    /// Pixels out, planes of brightness and colour, opacity, and for an animation a canvas and a frame of their own.
    pub(super) fn memory(self) -> DecodeMemory {
        let (planes, opacity) = (2, if self.has_alpha_chunk { 5 } else { 0 });
        DecodeMemory::per_pixel(match (self.is_animated, self.lossy_size) {
            (true, _) => 4 + 4 + 4 + planes + opacity,
            (false, Some(_)) => 4 + planes + opacity,
            (false, None) => 4 + 4 + 1,
        })
    }
}

fn chunk(bytes: &[u8]) -> Option<(&[u8; 4], &[u8], &[u8])> {
    let (name, rest) = bytes.split_first_chunk::<4>()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length) as usize;
    let payload = &rest[..length.min(rest.len())];
    let after = rest.get(length.checked_add(length % 2)?..).unwrap_or_default();
    Some((name, payload, after))
}

/// Fourteen bits each after the frame's tag and start code.
fn lossy_size(payload: &[u8]) -> Option<(u32, u32)> {
    let side = |at: usize| Some(u32::from(u16::from_le_bytes([*payload.get(at)?, *payload.get(at + 1)?]) & 0x3fff));
    Some((side(6)?, side(8)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
        let mut bytes = b"RIFF\0\0\0\0WEBP".to_vec();
        for (name, payload) in chunks {
            bytes.extend_from_slice(*name);
            bytes.extend_from_slice(&(payload.len() as u32).to_le_bytes());
            bytes.extend_from_slice(payload);
            bytes.resize(bytes.len().next_multiple_of(2), 0);
        }
        bytes
    }

    const LOSSY: &[u8] = &[0, 0, 0, 0x9d, 1, 0x2a, 0xff, 0x3f, 0x10, 0];

    #[test]
    fn the_size_within_is_found_behind_other_chunks() {
        let still = Frame::read(&file(&[(b"VP8X", &[0; 10]), (b"ALPH", b"abc"), (b"VP8 ", LOSSY)]));
        assert_eq!(still, Frame { lossy_size: Some((16_383, 16)), has_alpha_chunk: true, is_animated: false });
        let inner = file(&[(b"VP8 ", LOSSY)]);
        let mut animated = vec![0; 16];
        animated.extend_from_slice(&inner[12..]);
        let animated = Frame::read(&file(&[(b"VP8X", &[0; 10]), (b"ANMF", &animated)]));
        assert_eq!(animated, Frame { lossy_size: Some((16_383, 16)), has_alpha_chunk: false, is_animated: true });
    }

    #[test]
    fn what_is_cut_off_is_not_read() {
        let whole = file(&[(b"VP8X", &[0; 10]), (b"VP8 ", LOSSY)]);
        for cut in 0..whole.len() {
            assert_eq!(Frame::read(&whole[..cut]).lossy_size, None, "{cut}");
        }
    }
}
