//! Embeddings of whole data sets in the layout of clip-retrieval: `img_emb/img_emb_K.npy` and `text_emb/text_emb_K.npy`
//! (`float16`, `[N, D]`, rows of length 1) and `metadata/metadata_K.parquet` (`image_path`, `caption`), row by row alike; a
//! part `K` for each shard, or for each 10,000 pictures of a folder.
//!
//! A part whose record is there is whole: a run that was ended goes on with the parts that have none, and a list that grew
//! with those that are new. What has changed since is embedded again; another model or other data are refused.

mod npy;
mod parts;
mod record;

use anyhow::Context;
use loader::{Fitting, Stop, evaluation_pixels};
use serde::Serialize;
use shards::metadata::write_text_table;
use shards::store::Folder;
use trainer::zoo::Ready;

pub use parts::Parts;
use parts::{Pair, Part};
pub use record::Manifest;
use record::Record;

/// What a run made and met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Parts written.
    pub parts: u64,
    /// Of these, parts that were there and whose shard or pictures have changed since.
    pub parts_again: u64,
    /// Parts that an earlier run had written.
    pub parts_before: u64,
    /// Rows of theirs.
    pub rows_before: u64,
    /// Rows written.
    pub embedded: u64,
    /// Of these, rows without a caption, whose text is empty.
    pub without_caption: u64,
    /// Samples without a picture; they have no row.
    pub without_picture: u64,
    /// Pictures that could not be decoded; they have no row.
    pub undecodable: u64,
    /// Shards that were cut off or could not be read to their end, in earlier runs too; what was whole of them has rows.
    pub incomplete_shards: u64,
    /// Whether the run was stopped before its last part.
    pub interrupted: bool,
}

/// How a run goes.
pub struct Options<'a> {
    /// Where parts are written.
    pub output: &'a Folder,
    /// Pictures and texts that go through the towers at a time.
    pub batch_size: usize,
    /// Threads that decode.
    pub workers: usize,
    /// Set from outside to stop behind the part under way.
    pub stop: &'a Stop,
}

/// Embeds every part that is not there yet; `tell` hears of each that is done.
///
/// # Errors
/// When the folder holds parts of something else, or cannot be written.
pub fn run(
    ready: &Ready,
    parts: &Parts,
    manifest: &Manifest,
    options: &Options<'_>,
    tell: &mut dyn FnMut(&str, &Report),
) -> anyhow::Result<Report> {
    options.output.prepare()?;
    if let Some(folder) = options.output.local_path() {
        for kind in ["img_emb", "text_emb", "metadata", "parts"] {
            let folder = folder.join(kind);
            std::fs::create_dir_all(&folder).with_context(|| format!("cannot create `{}`", folder.display()))?;
        }
    }
    manifest.check(options.output)?;
    let (mut report, mut count) = (Report::default(), 0);
    for (index, part) in parts.iter().enumerate() {
        count = index + 1;
        let told = || format!("part `{}`", part.name());
        let (state, before) = (part.state().with_context(told)?, Record::read(options.output, index)?);
        if let Some(before) = &before
            && before.is_of(&part, state.as_deref(), index)?
        {
            report.parts_before += 1;
            report.rows_before += before.rows;
            report.incomplete_shards += u64::from(!before.complete);
            continue;
        }
        if options.stop.is_set() {
            report.interrupted = true;
            break;
        }
        let rows_before = report.embedded;
        let end = embed_part(ready, &part, index, options, &mut report);
        let end = end.with_context(told)?;
        let (rows, complete) = (report.embedded - rows_before, end == parts::End::Complete);
        Record { source: part.name().to_owned(), state, rows, complete }.write(options.output, index)?;
        report.parts += 1;
        report.parts_again += u64::from(before.is_some());
        report.incomplete_shards += u64::from(!complete);
        tell(part.name(), &report);
    }
    if !report.interrupted && Record::read(options.output, count)?.is_some() {
        tracing::warn!("{}: parts from {count} on are of a longer list than this one, and stay", options.output);
    }
    Ok(report)
}

