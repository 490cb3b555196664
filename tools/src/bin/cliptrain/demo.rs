//! `cliptrain demo`: runs the chain, writes the report, and says what to look at and what to type next.

use anyhow::Context;
use indicatif::ProgressBar;
use loader::Batch;
use tools::demo::chain::{self, DemoOptions};
use tools::demo::findings;
use tools::exit::Outcome;
use tools::log::{evaluation_line, saved_line, step_line};
use tools::{human, json, out, report, terminal};
use trainer::metrics::Metrics;
use trainer::{Observer, Saved, StepReport};

use crate::cli::Demo;

/// Runs the demo.
pub fn run(arguments: &Demo) -> anyhow::Result<Outcome> {
    let options = DemoOptions {
        output: arguments.output.clone(),
        pictures: arguments.pictures,
        epochs: arguments.epochs,
        seed: arguments.seed,
    };
    let stop = tools::training::stop_on_interrupt()?;
    let bar = terminal::live_line();
    let mut tell = |stage: &str| bar.suspend(|| tools::note!("{stage}"));
    let display = Box::new(Display(&bar));
    let result = chain::run(&options, &stop, &mut tell, display);
    bar.finish_and_clear();
    if stop.is_set() {
        return Ok(Outcome::Interrupted);
    }
    let demo = result?;
    let page = demo.layout.report();
    std::fs::write(&page, report::render(&findings::report(&demo, options.epochs)))
        .with_context(|| format!("cannot write `{}`", page.display()))?;
    match arguments.json {
        true => json::line("summary", &demo.summary())?,
        false => out::text(&farewell(&demo, options.epochs))?,
    }
    Ok(Outcome::Done)
}

/// The training on the live line, or now and then a line where there is none.
struct Display<'a>(&'a ProgressBar);

impl Observer for Display<'_> {
    fn on_step(&mut self, step: &StepReport, _: &[Batch]) {
        if !self.0.is_hidden() {
            self.0.set_message(step_line(step));
        } else if (step.step + 1).is_multiple_of(200) {
            tools::note!("{}", step_line(step));
        }
    }

    fn on_checkpoint(&mut self, saved: &Saved) {
        self.0.suspend(|| tools::note!("{}", saved_line(saved)));
    }

    fn on_evaluation(&mut self, metrics: &Metrics) {
        self.0.suspend(|| tools::note!("{}", evaluation_line(metrics)));
    }
}

fn farewell(demo: &chain::Demo, epochs: u64) -> String {
    let score = |name: &str, report: &trainer::evaluate::ZeroShotReport| {
        format!(
            "  {name:<28}top-1 {:5.1}%   top-5 {:5.1}%   ({} pictures)\n",
            100.0 * report.top1,
            100.0 * report.top5,
            report.samples
        )
    };
    let mut text = format!("zero-shot accuracy among {} classes\n", demo.seen.class_names.len());
    text.push_str(&score("pairs seen in training", &demo.seen));
    text.push_str(&score("pairs never seen", &demo.unseen));
    text.push_str("\nthe same by hand\n");
    for command in findings::commands(demo, epochs) {
        text.push_str(&format!("  {}\n", command.line));
    }
    let seconds = human::duration(std::time::Duration::from_secs_f64(demo.seconds));
    text.push_str(&format!("\n{seconds}; to look at: {}\n", demo.layout.report().display()));
    text
}
