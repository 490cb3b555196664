//! The flags about the model that is trained: which, in which precision, and what of it.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use model::clip::{Clip, LayerNorms, Precision as Computed};
use model::config::{self, Overrides, PreprocessConfig};
use model::tower::trunk::Keep;
use trainer::step::Statistics;
use trainer::zoo::Name;

use super::zoo::{Forced, named};

/// Which model, and what of it is trained.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Model")]
pub struct Architecture {
    /// Preset (see `cliptrain models`; tiny-32 trains in minutes on a CPU), a JSON file with a model_cfg, or a folder
    /// [default: RN50, or what the folder of the weights says]
    #[arg(long, value_name = "NAME|PATH")]
    pub model: Option<String>,
    /// Weights to start from or to evaluate: a tag (see `cliptrain models`), a file or folder, or hf-hub:ORG/NAME
    #[arg(long, value_name = "TAG|PATH|hf-hub:ORG/NAME")]
    pub pretrained: Option<String>,
    #[command(flatten)]
    pub forced: Forced,
    /// Folder of weights and tokenizers from the hub [default: as the Python hub client's]
    #[arg(long, value_name = "DIR")]
    pub cache_dir: Option<PathBuf>,
    /// Mean of the pictures' channels, 0 to 1 [default: OpenAI's, or what the weights say]
    #[arg(long, value_name = "MEAN", num_args = 1.., allow_negative_numbers = true)]
    pub image_mean: Vec<f64>,
    /// Their standard deviation, 0.001 to 1
    #[arg(long, value_name = "STD", num_args = 1.., allow_negative_numbers = true)]
    pub image_std: Vec<f64>,
    /// Filter that resizes pictures in evaluation; training is bicubic always [default: bicubic, or what the weights say]
    #[arg(long, value_enum)]
    pub image_interpolation: Option<Interpolation>,
    /// How pictures become squares in evaluation [default: shortest, or what the weights say]
    #[arg(long, value_enum)]
    pub image_resize_mode: Option<ResizeMode>,
    /// What activations are computed in; parameters and moments are 32 bits wide always
    #[arg(long, value_enum, default_value_t = Precision::Amp)]
    pub precision: Precision,
    /// Where it is computed [default: the accelerator that this program was built for, or the CPU]
    #[arg(long, value_name = "NAME")]
    pub device: Option<String>,
    /// Compute activations of the towers again in the backward pass instead of keeping them
    #[arg(long)]
    pub grad_checkpointing: bool,
    /// Hold the image tower
    #[arg(long)]
    pub lock_image: bool,
    /// Leave its last N groups (projection, last block, …) trainable
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub lock_image_unlocked_groups: usize,
    /// Hold the running statistics of its batch normalisations, too
    #[arg(long)]
    pub lock_image_freeze_bn_stats: bool,
    /// Hold the text tower
    #[arg(long)]
    pub lock_text: bool,
    /// Leave its last N layers trainable
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub lock_text_unlocked_layers: usize,
    /// Hold its layer normalisations, too; those of a tower of transformers stay trainable otherwise
    #[arg(long)]
    pub lock_text_freeze_layer_norm: bool,
}

/// What `--model` is where nothing is said, as in open_clip.
const DEFAULT_MODEL: &str = "RN50";

/// `--precision`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Precision {
    /// bf16 on accelerators, 32 bits on CPUs, where fewer save nothing
    Amp,
    /// 16 bits with the range of 32
    #[value(name = "amp_bf16", aliases = ["amp_bfloat16", "amp-bf16"])]
    AmpBf16,
    /// The same
    Bf16,
    /// The same
    #[value(name = "pure_bf16", alias = "pure-bf16")]
    PureBf16,
    /// 16 bits with a loss that is scaled as large as they allow
    Fp16,
    /// The same
    #[value(name = "pure_fp16", alias = "pure-fp16")]
    PureFp16,
    /// 32 bits
    Fp32,
}

/// `--image-interpolation`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Interpolation {
    Bicubic,
    Bilinear,
    /// Bicubic in evaluation
    Random,
}

impl From<Interpolation> for config::Interpolation {
    fn from(given: Interpolation) -> Self {
        match given {
            Interpolation::Bicubic | Interpolation::Random => Self::Bicubic,
            Interpolation::Bilinear => Self::Bilinear,
        }
    }
}

/// `--image-resize-mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ResizeMode {
    /// The shorter side fitted, the middle cut out
    Shortest,
    /// The longer side fitted, the rest filled
    Longest,
    /// Both sides fitted
    Squash,
}

impl From<ResizeMode> for config::ResizeMode {
    fn from(given: ResizeMode) -> Self {
        match given {
            ResizeMode::Shortest => Self::Shortest,
            ResizeMode::Longest => Self::Longest,
            ResizeMode::Squash => Self::Squash,
        }
    }
}

