//! `results.jsonl`: one JSON object of metrics per evaluation, appended, with open_clip's names.
//!
//! Format, version 1: the keys are those of open_clip (`epoch`, `zeroshot-val-top1`, …), shares
//! are fractions from 0 to 1, and a reader must ignore keys it does not know.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use serde_json::{Map, Value};

use crate::error::{Error, Result};

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

    /// All metrics.
    pub fn entries(&self) -> &Map<String, Value> {
        &self.0
    }

    /// All metrics, by value.
    pub fn into_entries(self) -> Map<String, Value> {
        self.0
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
