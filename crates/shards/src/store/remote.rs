//! What HTTP and S3 share: the runtime their clients need, and a body read by blocking.

pub(super) mod patience;

use std::future::Future;
use std::io::{self, Read};
use std::sync::OnceLock;

use bytes::Bytes;
use tokio::runtime::{Builder, Handle, Runtime, RuntimeFlavor};
use tokio::task::block_in_place;

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

/// A body whose length is checked against what was announced.
pub(super) struct Body<C> {
    chunks: C,
    chunk: Bytes,
    received: u64,
    announced: Option<u64>,
}

impl<C: Chunks> Body<C> {
    pub(super) fn new(chunks: C, announced: Option<u64>) -> Self {
        Self { chunks, chunk: Bytes::new(), received: 0, announced }
    }

    fn check_length(&self) -> io::Result<()> {
        match self.announced {
            Some(announced) if announced != self.received => {
                let received = self.received;
                Err(io::Error::other(format!("body ends early (expected {announced} bytes, got {received})")))
            }
            _ => Ok(()),
        }
    }
}

impl<C: Chunks> Read for Body<C> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() && !buffer.is_empty() {
            let next = block_on(self.chunks.next_chunk())?;
            let at = |reason| io::Error::other(format!("body fails after {} bytes: {reason}", self.received));
            let Some(chunk) = next.map_err(at)? else { return self.check_length().map(|()| 0) };
            self.received += chunk.len() as u64;
            self.chunk = chunk;
        }
        let count = buffer.len().min(self.chunk.len());
        buffer[..count].copy_from_slice(&self.chunk.split_to(count));
        Ok(count)
    }
}
