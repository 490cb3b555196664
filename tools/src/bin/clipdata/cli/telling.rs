//! How a run tells of itself, while it lasts and at its end.

use std::path::{Path, PathBuf};

use anyhow::ensure;
use clap::Args;

/// Output for people and for machines.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Telling")]
pub struct Telling {
    /// JSON Lines on standard output: progress every 10 s, a line for each shard, a summary at the end
    #[arg(long)]
    pub json: bool,
    /// At the end, write a page to look at: what came of the rows, sizes, times, hosts, some of the pictures
    #[arg(long, value_name = "FILE.html")]
    pub report: Option<PathBuf>,
    /// Every 10 s and at the end, write counts for node_exporter's textfile collector
    #[arg(long, value_name = "FILE.prom")]
    pub prometheus_file: Option<PathBuf>,
}

impl Telling {
    /// Finds out before the download what would be a pity to learn behind it.
    ///
    /// # Errors
    /// When the folder of one of the files is missing.
    pub fn check(&self) -> anyhow::Result<()> {
        let files = [("--report", &self.report), ("--prometheus-file", &self.prometheus_file)];
        for (flag, file) in files.into_iter().filter_map(|(flag, file)| Some((flag, file.as_ref()?))) {
            let folder = file.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
            ensure!(!file.is_dir(), "{flag} `{}`: expected a file, got a folder", file.display());
            ensure!(folder.is_dir(), "{flag} `{}`: there is no folder `{}`", file.display(), folder.display());
        }
        Ok(())
    }
}
