//! `clipdata ls`: every sample of some shards, and how each shard ended.

use serde::Serialize;
use tools::exit::Outcome;
use tools::{human, json, out};

use super::{each_sample, shards, tell};
use crate::cli::Ls;

#[derive(Debug, Default, Serialize)]
struct Totals {
    samples: u64,
    shards_complete: u64,
    shards_incomplete: u64,
}

/// Reads all shards, telling of each sample.
pub fn ls(arguments: &Ls) -> anyhow::Result<Outcome> {
    let mut totals = Totals::default();
    for (uri, proof) in shards(&arguments.spec.join("::"), arguments.accept_missing_end)? {
        let ended = each_sample(&uri, proof, |sample| {
            if !arguments.quiet {
                tell(&sample, &arguments.caption_key, arguments.json)?;
            }
            Ok(true)
        })?;
        let Some(line) = ended else { continue };
        totals.samples += line.samples;
        *(if line.complete { &mut totals.shards_complete } else { &mut totals.shards_incomplete }) += 1;
        match arguments.json {
            true => json::line("shard", &line)?,
            false => out::line(&line.text())?,
        }
    }
    match arguments.json {
        true => json::line("summary", &totals)?,
        false => {
            let (samples, complete) = (human::counted(totals.samples, "sample"), totals.shards_complete);
            out::line(&format!("{samples}; shards: {complete} complete, {} incomplete", totals.shards_incomplete))?;
        }
    }
    Ok(if totals.shards_incomplete == 0 { Outcome::Done } else { Outcome::BadData })
}
