//! What HTTP and S3 share: the runtime their clients need, and a body read by blocking.

pub(super) mod patience;

use std::future::Future;
use std::io::{self, Read};
use std::sync::OnceLock;

use bytes::Bytes;
use tokio::runtime::{Builder, Handle, Runtime, RuntimeFlavor};
use tokio::task::block_in_place;

use self::patience::PAUSES;

/// One runtime serves all connections of the process; decoding never runs on it.
fn runtime() -> io::Result<&'static Runtime> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime);
    }
    let runtime = Builder::new_multi_thread().worker_threads(2).thread_name("shards-store").enable_all().build()?;
    Ok(RUNTIME.get_or_init(|| runtime))
}

/// Waits for what runs on that runtime. The thread may be one of another runtime's, if that has several.
pub(super) fn block_on<T>(future: impl Future<Output = T>) -> io::Result<T> {
    let runtime = runtime()?;
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => Ok(block_in_place(|| runtime.block_on(future))),
        _ => Ok(runtime.block_on(future)),
    }
}

/// The chunks of a body as they arrive.
pub(super) trait Chunks {
    /// The next chunk; `None` at the end.
    fn next_chunk(&mut self) -> impl Future<Output = Result<Option<Bytes>, String>>;
}

/// Something far away that can be asked for from a place within, as long as it is what it was.
pub(super) trait Remote {
    /// What it is delivered as.
    type Body: Chunks;

    /// The rest from byte `offset` on.
    fn rest(&self, offset: u64) -> impl Future<Output = Result<Self::Body, Refusal>>;
}

/// Why the rest of a body does not come.
pub(super) enum Refusal {
    /// For a reason that may pass.
    Passing(String),
    /// For good.
    Final(String),
}

/// A body whose length is checked against what was announced, and which goes on where its connection broke.
pub(super) struct Body<R: Remote> {
    /// `None` for what has no mark by which a change would be noticed.
    remote: Option<R>,
    chunks: R::Body,
    chunk: Bytes,
    received: u64,
    announced: Option<u64>,
    /// Since the last byte came.
    tries: usize,
}

impl<R: Remote> Body<R> {
    pub(super) fn new(remote: Option<R>, chunks: R::Body, announced: Option<u64>) -> Self {
        Self { remote, chunks, chunk: Bytes::new(), received: 0, announced, tries: 0 }
    }

    /// Why the end that was met is none.
    fn early_end(&self) -> Option<String> {
        let announced = self.announced.filter(|announced| *announced != self.received)?;
        Some(format!("it ends early (expected {announced} bytes)"))
    }

    /// Asks for the rest, at once and then again after pauses.
    fn go_on(&mut self, reason: String) -> io::Result<()> {
        let failed = |reason: &str| io::Error::other(format!("body fails after {} bytes: {reason}", self.received));
        let Some(remote) = &self.remote else { return Err(failed(&reason)) };
        let mut reason = reason;
        loop {
            if self.tries > 0 {
                let pause = PAUSES.get(self.tries - 1).copied();
                let goes_on = pause.map(|pause| block_on(patience::pause(pause))).transpose()?;
                if goes_on != Some(true) {
                    return Err(failed(&reason));
                }
            }
            self.tries += 1;
            match block_on(patience::in_time(remote.rest(self.received)))? {
                Some(Ok(chunks)) => {
                    tracing::debug!("a body that broke off goes on at byte {}: {reason}", self.received);
                    self.chunks = chunks;
                    return Ok(());
                }
                Some(Err(Refusal::Passing(why))) => reason = why,
                Some(Err(Refusal::Final(why))) => return Err(failed(&format!("{reason}; {why}"))),
                None => return Err(failed(&reason)),
            }
        }
    }
}

impl<R: Remote> Read for Body<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() && !buffer.is_empty() {
            let Some(chunk) = block_on(patience::in_time(self.chunks.next_chunk()))? else {
                return Err(io::Error::other(patience::TOO_LATE));
            };
            match chunk {
                Ok(Some(chunk)) => {
                    self.received += chunk.len() as u64;
                    self.tries = 0;
                    self.chunk = chunk;
                }
                Ok(None) => match self.early_end() {
                    None => return Ok(0),
                    Some(reason) => self.go_on(reason)?,
                },
                Err(reason) => self.go_on(reason)?,
            }
        }
        let count = buffer.len().min(self.chunk.len());
        buffer[..count].copy_from_slice(&self.chunk.split_to(count));
        Ok(count)
    }
}
