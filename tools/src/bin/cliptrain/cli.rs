//! The flags of `cliptrain`, in open_clip's words.

mod architecture;
mod augmentation;
mod data;
mod elsewhere;
pub mod evaluation;
pub mod finetune;
mod keys;
mod optimization;
mod output;
pub mod plot;
#[cfg(test)]
mod table;
mod telling;
mod urls;
pub mod zoo;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub use self::architecture::Architecture;
pub use self::augmentation::parse as parse_augmentation;
pub use self::data::Data;
pub use self::elsewhere::Elsewhere;
pub use self::evaluation::Evaluation;
pub use self::optimization::Optimization;
pub use self::output::{LATEST, Output};
pub use self::telling::Telling;

const EXAMPLES: &str = "\
Examples:
  cliptrain --train-data 'shards/{00000..00041}.tar' --model ViT-B-32 --batch-size 256 --epochs 30 --name run
  cliptrain --train-data 'shards/{00000..00041}.tar' --dataset-resampled --train-num-samples 1000000 --model ViT-B-32
  cliptrain --model ViT-B-32 --pretrained logs/run/checkpoints/epoch_30 \\
            --zeroshot-data flowers/test --zeroshot-classnames names.json --zeroshot-templates templates.json
  cliptrain --train-data cc3m/Train_GCC-training_output.csv --csv-separator , --csv-img-key filepath --csv-caption-key title
  cliptrain --train-data 'pipe:aws s3 cp s3://bucket/{00000..00329}.tar -' --dataset-type webdataset --train-num-samples 3000000
  cliptrain --config run.toml --name run --resume latest
  cliptrain --train-data cc3m.tsv --dataset-type urls --model ViT-B-32 --epochs 10
  cliptrain --train-data 'shards/{00000..00041}.tar' --val-data 'kept-back/{00..03}.tar' --imagenet-val imagenet/val --report-to tensorboard
  cliptrain demo

A run writes logs/NAME/out.log, params.txt, report.html, steps.jsonl, checkpoints/epoch_K/ (open_clip_model.safetensors and
open_clip_config.json, which Python's open_clip opens) and checkpoints/results.jsonl.
Without --train-data it evaluates --pretrained. Flags may be spelled --train_data as well.
Ctrl-C, SIGTERM and SIGUSR1 save a checkpoint first; --resume latest goes on from it.
Exit codes: 0 done (or saved after SIGTERM or SIGUSR1), 2 wrong usage or failure, 130 interrupted (an evaluation: by SIGTERM as
well).";

/// Trains CLIP on image-text shards and evaluates it zero-shot, with open_clip's flags.
#[derive(Debug, Parser)]
#[command(name = "cliptrain", version, after_help = EXAMPLES, max_term_width = 120)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true, args_override_self = true)]
pub struct Cli {
    /// Something other than training and evaluation.
    #[command(subcommand)]
    pub verb: Option<Verb>,
    /// Training and evaluation.
    #[command(flatten)]
    pub train: Train,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run the whole chain on drawn pictures: list, download, statistics, training, zero-shot scores, report
    Demo(Demo),
    /// List the models that are known by name: sizes, operations, weights
    Models(zoo::Models),
    /// Features of pictures and texts, and which text belongs to which picture
    Encode(zoo::Encode),
    /// Embeddings of shards or folders, as clip-retrieval reads them
    Embed(zoo::Embed),
    /// Train the image tower and a head on labelled pictures, from a zero-shot classifier
    Finetune(finetune::Finetune),
    /// Evaluate and save the models on the way from one to another (WiSE-FT)
    Interpolate(finetune::Interpolate),
    /// Charts of runs: loss, accuracy, scaling, robustness
    Plot(plot::Plot),
}

/// What a bare `cliptrain` takes.
#[derive(Debug, Args)]
pub struct Train {
    #[command(flatten)]
    pub data: Data,
    /// Threads that decode; as in open_clip, epochs are rounded up to a multiple of them
    #[arg(long, value_name = "N", default_value_t = 4, help_heading = "Data")]
    pub workers: usize,
    /// Pairs in one batch
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = batch_size, help_heading = "Data")]
    pub batch_size: usize,

    #[command(flatten)]
    pub architecture: Architecture,
    #[command(flatten)]
    pub optimization: Optimization,
    /// Changes of training pictures: scale=(0.9,1.0) ratio=(0.75,1.33) color_jitter=(0.32,0.32,0.32,0.08)
    /// color_jitter_prob=0.8 gray_scale_prob=0.2
    #[arg(long, value_name = "KEY=VALUE", num_args = 1.., help_heading = "Optimization")]
    pub aug_cfg: Vec<String>,

    #[command(flatten)]
    pub evaluation: Evaluation,
    #[command(flatten)]
    pub telling: Telling,

    #[command(flatten)]
    pub output: Output,
    #[command(flatten)]
    pub elsewhere: Elsewhere,
    /// Flags from a file, `name = value` a line; what is typed wins. @FILE stands for the arguments in any file
    #[arg(long, value_name = "FILE.toml")]
    pub config: Option<PathBuf>,
}

impl Train {
    /// Refuses, before any work, what contradicts itself or cannot be done.
    ///
    /// # Errors
    /// Names the flag, the reason, and what to do instead.
    pub fn check(&self) -> anyhow::Result<()> {
        self.elsewhere.check()?;
        self.architecture.check()?;
        self.output.check()?;
        if self.telling.tensorboard()? && self.output.logs_folder().is_none() {
            anyhow::bail!("--report-to tensorboard and --logs None contradict each other: nothing is written");
        }
        self.optimization.check()
    }
}

/// `cliptrain demo`.
#[derive(Debug, Args)]
pub struct Demo {
    /// Folder for everything the demo makes
    #[arg(long, value_name = "DIR", default_value = "clip-demo")]
    pub output: PathBuf,
    /// Training pictures to draw
    #[arg(long, value_name = "N", default_value_t = 4000)]
    pub pictures: usize,
    /// Passes over them
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub epochs: u64,
    /// Seed of the drawings and of the training
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// JSON Lines on standard output, ending in a summary
    #[arg(long)]
    pub json: bool,
}

/// Parses `--batch-size`.
fn batch_size(text: &str) -> Result<usize, String> {
    const LARGEST: usize = 1 << 20;
    let size = text.parse().ok().filter(|size| (1..=LARGEST).contains(size));
    size.ok_or_else(|| format!("expected a whole number from 1 to {LARGEST}"))
}
