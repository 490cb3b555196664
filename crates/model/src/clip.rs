//! The model: both towers, the logit scale, and one registry of parameters.

use candle_core::{DType, Device, Tensor};

use crate::config::{ClipConfig, ModelConfig, PreprocessConfig};
use crate::error::Result;
use crate::init::Initialisation;
use crate::layer::batch_norm::Seen;
use crate::layer::normalize::{self, NormalizeSaved};
use crate::parameters::{Declaration, Gradients, ParameterId, ParameterSpec, Parameters};
use crate::random::Mode;
use crate::tower::hf_text::HfText;
use crate::tower::image::{ImageTower, ImageTowerSaved};
use crate::tower::text::{TextTower, TextTowerSaved};
use crate::tower::text_transformer::{ModuleOrder, TextRoots, TextTransformer};
use crate::tower::trunk::Keep;

/// A CLIP model with its parameters.
#[derive(Clone, Debug)]
pub struct Clip {
    config: ModelConfig,
    device: Device,
    parameters: Parameters,
    architecture: Architecture,
    precision: Precision,
}

/// The type that the towers compute in; parameters, their gradients, features and losses are `f32` always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// 32 bits.
    #[default]
    Fp32,
    /// 16 bits with the range of 32.
    Bf16,
    /// 16 bits; gradients of a loss that is not scaled may vanish.
    Fp16,
}

impl Precision {
    fn dtype(self) -> DType {
        match self {
            Self::Fp32 => DType::F32,
            Self::Bf16 => DType::BF16,
            Self::Fp16 => DType::F16,
        }
    }
}

/// What becomes of the layer normalisations of a text tower that is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayerNorms {
    /// Held like the rest.
    Held,
    /// Trainable.
    Free,
}

/// Towers and ids, without values.
#[derive(Clone, Debug)]
struct Architecture {
    visual: ImageTower,
    text: TextTower,
    logit_scale: ParameterId,
    logit_bias: Option<ParameterId>,
}

/// Features of a batch, each row of length 1.
#[derive(Clone, Debug)]
pub struct Features {
    /// `[B, embed_dim]`.
    pub image: Tensor,
    /// `[B, embed_dim]`.
    pub text: Tensor,
}

/// What [`Clip::backward`] needs.
#[derive(Debug)]
pub struct Saved {
    /// Of the image tower.
    pub image: ImageSaved,
    /// Of the text tower.
    pub text: TextSaved,
}

/// What [`Clip::backward_image`] needs.
#[derive(Debug)]
pub struct ImageSaved {
    tower: ImageTowerSaved,
    normalize: NormalizeSaved,
}

/// What [`Clip::backward_text`] needs.
#[derive(Debug)]
pub struct TextSaved {
    tower: TextTowerSaved,
    normalize: NormalizeSaved,
}

/// Name, shape and first distribution of every parameter of a model, in the order of open_clip's `state_dict`; no values.
///
/// # Errors
/// For a configuration that no model can have.
pub fn parameter_specs(config: &ClipConfig) -> Result<Vec<ParameterSpec>> {
    Ok(Architecture::declare(config)?.1)
}

impl Architecture {
    fn declare(config: &ClipConfig) -> Result<(Self, Vec<ParameterSpec>)> {
        config.validate()?;
        let declaration = &mut Declaration::default();
        let (visual, text, logit_scale, logit_bias);
        if config.names_text() {
            (logit_scale, logit_bias) = declare_logits(declaration, config);
            visual = ImageTower::declare(declaration, "visual.", config);
            text = declare_text(declaration, config)?;
        } else {
            let roots = TextRoots::declare(declaration, "", config);
            (logit_scale, logit_bias) = declare_logits(declaration, config);
            visual = ImageTower::declare(declaration, "visual.", config);
            let tower = TextTransformer::declare(declaration, "", config, roots, ModuleOrder::BlocksFirst);
            text = TextTower::Transformer(tower);
        }
        let architecture = Self { visual, text, logit_scale, logit_bias };
        Ok((architecture, std::mem::take(declaration).into_specs()))
    }
}

/// A text tower whose tensors carry the prefix `text.`.
fn declare_text(declaration: &mut Declaration, config: &ClipConfig) -> Result<TextTower> {
    if let Some(hf) = config.text_cfg.hf()? {
        return Ok(TextTower::Hf(HfText::declare(declaration, "text.", config, &hf)));
    }
    let roots = TextRoots::declare(declaration, "text.", config);
    let tower = TextTransformer::declare(declaration, "text.", config, roots, ModuleOrder::EmbeddingFirst);
    Ok(TextTower::Transformer(tower))
}

