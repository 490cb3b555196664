//! EXIF tags: the orientation that a picture is to be shown in, and all tags as JSON text.

use std::io::Cursor;

use exif::{Context, Exif, In, Reader, Tag};
use serde_json::{Map, Value};
use shards::image::Picture;

/// Longer values (maker notes, thumbnails) say nothing in a table.
const MAX_VALUE_CHARS: usize = 1000;

/// The tags of a picture; empty where it has none or they are damaged.
pub struct Tags(Option<Exif>);

impl Tags {
    /// Reads the tags of an encoded picture (JPEG, PNG, WebP, TIFF).
    pub fn read(bytes: &[u8]) -> Self {
        let mut reader = Reader::new();
        let tags = reader.continue_on_error(true).read_from_container(&mut Cursor::new(bytes));
        Self(tags.or_else(|e| e.distill_partial_result(|_| ())).ok())
    }

    /// How the stored pixels are to be turned.
    pub fn orientation(&self) -> Orientation {
        let field = self.0.as_ref().and_then(|exif| exif.get_field(Tag::Orientation, In::PRIMARY));
        Orientation::from_exif(field.and_then(|field| field.value.get_uint(0)).unwrap_or(1))
    }

    /// All tags as a JSON object such as `{"Image Make": "Canon", "EXIF ISOSpeedRatings": "100"}`.
    pub fn to_json(&self) -> String {
        let mut tags = Map::new();
        for field in self.0.iter().flat_map(Exif::fields).filter(|field| field.tag != Tag::MakerNote) {
            let text = field.display_value().to_string();
            if text.chars().count() <= MAX_VALUE_CHARS {
                tags.insert(format!("{} {}", group(field), field.tag), Value::from(text));
            }
        }
        Value::Object(tags).to_string()
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
}
