//! `cliptrain models`: the presets with their sizes, their operations and the tags of their weights.

use model::clip::parameter_specs;
use model::config::ResizeMode;
use model::parameters::Role;
use model::{flops, presets};
use serde::Serialize;
use tools::exit::Outcome;
use tools::{json, out};
use trainer::pretrained::{Tag, tags_of};

use crate::cli::zoo::Models;

/// A preset as it is told.
#[derive(Debug, Serialize)]
struct Row {
    name: &'static str,
    parameters: u64,
    image_size: usize,
    context_length: usize,
    embed_dim: usize,
    image_gflops: f64,
    text_gflops: f64,
    quick_gelu: bool,
    tags: Vec<&'static str>,
    weights: Vec<Weights>,
}

/// What is known of the weights of a tag.
#[derive(Debug, Serialize)]
struct Weights {
    tag: &'static str,
    repository: &'static str,
    mean: [f64; 3],
    std: [f64; 3],
    resize_mode: ResizeMode,
}

/// Lists all presets.
pub fn run(arguments: &Models) -> anyhow::Result<Outcome> {
    let rows = presets::NAMES.iter().map(|name| row(name)).collect::<anyhow::Result<Vec<_>>>()?;
    if arguments.json {
        for row in &rows {
            json::line("model", row)?;
        }
        return Ok(Outcome::Done);
    }
    out::line(&format!("{:<28}{:>10}{:>9}{:>9}  tags", "model", "M params", "GFLOPs", "pixels"))?;
    for row in &rows {
        let (millions, gflops) = (row.parameters as f64 / 1e6, row.image_gflops + row.text_gflops);
        out::line(&format!(
            "{:<28}{millions:>10.2}{gflops:>9.2}{:>9}  {}",
            row.name,
            row.image_size,
            row.tags.join(" ")
        ))?;
    }
    Ok(Outcome::Done)
}

fn row(name: &'static str) -> anyhow::Result<Row> {
    let config = presets::config(name)?;
    let (specs, flops) = (parameter_specs(&config)?, flops::of(&config)?);
    let learned = specs.iter().filter(|spec| spec.role == Role::Parameter);
    // Tags that need another activation than this preset's belong to its sibling.
    let fitting = || tags_of(name).filter(|tag| tag.quick_gelu == config.quick_gelu);
    let weights = |tag: &Tag| Weights {
        tag: tag.tag,
        repository: tag.repository,
        mean: tag.mean,
        std: tag.std,
        resize_mode: tag.resize_mode,
    };
    Ok(Row {
        name,
        parameters: learned.map(|spec| spec.shape.iter().product::<usize>() as u64).sum(),
        image_size: config.vision_cfg.image_size,
        context_length: config.text_cfg.context_length,
        embed_dim: config.embed_dim,
        image_gflops: flops.image as f64 / 1e9,
        text_gflops: flops.text as f64 / 1e9,
        quick_gelu: config.quick_gelu,
        tags: fitting().map(|tag| tag.tag).collect(),
        weights: fitting().map(weights).collect(),
    })
}
