//! What embeddings were made of: `embed.json` for all of them, `parts/part_K.json` for each part. A part whose record is
//! there is whole, and is made again where what it was made of, or what it is, has changed.

use anyhow::{Context, bail};
use loader::MissingEnd;
use serde::{Deserialize, Serialize};
use shards::store::Folder;

use super::parts::Part;
use crate::exit::Hint;

const MANIFEST: &str = "embed.json";

/// What all parts have in common.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// What the model is called, for people.
    pub model: String,
    /// Where the weights came from, for people.
    pub pretrained: String,
    /// Configuration and weights, by which they are known again.
    pub fingerprint: String,
    /// Width of a row.
    pub embed_dim: usize,
    /// The folder whose pictures were embedded; none for shards.
    pub folder: Option<String>,
}

impl Manifest {
    /// Writes it where there is none yet.
    ///
    /// # Errors
    /// When there is another one.
    pub fn check(&self, output: &Folder) -> anyhow::Result<()> {
        let Some(text) = output.read(MANIFEST)? else {
            return Ok(output.write(MANIFEST, format!("{:#}\n", serde_json::to_value(self)?).as_bytes())?);
        };
        let before: Self = serde_json::from_slice(&text)
            .with_context(|| format!("{output}: its {MANIFEST} is not one that this version writes"))?;
        let what = if before.fingerprint != self.fingerprint {
            format!("model {} with weights `{}`, as they were then", before.model, before.pretrained)
        } else if before.folder != self.folder {
            before.folder.map_or("shards".to_owned(), |folder| format!("the folder `{folder}`"))
        } else {
            return Ok(());
        };
        bail!(of_something_else(output, &what))
    }
}

fn of_something_else(output: &Folder, what: &str) -> anyhow::Error {
    let error = anyhow::anyhow!("{output} holds embeddings of something else: {what}");
    error.context(Hint("give another --output, or remove that folder".to_owned()))
}

/// What came of a part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Rows.
    pub rows: u64,
    /// Of these, rows without a caption, whose text is empty.
    pub without_caption: u64,
    /// Samples without a picture; they have no row.
    pub without_picture: u64,
    /// Pictures that could not be read or decoded; they have no row.
    pub undecodable: u64,
    /// Members that are part of no sample: links, devices, files without an extension.
    pub members_left_out: u64,
}

/// What one part was made of, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The shard, or the first picture.
    pub source: String,
    /// What tells a state of it from another; none where nothing does.
    pub state: Option<String>,
    /// The model's, as in the manifest.
    pub fingerprint: String,
    /// What came of it.
    pub counts: Counts,
    /// Why the shard was not read to a proper end, in a word; none where it was.
    pub incomplete: Option<String>,
    /// Bytes of the two arrays and of the table.
    pub bytes: [u64; 3],
}

/// The files of a part: the pictures' array, the texts', and the table.
pub fn files(index: usize) -> [String; 3] {
    [
        format!("img_emb/img_emb_{index}.npy"),
        format!("text_emb/text_emb_{index}.npy"),
        format!("metadata/metadata_{index}.parquet"),
    ]
}

/// Sizes of the files of a part; `None` where one is missing.
///
/// # Errors
/// When the folder cannot be asked.
pub fn sizes(output: &Folder, index: usize) -> anyhow::Result<Option<[u64; 3]>> {
    let mut sizes = [0; 3];
    for (size, file) in sizes.iter_mut().zip(files(index)) {
        let Some(found) = output.size(&file)? else { return Ok(None) };
        *size = found;
    }
    Ok(Some(sizes))
}

impl Record {
    fn name(index: usize) -> String {
        format!("parts/part_{index}.json")
    }

    /// The record of a part.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(output: &Folder, index: usize) -> anyhow::Result<Option<Self>> {
        let name = Self::name(index);
        let Some(text) = output.read(&name)? else { return Ok(None) };
        serde_json::from_slice(&text).map(Some).with_context(|| format!("{output}/{name}"))
    }

    /// Writes it, which marks the part as whole.
    ///
    /// # Errors
    /// When the folder refuses.
    pub fn write(&self, output: &Folder, index: usize) -> anyhow::Result<()> {
        let text = format!("{:#}\n", serde_json::to_value(self)?);
        Ok(output.write(&Self::name(index), text.as_bytes())?)
    }

    /// Whether the part need not be made again.
    ///
    /// # Errors
    /// When it is of another model, or of another shard: all behind it would be of other shards, too.
    pub fn stands(
        &self,
        part: &Part<'_>,
        state: Option<&str>,
        of: &Manifest,
        (output, missing_end): (&Folder, MissingEnd),
        index: usize,
    ) -> anyhow::Result<bool> {
        if self.fingerprint != of.fingerprint {
            bail!(of_something_else(output, &format!("part {index} is of other weights")));
        }
        if self.source != part.name() && part.is_shard() {
            let error = anyhow::anyhow!("part {index} is of `{}`, and would be of `{}` now", self.source, part.name());
            let hint = "a longer list begins with the same shards in the same order; give another --output for others";
            bail!(error.context(Hint(hint.to_owned())));
        }
        // A connection or a command that failed may do better now, what cannot be told from another state may have changed, and
        // a missing end may be accepted or made up for by now.
        let may_be_whole_now = self.incomplete.as_deref().is_some_and(|reason| match reason {
            "source" => part.may_pass(),
            "no_end_marker" => missing_end == MissingEnd::IsAccepted || part.is_known() || self.state.is_none(),
            _ => self.state.is_none(),
        });
        let is_same = self.source == part.name() && self.state.as_deref() == state && !may_be_whole_now;
        Ok(is_same && sizes(output, index)? == Some(self.bytes))
    }
}
