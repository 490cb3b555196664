//! A bare `cliptrain`: training with open_clip's flags, or the evaluation of given weights.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use model::Device;
use model::clip::Clip;
use model::zero_shot::{
    Duplicates, Template, imagenet_class_names, imagenet_templates, read_class_names, read_templates,
};
use tools::exit::{Hint, Outcome};
use tools::log::{JsonLines, Lines, LogFile};
use tools::training::{Session, TrainData, prepare};
use tools::{human, json, training, zoo};
use trainer::config::{AdamW, Decay, Saving, optimizer_defaults};
use trainer::evaluate::{Labels, PeriodicZeroShot, ZeroShotReport, ZeroShotTask};
use trainer::metrics::ResultsFile;
use trainer::{Evaluator, Observer, TrainConfig};

use crate::cli::{Scheduler, Train};

/// In place of a file: the lists that open_clip evaluates ImageNet with.
const IMAGENET: &str = "imagenet";

/// Trains where there are training data, evaluates where there are only weights.
pub fn run(arguments: &Train) -> anyhow::Result<Outcome> {
    let tasks: Vec<ZeroShotTask> = task(arguments)?.into_iter().collect();
    match arguments.data.spec() {
        Some(spec) => train(arguments, &spec, tasks),
        None if arguments.pretrained.is_some() && !tasks.is_empty() => evaluate(arguments, tasks),
        None if arguments.pretrained.is_some() => {
            Err(anyhow::anyhow!("nothing to do with --pretrained: neither --train-data nor --zeroshot-data was given"))
        }
        None => Err(anyhow::anyhow!("nothing to do: neither --train-data nor weights to evaluate were given").context(
            Hint(
                "cliptrain --train-data SPEC trains; --pretrained PATH --zeroshot-data DIR evaluates; see --help"
                    .to_owned(),
            ),
        )),
    }
}

fn train(arguments: &Train, spec: &str, tasks: Vec<ZeroShotTask>) -> anyhow::Result<Outcome> {
    let clip = model(arguments)?;
    if let Some(name) = arguments.name.as_deref().filter(|name| !is_one_folder(name)) {
        bail!("--name `{name}`: expected the name of one folder within --logs");
    }
    let config = config(arguments);
    if let Some(run) = config.run_dir.as_ref().filter(|run| run.join("out.log").exists()) {
        bail!("the run `{}` exists already; --name gives another", run.display());
    }
    let data =
        arguments.data.train_data(spec, arguments.batch_size, arguments.workers, arguments.seed, &arguments.aug_cfg)?;
    write_params(&config, &data, arguments)?;
    let stop = training::stop_on_interrupt()?;
    let session = Session::new(&config, clip, &data, &stop)?;
    let mut zero_shot = Vec::new();
    let mut evaluators: Vec<Box<dyn Evaluator + '_>> = vec![Box::new(PeriodicZeroShot {
        tasks: prepare(tasks)?,
        frequency: config.frequency(arguments.zeroshot_frequency),
        tokenizer: Arc::clone(&session.tokenizer),
        stop: stop.clone(),
        keep: &mut zero_shot,
    })];
    let trained = session.run(&mut evaluators, &mut observers(&config, arguments)?)?;
    drop(evaluators);
    if arguments.json {
        let (train, loader) = (&trained.report, &trained.loader);
        let summary = serde_json::json!({ "train": train, "zero_shot": zero_shot, "loader": loader });
        json::line("summary", &summary)?;
    }
    if let Some(losses) = trained.loader.losses() {
        eprintln!("left out: {losses} (see out.log)");
    }
    Ok(if trained.report.interrupted { Outcome::Interrupted } else { Outcome::Done })
}

fn evaluate(arguments: &Train, tasks: Vec<ZeroShotTask>) -> anyhow::Result<Outcome> {
    let clip = model(arguments)?;
    let tokenizer = training::tokenizer(&clip)?;
    let stop = training::stop_on_interrupt()?;
    let mut reports = Vec::new();
    for (task, prepared) in prepare(tasks)? {
        let report = match task.run(&clip, &tokenizer, &prepared, &stop) {
            Err(trainer::Error::Interrupted) => return Ok(Outcome::Interrupted),
            report => report?,
        };
        if !arguments.json {
            println!("{}", score_line(&report));
        }
        reports.push(report);
    }
    if arguments.json {
        json::line("summary", &serde_json::json!({ "zero_shot": reports }))?;
    }
    Ok(Outcome::Done)
}

fn score_line(report: &ZeroShotReport) -> String {
    let left_out = match report.unreadable {
        0 => String::new(),
        count => format!(", {count} left out"),
    };
    let (name, pictures) = (&report.name, human::counted(report.samples, "picture"));
    format!("{name}-top1: {:.4}\t{name}-top5: {:.4}\t({pictures}{left_out})", report.top1, report.top5)
}

