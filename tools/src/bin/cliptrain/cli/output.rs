//! The flags about what a run writes, and from where it goes on.

use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::{Args, ValueEnum};
use tools::exit::Hint;
use trainer::config::Saving;

/// What a run writes.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct Output {
    /// Folder of all runs; None writes nothing
    #[arg(long, value_name = "DIR", default_value = "./logs/")]
    pub logs: PathBuf,
    /// Name of this run [default: date, model, lr, batch size, workers, precision]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Steps between two log lines
    #[arg(long, value_name = "STEPS", default_value_t = 100)]
    pub log_every_n_steps: u64,
    /// Tell more of what the libraries do
    #[arg(long)]
    pub debug: bool,
    /// JSON Lines on standard output, ending in a summary
    #[arg(long)]
    pub json: bool,

    /// Go on from a checkpoint: `latest` of --name, a folder, an epoch_K.pt of open_clip, or s3://
    #[arg(long, value_name = "latest|PATH", help_heading = "Checkpoints")]
    pub resume: Option<String>,
    /// Epochs between two checkpoints that are kept; 0 keeps the last epoch's alone
    #[arg(long, value_name = "EPOCHS", default_value_t = 1, help_heading = "Checkpoints")]
    pub save_frequency: u64,
    /// Save within epochs, too; such a checkpoint goes once there is a later one
    #[arg(long, value_name = "STEPS", help_heading = "Checkpoints")]
    pub save_every_n_steps: Option<u64>,
    /// Save every epoch, and have checkpoints/epoch_latest point to the newest
    #[arg(long, help_heading = "Checkpoints")]
    pub save_most_recent: bool,
    /// Keep the newest checkpoint alone
    #[arg(long, help_heading = "Checkpoints")]
    pub delete_previous_checkpoint: bool,
    /// Copy what the run writes to s3://bucket/prefix/NAME (or to a folder) while it goes and when it ends
    #[arg(long, value_name = "s3://…|DIR", help_heading = "Checkpoints")]
    pub remote_sync: Option<String>,
    /// Seconds between two such copies
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 300,
        value_parser = clap::value_parser!(u64).range(1..=86_400),
        help_heading = "Checkpoints"
    )]
    pub remote_sync_frequency: u64,
    /// How they are copied
    #[arg(long, value_enum, default_value_t = Protocol::S3, help_heading = "Checkpoints")]
    pub remote_sync_protocol: Protocol,
}

/// `--remote-sync-protocol`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Protocol {
    /// The S3 client that is built in, or a folder
    S3,
    /// Python's; not built
    Fsspec,
}

/// `--resume`.
pub const LATEST: &str = "latest";

impl Output {
    /// Refuses what contradicts itself or is not built.
    ///
    /// # Errors
    /// Names the flag, and what to do instead.
    pub fn check(&self) -> anyhow::Result<()> {
        if let Some(name) = self.name.as_deref().filter(|name| !is_one_folder(name)) {
            bail!("--name `{name}`: expected the name of one folder within --logs");
        }
        if self.remote_sync_protocol == Protocol::Fsspec {
            let error = anyhow::anyhow!("--remote-sync-protocol fsspec: not built");
            return Err(
                error.context(Hint("s3 takes s3://bucket/prefix, with AWS_ENDPOINT_URL for other stores".into()))
            );
        }
        if self.log_every_n_steps == 0 {
            bail!("--log-every-n-steps: expected at least 1, got 0");
        }
        if self.logs_folder().is_none() {
            for (flag, given) in [
                ("--save-every-n-steps", self.save_every_n_steps.is_some()),
                ("--save-most-recent", self.save_most_recent),
                ("--remote-sync", self.remote_sync.is_some()),
                ("--resume latest", self.resume.as_deref() == Some(LATEST)),
            ] {
                if given {
                    bail!("{flag} and --logs None contradict each other: nothing is written");
                }
            }
        }
        if self.resume.as_deref() == Some(LATEST) && self.name.is_none() {
            let error = anyhow::anyhow!("--resume latest: of which run?");
            return Err(error.context(Hint("--name NAME says it, the first time as well".to_owned())));
        }
        Ok(())
    }

    /// The folder of all runs, where anything is written.
    pub fn logs_folder(&self) -> Option<&Path> {
        let is_none = self.logs.to_str().is_some_and(|logs| logs.is_empty() || logs.eq_ignore_ascii_case("none"));
        (!is_none).then_some(&self.logs)
    }

    /// Which checkpoints are written and kept.
    pub fn saving(&self) -> Saving {
        Saving {
            frequency: self.save_frequency,
            every_n_steps: self.save_every_n_steps,
            most_recent: self.save_most_recent,
            delete_previous: self.delete_previous_checkpoint,
        }
    }
}

fn is_one_folder(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    matches!((parts.next(), parts.next()), (Some(std::path::Component::Normal(_)), None))
}
