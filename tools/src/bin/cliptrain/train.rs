//! A bare `cliptrain`: training with open_clip's flags, or the evaluation of given weights.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use anyhow::{Context, bail};
use ingest::DownloadReport;
use model::Device;
use model::clip::Clip;
use model::config::{Layers, Overrides};
use tools::exit::{Hint, Outcome};
use tools::terminal::Asked;
use tools::training::{DataSource, Session};
use tools::urls::Downloading;
use tools::{json, training, zoo};
use trainer::TrainConfig;
use trainer::evaluate::{Evaluated, Suite};
use trainer::objective::Objective;
use trainer::pretrained::{Hub, is_of_weights};
use trainer::zoo::Name;

use crate::cli::Train;
use crate::launch::Launch;
use crate::params::{self, Params};
use crate::resume::{self, From, Scratch};
use crate::run_folder::{self, RunFolder};
use crate::{evaluate, processes};

/// Trains where there are training data, evaluates where there are only weights. `params` are all flags with their values.
pub fn run(arguments: &Train, params: &Params) -> anyhow::Result<Outcome> {
    arguments.check()?;
    processes::check(|name| std::env::var(name).ok())?;
    for warning in arguments.elsewhere.without_effect().into_iter().chain(arguments.architecture.device_warning()) {
        tools::note!("warning: {warning}");
    }
    let suite = arguments.evaluation.suite(&arguments.data.keys, arguments.batch_size, arguments.workers)?;
    let architecture = &arguments.architecture;
    let comes_with_weights = architecture.model.as_deref().is_some_and(is_of_weights);
    let weights = architecture.pretrained.is_some() || arguments.output.resume.is_some() || comes_with_weights;
    match arguments.data.spec() {
        Some(spec) => train(arguments, params, &spec, suite),
        None if weights && !suite.is_empty() => evaluate::run(arguments, &suite),
        None if weights => Err(anyhow::anyhow!(
            "nothing to do with these weights: neither --train-data nor anything to evaluate on was given"
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

fn train(arguments: &Train, params: &Params, spec: &str, suite: Suite) -> anyhow::Result<Outcome> {
    let mut config = config(arguments)?;
    config.validate()?;
    resume::check(arguments.output.resume.as_deref())?;
    let mut folder = RunFolder::take(arguments)?;
    let download = arguments.data.download(spec)?;
    let (batch_size, workers, seed) = (arguments.batch_size, arguments.workers, arguments.optimization.seed);
    let data = arguments.data.train_data(spec, download.as_ref(), batch_size, workers, seed, &arguments.aug_cfg)?;
    for warning in arguments.data.keys.without_effect(&data.source) {
        tools::note!("warning: {warning}");
    }
    if let (DataSource::Shards(spec), None) = (&data.source, &download) {
        run_folder::check_shards(spec, arguments.data.max_bad_shards)?;
    }
    config.run_dir = folder.as_ref().map(|folder| folder.path.clone());
    let (stop, asked) = training::stop_on_request(config.run_dir.is_some())?;

    let scratch = Scratch::new();
    let from = resume::find(arguments, folder.as_ref().map(|folder| folder.path.as_path()), scratch.path())?;
    let hub = zoo::hub_in(arguments.architecture.cache_dir.as_deref());
    let mut clip = model(arguments, &from, &hub)?;
    let name = called(arguments, &from, &clip);
    (config.lr, config.adamw) = arguments.optimization.adamw(&name);
    let statistics = arguments.architecture.apply(&mut clip)?;
    let objective = objective(arguments, &clip, &hub)?;
    let tokenizer = Arc::new(training::tokenizer(&clip, &hub)?);
    let (mut trainer, state) = resume::trainer(&from, clip, &config)?;
    (trainer.seed, trainer.objective, trainer.image_statistics) = (data.seed, objective, statistics);
    let mut session = Session::new(&config, trainer, tokenizer, &data, &stop)?;
    session.start = resume::start(&from, state, &session.loader, &config, &mut session.trainer, folder.as_ref())?;
    drop(scratch);

    let started = Rc::new(Cell::new(false));
    let found = Rc::new(RefCell::new(Evaluated::default()));
    let run = Launch {
        arguments,
        model: &name,
        params,
        config: &config,
        stop: &stop,
        started: Rc::clone(&started),
        found: Rc::clone(&found),
    };
    let trained = run.launch(session, suite, folder.as_ref());
    // What fails before its first step leaves nothing behind, unless there is something to look into.
    let to_look_into = |error: &anyhow::Error| matches!(error.downcast_ref(), Some(trainer::Error::NonFinite { .. }));
    if started.get() || trained.as_ref().map_or_else(to_look_into, |_| true) {
        folder.iter_mut().for_each(RunFolder::keep);
    }
    let download = download.map(ended).transpose();
    let (trained, download) = (trained?, download?);
    if arguments.output.json {
        let (train, loader, found) = (&trained.report, &trained.loader, found.borrow());
        let mut summary =
            serde_json::json!({ "train": train, "zero_shot": found.zero_shot, "val": found.pairs, "loader": loader });
        if let Some(report) = &download {
            summary["download"] = serde_json::json!(report);
        }
        json::line("summary", &summary)?;
    }
    if let Some(losses) = trained.loader.losses() {
        tools::note!("left out: {losses} (warnings above and in out.log say which)");
    }
    // A scheduler that is told of a failure would not start the job again.
    Ok(match asked.get() {
        Some(Asked::Interrupt) if trained.report.interrupted => Outcome::Interrupted,
        _ => Outcome::Done,
    })
}

/// Ends a download and says what became of every row, however the training ended.
fn ended(download: Downloading) -> anyhow::Result<DownloadReport> {
    let rows = download.rows;
    let report = download.finish()?;
    tools::note!("{}", tools::urls::told(&report, rows));
    Ok(report)
}

/// What the run makes small.
fn objective(arguments: &Train, clip: &Clip, hub: &Hub) -> anyhow::Result<Objective> {
    let flags = &arguments.optimization;
    if flags.siglip {
        return Ok(Objective::Sigmoid);
    }
    let Some(name) = &flags.distill_model else { return Ok(Objective::Contrastive) };
    let wanted = zoo::wanted(Name::Given(name.clone()), flags.distill_pretrained.as_deref(), Overrides::default(), 0);
    let mut teacher = trainer::zoo::model(&wanted, hub, &Device::Cpu).context("--distill-model")?;
    teacher.set_precision(clip.precision());
    for (what, own, others) in [
        ("image size", clip.config().vision_cfg.image_size, teacher.config().vision_cfg.image_size),
        ("context length", clip.config().text_cfg.context_length, teacher.config().text_cfg.context_length),
        ("vocabulary", clip.config().text_cfg.vocab_size, teacher.config().text_cfg.vocab_size),
    ] {
        if own != others {
            bail!(
                "--distill-model `{name}`: its {what} is {others}, that of the model {own}; both see the same batches"
            );
        }
    }
    Ok(Objective::Distillation(Box::new(teacher)))
}

/// What the model is called, by which the optimizer's constants go: as the flags say, as the run was told that it goes on from, or
/// as the preset of the same configuration.
fn called(arguments: &Train, from: &From, clip: &Clip) -> String {
    let assumed = match arguments.architecture.name() {
        Name::Given(name) => return name,
        Name::Assumed(name) => name,
    };
    let of_run = from.weights().and_then(|checkpoint| params::model_of(checkpoint.parent()?.parent()?));
    let of_preset = || trainer::zoo::name_of(clip.config()).map(str::to_owned);
    of_run.or_else(of_preset).unwrap_or_else(|| match clip.config().vision_cfg.layers {
        Layers::Blocks(_) => "vit".to_owned(),
        Layers::Stages(_) => assumed,
    })
}

/// The model that the flags name, with the weights that it begins with.
///
/// # Errors
/// When there is no such model, or its weights cannot be had.
pub fn model(arguments: &Train, from: &From, hub: &Hub) -> anyhow::Result<Clip> {
    let (architecture, optimization) = (&arguments.architecture, &arguments.optimization);
    let resumed = from.weights().map(|path| path.display().to_string());
    let file = resumed.as_ref().or(architecture.pretrained.as_ref());
    let overrides = architecture.overrides(optimization.siglip);
    let wanted = zoo::wanted(architecture.name(), file.map(String::as_str), overrides, optimization.seed);
    trainer::zoo::model(&wanted, hub, &Device::Cpu).with_context(|| match (&resumed, file) {
        (Some(path), _) => format!("--resume `{path}`"),
        (None, Some(file)) => format!("--pretrained `{file}`"),
        (None, None) => format!("--model `{}`", architecture.name().as_str()),
    })
}

/// What the flags say about the run, its folder left out.
fn config(arguments: &Train) -> anyhow::Result<TrainConfig> {
    let flags = &arguments.optimization;
    let (lr, adamw) = flags.adamw(arguments.architecture.name().as_str());
    Ok(TrainConfig {
        run_dir: None,
        epochs: flags.epochs,
        lr,
        adamw,
        warmup: flags.warmup,
        decay: flags.decay()?,
        accum_freq: flags.accum_freq,
        grad_clip_norm: flags.grad_clip_norm,
        saving: arguments.output.saving(),
    })
}
