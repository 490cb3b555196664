//! Between two models: WiSE-FT's straight line from zero-shot to fine-tuned weights.

use std::path::Path;

use candle_core::Tensor;
use model::clip::Clip;
use model::parameters::Role;

use crate::checkpoint::seal;
use crate::error::{Error, Result};
use crate::finetune::Head;

/// The model `alpha` of the way from `from` to `to`: 0 is the first, 1 the second. Counters are the second's.
///
/// # Errors
/// When the two are not of one architecture; the first tensor that differs is named.
pub fn interpolate(from: &Clip, to: &Clip, alpha: f64) -> Result<Clip> {
    let mut between = to.clone();
    let differs = |reason: String| Err(Error::Config { option: "interpolate", reason });
    let (count, other) = (from.parameters().len(), to.parameters().len());
    if count != other {
        return differs(format!("the models have {count} and {other} tensors; expected two of one architecture"));
    }
    for ((_, first), (id, second)) in from.parameters().iter().zip(to.parameters().iter()) {
        let (a, b) = (first.value(), second.value());
        if first.name != second.name || a.dims() != b.dims() {
            let (here, there) = (&first.name, &second.name);
            return differs(format!("`{here}` {:?} in one model is `{there}` {:?} in the other", a.dims(), b.dims()));
        }
        if second.role != Role::Counter {
            between.parameters_mut().set(id, blend(a, b, alpha)?)?;
        }
    }
    Ok(between)
}

/// Writes a model, and its head if it has one, as the folder `sealed`, whole or not at all.
///
/// # Errors
/// When the folder cannot be written; what was there stays.
pub fn save(clip: &Clip, head: Option<&Head>, sealed: &Path) -> Result<()> {
    seal(sealed, |open| {
        clip.save(open)?;
        head.map_or(Ok(()), |head| head.save(open))
    })
}

fn blend(a: &Tensor, b: &Tensor, alpha: f64) -> Result<Tensor> {
    // The ends are the models themselves, bit for bit.
    match alpha {
        0.0 => Ok(a.clone()),
        1.0 => Ok(b.clone()),
        _ => Ok(((a * (1.0 - alpha))? + (b * alpha)?)?),
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use model::presets;

    use super::*;

    fn tiny(seed: u64, layers: usize) -> Clip {
        let mut config = presets::config("tiny-32").unwrap();
        config.vision_cfg.layers = model::config::Layers::Blocks(layers);
        config.text_cfg.vocab_size = 20;
        Clip::new(&config, seed, &Device::Cpu).unwrap()
    }

    fn values(clip: &Clip) -> Vec<Vec<f32>> {
        clip.parameters().iter().map(|(_, p)| p.value().flatten_all().unwrap().to_vec1().unwrap()).collect()
    }

    #[test]
    fn ends_are_the_models_and_the_middle_is_their_mean() {
        let (a, b) = (tiny(1, 1), tiny(2, 1));
        assert!(values(&interpolate(&a, &b, 0.0).unwrap()) == values(&a));
        assert!(values(&interpolate(&a, &b, 1.0).unwrap()) == values(&b));
        let middle = values(&interpolate(&a, &b, 0.5).unwrap());
        for ((middle, a), b) in
            middle.iter().flatten().zip(values(&a).iter().flatten()).zip(values(&b).iter().flatten())
        {
            assert!((middle - (a + b) / 2.0).abs() < 1e-6);
        }
    }

    #[test]
    fn models_of_other_shapes_are_refused() {
        let told = interpolate(&tiny(1, 1), &tiny(1, 2), 0.5).unwrap_err().to_string();
        assert!(told.contains("tensors; expected two of one architecture"), "{told}");
    }
}
