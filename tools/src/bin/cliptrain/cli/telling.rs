//! The flags about who is told of a run.

use anyhow::bail;
use clap::Args;
use tools::exit::Hint;

/// Where numbers and pictures of a run go, beside its folder.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct Telling {
    /// tensorboard: event files in the run's folder; all: everything that is built; none
    #[arg(long, value_name = "SINKS", default_value = "none")]
    pub report_to: String,
}

impl Telling {
    /// Whether event files are written.
    ///
    /// # Errors
    /// For a sink that is not built or not known.
    pub fn tensorboard(&self) -> anyhow::Result<bool> {
        let sinks: Vec<&str> = self.report_to.split([',', ' ']).filter(|sink| !sink.is_empty()).collect();
        for sink in &sinks {
            match *sink {
                "none" | "tensorboard" | "all" => {}
                "wandb" => {
                    let error =
                        anyhow::anyhow!("--report-to wandb: Weights & Biases has no client for programs like this one");
                    let hint = "--report-to tensorboard writes event files, which `wandb sync RUN/tensorboard` uploads";
                    return Err(error.context(Hint(hint.to_owned())));
                }
                other => bail!("--report-to `{other}`: expected tensorboard, all or none"),
            }
        }
        Ok(sinks.iter().any(|sink| matches!(*sink, "tensorboard" | "all")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sinks_are_known_or_refused() {
        let heard = |sinks: &str| Telling { report_to: sinks.to_owned() }.tensorboard();
        assert!(heard("tensorboard").unwrap() && heard("all").unwrap() && heard("none,tensorboard").unwrap());
        assert!(!heard("none").unwrap() && !heard("").unwrap());
        assert!(format!("{:#}", heard("wandb").unwrap_err()).contains("Weights & Biases"));
        assert!(heard("tensorbord").unwrap_err().to_string().contains("`tensorbord`"));
    }
}
