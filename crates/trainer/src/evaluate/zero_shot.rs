//! Zero-shot classification: pictures against a classifier made of class names and templates.
//!
//! The algorithm is open_clip's: every class is the normalised mean of the normalised features of its
//! filled-in templates; a picture belongs to the class whose feature is nearest to its own. Where several classes stand for
//! one label, as in ObjectNet, the nearest of them speaks for it.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use candle_core::Tensor;
use loader::{ClassFolder, EvalBatches, EvalConfig, LabelledShards, ShardSpec, Stop, Unreadable};
use model::clip::Clip;
use model::tokenizer::Tokenizer;
use model::zero_shot::{Template, ZeroShotClassifier, top_k};
use serde::Serialize;

use super::eval_config;
use crate::error::{Error, Result};
use crate::evaluate::imagenet::{Benchmark, Labelling, by_number, by_synset};
use crate::input;
use crate::metrics::Metrics;

/// Classes whose prompts are encoded at once, as open_clip does it.
pub(crate) const CLASSES_PER_BATCH: NonZeroUsize = NonZeroUsize::new(10).expect("ten is not zero");

/// Where the pictures and their labels are.
#[derive(Clone, Debug)]
pub enum Labels {
    /// A folder of class folders.
    Folder(PathBuf),
    /// Shards whose samples carry the class index in a `cls` member.
    Shards(ShardSpec),
}

/// Pictures, classes and templates of one evaluation.
#[derive(Clone, Debug)]
pub struct ZeroShotTask {
    /// Metrics are called `<name>-top1` and `<name>-top5`.
    pub name: String,
    /// The pictures.
    pub labels: Labels,
    /// Set where the folders are those of ImageNet or one of its relatives.
    pub benchmark: Option<Benchmark>,
    /// Class names in the order of the labels; `None` takes the folders' names, `_` read as a space.
    pub class_names: Option<Vec<String>>,
    /// Templates to fill with each name.
    pub templates: Vec<Template>,
    /// Pictures encoded at once.
    pub batch_size: usize,
    /// Threads that decode.
    pub workers: usize,
}

/// What the model said of one picture.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Prediction {
    /// Path or key of the picture.
    pub key: String,
    /// Index of its class.
    pub label: u32,
    /// The five likeliest classes (fewer where there are fewer) and their probabilities, likeliest first.
    pub ranked: Vec<(u32, f32)>,
}

/// The outcome of an evaluation.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ZeroShotReport {
    /// Name of the task.
    pub name: String,
    /// Names of all classes.
    pub class_names: Vec<String>,
    /// Share of pictures whose likeliest class is theirs, 0 to 1.
    pub top1: f64,
    /// Share of pictures whose class is among the five likeliest, 0 to 1.
    pub top5: f64,
    /// Pictures classified.
    pub samples: u64,
    /// Pictures that could not be read; they count in neither share.
    pub unreadable: u64,
    /// One entry a picture.
    #[serde(skip)]
    pub predictions: Vec<Prediction>,
}

impl ZeroShotReport {
    /// The shares under open_clip's kind of names, after `epoch` completed epochs.
    pub fn metrics(&self, epoch: u64) -> Metrics {
        let mut metrics = Metrics::of_epoch(epoch);
        metrics.set(&format!("{}-top1", self.name), self.top1);
        metrics.set(&format!("{}-top5", self.name), self.top5);
        metrics.set(&format!("{}-samples", self.name), self.samples);
        if self.unreadable > 0 {
            metrics.set(&format!("{}-unreadable", self.name), self.unreadable);
        }
        metrics
    }
}

impl ZeroShotTask {
    /// Checks classes against labels and opens the pictures, so that a bad task fails before training.
    ///
    /// # Errors
    /// When the folder is unusable, or its classes and the names do not fit together.
    pub fn prepare(&self) -> Result<Prepared> {
        match &self.labels {
            Labels::Folder(path) => {
                let mut folder = ClassFolder::open(path)?;
                let class_names = self.class_names.clone().unwrap_or_else(|| readable(folder.class_names()));
                let Labelling { labels, groups } = match self.benchmark {
                    Some(benchmark) => benchmark.labelling(folder.class_names())?,
                    None => each_class(match_folders(folder.class_names(), &class_names)?, class_names.len()),
                };
                folder.keep(|label| labels.get(label as usize).is_some_and(Option::is_some));
                let label_of_folder = labels.into_iter().map(Option::unwrap_or_default).collect();
                Ok(Prepared { pictures: Pictures::Folder(folder), label_of_folder, class_names, groups })
            }
            Labels::Shards(spec) => {
                let class_names = self.class_names.clone().ok_or_else(|| Error::Config {
                    option: "--zeroshot-classnames",
                    reason: "needed for shards: their samples carry class indices only".to_owned(),
                })?;
                let shards = LabelledShards::new(spec.clone());
                let groups = each_class(Vec::new(), class_names.len()).groups;
                Ok(Prepared { pictures: Pictures::Shards(shards), label_of_folder: Vec::new(), class_names, groups })
            }
        }
    }

