//! Event files that TensorBoard reads: scalars, texts and pictures by step.
//!
//! A file is a row of records: the length in 8 bytes, little endian, its masked CRC-32C, the record, its masked CRC-32C
//! (TFRecord). A record is a `tensorflow.Event` in protocol buffers' encoding, of which only what is written here is
//! needed: `event.proto`, `summary.proto` and `tensor.proto` of TensorFlow name the fields.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crc_fast::{CrcAlgorithm, checksum};

use crate::error::{Error, Result};

/// An event file that is being written.
#[derive(Debug)]
pub struct EventFile {
    path: PathBuf,
    file: BufWriter<File>,
}

/// Something to show of one step.
#[derive(Clone, Copy, Debug)]
pub enum Shown<'a> {
    /// A number.
    Scalar(f64),
    /// A text in Markdown.
    Text(&'a str),
    /// An encoded picture.
    Picture {
        /// PNG or JPEG.
        encoded: &'a [u8],
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
    },
}

impl EventFile {
    /// Begins a file in `folder`, which is created, under a name that TensorBoard looks for. Runs that go on write a
    /// file of their own; TensorBoard joins them.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn create(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        let name = format!("events.out.tfevents.{:.6}.{}.cliptrain", now(), std::process::id());
        let path = folder.join(name);
        let file = File::create_new(&path).map_err(Error::io("create", &path))?;
        let mut events = Self { path, file: BufWriter::new(file) };
        let mut event = Message::of_time(now());
        event.bytes(3, b"brain.Event:2");
        events.record(&event.0)?;
        events.flush()?;
        Ok(events)
    }

    /// Adds values of one step under their tags.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn add(&mut self, step: u64, values: &[(&str, Shown<'_>)]) -> Result<()> {
        let mut summary = Message::default();
        for (tag, shown) in values {
            summary.bytes(1, &value(tag, *shown).0);
        }
        let mut event = Message::of_time(now());
        event.number(2, step);
        event.bytes(5, &summary.0);
        self.record(&event.0)
    }

    /// Hands what is buffered to the system, so that whoever looks sees it.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn flush(&mut self) -> Result<()> {
        self.file.flush().map_err(Error::io("write", &self.path))
    }

    fn record(&mut self, record: &[u8]) -> Result<()> {
        let length = (record.len() as u64).to_le_bytes();
        let parts: [&[u8]; 4] = [&length, &masked_crc(&length), record, &masked_crc(record)];
        parts.iter().try_for_each(|part| self.file.write_all(part)).map_err(Error::io("write", &self.path))
    }
}

/// `Summary.Value`.
fn value(tag: &str, shown: Shown<'_>) -> Message {
    let mut value = Message::default();
    value.bytes(1, tag.as_bytes());
    match shown {
        Shown::Scalar(number) => value.float(2, number as f32),
        Shown::Text(text) => {
            let mut plugin = Message::default();
            plugin.bytes(1, b"text");
            let mut metadata = Message::default();
            metadata.bytes(1, &plugin.0);
            value.bytes(9, &metadata.0);
            value.bytes(8, &string_tensor(text).0);
        }
        Shown::Picture { encoded, width, height } => {
            let mut picture = Message::default();
            picture.number(1, height.into());
            picture.number(2, width.into());
            picture.number(3, RGB);
            picture.bytes(4, encoded);
            value.bytes(4, &picture.0);
        }
    }
    value
}

/// `Summary.Image.colorspace`.
const RGB: u64 = 3;

/// `DataType.DT_STRING`.
const STRING: u64 = 7;

/// A `TensorProto` of shape `[1]`.
fn string_tensor(text: &str) -> Message {
    let (mut dimension, mut shape, mut tensor) = (Message::default(), Message::default(), Message::default());
    dimension.number(1, 1);
    shape.bytes(2, &dimension.0);
    tensor.number(1, STRING);
    tensor.bytes(2, &shape.0);
    tensor.bytes(8, text.as_bytes());
    tensor
}

/// A message in protocol buffers' encoding.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    /// An `Event` of a time in seconds since 1970.
    fn of_time(seconds: f64) -> Self {
        let mut message = Self::default();
        message.key(1, 1);
        message.0.extend(seconds.to_le_bytes());
        message
    }

    fn number(&mut self, field: u64, number: u64) {
        self.key(field, 0);
        self.varint(number);
    }

    fn float(&mut self, field: u64, number: f32) {
        self.key(field, 5);
        self.0.extend(number.to_le_bytes());
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.key(field, 2);
        self.varint(bytes.len() as u64);
        self.0.extend(bytes);
    }

    fn key(&mut self, field: u64, wire_type: u64) {
        self.varint(field << 3 | wire_type);
    }

    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }
}

/// The checksum, turned and shifted, so that checksums of data that hold checksums are no worse.
fn masked_crc(bytes: &[u8]) -> [u8; 4] {
    let crc = checksum(CrcAlgorithm::Crc32Iscsi, bytes) as u32;
    crc.rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_tfrecord() {
        // The first record of every file has 24 bytes; TensorFlow writes their length so.
        assert_eq!(masked_crc(&24u64.to_le_bytes()), [0xa3, 0x7f, 0x4b, 0x22]);
    }

    #[test]
    fn numbers_take_as_few_bytes_as_they_need() {
        let mut message = Message::default();
        message.number(2, 300);
        message.float(2, 0.5);
        message.bytes(1, b"ab");
        assert_eq!(message.0, [0x10, 0xac, 0x02, 0x15, 0, 0, 0, 0x3f, 0x0a, 2, b'a', b'b']);
    }

    #[test]
    fn a_file_is_a_row_of_whole_records() {
        let folder = tempfile::tempdir().unwrap();
        let mut events = EventFile::create(&folder.path().join("tensorboard")).unwrap();
        let png = Shown::Picture { encoded: b"png", width: 1, height: 2 };
        events.add(7, &[("train/loss", Shown::Scalar(1.5)), ("samples", Shown::Text("a cat")), ("seen", png)]).unwrap();
        events.flush().unwrap();
        let bytes = std::fs::read(&events.path).unwrap();
        let (mut rest, mut records) = (bytes.as_slice(), 0);
        while let Some((length, after)) = rest.split_first_chunk::<8>() {
            let count = u64::from_le_bytes(*length) as usize;
            assert_eq!(after[..4], masked_crc(length));
            assert_eq!(after[4 + count..8 + count], masked_crc(&after[4..4 + count]));
            (rest, records) = (&after[8 + count..], records + 1);
        }
        assert_eq!((records, rest.len()), (2, 0));
        assert!(events.path.file_name().unwrap().to_string_lossy().contains("tfevents"));
    }
}
