//! The flags of the verbs about models: which there are, and what they make of pictures and texts.

use std::path::PathBuf;

use clap::Args;
use model::config::Overrides;
use trainer::pretrained::is_of_weights;
use trainer::zoo::Name;

use super::batch_size;

/// Which model, with which weights.
#[derive(Debug, Args)]
pub struct ModelChoice {
    /// Preset (see `cliptrain models`), a JSON file with a model_cfg, or a folder with open_clip_config.json
    /// [default: ViT-B-32, or what the folder of the weights says]
    #[arg(long, value_name = "NAME|PATH", help_heading = "Model")]
    pub model: Option<String>,
    /// Weights: a tag (see `cliptrain models`), a file or folder, or hf-hub:ORG/NAME
    #[arg(long, value_name = "TAG|PATH|hf-hub:ORG/NAME", help_heading = "Model")]
    pub pretrained: Option<String>,
    #[command(flatten)]
    pub forced: Forced,
}

impl ModelChoice {
    /// Where the weights come from: the flag, or a model that comes with them.
    pub fn weights(&self) -> Option<&str> {
        self.pretrained.as_deref().or(self.model.as_deref().filter(|model| is_of_weights(model)))
    }

    /// What the model is called.
    pub fn name(&self) -> Name {
        named(self.model.as_deref(), "ViT-B-32")
    }
}

/// A name, or what is assumed where there is none.
pub fn named(given: Option<&str>, assumed: &str) -> Name {
    given.map_or_else(|| Name::Assumed(assumed.to_owned()), |given| Name::Given(given.to_owned()))
}

/// What is changed about a model.
#[derive(Clone, Debug, Args)]
pub struct Forced {
    /// Height and width of pictures; position embeddings of the weights are resized
    #[arg(long, value_name = "PIXELS", num_args = 1..=2, help_heading = "Model")]
    pub force_image_size: Vec<usize>,
    /// Tokens in a text; position embeddings of the weights are resized
    #[arg(long, value_name = "TOKENS", help_heading = "Model")]
    pub force_context_length: Option<usize>,
    /// Share of the patches that are left out in training, 0 to below 1
    #[arg(long, value_name = "SHARE", help_heading = "Model")]
    pub force_patch_dropout: Option<f64>,
    /// QuickGELU instead of GELU, as the weights of OpenAI need it
    #[arg(long, help_heading = "Model")]
    pub force_quick_gelu: bool,
    /// Put the text tower's tensors under `text.`
    #[arg(long, help_heading = "Model")]
    pub force_custom_text: bool,
}

impl Forced {
    /// Refuses pictures that are no squares.
    ///
    /// # Errors
    /// Names the flag.
    pub fn check(&self) -> anyhow::Result<()> {
        match self.force_image_size.as_slice() {
            [height, width] if height != width => {
                anyhow::bail!("--force-image-size {height} {width}: pictures are squares here; expected one number")
            }
            _ => Ok(()),
        }
    }
}

impl From<&Forced> for Overrides {
    fn from(forced: &Forced) -> Self {
        Self {
            image_size: forced.force_image_size.first().copied(),
            context_length: forced.force_context_length,
            patch_dropout: forced.force_patch_dropout,
            activation: forced.force_quick_gelu.into(),
            text_naming: forced.force_custom_text.into(),
            sigmoid_logits: model::config::Forced::No,
        }
    }
}

/// `cliptrain models`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cliptrain models
  cliptrain models --json | jq -r '.data.name'

Parameters in millions, operations of one picture and one text in thousand millions, tags that --pretrained takes.")]
pub struct Models {
    /// JSON Lines on standard output
    #[arg(long)]
    pub json: bool,
}

/// `cliptrain encode`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cliptrain encode --model ViT-B-32 --pretrained laion2b_s34b_b79k --image cat.jpg --text 'a cat' 'a dog'
  cliptrain encode --model ViT-B-32-quickgelu --pretrained openai --image *.jpg --output features.safetensors
  cliptrain encode --pretrained logs/run/checkpoints/epoch_30 --text 'a diagram' --output text.safetensors

--output holds image_features [N, D] and text_features [M, D], each row of length 1, and probabilities [N, M], all f32.")]
pub struct Encode {
    #[command(flatten)]
    pub choice: ModelChoice,
    /// Pictures
    #[arg(long, value_name = "FILE", num_args = 1.., help_heading = "Input")]
    pub image: Vec<PathBuf>,
    /// Texts
    #[arg(long, value_name = "STRING", num_args = 1.., help_heading = "Input")]
    pub text: Vec<String>,
    /// File for features and probabilities
    #[arg(long, value_name = "FILE.safetensors", help_heading = "Output")]
    pub output: Option<PathBuf>,
    /// JSON Lines on standard output: a picture a line with its probabilities, or where there are only pictures or only
    /// texts, one of them a line with its features
    #[arg(long, help_heading = "Output")]
    pub json: bool,
}

/// `cliptrain embed`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cliptrain embed 'laion/{00000..00999}.tar' --pretrained laion2b_s34b_b79k --output embeddings
  cliptrain embed photos --model ViT-L-14 --pretrained datacomp_xl_s13b_b90k --output s3://bucket/photos

Writes img_emb/img_emb_K.npy and text_emb/text_emb_K.npy (float16, rows of length 1) and metadata/metadata_K.parquet
(image_path, caption), as clip-retrieval reads them; a part K for each shard, or for each 10,000 pictures of a folder. The same
command goes on where it was ended, or where its list was continued; a shard or picture that has changed is embedded again.
Exit code 1: a shard was cut off.")]
pub struct Embed {
    /// Shards ({000..999} and `::` allowed), or a folder of pictures with .txt files beside them
    #[arg(value_name = "SPEC")]
    pub spec: String,
    /// Folder for the embeddings, here or s3://
    #[arg(long, value_name = "DIR")]
    pub output: String,
    #[command(flatten)]
    pub choice: ModelChoice,
    /// Pictures and texts that go through the model at a time
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = batch_size)]
    pub batch_size: usize,
    /// Threads that decode
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub workers: usize,
    /// Take a tar without its two closing blocks of zeros for whole
    #[arg(long)]
    pub accept_missing_end: bool,
    /// JSON Lines on standard output, ending in a summary
    #[arg(long)]
    pub json: bool,
}
