//! NumPy's file format, version 1.0, for a matrix of `float16`.

use half::f16;

/// Begins every file.
const MAGIC: &[u8] = b"\x93NUMPY\x01\x00";
/// The values begin at a multiple of this.
const ALIGNMENT: usize = 64;

/// A matrix of rows of `width` values.
pub fn float16(values: &[f32], width: usize) -> Vec<u8> {
    let rows = values.len() / width.max(1);
    let mut header = format!("{{'descr': '<f2', 'fortran_order': False, 'shape': ({rows}, {width}), }}").into_bytes();
    let unpadded = MAGIC.len() + 2 + header.len() + 1;
    header.resize(header.len() + unpadded.next_multiple_of(ALIGNMENT) - unpadded, b' ');
    header.push(b'\n');
    let mut file = MAGIC.to_vec();
    file.extend((header.len() as u16).to_le_bytes());
    file.extend(header);
    file.extend(values.iter().flat_map(|value| f16::from_f32(*value).to_le_bytes()));
    file
}

#[cfg(test)]
mod tests {
    use super::float16;

    #[test]
    fn header_is_padded_and_values_follow() {
        let file = float16(&[1.0, -2.0, 0.5, 0.0], 2);
        assert_eq!(file.len(), 128 + 8);
        assert!(file[10..128].starts_with(b"{'descr': '<f2', 'fortran_order': False, 'shape': (2, 2), }"));
        assert_eq!((file[127], &file[128..132]), (b'\n', &[0x00, 0x3c, 0x00, 0xc0][..]));
    }
}