/// Rows of one part.
#[derive(Default)]
struct Rows {
    image: Vec<f32>,
    text: Vec<f32>,
    paths: Vec<String>,
    captions: Vec<String>,
}

fn embed_part(
    ready: &Ready,
    part: &Part,
    index: usize,
    options: &Options<'_>,
    report: &mut Report,
) -> anyhow::Result<parts::End> {
    let mut rows = Rows::default();
    let mut pending = Vec::with_capacity(options.batch_size);
    let end = part.each_pair(|pair| {
        match pair.picture {
            Some(picture) => pending.push(Pair { picture: Some(picture), ..pair }),
            None => report.without_picture += 1,
        }
        if pending.len() < options.batch_size {
            return Ok(());
        }
        embed(ready, std::mem::take(&mut pending), options.workers, &mut rows, report)
    })?;
    embed(ready, pending, options.workers, &mut rows, report)?;
    let width = ready.clip.config().embed_dim;
    for (kind, values) in [("img", &rows.image), ("text", &rows.text)] {
        let bytes = npy::float16(values, width);
        options.output.write(&format!("{kind}_emb/{kind}_emb_{index}.npy"), &bytes)?;
    }
    let table = options.output.create(&format!("metadata/metadata_{index}.parquet"))?;
    write_text_table(table, &[("image_path", &rows.paths), ("caption", &rows.captions)])?;
    Ok(end)
}

/// Decodes, encodes, and appends rows; what cannot be decoded is counted.
fn embed(ready: &Ready, pairs: Vec<Pair>, workers: usize, rows: &mut Rows, report: &mut Report) -> anyhow::Result<()> {
    let side = ready.clip.config().vision_cfg.image_size as u32;
    let decoded = decode(&pairs, side, ready.fitting(), workers);
    let mut pixels = Vec::new();
    let mut captions = Vec::new();
    for (pair, decoded) in pairs.into_iter().zip(decoded) {
        let Some(decoded) = decoded else {
            report.undecodable += 1;
            continue;
        };
        pixels.extend_from_slice(&decoded);
        report.embedded += 1;
        report.without_caption += u64::from(pair.caption.is_none());
        rows.paths.push(pair.path);
        captions.push(pair.caption.unwrap_or_default());
    }
    if captions.is_empty() {
        return Ok(());
    }
    let image = ready.clip.encode_image(&ready.normalised(&pixels, captions.len())?)?;
    let text = ready.clip.encode_text(&ready.input_ids(&captions)?)?;
    check_finite(&image)?;
    check_finite(&text)?;
    rows.image.extend(flat(&image)?);
    rows.text.extend(flat(&text)?);
    rows.captions.append(&mut captions);
    Ok(())
}

/// Refuses features that are not numbers.
///
/// # Errors
/// When one is not, or the device fails.
pub fn check_finite(features: &model::Tensor) -> anyhow::Result<()> {
    // Those of one row have the length 1, so that a sum is a number where all of them are.
    if features.sum_all()?.to_scalar::<f32>()?.is_finite() {
        return Ok(());
    }
    anyhow::bail!("the model's features are not numbers: its weights are damaged or diverged")
}

fn flat(features: &model::Tensor) -> anyhow::Result<Vec<f32>> {
    features.flatten_all().and_then(|flat| flat.to_vec1()).context("features")
}

/// Pixels of each picture, on several threads; `None` for what is no picture.
fn decode(pairs: &[Pair], side: u32, fitting: Fitting, workers: usize) -> Vec<Option<Vec<u8>>> {
    let share = pairs.len().div_ceil(workers.max(1)).max(1);
    let one = |pair: &Pair| {
        let bytes = pair.picture.as_ref()?.bytes().ok()?;
        evaluation_pixels(&pair.path, &bytes, side, fitting).ok()
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            pairs.chunks(share).map(|pairs| scope.spawn(move || pairs.iter().map(one).collect::<Vec<_>>())).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect()
    })
}
