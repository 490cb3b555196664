//! What is known of every row of a shard: the table `NNNNN.parquet` beside it and the JSON
//! member of each sample.
//!
//! Columns and order are img2dataset's: the additional columns, `caption`, `url`, `key`,
//! `status`, `error_message`, `width`, `height`, `original_width`, `original_height`, `exif`
//! and the hash, the last two and `caption` only where asked for. Behind them stand columns of
//! our own: `error_kind` (string), `http_status` (int32), `bytes` (int64, the size of the downloaded body), `final_url`
//! (string, where redirects led), `mime` (string, the type that the server claimed), `ms` (int64, how long it took) and
//! `attempts` (int32). A table that holds the pictures themselves has them in a last column called after their format.

mod read;
mod table;
mod text_table;

use arrow::datatypes::DataType;
use serde_json::{Map, Value};

pub use self::read::{StoredRow, StoredTable};
pub use self::table::MetadataWriter;
pub use self::text_table::write_text_table;

use crate::key::SampleKey;

/// Columns that tables have whatever the list: additional ones cannot be called so.
pub const OWN_COLUMNS: [&str; 20] = [
    "caption",
    "url",
    "key",
    "status",
    "error_message",
    "width",
    "height",
    "original_width",
    "original_height",
    "exif",
    "sha256",
    "md5",
    "sha512",
    "error_kind",
    "http_status",
    "bytes",
    "final_url",
    "mime",
    "ms",
    "attempts",
];

/// What became of a row, in img2dataset's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// The row is a sample of the shard.
    Success,
    /// No body arrived.
    FailedToDownload,
    /// The body did not become a picture.
    FailedToResize,
}

impl Status {
    /// The word in the `status` column.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::FailedToDownload => "failed_to_download",
            Self::FailedToResize => "failed_to_resize",
        }
    }
}

/// The type of an additional column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// UTF-8 text.
    Text,
    /// 64-bit signed integers.
    Integer,
    /// 64-bit floats.
    Float,
    /// True or false.
    Boolean,
}

impl ColumnKind {
    /// The kind that holds every value of an arrow type.
    pub fn of(data_type: &DataType) -> Self {
        match data_type {
            DataType::Boolean => Self::Boolean,
            // Integers of 64 bits without a sign may not fit; as text nothing is lost.
            DataType::UInt64 => Self::Text,
            other if other.is_integer() => Self::Integer,
            other if other.is_floating() => Self::Float,
            _ => Self::Text,
        }
    }
}

/// A cell of an additional column; one whose variant is not its column's is stored as null.
#[derive(Clone, Debug, PartialEq)]
pub enum ColumnValue {
    /// Nothing known.
    Null,
    /// A cell of a [`ColumnKind::Text`] column.
    Text(String),
    /// A cell of a [`ColumnKind::Integer`] column.
    Integer(i64),
    /// A cell of a [`ColumnKind::Float`] column.
    Float(f64),
    /// A cell of a [`ColumnKind::Boolean`] column.
    Boolean(bool),
}

impl ColumnValue {
    /// Bytes of its text; a number has none.
    pub fn text_bytes(&self) -> usize {
        if let Self::Text(text) = self { text.len() } else { 0 }
    }

    fn to_json(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Text(text) => Value::from(text.as_str()),
            Self::Integer(number) => Value::from(*number),
            Self::Float(number) => Value::from(*number),
            Self::Boolean(truth) => Value::from(*truth),
        }
    }
}

/// Which columns the tables of a dataset have; one for all its shards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetadataLayout {
    /// Names and types of the additional columns, in order.
    pub additional: Vec<(String, ColumnKind)>,
    /// Whether there is a `caption` column.
    pub caption: bool,
    /// Whether there is an `exif` column.
    pub exif: bool,
    /// The name of the hash column (`sha256`, `md5`), where there is one.
    pub hash: Option<String>,
    /// The name of the column of pictures (`jpg`), where the table itself holds them.
    pub image: Option<String>,
}

/// One row of the table.
#[derive(Clone, Debug, PartialEq)]
pub struct MetadataRow {
    /// Cells of the additional columns, in the layout's order; missing ones are null.
    pub additional: Vec<ColumnValue>,
    /// The caption of the list.
    pub caption: Option<String>,
    /// The URL of the list, as it stood there.
    pub url: String,
    /// The key the sample has, or would have had.
    pub key: SampleKey,
    /// What became of the row.
    pub status: Status,
    /// Why it failed, in words.
    pub error_message: Option<String>,
    /// Pixels of the stored picture.
    pub width: Option<u32>,
    /// Pixels of the stored picture.
    pub height: Option<u32>,
    /// Pixels of the downloaded picture.
    pub original_width: Option<u32>,
    /// Pixels of the downloaded picture.
    pub original_height: Option<u32>,
    /// EXIF tags as JSON text.
    pub exif: Option<String>,
    /// Hexadecimal hash of the downloaded bytes.
    pub hash: Option<String>,
    /// Why it failed, as a stable name.
    pub error_kind: Option<String>,
    /// Status of the last HTTP answer.
    pub http_status: Option<u16>,
    /// Size of the downloaded body in bytes.
    pub bytes: Option<u64>,
    /// Where redirects led, or the URL itself as it was asked for.
    pub final_url: Option<String>,
    /// The type that the server claimed.
    pub mime: Option<String>,
    /// Milliseconds from the first attempt to the end of the last.
    pub ms: Option<u64>,
    /// How often it was asked for.
    pub attempts: Option<u32>,
}

