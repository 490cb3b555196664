//! Which of three texts says what is in a picture: `zero_shot PICTURE [MODEL] [TAG|PATH|hf-hub:ORG/NAME]`.

use model::Device;
use trainer::pretrained::{Hub, HubConfig};
use trainer::zoo::{self, Wanted};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let word = |i: usize, default: &str| words.get(i).cloned().unwrap_or_else(|| default.to_owned());
    let (endpoint, cache) = ("https://huggingface.co".to_owned(), std::env::temp_dir().join("clip-hub"));
    let hub = Hub::new(HubConfig { endpoint, cache, offline: false, token: None }, |_| ());
    let wanted = Wanted::new(&word(1, "ViT-B-32"), &word(2, "laion2b_s34b_b79k"));
    let ready = zoo::open(&wanted, &hub, &Device::Cpu)?;

    let texts = ["a diagram", "a dog", "a cat"].map(str::to_owned);
    let image = ready.clip.encode_image(&ready.pixel_values(&[std::fs::read(word(0, "CLIP.png"))?])?)?;
    let text = ready.clip.encode_text(&ready.input_ids(&texts)?)?;
    println!("{texts:?}: {}", ready.probabilities(&image, &text)?);
    Ok(())
}
