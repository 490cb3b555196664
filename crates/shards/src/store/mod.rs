//! Where the bytes of shards live.
//!
//! A source opened for reading ends (reads nothing) only when its end is proved: an HTTP body
//! has the length its header announced, a command has exited with 0. Otherwise the last read
//! is an error. A local file can vouch for nothing; its tar must.

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
