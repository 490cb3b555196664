//! Flags of open_clip that are about Python or about several processes: those that change nothing here, and those that are
//! refused.

use clap::Args;
use tools::exit::Hint;

/// Flags that are known, and either change nothing or are refused.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Known from open_clip, without effect or refused")]
pub struct Elsewhere {
    /// Without effect: one process has one log
    #[arg(long)]
    pub log_local: bool,
    /// Without effect: layers are fused kernels already
    #[arg(long)]
    pub torchcompile: bool,
    /// Without effect: there is no code to copy; params.txt has the version
    #[arg(long)]
    pub copy_codebase: bool,
    /// Without effect in one process
    #[arg(long)]
    pub use_bn_sync: bool,
    /// Without effect in one process, whose gradients are exact
    #[arg(long)]
    pub local_loss: bool,
    /// Without effect in one process, whose gradients are exact
    #[arg(long)]
    pub gather_with_grad: bool,
    /// Without effect in one process
    #[arg(long)]
    pub ddp_static_graph: bool,
    /// Without effect in one process
    #[arg(long)]
    pub no_set_device_rank: bool,
    /// Without effect in one process
    #[arg(long, value_name = "URL")]
    pub dist_url: Option<String>,
    /// Without effect in one process
    #[arg(long, value_name = "NAME")]
    pub dist_backend: Option<String>,
    /// Without effect in one process
    #[arg(long, value_name = "NAME")]
    pub loss_dist_impl: Option<String>,
    /// Without effect: all of --val-data is evaluated
    #[arg(long, value_name = "N")]
    pub val_num_samples: Option<u64>,
    /// Without effect: Weights & Biases is not written to
    #[arg(long, value_name = "TEXT")]
    pub wandb_notes: Option<String>,
    /// Without effect: Weights & Biases is not written to
    #[arg(long, value_name = "NAME")]
    pub wandb_project_name: Option<String>,
    /// Refused
    #[arg(long)]
    pub horovod: bool,
    /// Refused
    #[arg(long)]
    pub torchscript: bool,
    /// Refused
    #[arg(long)]
    pub trace: bool,
    /// Refused
    #[arg(long)]
    pub pretrained_image: bool,
    /// Refused
    #[arg(long, value_name = "NAME")]
    pub use_bnb_linear: Option<String>,
    /// Refused
    #[arg(long, value_name = "BETA")]
    pub momentum: Option<f64>,
    /// Refused
    #[arg(long, value_name = "WEIGHT")]
    pub coca_caption_loss_weight: Option<f64>,
    /// Refused
    #[arg(long, value_name = "WEIGHT")]
    pub coca_contrastive_loss_weight: Option<f64>,
}

impl Elsewhere {
    /// Refuses what cannot be done here.
    ///
    /// # Errors
    /// Names the flag, the reason, and what to do instead.
    pub fn check(&self) -> anyhow::Result<()> {
        let coca = "CoCa's captioning decoder is not built";
        for (flag, given, reason, hint) in [
            ("--horovod", self.horovod, "there is no Horovod here", "leave it out; one process trains on one device"),
            ("--torchscript", self.torchscript, "there is no TorchScript here", "leave it out: nothing is interpreted"),
            ("--trace", self.trace, "there is no TorchScript here", "leave it out: evaluation needs no tracing"),
            (
                "--pretrained-image",
                self.pretrained_image,
                "image towers of timm are not built",
                "--pretrained takes weights of a whole CLIP; with --lock-image they stay as they are",
            ),
            (
                "--use-bnb-linear",
                self.use_bnb_linear.is_some(),
                "layers of bitsandbytes are CUDA code for Python",
                "--precision amp_bf16 computes in 16 bits",
            ),
            (
                "--momentum",
                self.momentum.is_some(),
                "it belongs to optimizers of timm, which are not built",
                "AdamW's is --beta1",
            ),
            ("--coca-caption-loss-weight", self.coca_caption_loss_weight.is_some(), coca, "train a model without it"),
            (
                "--coca-contrastive-loss-weight",
                self.coca_contrastive_loss_weight.is_some(),
                coca,
                "train a model without it",
            ),
        ] {
            if given {
                return Err(anyhow::anyhow!("{flag}: {reason}").context(Hint(hint.to_owned())));
            }
        }
        Ok(())
    }

    /// The flags that were given and change nothing, with the reason.
    pub fn without_effect(&self) -> Vec<String> {
        let one_process = "this run is one process";
        let flags = [
            ("--log-local", self.log_local, one_process),
            ("--torchcompile", self.torchcompile, "layers are fused kernels already"),
            ("--copy-codebase", self.copy_codebase, "there is no code to copy; params.txt has the version"),
            ("--use-bn-sync", self.use_bn_sync, one_process),
            ("--local-loss", self.local_loss, one_process),
            ("--gather-with-grad", self.gather_with_grad, one_process),
            ("--ddp-static-graph", self.ddp_static_graph, one_process),
            ("--no-set-device-rank", self.no_set_device_rank, one_process),
            ("--dist-url", self.dist_url.is_some(), one_process),
            ("--dist-backend", self.dist_backend.is_some(), one_process),
            ("--loss-dist-impl", self.loss_dist_impl.is_some(), one_process),
            ("--val-num-samples", self.val_num_samples.is_some(), "all of --val-data is evaluated"),
            ("--wandb-notes", self.wandb_notes.is_some(), "Weights & Biases is not written to"),
            ("--wandb-project-name", self.wandb_project_name.is_some(), "Weights & Biases is not written to"),
        ];
        let told = |(flag, _, reason): &(&str, bool, &str)| format!("{flag} has no effect: {reason}");
        flags.iter().filter(|(_, given, _)| *given).map(told).collect()
    }
}
