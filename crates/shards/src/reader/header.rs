//! One header block of a tar: v7, ustar or GNU, and the records of a pax header.

use super::blocks::BLOCK;

/// What the reader needs of a header block.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) name: String,
    pub(super) size: u64,
    pub(super) kind: Kind,
}

/// What a header announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A file, its content behind the header.
    File,
    /// A link or device: nothing behind the header, whatever its size says.
    Link,
    /// A folder: nothing behind the header either.
    Folder,
    /// Content that is passed over: global pax records, long link names, names of volumes.
    Passed,
    /// A kind that is not known, whose content is passed over.
    Unknown,
    /// pax records for the next member.
    PaxRecords,
    /// The next member's name.
    LongName,
    /// A GNU sparse file, which is not supported.
    Sparse,
}

impl Header {
    /// # Errors
    /// What is wrong with the block.
    pub(super) fn parse(block: &[u8; BLOCK]) -> Result<Self, String> {
        let stored = number(&block[148..156]).filter(|sum| is_checksum(block, *sum));
        if stored.is_none() {
            let start = block[..64].escape_ascii();
            return Err(format!("expected a tar header, its checksum is wrong (starts with `{start}`)"));
        }
        let name = name(block);
        let size = number(&block[124..136]).ok_or_else(|| {
            let got = block[124..136].escape_ascii();
            format!("expected the size of member `{name}` in octal digits, got `{got}`")
        })?;
        let kind = match block[156] {
            0 if name.ends_with('/') => Kind::Folder,
            0 | b'0' | b'7' => Kind::File,
            b'5' => Kind::Folder,
            b'1'..=b'6' => Kind::Link,
            b'x' | b'X' => Kind::PaxRecords,
            b'L' => Kind::LongName,
            b'S' => Kind::Sparse,
            b'g' | b'K' | b'V' => Kind::Passed,
            _ => Kind::Unknown,
        };
        Ok(Self { name, size, kind })
    }
}

/// The records of a pax header that change how the next member is read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct PaxRecords {
    pub(super) path: Option<String>,
    pub(super) size: Option<u64>,
}

impl PaxRecords {
    /// # Errors
    /// What is wrong with the records.
    pub(super) fn parse(mut records: &[u8]) -> Result<Self, String> {
        let mut parsed = Self::default();
        while !records.is_empty() && records[0] != 0 {
            let (record, rest) = split_record(records).ok_or("a pax record is malformed")?;
            records = rest;
            let Some(equals) = record.iter().position(|byte| *byte == b'=') else { continue };
            let (key, value) = (&record[..equals], &record[equals + 1..]);
            match key {
                b"path" => parsed.path = Some(text(value).trim_end_matches('/').to_string()),
                b"size" => parsed.size = Some(text(value).parse().map_err(|_| "a pax size is no number")?),
                _ if key.starts_with(b"GNU.sparse.") => return Err("sparse members are not supported".into()),
                _ => {}
            }
        }
        Ok(parsed)
    }
}

/// Text up to its first zero byte.
pub(super) fn text(field: &[u8]) -> String {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    String::from_utf8_lossy(&field[..end]).into_owned()
}

/// `LENGTH KEY=VALUE\n`, where the length counts itself; returns `KEY=VALUE` and what follows.
fn split_record(records: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = records.iter().position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(&records[..space]).ok()?.parse().ok()?;
    if length > records.len() || length < space + 2 || records[length - 1] != b'\n' {
        return None;
    }
    Some((&records[space + 1..length - 1], &records[length..]))
}

fn name(block: &[u8; BLOCK]) -> String {
    let (name, prefix) = (text(&block[..100]), text(&block[345..500]));
    // GNU's own magic has a space here and other things where ustar has the prefix.
    let is_ustar = &block[257..263] == b"ustar\0";
    if is_ustar && !prefix.is_empty() { format!("{prefix}/{name}") } else { name }
}

/// Octal digits between blanks, or base 256 where the first bit is set; empty means 0.
fn number(field: &[u8]) -> Option<u64> {
    if field[0] & 0x80 != 0 {
        return base_256(field);
    }
    let digits = text(field);
    let digits = digits.trim_matches(' ');
    if digits.is_empty() { Some(0) } else { u64::from_str_radix(digits, 8).ok() }
}

fn base_256(field: &[u8]) -> Option<u64> {
    // A negative number, which no size or checksum is, begins with 0xff.
    let first = u64::from(field[0] & 0x7f);
    let shift = |value: u64, byte: &u8| value.checked_mul(256)?.checked_add(u64::from(*byte));
    if field[0] == 0xff { None } else { field[1..].iter().try_fold(first, shift) }
}

/// Old writers summed signed bytes.
fn is_checksum(block: &[u8; BLOCK], stored: u64) -> bool {
    let byte = |(index, byte): (usize, &u8)| if (148..156).contains(&index) { b' ' } else { *byte };
    let unsigned: i64 = block.iter().enumerate().map(|at| i64::from(byte(at))).sum();
    let signed: i64 = block.iter().enumerate().map(|at| i64::from(byte(at) as i8)).sum();
    i64::try_from(stored).is_ok_and(|stored| stored == unsigned || stored == signed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_base_256() {
        assert_eq!(number(b"0000644\0"), Some(0o644));
        assert_eq!(number(b"   17 \0 "), Some(0o17));
        assert_eq!(number(b"\0\0\0\0"), Some(0));
        assert_eq!(number(&[0x80, 0, 1, 2]), Some(258));
        assert_eq!(number(&[0xff; 12]), None);
        assert_eq!(number(&[0x80, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), None);
        assert_eq!(number(b"12x4"), None);
    }

    #[test]
    fn pax_records_are_split_by_their_lengths() {
        let parsed = PaxRecords::parse(b"13 path=a=b\n\n12 size=99\n\n").err();
        assert!(parsed.is_some());
        let records = PaxRecords::parse("15 path=d/\u{e9}/x\n11 size=42\n20 mtime=1700000.25\n".as_bytes()).unwrap();
        assert_eq!(records, PaxRecords { path: Some("d/\u{e9}/x".into()), size: Some(42) });
        for broken in ["5 a=b\n", "x a=b\n", "999 a=b\n", "11 size=-2\n"] {
            assert!(PaxRecords::parse(broken.as_bytes()).is_err(), "{broken}");
        }
    }
}
