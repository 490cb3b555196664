//! Losses on features of length 1, with the gradients that backward starts from.

use candle_core::{D, DType, Tensor};

use crate::error::{InLayer, Result};
use crate::kernel::matmul;

/// A loss and its gradients.
#[derive(Clone, Debug)]
pub struct LossOutput {
    /// The loss, shape `[]`.
    pub loss: Tensor,
    /// `[B, D]`.
    pub d_image_features: Tensor,
    /// `[B, D]`.
    pub d_text_features: Tensor,
    /// Gradient of the stored logarithm of the logit scale, shape `[]`.
    pub d_logit_scale: Tensor,
    /// Gradient of the logit bias, shape `[]`; of [`siglip_loss`] only.
    pub d_logit_bias: Option<Tensor>,
}

impl LossOutput {
    /// The loss as a number; waits for the device.
    ///
    /// # Errors
    /// From candle.
    pub fn value(&self) -> Result<f64> {
        Ok(self.loss.to_dtype(DType::F64)?.to_scalar::<f64>()?)
    }
}

impl LossOutput {
    /// Adds another loss of the same features.
    ///
    /// # Errors
    /// When shapes differ.
    pub fn add(&mut self, other: &Self) -> Result<()> {
        self.loss = (&self.loss + &other.loss)?;
        self.d_image_features = (&self.d_image_features + &other.d_image_features)?;
        self.d_text_features = (&self.d_text_features + &other.d_text_features)?;
        self.d_logit_scale = (&self.d_logit_scale + &other.d_logit_scale)?;
        Ok(())
    }
}

/// Symmetric cross-entropy: each picture picks its text among the batch's, each text its picture.
///
/// `image_features` and `text_features` are `[B, D]`, row `i` of one belonging to row `i` of the other; `logit_scale` is
/// the stored logarithm, shape `[]`. The loss is the mean of both directions.
///
/// # Errors
/// When shapes differ.
pub fn contrastive_loss(image_features: &Tensor, text_features: &Tensor, logit_scale: &Tensor) -> Result<LossOutput> {
    contrastive(image_features, text_features, logit_scale).layer("contrastive loss")
}

fn contrastive(image: &Tensor, text: &Tensor, log_scale: &Tensor) -> candle_core::Result<LossOutput> {
    let batch = image.dim(0)?;
    let scale = log_scale.exp()?;
    let logits = matmul::by_transposed(image, text, None)?.broadcast_mul(&scale)?;
    let to_text = logits.broadcast_sub(&log_sum_exp(&logits, 1)?)?;
    let to_image = logits.broadcast_sub(&log_sum_exp(&logits, 0)?)?;
    let eye = Tensor::eye(batch, logits.dtype(), logits.device())?;
    let half = 0.5 / batch as f64;
    let loss = ((to_text.add(&to_image)? * &eye)?.sum_all()? * -half)?;
    let dlogits = (to_text.exp()?.add(&to_image.exp()?)?.sub(&(eye * 2.0)?)? * half)?;
    let d_logit_scale = dlogits.mul(&logits)?.sum_all()?;
    let [d_image_features, d_text_features] = feature_gradients(image, text, &dlogits.broadcast_mul(&scale)?)?;
    Ok(LossOutput { loss, d_image_features, d_text_features, d_logit_scale, d_logit_bias: None })
}

/// Sigmoid loss: every pair of the batch is a yes or no of its own.
///
/// Arguments as of [`contrastive_loss`], with `logit_bias` of shape `[]`. The loss is
/// `-Σ log sigmoid(±(scale · image · textᵀ + bias)) / B`, with plus where picture and text belong together.
///
/// # Errors
/// When shapes differ.
pub fn siglip_loss(
    image_features: &Tensor,
    text_features: &Tensor,
    logit_scale: &Tensor,
    logit_bias: &Tensor,
) -> Result<LossOutput> {
    sigmoid(image_features, text_features, logit_scale, logit_bias).layer("sigmoid loss")
}

