//! The flags about evaluation, in training and alone.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use loader::{CaptionsOf, EvalPairs};
use model::zero_shot::{
    Duplicates, Template, imagenet_class_names, imagenet_templates, read_class_names, read_templates,
};
use shards::reader::ShardReader;
use shards::spec::ShardSpec;
use tools::exit::Hint;
use tools::sources;
use trainer::evaluate::{Benchmark, Labels, PairsTask, Suite, ZeroShotTask};

use super::keys::Keys;

/// In place of a file: the lists that open_clip evaluates ImageNet with.
const IMAGENET: &str = "imagenet";

/// Endings of what is no shard.
const TABLES: [&str; 6] = [".csv", ".tsv", ".txt", ".json", ".jsonl", ".parquet"];

/// What is evaluated, and how often.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Evaluation")]
pub struct Evaluation {
    /// ImageNet's validation pictures: 1,000 folders called by synset (n01440764) or number
    #[arg(long, value_name = "DIR")]
    pub imagenet_val: Option<PathBuf>,
    /// ImageNet-V2: folders 0 to 999
    #[arg(long, value_name = "DIR")]
    pub imagenet_v2: Option<PathBuf>,
    /// ImageNet-A; pictures are named among its 200 classes
    #[arg(long, value_name = "DIR")]
    pub imagenet_a: Option<PathBuf>,
    /// ImageNet-R; pictures are named among its 200 classes
    #[arg(long, value_name = "DIR")]
    pub imagenet_r: Option<PathBuf>,
    /// ImageNet-Sketch
    #[arg(long, value_name = "DIR")]
    pub imagenet_sketch: Option<PathBuf>,
    /// ObjectNet: its 113 folders that are classes of ImageNet
    #[arg(long, value_name = "DIR")]
    pub objectnet: Option<PathBuf>,
    #[command(flatten)]
    pub classes: Classes,
    /// Epochs between two zero-shot evaluations; 0 for never; the last epoch is always evaluated otherwise
    #[arg(long, value_name = "EPOCHS", default_value_t = 2)]
    pub zeroshot_frequency: u64,
    /// Pairs that were kept back, for loss and retrieval: shards or a CSV file, as --train-data
    #[arg(long, value_name = "SPEC")]
    pub val_data: Option<String>,
    /// Captions that a picture of --val-data has
    #[arg(long, value_enum, default_value_t = ValCaptions::One)]
    pub val_captions: ValCaptions,
    /// Epochs between two evaluations on --val-data; 0 for never; the last epoch is always evaluated otherwise
    #[arg(long, value_name = "EPOCHS", default_value_t = 1)]
    pub val_frequency: u64,
}

/// Labelled pictures with names and templates.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Evaluation")]
pub struct Classes {
    /// Pictures to classify: a folder of class folders, or shards whose samples have a .cls
    #[arg(long, value_name = "DIR|SPEC")]
    pub zeroshot_data: Option<String>,
    #[command(flatten)]
    pub prompts: Prompts,
}

/// Names and templates of classes.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Evaluation")]
pub struct Prompts {
    /// Names of the classes: a JSON list, one a line, or `imagenet` for its 1,000 [default: the class folders' names]
    #[arg(long, value_name = "FILE")]
    pub zeroshot_classnames: Option<PathBuf>,
    /// Templates with {} for the class name: a JSON list, one a line, or `imagenet` for open_clip's 80
    /// [default: "a photo of a {}."]
    #[arg(long, value_name = "FILE")]
    pub zeroshot_templates: Option<PathBuf>,
}

/// `--val-captions`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ValCaptions {
    /// The whole text is one caption, as in open_clip
    One,
    /// Each line of a text is one, and rows of a table with the same picture belong together
    Several,
}

impl Prompts {
    /// The class names, where they are given.
    ///
    /// # Errors
    /// When the file is none.
    pub fn class_names(&self) -> anyhow::Result<Option<Vec<String>>> {
        Ok(match self.zeroshot_classnames.as_deref() {
            Some(path) if path == Path::new(IMAGENET) => Some(imagenet_class_names()),
            Some(path) => Some(read_class_names(path, Duplicates::Refuse).context("--zeroshot-classnames")?),
            None => None,
        })
    }

    /// The templates.
    ///
    /// # Errors
    /// When the file is none.
    pub fn templates(&self) -> anyhow::Result<Vec<Template>> {
        Ok(match self.zeroshot_templates.as_deref() {
            Some(path) if path == Path::new(IMAGENET) => imagenet_templates()?,
            Some(path) => read_templates(path, Duplicates::Refuse).context("--zeroshot-templates")?,
            None => vec![Template::parse("a photo of a {}.")?],
        })
    }
}

