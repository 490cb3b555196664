//! `cliptrain interpolate`: the models between two, evaluated and saved.

use std::path::Path;

use anyhow::{Context, bail};
use loader::Stop;
use model::Device;
use model::clip::Clip;
use model::config::Overrides;
use model::tokenizer::Tokenizer;
use tools::exit::{Hint, Outcome};
use tools::{json, out, training, zoo};
use trainer::evaluate::zero_shot::Prepared;
use trainer::evaluate::{Due, Suite, ZeroShotTask};
use trainer::finetune::Head;
use trainer::interpolate::{interpolate, save};
use trainer::metrics::Metrics;
use trainer::zoo::Name;

use crate::cli::finetune::Interpolate;

/// More models than this are a typing error.
const MOST_ALPHAS: usize = 1000;

/// What every alpha is evaluated on.
struct Evaluation {
    suite: Suite,
    /// Heads at both ends, and the pictures that they classify.
    heads: Option<(Head, Head, ZeroShotTask, Prepared)>,
    tokenizer: Tokenizer,
    stop: Stop,
}

/// Goes from one model to the other.
pub fn run(arguments: &Interpolate) -> anyhow::Result<Outcome> {
    let alphas = alphas(&arguments.alpha).context("--alpha")?;
    let suite = arguments.evaluation.suite(&arguments.keys, arguments.batch_size, arguments.workers)?;
    if suite.is_empty() && !arguments.save {
        let error = anyhow::anyhow!("nothing to do: neither anything to evaluate on nor --save was given");
        return Err(
            error.context(Hint("--zeroshot-data, --imagenet-val and --val-data name what to evaluate on".to_owned()))
        );
    }
    if let Some(folder) = &arguments.output {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot create `{}`", folder.display()))?;
        let results = folder.join("results.jsonl");
        if results.exists() {
            bail!("`{}` is there already; --output names another folder", results.display());
        }
    }
    let open = |weights: &str| {
        let wanted = zoo::wanted(Name::Assumed(arguments.model.clone()), Some(weights), Overrides::default(), 0);
        trainer::zoo::model(&wanted, &zoo::hub(), &Device::Cpu).with_context(|| format!("`{weights}`"))
    };
    let (from, to) = (open(&arguments.from)?, open(&arguments.to)?);
    // So that models that do not fit together are told before anything else.
    interpolate(&from, &to, 0.0)?;
    let tokenizer = training::tokenizer(&from, &zoo::hub())?;
    let heads = heads(arguments, &from, &tokenizer)?;
    let evaluation = Evaluation { suite, heads, tokenizer, stop: training::stop_on_interrupt()? };
    for alpha in alphas {
        let clip = interpolate(&from, &to, alpha)?;
        let metrics = match evaluation.run(&clip, alpha) {
            Err(trainer::Error::Interrupted) => return Ok(Outcome::Interrupted),
            metrics => metrics?,
        };
        tell(arguments, &metrics)?;
        if let Some(folder) = &arguments.output {
            metrics.append_to(&folder.join("results.jsonl"))?;
            if arguments.save {
                let head = evaluation.heads.as_ref().map(|(a, b, ..)| a.blend(b, alpha)).transpose()?;
                let name = format!("alpha_{}", shown(alpha));
                save(&clip, head.as_ref(), &folder.join(name))?;
            }
        }
    }
    Ok(Outcome::Done)
}

impl Evaluation {
    fn run(&self, clip: &Clip, alpha: f64) -> trainer::Result<Metrics> {
        let mut metrics = Metrics::default();
        metrics.set("alpha", alpha);
        let found = self.suite.run(clip, &self.tokenizer, 0, Due::ALL, &self.stop)?;
        metrics.extend(found.metrics.without("epoch"));
        if let Some((a, b, task, prepared)) = &self.heads {
            let head = a.blend(b, alpha)?;
            let report = task.run_with(clip, prepared, &self.stop, |features| head.logits(features))?;
            metrics.extend(report.metrics(0).without("epoch"));
        }
        Ok(metrics)
    }
}