fn sigmoid(image: &Tensor, text: &Tensor, log_scale: &Tensor, bias: &Tensor) -> candle_core::Result<LossOutput> {
    let batch = image.dim(0)?;
    let scale = log_scale.exp()?;
    let scaled = matmul::by_transposed(image, text, None)?.broadcast_mul(&scale)?;
    let signs = (Tensor::eye(batch, scaled.dtype(), scaled.device())? * 2.0)?.affine(1.0, -1.0)?;
    let z = scaled.broadcast_add(bias)?.mul(&signs)?;
    // -log sigmoid(z) = max(-z, 0) + log(1 + exp(-|z|)): no overflow for any z.
    let tail = z.abs()?.neg()?.exp()?;
    let losses = z.neg()?.relu()?.add(&(&tail + 1.0)?.log()?)?;
    let loss = (losses.sum_all()? / batch as f64)?;
    // sigmoid(-z) = exp(-max(z, 0)) / (exp(-|z|) + 1), again without overflow.
    let miss = z.relu()?.neg()?.exp()?.div(&(tail + 1.0)?)?;
    let dlogits = (miss.mul(&signs)? * (-1.0 / batch as f64))?;
    let d_logit_scale = dlogits.mul(&scaled)?.sum_all()?;
    let d_logit_bias = Some(dlogits.sum_all()?);
    let [d_image_features, d_text_features] = feature_gradients(image, text, &dlogits.broadcast_mul(&scale)?)?;
    Ok(LossOutput { loss, d_image_features, d_text_features, d_logit_scale, d_logit_bias })
}

/// How far the student's choices are from the teacher's: the cross-entropy of its distributions over the batch, pictures over
/// texts and texts over pictures, by those of the teacher, which has no gradient. The mean over the batch and both directions,
/// as open_clip's `DistillClipLoss` adds it to the contrastive loss.
///
/// Features are pairs of `[B, D]`, pictures first, `D` of the teacher being its own; scales are stored logarithms of shape `[]`.
///
/// # Errors
/// When shapes differ.
pub fn distillation_loss(
    student: [&Tensor; 2],
    logit_scale: &Tensor,
    teacher: [&Tensor; 2],
    teacher_scale: &Tensor,
) -> Result<LossOutput> {
    distillation(student, logit_scale, teacher, teacher_scale).layer("distillation loss")
}

fn distillation(
    [image, text]: [&Tensor; 2],
    log_scale: &Tensor,
    teacher: [&Tensor; 2],
    teacher_scale: &Tensor,
) -> candle_core::Result<LossOutput> {
    let scale = log_scale.exp()?;
    let logits = matmul::by_transposed(image, text, None)?.broadcast_mul(&scale)?;
    let taught = matmul::by_transposed(teacher[0], teacher[1], None)?.broadcast_mul(&teacher_scale.exp()?)?;
    let half = 0.5 / image.dim(0)? as f64;
    let (mut loss, mut dlogits) = (Vec::new(), Vec::new());
    for dim in [1, 0] {
        let log_chosen = logits.broadcast_sub(&log_sum_exp(&logits, dim)?)?;
        let wanted = taught.broadcast_sub(&log_sum_exp(&taught, dim)?)?.exp()?;
        loss.push((log_chosen.mul(&wanted)?.sum_all()? * -half)?);
        dlogits.push((log_chosen.exp()?.sub(&wanted)? * half)?);
    }
    let (loss, dlogits) = ((&loss[0] + &loss[1])?, (&dlogits[0] + &dlogits[1])?);
    let d_logit_scale = dlogits.mul(&logits)?.sum_all()?;
    let [d_image_features, d_text_features] = feature_gradients(image, text, &dlogits.broadcast_mul(&scale)?)?;
    Ok(LossOutput { loss, d_image_features, d_text_features, d_logit_scale, d_logit_bias: None })
}

fn log_sum_exp(logits: &Tensor, dim: usize) -> candle_core::Result<Tensor> {
    let largest = logits.max_keepdim(dim)?;
    logits.broadcast_sub(&largest)?.exp()?.sum_keepdim(dim)?.log()?.add(&largest)
}

