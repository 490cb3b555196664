//! What is done about the shards that a folder holds already.

use std::iter::Peekable;
use std::path::Path;

use shards::store::Folder;

use crate::error::{Error, Result};
use crate::output::{IncrementalMode, OutputOptions};
use crate::plan::Plan;

/// Readies the folder; returns the number of the first shard to make.
///
/// # Errors
/// When the folder cannot be listed, or a file cannot be deleted.
pub(super) fn prepared(output: &OutputOptions) -> Result<u64> {
    let folder = &output.output_folder;
    match output.incremental_mode {
        IncrementalMode::Incremental => Ok(0),
        IncrementalMode::Overwrite => delete_shards(folder).map(|()| 0),
        IncrementalMode::Extend => {
            let names = folder.names()?;
            let numbers = names.iter().filter_map(|name| shard_of(name)).filter_map(|shard| shard.parse::<u64>().ok());
            Ok(numbers.max().map_or(0, |last| last + 1))
        }
    }
}

/// Refuses to delete shards for a list that cannot be read, or that has no rows.
///
/// # Errors
/// What is wrong with the list.
pub(super) fn check_there_is_something(output: &OutputOptions, plan: &mut Peekable<Plan>, list: &Path) -> Result<()> {
    if output.incremental_mode != IncrementalMode::Overwrite {
        return Ok(());
    }
    plan.next_if(|task| task.is_err()).transpose()?;
    if plan.peek().is_some() {
        return Ok(());
    }
    let reason = "it has no rows, and nothing is deleted for it".to_owned();
    Err(Error::List { path: list.to_path_buf(), reason })
}

/// Deletes what a download writes, and nothing else; a shard's summary first, so that what is left of it is no shard.
fn delete_shards(folder: &Folder) -> Result<()> {
    let names = folder.names()?;
    let mut shards: Vec<&str> = names.iter().filter_map(|name| shard_of(name)).collect();
    shards.dedup();
    for shard in shards {
        let ends = ["_stats.json", ".tar", ".parquet", ".csv", ""];
        ends.iter().try_for_each(|end| folder.delete(&format!("{shard}{end}")))?;
    }
    ["manifest.json", "sizes.json"].iter().try_for_each(|name| folder.delete(name))?;
    Ok(())
}

/// The shard that a file belongs to: what stands before `_stats.json` or its extension, if that is a number.
fn shard_of(name: &str) -> Option<&str> {
    let ends = ["_stats.json", ".tar", ".parquet"];
    let shard = ends.iter().find_map(|end| name.strip_suffix(end))?;
    (!shard.is_empty() && shard.bytes().all(|byte| byte.is_ascii_digit())).then_some(shard)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(folder: &Folder, mode: IncrementalMode) -> OutputOptions {
        OutputOptions { incremental_mode: mode, ..OutputOptions::new(folder.clone()) }
    }

    #[test]
    fn shards_are_kept_replaced_or_continued() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::from(temporary.path());
        for name in ["00000.tar", "00000_stats.json", "00007.parquet", "00007_stats.json", "mine.tar", "sizes.json"] {
            folder.write(name, b"").unwrap();
        }
        assert_eq!(prepared(&options(&folder, IncrementalMode::Incremental)).unwrap(), 0);
        assert_eq!(prepared(&options(&folder, IncrementalMode::Extend)).unwrap(), 8);
        assert_eq!(prepared(&options(&folder, IncrementalMode::Overwrite)).unwrap(), 0);
        assert_eq!(folder.names().unwrap(), ["mine.tar"]);
    }
}