/// What a flag that takes labelled pictures names.
///
/// # Errors
/// When there is no such thing.
pub fn labels(flag: &'static str, data: &str) -> anyhow::Result<Labels> {
    match Path::new(data) {
        path if path.is_dir() => Ok(Labels::Folder(path.to_path_buf())),
        path if !path.exists() && !data.contains(['{', ':']) => {
            bail!("{flag}: cannot open `{data}`: no such file or folder")
        }
        _ if TABLES.iter().any(|ending| data.ends_with(ending)) => {
            bail!("{flag} `{data}`: expected a folder of class folders, or tar shards whose samples have a .cls")
        }
        _ => {
            let spec = sources::parse(data).context(flag)?;
            look_into(flag, &spec)?;
            Ok(Labels::Shards(spec))
        }
    }
}

/// Refuses shards of this machine that are not there, or whose first sample cannot be read: an evaluation comes long after the
/// start.
fn look_into(flag: &'static str, spec: &ShardSpec) -> anyhow::Result<()> {
    for uri in spec.uris() {
        let Some(path) = uri.local_path() else { continue };
        if !path.exists() {
            bail!("{flag}: no shard `{}`", path.display());
        }
        // What is no plain file can be read once only.
        if path.is_file() {
            let first = ShardReader::open(uri).map_or_else(|error| Some(Err(error)), |mut reader| reader.next());
            first.transpose().context(flag)?.with_context(|| format!("{flag}: `{uri}` has no sample"))?;
        }
    }
    Ok(())
}

impl Evaluation {
    /// Opens everything that is asked for.
    ///
    /// # Errors
    /// When a folder, a list or a table is missing or unusable.
    pub fn suite(&self, keys: &Keys, batch_size: usize, workers: usize) -> anyhow::Result<Suite> {
        let mut tasks = Vec::new();
        for (benchmark, folder) in self.benchmarks() {
            tasks.push(ZeroShotTask {
                name: benchmark.metric().to_owned(),
                labels: Labels::Folder(folder.clone()),
                benchmark: Some(benchmark),
                class_names: Some(imagenet_class_names()),
                templates: imagenet_templates()?,
                batch_size,
                workers,
            });
        }
        tasks.extend(self.classes.task(batch_size, workers)?);
        let pairs = self.val_data.as_deref().map(|spec| self.pairs(spec, keys, batch_size, workers)).transpose()?;
        Ok(Suite::open(tasks, pairs)?)
    }

    fn benchmarks(&self) -> impl Iterator<Item = (Benchmark, &PathBuf)> {
        let folders = [
            &self.imagenet_val,
            &self.imagenet_v2,
            &self.imagenet_a,
            &self.imagenet_r,
            &self.imagenet_sketch,
            &self.objectnet,
        ];
        Benchmark::ALL.into_iter().zip(folders).filter_map(|(benchmark, folder)| Some((benchmark, folder.as_ref()?)))
    }

    fn pairs(&self, spec: &str, keys: &Keys, batch_size: usize, workers: usize) -> anyhow::Result<PairsTask> {
        let pairs = keys.pairs(spec).context("--val-data")?;
        if let EvalPairs::Shards { spec, .. } = &pairs {
            look_into("--val-data", spec)?;
        }
        let captions_of = match self.val_captions {
            ValCaptions::One => CaptionsOf::One,
            ValCaptions::Several => CaptionsOf::Several,
        };
        Ok(PairsTask { data: pairs, captions_of, batch_size, workers })
    }
}

impl Classes {
    /// The task on `--zeroshot-data`, if it is given.
    ///
    /// # Errors
    /// When a file is missing or is no list.
    pub fn task(&self, batch_size: usize, workers: usize) -> anyhow::Result<Option<ZeroShotTask>> {
        let Some(data) = &self.zeroshot_data else {
            let lonely = [
                ("--zeroshot-classnames", self.prompts.zeroshot_classnames.is_some()),
                ("--zeroshot-templates", self.prompts.zeroshot_templates.is_some()),
            ];
            if let Some((flag, _)) = lonely.into_iter().find(|(_, given)| *given) {
                let error = anyhow::anyhow!("{flag} names classes of pictures, but there are none to classify");
                return Err(error.context(Hint("--zeroshot-data DIR names the pictures".to_owned())));
            }
            return Ok(None);
        };
        Ok(Some(ZeroShotTask {
            name: "zeroshot".to_owned(),
            labels: labels("--zeroshot-data", data)?,
            benchmark: None,
            class_names: self.prompts.class_names()?,
            templates: self.prompts.templates()?,
            batch_size,
            workers,
        }))
    }
}
