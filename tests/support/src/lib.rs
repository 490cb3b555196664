//! What the tests share: servers on the loopback address that behave or misbehave as told, drawn pictures,
//! and a harness that runs the binaries. Everything is deterministic, and is gone when it is dropped.
//!
//! It may panic: whoever calls it is a test.

#![warn(missing_docs)]

pub mod command;
pub mod compressed;
pub mod fixtures;
pub mod name_server;
pub mod picture;
pub mod s3;
pub mod script;
pub mod server;
pub mod tarball;

pub use command::{Command, Finished};
pub use name_server::{NameServer, Naming};
pub use picture::{Format, picture};
pub use s3::S3;
pub use script::Step;
pub use server::{Behaviour, Request, Server};
pub use tarball::tarball;
