//! Times forward, loss and backward of a preset on random input: `step_time [MODEL] [BATCH] [STEPS] [--json]`. With `--json`
//! it prints the best seconds of an evaluation forward and of a whole training step, by the clock and of all threads together,
//! and the peak of memory.

use std::time::Instant;

use candle_core::{Device, Tensor};
use model::loss::contrastive_loss;
use model::{Clip, Gradients, Mode, Noise, presets};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (flags, words): (Vec<String>, Vec<String>) = std::env::args().skip(1).partition(|word| word.starts_with("--"));
    let mut words = words.into_iter();
    let name = words.next().unwrap_or_else(|| "tiny-32".to_owned());
    let batch: usize = words.next().map_or(Ok(128), |word| word.parse())?;
    let steps: usize = words.next().map_or(Ok(20), |word| word.parse())?;
    let config = presets::config(&name)?;
    let mut clip = Clip::new(&config, 0, &Device::Cpu)?;
    let size = config.vision_cfg.image_size;
    let pixels = Tensor::randn(0f32, 1f32, (batch, 3, size, size), &Device::Cpu)?;
    let ids: Vec<u32> = (0..batch as u32).flat_map(|sample| caption(sample, &config.text_cfg)).collect();
    let ids = Tensor::from_vec(ids, (batch, config.text_cfg.context_length), &Device::Cpu)?;
    let (mut best, mut forward, mut whole) = ([f64::INFINITY; 4], [f64::INFINITY; 2], [f64::INFINITY; 2]);
    for _ in 0..steps {
        let (start, before) = (Instant::now(), cpu_seconds());
        clip.encode_image(&pixels)?;
        clip.encode_text(&ids)?;
        let middle = cpu_seconds();
        forward = [forward[0].min(start.elapsed().as_secs_f64()), forward[1].min(middle - before)];
        let times = step(&mut clip, &pixels, &ids)?;
        whole = [whole[0].min(times.iter().sum()), whole[1].min(cpu_seconds() - middle)];
        best.iter_mut().zip(times).for_each(|(best, time)| *best = best.min(time));
    }
    if flags.iter().any(|flag| flag == "--json") {
        let ([forward, forward_cpu], [step, step_cpu]) = (forward, whole);
        let peak = peak_kilobytes();
        println!(
            r#"{{"forward": {forward}, "step": {step}, "forward_cpu": {forward_cpu}, "step_cpu": {step_cpu}, "kilobytes": {peak}}}"#
        );
        return Ok(());
    }
    let [image, text, loss, backward] = best.map(|seconds| seconds * 1e3);
    let forward = forward[0] * 1e3;
    println!(
        "{name}, batch {batch}: evaluation {forward:.1} ms; image {image:.1}, text {text:.1}, loss {loss:.1}, backward {backward:.1}"
    );
    Ok(())
}

/// Seconds that all threads of this process have computed, where the system tells it: user and system time in hundredths.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    fields.filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// The high-water mark of this process's memory, where the system tells it.
fn peak_kilobytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// About a dozen tokens between start and end.
fn caption(sample: u32, text: &model::config::TextConfig) -> Vec<u32> {
    let vocab = text.token_ids().unwrap_or(text.vocab_size) as u32;
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

fn step(clip: &mut Clip, pixels: &Tensor, ids: &Tensor) -> Result<[f64; 4], Box<dyn std::error::Error>> {
    let (mut times, mode) = ([0.0; 4], Mode::Training(Noise::new(0, 0)));
    let start = Instant::now();
    let (image, image_saved) = clip.forward_image(pixels, mode)?;
    times[0] = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let (text, text_saved) = clip.forward_text(ids, mode)?;
    times[1] = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let loss = contrastive_loss(&image, &text, clip.parameters().value(clip.logit_scale_id()))?;
    times[2] = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let mut gradients = Gradients::new(clip.parameters());
    clip.track(&image_saved)?;
    clip.backward_image(image_saved, &loss.d_image_features, &mut gradients)?;
    clip.backward_text(text_saved, &loss.d_text_features, &mut gradients)?;
    times[3] = start.elapsed().as_secs_f64();
    Ok(times)
}
