//! Which charts there are of runs: how they went, how their accuracy scales, and how robust they are.

use trainer::evaluate::Benchmark;
use trainer::evaluate::robustness::baseline;

use super::axis::{Axis, Spacing};
use super::chart::{Chart, Series, Style};
use super::record::{Record, Step};

/// A chart with the name that its files have.
pub struct Named {
    /// Without an extension.
    pub name: &'static str,
    /// The chart.
    pub chart: Chart,
}

/// The charts that these runs have something to show for. `metric` is what is drawn over the effort of training.
pub fn all(records: &[Record], metric: Option<&str>) -> Vec<Named> {
    let of = |name, chart: Chart| Named { name, chart };
    let metric = metric.map(str::to_owned).or_else(|| usual_metric(records));
    let mut charts = vec![
        of("loss", by_samples(records, "Training loss", "loss", |step| step.loss)),
        of(
            "validation-loss",
            over_epochs(records, "Validation loss", "contrastive loss", |name| name == "clip_val_loss"),
        ),
        of("zero-shot", over_epochs(records, "Zero-shot accuracy", "top-1", |name| name.ends_with("-top1"))),
        of("retrieval", over_epochs(records, "Retrieval", "share found first", |name| name.ends_with("_R@1"))),
    ];
    charts.extend(metric.map(|metric| of("scaling", scaling(records, &metric))));
    charts.push(of("robustness", robustness(records)));
    charts.push(of("interpolation", interpolation(records)));
    charts.retain(|named| !named.chart.is_empty());
    charts
}

/// The charts of one run beside its loss: learning rate, logit scale, throughput.
pub fn of_run(record: &Record) -> Vec<Named> {
    let records = std::slice::from_ref(record);
    let mut charts = vec![
        Named { name: "learning-rate", chart: line(by_samples(records, "Learning rate", "rate", |step| step.lr)) },
        Named {
            name: "logit-scale",
            chart: line(by_samples(records, "Logit scale", "factor", |step| step.logit_scale)),
        },
        Named {
            name: "throughput",
            chart: line(by_samples(records, "Throughput", "pairs a second", |step| step.samples_per_second)),
        },
        Named {
            name: "stall",
            chart: line(by_samples(records, "Waiting for data", "share of the time", |step| step.stall_share)),
        },
    ];
    charts.retain(|named| !named.chart.is_empty());
    charts
}

fn line(mut chart: Chart) -> Chart {
    chart.series.iter_mut().for_each(|series| series.style = Style::Line);
    chart
}

/// What is compared over effort unless the user says: accuracy on ImageNet, else whatever all runs have.
fn usual_metric(records: &[Record]) -> Option<String> {
    let imagenet = top1(Benchmark::ImageNet);
    let has = |name: &str| records.iter().all(|record| record.last(name).is_some());
    if has(&imagenet) {
        return Some(imagenet);
    }
    records.first()?.metrics(|name| name.ends_with("-top1")).into_iter().find(|name| has(name))
}

fn top1(benchmark: Benchmark) -> String {
    format!("{}-top1", benchmark.metric())
}

fn chart(title: &str, x: Axis, y: Axis, series: Vec<Series>) -> Chart {
    Chart { title: title.to_owned(), x, y, series }
}

fn series(name: &str, style: Style, points: Vec<[f64; 2]>) -> Series {
    Series { name: name.to_owned(), style, points, labels: Vec::new() }
}

fn by_samples(records: &[Record], title: &str, y: &str, value: impl Fn(&Step) -> f64) -> Chart {
    let of = |record: &Record| {
        let points = record.steps.iter().map(|step| [step.samples_seen as f64, value(step)]).collect();
        series(&record.name, Style::Curve, points)
    };
    let axes = (Axis::new("pairs seen", Spacing::Whole), Axis::new(y, Spacing::Linear));
    // A run that was only evaluated has no steps.
    chart(title, axes.0, axes.1, records.iter().map(of).filter(|series| !series.points.is_empty()).collect())
}

fn over_epochs(records: &[Record], title: &str, y: &str, chosen: impl Fn(&str) -> bool) -> Chart {
    let mut all = Vec::new();
    for record in records {
        for metric in record.metrics(&chosen) {
            let short = metric.trim_end_matches("-top1").trim_end_matches("_R@1");
            let name = match records.len() {
                1 => short.to_owned(),
                _ if metric == "clip_val_loss" => record.name.clone(),
                _ => format!("{}: {short}", record.name),
            };
            all.push(series(&name, Style::Line, record.pairs("epoch", &metric)));
        }
    }
    chart(title, Axis::new("epochs", Spacing::Whole), Axis::new(y, Spacing::Linear), all)
}

/// Error over effort on logarithmic axes, with the power law through them where there are three runs and more.
fn scaling(records: &[Record], metric: &str) -> Chart {
    let knows_flops = records.iter().all(|record| record.last("training_flops").is_some());
    let (effort, name) = match knows_flops {
        true => ("training_flops", "operations of training (multiply and add counted as two)"),
        false => ("samples_seen", "pairs seen"),
    };
    let mut dots = series("runs", Style::Dots, Vec::new());
    for record in records {
        if let (Some(effort), Some(accuracy)) = (record.last(effort), record.last(metric)) {
            dots.points.push([effort, 1.0 - accuracy]);
            dots.labels.push(record.name.clone());
        }
    }
    let mut all = vec![dots];
    if let Some((exponent, points)) = power_law(&all[0].points) {
        all.push(series(&format!("error ~ effort^{exponent:.3}"), Style::Guide, points));
    }
    let (x, y) = (Axis::new(name, Spacing::Log), Axis::new(&format!("1 - {metric}"), Spacing::Log));
    chart("Error by the effort of training", x, y, all)
}

