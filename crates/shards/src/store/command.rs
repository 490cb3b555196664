//! Files that a command reads on its standard input.

use std::io::{self, BufWriter, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread::{self, JoinHandle};

use super::pipe::{complaint, end_group, forget, last_bytes, remember};
use crate::error::{Error, Result};

/// A file on its way into a command.
pub struct CommandWriter {
    uri: String,
    child: Child,
    /// `None` once the file has ended.
    stdin: Option<BufWriter<ChildStdin>>,
    stderr: Option<JoinHandle<Vec<u8>>>,
}

impl CommandWriter {
    /// Starts `command` by `sh -c` in a process group of its own, each `{}` in it replaced by `name`.
    pub(super) fn start(command: &str, name: &str) -> Result<Self> {
        use std::os::unix::process::CommandExt;
        let command = command.replace("{}", name);
        let uri = format!("pipe:{command}");
        let failed = |reason: String| Error::Source { uri: uri.clone(), reason };
        let mut child = Command::new("sh")
            .args(["-c", &command])
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| failed(format!("cannot start `sh`: {error}")))?;
        let (Some(stdin), Some(stderr)) = (child.stdin.take(), child.stderr.take()) else {
            return Err(failed("no pipes to the command".into()));
        };
        let stdin = Some(BufWriter::with_capacity(1 << 18, stdin));
        let stderr = Some(thread::spawn(move || last_bytes(stderr)));
        remember(&child);
        Ok(Self { uri, child, stdin, stderr })
    }

    /// What messages call the file.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// Ends the file and waits for the command to have dealt with it.
    ///
    /// # Errors
    /// When the command ends with anything but 0.
    pub fn seal(mut self) -> Result<()> {
        let flushed = self.stdin.take().map_or(Ok(()), |mut stdin| stdin.flush());
        let ended = complaint(&mut self.child, self.stderr.take());
        forget(&self.child);
        match (ended, flushed) {
            (Ok(None), Ok(())) => Ok(()),
            (Ok(Some(complaint)), _) => Err(self.failed(&complaint)),
            (Err(error), _) | (_, Err(error)) => Err(self.failed(&error.to_string())),
        }
    }

    fn failed(&self, reason: &str) -> Error {
        Error::Source { uri: self.uri.clone(), reason: reason.to_owned() }
    }
}

impl Write for CommandWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stdin.as_mut().map_or(Err(io::ErrorKind::BrokenPipe.into()), |stdin| stdin.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stdin.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl Drop for CommandWriter {
    fn drop(&mut self) {
        if let Some(stdin) = self.stdin.take() {
            // Ended before the pipe is closed, so that it cannot take what came for the whole file.
            end_group(self.child.id());
            let (pipe, _) = stdin.into_parts();
            drop(pipe);
            forget(&self.child);
            let _ = self.child.wait();
        }
    }
}