impl MetadataRow {
    /// Bytes of its texts, about.
    pub(crate) fn text_bytes(&self) -> usize {
        let texts = [&self.caption, &self.error_message, &self.exif, &self.final_url, &self.mime];
        let texts = texts.into_iter().flatten().map(String::len).sum::<usize>();
        self.url.len() + texts + self.additional.iter().map(ColumnValue::text_bytes).sum::<usize>()
    }

    /// The sample's `json` member: img2dataset's fields in its order, indented by four, ASCII
    /// only, as Python's `json` writes it.
    pub fn to_json(&self, layout: &MetadataLayout) -> String {
        let mut fields = Map::new();
        for (index, (name, _)) in layout.additional.iter().enumerate() {
            fields.insert(name.clone(), self.additional.get(index).map_or(Value::Null, ColumnValue::to_json));
        }
        if layout.caption {
            fields.insert("caption".into(), self.caption.as_deref().into());
        }
        fields.insert("url".into(), self.url.as_str().into());
        fields.insert("key".into(), self.key.as_str().into());
        fields.insert("status".into(), self.status.as_str().into());
        fields.insert("error_message".into(), self.error_message.as_deref().into());
        fields.insert("width".into(), self.width.into());
        fields.insert("height".into(), self.height.into());
        fields.insert("original_width".into(), self.original_width.into());
        fields.insert("original_height".into(), self.original_height.into());
        if layout.exif {
            fields.insert("exif".into(), self.exif.as_deref().into());
        }
        if let Some(hash) = &layout.hash {
            fields.insert(hash.clone(), self.hash.as_deref().into());
        }
        python_json(&Value::Object(fields))
    }
}

/// Characters beyond ASCII can only stand inside strings, where `\u` escapes mean the same.
fn python_json(value: &Value) -> String {
    let mut text = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, formatter);
    serde::Serialize::serialize(value, &mut serializer).expect("a Value has string keys and memory takes any write");
    let mut ascii = String::with_capacity(text.len());
    for character in String::from_utf8_lossy(&text).chars() {
        if character.is_ascii() {
            ascii.push(character);
            continue;
        }
        let mut units = [0; 2];
        for unit in character.encode_utf16(&mut units) {
            ascii.push_str(&format!("\\u{unit:04x}"));
        }
    }
    ascii
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn layout() -> MetadataLayout {
        let additional = vec![("uid".to_string(), ColumnKind::Text), ("similarity".to_string(), ColumnKind::Float)];
        MetadataLayout { additional, caption: true, exif: true, hash: Some("sha256".into()), image: None }
    }

    pub(super) fn row() -> MetadataRow {
        MetadataRow {
            additional: vec![ColumnValue::Text("u1".into()), ColumnValue::Float(0.5)],
            caption: Some("café 🐈".into()),
            url: "http://a/b.jpg".into(),
            key: SampleKey::new("000000000"),
            status: Status::Success,
            error_message: None,
            width: Some(256),
            height: Some(192),
            original_width: Some(600),
            original_height: Some(450),
            exif: Some("{}".into()),
            hash: Some("ab".into()),
            error_kind: None,
            http_status: Some(200),
            bytes: Some(1234),
            final_url: Some("http://a/c.jpg".into()),
            mime: Some("image/jpeg".into()),
            ms: Some(20),
            attempts: Some(1),
        }
    }

    pub(super) fn failed() -> MetadataRow {
        MetadataRow {
            additional: Vec::new(),
            caption: None,
            status: Status::FailedToDownload,
            error_kind: Some("timeout".into()),
            error_message: Some("no answer".into()),
            width: None,
            ..row()
        }
    }

    #[test]
    fn the_json_member_reads_as_img2dataset_writes_it() {
        let json = row().to_json(&layout());
        assert!(json.starts_with(
            "{\n    \"uid\": \"u1\",\n    \"similarity\": 0.5,\n    \"caption\": \"caf\\u00e9 \\ud83d\\udc08\","
        ));
        let value: Value = serde_json::from_str(&json).unwrap();
        let names: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
        let expected = "uid similarity caption url key status error_message width height original_width original_height exif sha256";
        assert_eq!(names.join(" "), expected);
        assert_eq!(value["caption"], "café 🐈");
    }
}
