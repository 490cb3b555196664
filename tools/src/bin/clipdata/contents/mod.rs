//! `clipdata ls`, `head` and `cat`: what is in shards, and whether they are whole.

mod cat;
mod head;
mod ls;

use loader::recorded;
use serde::Serialize;
use shards::Sample;
use shards::reader::{MissingEnd, Proof, ShardEnd, ShardReader};
use shards::uri::ShardUri;
use tools::out::visible;
use tools::{human, json, out, sources};

pub use cat::cat;
pub use head::head;
pub use ls::ls;

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
    /// How many it has by its sizes.json or _stats.json, where that is known.
    samples_recorded: Option<u64>,
    /// Links, devices, and files without an extension.
    members_left_out: u64,
    /// What is missing; the rest is there where this is.
    reason: Option<String>,
    /// The sample that was lost, where its name is known.
    key: Option<String>,
    /// Where, in the uncompressed tar.
    offset: Option<u64>,
}

/// The shards of a specification, with what their writers recorded of them.
fn shards(spec: &str, accept_missing_end: bool) -> anyhow::Result<Vec<(ShardUri, Proof)>> {
    let missing_end = if accept_missing_end { MissingEnd::IsAccepted } else { MissingEnd::IsACut };
    let uris: Vec<_> = sources::parse(spec)?.uris().cloned().collect();
    let proofs = recorded(&uris, missing_end).unwrap_or_else(|error| {
        tracing::warn!("{:#}; counts that were recorded are not looked at", anyhow::Error::new(error));
        vec![Proof { missing_end, ..Proof::default() }; uris.len()]
    });
    Ok(uris.into_iter().zip(proofs).collect())
}

/// Hands over the samples of a shard until `take` wants no more; how it ended, where it was read that far.
fn each_sample(
    uri: &ShardUri,
    proof: Proof,
    mut take: impl FnMut(Sample) -> anyhow::Result<bool>,
) -> anyhow::Result<Option<ShardLine>> {
    let mut reader = match ShardReader::open(uri) {
        Ok(reader) => reader.with_proof(proof),
        Err(error) => return Ok(Some(ShardLine::unopened(uri, &anyhow::Error::new(error)))),
    };
    // What is no tar is told by the end of the shard.
    while let Some(Ok(sample)) = reader.next() {
        if !take(sample)? {
            return Ok(None);
        }
    }
    Ok(reader.end().map(|end| ShardLine::of(&reader, end, proof.samples)))
}

impl ShardLine {
    fn unopened(uri: &ShardUri, error: &anyhow::Error) -> Self {
        Self {
            shard: uri.to_string(),
            complete: false,
            samples: 0,
            samples_recorded: None,
            members_left_out: 0,
            reason: Some(format!("{error:#}")),
            key: None,
            offset: None,
        }
    }

    fn of<R: std::io::Read>(reader: &ShardReader<R>, end: &ShardEnd, samples_recorded: Option<u64>) -> Self {
        let (samples, missing) = match end {
            ShardEnd::Complete { samples } => (*samples, None),
            ShardEnd::Incomplete { samples, reason, offset, key } => (*samples, Some((reason, *offset, key))),
        };
        Self {
            shard: reader.shard().to_owned(),
            complete: missing.is_none(),
            samples,
            samples_recorded,
            members_left_out: reader.members_left_out(),
            reason: missing.map(|(reason, ..)| reason.to_string()),
            key: missing.and_then(|(.., key)| key.as_ref()).map(ToString::to_string),
            offset: missing.map(|(_, offset, _)| offset),
        }
    }

    fn text(&self) -> String {
        let (shard, samples) = (visible(&self.shard), human::counted(self.samples, "sample"));
        let mut text = match &self.reason {
            None => format!("{shard}: complete, {samples}"),
            Some(reason) => {
                let lost = self.key.as_ref().map(|key| format!(", sample `{}` is lost", visible(key)));
                let lost = lost.unwrap_or_default();
                let offset = self.offset.map(|offset| format!(" (at byte {offset}{lost})")).unwrap_or_default();
                format!("{shard}: INCOMPLETE after {samples}: {}{offset}", visible(reason))
            }
        };
        if let Some(recorded) = self.samples_recorded.filter(|recorded| self.complete && *recorded != self.samples) {
            text.push_str(&format!(", but {} in its sizes.json or _stats.json", human::thousands(recorded)));
        }
        if self.members_left_out > 0 {
            let members = human::counted(self.members_left_out, "member");
            text.push_str(&format!("; left out: {members} that are no files or have no extension"));
        }
        text
    }
}

fn tell(sample: &Sample, caption_key: &str, as_json: bool) -> anyhow::Result<()> {
    let caption = sample.field(&[caption_key]).map(|field| String::from_utf8_lossy(&field.bytes).into_owned());
    if as_json {
        let (shard, key) = (&*sample.shard, sample.key.as_str());
        let extensions = sample.fields.iter().map(|field| field.extension.as_str()).collect();
        let sizes = sample.fields.iter().map(|field| field.bytes.len()).collect();
        return Ok(json::line("sample", &Listed { shard, key, extensions, sizes, caption })?);
    }
    let mut text = visible(sample.key.as_str());
    for field in &sample.fields {
        text.push_str(&format!("  {} {}", visible(&field.extension), human::bytes(field.bytes.len() as u64)));
    }
    if let Some(caption) = caption {
        text.push_str(&format!("  {}", one_line(&caption)));
    }
    Ok(out::line(&text)?)
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
