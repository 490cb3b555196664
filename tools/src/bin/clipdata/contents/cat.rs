//! `clipdata cat`: the bytes of one member.

use anyhow::{anyhow, bail};
use tools::exit::{Hint, Outcome};
use tools::{human, out};

use super::{each_sample, shards};
use crate::cli::Cat;

/// Writes the member to standard output.
pub fn cat(arguments: &Cat) -> anyhow::Result<Outcome> {
    let member = &arguments.member;
    let Some((key, extension)) = shards::key::split_name(member) else {
        bail!("`{member}`: expected the key of a sample and an extension, such as 000120005.jpg");
    };
    let (mut samples, mut found, mut broken) = (0u64, None, Vec::new());
    for (uri, proof) in shards(&arguments.spec, false)? {
        let ended = each_sample(&uri, proof, |sample| {
            samples += 1;
            if sample.key.as_str() == key {
                found = Some(sample);
            }
            Ok(found.is_none())
        })?;
        if let Some(sample) = found {
            let Some(field) = sample.field(&[&extension]) else {
                let has: Vec<_> = sample.fields.iter().map(|field| field.extension.as_str()).collect();
                bail!("shard `{uri}`: sample `{key}` has no `{extension}` (it has: {})", has.join(", "));
            };
            out::bytes(&field.bytes)?;
            return Ok(Outcome::Done);
        }
        broken.extend(ended.filter(|line| !line.complete).map(|line| line.text()));
    }
    let mut told = format!("no sample `{key}` among the {} read", human::counted(samples, "sample"));
    broken.iter().for_each(|line| told.push_str(&format!("\n  {line}")));
    let hint = Hint("clipdata ls lists the keys".to_owned());
    Err(anyhow!(told).context(hint))
}
