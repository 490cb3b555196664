//! What a download is to do: the options of its stages, each beside its stage, with img2dataset's defaults.

use std::path::PathBuf;

use shards::store::Folder;

use crate::error::{Error, Result};
use crate::fetch::FetchOptions;
use crate::output::OutputOptions;
use crate::process::ProcessOptions;
use crate::url_list::InputOptions;

/// A download of one list, or of a folder of lists, into one folder of shards.
#[derive(Clone, Debug)]
pub struct DownloadConfig {
    /// Which rows.
    pub input: InputOptions,
    /// How their URLs are asked for.
    pub fetch: FetchOptions,
    /// What is done with the pictures.
    pub process: ProcessOptions,
    /// Where they go.
    pub output: OutputOptions,
    /// Threads that decode, resize and encode; 0: one for each core.
    pub processes_count: usize,
    /// Bodies and encoded pictures held at the same time, in bytes.
    pub memory_budget_bytes: u64,
}

impl DownloadConfig {
    /// The defaults, for one list and one folder.
    pub fn new(url_list: impl Into<PathBuf>, output_folder: impl Into<Folder>) -> Self {
        Self {
            input: InputOptions::new(url_list),
            fetch: FetchOptions::default(),
            process: ProcessOptions::default(),
            output: OutputOptions::new(output_folder.into()),
            processes_count: 0,
            memory_budget_bytes: 96 << 20,
        }
    }

    /// Checks every option that a type alone does not.
    ///
    /// # Errors
    /// Names the first option whose value cannot work.
    pub fn validate(&self) -> Result<()> {
        between("processes_count", self.processes_count, 0, 1024)?;
        at_least_one("memory_budget_bytes", self.memory_budget_bytes)?;
        self.input.validate()?;
        self.fetch.validate()?;
        self.process.validate()?;
        self.output.validate()
    }
}

pub(crate) fn between(option: &'static str, value: usize, least: usize, most: usize) -> Result<()> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(Error::Config { option, reason: format!("expected {least} to {most}, got {value}") })
}

pub(crate) fn at_least_one(option: &'static str, value: u64) -> Result<()> {
    if value == 0 { Err(Error::Config { option, reason: "expected at least 1, got 0".into() }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        DownloadConfig::new("list.txt", "out").validate().unwrap();
    }

    #[test]
    fn a_value_that_cannot_work_is_named() {
        let mut config = DownloadConfig::new("list.txt", "out");
        config.fetch.max_connections = 0;
        let message = config.validate().unwrap_err().to_string();
        assert_eq!(message, "option `thread_count`: expected 1 to 65536, got 0");
    }
}
