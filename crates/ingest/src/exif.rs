//! EXIF tags: the orientation that a picture is to be shown in, and all tags as JSON text.

use std::fmt::Write;
use std::io::Cursor;

use exif::{Context, Exif, In, Reader, Tag};
use serde_json::{Map, Value};
use shards::image::{Picture, before_scan};

/// Longer values (maker notes, thumbnails) say nothing in a table.
const MAX_VALUE_CHARS: usize = 1000;

/// More than any camera writes, and the most that a JPEG can hold. Tags may overlap, so that a larger block can claim
/// more values than there is memory for.
const MAX_BLOCK_BYTES: usize = 64 << 10;

/// Memory that the values of all tags may take.
const MAX_VALUES_BYTES: usize = 4 << 20;

/// The tags of a picture; empty where it has none or they are damaged.
pub struct Tags {
    exif: Option<Exif>,
    orientation: Orientation,
}

impl Tags {
    /// Reads the tags of an encoded picture (JPEG, PNG, WebP, TIFF). Of a block of more than 64 KiB only the orientation
    /// is read.
    pub fn read(bytes: &[u8]) -> Self {
        let is_tiff = bytes.starts_with(b"II*\0") || bytes.starts_with(b"MM\0*");
        if is_tiff && bytes.len() > MAX_BLOCK_BYTES {
            return Self { exif: None, orientation: Orientation::of_block(bytes) };
        }
        // Behind the start of the scan nobody writes tags, and everything would be searched for them.
        let mut reader = Reader::new();
        let exif = reader.continue_on_error(true).read_from_container(&mut Cursor::new(before_scan(bytes)));
        let exif = exif.or_else(|e| e.distill_partial_result(|_| ())).ok();
        let orientation = Orientation::of_block(exif.as_ref().map_or(&[], Exif::buf));
        Self { exif: exif.filter(|exif| exif.buf().len() <= MAX_BLOCK_BYTES), orientation }
    }

    /// How the stored pixels are to be turned.
    pub fn orientation(&self) -> Orientation {
        self.orientation
    }

    /// All tags as a JSON object such as `{"Image Make": "Canon", "EXIF ISOSpeedRatings": "100"}`.
    pub fn to_json(&self) -> String {
        let mut tags = Map::new();
        let mut taken = 0;
        for field in self.exif.iter().flat_map(Exif::fields).filter(|field| field.tag != Tag::MakerNote) {
            if let Some(text) = short_text(field) {
                tags.insert(format!("{} {}", group(field), field.tag), Value::from(text));
            }
            taken += value_bytes(&field.value);
            if taken > MAX_VALUES_BYTES {
                break;
            }
        }
        Value::Object(tags).to_string()
    }
}

/// The value in words, where these are few.
fn short_text(field: &exif::Field) -> Option<String> {
    let mut text = Bounded(String::new());
    write!(text, "{}", field.display_value()).ok()?;
    (text.0.chars().count() <= MAX_VALUE_CHARS).then_some(text.0)
}

/// A text that stops growing.
struct Bounded(String);

impl Write for Bounded {
    fn write_str(&mut self, more: &str) -> std::fmt::Result {
        // A character has four bytes at most.
        if self.0.len() + more.len() > MAX_VALUE_CHARS * 4 {
            return Err(std::fmt::Error);
        }
        self.0.push_str(more);
        Ok(())
    }
}

/// What a value takes in memory, about: texts are kept one by one.
fn value_bytes(value: &exif::Value) -> usize {
    match value {
        exif::Value::Ascii(texts) => texts.iter().map(|text| text.len() + 24).sum(),
        exif::Value::Byte(bytes) | exif::Value::Undefined(bytes, _) => bytes.len(),
        exif::Value::Short(values) => values.len() * 2,
        exif::Value::Long(values) => values.len() * 4,
        exif::Value::Rational(values) => values.len() * 8,
        _ => 64,
    }
}

fn group(field: &exif::Field) -> &'static str {
    match field.tag.context() {
        _ if field.ifd_num != In::PRIMARY => "Thumbnail",
        Context::Exif => "EXIF",
        Context::Gps => "GPS",
        Context::Interop => "Interoperability",
        _ => "Image",
    }
}

/// A turn, after an optional mirroring, that brings stored pixels upright.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Orientation {
    transpose: bool,
    flip_x: bool,
    flip_y: bool,
}

impl Orientation {
    /// The meaning of EXIF's numbers 1 to 8; others mean upright.
    pub fn from_exif(number: u32) -> Self {
        let (transpose, flip_x, flip_y) = match number {
            2 => (false, true, false),
            3 => (false, true, true),
            4 => (false, false, true),
            5 => (true, false, false),
            6 => (true, true, false),
            7 => (true, true, true),
            8 => (true, false, true),
            _ => (false, false, false),
        };
        Self { transpose, flip_x, flip_y }
    }

    /// That of a block of tags, which begins as a TIFF does: the tag 0x0112 of the first directory.
    fn of_block(block: &[u8]) -> Self {
        Self::from_exif(orientation_number(block).unwrap_or(1))
    }

    /// Whether width and height change places.
    pub fn transposes(self) -> bool {
        self.transpose
    }

