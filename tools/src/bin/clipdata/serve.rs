//! `clipdata serve`: a folder over HTTP on this machine, until Ctrl-C.

use std::sync::mpsc;

use anyhow::Context;
use tools::exit::{Hint, Outcome};
use tools::server::Server;
use tools::terminal;

use crate::cli::Serve;

/// Serves until interrupted.
pub fn run(arguments: &Serve) -> anyhow::Result<Outcome> {
    let folder = arguments.folder.display();
    anyhow::ensure!(arguments.folder.is_dir(), "cannot serve `{folder}`: no such folder");
    let server = Server::start(&arguments.folder, arguments.port)
        .with_context(|| Hint("--port 0 takes a free port".to_owned()))
        .with_context(|| format!("cannot serve `{folder}` on port {}", arguments.port))?;
    tools::note!("serving `{folder}` at {} until Ctrl-C", server.url("/"));
    let (stop, stopped) = mpsc::channel();
    terminal::on_interrupt(move || {
        // Whoever waits below may have gone already.
        let _ = stop.send(());
    })
    .context("cannot watch for Ctrl-C")?;
    let _ = stopped.recv();
    Ok(Outcome::Done)
}
