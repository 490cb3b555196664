//! Where the bytes of shards live.
//!
//! A source opened for reading ends (reads nothing) only when its end is proved: an HTTP body
//! has the length its header announced, a command has exited with 0. Otherwise the last read
//! is an error. A local file can vouch for nothing; its tar must. What comes over HTTP or from S3
//! goes on where a connection broke, as long as the server says that it is still the same thing.

mod cache;
mod claim;
mod command;
mod folder;
mod http;
pub mod local;
mod object;
mod pipe;
mod remote;
mod s3;

use std::fs::File;
use std::io::Read;

use crate::error::{Error, Result};
use crate::uri::ShardUri;

pub use self::cache::Cache;
pub use self::claim::Claim;
pub use self::folder::{Folder, OutputFile};
pub use self::pipe::end_commands;
pub use self::remote::patience::hurry;

/// Opens the bytes at `uri` for one reading from start to end.
///
/// # Errors
/// When there is no such file or object, no access to it, or no such server.
pub fn open(uri: &ShardUri) -> Result<Box<dyn Read + Send>> {
    match uri {
        ShardUri::Local(path) => Ok(Box::new(File::open(path).map_err(Error::io("open", path))?)),
        ShardUri::Http(url) => http::open(url),
        ShardUri::S3 { bucket, key } => s3::open(bucket, key),
        ShardUri::Pipe(command) => Ok(Box::new(pipe::Pipe::start(command)?)),
    }
}

/// What tells one state of the bytes at `uri` from another: their length, and when they changed last or the mark that
/// their server gives them. `None` for a command, and where a server gives no mark.
///
/// # Errors
/// When there is nothing at `uri`, or it cannot be asked.
pub fn state(uri: &ShardUri) -> Result<Option<String>> {
    match uri {
        ShardUri::Local(path) => local::state(path).map(Some),
        ShardUri::Http(_) => match cache::state(uri) {
            Ok(state) => Ok(state.map(|(mark, length)| format!("{length} {mark}"))),
            // Signed addresses may be good for reading only.
            Err(error) => {
                tracing::debug!("what state it is in is not known: {error}");
                Ok(None)
            }
        },
        ShardUri::S3 { .. } | ShardUri::Pipe(_) => {
            Ok(cache::state(uri)?.map(|(mark, length)| format!("{length} {mark}")))
        }
    }
}

/// More than a table of sizes of this machine has that names as many shards as there can be.
const MOST_BESIDE: u64 = 1 << 29;

/// A small file beside shards (`sizes.json`): `name` in the folder that the shard at `uri` is in. `None` where there is
/// none, or where the shard has no folder.
///
/// # Errors
/// When it is there and cannot be read.
pub fn read_beside(uri: &ShardUri, name: &str) -> Result<Option<Vec<u8>>> {
    match uri {
        ShardUri::Local(path) => {
            let file = path.with_file_name(name);
            match local::small(&file, MOST_BESIDE)? {
                Some(reason) => Err(Error::Table { path: file, reason }),
                None => Folder::from(path.parent().unwrap_or(std::path::Path::new(""))).read(name),
            }
        }
        ShardUri::S3 { bucket, key } => {
            let prefix = key.rsplit_once('/').map_or("", |(prefix, _)| prefix);
            Folder::S3 { bucket: bucket.clone(), prefix: prefix.into() }.read(name)
        }
        ShardUri::Http(url) => match url.split(['?', '#']).next().and_then(|url| url.rsplit_once('/')) {
            Some((folder, _)) => http::read(&format!("{folder}/{name}")),
            None => Ok(None),
        },
        ShardUri::Pipe(_) => Ok(None),
    }
}
