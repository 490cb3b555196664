//! `clipdata ls`, `head` and `cat`: what is in shards, and whether they are whole.

use std::io::Write;

use anyhow::{Context, bail};
use loader::recorded;
use serde::Serialize;
use shards::Sample;
use shards::reader::{MissingEnd, Proof, ShardEnd, ShardReader};
use shards::spec::ShardSpec;
use shards::uri::ShardUri;
use tools::exit::{Hint, Outcome};
use tools::{human, json};

use crate::cli::{Cat, Head, Ls};

/// One sample as it is told.
#[derive(Debug, Serialize)]
struct Listed<'a> {
    shard: &'a str,
    key: &'a str,
    extensions: Vec<&'a str>,
    sizes: Vec<usize>,
    caption: Option<String>,
}

/// How one shard ended.
#[derive(Debug, Serialize)]
struct ShardLine {
    shard: String,
    complete: bool,
    samples: u64,
    /// What is missing; the rest is there where this is.
    reason: Option<String>,
    /// The sample that was lost, where its name is known.
    key: Option<String>,
    /// Where, in the uncompressed tar.
    offset: Option<u64>,
}

#[derive(Debug, Default, Serialize)]
struct Totals {
    samples: u64,
    shards_complete: u64,
    shards_incomplete: u64,
}

/// Reads all shards, telling of each sample.
pub fn ls(arguments: &Ls) -> anyhow::Result<Outcome> {
    let missing_end = if arguments.accept_missing_end { MissingEnd::IsAccepted } else { MissingEnd::IsACut };
    let uris = uris(&arguments.spec)?;
    let proofs = recorded(&uris, missing_end)?;
    let mut totals = Totals::default();
    for (uri, proof) in uris.iter().zip(proofs) {
        let line = list(uri, proof, arguments)?;
        totals.samples += line.samples;
        *(if line.complete { &mut totals.shards_complete } else { &mut totals.shards_incomplete }) += 1;
        match arguments.json {
            true => json::line("shard", &line)?,
            false => write_line(&shard_text(&line))?,
        }
    }
    match arguments.json {
        true => json::line("summary", &totals)?,
        false => {
            let (samples, complete) = (human::counted(totals.samples, "sample"), totals.shards_complete);
            write_line(&format!("{samples}; shards: {complete} complete, {} incomplete", totals.shards_incomplete))?;
        }
    }
    Ok(if totals.shards_incomplete == 0 { Outcome::Done } else { Outcome::BadData })
}

fn list(uri: &ShardUri, proof: Proof, arguments: &Ls) -> anyhow::Result<ShardLine> {
    let failed = |samples, reason| {
        let (key, offset) = (None, None);
        ShardLine { shard: uri.to_string(), complete: false, samples, reason: Some(reason), key, offset }
    };
    let mut reader = match ShardReader::open(uri) {
        Ok(reader) => reader.with_proof(proof),
        Err(error) => return Ok(failed(0, format!("{:#}", anyhow::Error::new(error)))),
    };
    let (mut samples, mut trouble) = (0, None);
    for sample in reader.by_ref() {
        match sample {
            Ok(sample) => {
                samples += 1;
                if !arguments.quiet {
                    tell(&sample, &arguments.caption_key, arguments.json)?;
                }
            }
            Err(error) => trouble = Some(error.to_string()),
        }
    }
    Ok(match reader.end() {
        Some(ShardEnd::Incomplete { samples, reason, offset, key }) => ShardLine {
            shard: uri.to_string(),
            complete: false,
            samples: *samples,
            reason: Some(trouble.unwrap_or_else(|| reason.to_string())),
            key: key.as_ref().map(ToString::to_string),
            offset: Some(*offset),
        },
        _ => ShardLine { complete: true, reason: None, ..failed(samples, String::new()) },
    })
}

fn shard_text(line: &ShardLine) -> String {
    let (shard, samples) = (&line.shard, human::counted(line.samples, "sample"));
    let Some(reason) = &line.reason else { return format!("{shard}: complete, {samples}") };
    let key = line.key.as_ref().map(|key| format!(", sample `{key}` is lost")).unwrap_or_default();
    let offset = line.offset.map(|offset| format!(" (at byte {offset}{key})")).unwrap_or_default();
    format!("{shard}: INCOMPLETE after {samples}: {reason}{offset}")
}

/// The first samples.
pub fn head(arguments: &Head) -> anyhow::Result<Outcome> {
    let mut left = arguments.samples;
    for uri in uris(&arguments.spec)? {
        if left == 0 {
            break;
        }
        for sample in ShardReader::open(&uri)?.take(usize::try_from(left).unwrap_or(usize::MAX)) {
            tell(&sample?, &arguments.caption_key, arguments.json)?;
            left -= 1;
        }
    }
    Ok(Outcome::Done)
}

/// One member's bytes.
pub fn cat(arguments: &Cat) -> anyhow::Result<Outcome> {
    let member = &arguments.member;
    let Some((key, extension)) = shards::key::split_name(member) else {
        bail!("`{member}`: expected the key of a sample and an extension, such as 000120005.jpg");
    };
    let mut samples = 0u64;
    for uri in uris(&arguments.spec)? {
        for sample in ShardReader::open(&uri)? {
            let sample = sample?;
            samples += 1;
            if sample.key.as_str() != key {
                continue;
            }
            if let Some(field) = sample.field(&[&extension]) {
                std::io::stdout().lock().write_all(&field.bytes).context("cannot write to standard output")?;
                return Ok(Outcome::Done);
            }
            let has: Vec<_> = sample.fields.iter().map(|field| field.extension.as_str()).collect();
            bail!("shard `{uri}`: sample `{key}` has no `{extension}` (it has: {})", has.join(", "));
        }
    }
    let hint = Hint("clipdata ls lists the keys".to_owned());
    Err(anyhow::anyhow!("no sample `{key}` among the {} read", human::counted(samples, "sample")).context(hint))
}

fn uris(spec: &str) -> anyhow::Result<Vec<ShardUri>> {
    Ok(ShardSpec::parse(spec)?.uris().cloned().collect())
}

fn tell(sample: &Sample, caption_key: &str, as_json: bool) -> anyhow::Result<()> {
    let caption = sample.field(&[caption_key]).map(|field| String::from_utf8_lossy(&field.bytes).into_owned());
    if as_json {
        let (shard, key) = (&*sample.shard, sample.key.as_str());
        let extensions = sample.fields.iter().map(|field| field.extension.as_str()).collect();
        let sizes = sample.fields.iter().map(|field| field.bytes.len()).collect();
        return Ok(json::line("sample", &Listed { shard, key, extensions, sizes, caption })?);
    }
    let fields =
        sample.fields.iter().map(|field| format!("{} {}", field.extension, human::bytes(field.bytes.len() as u64)));
    let caption = caption.map(|caption| format!("  {}", one_line(&caption))).unwrap_or_default();
    write_line(&format!("{}  {}{caption}", sample.key, fields.collect::<Vec<_>>().join("  ")))
}

/// The start of a caption, without anything that a terminal would act on.
fn one_line(caption: &str) -> String {
    const MOST: usize = 80;
    let mut text: String = caption.trim().chars().take(MOST).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if caption.trim().chars().count() > MOST {
        text.push('…');
    }
    text
}

fn write_line(line: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout().lock(), "{line}").context("cannot write to standard output")
}
