//! `manifest.json`: how the shards of a folder were made, so that another run goes on in the same way or not at all.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use shards::metadata::MetadataLayout;
use shards::store::Folder;
use shards::summary::complete_shards;

use super::OutputFormat;
use crate::config::DownloadConfig;
use crate::error::{Error, Result};
use crate::process::ProcessOptions;

/// The file's name.
const NAME: &str = "manifest.json";

/// The version that this program writes, and the only one that it reads.
const VERSION: u32 = 1;

/// How shards are made. Whatever changes no sample is left out: deadlines, threads, user agents.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// Of this format.
    pub version: u32,
    /// The list, as it was given.
    pub url_list: String,
    /// The column of URLs.
    pub url_col: String,
    /// The column of captions.
    pub caption_col: Option<String>,
    /// Further columns.
    pub save_additional_columns: Vec<String>,
    /// What a shard is made of.
    pub output_format: OutputFormat,
    /// Rows of a shard.
    pub number_sample_per_shard: usize,
    /// Digits of a shard's number.
    pub oom_shard_count: usize,
    /// Whether times were left out of the metadata.
    pub deterministic: bool,
    /// What was done with the pictures.
    pub process: ProcessOptions,
    /// Whether rows have captions; not known of folders of an earlier version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub has_captions: Option<bool>,
    /// Shards that the list makes, written by a run that has read it to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shards: Option<u64>,
}

impl Manifest {
    /// The manifest of a download whose tables have this layout.
    pub fn of(config: &DownloadConfig, layout: &MetadataLayout) -> Self {
        let (input, output) = (&config.input, &config.output);
        Self {
            version: VERSION,
            url_list: input.url_list.to_string_lossy().into_owned(),
            url_col: input.url_col.clone(),
            caption_col: input.caption_col.clone(),
            save_additional_columns: input.save_additional_columns.clone(),
            output_format: output.output_format,
            number_sample_per_shard: output.number_sample_per_shard,
            oom_shard_count: output.oom_shard_count,
            deterministic: output.deterministic,
            process: config.process.clone(),
            has_captions: Some(layout.caption),
            shards: None,
        }
    }

    /// Reads the manifest of `folder`; `None` where there is none, as in img2dataset's folders.
    ///
    /// # Errors
    /// When it is there and cannot be understood.
    pub fn read(folder: &Folder) -> Result<Option<Self>> {
        let Some(text) = folder.read(NAME)? else { return Ok(None) };
        let broken = |reason: String| Error::Table { path: PathBuf::from(format!("{folder}/{NAME}")), reason };
        let manifest: Self = serde_json::from_slice(&text).map_err(|error| broken(error.to_string()))?;
        match manifest.version {
            VERSION => Ok(Some(manifest)),
            other => Err(broken(format!("expected version {VERSION}, got {other}: a newer program wrote it"))),
        }
    }

    /// Writes it, where the folder has none, or checks that the one it has says the same.
    ///
    /// # Errors
    /// When it says something else, naming what.
    pub fn keep(&self, folder: &Folder) -> Result<()> {
        // Two runs that start together write it one after the other, and what a killed one left of it is cleared.
        let _claim = folder.claim_soon("manifest")?;
        let Some(before) = Self::read(folder)? else {
            if !complete_shards(folder)?.is_empty() {
                tracing::warn!(
                    "`{folder}` has shards and no {NAME}: whether they were made with the same options is not known"
                );
            }
            return self.write(folder);
        };
        let is_complete = before.has_captions.is_some();
        let before = Self { has_captions: before.has_captions.or(self.has_captions), ..before };
        let differences = differences(&before.settings(), &self.settings());
        if differences.is_empty() {
            // One of an earlier version did not say whether there are captions.
            return if is_complete { Ok(()) } else { before.write(folder) };
        }
        Err(Error::OtherOptions { folder: folder.to_string(), differences: differences.join(", ") })
    }

    /// Writes down how many shards the list of `folder` makes, so that whoever looks knows whether all are there.
    ///
    /// # Errors
    /// When the manifest cannot be read or written.
    pub fn note_shards(folder: &Folder, shards: u64) -> Result<()> {
        let _claim = folder.claim_soon("manifest")?;
        match Self::read(folder)? {
            Some(manifest) if manifest.shards != Some(shards) => {
                Self { shards: Some(shards), ..manifest }.write(folder)
            }
            _ => Ok(()),
        }
    }

    fn write(&self, folder: &Folder) -> Result<()> {
        let text = serde_json::to_vec_pretty(self).map_err(|error| Error::Internal { what: error.to_string() })?;
        Ok(folder.write(NAME, &text)?)
    }

    /// Everything by name, as far as two runs have to agree on it. The list may have another name: its rows are compared.
    fn settings(&self) -> BTreeMap<String, Value> {
        let mut settings = BTreeMap::new();
        let value = serde_json::to_value(self).unwrap_or_default();
        for (name, value) in value.as_object().into_iter().flatten() {
            match value.as_object() {
                Some(inner) => settings.extend(inner.iter().map(|(name, value)| (name.clone(), value.clone()))),
                None => _ = settings.insert(name.clone(), value.clone()),
            }
        }
        settings.remove("url_list");
        settings.remove("shards");
        settings
    }
}

fn differences(before: &BTreeMap<String, Value>, now: &BTreeMap<String, Value>) -> Vec<String> {
    let names = before.keys().chain(now.keys().filter(|name| !before.contains_key(*name)));
    let differing = names.filter(|name| before.get(*name) != now.get(*name));
    let shown = |value: Option<&Value>| match value {
        None => "unknown".to_owned(),
        Some(Value::Null) => "not given".to_owned(),
        Some(value) => value.to_string(),
    };
    differing.map(|name| format!("{name} was {} and is {}", shown(before.get(name)), shown(now.get(name)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_options_are_refused_by_name() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::Local(temporary.path().into());
        let mut config = DownloadConfig::new("list.txt", folder.clone());
        let layout = MetadataLayout::default();
        Manifest::of(&config, &layout).keep(&folder).unwrap();
        config.fetch.max_connections = 7;
        config.input.url_list = "elsewhere/list.txt".into();
        Manifest::of(&config, &layout).keep(&folder).unwrap();
        let captioned = MetadataLayout { caption: true, ..MetadataLayout::default() };
        let message = Manifest::of(&config, &captioned).keep(&folder).unwrap_err().to_string();
        assert!(message.contains("has_captions was false and is true"), "{message}");
        config.process.image_size = 300;
        let message = Manifest::of(&config, &layout).keep(&folder).unwrap_err().to_string();
        assert!(message.contains("image_size was 256 and is 300"), "{message}");
        let read = Manifest::read(&folder).unwrap().unwrap();
        assert_eq!((read.process.image_size, read.oom_shard_count), (256, 5));
    }
}