    /// Classifies every picture by the texts of its class names.
    ///
    /// # Errors
    /// When no picture can be read, a label has no class, the device fails, or `stop` is set.
    pub fn run(&self, clip: &Clip, tokenizer: &Tokenizer, prepared: &Prepared, stop: &Stop) -> Result<ZeroShotReport> {
        let names = &prepared.class_names;
        let classifier = ZeroShotClassifier::build(clip, tokenizer, names, &self.templates, CLASSES_PER_BATCH)?;
        let scale = clip.logit_scale()?;
        self.run_with(clip, prepared, stop, |features| Ok((classifier.classify(features)? * scale)?))
    }

    /// Classifies every picture by what `logits` says of its features: `[B, D]` to `[B, classes]`.
    ///
    /// # Errors
    /// As [`ZeroShotTask::run`], and what `logits` gives.
    pub fn run_with(
        &self,
        clip: &Clip,
        prepared: &Prepared,
        stop: &Stop,
        logits: impl Fn(&Tensor) -> Result<Tensor>,
    ) -> Result<ZeroShotReport> {
        let side = clip.config().vision_cfg.image_size;
        let mut config = eval_config(clip, self.batch_size, self.workers, stop);
        config.border = self.benchmark.map_or(0, Benchmark::border);
        let mut batches = prepared.batches(&config);
        let mut predictions = Vec::new();
        for batch in &mut batches {
            let batch = batch?;
            let pixels =
                input::pixel_values(&batch.pixels, batch.labels.len(), side, clip.preprocess(), clip.device())?;
            let logits = logits(&clip.encode_image(&pixels)?)?.to_vec2::<f32>()?;
            for (row, (key, label)) in logits.iter().zip(batch.keys.iter().zip(&batch.labels)) {
                if !row.iter().all(|logit| logit.is_finite()) {
                    return Err(Error::NonFiniteFeatures { key: key.clone() });
                }
                let label = prepared.label_of(*label, key)?;
                predictions.push(Prediction { key: key.clone(), label, ranked: ranked(&prepared.logits(row)) });
            }
        }
        if stop.is_set() {
            return Err(Error::Interrupted);
        }
        self.report(prepared.label_names(), predictions, batches.unreadable())
    }

    fn report(
        &self,
        class_names: Vec<String>,
        predictions: Vec<Prediction>,
        unreadable: &[Unreadable],
    ) -> Result<ZeroShotReport> {
        for picture in unreadable {
            tracing::warn!("picture `{}` is left out: {}", picture.key, picture.reason);
        }
        if predictions.is_empty() {
            let reason = format!("no picture could be read ({} tried)", unreadable.len());
            return Err(Error::Config { option: self.benchmark.map_or("--zeroshot-data", Benchmark::flag), reason });
        }
        let share = |k: usize| {
            let hit = |p: &&Prediction| p.ranked.iter().take(k).any(|(class, _)| *class == p.label);
            predictions.iter().filter(hit).count() as f64 / predictions.len() as f64
        };
        Ok(ZeroShotReport {
            name: self.name.clone(),
            class_names,
            top1: share(1),
            top5: share(5),
            samples: predictions.len() as u64,
            unreadable: unreadable.len() as u64,
            predictions,
        })
    }
}

/// A task whose pictures were found and whose classes fit.
pub struct Prepared {
    pictures: Pictures,
    label_of_folder: Vec<u32>,
    class_names: Vec<String>,
    /// The classes that stand for each label.
    groups: Vec<Vec<u32>>,
}

enum Pictures {
    Folder(ClassFolder),
    Shards(LabelledShards),
}

impl Prepared {
    fn batches(&self, config: &EvalConfig) -> EvalBatches {
        match &self.pictures {
            Pictures::Folder(folder) => folder.batches(config),
            Pictures::Shards(shards) => shards.batches(config),
        }
    }

    /// Files with their labels, where the pictures are in folders.
    pub fn labelled_files(&self) -> impl Iterator<Item = (&Path, u32)> {
        let folder = match &self.pictures {
            Pictures::Folder(folder) => folder.pictures(),
            Pictures::Shards(_) => &[],
        };
        let label = |label: u32| self.label_of_folder.get(label as usize).copied().unwrap_or_default();
        folder.iter().map(move |(path, folder)| (path.as_path(), label(*folder)))
    }

