//! The flags of `cliptrain finetune` and `cliptrain interpolate`.

use std::path::PathBuf;

use clap::Args;

use super::batch_size;
use super::data::counts;
use super::evaluation::{Evaluation, Prompts};
use super::keys::Keys;
use super::telling::Telling;
use super::zoo::ModelChoice;

/// `cliptrain finetune`.
#[derive(Debug, Args)]
#[command(
    args_override_self = true,
    after_help = "\
Examples:
  cliptrain finetune --pretrained logs/run/checkpoints/epoch_30 --train-data flowers/train --val-data flowers/test --epochs 10
  cliptrain finetune --model ViT-B-32 --pretrained laion2b_s34b_b79k --train-data 'shards/{000..099}.tar' \\
                     --zeroshot-classnames names.txt --zeroshot-templates templates.txt --lr 3e-5
  cliptrain finetune --pretrained logs/run/checkpoints/epoch_30 --train-data flowers/train --head-only --lr 1e-3

--train-data and --val-data are folders of class folders, or shards whose samples have a .cls. The head begins as the
zero-shot classifier of names and templates. logs/NAME/checkpoints/epoch_K holds the whole model with the tuned image tower,
and head.safetensors with head.json beside it; `cliptrain interpolate` takes both. logs/NAME/report.html shows the run. One
that was ended goes on behind its last whole epoch with --resume latest.
Exit codes: 0 done, 2 wrong usage or failure, 130 interrupted, by SIGTERM as well."
)]
pub struct Finetune {
    #[command(flatten)]
    pub choice: ModelChoice,
    /// Labelled pictures to train on
    #[arg(long, value_name = "DIR|SPEC", help_heading = "Data")]
    pub train_data: String,
    /// Labelled pictures to classify after each epoch
    #[arg(long, value_name = "DIR|SPEC", help_heading = "Data")]
    pub val_data: Option<String>,
    #[command(flatten)]
    pub prompts: Prompts,
    /// Samples of one epoch; without it sizes.json or the _stats.json files beside the shards tell
    #[arg(long, value_name = "N", value_parser = counts(), help_heading = "Data")]
    pub train_num_samples: Option<u64>,
    /// Changes of training pictures, as in training
    #[arg(long, value_name = "KEY=VALUE", num_args = 1.., help_heading = "Data")]
    pub aug_cfg: Vec<String>,
    /// Pictures in one batch
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = batch_size, help_heading = "Optimization")]
    pub batch_size: usize,
    /// Threads that decode
    #[arg(long, value_name = "N", default_value_t = 4, help_heading = "Data")]
    pub workers: usize,
    /// Train the head alone
    #[arg(long, help_heading = "Optimization")]
    pub head_only: bool,
    /// Passes over the data
    #[arg(long, value_name = "N", default_value_t = 10, help_heading = "Optimization")]
    pub epochs: u64,
    /// Base learning rate; falls to 0 as half a cosine
    #[arg(
        long,
        value_name = "RATE",
        default_value_t = 3e-5,
        allow_negative_numbers = true,
        help_heading = "Optimization"
    )]
    pub lr: f64,
    /// Weight decay of matrices
    #[arg(
        long,
        value_name = "DECAY",
        default_value_t = 0.1,
        allow_negative_numbers = true,
        help_heading = "Optimization"
    )]
    pub wd: f64,
    /// Steps of linear warm-up
    #[arg(long, value_name = "STEPS", default_value_t = 500, help_heading = "Optimization")]
    pub warmup: u64,
    /// Largest global L2 norm of the gradients
    #[arg(
        long,
        value_name = "NORM",
        default_value_t = 1.0,
        allow_negative_numbers = true,
        help_heading = "Optimization"
    )]
    pub grad_clip_norm: f64,
    /// Seed of order and crops
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Optimization")]
    pub seed: u64,
    /// Folder of all runs
    #[arg(long, value_name = "DIR", default_value = "logs", help_heading = "Output")]
    pub logs: PathBuf,
    /// Name of this run
    #[arg(long, value_name = "NAME", default_value = "finetune", help_heading = "Output")]
    pub name: String,
    /// Go on behind the last epoch of the run --name, or of a checkpoint
    #[arg(long, value_name = "latest|PATH", help_heading = "Output")]
    pub resume: Option<String>,
    /// Steps between two log lines
    #[arg(long, value_name = "STEPS", default_value_t = 100, help_heading = "Output")]
    pub log_every_n_steps: u64,
    #[command(flatten)]
    pub telling: Telling,
    /// JSON Lines on standard output, ending in a summary
    #[arg(long, help_heading = "Output")]
    pub json: bool,
}

/// `cliptrain interpolate`.
#[derive(Debug, Args)]
#[command(
    args_override_self = true,
    after_help = "\
Examples:
  cliptrain interpolate laion2b_s34b_b79k logs/finetune/checkpoints/epoch_10 --model ViT-B-32 --alpha 0:1:0.1 \\
            --imagenet-val imagenet/val --imagenet-v2 imagenetv2 --output wise-ft
  cliptrain interpolate zero-shot tuned --alpha 0.5 --save --output wise-ft
  cliptrain plot wise-ft --output wise-ft.html

Weights are (1 - alpha) A + alpha B. Where B has a head (head.safetensors), pictures of --zeroshot-data are also classified
by the head in between: A's own, or its zero-shot classifier of the same names and templates, and B's (metrics head-…).
--output holds results.jsonl, a line each, and with --save alpha_0.5/ and so on, which --pretrained takes.
Exit codes: 0 done, 2 wrong usage or failure, 130 interrupted, by SIGTERM as well."
)]
pub struct Interpolate {
    /// Weights at 0: a tag, a file or folder, or hf-hub:ORG/NAME
    #[arg(value_name = "A")]
    pub from: String,
    /// Weights at 1
    #[arg(value_name = "B")]
    pub to: String,
    /// Preset, JSON file or folder of both models, where the weights do not say
    #[arg(long, value_name = "NAME|PATH", default_value = "ViT-B-32", help_heading = "Model")]
    pub model: String,
    /// How far to go: FROM:TO:STEP with both ends, or numbers divided by commas
    #[arg(long, value_name = "ALPHAS", default_value = "0:1:0.1")]
    pub alpha: String,
    #[command(flatten)]
    pub evaluation: Evaluation,
    #[command(flatten)]
    pub keys: Keys,
    /// Pictures, and captions, that go through the model at a time
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = batch_size)]
    pub batch_size: usize,
    /// Threads that decode
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub workers: usize,
    /// Folder for results and weights
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    pub output: Option<PathBuf>,
    /// Save the weights of each alpha
    #[arg(long, requires = "output", help_heading = "Output")]
    pub save: bool,
    /// JSON Lines on standard output, one an alpha
    #[arg(long, help_heading = "Output")]
    pub json: bool,
}
