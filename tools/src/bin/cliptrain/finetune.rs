//! `cliptrain finetune`: labelled pictures, a head that begins as the zero-shot classifier, and the image tower.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use anyhow::{Context, bail};
use loader::{Augmentation, CaptionSource, ClassFolder, Resize, Table, Tokenize};
use model::Device;
use model::zero_shot::Template;
use tools::exit::{Hint, Outcome};
use tools::log::{self, JsonLines, LogFile};
use tools::observe::Texts;
use tools::observe::board::Board;
use tools::observe::page::Page;
use tools::observe::progress::Progress;
use tools::observe::steps::StepsFile;
use tools::training::{DataSource, TrainData};
use tools::{json, training, zoo};
use trainer::Observer;
use trainer::config::AdamW;
use trainer::evaluate::zero_shot::Prepared;
use trainer::evaluate::{Labels, ZeroShotTask};
use trainer::finetune::{self, FineTune, FineTuneConfig, FineTuner, GoingOn, Head, Tuning};
use trainer::metrics::ResultsFile;
use trainer::zoo::Ready;

use crate::cli::evaluation::labels;
use crate::cli::finetune::Finetune;
use crate::cli::{LATEST, parse_augmentation};
use crate::params::{self, Params};
use crate::resume;

/// Trains, and says where the checkpoints are.
pub fn run(arguments: &Finetune, params: &Params) -> anyhow::Result<Outcome> {
    check(arguments)?;
    let choice = &arguments.choice;
    let _ = choice.weights().context("--pretrained: there is nothing to tune in weights that nobody trained")?;
    let labelled = labels("--train-data", &arguments.train_data)?;
    let templates = arguments.prompts.templates()?;
    let class_names = class_names(arguments, &labelled)?;
    let validation = validation(arguments, &class_names, &templates)?;
    let run_dir = arguments.logs.join(&arguments.name);
    if run_dir.join(log::FILE).exists() && arguments.resume.is_none() {
        let error = anyhow::anyhow!("the run `{}` exists already", run_dir.display());
        return Err(error.context(Hint("--name gives another, --resume latest goes on with this one".to_owned())));
    }
    let stop = training::stop_on_interrupt()?;
    let (tuner, from) = match checkpoint(arguments, &run_dir)? {
        Some(folder) => going_on(arguments, &run_dir, &folder, &class_names)?,
        None => (begin(arguments, &class_names, &templates)?, None),
    };
    let data = data(arguments, &labelled, &class_names)?;
    let mut config = data.config(tuner.clip.config().vision_cfg.image_size as u32, index(), 1)?;
    config.stop = stop.clone();
    let loader = training::made(config).with_context(|| format!("cannot train on `{}`", arguments.train_data))?;
    training::enough(&data, loader.num_samples())?;
    if let Some(from) = &from {
        let hint = "the data, --seed and --batch-size have to be those of the run; --name begins another";
        loader.check(&from.progress.position).context(Hint(hint.to_owned()))?;
        let (saved, now) = (from.progress.samples_per_step, loader.global_batch_size());
        if saved != now {
            let error = anyhow::anyhow!("--resume: --batch-size was {saved}, and is {now}");
            return Err(error.context(Hint(hint.to_owned())));
        }
    }
    let config = FineTuneConfig {
        run_dir: run_dir.clone(),
        epochs: arguments.epochs,
        lr: arguments.lr,
        warmup: arguments.warmup,
    };
    let size = loader.epoch_size();
    let (steps, left) = (size.num_batches * arguments.epochs, loader.num_samples().saturating_sub(size.num_samples));
    if left > 0 {
        tools::note!("{left} pictures an epoch fill no batch, other ones each time");
    }
    if let Some(warning) = training::long_warmup(arguments.warmup, steps) {
        tools::note!("{warning}");
    }
    let mut observers = observers(arguments, &params::text(params), &run_dir, class_names)?;
    let done = finetune::finetune(FineTune {
        config: &config,
        tuner,
        loader: &loader,
        from,
        validation,
        stop: &stop,
        observer: &mut observers,
    })?;
    drop(observers);
    if let Some(losses) = loader.stats().losses() {
        tools::note!("left out: {losses}");
    }
    if arguments.json {
        json::line("summary", &serde_json::json!({ "finetune": done, "loader": loader.stats() }))?;
    }
    Ok(if done.interrupted { Outcome::Interrupted } else { Outcome::Done })
}

