//! Rows of a shard that are taken over as they are when others of its rows are downloaded again.

use std::io::Read;

use bytes::Bytes;
use shards::key::SampleKey;
use shards::metadata::{MetadataRow, Status, StoredRow};
use shards::reader::ShardReader;
use shards::store::Folder;
use shards::uri::ShardUri;
use shards::{Field, Sample};

use crate::encode::EncodeFormat;
use crate::error::{Error, Result};
use crate::output::Leftovers;

/// A row taken over, with the fields of its sample and the picture among them, if it is one.
pub(super) struct Stored {
    pub row: MetadataRow,
    pub fields: Vec<Field>,
    pub image: Option<Bytes>,
}

/// What a shard keeps; nothing, where it is made for the first time.
#[derive(Default)]
pub(super) struct Kept {
    /// By place; `None` for rows that are downloaded again.
    rows: Vec<Option<StoredRow>>,
    keys: Vec<SampleKey>,
    samples: KeptSamples,
}

/// Where the samples of a shard are.
#[derive(Default)]
pub(super) enum KeptSamples {
    /// In the table.
    #[default]
    InTable,
    /// In the tar.
    Tar(Box<Tar>),
    /// In a folder.
    Files(Files),
}

/// The tar of the shard as it is. Its samples come in the order of the table.
pub(super) struct Tar {
    uri: ShardUri,
    image: EncodeFormat,
    /// Opened at the first sample.
    reader: Option<ShardReader<Box<dyn Read + Send>>>,
}

/// The files of the shard's samples.
pub(super) struct Files {
    pub folder: Folder,
    pub shard: String,
    pub image: EncodeFormat,
}

impl Kept {
    /// All `rows` but those at which `again` is true.
    pub(super) fn new(rows: Vec<StoredRow>, again: impl Fn(&MetadataRow) -> bool, samples: KeptSamples) -> Self {
        let keys = rows.iter().map(|stored| stored.row.key.clone()).collect();
        let rows = rows.into_iter().map(|stored| (!again(&stored.row)).then_some(stored)).collect();
        Self { rows, keys, samples }
    }

    /// What becomes of the samples that are there.
    pub(super) fn leftovers(&self) -> Leftovers {
        if self.rows.is_empty() { Leftovers::Deleted } else { Leftovers::Overwritten }
    }

    /// The key that the row at `place` has, where the shard was there before.
    pub(super) fn key(&self, place: usize) -> Option<SampleKey> {
        self.keys.get(place).cloned()
    }

    /// The row at `place`, where it is kept. Rows are taken in their order.
    pub(super) fn take(&mut self, place: usize) -> Result<Option<Stored>> {
        let Some(StoredRow { row, image }) = self.rows.get_mut(place).and_then(Option::take) else { return Ok(None) };
        if row.status != Status::Success {
            return Ok(Some(Stored { row, fields: Vec::new(), image: None }));
        }
        match (&mut self.samples, image) {
            (KeptSamples::InTable, Some(image)) => Ok(Some(Stored { row, fields: Vec::new(), image: Some(image) })),
            (KeptSamples::InTable, None) => Err(lost(&row, "the table has no picture for it")),
            (KeptSamples::Tar(tar), _) => tar.sample(row).map(Some),
            (KeptSamples::Files(files), _) => files.sample(row).map(Some),
        }
    }
}

impl Files {
    fn sample(&self, row: MetadataRow) -> Result<Stored> {
        let image = self.image.as_str();
        let mut fields = Vec::new();
        for extension in [image, "json", "txt"] {
            if let Some(bytes) = self.folder.read(&format!("{}/{}.{extension}", self.shard, row.key))? {
                fields.push(Field { extension: extension.into(), bytes: bytes.into() });
            }
        }
        match fields.iter().find(|field| field.extension == image).map(|field| field.bytes.clone()) {
            Some(image) => Ok(Stored { row, fields, image: Some(image) }),
            None => Err(lost(&row, &format!("folder `{}` has no picture of its key", self.shard))),
        }
    }
}

impl Tar {
    pub(super) fn new(uri: ShardUri, image: EncodeFormat) -> Self {
        Self { uri, image, reader: None }
    }

    /// The sample of a row. Samples that no kept row asks for are passed over: a retry that was cut off after it wrote the
    /// tar left them, and they are downloaded again.
    fn sample(&mut self, row: MetadataRow) -> Result<Stored> {
        let reader = match &mut self.reader {
            Some(reader) => reader,
            none => none.insert(ShardReader::open(&self.uri)?),
        };
        for sample in reader {
            let sample: Sample = sample?;
            if sample.key != row.key {
                continue;
            }
            let image = sample.field(&[self.image.as_str()]).map(|field| field.bytes.clone());
            return match image {
                Some(image) => Ok(Stored { row, fields: sample.fields, image: Some(image) }),
                None => Err(lost(&row, "its sample has no picture")),
            };
        }
        Err(lost(&row, &format!("shard `{}` has no sample of its key behind the row before it", self.uri)))
    }
}

fn lost(row: &MetadataRow, reason: &str) -> Error {
    Error::Disagree { key: row.key.to_string(), reason: reason.to_owned() }
}
