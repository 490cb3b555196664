//! `cliptrain encode`: features of pictures and texts, and how likely each picture is to belong to each text.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use loader::read_picture;
use model::Device;
use model::weights::Tensors;
use tools::embed::check_finite;
use tools::exit::{Hint, Outcome};
use tools::{json, out, zoo};
use trainer::zoo::{Ready, open};

use crate::cli::zoo::Encode;

/// Pictures or texts that go through a tower at a time.
const BATCH: usize = 32;

/// Encodes, prints, and writes.
pub fn run(arguments: &Encode) -> anyhow::Result<Outcome> {
    check(arguments)?;
    let choice = &arguments.choice;
    if choice.weights().is_none() {
        bail!(
            "--pretrained: features of weights that nobody trained mean nothing; give a tag, a path or hf-hub:ORG/NAME"
        );
    }
    choice.forced.check()?;
    let wanted = zoo::wanted(choice.name(), choice.pretrained.as_deref(), (&choice.forced).into(), 0);
    let ready = open(&wanted, &zoo::hub(), &Device::Cpu)?;
    let mut features = Tensors::new();
    if !arguments.image.is_empty() {
        features.add("image_features", images(&ready, arguments)?);
    }
    if !arguments.text.is_empty() {
        let batches = arguments.text.chunks(BATCH);
        let encode = |texts: &[String]| Ok(ready.clip.encode_text(&ready.input_ids(texts)?)?);
        features.add("text_features", Tensors::rows(batches.map(encode).collect::<anyhow::Result<Vec<_>>>()?)?);
    }
    for encoded in ["image_features", "text_features"].iter().filter_map(|name| features.get(name)) {
        check_finite(encoded)?;
    }
    let rows = match (features.get("image_features"), features.get("text_features")) {
        (Some(image), Some(text)) => {
            let probabilities = ready.probabilities(image, text)?;
            let rows = probabilities.to_vec2::<f32>().context("probabilities")?;
            features.add("probabilities", probabilities);
            rows
        }
        _ => Vec::new(),
    };
    tell(arguments, &rows, &features)?;
    if let Some(path) = &arguments.output {
        features.write(path)?;
    }
    Ok(Outcome::Done)
}

fn images(ready: &Ready, arguments: &Encode) -> anyhow::Result<model::Tensor> {
    let pixels = |path: &PathBuf| -> anyhow::Result<model::Tensor> {
        let told = || format!("--image `{}`", path.display());
        let picture = read_picture(path).with_context(told)?;
        ready.pixel_values(&[picture]).with_context(told)
    };
    let mut batches = Vec::new();
    for paths in arguments.image.chunks(BATCH) {
        let pixels = paths.iter().map(pixels).collect::<anyhow::Result<Vec<_>>>()?;
        batches.push(ready.clip.encode_image(&model::Tensor::cat(&pixels, 0)?)?);
    }
    Ok(Tensors::rows(batches)?)
}

/// Refuses what would give nothing to see.
fn check(arguments: &Encode) -> anyhow::Result<()> {
    let (no_image, no_text) = (arguments.image.is_empty(), arguments.text.is_empty());
    if no_image && no_text {
        bail!("nothing to encode: neither --image nor --text was given");
    }
    if let Some(path) = &arguments.output
        && path.extension().is_none_or(|extension| extension != "safetensors")
    {
        let error = anyhow::anyhow!("--output `{}`: expected a name that ends with .safetensors", path.display());
        return Err(error.context(Hint("cliptrain embed writes .npy files".to_owned())));
    }
    if (no_image || no_text) && arguments.output.is_none() && !arguments.json {
        let (given, missing) = if no_text { ("pictures", "--text") } else { ("texts", "--image") };
        let error = anyhow::anyhow!("{given} alone have no probabilities, and their features would go nowhere");
        let hint = format!("--output FILE.safetensors keeps features, --json prints them, {missing} compares");
        return Err(error.context(Hint(hint)));
    }
    Ok(())
}

/// A line for each picture with its probabilities; where there are only pictures or only texts, their features as JSON.
fn tell(arguments: &Encode, rows: &[Vec<f32>], features: &Tensors) -> anyhow::Result<()> {
    if arguments.json && rows.is_empty() {
        let images = arguments.image.iter().map(|path| path.display().to_string());
        let texts = arguments.text.iter().cloned();
        return features_as_json("image", images, features.get("image_features"))
            .and_then(|()| features_as_json("text", texts, features.get("text_features")));
    }
    for (path, row) in arguments.image.iter().zip(rows) {
        if arguments.json {
            let likely: Vec<_> = arguments
                .text
                .iter()
                .zip(row)
                .map(|(text, p)| serde_json::json!({ "text": text, "probability": p }))
                .collect();
            json::line("picture", &serde_json::json!({ "image": path, "texts": likely }))?;
        } else {
            out::line(&line(path, &arguments.text, row))?;
        }
    }
    Ok(())
}

fn features_as_json(
    kind: &str,
    names: impl Iterator<Item = String>,
    features: Option<&model::Tensor>,
) -> anyhow::Result<()> {
    let rows = features.map(|features| features.to_vec2::<f32>()).transpose().context("features")?;
    for (name, row) in names.zip(rows.unwrap_or_default()) {
        json::line("features", &serde_json::json!({ kind: name, "features": row }))?;
    }
    Ok(())
}

fn line(path: &Path, texts: &[String], row: &[f32]) -> String {
    let mut likely: Vec<_> = texts.iter().zip(row).collect();
    likely.sort_by(|a, b| b.1.total_cmp(a.1));
    let told = likely.iter().map(|(text, p)| format!("{:5.1}% {}", 100.0 * **p, out::visible(text)));
    format!("{}\t{}", out::visible(&path.display().to_string()), told.collect::<Vec<_>>().join("\t"))
}
