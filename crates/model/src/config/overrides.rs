//! Changes to a configuration that a user may force, as open_clip's `--force-*`.

use super::ClipConfig;
use crate::error::Result;

/// What is forced; nothing by default.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Overrides {
    /// Height and width of pictures; position embeddings of weights are resized to it.
    pub image_size: Option<usize>,
    /// Tokens in a text; position embeddings of weights are resized to it.
    pub context_length: Option<usize>,
    /// Share of the patches that are left out in training.
    pub patch_dropout: Option<f64>,
    /// QuickGELU in both towers.
    pub activation: Forced,
    /// The prefix `text.` before the text tower's tensors.
    pub text_naming: Forced,
    /// First values of the logits that the sigmoid loss wants: a scale of 10 and a bias of -10.
    pub sigmoid_logits: Forced,
}

/// Whether something is forced on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Forced {
    /// As the configuration says.
    #[default]
    No,
    /// On.
    Yes,
}

impl From<bool> for Forced {
    fn from(forced: bool) -> Self {
        if forced { Self::Yes } else { Self::No }
    }
}

impl Overrides {
    /// Changes a configuration, and checks it anew.
    ///
    /// # Errors
    /// When no model can have what is forced.
    pub fn apply(&self, config: &mut ClipConfig) -> Result<()> {
        let (vision, text) = (&mut config.vision_cfg, &mut config.text_cfg);
        vision.image_size = self.image_size.unwrap_or(vision.image_size);
        vision.patch_dropout = self.patch_dropout.unwrap_or(vision.patch_dropout);
        text.context_length = self.context_length.unwrap_or(text.context_length);
        config.quick_gelu |= self.activation == Forced::Yes;
        config.custom_text |= self.text_naming == Forced::Yes;
        if self.sigmoid_logits == Forced::Yes {
            config.init_logit_scale = Some(10f64.ln());
            config.init_logit_bias = Some(-10.0);
        }
        config.validate()
    }
}

#[cfg(test)]
mod tests {
    use super::{Forced, Overrides};
    use crate::presets;

    #[test]
    fn what_is_forced_replaces_what_was_there() {
        let mut config = presets::config("ViT-B-32").unwrap();
        let forced = Overrides { image_size: Some(256), activation: Forced::Yes, ..Overrides::default() };
        forced.apply(&mut config).unwrap();
        assert_eq!((config.vision_cfg.image_size, config.quick_gelu), (256, true));
        assert_eq!((config.text_cfg.context_length, config.custom_text), (77, false));
    }

    #[test]
    fn what_no_model_can_have_is_refused() {
        let mut config = presets::config("RN50").unwrap();
        let forced = Overrides { image_size: Some(230), ..Overrides::default() };
        assert!(forced.apply(&mut config).unwrap_err().to_string().contains("230 is not a multiple of 32"));
        let forced = Overrides { patch_dropout: Some(1.0), ..Overrides::default() };
        assert!(forced.apply(&mut presets::config("ViT-B-32").unwrap()).is_err());
    }
}