impl Architecture {
    /// What the model is called.
    pub fn name(&self) -> Name {
        named(self.model.as_deref(), DEFAULT_MODEL)
    }

    /// A warning where it is not computed on the device that was named.
    pub fn device_warning(&self) -> Option<String> {
        let device = self.device.as_deref().filter(|device| *device != "cpu")?;
        Some(format!("--device {device}: this program was built for the CPU, and computes on it"))
    }

    /// Refuses what contradicts itself or is not built.
    ///
    /// # Errors
    /// Names the flag, and what to do instead.
    pub fn check(&self) -> anyhow::Result<()> {
        for (flag, lacks, given) in [
            ("--lock-image-unlocked-groups", "--lock-image", !self.lock_image && self.lock_image_unlocked_groups > 0),
            ("--lock-image-freeze-bn-stats", "--lock-image", !self.lock_image && self.lock_image_freeze_bn_stats),
            ("--lock-text-unlocked-layers", "--lock-text", !self.lock_text && self.lock_text_unlocked_layers > 0),
            ("--lock-text-freeze-layer-norm", "--lock-text", !self.lock_text && self.lock_text_freeze_layer_norm),
        ] {
            if given {
                bail!("{flag} without {lacks} would change nothing");
            }
        }
        if let Some(device) = self.device.as_deref().filter(|device| !is_device(device)) {
            bail!("--device `{device}`: expected cpu, cuda, cuda:N or mps");
        }
        channels("--image-mean", &self.image_mean, 0.0..=1.0)?;
        channels("--image-std", &self.image_std, 1e-3..=1.0)?;
        self.forced.check()
    }

    /// What is forced upon the configuration.
    pub fn overrides(&self, siglip: bool) -> Overrides {
        Overrides { sigmoid_logits: siglip.into(), ..(&self.forced).into() }
    }

    /// What the towers compute in.
    pub fn computed_in(&self, on_accelerator: bool) -> Computed {
        match self.precision {
            Precision::Amp if on_accelerator => Computed::Bf16,
            Precision::Amp | Precision::Fp32 => Computed::Fp32,
            Precision::AmpBf16 | Precision::Bf16 | Precision::PureBf16 => Computed::Bf16,
            Precision::Fp16 | Precision::PureFp16 => Computed::Fp16,
        }
    }

    /// Holds what is to be held of a model, and sets how it computes.
    ///
    /// # Errors
    /// When a tower cannot be held in parts.
    pub fn apply(&self, clip: &mut Clip) -> anyhow::Result<Statistics> {
        let mut preprocess: PreprocessConfig = clip.preprocess().clone();
        for (own, given) in [(&mut preprocess.mean, &self.image_mean), (&mut preprocess.std, &self.image_std)] {
            match given.as_slice() {
                [] => {}
                [one] => *own = [*one; 3],
                several => own.copy_from_slice(several),
            }
        }
        if let Some(interpolation) = self.image_interpolation {
            preprocess.interpolation = interpolation.into();
        }
        if let Some(resize_mode) = self.image_resize_mode {
            preprocess.resize_mode = resize_mode.into();
        }
        clip.set_preprocess(preprocess);
        clip.set_precision(self.computed_in(!clip.device().is_cpu()));
        if self.grad_checkpointing {
            clip.set_keep(Keep::Input);
        }
        if self.lock_image {
            clip.lock_image(self.lock_image_unlocked_groups).context("--lock-image-unlocked-groups")?;
        }
        if self.lock_text {
            let norms = if self.lock_text_freeze_layer_norm { LayerNorms::Held } else { LayerNorms::Free };
            clip.lock_text(self.lock_text_unlocked_layers, norms);
        }
        Ok(if self.lock_image_freeze_bn_stats { Statistics::Frozen } else { Statistics::Follow })
    }
}

/// Whether torch has a device of that name, where open_clip may be told to compute.
fn is_device(name: &str) -> bool {
    let (kind, index) = name.split_once(':').unwrap_or((name, "0"));
    ["cpu", "cuda", "mps"].contains(&kind) && index.parse::<u16>().is_ok()
}

/// One number for all channels, or one a channel.
fn channels(flag: &str, values: &[f64], range: RangeInclusive<f64>) -> anyhow::Result<()> {
    let (low, high) = (range.start(), range.end());
    if !matches!(values.len(), 0 | 1 | 3) {
        bail!("{flag}: expected one number or three, got {}", values.len());
    }
    match values.iter().find(|value| !range.contains(value)) {
        Some(value) => bail!("{flag}: expected {low} to {high}, got {value}"),
        None => Ok(()),
    }
}
