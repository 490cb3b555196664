//! The zip archives that PyTorch writes: what holds values is stored, not compressed, so that each entry is a range of the
//! file. Owns finding them; knows nothing of tensors.

use std::collections::HashMap;
use std::ops::Range;

/// The record at the very end, without its comment.
const END: u32 = 0x0605_4b50;
const END_LEN: usize = 22;
/// The comment is no longer than this.
const MAX_COMMENT: usize = 0xffff;
/// Where the end record for large files is.
const LOCATOR: u32 = 0x0706_4b50;
const LOCATOR_LEN: usize = 20;
const LARGE_END: u32 = 0x0606_4b50;
/// An entry of the directory, and an entry itself.
const DIRECTORY: u32 = 0x0201_4b50;
const DIRECTORY_LEN: usize = 46;
const ENTRY: u32 = 0x0403_4b50;
const ENTRY_LEN: usize = 30;
/// Kind of the extra field that holds sizes of 64 bits.
const LARGE_FIELD: u16 = 1;

/// Whether a file begins as a zip archive does.
pub(super) fn is_archive(bytes: &[u8]) -> bool {
    number::<4>(bytes, 0).is_some_and(|signature| signature as u32 == ENTRY)
}

/// Names of all entries that are stored, and where their bytes lie; what is compressed (the code of compiled modules) is
/// passed over. A name that occurs twice is refused, for two readers could take different ones.
pub(super) fn entries(bytes: &[u8]) -> Result<HashMap<String, Range<usize>>, String> {
    let (mut at, count) = directory(bytes).ok_or("the zip directory at its end is missing: the file is cut off")?;
    let mut entries = HashMap::new();
    for index in 0..count {
        let (name, range, next) =
            entry(bytes, at).ok_or_else(|| format!("entry {index} of the zip directory is damaged"))?;
        at = next;
        let Some(range) = range else { continue };
        if entries.insert(name.clone(), range).is_some() {
            return Err(format!("the zip archive has two entries `{name}`"));
        }
    }
    Ok(entries)
}

/// A little-endian number of `N` bytes.
fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<u64> {
    let field = bytes.get(at..at.checked_add(N)?)?;
    Some(field.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

fn size(value: u64) -> Option<usize> {
    usize::try_from(value).ok()
}

/// Start of the directory and number of its entries.
fn directory(bytes: &[u8]) -> Option<(usize, usize)> {
    let last = bytes.len().checked_sub(END_LEN)?;
    let first = last.saturating_sub(MAX_COMMENT);
    let end = (first..=last).rev().find(|at| number::<4>(bytes, *at) == Some(u64::from(END)))?;
    let (count, start) = (number::<2>(bytes, end + 10)?, number::<4>(bytes, end + 16)?);
    if count < 0xffff && start < 0xffff_ffff {
        return Some((size(start)?, size(count)?));
    }
    let locator = end.checked_sub(LOCATOR_LEN).filter(|at| number::<4>(bytes, *at) == Some(u64::from(LOCATOR)));
    let Some(locator) = locator else { return Some((size(start)?, size(count)?)) };
    let large = size(number::<8>(bytes, locator + 8)?)?;
    (number::<4>(bytes, large)? == u64::from(LARGE_END)).then_some(())?;
    let (count, start) = (number::<8>(bytes, large.checked_add(32)?)?, number::<8>(bytes, large.checked_add(48)?)?);
    // Every entry takes room in the directory, so that a count cannot be larger than the file.
    (count as usize <= bytes.len() / DIRECTORY_LEN).then_some((size(start)?, size(count)?))
}

/// Name and bytes of the entry whose directory record is at `at` (no bytes where it is compressed), and where the next record
/// is.
fn entry(bytes: &[u8], at: usize) -> Option<(String, Option<Range<usize>>, usize)> {
    (number::<4>(bytes, at)? == u64::from(DIRECTORY)).then_some(())?;
    let stored = number::<2>(bytes, at + 10)? == 0;
    let (packed, length) = (number::<4>(bytes, at + 20)?, number::<4>(bytes, at + 24)?);
    let sizes = [28, 30, 32].map(|field| number::<2>(bytes, at + field).map(|size| size as usize));
    let [name_len, extra_len, comment_len] = [sizes[0]?, sizes[1]?, sizes[2]?];
    let offset = number::<4>(bytes, at + 42)?;
    let name_start = at + DIRECTORY_LEN;
    let name = std::str::from_utf8(bytes.get(name_start..name_start + name_len)?).ok()?.to_owned();
    let extra = bytes.get(name_start + name_len..name_start + name_len + extra_len)?;
    let next = name_start + name_len + extra_len + comment_len;
    if !stored {
        return Some((name, None, next));
    }
    let [length, packed, offset] = large_sizes(extra, [length, packed, offset])?;
    (length == packed).then_some(())?;
    let local = size(offset)?;
    (number::<4>(bytes, local)? == u64::from(ENTRY)).then_some(())?;
    let skipped = number::<2>(bytes, local.checked_add(26)?)? + number::<2>(bytes, local.checked_add(28)?)?;
    let start = local.checked_add(ENTRY_LEN + skipped as usize)?;
    let range = start..start.checked_add(size(length)?)?;
    bytes.get(range.clone())?;
    Some((name, Some(range), next))
}

/// Length, packed length and offset, each from the extra field where it does not fit into 32 bits.
fn large_sizes(mut extra: &[u8], mut sizes: [u64; 3]) -> Option<[u64; 3]> {
    if sizes.iter().all(|size| *size < 0xffff_ffff) {
        return Some(sizes);
    }
    while let (Some(kind), Some(length)) = (number::<2>(extra, 0), number::<2>(extra, 2)) {
        let field = extra.get(4..4 + length as usize)?;
        if kind == u64::from(LARGE_FIELD) {
            let large = sizes.iter_mut().filter(|size| **size == 0xffff_ffff);
            for (size, at) in large.zip((0..).step_by(8)) {
                *size = number::<8>(field, at)?;
            }
            return Some(sizes);
        }
        extra = extra.get(4 + length as usize..)?;
    }
    None
}
