//! What embeddings were made of: `embed.json` for all of them, `parts/part_K.json` for each part. A part whose record is
//! there is whole, and is made again where what it was made of has changed.

use anyhow::{Context, bail};
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
        let error = anyhow::anyhow!("{output} holds embeddings of something else: {what}");
        Err(error.context(Hint("give another --output, or remove that folder".to_owned())))
    }
}

/// What one part was made of, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The shard, or the first picture.
    pub source: String,
    /// What tells a state of it from another; none where nothing does.
    pub state: Option<String>,
    /// Rows.
    pub rows: u64,
    /// Whether the shard was read to a proper end.
    pub complete: bool,
}

impl Record {
    fn name(index: usize) -> String {
        format!("parts/part_{index}.json")
    }

    /// The record of a part, where it is whole.
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
    /// When its place is taken by another shard: all behind it would be of other shards, too.
    pub fn is_of(&self, part: &Part<'_>, state: Option<&str>, index: usize) -> anyhow::Result<bool> {
        if self.source != part.name() && part.is_shard() {
            let error = anyhow::anyhow!("part {index} is of `{}`, and would be of `{}` now", self.source, part.name());
            let hint = "a longer list begins with the same shards in the same order; give another --output for others";
            bail!(error.context(Hint(hint.to_owned())));
        }
        Ok(self.source == part.name() && self.state.as_deref() == state)
    }
}