/// The newest checkpoint of the run, where it is to go on.
fn checkpoint(arguments: &Finetune, run: &Path) -> anyhow::Result<Option<PathBuf>> {
    match arguments.resume.as_deref() {
        None => Ok(None),
        Some(LATEST) => {
            let folder = run.join("checkpoints");
            let newest = finetune::newest(&folder)?;
            if newest.is_none() {
                resume::tell_of_none(&folder);
            }
            Ok(newest)
        }
        Some(path) => Ok(Some(PathBuf::from(path))),
    }
}

fn begin(arguments: &Finetune, class_names: &[String], templates: &[Template]) -> anyhow::Result<FineTuner> {
    let choice = &arguments.choice;
    let wanted = zoo::wanted(choice.name(), choice.pretrained.as_deref(), (&choice.forced).into(), arguments.seed);
    let Ready { clip, tokenizer } = trainer::zoo::open(&wanted, &zoo::hub(), &Device::Cpu)?;
    let head = Head::zero_shot(&clip, &tokenizer, class_names, templates)?;
    let (tuning, adamw) = (tuning(arguments), adamw(arguments));
    Ok(FineTuner::new(clip, head, tuning, adamw, Some(arguments.grad_clip_norm), arguments.seed)?)
}

fn going_on(
    arguments: &Finetune,
    run: &Path,
    folder: &Path,
    class_names: &[String],
) -> anyhow::Result<(FineTuner, Option<GoingOn>)> {
    let (tuning, adamw, clip) = (tuning(arguments), adamw(arguments), Some(arguments.grad_clip_norm));
    let (tuner, progress) = finetune::resume(folder, tuning, adamw, clip, arguments.seed).context("--resume")?;
    if tuner.head.class_names != class_names {
        let (saved, now) = (tuner.head.class_names.len(), class_names.len());
        bail!("--resume `{}`: its {saved} classes are not the {now} of these flags", folder.display());
    }
    tools::note!("going on behind epoch {}, step {}", progress.epochs, progress.steps);
    let evaluated = ResultsFile::last_epoch(&run.join("checkpoints/results.jsonl"));
    let owes_validation = evaluated.is_none_or(|last| last < progress.epochs);
    Ok((tuner, Some(GoingOn { progress, owes_validation })))
}

fn tuning(arguments: &Finetune) -> Tuning {
    if arguments.head_only { Tuning::Head } else { Tuning::Tower }
}

fn adamw(arguments: &Finetune) -> AdamW {
    AdamW { beta1: 0.9, beta2: 0.999, eps: 1e-8, wd: arguments.wd }
}

fn check(arguments: &Finetune) -> anyhow::Result<()> {
    for (flag, value) in [("--lr", arguments.lr), ("--grad-clip-norm", arguments.grad_clip_norm)] {
        if !(value > 0.0 && value.is_finite()) {
            bail!("{flag}: expected a positive number, got {value}");
        }
    }
    if !(arguments.wd >= 0.0 && arguments.wd.is_finite()) {
        bail!("--wd: expected no negative number, got {}", arguments.wd);
    }
    if arguments.epochs == 0 {
        bail!("--epochs: expected at least 1, got 0");
    }
    let _ = arguments.telling.tensorboard()?;
    if arguments.name.is_empty() {
        bail!("--name: expected a name, got none");
    }
    if arguments.logs.as_os_str() == "None" {
        bail!("--logs None: what a fine-tuning leaves is its checkpoint; name a folder");
    }
    Ok(())
}

/// As given, or the class folders' names.
fn class_names(arguments: &Finetune, labelled: &Labels) -> anyhow::Result<Vec<String>> {
    let given = arguments.prompts.class_names()?;
    let Labels::Folder(path) = labelled else {
        let missing =
            || anyhow::anyhow!("--zeroshot-classnames: needed for shards: their samples carry class indices only");
        return given.ok_or_else(missing);
    };
    let folders = ClassFolder::open(path).context("--train-data")?;
    let names = given.unwrap_or_else(|| folders.class_names().iter().map(|name| name.replace('_', " ")).collect());
    if folders.class_names().len() > names.len() {
        bail!("--zeroshot-classnames: {} names for {} class folders", names.len(), folders.class_names().len());
    }
    Ok(names)
}

