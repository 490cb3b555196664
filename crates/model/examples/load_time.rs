//! Times the reading of weights beside the plain reading of their file: `load_time [MODEL] [FOLDER]`. The file is written into
//! the folder first, unless it is there.

use std::path::PathBuf;
use std::time::Instant;

use model::config::{ModelConfig, PreprocessConfig};
use model::{Clip, Device, presets};

/// Rounds, of which the best counts.
const ROUNDS: usize = 5;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let name = words.next().unwrap_or_else(|| "ViT-L-14".to_owned());
    let folder = words.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let path = folder.join(format!("{name}.safetensors"));
    let model_cfg = presets::config(&name)?;
    if !path.exists() {
        Clip::new(&model_cfg, 0, &Device::Cpu)?.save_weights(&path)?;
    }
    let config = ModelConfig { model_cfg, preprocess_cfg: PreprocessConfig::default() };
    let mut best = [f64::INFINITY; 2];
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let bytes = std::fs::read(&path)?.len();
        best[0] = best[0].min(start.elapsed().as_secs_f64());
        let start = Instant::now();
        let clip = Clip::load_weights(config.clone(), &path, &Device::Cpu)?;
        best[1] = best[1].min(start.elapsed().as_secs_f64());
        assert!(clip.parameters().elem_count() * 4 <= bytes, "every value was in the file");
    }
    let [read, load] = best;
    println!("{name}: file read in {read:.2} s, model loaded in {load:.2} s, ratio {:.2}", load / read);
    Ok(())
}
