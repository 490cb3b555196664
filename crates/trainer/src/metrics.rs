//! `results.jsonl`: one JSON object of metrics per evaluation, appended, with open_clip's names.
//!
//! Format, version 1: the keys are those of open_clip (`epoch`, `zeroshot-val-top1`, …), shares
//! are fractions from 0 to 1, and a reader must ignore keys it does not know.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::observer::Observer;

/// The metrics of one evaluation, in the order of insertion.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics(Map<String, Value>);

impl Metrics {
    /// Metrics measured after `epoch` completed epochs.
    pub fn of_epoch(epoch: u64) -> Self {
        let mut map = Map::new();
        map.insert("epoch".to_owned(), epoch.into());
        Self(map)
    }

    /// Adds or replaces one metric.
    pub fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.to_owned(), value.into());
    }

    /// A metric as a number.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).and_then(Value::as_f64)
    }

    /// Without one of them.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.0.remove(name);
        self
    }

    /// All metrics.
    pub fn entries(&self) -> &Map<String, Value> {
        &self.0
    }

    /// Takes the metrics of another evaluation of the same moment in.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Appends them as one line to `path`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn append_to(&self, path: &Path) -> Result<()> {
        let mut file = OpenOptions::new().create(true).append(true).open(path).map_err(Error::io("open", path))?;
        let line = format!("{}\n", Value::Object(self.0.clone()));
        file.write_all(line.as_bytes()).map_err(Error::io("append to", path))
    }
}

/// Writes the metrics of every evaluation to one file.
pub struct ResultsFile(PathBuf);

impl ResultsFile {
    /// Appends to `path`, which is made.
    ///
    /// # Errors
    /// When the file cannot be opened for writing.
    pub fn open(path: PathBuf) -> Result<Self> {
        OpenOptions::new().create(true).append(true).open(&path).map_err(Error::io("open", &path))?;
        Ok(Self(path))
    }

    /// The last epoch that was evaluated, by what the file holds; lines that are none are passed over.
    pub fn last_epoch(path: &Path) -> Option<u64> {
        let text = std::fs::read_to_string(path).ok()?;
        let epoch = |line: &str| serde_json::from_str::<Value>(line).ok()?.get("epoch")?.as_u64();
        text.lines().filter_map(epoch).max()
    }
}

impl Observer for ResultsFile {
    fn on_evaluation(&mut self, metrics: &Metrics) {
        if let Err(error) = metrics.append_to(&self.0) {
            tracing::warn!("{error}");
        }
    }
}
