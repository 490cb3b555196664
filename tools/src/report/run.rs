//! The page about a training run: how it went, what it scores, what it finds for pictures.

use serde_json::Value;
use trainer::evaluate::pairs::Example;

use super::html::{escape, join, picture};
use super::page::{document, section};
use crate::human;
use crate::observe::Sample;
use crate::plot::charts::{self, Named};
use crate::plot::record::Record;
use crate::plot::svg;

/// What the page shows.
#[derive(Clone, Debug, Default)]
pub struct RunReport {
    /// Steps and evaluations, with the run's name.
    pub record: Record,
    /// Where it stands, in a sentence.
    pub state: String,
    /// Some of the first samples it was trained on.
    pub samples: Vec<Sample>,
    /// Pictures with the captions that are nearest to them.
    pub examples: Vec<Example>,
    /// What the run was told, a line each.
    pub params: String,
}

/// The whole page, which refers to no other file.
pub fn render(report: &RunReport) -> String {
    let record = &report.record;
    let header =
        format!("<header><div><h1>{}</h1><p>{}</p></div></header>\n", escape(&record.name), escape(&report.state));
    let records = std::slice::from_ref(record);
    let all = charts::all(records, None);
    let of = |names: &[&str], charts: &[Named]| -> String {
        let chosen = charts.iter().filter(|named| names.contains(&named.name));
        join(chosen, |named| format!("<div class=\"chart\">{}</div>", svg::render(&named.chart.figure())))
    };
    let pair = |content: String| match content.is_empty() {
        true => content,
        false => format!("<div class=\"columns\">{content}</div>"),
    };
    let rates = pair(of(&["learning-rate", "logit-scale", "throughput", "stall"], &charts::of_run(record)));
    let curve = of(&["loss"], &all);
    let training = if curve.is_empty() { String::new() } else { format!("{curve}{rates}") };
    let scores = of(&["zero-shot"], &all);
    let kept_back = pair(of(&["validation-loss", "retrieval"], &all));
    let main = [
        headlines(record),
        section("Training", "The loss of each logged step (thin) and its running mean (bold).", &training),
        section(
            "Accuracy",
            "Share of pictures that are named right, after each evaluation: by the nearest text, or for a fine-tuning by its head.",
            &scores,
        ),
        section(
            "Pairs that were kept back",
            "Loss within batches, and how often the right one is found first.",
            &kept_back,
        ),
        section(
            "What is found for a picture",
            "The captions nearest to it, each once, with their cosine; its own are bold.",
            &nearest(report),
        ),
        section("Seen in training", "Some of the first samples, as the model sees them.", &samples(&report.samples)),
        section("Last evaluation", "", &metrics(record)),
        section("What the run was told", "", &params(&report.params)),
    ];
    document(&record.name, &header, &main.concat())
}

fn headlines(record: &Record) -> String {
    let mut shown: Vec<(String, String)> = Vec::new();
    if let Some(last) = record.steps.last() {
        shown.push((format!("{:.3}", last.loss), "last loss".to_owned()));
        shown.push((human::thousands(last.samples_seen), "pairs seen".to_owned()));
        shown.push((format!("{:.0}", last.samples_per_second), "pairs a second".to_owned()));
    }
    let accuracy = |name: &String| {
        Some((format!("{:.1}%", 100.0 * record.last(name)?), name.trim_end_matches("-top1").to_owned()))
    };
    shown.extend(record.metrics(|name| name.ends_with("-top1")).iter().filter_map(accuracy).take(4));
    if shown.is_empty() {
        return String::new();
    }
    let boxes = join(shown, |(value, label)| {
        format!("<div class=\"headline\"><b>{}</b><span>{}</span></div>", escape(&value), escape(&label))
    });
    format!("<div class=\"headlines\">{boxes}</div>\n")
}

fn nearest(report: &RunReport) -> String {
    let shown = join(&report.examples, |example| {
        let Some(png) = crate::observe::png(&example.pixels, example.side as u32) else { return String::new() };
        let own = |text: &String| example.captions.contains(text);
        let captions = join(&example.nearest, |(text, cosine)| {
            let style = if own(text) { " class=\"right\"" } else { "" };
            format!("<li{style}><span>{}</span><span class=\"number\">{cosine:.3}</span></li>", escape(text))
        });
        let found = example.nearest.first().is_some_and(|(text, _)| own(text));
        let (style, verdict) = if found { ("right", "\u{2713}") } else { ("wrong", "\u{2717}") };
        let title = example.captions.first().map_or(example.key.as_str(), String::as_str);
        format!(
            "<article class=\"prediction\"><div class=\"subject\">{}</div><div><h3><span class=\"{style}\">{verdict}</span> \
             {}</h3><ol class=\"captions\">{captions}</ol></div></article>",
            picture(&png, title),
            escape(title)
        )
    });
    if shown.is_empty() { shown } else { format!("<div class=\"predictions\">{shown}</div>") }
}

fn samples(samples: &[Sample]) -> String {
    let figures = join(samples, |sample| {
        let shown = picture(&sample.png, &sample.text);
        format!("<figure>{shown}<figcaption>{}</figcaption></figure>", escape(&sample.text))
    });
    if figures.is_empty() { figures } else { format!("<div class=\"samples\">{figures}</div>") }
}

fn metrics(record: &Record) -> String {
    let Some(last) = record.evaluations.last() else { return String::new() };
    let text = |value: &Value| match value.as_f64() {
        Some(number) if !value.is_u64() => format!("{number:.4}"),
        _ => value.as_str().map_or_else(|| value.to_string(), str::to_owned),
    };
    let rows = join(last, |(name, value)| {
        format!("<tr><td><code>{}</code></td><td class=\"number\">{}</td></tr>", escape(name), escape(&text(value)))
    });
    format!("<table><tbody>{rows}</tbody></table>")
}

fn params(params: &str) -> String {
    if params.is_empty() { String::new() } else { format!("<pre>{}</pre>", escape(params)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::record::Step;

    #[test]
    fn the_page_shows_what_there_is_and_nothing_else() {
        let empty = render(&RunReport::default());
        assert!(!empty.contains("<section>"), "{empty}");
        let step =
            |step: u64| Step { step, samples_seen: 64 * (step + 1), loss: 4.0 / (step + 1) as f64, ..Step::default() };
        let line = serde_json::json!({"epoch": 1, "zeroshot-top1": 0.875, "num_samples": 16, "clip_val_loss": 1.5});
        let example = Example {
            key: "0".into(),
            pixels: vec![90; 12],
            side: 2,
            captions: vec!["a <cat>".into()],
            nearest: vec![("a dog".into(), 0.31), ("a <cat>".into(), 0.3)],
        };
        let report = RunReport {
            record: Record {
                name: "a & b".into(),
                steps: (0..4).map(step).collect(),
                evaluations: vec![line.as_object().cloned().unwrap_or_default()],
            },
            examples: vec![example],
            params: "lr: 0.1".into(),
            ..RunReport::default()
        };
        let page = render(&report);
        assert!(page.contains("a &amp; b") && page.contains("87.5%") && page.contains("lr: 0.1"));
        assert!(
            page.contains("<li class=\"right\"><span>a &lt;cat&gt;</span>") && page.contains("data:image/png;base64,")
        );
        assert!(page.contains("<code>num_samples</code></td><td class=\"number\">16<"));
        assert!(!page.contains("Seen in training"));
    }
}