    /// The classes, in the order of the logits.
    pub fn class_names(&self) -> &[String] {
        &self.class_names
    }

    /// What the labels of the predictions are called.
    fn label_names(&self) -> Vec<String> {
        let name = |class: &u32| self.class_names.get(*class as usize).map_or("", String::as_str);
        self.groups.iter().map(|group| group.iter().map(name).collect::<Vec<_>>().join(" / ")).collect()
    }

    /// One logit a label: the largest of its classes.
    fn logits(&self, classes: &[f32]) -> Vec<f32> {
        let of = |class: &u32| classes.get(*class as usize).copied().unwrap_or(f32::NEG_INFINITY);
        self.groups.iter().map(|group| group.iter().map(of).fold(f32::NEG_INFINITY, f32::max)).collect()
    }

    /// The label of a picture by the one that it carries.
    fn label_of(&self, label: u32, key: &str) -> Result<u32> {
        let class = match &self.pictures {
            Pictures::Folder(_) => self.label_of_folder.get(label as usize).copied(),
            Pictures::Shards(_) => ((label as usize) < self.class_names.len()).then_some(label),
        };
        class.ok_or_else(|| Error::Config {
            option: "--zeroshot-classnames",
            reason: format!("sample `{key}` is of class {label}, but there are {} names", self.class_names.len()),
        })
    }
}

/// Folder names as people write them.
fn readable(folders: &[String]) -> Vec<String> {
    folders.iter().map(|name| name.replace('_', " ")).collect()
}

/// Every class for itself.
fn each_class(labels: Vec<u32>, classes: usize) -> Labelling {
    Labelling {
        labels: labels.into_iter().map(Some).collect(),
        groups: (0..classes as u32).map(|class| vec![class]).collect(),
    }
}

/// The class of every folder: by name where every folder is called as a class is (so that a folder may hold some of the
/// classes only), by number where all are numbers, by ImageNet's synsets where there are 1,000 names, else by sorted
/// position, which needs as many folders as names.
fn match_folders(folders: &[String], names: &[String]) -> Result<Vec<u32>> {
    let by_name: Option<Vec<u32>> = readable(folders)
        .iter()
        .map(|folder| names.iter().position(|name| name == folder).map(|class| class as u32))
        .collect();
    let synsets = || by_synset(folders).filter(|_| names.len() == 1000);
    match by_name.or_else(|| by_number(folders, names.len())).or_else(synsets) {
        Some(classes) => Ok(classes),
        None if folders.len() == names.len() => Ok((0..names.len() as u32).collect()),
        None => Err(Error::Config {
            option: "--zeroshot-classnames",
            reason: format!(
                "{} names for {} class folders, and not every folder is called as a class is; \
                 expected one name a folder, in the folders' sorted order",
                names.len(),
                folders.len()
            ),
        }),
    }
}

/// The five likeliest classes and their probabilities; among equals the lower index wins. The order is that of the
/// logits, since small probabilities all round to zero.
fn ranked(logits: &[f32]) -> Vec<(u32, f32)> {
    let order = top_k(logits, 5);
    let largest = order.first().map_or(0.0, |class| f64::from(logits[*class]));
    let weight = |logit: f32| (f64::from(logit) - largest).exp();
    let sum: f64 = logits.iter().map(|logit| weight(*logit)).sum();
    order.into_iter().map(|class| (class as u32, (weight(logits[class]) / sum) as f32)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn folders_are_matched_by_name_before_position() {
        let names = strings(&["zebra", "red fox", "ant"]);
        assert_eq!(match_folders(&strings(&["red_fox", "zebra"]), &names).unwrap(), [1, 0]);
        assert_eq!(match_folders(&strings(&["n01", "n02", "n03"]), &names).unwrap(), [0, 1, 2]);
        assert_eq!(match_folders(&strings(&["0", "2"]), &names).unwrap(), [0, 2]);
        let error = match_folders(&strings(&["n01", "n02"]), &names).unwrap_err().to_string();
        assert!(error.contains("3 names for 2 class folders"), "{error}");
    }

    #[test]
    fn classes_are_ranked_by_logits_where_probabilities_vanish() {
        let ranked = ranked(&[-400.0, 0.0, -300.0, 0.0, -200.0, -500.0]);
        assert_eq!(ranked.iter().map(|(class, _)| *class).collect::<Vec<_>>(), [1, 3, 4, 2, 0]);
        assert_eq!((ranked[0].1, ranked[1].1, ranked[4].1), (0.5, 0.5, 0.0));
    }
}
