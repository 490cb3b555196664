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
use loader::{Fitting, MissingEnd, Stop, evaluation_pixels};
use serde::Serialize;
use shards::metadata::write_text_table;
use shards::store::Folder;
use shards::store::local::remove_leftovers;
use trainer::zoo::Ready;

pub use parts::Parts;
use parts::{Pair, Part};
pub use record::Manifest;
use record::{Counts, Record, files, sizes};

/// What a run made and met. Counts of samples are of all parts, those of earlier runs included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Parts written.
    pub parts: u64,
    /// Of these, parts that were there and were made of something that has changed since, or were not whole.
    pub parts_again: u64,
    /// Rows written.
    pub embedded: u64,
    /// Parts that an earlier run had written.
    pub parts_before: u64,
    /// Rows of theirs.
    pub rows_before: u64,
    /// Rows without a caption, whose text is empty.
    pub without_caption: u64,
    /// Samples without a picture; they have no row.
    pub without_picture: u64,
    /// Pictures that could not be read or decoded; they have no row.
    pub undecodable: u64,
    /// Members of shards that are part of no sample.
    pub members_left_out: u64,
    /// Shards that could not be read to a proper end; what was whole of them has rows.
    pub incomplete_shards: u64,
    /// Whether the run was stopped before its last part.
    pub interrupted: bool,
}

impl Report {
    fn add(&mut self, counts: &Counts, incomplete: Option<&str>) {
        for (sum, count) in [
            (&mut self.without_caption, counts.without_caption),
            (&mut self.without_picture, counts.without_picture),
            (&mut self.undecodable, counts.undecodable),
            (&mut self.members_left_out, counts.members_left_out),
            (&mut self.incomplete_shards, u64::from(incomplete.is_some())),
        ] {
            *sum = sum.saturating_add(count);
        }
    }
}

/// How a run goes.
pub struct Options<'a> {
    /// Where parts are written.
    pub output: &'a Folder,
    /// Pictures and texts that go through the towers at a time.
    pub batch_size: usize,
    /// Threads that decode.
    pub workers: usize,
    /// What to think of a tar without end marker.
    pub missing_end: MissingEnd,
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
            && before.stands(&part, state.as_deref(), manifest, (options.output, options.missing_end), index)?
        {
            report.parts_before += 1;
            report.rows_before = report.rows_before.saturating_add(before.counts.rows);
            report.add(&before.counts, before.incomplete.as_deref());
            continue;
        }
        if options.stop.is_set() {
            report.interrupted = true;
            break;
        }
        let (counts, incomplete) = embed_part(ready, &part, index, options).with_context(told)?;
        let bytes = sizes(options.output, index)?.context("what was just written is gone")?;
        report.add(&counts, incomplete.as_deref());
        let (source, fingerprint) = (part.name().to_owned(), manifest.fingerprint.clone());
        Record { source, state, fingerprint, counts, incomplete, bytes }.write(options.output, index)?;
        report.embedded += counts.rows;
        report.parts += 1;
        report.parts_again += u64::from(before.is_some());
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

/// Writes the files of a part; what came of it, and why its shard was not read to a proper end, where it was not.
fn embed_part(
    ready: &Ready,
    part: &Part,
    index: usize,
    options: &Options<'_>,
) -> anyhow::Result<(Counts, Option<String>)> {
    if let Some(folder) = options.output.local_path() {
        for file in files(index) {
            let path = folder.join(&file);
            let (folder, name) = (path.parent().unwrap_or(folder), path.file_name().unwrap_or_default());
            let _ = remove_leftovers(folder, &name.to_string_lossy())?;
        }
    }
    let (mut rows, mut counts) = (Rows::default(), Counts::default());
    let mut pending = Vec::with_capacity(options.batch_size);
    let end = part.each_pair(options.missing_end, |pair| {
        match pair.picture {
            Some(picture) => pending.push(Pair { picture: Some(picture), ..pair }),
            None => counts.without_picture += 1,
        }
        if pending.len() < options.batch_size {
            return Ok(());
        }
        embed(ready, std::mem::take(&mut pending), options.workers, &mut rows, &mut counts)
    })?;
    embed(ready, pending, options.workers, &mut rows, &mut counts)?;
    counts.members_left_out = end.members_left_out;
    let width = ready.clip.config().embed_dim;
    let [image, text, table] = files(index);
    options.output.write(&image, &npy::float16(&rows.image, width))?;
    options.output.write(&text, &npy::float16(&rows.text, width))?;
    let table = options.output.create(&table)?;
    write_text_table(table, &[("image_path", &rows.paths), ("caption", &rows.captions)])?;
    Ok((counts, end.incomplete))
}

/// Decodes, encodes, and appends rows; what cannot be decoded is counted.
fn embed(ready: &Ready, pairs: Vec<Pair>, workers: usize, rows: &mut Rows, counts: &mut Counts) -> anyhow::Result<()> {
    let side = ready.clip.config().vision_cfg.image_size as u32;
    let decoded = decode(&pairs, side, ready.fitting(), workers);
    let mut pixels = Vec::new();
    let mut captions = Vec::new();
    for (pair, decoded) in pairs.into_iter().zip(decoded) {
        let decoded = match decoded {
            Ok(decoded) => decoded,
            Err(reason) => {
                counts.undecodable += 1;
                // The first, and then one in a thousand.
                if counts.undecodable % 1000 == 1 {
                    tracing::warn!("`{}` is left out: {reason} ({} so far)", pair.path, counts.undecodable);
                }
                continue;
            }
        };
        pixels.extend_from_slice(&decoded);
        counts.rows += 1;
        counts.without_caption += u64::from(pair.caption.is_none());
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

/// Pixels of each picture, or what is wrong with it, on several threads.
fn decode<'a>(pairs: &'a [Pair], side: u32, fitting: Fitting, workers: usize) -> Vec<Result<Vec<u8>, String>> {
    let share = pairs.len().div_ceil(workers.max(1)).max(1);
    let one = |pair: &Pair| {
        let picture = pair.picture.as_ref().ok_or("no picture")?;
        let bytes = picture.bytes().map_err(|error| error.to_string())?;
        evaluation_pixels("the picture", &bytes, side, fitting).map_err(|error| error.to_string())
    };
    std::thread::scope(|scope| {
        let spawn = |pairs: &'a [Pair]| (pairs.len(), scope.spawn(move || pairs.iter().map(one).collect::<Vec<_>>()));
        let threads: Vec<_> = pairs.chunks(share).map(spawn).collect();
        let fault = || Err("a fault of this program".to_owned());
        let joined = threads.into_iter().map(|(count, thread)| thread.join().unwrap_or_else(|_| vec![fault(); count]));
        joined.flatten().collect()
    })
}
