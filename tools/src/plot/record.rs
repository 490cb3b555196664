//! What a run left behind, read again: `steps.jsonl` (or the lines of `out.log`, open_clip's as well) and
//! `checkpoints/results.jsonl`.
//!
//! Format of `steps.jsonl`, version 1: one JSON object a logged step, with the fields of [`Step`]. A run that was resumed
//! from before its end has some steps twice; the later line counts. Readers ignore fields they do not know.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::log;

/// A step as it is kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Optimizer step, from 0.
    pub step: u64,
    /// Pairs seen since the run began, this step's included.
    pub samples_seen: u64,
    /// Loss of the batch.
    pub loss: f64,
    /// Learning rate.
    pub lr: f64,
    /// exp(logit_scale).
    pub logit_scale: f64,
    /// Pairs per second, a mean over the last steps.
    #[serde(default)]
    pub samples_per_second: f64,
    /// Share of the time that training waited for data, 0 to 1.
    #[serde(default)]
    pub stall_share: f64,
}

/// A run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// What it is called in legends.
    pub name: String,
    /// Its logged steps, in order.
    pub steps: Vec<Step>,
    /// Its evaluations, in order.
    pub evaluations: Vec<Map<String, Value>>,
}

/// Name of the file of steps in a run's folder.
pub const STEPS_FILE: &str = "steps.jsonl";

impl Record {
    /// Reads a run's folder, or a `results.jsonl`.
    ///
    /// # Errors
    /// When there is nothing of a run, or a file is not what it should be; the line is named.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        if path.is_file() {
            let run = path.parent().filter(|parent| parent.ends_with("checkpoints")).and_then(Path::parent);
            let name = run.map_or_else(|| path.file_stem(), Path::file_name);
            let steps = run.map(steps).transpose()?.unwrap_or_default();
            return Ok(Self { name: told(name), steps, evaluations: evaluations(path)? });
        }
        if !path.is_dir() {
            bail!("`{}`: no such file or folder", path.display());
        }
        let (steps, results) = (steps(path)?, results_file(path));
        let evaluations = results.as_deref().map(evaluations).transpose()?.unwrap_or_default();
        if steps.is_empty() && evaluations.is_empty() {
            bail!("`{}` holds no run: expected checkpoints/results.jsonl, {STEPS_FILE} or out.log", path.display());
        }
        let path = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        Ok(Self { name: told(path.file_name()), steps, evaluations })
    }

    /// A metric of the last evaluation that has it.
    pub fn last(&self, metric: &str) -> Option<f64> {
        self.evaluations.iter().rev().find_map(|line| line.get(metric)?.as_f64())
    }

    /// A metric over another, wherever an evaluation has both.
    pub fn pairs(&self, x: &str, y: &str) -> Vec<[f64; 2]> {
        let number = |line: &Map<String, Value>, name: &str| line.get(name).and_then(Value::as_f64);
        self.evaluations.iter().filter_map(|line| Some([number(line, x)?, number(line, y)?])).collect()
    }

    /// The metrics whose names are `chosen`, each once, in the order in which they come.
    pub fn metrics(&self, chosen: impl Fn(&str) -> bool) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for name in self.evaluations.iter().flat_map(Map::keys).filter(|name| chosen(name)) {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }
}

fn told(name: Option<&std::ffi::OsStr>) -> String {
    name.map_or_else(|| "run".to_owned(), |name| name.to_string_lossy().into_owned())
}

fn results_file(run: &Path) -> Option<PathBuf> {
    ["checkpoints/results.jsonl", "results.jsonl"].map(|name| run.join(name)).into_iter().find(|path| path.is_file())
}

fn evaluations(path: &Path) -> anyhow::Result<Vec<Map<String, Value>>> {
    json_lines(path)
}

fn steps(run: &Path) -> anyhow::Result<Vec<Step>> {
    let (own, log) = (run.join(STEPS_FILE), run.join(log::FILE));
    let found: Vec<Step> = match (own.is_file(), log.is_file()) {
        (true, _) => json_lines(&own)?,
        (false, true) => of_log(&read(&log)?),
        _ => Vec::new(),
    };
    // The later one of two that are the same step.
    let by_step: BTreeMap<u64, Step> = found.into_iter().map(|step| (step.step, step)).collect();
    Ok(by_step.into_values().collect())
}

fn read(path: &Path) -> anyhow::Result<String> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// All lines; a last one without its end is one that is still being written.
fn json_lines<T: for<'de> Deserialize<'de>>(path: &Path) -> anyhow::Result<Vec<T>> {
    let text = read(path)?;
    let whole = text.rfind('\n').map_or(0, |end| end + 1);
    let mut found = Vec::new();
    for (line, number) in text[..whole].lines().zip(1..).filter(|(line, _)| !line.trim().is_empty()) {
        // Python writes NaN as a word that is not JSON.
        let parsed = serde_json::from_str(line).or_else(|_| serde_json::from_str(&without_nan(line)));
        found.push(parsed.with_context(|| format!("`{}`, line {number}", path.display()))?);
    }
    Ok(found)
}

