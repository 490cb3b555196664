//! The demo's findings as a page to look at, and as the commands that repeat them.

use std::collections::BTreeMap;

use trainer::evaluate::{Prediction, ZeroShotReport};

use super::chain::{BATCH_SIZE, Demo, LR, MODEL, WARMUP, WORKERS};
use super::grammar::{Class, Drawing};
use crate::human;
use crate::report::{
    Accuracy, ClassLabel, Command, Confusion, DemoReport, Fact, Guess, Headline, LossPoint, Prediction as Shown,
    Sample, Status,
};

/// Pictures in the sample grid.
const SAMPLES: usize = 48;
/// Held-out pictures of each set with their guesses.
const PREDICTIONS: usize = 12;

/// The page.
pub fn report(demo: &Demo, epochs: u64) -> DemoReport {
    DemoReport {
        title: "From a URL list to zero-shot accuracy".to_owned(),
        summary: summary(demo),
        headlines: headlines(demo),
        statuses: statuses(demo),
        download_facts: vec![
            Fact::new("downloaded", human::bytes(demo.download.bytes_downloaded)),
            Fact::new("images a second", format!("{:.0}", demo.download.images_per_second)),
            Fact::new("shards", demo.download.shards.to_string()),
        ],
        caption_lengths: caption_lengths(&demo.training),
        data_facts: vec![
            Fact::new("rows", human::thousands(demo.stats.rows)),
            Fact::new("different captions", demo.stats.unique_texts.map_or("-".to_owned(), human::thousands)),
        ],
        samples: demo.training.iter().take(SAMPLES).map(sample).collect(),
        loss: demo.losses.iter().map(|(step, loss)| LossPoint { step: *step, loss: *loss }).collect(),
        training_facts: training_facts(demo),
        accuracies: vec![
            accuracy(&demo.seen, "pairs seen in training", false),
            accuracy(&demo.unseen, "pairs never seen", true),
        ],
        confusion: confusion(demo),
        predictions: predictions(demo),
        commands: commands(demo, epochs),
    }
}

/// The commands that repeat the demo on its folder, in order.
pub fn commands(demo: &Demo, epochs: u64) -> Vec<Command> {
    let layout = &demo.layout;
    let (shards, logs) = (layout.shards().with_file_name("shards-again"), layout.logs());
    let last = demo.download.shards.saturating_sub(1);
    let zero_shot = |set: &str| {
        format!(
            "--zeroshot-data {} --zeroshot-classnames {} --zeroshot-templates {}",
            layout.held_out(set).display(),
            layout.class_names().display(),
            layout.templates().display()
        )
    };
    let command = |purpose: &str, line: String| Command { purpose: purpose.to_owned(), line };
    vec![
        command("serve the pictures", format!("clipdata serve {} --port {}", layout.pictures().display(), demo.port)),
        command(
            "download them into shards",
            format!(
                "clipdata download {} --output-folder {} --caption-col caption --number-sample-per-shard 500 \
                 --image-size 40 --resize-mode keep_ratio --allow-private-addresses",
                layout.url_list().display(),
                shards.display()
            ),
        ),
        command("describe them", format!("clipdata stats {}/*.parquet", shards.display())),
        command(
            "train",
            format!(
                "cliptrain --train-data '{}/{{00000..{last:05}}}.tar' --model {MODEL} --batch-size {BATCH_SIZE} \
                 --epochs {epochs} --lr {LR} --wd 0.1 --warmup {WARMUP} --workers {WORKERS} --seed {} --save-frequency {epochs} \
                 --zeroshot-frequency 0 --logs {} --name again",
                shards.display(),
                demo.seed,
                logs.display(),
            ),
        ),
        command("score pairs seen in training", evaluation(demo, epochs, &zero_shot("seen"))),
        command("score pairs never seen", evaluation(demo, epochs, &zero_shot("unseen"))),
    ]
}

fn evaluation(demo: &Demo, epochs: u64, zero_shot: &str) -> String {
    let weights = demo.layout.logs().join("again").join("checkpoints").join(format!("epoch_{epochs}"));
    format!("cliptrain --pretrained {} --batch-size {BATCH_SIZE} --workers {WORKERS} {zero_shot}", weights.display())
}

fn summary(demo: &Demo) -> String {
    format!(
        "{} pictures were drawn, served on this machine, downloaded into tar shards, and a CLIP with a vision and a text \
         transformer was trained on them. It then had to name the colour and shape of new pictures among {} classes, {} of \
         which it had never seen together.",
        human::thousands(demo.training.len() as u64),
        Class::all().len(),
        Class::unseen().len()
    )
}

