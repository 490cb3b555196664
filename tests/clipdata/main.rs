//! `clipdata` as a user runs it, against a server on the loopback address.

mod addresses;
mod behaviours;
mod contents;
mod download;
mod inputs;
mod outputs;
mod pictures;
mod reports;
mod s3;
mod stats;

/// The binary, ready for arguments.
fn clipdata() -> support::Command {
    support::Command::new(env!("CARGO_BIN_EXE_clipdata"))
}