fn without_nan(line: &str) -> String {
    line.replace("-Infinity", "null").replace("Infinity", "null").replace("NaN", "null")
}

/// The steps in a log of ours or of open_clip. Its steps are not numbered, so they are counted by samples.
fn of_log(text: &str) -> Vec<Step> {
    text.lines().filter_map(of_line).collect()
}

/// `… Train Epoch: 2 [ 5120/100000 (5%)] … LR: 0.000500 Logit Scale: 14.286 … Loss: 5.5 (5.6)`.
fn of_line(line: &str) -> Option<Step> {
    let after = |mark: &str| line.split_once(mark).map(|(_, rest)| rest.trim_start());
    let number = |text: &str| -> Option<f64> {
        let end = text.find(|c: char| !(c.is_ascii_digit() || ".-+e".contains(c))).unwrap_or(text.len());
        text[..end].parse().ok()
    };
    let epoch = number(after("Train Epoch:")?)?;
    let (seen, rest) = line.split_once('[')?.1.split_once('/')?;
    let (seen, of) = (number(seen.trim())?, number(rest)?);
    // `Contrastive_loss: …` ends in another word's letter.
    let loss = line.rsplit_once(" Loss:").or_else(|| line.rsplit_once("_loss:")).map(|(_, rest)| rest.trim_start());
    let samples_seen = (epoch * of + seen) as u64;
    Some(Step {
        step: samples_seen,
        samples_seen,
        loss: number(loss?)?,
        lr: number(after("LR:")?)?,
        logit_scale: after("Logit Scale:").and_then(number).unwrap_or(f64::NAN),
        samples_per_second: line.split("/s").next().and_then(|text| number(text.rsplit(' ').next()?)).unwrap_or(0.0),
        stall_share: after("Stall:").and_then(number).map_or(0.0, |percent| percent / 100.0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_open_clip_are_understood() {
        let line = "2023-02-01,10:11:12 | INFO | Train Epoch: 1 [   5120/10968539 (0%)] Data (t): 0.120 Batch (t): 0.912, \
                    1402.11/s, 350.5/s/gpu LR: 0.000005 Logit Scale: 14.286 Contrastive_loss: 5.5452 (5.5452) Loss: 5.6 (5.7)";
        let step = of_line(line).unwrap();
        assert_eq!((step.samples_seen, step.loss, step.lr), (10_973_659, 5.6, 0.000005));
        assert_eq!((step.logit_scale, step.samples_per_second), (14.286, 1402.11));
        let only =
            "Train Epoch: 0 [ 64/640 (10%)] Data (t): 0.1 Batch (t): 0.2, 9/s LR: 1e-4 Contrastive_loss: 4.25 (4.25)";
        assert_eq!(of_line(only).unwrap().loss, 4.25);
        assert!(of_line("Eval epoch: 6").is_none());
    }

    #[test]
    fn a_run_is_a_folder_or_its_results() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("first");
        std::fs::create_dir_all(run.join("checkpoints")).unwrap();
        let told = format!("{:#}", Record::read(&run).unwrap_err());
        assert!(told.contains("holds no run"), "{told}");
        let step = |step, loss| serde_json::to_string(&Step { step, loss, ..Step::default() }).unwrap();
        let lines = [step(0, 3.0), step(1, 2.0), step(1, 1.5), "{\"st".to_owned()].join("\n");
        std::fs::write(run.join(STEPS_FILE), lines).unwrap();
        let results = run.join("checkpoints/results.jsonl");
        std::fs::write(&results, "{\"epoch\": 1, \"a-top1\": 0.5}\n{\"epoch\": 2, \"x\": NaN, \"a-top1\": 0.75}\n")
            .unwrap();
        let record = Record::read(&run).unwrap();
        assert_eq!(record, Record::read(&results).unwrap());
        assert_eq!(record.steps.iter().map(|step| step.loss).collect::<Vec<_>>(), [3.0, 1.5]);
        assert_eq!((record.name.as_str(), record.last("a-top1")), ("first", Some(0.75)));
        assert_eq!(record.pairs("epoch", "a-top1"), [[1.0, 0.5], [2.0, 0.75]]);
        std::fs::write(&results, "{\"epoch\": 1}\nnonsense\n").unwrap();
        assert!(format!("{:#}", Record::read(&run).unwrap_err()).contains("line 2"));
    }
}
