//! A bare `cliptrain`: training with open_clip's flags, or the evaluation of given weights.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use anyhow::{Context, bail};
use ingest::DownloadReport;
use model::clip::Clip;
use model::{Device, flops};
use tools::exit::{Hint, Outcome};
use tools::log::{JsonLines, LogFile};
use tools::observe::board::Board;
use tools::observe::page::Page;
use tools::observe::progress::Progress;
use tools::observe::steps::StepsFile;
use tools::training::{Session, TrainData};
use tools::urls::Downloading;
use tools::{human, json, training, zoo};
use trainer::config::{AdamW, Decay, Saving, optimizer_defaults};
use trainer::evaluate::{Due, Evaluated, Periodic, Suite, ZeroShotReport};
use trainer::metrics::{Metrics, ResultsFile};
use trainer::{Evaluator, Observer, TrainConfig};

use crate::cli::{Scheduler, Train};

/// Trains where there are training data, evaluates where there are only weights.
pub fn run(arguments: &Train) -> anyhow::Result<Outcome> {
    let suite = arguments.evaluation.suite(&arguments.data.keys, arguments.batch_size, arguments.workers)?;
    match arguments.data.spec() {
        Some(spec) => train(arguments, &spec, suite),
        None if arguments.pretrained.is_some() && !suite.is_empty() => evaluate(arguments, &suite),
        None if arguments.pretrained.is_some() => Err(anyhow::anyhow!(
            "nothing to do with --pretrained: neither --train-data nor anything to evaluate on was given"
        )
        .context(Hint("--imagenet-val, --zeroshot-data and --val-data name what to evaluate on".to_owned()))),
        None => Err(anyhow::anyhow!("nothing to do: neither --train-data nor weights to evaluate were given").context(
            Hint(
                "cliptrain --train-data SPEC trains; --pretrained PATH --zeroshot-data DIR evaluates; see --help"
                    .to_owned(),
            ),
        )),
    }
}

fn train(arguments: &Train, spec: &str, suite: Suite) -> anyhow::Result<Outcome> {
    let clip = model(arguments)?;
    if let Some(name) = arguments.name.as_deref().filter(|name| !is_one_folder(name)) {
        bail!("--name `{name}`: expected the name of one folder within --logs");
    }
    let config = config(arguments);
    if let Some(run) = config.run_dir.as_ref().filter(|run| run.join("out.log").exists()) {
        bail!("the run `{}` exists already; --name gives another", run.display());
    }
    let download = arguments.data.download(spec)?;
    let (batch_size, workers, seed) = (arguments.batch_size, arguments.workers, arguments.seed);
    let data = arguments.data.train_data(spec, download.as_ref(), batch_size, workers, seed, &arguments.aug_cfg)?;
    let params = params(&config, &data, arguments);
    write_params(&config, &params)?;
    let stop = training::stop_on_interrupt()?;
    let session = Session::new(&config, clip, &data, &stop)?;
    let found = Rc::new(RefCell::new(Evaluated::default()));
    let mut evaluators: Vec<Box<dyn Evaluator + '_>> = vec![Box::new(Periodic {
        suite,
        zero_shot: config.frequency(arguments.evaluation.zeroshot_frequency),
        pairs: config.frequency(arguments.evaluation.val_frequency),
        tokenizer: Arc::clone(&session.tokenizer),
        stop: stop.clone(),
        facts: facts(&arguments.model, &session)?,
        keep: Rc::clone(&found),
    })];
    let mut observers = observers(&config, arguments, &session, &params, &found)?;
    let trained = session.run(&mut evaluators, &mut observers);
    drop(observers);
    let download = download.map(ended).transpose();
    let (trained, download) = (trained?, download?);
    if arguments.json {
        let (train, loader, found) = (&trained.report, &trained.loader, found.borrow());
        let mut summary =
            serde_json::json!({ "train": train, "zero_shot": found.zero_shot, "val": found.pairs, "loader": loader });
        if let Some(report) = &download {
            summary["download"] = serde_json::json!(report);
        }
        json::line("summary", &summary)?;
    }
    if let Some(losses) = trained.loader.losses() {
        eprintln!("left out: {losses} (see out.log)");
    }
    Ok(if trained.report.interrupted { Outcome::Interrupted } else { Outcome::Done })
}

/// Ends a download and says what became of every row, however the training ended.
fn ended(download: Downloading) -> anyhow::Result<DownloadReport> {
    let rows = download.rows;
    let report = download.finish()?;
    eprintln!("{}", tools::urls::told(&report, rows));
    Ok(report)
}

