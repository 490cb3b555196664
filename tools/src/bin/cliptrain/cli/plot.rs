//! The flags of `cliptrain plot`.

use std::path::PathBuf;

use clap::Args;

/// `cliptrain plot`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cliptrain plot logs/run --output run.html
  cliptrain plot logs/small logs/base logs/large --output charts --format svg,png
  cliptrain plot clip/results.jsonl wise-ft/results.jsonl --only robustness --output robustness.svg
  cliptrain plot logs/* --metric imagenet-zeroshot-val-top1 --only scaling --output scaling.png

RUN is a run's folder or a results.jsonl; logs of open_clip are understood. Charts: loss, validation-loss, zero-shot, retrieval,
scaling (error over operations or pairs, one point a run), robustness (ImageNet-V2 over ImageNet, beside the line of standard
models), interpolation. With one file of svg or png as --output, --only picks the chart where there are several.")]
pub struct Plot {
    /// Runs to draw
    #[arg(value_name = "RUN", required = true)]
    pub runs: Vec<PathBuf>,
    /// A page (.html), a picture (.svg, .png), or a folder for all charts
    #[arg(long, value_name = "FILE|DIR", default_value = "plots.html")]
    pub output: PathBuf,
    /// Formats of the files in a folder
    #[arg(long, value_name = "FORMATS", default_value = "svg,png,html")]
    pub format: String,
    /// Charts to draw [default: all that there is something to show for]
    #[arg(long, value_name = "CHARTS", value_delimiter = ',')]
    pub only: Vec<String>,
    /// What the scaling chart is about [default: top-1 on ImageNet, else the first top-1 that all runs have]
    #[arg(long, value_name = "NAME")]
    pub metric: Option<String>,
}