fn declare_logits(declaration: &mut Declaration, config: &ClipConfig) -> (ParameterId, Option<ParameterId>) {
    let scale = config.init_logit_scale.unwrap_or_else(|| (1.0f64 / 0.07).ln());
    let logit_scale = declaration.add("logit_scale", &[], Initialisation::Constant(scale));
    let bias = config.init_logit_bias;
    (logit_scale, bias.map(|bias| declaration.add("logit_bias", &[], Initialisation::Constant(bias))))
}

impl ImageSaved {
    /// What running statistics have to learn of the batch; nothing in evaluation and without batch norm.
    pub fn seen(&self) -> Vec<Seen> {
        self.tower.seen()
    }
}

impl Clip {
    /// A model with first values drawn from `seed`; the same on every device and rank.
    ///
    /// # Errors
    /// For a configuration that no model can have, or when the device fails.
    pub fn new(config: &ClipConfig, seed: u64, device: &Device) -> Result<Self> {
        let (architecture, specs) = Architecture::declare(config)?;
        let parameters = Parameters::initialise(&specs, seed, device)?;
        let config = ModelConfig { model_cfg: config.clone(), preprocess_cfg: PreprocessConfig::default() };
        Ok(Self { config, device: device.clone(), parameters, architecture, precision: Precision::Fp32 })
    }

    /// A model whose values come from `value_of`, asked for every parameter in order.
    ///
    /// # Errors
    /// For a configuration that no model can have, what `value_of` gives, and values of another shape.
    pub fn from_values(
        config: ModelConfig,
        device: &Device,
        value_of: impl FnMut(&ParameterSpec) -> Result<Tensor>,
    ) -> Result<Self> {
        let (architecture, specs) = Architecture::declare(&config.model_cfg)?;
        let parameters = Parameters::from_values(&specs, value_of)?;
        Ok(Self { config, device: device.clone(), parameters, architecture, precision: Precision::Fp32 })
    }

    /// The model's configuration.
    pub fn config(&self) -> &ClipConfig {
        &self.config.model_cfg
    }

    /// How its pictures are normalised.
    pub fn preprocess(&self) -> &PreprocessConfig {
        &self.config.preprocess_cfg
    }

    /// Sets how its pictures are normalised, as saved with the weights.
    pub fn set_preprocess(&mut self, preprocess: PreprocessConfig) {
        self.config.preprocess_cfg = preprocess;
    }

    /// Both configurations, as in `open_clip_config.json`.
    pub fn model_config(&self) -> &ModelConfig {
        &self.config
    }

    /// The type that the towers compute in.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Has the towers compute in another type.
    pub fn set_precision(&mut self, precision: Precision) {
        self.precision = precision;
    }

    /// Where the parameters lie.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// All parameters.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// All parameters, to be changed by an optimizer.
    pub fn parameters_mut(&mut self) -> &mut Parameters {
        &mut self.parameters
    }

    /// Id of the logit scale (stored as its logarithm, shape `[]`).
    pub fn logit_scale_id(&self) -> ParameterId {
        self.architecture.logit_scale
    }

    /// Id of the logit bias (shape `[]`), where the model has one.
    pub fn logit_bias_id(&self) -> Option<ParameterId> {
        self.architecture.logit_bias
    }

    /// The factor on logits: the exponential of what is stored. Waits for the device.
    ///
    /// # Errors
    /// From candle.
    pub fn logit_scale(&self) -> Result<f64> {
        let stored = self.parameters.value(self.architecture.logit_scale);
        Ok(stored.to_dtype(DType::F64)?.to_scalar::<f64>()?.exp())
    }

    /// Features of pictures: `pixel_values` `[B, 3, S, S]`, normalised, to `[B, embed_dim]` of length 1.
    ///
    /// # Errors
    /// For pictures of another size.
    pub fn encode_image(&self, pixel_values: &Tensor) -> Result<Tensor> {
        Ok(self.forward_image(pixel_values, Mode::Evaluation)?.0)
    }