    /// Whether the pixels are upright as stored.
    pub fn is_upright(self) -> bool {
        self == Self::from_exif(1)
    }

    /// Turns `picture` upright.
    pub fn apply(self, picture: Picture) -> Picture {
        if self.is_upright() {
            return picture;
        }
        let depth = picture.channels.count();
        let (width, height) =
            if self.transpose { (picture.height, picture.width) } else { (picture.width, picture.height) };
        let mut pixels = Vec::with_capacity(picture.pixels.len());
        for y in 0..height {
            let y = if self.flip_y { height - 1 - y } else { y };
            for x in 0..width {
                let x = if self.flip_x { width - 1 - x } else { x };
                let (column, row) = if self.transpose { (y, x) } else { (x, y) };
                let start = (row as usize * picture.width as usize + column as usize) * depth;
                pixels.extend_from_slice(&picture.pixels[start..start + depth]);
            }
        }
        Picture { width, height, channels: picture.channels, pixels }
    }
}

fn orientation_number(block: &[u8]) -> Option<u32> {
    let is_big = block.starts_with(b"MM");
    let short = |bytes: &[u8]| {
        let two = *bytes.first_chunk::<2>()?;
        Some(u32::from(if is_big { u16::from_be_bytes(two) } else { u16::from_le_bytes(two) }))
    };
    let long = |bytes: &[u8]| {
        let four = *bytes.first_chunk::<4>()?;
        Some(if is_big { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) })
    };
    let directory = block.get(long(block.get(4..)?)? as usize..)?;
    let (entries, _) = directory.get(2..)?.as_chunks::<12>();
    let entries = entries.iter().take(short(directory)? as usize);
    let entry = entries.into_iter().find(|entry| short(&entry[..2]) == Some(0x0112))?;
    match short(&entry[2..])? {
        3 => short(&entry[8..]),
        4 => long(&entry[8..]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use shards::image::Channels;

    use super::*;

    /// `ab` over `cd` over `ef`, turned and shown as text.
    fn turned(number: u32) -> String {
        let picture = Picture { width: 2, height: 3, channels: Channels::Luma, pixels: b"abcdef".to_vec() };
        let turned = Orientation::from_exif(number).apply(picture);
        let lines: Vec<_> = turned
            .pixels
            .chunks(turned.width as usize)
            .map(|line| String::from_utf8_lossy(line).into_owned())
            .collect();
        lines.join("/")
    }

    #[test]
    fn the_eight_orientations_are_those_of_the_exif_standard() {
        let expected = ["ab/cd/ef", "ba/dc/fe", "fe/dc/ba", "ef/cd/ab", "ace/bdf", "eca/fdb", "fdb/eca", "bdf/ace"];
        for (number, expected) in (1..).zip(expected) {
            assert_eq!(turned(number), expected, "orientation {number}");
        }
        assert_eq!(turned(0), "ab/cd/ef");
        assert_eq!(turned(9), "ab/cd/ef");
    }

    /// A TIFF header with one tag: orientation 6.
    pub(crate) fn exif_block() -> Vec<u8> {
        let mut block = b"MM\0\x2a\0\0\0\x08\0\x01".to_vec();
        block.extend_from_slice(&[0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0]);
        block
    }

    #[test]
    fn tags_are_read_from_a_jpeg() {
        let mut jpeg = vec![0xff, 0xd8, 0xff, 0xe1];
        let block = exif_block();
        jpeg.extend_from_slice(&((block.len() + 8) as u16).to_be_bytes());
        jpeg.extend_from_slice(b"Exif\0\0");
        jpeg.extend_from_slice(&block);
        jpeg.extend_from_slice(&[0xff, 0xd9]);
        let tags = Tags::read(&jpeg);
        assert_eq!(tags.orientation(), Orientation::from_exif(6));
        assert!(tags.orientation().transposes());
        assert!(tags.to_json().contains("\"Image Orientation\":"), "{}", tags.to_json());
    }

    #[test]
    fn a_body_without_tags_has_an_empty_object() {
        assert_eq!(Tags::read(b"no picture").to_json(), "{}");
        assert!(Tags::read(b"").orientation().is_upright());
    }

    #[test]
    fn of_a_large_block_only_the_orientation_is_read() {
        let mut block = exif_block();
        block.resize(MAX_BLOCK_BYTES + 1, 0);
        let tags = Tags::read(&block);
        assert_eq!((tags.orientation(), tags.to_json()), (Orientation::from_exif(6), "{}".to_string()));
    }

    #[test]
    fn overlapping_tags_end_where_they_claim_too_much() {
        // 2,000 tags, each a list of 30,000 empty texts: gigabytes, were they all taken.
        let count: u16 = 2000;
        let mut block = b"MM\0\x2a\0\0\0\x08".to_vec();
        block.extend_from_slice(&count.to_be_bytes());
        for tag in 0..count {
            block.extend_from_slice(&[0xc0 | (tag >> 8) as u8, tag as u8, 0, 2, 0, 0, 0x75, 0x30]);
            block.extend_from_slice(&0x0000_7530_u32.to_be_bytes());
        }
        block.resize(MAX_BLOCK_BYTES, 0);
        assert!(Tags::read(&block).to_json().len() < 10_000);
    }
}
