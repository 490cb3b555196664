//! Options of img2dataset that there is nothing to do for, or that cannot be met: published commands have them.

use anyhow::bail;
use clap::Args;
use tools::exit::Hint;

use super::values::switch;

/// Taken, so that published commands run.
#[derive(Debug, Args)]
#[command(next_help_heading = "Accepted from img2dataset")]
pub struct Accepted {
    /// multiprocessing; for many machines see --rank
    #[arg(long, value_name = "NAME", default_value = "multiprocessing", hide_default_value = true)]
    pub distributor: String,
    /// Without effect: there are no jobs to cut
    #[arg(long, value_name = "N")]
    pub subjob_size: Option<String>,
    /// Without effect: a shard that cannot be written ends the run, and the same command goes on from there
    #[arg(long, value_name = "N")]
    pub max_shard_retry: Option<u64>,
    /// Without effect, but for a warning: --json tells what wandb would be told
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", hide_default_value = true, hide_possible_values = true, value_name = "BOOL", value_parser = switch)]
    pub enable_wandb: bool,
    /// Without effect
    #[arg(long, value_name = "NAME")]
    pub wandb_project: Option<String>,
}

impl Accepted {
    /// Refuses what would be missed.
    ///
    /// # Errors
    /// For Spark and Ray.
    pub fn check(&self) -> anyhow::Result<()> {
        if self.enable_wandb {
            tracing::warn!(
                "--enable-wandb: there is no wandb here; --json writes every shard's counts as JSON Lines, and --report a page with the plots"
            );
        }
        match self.distributor.as_str() {
            "multiprocessing" => Ok(()),
            "pyspark" | "ray" => {
                let hint = "start the same command on every machine: SLURM, Kubernetes, torchrun and MPI are recognised, \
                            --rank and --world-size say it by hand";
                let error = anyhow::anyhow!("--distributor {}: there is none here", self.distributor);
                Err(error.context(Hint(hint.to_owned())))
            }
            other => bail!("--distributor: expected multiprocessing, got `{other}`"),
        }
    }
}