fn evaluate(arguments: &Train, suite: &Suite) -> anyhow::Result<Outcome> {
    let clip = model(arguments)?;
    let tokenizer = training::tokenizer(&clip)?;
    let stop = training::stop_on_interrupt()?;
    // As in open_clip, weights that are only evaluated have completed no epoch.
    let found = match suite.run(&clip, &tokenizer, 0, Due::ALL, &stop) {
        Err(trainer::Error::Interrupted) => return Ok(Outcome::Interrupted),
        found => found?,
    };
    if let Some(name) = &arguments.name {
        let folder = arguments.logs.join(name).join("checkpoints");
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot create `{}`", folder.display()))?;
        found.metrics.append_to(&folder.join("results.jsonl"))?;
    }
    if arguments.json {
        let metrics = found.metrics.entries();
        json::line(
            "summary",
            &serde_json::json!({ "zero_shot": found.zero_shot, "val": found.pairs, "metrics": metrics }),
        )?;
        return Ok(Outcome::Done);
    }
    for report in &found.zero_shot {
        println!("{}", score_line(report));
    }
    print!("{}", other_lines(&found));
    Ok(Outcome::Done)
}

/// What is known beside accuracies: loss, retrieval, robustness.
fn other_lines(found: &Evaluated) -> String {
    let of_report = |name: &str| found.zero_shot.iter().any(|report| name.starts_with(&format!("{}-", report.name)));
    let others = found.metrics.entries().iter().filter(|(name, _)| *name != "epoch" && !of_report(name));
    others
        .map(|(name, value)| format!("{name}: {}\n", value.as_f64().map_or(value.to_string(), |v| format!("{v:.4}"))))
        .collect()
}

fn score_line(report: &ZeroShotReport) -> String {
    let left_out = match report.unreadable {
        0 => String::new(),
        count => format!(", {count} left out"),
    };
    let (name, pictures) = (&report.name, human::counted(report.samples, "picture"));
    format!("{name}-top1: {:.4}\t{name}-top5: {:.4}\t({pictures}{left_out})", report.top1, report.top5)
}

/// What readers of the results want to know beside them: how much was done, and with what.
fn facts(model: &str, session: &Session<'_>) -> anyhow::Result<Box<dyn Fn(u64) -> Metrics>> {
    let (model, per_epoch) = (model.to_owned(), session.loader.epoch_size().num_samples);
    let per_pair = 3.0 * flops::of(session.trainer.clip.config())?.pair() as f64;
    Ok(Box::new(move |epochs| {
        let mut facts = Metrics::default();
        let samples = epochs * per_epoch;
        facts.set("samples_seen", samples);
        facts.set("training_flops", per_pair * samples as f64);
        facts.set("model", model.clone());
        facts
    }))
}

/// Whoever hears of the run. A sink that cannot be written is told here, before any work.
fn observers(
    config: &TrainConfig,
    arguments: &Train,
    session: &Session<'_>,
    params: &str,
    found: &Rc<RefCell<Evaluated>>,
) -> anyhow::Result<Vec<Box<dyn Observer>>> {
    let every = arguments.log_every_n_steps;
    let tensorboard = arguments.telling.tensorboard()?;
    let mut observers: Vec<Box<dyn Observer>> = Vec::new();
    match arguments.json {
        true => observers.push(Box::new(JsonLines { log_every_n_steps: every })),
        false => {
            let per_pair = flops::of(session.trainer.clip.config())?.pair() as f64;
            observers.push(Box::new(Progress::new(every, per_pair, None)));
        }
    }
    let (Some(run), Some(checkpoints)) = (&config.run_dir, config.checkpoint_dir()) else {
        if tensorboard {
            bail!("--report-to tensorboard writes into the run's folder, and --logs None has none");
        }
        return Ok(observers);
    };
    std::fs::create_dir_all(&checkpoints).with_context(|| format!("cannot create `{}`", checkpoints.display()))?;
    observers.push(Box::new(LogFile::open(&run.join("out.log"))?.observer(every)));
    observers.push(Box::new(ResultsFile::open(checkpoints.join("results.jsonl"))?));
    observers.push(Box::new(StepsFile::open(run, every)?));
    let tokenizer = || Arc::clone(&session.tokenizer);
    if tensorboard {
        observers.push(Box::new(Board::create(run, every, tokenizer(), params)?));
    }
    observers.push(Box::new(Page::create(run, every, tokenizer(), params, Rc::clone(found))?));
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

/// What the run was told.
fn params(config: &TrainConfig, data: &TrainData, arguments: &Train) -> String {
    format!("{config:#?}\n{data:#?}\n{arguments:#?}\n")
}

/// `params.txt`.
fn write_params(config: &TrainConfig, params: &str) -> anyhow::Result<()> {
    let Some(run) = &config.run_dir else { return Ok(()) };
    std::fs::create_dir_all(run).with_context(|| format!("cannot create `{}`", run.display()))?;
    let path = run.join("params.txt");
    std::fs::write(&path, params).with_context(|| format!("cannot write `{}`", path.display()))
}
