//! All samples of shards in their order, for evaluation: each once, and after those of a shard what is wrong with it.

use shards::Sample;
use shards::reader::{ShardEnd, ShardReader};
use shards::spec::ShardSpec;
use shards::uri::ShardUri;

use crate::evaluation::Unreadable;

/// The samples of all shards. One that cannot be opened or is not whole is among the unreadable.
pub(crate) fn samples(spec: &ShardSpec) -> impl Iterator<Item = Result<Sample, Unreadable>> + Send + use<> {
    let uris: Vec<ShardUri> = spec.uris().cloned().collect();
    uris.into_iter().flat_map(|uri| ShardSamples::open(&uri))
}

/// The samples of one shard, and in the end what is wrong with it.
struct ShardSamples {
    uri: String,
    /// `None` once there is no more to come.
    reader: Option<ShardReader<Box<dyn std::io::Read + Send>>>,
    trouble: Option<String>,
}

impl ShardSamples {
    fn open(uri: &ShardUri) -> Self {
        let (reader, trouble) = match ShardReader::open(uri) {
            Ok(reader) => (Some(reader), None),
            Err(error) => (None, Some(error.to_string())),
        };
        Self { uri: uri.to_string(), reader, trouble }
    }
}

impl Iterator for ShardSamples {
    type Item = Result<Sample, Unreadable>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(reader) = &mut self.reader {
            match reader.next() {
                Some(Ok(sample)) => return Some(Ok(sample)),
                // The end of the shard says what the error is.
                Some(Err(_)) | None => self.trouble = reader.end().and_then(incomplete),
            }
            self.reader = None;
        }
        let reason = self.trouble.take()?;
        Some(Err(Unreadable { key: self.uri.clone(), reason }))
    }
}

fn incomplete(end: &ShardEnd) -> Option<String> {
    match end {
        ShardEnd::Complete { .. } => None,
        ShardEnd::Incomplete { samples, reason, offset, .. } => {
            Some(format!("shard is incomplete: {reason} (at byte {offset}, after {samples} samples)"))
        }
    }
}
