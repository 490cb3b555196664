//! Times forward, loss and backward of a preset on random input: `step_time [MODEL] [BATCH] [STEPS]`.

use std::time::Instant;

use candle_core::{Device, Tensor};
use model::loss::contrastive_loss;
use model::{Clip, Gradients, presets};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let name = words.next().unwrap_or_else(|| "tiny-32".to_owned());
    let batch: usize = words.next().map_or(Ok(128), |word| word.parse())?;
    let steps: usize = words.next().map_or(Ok(20), |word| word.parse())?;
    let config = presets::config(&name)?;
    let clip = Clip::new(&config, 0, &Device::Cpu)?;
    let size = config.vision_cfg.image_size;
    let pixels = Tensor::randn(0f32, 1f32, (batch, 3, size, size), &Device::Cpu)?;
    let ids: Vec<u32> = (0..batch as u32).flat_map(|sample| caption(sample, &config.text_cfg)).collect();
    let ids = Tensor::from_vec(ids, (batch, config.text_cfg.context_length), &Device::Cpu)?;
    let mut best = [f64::INFINITY; 4];
    for _ in 0..steps {
        let times = step(&clip, &pixels, &ids)?;
        best.iter_mut().zip(times).for_each(|(best, time)| *best = best.min(time));
    }
    let [image, text, loss, backward] = best.map(|seconds| seconds * 1e3);
    println!("{name}, batch {batch}: image {image:.1} ms, text {text:.1}, loss {loss:.1}, backward {backward:.1}");
    Ok(())
}

/// About a dozen tokens between start and end.
fn caption(sample: u32, text: &model::config::TextConfig) -> Vec<u32> {
    let vocab = text.vocab_size as u32;
    let words = 8 + sample % 8;
    (0..text.context_length as u32)
        .map(|i| match i {
            0 => vocab - 2,
            i if i <= words => (sample * 31 + i * 7) % (vocab - 2),
            i if i == words + 1 => vocab - 1,
            _ => 0,
        })
        .collect()
}

fn step(clip: &Clip, pixels: &Tensor, ids: &Tensor) -> Result<[f64; 4], Box<dyn std::error::Error>> {
    let mut times = [0.0; 4];
    let start = Instant::now();
    let (image, image_saved) = clip.forward_image(pixels)?;
    times[0] = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let (text, text_saved) = clip.forward_text(ids)?;
    times[1] = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let loss = contrastive_loss(&image, &text, clip.parameters().value(clip.logit_scale_id()))?;
    times[2] = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let mut gradients = Gradients::new(clip.parameters());
    clip.backward_image(image_saved, &loss.d_image_features, &mut gradients)?;
    clip.backward_text(text_saved, &loss.d_text_features, &mut gradients)?;
    times[3] = start.elapsed().as_secs_f64();
    Ok(times)
}
