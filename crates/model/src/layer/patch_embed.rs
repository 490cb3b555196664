//! Pictures to tokens: patches by a bias-free projection, a class token before them, learned positions.

use candle_core::Tensor;

use crate::error::{InLayer, Result};
use crate::init::Initialisation;
use crate::kernel::matmul;
use crate::kernel::narrow::following;
use crate::layer::embedding::positions_gradient;
use crate::parameters::{Declaration, Gradients, ParameterId, Parameters};

/// `conv1.weight` `[C, 3, p, p]` applied to each patch, `class_embedding` `[C]`, `positional_embedding` `[1 + N, C]`.
#[derive(Clone, Copy, Debug)]
pub struct PatchEmbed {
    class_embedding: ParameterId,
    positional_embedding: ParameterId,
    weight: ParameterId,
    patch_size: usize,
    image_size: usize,
}

/// What backward needs.
#[derive(Debug)]
pub struct PatchEmbedSaved {
    /// `[B, N, 3 p p]`.
    patches: Tensor,
}

impl PatchEmbed {
    /// Declares class token and positions; [`PatchEmbed::declare_weight`] must follow.
    pub fn declare_tokens(
        declaration: &mut Declaration,
        prefix: &str,
        width: usize,
        image_size: usize,
        patch_size: usize,
    ) -> [ParameterId; 2] {
        let init = Initialisation::Normal { std: (width as f64).powf(-0.5) };
        let tokens = 1 + (image_size / patch_size).pow(2);
        let class_embedding = declaration.add(format!("{prefix}class_embedding"), &[width], init);
        [class_embedding, declaration.add(format!("{prefix}positional_embedding"), &[tokens, width], init)]
    }

    /// Declares the projection of patches.
    pub fn declare_weight(
        declaration: &mut Declaration,
        prefix: &str,
        [class_embedding, positional_embedding]: [ParameterId; 2],
        [width, image_size, patch_size]: [usize; 3],
    ) -> Self {
        let init = Initialisation::default_linear(3 * patch_size * patch_size);
        let weight = declaration.add(format!("{prefix}conv1.weight"), &[width, 3, patch_size, patch_size], init);
        Self { class_embedding, positional_embedding, weight, patch_size, image_size }
    }

    /// `pixel_values` `[B, 3, S, S]` to `[B, 1 + N, C]`.
    ///
    /// # Errors
    /// For pictures of another size.
    pub fn forward(&self, parameters: &Parameters, pixel_values: &Tensor) -> Result<(Tensor, PatchEmbedSaved)> {
        let name = parameters.name(self.weight);
        let patches = self.patches(pixel_values).layer(name)?;
        let tokens = self.tokens(parameters, &patches).layer(name)?;
        Ok((tokens, PatchEmbedSaved { patches }))
    }

    fn patches(&self, pixel_values: &Tensor) -> candle_core::Result<Tensor> {
        let (batch, channels, height, width) = pixel_values.dims4()?;
        let (size, p) = (self.image_size, self.patch_size);
        if [channels, height, width] != [3, size, size] {
            candle_core::bail!("pixel_values have shape {:?}, expected [B, 3, {size}, {size}]", pixel_values.dims());
        }
        let grid = size / p;
        let whole = pixel_values.narrow(2, 0, grid * p)?.narrow(3, 0, grid * p)?;
        let patches = whole.reshape(&[batch, 3, grid, p, grid, p])?.permute([0, 2, 4, 1, 3, 5])?;
        patches.reshape((batch, grid * grid, 3 * p * p))
    }

    fn matrix(&self, parameters: &Parameters) -> candle_core::Result<Tensor> {
        parameters.value(self.weight).flatten_from(1)
    }

    fn tokens(&self, parameters: &Parameters, patches: &Tensor) -> candle_core::Result<Tensor> {
        let embedded = matmul::by_transposed(patches, &self.matrix(parameters)?, None)?;
        let (batch, _, width) = embedded.dims3()?;
        let own = |id: ParameterId| following(parameters.value(id), &embedded);
        let class = own(self.class_embedding)?.reshape((1, 1, width))?.broadcast_as((batch, 1, width))?;
        Tensor::cat(&[&class.contiguous()?, &embedded], 1)?.broadcast_add(&own(self.positional_embedding)?)
    }

    /// Accumulates the gradients from that of the output, `[B, 1 + N, C]`.
    ///
    /// # Errors
    /// When shapes differ.
    pub fn backward(
        &self,
        parameters: &Parameters,
        saved: &PatchEmbedSaved,
        dy: &Tensor,
        to: &mut Gradients,
    ) -> Result<()> {
        let name = parameters.name(self.weight);
        if parameters.trainable(self.weight) {
            let gradient = self.weight_gradient(parameters, saved, dy).layer(name)?;
            to.accumulate(self.weight, gradient).layer(name)?;
        }
        let positions = positions_gradient(dy, dy.dim(1).layer(name)?).layer(name)?;
        if parameters.trainable(self.class_embedding) {
            // The class token is the token before the patches: its gradient is that of its position.
            to.accumulate(self.class_embedding, positions.get(0).layer(name)?).layer(name)?;
        }
        if parameters.trainable(self.positional_embedding) {
            to.accumulate(self.positional_embedding, positions).layer(name)?;
        }
        Ok(())
    }

    fn weight_gradient(
        &self,
        parameters: &Parameters,
        saved: &PatchEmbedSaved,
        dy: &Tensor,
    ) -> candle_core::Result<Tensor> {
        let patches = saved.patches.dim(1)?;
        let dembedded = dy.narrow(1, 1, patches)?.contiguous()?;
        matmul::transposed_by(&dembedded, &saved.patches)?.reshape(parameters.value(self.weight).shape())
    }

    /// Its parameters.
    pub fn ids(&self) -> [ParameterId; 3] {
        [self.class_embedding, self.positional_embedding, self.weight]
    }
}
