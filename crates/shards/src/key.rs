//! Sample keys: how a member's name splits into key and extension, and how the keys that
//! img2dataset gives are numbered.

use std::fmt;

/// The name that the members of one sample share, folders included.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SampleKey(String);

impl SampleKey {
    /// Takes `key` as it is.
    pub fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SampleKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Splits a member's name into key and lower-cased extension at the first dot of its base
/// name, as webdataset's `^((?:.*/|)[^.]+)[.]([^/]*)$` does: `a/b.c/x.seg.png` is
/// (`a/b.c/x`, `seg.png`). `None` where that pattern does not match (no dot, or a hidden file
/// at the root).
pub fn split_name(name: &str) -> Option<(&str, String)> {
    let base = name.rfind('/').map_or(0, |slash| slash + 1);
    let dot = base + name[base..].find('.')?;
    // The pattern wants a character before the dot, and where the base name starts with its dot,
    // the folder above it serves, if that has no dot itself.
    if dot == base {
        let folder = name[..base].strip_suffix('/')?;
        let folder = &folder[folder.rfind('/').map_or(0, |slash| slash + 1)..];
        if folder.contains('.') {
            return None;
        }
    }
    Some((&name[..dot], name[dot + 1..].to_lowercase()))
}

/// img2dataset's numbering: `shard_digits` digits of the shard, then as many digits as the row
/// within the shard can need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyFormat {
    shard_digits: usize,
    sample_digits: usize,
}

impl KeyFormat {
    /// `oom_shard_count` digits for the shard; `ceil(log10(number_sample_per_shard))` for the row.
    pub fn new(oom_shard_count: usize, number_sample_per_shard: usize) -> Self {
        let mut sample_digits = 0;
        let mut reach = 1usize;
        while reach < number_sample_per_shard {
            reach = reach.saturating_mul(10);
            sample_digits += 1;
        }
        Self { shard_digits: oom_shard_count, sample_digits }
    }

    /// The shard's name without extension: `00012`.
    pub fn shard_name(&self, shard_id: u64) -> String {
        format!("{shard_id:0width$}", width = self.shard_digits)
    }

    /// The key of row `index` in shard `shard_id`: `000120005`.
    pub fn key(&self, shard_id: u64, index: u64) -> SampleKey {
        let number = u128::from(shard_id) * 10u128.pow(self.sample_digits as u32) + u128::from(index);
        SampleKey(format!("{number:0width$}", width = self.shard_digits + self.sample_digits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_split_as_webdataset_splits_them() {
        let cases = [
            ("a.jpg", Some(("a", "jpg"))),
            ("x.seg.JPG", Some(("x", "seg.jpg"))),
            ("a/b.c/x.txt", Some(("a/b.c/x", "txt"))),
            ("./q.jpg", Some(("./q", "jpg"))),
            ("noext", None),
            (".hidden", None),
            ("a/.hid.jpg", Some(("a/", "hid.jpg"))),
            ("a.b/.hid.jpg", None),
            ("a.b//.hid.jpg", Some(("a.b//", "hid.jpg"))),
            ("x.", Some(("x", ""))),
            ("x..jpg", Some(("x", ".jpg"))),
        ];
        for (name, expected) in cases {
            let split = split_name(name);
            assert_eq!(split.as_ref().map(|(k, e)| (*k, e.as_str())), expected, "{name}");
        }
    }

    #[test]
    fn keys_are_numbered_as_img2dataset_numbers_them() {
        assert_eq!(KeyFormat::new(5, 10_000).key(1, 5).as_str(), "000010005");
        assert_eq!(KeyFormat::new(5, 40).key(1, 5).as_str(), "0000105");
        assert_eq!(KeyFormat::new(8, 10_000).key(0, 0).as_str().len(), 12);
        assert_eq!(KeyFormat::new(5, 1).key(7, 0).as_str(), "00007");
        assert_eq!(KeyFormat::new(5, 10).shard_name(12), "00012");
    }
}