fn headlines(demo: &Demo) -> Vec<Headline> {
    let headline = |value: String, label: &str, detail: String| Headline { value, label: label.to_owned(), detail };
    let pictures = |report: &ZeroShotReport| format!("{} pictures", report.samples);
    vec![
        headline(format!("{:.1}%", 100.0 * demo.seen.top1), "top-1 on pairs seen in training", pictures(&demo.seen)),
        headline(format!("{:.1}%", 100.0 * demo.unseen.top1), "top-1 on pairs never seen", pictures(&demo.unseen)),
        headline(
            human::thousands(demo.download.successes),
            "pairs in shards",
            format!("of {} rows", human::thousands(demo.download.count)),
        ),
        headline(
            human::duration(std::time::Duration::from_secs_f64(demo.seconds)),
            "from list to score",
            format!("{:.0} pairs a second in training", demo.train.samples_per_second),
        ),
    ]
}

fn statuses(demo: &Demo) -> Vec<Status> {
    let kinds: Vec<String> =
        demo.download.failures_by_kind.iter().map(|(kind, count)| format!("{kind}: {count}")).collect();
    let status = |status: &str, count, meaning: String| Status { status: status.to_owned(), count, meaning };
    vec![
        status("success", demo.download.successes, "stored in a shard".to_owned()),
        status("failed_to_download", demo.download.failed_to_download, kinds.join(", ")),
        status("failed_to_resize", demo.download.failed_to_resize, "not a picture that can be read".to_owned()),
    ]
}

fn caption_lengths(drawings: &[Drawing]) -> Vec<u64> {
    let mut lengths = vec![0; 1];
    for words in drawings.iter().map(|drawing| drawing.caption.split_whitespace().count()) {
        lengths.resize(lengths.len().max(words + 1), 0);
        lengths[words] += 1;
    }
    lengths
}

fn training_facts(demo: &Demo) -> Vec<Fact> {
    vec![
        Fact::new("model", MODEL),
        Fact::new("steps", human::thousands(demo.train.steps)),
        Fact::new("batch size", BATCH_SIZE.to_string()),
        Fact::new("pairs seen", human::thousands(demo.train.samples_seen)),
        Fact::new("pairs a second", format!("{:.0}", demo.train.samples_per_second)),
        Fact::new("last loss", format!("{:.4}", demo.train.loss)),
    ]
}

fn sample(drawing: &Drawing) -> Sample {
    Sample { jpeg: drawing.jpeg.clone(), caption: drawing.caption.clone() }
}

fn accuracy(report: &ZeroShotReport, label: &str, unseen: bool) -> Accuracy {
    Accuracy {
        label: label.to_owned(),
        unseen,
        top1: report.top1,
        top5: report.top5,
        chance: 1.0 / report.class_names.len().max(1) as f64,
        pictures: report.samples,
    }
}

fn confusion(demo: &Demo) -> Confusion {
    let classes = Class::all();
    let mut counts = vec![vec![0; classes.len()]; classes.len()];
    for prediction in demo.seen.predictions.iter().chain(&demo.unseen.predictions) {
        if let Some((guess, _)) = prediction.ranked.first() {
            counts[prediction.label as usize][*guess as usize] += 1;
        }
    }
    let label = |class: Class| ClassLabel { name: class.name(), unseen: class.is_unseen() };
    Confusion { classes: classes.into_iter().map(label).collect(), counts }
}

/// Evenly spread pictures of both sets, the pairs never seen first.
fn predictions(demo: &Demo) -> Vec<Shown> {
    let drawings: BTreeMap<&str, &Drawing> = demo
        .held_out
        .seen
        .iter()
        .chain(&demo.held_out.unseen)
        .map(|drawing| (drawing.name.as_str(), drawing))
        .collect();
    let mut shown = Vec::new();
    for report in [&demo.unseen, &demo.seen] {
        let stride = (report.predictions.len() / PREDICTIONS).max(1);
        let spread = report.predictions.iter().step_by(stride).take(PREDICTIONS);
        shown.extend(spread.filter_map(|prediction| show(prediction, report, &drawings)));
    }
    shown
}

fn show(prediction: &Prediction, report: &ZeroShotReport, drawings: &BTreeMap<&str, &Drawing>) -> Option<Shown> {
    let drawing = drawings.get(prediction.key.rsplit('/').next()?)?;
    let guess = |(class, probability): &(u32, f32)| Guess {
        class: report.class_names[*class as usize].clone(),
        probability: f64::from(*probability),
    };
    Some(Shown {
        jpeg: drawing.jpeg.clone(),
        class: drawing.class.name(),
        unseen: drawing.class.is_unseen(),
        guesses: prediction.ranked.iter().map(guess).collect(),
    })
}