/// Whoever hears of the run. A sink that cannot be written is told here, before any work.
fn observers(config: &TrainConfig, arguments: &Train) -> anyhow::Result<Vec<Box<dyn Observer>>> {
    let every = arguments.log_every_n_steps;
    let mut observers: Vec<Box<dyn Observer>> = Vec::new();
    match arguments.json {
        true => observers.push(Box::new(JsonLines { log_every_n_steps: every })),
        false => observers.push(Box::new(Lines::new(every, |line| eprintln!("{line}")))),
    }
    if let (Some(run), Some(checkpoints)) = (&config.run_dir, config.checkpoint_dir()) {
        std::fs::create_dir_all(&checkpoints).with_context(|| format!("cannot create `{}`", checkpoints.display()))?;
        observers.push(Box::new(LogFile::open(&run.join("out.log"))?.observer(every)));
        observers.push(Box::new(ResultsFile::open(checkpoints.join("results.jsonl"))?));
    }
    Ok(observers)
}

/// The model that the flags name, with given or fresh weights.
fn model(arguments: &Train) -> anyhow::Result<Clip> {
    let pretrained = arguments.pretrained.as_deref();
    let wanted = zoo::wanted(&arguments.model, pretrained, arguments.forced.into(), arguments.seed);
    let opened = trainer::zoo::model(&wanted, &zoo::hub(), &Device::Cpu);
    opened.with_context(|| match pretrained {
        Some(pretrained) => format!("--pretrained `{pretrained}`"),
        None => format!("--model `{}`", arguments.model),
    })
}

fn config(arguments: &Train) -> TrainConfig {
    let (lr, defaults) = optimizer_defaults(&arguments.model);
    TrainConfig {
        run_dir: Some(arguments.logs.join(arguments.name.clone().unwrap_or_else(|| run_name(arguments, lr)))),
        epochs: arguments.epochs,
        lr: arguments.lr.unwrap_or(lr),
        adamw: AdamW {
            beta1: arguments.beta1.unwrap_or(defaults.beta1),
            beta2: arguments.beta2.unwrap_or(defaults.beta2),
            eps: arguments.eps.unwrap_or(defaults.eps),
            wd: arguments.wd,
        },
        warmup: arguments.warmup,
        decay: match arguments.lr_scheduler {
            Scheduler::Cosine => Decay::Cosine,
            Scheduler::Const => Decay::Const,
        },
        accum_freq: 1,
        grad_clip_norm: arguments.grad_clip_norm,
        saving: Saving { frequency: arguments.save_frequency, ..Saving::every_epoch() },
    }
}

fn is_one_folder(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    matches!((parts.next(), parts.next()), (Some(std::path::Component::Normal(_)), None))
}

/// open_clip's name of a run that was given none.
fn run_name(arguments: &Train, lr: f64) -> String {
    let model = arguments.model.replace('/', "-");
    let (lr, batch, workers) = (arguments.lr.unwrap_or(lr), arguments.batch_size, arguments.workers);
    format!("{}-model_{model}-lr_{lr}-b_{batch}-j_{workers}-p_fp32", human_time())
}

/// The present moment in UTC as `2026_11_24-02_11_55`.
fn human_time() -> String {
    let seconds = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs();
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = tools::human::civil_date(days);
    format!("{year:04}_{month:02}_{day:02}-{:02}_{:02}_{:02}", rest / 3600, rest / 60 % 60, rest % 60)
}

/// `params.txt`: what the run was told, a line each, sorted.
fn write_params(config: &TrainConfig, data: &TrainData, arguments: &Train) -> anyhow::Result<()> {
    let text = format!("{config:#?}\n{data:#?}\n{arguments:#?}\n");
    let Some(run) = &config.run_dir else { return Ok(()) };
    std::fs::create_dir_all(run).with_context(|| format!("cannot create `{}`", run.display()))?;
    let path = run.join("params.txt");
    std::fs::write(&path, text).with_context(|| format!("cannot write `{}`", path.display()))
}

fn task(arguments: &Train) -> anyhow::Result<Option<ZeroShotTask>> {
    let Some(data) = &arguments.zeroshot_data else { return Ok(None) };
    let labels = match Path::new(data) {
        path if path.is_dir() => Labels::Folder(path.to_path_buf()),
        path if !path.exists() && !data.contains(['{', ':']) => {
            bail!("--zeroshot-data: cannot open `{data}`: no such file or folder")
        }
        _ => Labels::Shards(shards::spec::ShardSpec::parse(data).context("--zeroshot-data")?),
    };
    let class_names = match arguments.zeroshot_classnames.as_deref() {
        Some(path) if path == Path::new(IMAGENET) => Some(imagenet_class_names()),
        Some(path) => Some(read_class_names(path, Duplicates::Refuse)?),
        None => None,
    };
    let templates = match arguments.zeroshot_templates.as_deref() {
        Some(path) if path == Path::new(IMAGENET) => imagenet_templates()?,
        Some(path) => read_templates(path, Duplicates::Refuse)?,
        None => vec![Template::parse("a photo of a {}.")?],
    };
    let (batch_size, workers) = (arguments.batch_size, arguments.workers);
    Ok(Some(ZeroShotTask { name: "zeroshot".to_owned(), labels, class_names, templates, batch_size, workers }))
}