/// Gradients of both features from that of their products, `[B, B]`.
fn feature_gradients(image: &Tensor, text: &Tensor, dproducts: &Tensor) -> candle_core::Result<[Tensor; 2]> {
    if image.dim(D::Minus1)? != text.dim(D::Minus1)? {
        candle_core::bail!("features have shapes {:?} and {:?}", image.dims(), text.dims());
    }
    Ok([matmul::plain(dproducts, text)?, matmul::transposed_by(dproducts, image)?])
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Result, Tensor};

    use super::{LossOutput, contrastive_loss, distillation_loss, siglip_loss};
    use crate::kernel::fixed;

    type Loss = fn(&Tensor, &Tensor, &Tensor, &Tensor) -> LossOutput;

    fn check(loss: Loss) -> Result<()> {
        let device = Device::Cpu;
        let random = |seed| (fixed(&[3, 4], seed) * 0.8)?.to_dtype(candle_core::DType::F64);
        let (image, text) = (random(1)?, random(2)?);
        let (scale, bias) = (Tensor::new(0.7f64, &device)?, Tensor::new(-1.5f64, &device)?);
        let got = loss(&image, &text, &scale, &bias);
        let step = 1e-6;
        let slope =
            |above: LossOutput, below: LossOutput| (above.value().unwrap() - below.value().unwrap()) / (2.0 * step);
        for at in 0..12 {
            let unit = Tensor::eye(12, candle_core::DType::F64, &device)?.get(at)?.reshape((3, 4))?;
            let nudge = (unit * step)?;
            let image_slope =
                slope(loss(&(&image + &nudge)?, &text, &scale, &bias), loss(&(&image - &nudge)?, &text, &scale, &bias));
            let text_slope =
                slope(loss(&image, &(&text + &nudge)?, &scale, &bias), loss(&image, &(&text - &nudge)?, &scale, &bias));
            let one = |t: &Tensor| t.flatten_all().unwrap().get(at).unwrap().to_scalar::<f64>().unwrap();
            assert!((one(&got.d_image_features) - image_slope).abs() < 1e-7);
            assert!((one(&got.d_text_features) - text_slope).abs() < 1e-7);
        }
        let scale_slope =
            slope(loss(&image, &text, &(&scale + step)?, &bias), loss(&image, &text, &(&scale - step)?, &bias));
        assert!((got.d_logit_scale.to_scalar::<f64>()? - scale_slope).abs() < 1e-7);
        if let Some(d_bias) = got.d_logit_bias {
            let bias_slope =
                slope(loss(&image, &text, &scale, &(&bias + step)?), loss(&image, &text, &scale, &(&bias - step)?));
            assert!((d_bias.to_scalar::<f64>()? - bias_slope).abs() < 1e-7);
        }
        Ok(())
    }

    #[test]
    fn contrastive_gradients_are_those_of_finite_differences() -> Result<()> {
        check(|image, text, scale, _| contrastive_loss(image, text, scale).unwrap())
    }

    #[test]
    fn distillation_gradients_are_those_of_finite_differences() -> Result<()> {
        let teacher = |seed| fixed(&[3, 5], seed).to_dtype(candle_core::DType::F64).unwrap();
        let (image, text, scale) = (teacher(7), teacher(8), Tensor::new(0.4f64, &Device::Cpu)?);
        check(|image, text, scale, teacher| {
            // The check's fourth argument is a number that is no bias here: it sets the teacher's scale.
            let of = |seed| fixed(&[3, 5], seed).to_dtype(candle_core::DType::F64).unwrap();
            distillation_loss([image, text], scale, [&of(7), &of(8)], teacher).unwrap()
        })?;
        // A student that is its teacher has nothing to learn: its loss is the entropy of its choices.
        let same = distillation_loss([&image, &text], &scale, [&image, &text], &scale).unwrap();
        assert!(same.d_image_features.abs()?.max_all()?.to_scalar::<f64>()? < 1e-15);
        Ok(())
    }

    #[test]
    fn sigmoid_gradients_are_those_of_finite_differences() -> Result<()> {
        check(|image, text, scale, bias| siglip_loss(image, text, scale, bias).unwrap())
    }
}