    /// Features of texts: `input_ids` `[B, L]` (u32 or i64) to `[B, embed_dim]` of length 1.
    ///
    /// # Errors
    /// For an id outside the vocabulary or texts that are too long.
    pub fn encode_text(&self, input_ids: &Tensor) -> Result<Tensor> {
        Ok(self.forward_text(input_ids, Mode::Evaluation)?.0)
    }

    /// Both towers.
    ///
    /// # Errors
    /// As [`Clip::encode_image`] and [`Clip::encode_text`].
    pub fn forward(&self, pixel_values: &Tensor, input_ids: &Tensor, mode: Mode) -> Result<(Features, Saved)> {
        let (image, image_saved) = self.forward_image(pixel_values, mode)?;
        let (text, text_saved) = self.forward_text(input_ids, mode)?;
        Ok((Features { image, text }, Saved { image: image_saved, text: text_saved }))
    }

    /// The image tower, with what its backward needs.
    ///
    /// # Errors
    /// As [`Clip::encode_image`].
    pub fn forward_image(&self, pixel_values: &Tensor, mode: Mode) -> Result<(Tensor, ImageSaved)> {
        let pixel_values = pixel_values.to_dtype(self.precision.dtype())?;
        let (raw, tower) = self.architecture.visual.forward(&self.parameters, &pixel_values, mode)?;
        let (features, normalize) = normalize::forward(&raw)?;
        Ok((features, ImageSaved { tower, normalize }))
    }

    /// The text tower, with what its backward needs.
    ///
    /// # Errors
    /// As [`Clip::encode_text`].
    pub fn forward_text(&self, input_ids: &Tensor, mode: Mode) -> Result<(Tensor, TextSaved)> {
        let dtype = self.precision.dtype();
        let (raw, tower) = self.architecture.text.forward(&self.parameters, input_ids, dtype, mode)?;
        let (features, normalize) = normalize::forward(&raw)?;
        Ok((features, TextSaved { tower, normalize }))
    }

    /// Moves running statistics towards those of the batch that a forward pass in training mode saw; call it once a batch.
    ///
    /// # Errors
    /// From candle.
    pub fn track(&mut self, saved: &ImageSaved) -> Result<()> {
        self.track_seen(&saved.seen())
    }

    /// As [`Clip::track`], where what the batch showed was kept without the rest.
    ///
    /// # Errors
    /// From candle.
    pub fn track_seen(&mut self, seen: &[Seen]) -> Result<()> {
        seen.iter().try_for_each(|seen| seen.track(&mut self.parameters))
    }

    /// Holds the image tower but for its last `unlocked` groups: stem, blocks, last block with `ln_post`, projection.
    ///
    /// # Errors
    /// For a residual network of which a part shall stay trainable.
    pub fn lock_image(&mut self, unlocked: usize) -> Result<()> {
        let held = self.architecture.visual.locked_ids(unlocked)?;
        held.into_iter().for_each(|id| self.parameters.set_trainable(id, false));
        Ok(())
    }

    /// Holds the text tower but for its last `unlocked` layers; what comes behind a tower of transformers stays trainable.
    /// Layer normalisations of CLIP's own tower are held like the rest in any case.
    pub fn lock_text(&mut self, unlocked: usize, norms: LayerNorms) {
        let free = norms == LayerNorms::Free && self.architecture.text.can_free_norms();
        for id in self.architecture.text.locked_ids(unlocked) {
            let is_norm = self.parameters.name(id).split('.').any(|part| part == "LayerNorm");
            self.parameters.set_trainable(id, free && is_norm);
        }
    }

    /// Sets what both towers keep of each block until backward comes to it. Gradients are the same.
    pub fn set_keep(&mut self, keep: Keep) {
        self.architecture.visual.set_keep(keep);
        self.architecture.text.set_keep(keep);
    }

    /// Accumulates gradients of both towers from those of the features, `[B, embed_dim]` each.
    ///
    /// # Errors
    /// When shapes differ.
    pub fn backward(
        &self,
        saved: Saved,
        d_image_features: &Tensor,
        d_text_features: &Tensor,
        gradients: &mut Gradients,
    ) -> Result<()> {
        self.backward_image(saved.image, d_image_features, gradients)?;
        self.backward_text(saved.text, d_text_features, gradients)
    }

