//! The flags about the steps of training.

use clap::{Args, ValueEnum};
use tools::exit::Hint;
use trainer::config::{AdamW, Decay, optimizer_defaults};

/// How it is trained.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Optimization")]
pub struct Optimization {
    /// Passes over the data
    #[arg(long, value_name = "N", default_value_t = 32)]
    pub epochs: u64,
    /// Base learning rate [default: 5e-4]
    #[arg(long, value_name = "RATE", allow_negative_numbers = true)]
    pub lr: Option<f64>,
    /// [default: 0.9]
    #[arg(long, value_name = "BETA", allow_negative_numbers = true)]
    pub beta1: Option<f64>,
    /// [default: 0.98 for models called vit, else 0.999]
    #[arg(long, value_name = "BETA", allow_negative_numbers = true)]
    pub beta2: Option<f64>,
    /// [default: 1e-6 for models called vit, else 1e-8]
    #[arg(long, value_name = "EPS", allow_negative_numbers = true)]
    pub eps: Option<f64>,
    /// Weight decay of matrices
    #[arg(long, value_name = "DECAY", allow_negative_numbers = true, default_value_t = 0.2)]
    pub wd: f64,
    /// Optimizer
    #[arg(long, value_name = "NAME", default_value = "adamw")]
    pub opt: String,
    /// Steps of linear warm-up
    #[arg(long, value_name = "STEPS", default_value_t = 10_000)]
    pub warmup: u64,
    /// Learning rate after warm-up
    #[arg(long, value_enum, default_value_t = Scheduler::Cosine)]
    pub lr_scheduler: Scheduler,
    /// The base rate from the first step to the last
    #[arg(long)]
    pub skip_scheduler: bool,
    /// Epochs of the descent of const-cooldown
    #[arg(long, value_name = "N")]
    pub epochs_cooldown: Option<u64>,
    /// Learning rate at the end of that descent
    #[arg(long, value_name = "RATE", allow_negative_numbers = true, default_value = "0.0")]
    pub lr_cooldown_end: f64,
    /// Exponent of that descent; 1 is linear
    #[arg(long, value_name = "POWER", allow_negative_numbers = true, default_value = "1.0")]
    pub lr_cooldown_power: f64,
    /// Batches that make one optimizer step, with the memory of one and the gradients of all together
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub accum_freq: u64,
    /// Largest global L2 norm of the gradients
    #[arg(long, value_name = "NORM", allow_negative_numbers = true)]
    pub grad_clip_norm: Option<f64>,
    /// Sigmoid loss, with a logit bias that starts at -10 and a scale of 10
    #[arg(long)]
    pub siglip: bool,
    /// Learn from what this model makes of the same batches, too; wants --distill-pretrained
    #[arg(long, value_name = "NAME|FILE", requires = "distill_pretrained")]
    pub distill_model: Option<String>,
    /// Weights of that model
    #[arg(long, value_name = "TAG|PATH|hf-hub:ORG/NAME", requires = "distill_model")]
    pub distill_pretrained: Option<String>,
    /// Seed of weights, order, crops and what is dropped
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
}

/// `--lr-scheduler`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Scheduler {
    /// Half a cosine to zero
    Cosine,
    /// The base rate throughout
    Const,
    /// The base rate, then a descent over the last --epochs-cooldown epochs
    ConstCooldown,
}

impl Optimization {
    /// Learning rate and constants, those of the model where nothing is said.
    pub fn adamw(&self, model: &str) -> (f64, AdamW) {
        let (lr, defaults) = optimizer_defaults(model);
        let adamw = AdamW {
            beta1: self.beta1.unwrap_or(defaults.beta1),
            beta2: self.beta2.unwrap_or(defaults.beta2),
            eps: self.eps.unwrap_or(defaults.eps),
            wd: self.wd,
        };
        (self.lr.unwrap_or(lr), adamw)
    }

    /// Refuses optimizers that are not built.
    ///
    /// # Errors
    /// Names the flag, and what to do instead.
    pub fn check(&self) -> anyhow::Result<()> {
        if !self.opt.eq_ignore_ascii_case("adamw") {
            let error = anyhow::anyhow!("--opt `{}`: not built", self.opt);
            return Err(error.context(Hint("adamw is the optimizer that open_clip's models were trained with".into())));
        }
        if self.siglip && self.distill_model.is_some() {
            anyhow::bail!("--siglip and --distill-model contradict each other: a teacher's choices are no yes or no");
        }
        Ok(())
    }

    /// What the learning rate does after warm-up.
    ///
    /// # Errors
    /// When flags about a cooldown and the scheduler do not fit together.
    pub fn decay(&self) -> anyhow::Result<Decay> {
        let cooldown = self.lr_scheduler == Scheduler::ConstCooldown;
        Ok(match (self.skip_scheduler, self.lr_scheduler, self.epochs_cooldown) {
            (_, Scheduler::ConstCooldown, None) => {
                anyhow::bail!("--lr-scheduler const-cooldown: --epochs-cooldown N has to say how long the descent is")
            }
            (_, _, Some(_)) if !cooldown => {
                anyhow::bail!("--epochs-cooldown has a meaning only with --lr-scheduler const-cooldown")
            }
            (true, ..) => Decay::Skipped,
            (_, Scheduler::Cosine, _) => Decay::Cosine,
            (_, Scheduler::Const, _) => Decay::Const,
            (_, Scheduler::ConstCooldown, Some(epochs)) => {
                Decay::ConstCooldown { epochs, power: self.lr_cooldown_power, end: self.lr_cooldown_end }
            }
        })
    }
}
