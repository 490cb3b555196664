//! The configuration of a text tower of transformers: the keys of its `config.json` that RoBERTa is made of.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::config;
use crate::error::{Error, Result};

/// RoBERTa or XLM-RoBERTa: the same arithmetic, other sizes. Keys that say nothing of the encoder are ignored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HfConfig {
    /// `roberta` or `xlm-roberta`.
    pub model_type: String,
    /// Number of token ids.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Number of blocks.
    pub num_hidden_layers: usize,
    /// Number of attention heads.
    pub num_attention_heads: usize,
    /// Hidden width of a block's perceptron.
    pub intermediate_size: usize,
    /// Positions in the table, those before the first token's included.
    pub max_position_embeddings: usize,
    /// Kinds of tokens in the table; only the first is used.
    #[serde(default = "one")]
    pub type_vocab_size: usize,
    /// Added to variances.
    #[serde(default = "default_eps")]
    pub layer_norm_eps: f64,
    /// The id that fills texts up; positions are counted from the one behind it.
    #[serde(default = "pad")]
    pub pad_token_id: u32,
    /// Activation of the perceptrons.
    #[serde(default = "gelu")]
    pub hidden_act: String,
    /// Share of the states' values that are dropped in training.
    #[serde(default = "default_dropout")]
    pub hidden_dropout_prob: f64,
    /// Share of the attention weights that are dropped in training.
    #[serde(default = "default_dropout")]
    pub attention_probs_dropout_prob: f64,
}

fn one() -> usize {
    1
}
fn default_eps() -> f64 {
    1e-5
}
fn pad() -> u32 {
    1
}
fn gelu() -> String {
    "gelu".to_owned()
}
fn default_dropout() -> f64 {
    0.1
}

impl HfConfig {
    /// Names on the hub that need no file.
    pub const NAMES: [&str; 3] = ["roberta-base", "xlm-roberta-base", "xlm-roberta-large"];

    /// The configuration of a name on the hub, with or without the organisation that it moved to.
    pub fn known(name: &str) -> Option<Self> {
        let bare = name.strip_prefix("FacebookAI/").unwrap_or(name);
        let (model_type, vocab_size) = match bare {
            "roberta-base" => ("roberta", 50_265),
            "xlm-roberta-base" | "xlm-roberta-large" => ("xlm-roberta", 250_002),
            _ => return None,
        };
        let (hidden_size, num_hidden_layers) = if bare.ends_with("large") { (1024, 24) } else { (768, 12) };
        Some(Self {
            model_type: model_type.to_owned(),
            vocab_size,
            hidden_size,
            num_hidden_layers,
            num_attention_heads: hidden_size / 64,
            intermediate_size: 4 * hidden_size,
            max_position_embeddings: 514,
            type_vocab_size: 1,
            layer_norm_eps: default_eps(),
            pad_token_id: pad(),
            hidden_act: gelu(),
            hidden_dropout_prob: default_dropout(),
            attention_probs_dropout_prob: default_dropout(),
        })
    }

    /// Reads a `config.json` and checks it.
    ///
    /// # Errors
    /// When the file cannot be read, lacks a key, or asks for what is not built.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|source| Error::Io { action: "read", path: path.to_owned(), source })?;
        let parsed: Self =
            serde_json::from_str(&text).map_err(|error| config(format!("`{}`: {error}", path.display())))?;
        parsed.validate().map_err(|reason| config(format!("`{}`: {reason}", path.display())))?;
        Ok(parsed)
    }

    /// Refuses what is not built and sizes that no tower can have; the text says why.
    pub(super) fn validate(&self) -> std::result::Result<(), String> {
        let expect = |holds: bool, reason: String| if holds { Ok(()) } else { Err(reason) };
        let kind = &self.model_type;
        expect(["roberta", "xlm-roberta"].contains(&kind.as_str()), format!("model_type: `{kind}` is not supported"))?;
        expect(self.hidden_act == "gelu", format!("hidden_act: `{}` is not supported, only gelu is", self.hidden_act))?;
        let eps = self.layer_norm_eps;
        expect(eps == default_eps(), format!("layer_norm_eps: {eps} is not supported, only 1e-5 is"))?;
        let sizes = [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("intermediate_size", self.intermediate_size),
            ("max_position_embeddings", self.max_position_embeddings),
            ("type_vocab_size", self.type_vocab_size),
        ];
        for (key, size) in sizes {
            expect((1..=1 << 20).contains(&size), format!("{key}: expected 1 to {}, got {size}", 1 << 20))?;
        }
        let (width, heads) = (self.hidden_size, self.num_attention_heads);
        expect(width.is_multiple_of(heads), format!("hidden_size: {width} is not a multiple of {heads} heads"))?;
        for (key, share) in [
            ("hidden_dropout_prob", self.hidden_dropout_prob),
            ("attention_probs_dropout_prob", self.attention_probs_dropout_prob),
        ] {
            expect((0.0..1.0).contains(&share), format!("{key}: expected 0 to below 1, got {share}"))?;
        }
        let (room, pad) = (self.max_position_embeddings, self.pad_token_id as usize);
        expect(room > pad + 1, format!("max_position_embeddings: {room} leaves no position behind padding {pad}"))
    }
}