/// Files and their labels, or shards with theirs.
fn data(arguments: &Finetune, labelled: &Labels, class_names: &[String]) -> anyhow::Result<TrainData> {
    let (batch_size, workers, seed) = (arguments.batch_size, arguments.workers, arguments.seed);
    let mut data = TrainData::shards(arguments.train_data.clone(), batch_size, workers, seed);
    data.augmentation = Augmentation { resize: Resize::Fast, ..parse_augmentation(&arguments.aug_cfg)? };
    data.captions = vec![CaptionSource::text("cls")];
    data.num_samples = arguments.train_num_samples;
    if let Labels::Folder(path) = labelled {
        let task = ZeroShotTask {
            name: "finetune-train".to_owned(),
            labels: Labels::Folder(path.clone()),
            benchmark: None,
            class_names: Some(class_names.to_vec()),
            templates: Vec::new(),
            batch_size,
            workers,
        };
        let prepared = task.prepare()?;
        let rows = prepared.labelled_files();
        let rows: Vec<(String, String)> =
            rows.map(|(path, label)| (path.display().to_string(), label.to_string())).collect();
        let rows = rows.iter().map(|(path, label)| (Path::new(path), label.as_str()));
        data.source = DataSource::Rows(Arc::new(Table::from_rows(rows)));
    }
    Ok(data)
}

/// A label as the one id of its sample; what is no number is told when it is met.
fn index() -> Tokenize {
    Arc::new(|label: &str| vec![label.trim().parse().unwrap_or(u32::MAX)])
}

fn validation(
    arguments: &Finetune,
    class_names: &[String],
    templates: &[Template],
) -> anyhow::Result<Option<(ZeroShotTask, Prepared)>> {
    let Some(data) = &arguments.val_data else { return Ok(None) };
    let task = ZeroShotTask {
        name: "finetune-val".to_owned(),
        labels: labels("--val-data", data)?,
        benchmark: None,
        class_names: Some(class_names.to_vec()),
        templates: templates.to_vec(),
        batch_size: arguments.batch_size,
        workers: arguments.workers,
    };
    let prepared = task.prepare().map_err(|error| {
        anyhow::Error::new(error).context(Hint("--val-data needs the classes of --train-data".to_owned()))
    })?;
    Ok(Some((task, prepared)))
}

fn observers(
    arguments: &Finetune,
    params: &str,
    run: &Path,
    class_names: Vec<String>,
) -> anyhow::Result<Vec<Box<dyn Observer>>> {
    let tensorboard = arguments.telling.tensorboard()?;
    let checkpoints = run.join("checkpoints");
    std::fs::create_dir_all(&checkpoints).with_context(|| format!("cannot create `{}`", checkpoints.display()))?;
    let path = run.join("params.txt");
    std::fs::write(&path, params).with_context(|| format!("cannot write `{}`", path.display()))?;
    let every = arguments.log_every_n_steps;
    let mut observers: Vec<Box<dyn Observer>> = match arguments.json {
        true => vec![Box::new(JsonLines { log_every_n_steps: every })],
        false => vec![Box::new(Progress::new(every, 0.0, None))],
    };
    let log = LogFile::open(&run.join(log::FILE))?;
    if !log.lock() {
        bail!("another process is tuning in `{}`", run.display());
    }
    observers.push(Box::new(log.observer(every)));
    observers.push(Box::new(ResultsFile::open(checkpoints.join("results.jsonl"))?));
    observers.push(Box::new(StepsFile::open(run, every)?));
    let texts: Texts = Arc::new(move |ids| match ids {
        [class] => class_names.get(*class as usize).cloned().unwrap_or_default(),
        _ => String::new(),
    });
    if tensorboard {
        observers.push(Box::new(Board::create(run, every, Arc::clone(&texts), params)?));
    }
    // Nothing is compared with captions, so that there are no examples of that.
    observers.push(Box::new(Page::create(run, every, texts, params, Rc::default())?));
    Ok(observers)
}