    /// Accumulates gradients of the image tower from that of its features; stops below the lowest trainable parameter.
    ///
    /// # Errors
    /// When shapes differ.
    pub fn backward_image(&self, saved: ImageSaved, dy: &Tensor, gradients: &mut Gradients) -> Result<()> {
        let raw = normalize::backward(&saved.normalize, dy)?.to_dtype(self.precision.dtype())?;
        self.architecture.visual.backward(&self.parameters, saved.tower, &raw, gradients)
    }

    /// Accumulates gradients of the text tower from that of its features; stops below the lowest trainable parameter.
    ///
    /// # Errors
    /// When shapes differ.
    pub fn backward_text(&self, saved: TextSaved, dy: &Tensor, gradients: &mut Gradients) -> Result<()> {
        let raw = normalize::backward(&saved.normalize, dy)?.to_dtype(self.precision.dtype())?;
        self.architecture.text.backward(&self.parameters, saved.tower, &raw, gradients)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device, Tensor};

    use super::Clip;
    use crate::config::Layers;
    use crate::kernel::fixed;
    use crate::parameters::Gradients;
    use crate::presets;
    use crate::random::Mode;
    use crate::tower::trunk::Keep;

    fn tiny() -> Clip {
        let mut config = presets::config("tiny-32").unwrap();
        config.vision_cfg.image_size = 8;
        config.vision_cfg.layers = Layers::Blocks(2);
        config.text_cfg.vocab_size = 20;
        Clip::new(&config, 0, &Device::Cpu).unwrap()
    }

    #[test]
    fn blocks_that_are_computed_again_have_the_same_gradients() {
        let mut clip = tiny();
        let pixels = fixed(&[2, 3, 8, 8], 3);
        let ids = Tensor::new(&[[1u32, 19, 0, 0], [2, 3, 4, 19]], &Device::Cpu).unwrap();
        let mut gradients = |keep| {
            clip.set_keep(keep);
            let mut gradients = Gradients::new(clip.parameters());
            let (features, saved) = clip.forward(&pixels, &ids, Mode::Evaluation).unwrap();
            clip.backward(saved, &features.text, &features.image, &mut gradients).unwrap();
            let value = |(_, gradient): (_, &Tensor)| gradient.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            gradients.iter().map(value).collect::<Vec<_>>()
        };
        let (kept, again) = (gradients(Keep::Everything), gradients(Keep::Input));
        assert!(kept.len() > 20 && kept == again);
    }

    #[test]
    fn what_follows_the_end_of_text_changes_nothing() {
        let clip = tiny();
        let short = clip.encode_text(&Tensor::new(&[[1u32, 19, 0, 0]], &Device::Cpu).unwrap()).unwrap();
        let long = clip.encode_text(&Tensor::new(&[[1i64, 19, 5, 0, 0, 3]], &Device::Cpu).unwrap()).unwrap();
        assert_eq!(short.to_vec2::<f32>().unwrap(), long.to_vec2::<f32>().unwrap());
    }

    #[test]
    fn locked_parameters_get_no_gradient() {
        let mut clip = tiny();
        let locked: Vec<_> = clip.parameters().iter().filter(|(_, p)| !p.name.contains("resblocks.1.mlp")).collect();
        let locked: Vec<_> = locked.into_iter().map(|(id, _)| id).collect();
        locked.iter().for_each(|id| clip.parameters_mut().set_trainable(*id, false));
        let pixels = fixed(&[2, 3, 8, 8], 1);
        let ids = Tensor::new(&[[1u32, 19], [19, 0]], &Device::Cpu).unwrap();
        let (features, saved) = clip.forward(&pixels, &ids, Mode::Evaluation).unwrap();
        let mut gradients = Gradients::new(clip.parameters());
        clip.backward(saved, &features.text, &features.image, &mut gradients).unwrap();
        assert_eq!(gradients.iter().count(), 8);
        assert!(locked.iter().all(|id| gradients.get(*id).is_none()));
    }

    #[test]
    fn inputs_of_another_shape_are_refused() {
        let clip = tiny();
        let pixels = Tensor::zeros((1, 3, 9, 8), DType::F32, &Device::Cpu).unwrap();
        let message = format!("{:?}", clip.encode_image(&pixels).unwrap_err());
        assert!(message.contains("expected [B, 3, 8, 8]"), "{message}");
        let ids = Tensor::zeros((1, 33), DType::U32, &Device::Cpu).unwrap();
        assert!(format!("{:?}", clip.encode_text(&ids).unwrap_err()).contains("expected 1 to 32"));
    }
}
