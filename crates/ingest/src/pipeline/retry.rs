//! Another try for rows that failed: the same rows under the same keys, merged into their shards.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use shards::metadata::{MetadataLayout, Status, StoredTable};
use shards::store::Folder;
use shards::summary::{ShardSummary, complete_shards};
use shards::uri::ShardUri;

use super::kept::{Files, Kept, KeptSamples, Tar};
use super::{Observer, Planned, StopToken, Task};
use crate::config::DownloadConfig;
use crate::error::{Error, Result};
use crate::failure::FailureKind;
use crate::fetch::FetchOptions;
use crate::output::{Manifest, OutputFormat, OutputOptions};
use crate::process::{InstructionColumns, ProcessOptions};
use crate::report::DownloadReport;
use crate::url_list::{InputOptions, ListedRow, UrlRow};

/// Which rows are tried again, and how.
#[derive(Clone, Debug)]
pub struct RetryConfig {
    /// The folder of shards; how they were made stands in its manifest.
    pub folder: Folder,
    /// Kinds of failures (`timeout`, `http_503`, or `http_status` for all of these); empty: all but `bad_row`.
    pub kinds: Vec<String>,
    /// How URLs are asked for.
    pub fetch: FetchOptions,
    /// Threads that decode, resize and encode; 0: one for each core.
    pub processes_count: usize,
    /// Bodies and encoded pictures held at the same time, in bytes.
    pub memory_budget_bytes: u64,
    /// Bytes that pictures may take while they are decoded, all together.
    pub decode_budget_bytes: u64,
}

/// Downloads failed rows anew. Shards without such rows stay as they are, and each of the others is replaced once it is
/// whole again.
///
/// # Errors
/// When the folder has no manifest or is of a format that cannot be merged, or for the reasons of a download.
pub fn retry(config: &RetryConfig, observer: Arc<dyn Observer>, stop: &StopToken) -> Result<DownloadReport> {
    if let Some(unknown) = config.kinds.iter().find(|kind| !FailureKind::is_name(kind)) {
        let reason =
            format!("expected {} or a status such as http_404, got `{unknown}`", FailureKind::names().join(", "));
        return Err(Error::Config { option: "kinds", reason });
    }
    let manifest =
        Manifest::read(&config.folder)?.ok_or_else(|| Error::NoManifest { folder: config.folder.to_string() })?;
    if manifest.output_format == OutputFormat::Dummy {
        let reason = "expected shards with samples, got those of a dummy run".to_owned();
        return Err(Error::Config { option: "output_format", reason });
    }
    let download = download_config(config, &manifest);
    let shards = Shards { folder: config.folder.clone(), manifest, kinds: config.kinds.iter().cloned().collect() };
    let names = complete_shards(&config.folder)?;
    let layout = match names.first() {
        Some(name) => shards.table(name)?.layout,
        None => MetadataLayout::default(),
    };
    let mut columns: Vec<String> = layout.additional.iter().map(|(name, _)| name.clone()).collect();
    let kept = columns.len();
    let instructions = InstructionColumns::find(&download.process, &mut columns);
    if let Some(lost) = columns.get(kept).filter(|_| !names.is_empty()) {
        let reason =
            format!("expected `{lost}` among save_additional_columns: the shards do not say what rows had there");
        return Err(Error::Config { option: "verify_hash", reason });
    }
    let made = super::Made { layout, instructions };
    let count = names.len() as f64;
    let tasks = names.into_iter().enumerate().filter_map(move |(place, name)| {
        let list_read = Some((place + 1) as f64 / count);
        let planned = |task| Planned { task: Task::Again(Box::new(task)), list_read };
        shards.task(&name).map(|task| task.map(planned)).transpose()
    });
    super::run(&download, made, Box::new(tasks), observer, stop)
}

fn download_config(config: &RetryConfig, manifest: &Manifest) -> DownloadConfig {
    let output = OutputOptions {
        output_format: manifest.output_format,
        number_sample_per_shard: manifest.number_sample_per_shard,
        oom_shard_count: manifest.oom_shard_count,
        deterministic: manifest.deterministic,
        ..OutputOptions::new(config.folder.clone())
    };
    DownloadConfig {
        input: InputOptions::new(PathBuf::from(&manifest.url_list)),
        fetch: config.fetch.clone(),
        process: ProcessOptions { decode_budget_bytes: config.decode_budget_bytes, ..manifest.process.clone() },
        output,
        processes_count: config.processes_count,
        memory_budget_bytes: config.memory_budget_bytes,
    }
}

