//! The flags of `cliptrain`, in open_clip's words.

mod augmentation;
mod data;
pub mod evaluation;
pub mod finetune;
mod keys;
pub mod plot;
mod telling;
mod urls;
pub mod zoo;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use self::augmentation::parse as parse_augmentation;
pub use self::data::Data;
pub use self::evaluation::Evaluation;
pub use self::telling::Telling;

const EXAMPLES: &str = "\
Examples:
  cliptrain --train-data 'shards/{00000..00041}.tar' --model ViT-B-32 --batch-size 256 --epochs 30
  cliptrain --train-data 'shards/{00000..00041}.tar' --dataset-resampled --train-num-samples 1000000 --model ViT-B-32
  cliptrain --model ViT-B-32 --pretrained logs/run/checkpoints/epoch_30 \\
            --zeroshot-data flowers/test --zeroshot-classnames names.json --zeroshot-templates templates.json
  cliptrain --train-data cc3m/Train_GCC-training_output.csv --csv-separator , --csv-img-key filepath --csv-caption-key title
  cliptrain --train-data 'pipe:aws s3 cp s3://bucket/{00000..00329}.tar -' --dataset-type webdataset --train-num-samples 3000000
  cliptrain --train-data cc3m.tsv --dataset-type urls --model ViT-B-32 --epochs 10
  cliptrain --train-data 'shards/{00000..00041}.tar' --val-data 'kept-back/{00..03}.tar' --imagenet-val imagenet/val --report-to tensorboard
  cliptrain demo

A run writes logs/NAME/out.log, params.txt, report.html, steps.jsonl, checkpoints/epoch_K/ (open_clip_model.safetensors and
open_clip_config.json, which Python's open_clip opens) and checkpoints/results.jsonl.
Without --train-data it evaluates --pretrained. Flags may be spelled --train_data as well. Exit codes: 0 done, 2 wrong usage or failure, 130 interrupted.";

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
    #[arg(long, value_name = "N", default_value_t = 64, help_heading = "Data")]
    pub batch_size: usize,

    /// Preset (see `cliptrain models`; tiny-32 trains in minutes on a CPU), or a JSON file with a model_cfg
    #[arg(long, value_name = "NAME|FILE", default_value = "ViT-B-32", help_heading = "Model")]
    pub model: String,
    /// Weights to start from or to evaluate: a tag (see `cliptrain models`), a file or folder, or hf-hub:ORG/NAME
    #[arg(long, value_name = "TAG|PATH|hf-hub:ORG/NAME", help_heading = "Model")]
    pub pretrained: Option<String>,
    #[command(flatten)]
    pub forced: zoo::Forced,

    /// Passes over the data
    #[arg(long, value_name = "N", default_value_t = 32, help_heading = "Optimization")]
    pub epochs: u64,
    /// Base learning rate [default: 5e-4]
    #[arg(long, value_name = "RATE", allow_negative_numbers = true, help_heading = "Optimization")]
    pub lr: Option<f64>,
    /// [default: 0.9]
    #[arg(long, value_name = "BETA", allow_negative_numbers = true, help_heading = "Optimization")]
    pub beta1: Option<f64>,
    /// [default: 0.98 for models called vit, else 0.999]
    #[arg(long, value_name = "BETA", allow_negative_numbers = true, help_heading = "Optimization")]
    pub beta2: Option<f64>,
    /// [default: 1e-6 for models called vit, else 1e-8]
    #[arg(long, value_name = "EPS", allow_negative_numbers = true, help_heading = "Optimization")]
    pub eps: Option<f64>,
    /// Weight decay of matrices
    #[arg(
        long,
        value_name = "DECAY",
        allow_negative_numbers = true,
        default_value_t = 0.2,
        help_heading = "Optimization"
    )]
    pub wd: f64,
    /// Steps of linear warm-up
    #[arg(long, value_name = "STEPS", default_value_t = 10_000, help_heading = "Optimization")]
    pub warmup: u64,
    /// Learning rate after warm-up
    #[arg(long, value_enum, default_value_t = Scheduler::Cosine, help_heading = "Optimization")]
    pub lr_scheduler: Scheduler,
    /// Largest global L2 norm of the gradients
    #[arg(
        long,
        alias = "grad_clip_norm",
        value_name = "NORM",
        allow_negative_numbers = true,
        help_heading = "Optimization"
    )]
    pub grad_clip_norm: Option<f64>,
    /// Seed of weights, order and crops
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Optimization")]
    pub seed: u64,
    /// Changes of training pictures: scale=(0.9,1.0) ratio=(0.75,1.33) color_jitter=(0.32,0.32,0.32,0.08)
    /// color_jitter_prob=0.8 gray_scale_prob=0.2
    #[arg(long, value_name = "KEY=VALUE", num_args = 1.., help_heading = "Optimization")]
    pub aug_cfg: Vec<String>,

    #[command(flatten)]
    pub evaluation: Evaluation,
    #[command(flatten)]
    pub telling: Telling,

    /// Folder of all runs
    #[arg(long, value_name = "DIR", default_value = "logs", help_heading = "Output")]
    pub logs: PathBuf,
    /// Name of this run [default: date, model, lr, batch size, workers]
    #[arg(long, value_name = "NAME", help_heading = "Output")]
    pub name: Option<String>,
    /// Steps between two log lines
    #[arg(long, value_name = "STEPS", default_value_t = 100, help_heading = "Output")]
    pub log_every_n_steps: u64,
    /// Epochs between two checkpoints
    #[arg(long, value_name = "EPOCHS", default_value_t = 1, help_heading = "Output")]
    pub save_frequency: u64,
    /// JSON Lines on standard output, ending in a summary
    #[arg(long, help_heading = "Output")]
    pub json: bool,
}

/// `--lr-scheduler`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Scheduler {
    /// Half a cosine to zero
    Cosine,
    /// The base rate throughout
    Const,
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
