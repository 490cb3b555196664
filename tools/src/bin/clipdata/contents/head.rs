//! `clipdata head`: the first samples of some shards.

use tools::exit::Outcome;
use tools::json;

use super::{each_sample, shards, tell};
use crate::cli::Head;

/// Tells of the first samples; shards that turn out not to be whole on the way are told on standard error.
pub fn head(arguments: &Head) -> anyhow::Result<Outcome> {
    let (mut left, mut outcome) = (arguments.samples, Outcome::Done);
    for (uri, proof) in shards(&arguments.spec.join("::"), arguments.accept_missing_end)? {
        if left == 0 {
            return Ok(outcome);
        }
        let ended = each_sample(&uri, proof, |sample| {
            tell(&sample, &arguments.caption_key, arguments.json)?;
            left -= 1;
            Ok(left > 0)
        })?;
        let Some(line) = ended.filter(|line| !line.complete) else { continue };
        outcome = Outcome::BadData;
        match arguments.json {
            true => json::line("shard", &line)?,
            false => tools::note!("{}", line.text()),
        }
    }
    if left == arguments.samples && left > 0 {
        tools::note!("no sample in `{}`", arguments.spec.join("::"));
        outcome = Outcome::BadData;
    }
    Ok(outcome)
}