/// A shard with rows to try again.
pub(super) struct RetryTask {
    pub shard_id: u64,
    pub name: String,
    /// With their places in the shard.
    pub rows: Vec<(usize, ListedRow)>,
    /// Rows of the whole shard.
    pub total: usize,
    pub kept: Kept,
    pub fingerprint: Option<String>,
}

struct Shards {
    folder: Folder,
    manifest: Manifest,
    kinds: BTreeSet<String>,
}

impl Shards {
    fn table(&self, name: &str) -> Result<StoredTable> {
        let file = format!("{name}.parquet");
        let path = PathBuf::from(format!("{}/{file}", self.folder));
        let missing =
            || Error::Table { path: path.clone(), reason: "it is missing, but the shard is marked as complete".into() };
        let bytes = self.folder.read(&file)?.ok_or_else(missing)?;
        Ok(StoredTable::read(&path, bytes.into())?)
    }

    /// `None` where the shard has nothing to try again.
    fn task(&self, name: &str) -> Result<Option<RetryTask>> {
        let summary = ShardSummary::read_from(&self.folder, name)?;
        let may_fail = |kind: &String| self.is_wanted(kind) || kind == "http_status";
        if !summary.as_ref().is_some_and(|summary| summary.status_dict.keys().any(may_fail)) {
            return Ok(None);
        }
        let table = self.table(name)?;
        let expected = summary.as_ref().map(|summary| summary.count);
        if expected.is_some_and(|expected| expected != table.rows.len() as u64) {
            let (path, expected) =
                (PathBuf::from(format!("{}/{name}.parquet", self.folder)), expected.unwrap_or_default());
            let reason = format!("expected the {expected} rows of its summary, got {}", table.rows.len());
            return Err(Error::Table { path, reason });
        }
        let again = |row: &shards::metadata::MetadataRow| {
            let kind = FailureKind::full_name(row.error_kind.as_deref().unwrap_or_default(), row.http_status);
            row.status != Status::Success && self.is_wanted(&kind)
        };
        let rows: Vec<_> = table.rows.iter().enumerate().filter(|(_, stored)| again(&stored.row)).collect();
        let row = |(place, stored): &(usize, &shards::metadata::StoredRow)| {
            let row = &stored.row;
            let (url, caption, extra) = (row.url.clone(), row.caption.clone(), row.additional.clone());
            (*place, Ok(UrlRow { index: *place as u64, url, caption, extra }))
        };
        let rows: Vec<(usize, ListedRow)> = rows.iter().map(row).collect();
        if rows.is_empty() {
            return Ok(None);
        }
        let total = table.rows.len();
        Ok(Some(RetryTask {
            shard_id: name.parse().unwrap_or_default(),
            name: name.to_owned(),
            rows,
            total,
            kept: Kept::new(table.rows, again, self.samples(name)?),
            fingerprint: summary.and_then(|summary| summary.rows_sha256),
        }))
    }

    fn samples(&self, name: &str) -> Result<KeptSamples> {
        let image = self.manifest.process.encode_format;
        Ok(match self.manifest.output_format {
            OutputFormat::Webdataset => {
                KeptSamples::Tar(Box::new(Tar::new(ShardUri::parse(&format!("{}/{name}.tar", self.folder))?, image)))
            }
            OutputFormat::Files | OutputFormat::Csv => {
                KeptSamples::Files(Files { folder: self.folder.clone(), shard: name.to_owned(), image })
            }
            OutputFormat::Parquet | OutputFormat::Dummy => KeptSamples::InTable,
        })
    }

    fn is_wanted(&self, kind: &str) -> bool {
        let is_status = kind.starts_with("http_") && self.kinds.contains("http_status");
        match self.kinds.is_empty() {
            true => !matches!(kind, "success" | "bad_row"),
            false => self.kinds.contains(kind) || is_status,
        }
    }
}
