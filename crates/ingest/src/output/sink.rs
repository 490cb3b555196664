//! One shard being written, in whichever format: its samples, and the table of its rows.

use bytes::Bytes;
use shards::Field;
use shards::metadata::{MetadataLayout, MetadataRow, MetadataWriter};
use shards::store::Folder;
use shards::writer::ShardWriter;

use super::OutputFormat;
use super::sample_files::{Leftovers, SampleFiles};
use crate::encode::EncodeFormat;
use crate::error::{Error, Result};

/// Where a shard goes, and what it is made of.
#[derive(Clone)]
pub(crate) struct Place {
    pub folder: Folder,
    pub format: OutputFormat,
    pub layout: MetadataLayout,
    pub image: EncodeFormat,
}

/// A shard being written; dropped before it is sealed, it vanishes.
pub(crate) struct Sink {
    place: Place,
    name: String,
    samples: Samples,
    /// `None` where there is no table.
    table: Option<MetadataWriter>,
    written: u64,
}

enum Samples {
    Tar(Box<ShardWriter>),
    Files(SampleFiles),
    Csv(SampleFiles, Box<csv::Writer<Vec<u8>>>),
    InTable,
    Nowhere,
}

impl Sink {
    /// Starts the shard `name`.
    pub(crate) fn create(place: Place, name: String, leftovers: Leftovers) -> Result<Self> {
        let file = |extension: &str| place.folder.create(&format!("{name}.{extension}"));
        let samples = match place.format {
            OutputFormat::Webdataset => Samples::Tar(Box::new(ShardWriter::new(file("tar")?))),
            OutputFormat::Files => Samples::Files(SampleFiles::create(&place.folder, &name, leftovers)?),
            OutputFormat::Csv => {
                Samples::Csv(SampleFiles::create(&place.folder, &name, leftovers)?, Box::new(index()?))
            }
            OutputFormat::Parquet => Samples::InTable,
            OutputFormat::Dummy => Samples::Nowhere,
        };
        let table = match place.format {
            OutputFormat::Dummy => None,
            _ => Some(MetadataWriter::new(file("parquet")?, place.layout.clone())?),
        };
        Ok(Self { place, name, samples, table, written: 0 })
    }

    /// Appends a row that has no picture.
    pub(crate) fn push_failed(&mut self, row: MetadataRow) -> Result<()> {
        self.push_row(row, None)
    }

    /// Appends a row and its picture.
    pub(crate) fn push_sample(&mut self, row: MetadataRow, image: Bytes) -> Result<()> {
        let fields = self.fields(&row, &image);
        self.push_fields(row, &fields, image)
    }

    /// Appends a row whose sample has these very fields, one of which is the picture.
    pub(crate) fn push_fields(&mut self, row: MetadataRow, fields: &[Field], image: Bytes) -> Result<()> {
        match &mut self.samples {
            Samples::Tar(tar) => tar.write(&row.key, fields)?,
            Samples::Files(files) => files.write(&row.key, fields)?,
            Samples::Csv(files, index) => {
                files.write(&row.key, fields)?;
                let path = format!("{}/{}/{}.{}", self.place.folder, self.name, row.key, self.place.image.as_str());
                let record = index.write_record([row.caption.as_deref().unwrap_or_default(), &path]);
                record.map_err(internal)?;
            }
            Samples::InTable | Samples::Nowhere => {}
        }
        self.written += 1;
        self.push_row(row, Some(image))
    }

    /// Samples so far.
    pub(crate) fn samples(&self) -> u64 {
        match &self.samples {
            Samples::Tar(tar) => tar.samples(),
            _ => self.written,
        }
    }

    /// Gives everything its name, samples before the table; returns the size of the tar, where there is one.
    pub(crate) fn seal(self) -> Result<Option<u64>> {
        let mut tar_bytes = None;
        match self.samples {
            Samples::Tar(tar) => tar_bytes = Some(tar.seal()?.bytes),
            Samples::Files(files) => files.seal()?,
            Samples::Csv(files, index) => {
                files.seal()?;
                let text = index.into_inner().map_err(|error| internal(error.into_error()))?;
                self.place.folder.write(&format!("{}.csv", self.name), &text)?;
            }
            Samples::InTable | Samples::Nowhere => {}
        }
        self.table.map_or(Ok(()), MetadataWriter::seal)?;
        Ok(tar_bytes)
    }

    fn push_row(&mut self, row: MetadataRow, image: Option<Bytes>) -> Result<()> {
        match &mut self.table {
            Some(table) => Ok(table.push(row, image)?),
            None => Ok(()),
        }
    }

    /// The sample's fields, sorted by extension as img2dataset's are.
    fn fields(&self, row: &MetadataRow, image: &Bytes) -> Vec<Field> {
        let field = |extension: &str, bytes: Bytes| Field { extension: extension.into(), bytes };
        let picture = field(self.place.image.as_str(), image.clone());
        if !matches!(self.samples, Samples::Tar(_) | Samples::Files(_)) {
            return vec![picture];
        }
        let mut fields = vec![picture, field("json", Bytes::from(row.to_json(&self.place.layout)))];
        if self.place.layout.caption {
            fields.push(field("txt", Bytes::from(row.caption.clone().unwrap_or_default())));
        }
        fields.sort_by(|a, b| a.extension.cmp(&b.extension));
        fields
    }
}

/// open_clip's csv, which has tabs.
fn index() -> Result<csv::Writer<Vec<u8>>> {
    let mut index = csv::WriterBuilder::new().delimiter(b'\t').from_writer(Vec::new());
    index.write_record(["title", "filepath"]).map_err(internal)?;
    Ok(index)
}

fn internal(error: impl std::fmt::Display) -> Error {
    Error::Internal { what: error.to_string() }
}