/// The exponent of the least-squares line through the logarithms, and its ends.
fn power_law(points: &[[f64; 2]]) -> Option<(f64, Vec<[f64; 2]>)> {
    let logs: Vec<[f64; 2]> =
        points.iter().filter(|point| point.iter().all(|value| *value > 0.0)).map(|point| point.map(f64::ln)).collect();
    let count = logs.len() as f64;
    let mean = |axis: usize| logs.iter().map(|point| point[axis]).sum::<f64>() / count;
    let (mx, my) = (mean(0), mean(1));
    let spread: f64 = logs.iter().map(|[x, _]| (x - mx).powi(2)).sum();
    if logs.len() < 3 || spread <= 0.0 {
        return None;
    }
    let exponent = logs.iter().map(|[x, y]| (x - mx) * (y - my)).sum::<f64>() / spread;
    let at = |x: f64| [x.exp(), (my + exponent * (x - mx)).exp()];
    let (low, high) = logs.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), [x, _]| (l.min(*x), h.max(*x)));
    Some((exponent, vec![at(low), at(high)]))
}

/// Accuracy on ImageNet-V2 over accuracy on ImageNet, beside the line of standard models.
fn robustness(records: &[Record]) -> Chart {
    let (imagenet, v2) = (top1(Benchmark::ImageNet), top1(Benchmark::V2));
    let mut all: Vec<Series> = Vec::new();
    for record in records {
        let pairs = record.pairs(&imagenet, &v2);
        // The points of an interpolation are a path; of a training run the last one counts.
        let is_path = !record.pairs("alpha", &v2).is_empty();
        let points = if is_path { pairs } else { pairs.into_iter().next_back().into_iter().collect() };
        let style = if is_path { Style::Line } else { Style::Dots };
        all.push(Series { labels: vec![record.name.clone()], ..series(&record.name, style, points) });
    }
    let values: Vec<f64> = all.iter().flat_map(|series| &series.points).map(|[x, _]| *x).collect();
    let low = values.iter().copied().fold(0.55, f64::min).max(0.01);
    let high = values.iter().copied().fold(0.85, f64::max).min(0.99);
    let along = |value: &dyn Fn(f64) -> f64| {
        (0..=40).map(|i| low + (high - low) * f64::from(i) / 40.0).map(|x| [x, value(x)]).collect()
    };
    all.push(series("standard models (Taori et al., 2020)", Style::Guide, along(&baseline)));
    all.push(series("y = x", Style::Guide, along(&|x| x)));
    let (x, y) = (Axis::new("ImageNet, top-1", Spacing::Logit), Axis::new("ImageNet-V2, top-1", Spacing::Logit));
    chart("Effective robustness", x, y, all)
}

/// Accuracies over the way from one model to another.
fn interpolation(records: &[Record]) -> Chart {
    let mut all = Vec::new();
    for record in records {
        for metric in record.metrics(|name| name.ends_with("-top1")) {
            let name = metric.trim_end_matches("-top1");
            let name = if records.len() == 1 { name.to_owned() } else { format!("{}: {name}", record.name) };
            all.push(series(&name, Style::Line, record.pairs("alpha", &metric)));
        }
    }
    let (x, y) = (Axis::new("alpha", Spacing::Linear), Axis::new("top-1", Spacing::Linear));
    chart("Between two models", x, y, all)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record(name: &str, evaluations: &[serde_json::Value]) -> Record {
        let evaluations = evaluations.iter().map(|line| line.as_object().cloned().unwrap_or_default()).collect();
        Record { name: name.to_owned(), steps: Vec::new(), evaluations }
    }

    fn names(charts: &[Named]) -> Vec<&str> {
        charts.iter().map(|named| named.name).collect()
    }

    #[test]
    fn charts_without_anything_to_show_are_left_out() {
        assert!(all(&[record("a", &[])], None).is_empty());
        let one =
            record("a", &[json!({"epoch": 1, "zeroshot-top1": 0.5, "samples_seen": 100, "image_to_text_R@1": 0.1})]);
        assert_eq!(names(&all(std::slice::from_ref(&one), None)), ["zero-shot", "retrieval", "scaling"]);
    }

    #[test]
    fn errors_that_follow_a_power_law_give_its_exponent() {
        let runs: Vec<Record> = [1e9, 1e10, 1e11]
            .map(|flops: f64| {
                let accuracy = 1.0 - 0.5 * (flops / 1e9).powf(-0.2);
                record("run", &[json!({"epoch": 1, "zeroshot-top1": accuracy, "training_flops": flops})])
            })
            .into();
        let charts = all(&runs, None);
        let scaling = charts.iter().find(|named| named.name == "scaling").unwrap();
        assert_eq!(scaling.chart.series[1].name, "error ~ effort^-0.200");
    }

    #[test]
    fn robustness_has_the_line_of_standard_models() {
        let line = json!({"epoch": 1, "imagenet-zeroshot-val-top1": 0.68, "imagenetv2-zeroshot-val-top1": 0.62});
        let charts = all(&[record("clip", &[line])], None);
        let found = charts.iter().find(|named| named.name == "robustness").unwrap();
        let guides: Vec<_> = found.chart.series.iter().filter(|series| series.style == Style::Guide).collect();
        assert!(guides.len() == 2 && guides[0].points.iter().all(|[x, y]| y < x));
    }
}