/// The heads of both ends, where the second has one and there are pictures of its classes.
fn heads(
    arguments: &Interpolate,
    from: &Clip,
    tokenizer: &Tokenizer,
) -> anyhow::Result<Option<(Head, Head, ZeroShotTask, Prepared)>> {
    let Some(tuned) = Head::load(Path::new(&arguments.to), &Device::Cpu)? else { return Ok(None) };
    let Some(mut task) = arguments.evaluation.classes.task(arguments.batch_size, arguments.workers)? else {
        return Ok(None);
    };
    task.name = "head".to_owned();
    task.class_names = Some(tuned.class_names.clone());
    let prepared = task.prepare().context("the pictures of --zeroshot-data do not fit the head's classes")?;
    let own = Head::load(Path::new(&arguments.from), &Device::Cpu)?;
    let start = match own {
        Some(own) => own,
        None => Head::zero_shot(from, tokenizer, &tuned.class_names, &tuned.templates)?,
    };
    // Told here rather than at the first alpha.
    start.blend(&tuned, 0.0)?;
    Ok(Some((start, tuned, task, prepared)))
}

fn tell(arguments: &Interpolate, metrics: &Metrics) -> anyhow::Result<()> {
    if arguments.json {
        return Ok(json::line("alpha", metrics.entries())?);
    }
    let text = |(name, value): (&String, &serde_json::Value)| match value.as_f64() {
        Some(number) if name == "alpha" => format!("alpha: {}", shown(number)),
        Some(number) if value.is_f64() => format!("{name}: {number:.4}"),
        _ => format!("{name}: {value}"),
    };
    out::line(&metrics.entries().iter().map(text).collect::<Vec<_>>().join("\t"))?;
    Ok(())
}

/// `0.30000000000000004` as `0.3`.
fn shown(alpha: f64) -> String {
    format!("{}", (alpha * 1e6).round() / 1e6)
}

/// `0:1:0.1` with both ends, or numbers divided by commas.
fn alphas(text: &str) -> anyhow::Result<Vec<f64>> {
    let number = |part: &str| match part.trim().parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(number),
        _ => bail!("`{part}` is no number; expected FROM:TO:STEP, such as 0:1:0.1, or 0,0.5,1"),
    };
    let parts = text.split(':').map(number).collect::<anyhow::Result<Vec<_>>>();
    let found = match parts.as_deref() {
        Ok([from, to, step]) => {
            let count = ((to - from) / step + 1e-9).floor();
            if *step == 0.0 || count < 0.0 || count >= MOST_ALPHAS as f64 {
                bail!("`{text}`: expected a step that leads from {from} to {to} in less than {MOST_ALPHAS}");
            }
            // Counted, not summed, so that the last one is the end.
            (0..=count as usize).map(|i| ((from + i as f64 * step) * 1e9).round() / 1e9).collect()
        }
        Ok([_, _]) => bail!("`{text}`: expected FROM:TO:STEP"),
        _ => text.split(',').map(number).collect::<anyhow::Result<Vec<_>>>()?,
    };
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_have_both_ends_and_lists_are_lists() {
        assert_eq!(alphas("0:1:0.1").unwrap(), [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]);
        assert_eq!(alphas("1:0:-0.5").unwrap(), [1.0, 0.5, 0.0]);
        assert_eq!((alphas("0.5").unwrap(), alphas("0, 1.5").unwrap()), (vec![0.5], vec![0.0, 1.5]));
        for bad in ["0:1", "0:1:0", "0:1:-1", "half", "0:1:1e-9", "nan", "0,x"] {
            assert!(alphas(bad).is_err(), "{bad}");
        }
        assert_eq!((shown(0.1 + 0.2), shown(1.0)), ("0.3".to_owned(), "1".to_owned()));
    }
}
