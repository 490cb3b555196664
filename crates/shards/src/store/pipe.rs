//! Shards that a command writes on its standard output.
//!
//! The command runs by `sh -c`, verbatim, in a process group of its own. Its output ends well
//! only if it exits with 0; a reader dropped before that ends the whole group.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use crate::error::{Error, Result};

/// How much of the end of the command's standard error an error quotes.
const STDERR_BYTES: usize = 4096;

/// Process groups of the commands that run.
static RUNNING: Mutex<Vec<u32>> = Mutex::new(Vec::new());

fn running() -> MutexGuard<'static, Vec<u32>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on [`end_commands`] ends this one too.
pub(super) fn remember(child: &Child) {
    running().push(child.id());
}

/// Before the command's number can be another process's.
pub(super) fn forget(child: &Child) {
    running().retain(|group| *group != child.id());
}

/// Ends all commands that are being read from or written to, so that a process which was told to stop leaves none behind and no thread
/// of it waits for one. Who reads or writes gets an error.
pub fn end_commands() {
    running().iter().for_each(|group| end_group(*group));
}

/// A running command.
pub(super) struct Pipe {
    child: Child,
    stdout: ChildStdout,
    stderr: Option<JoinHandle<Vec<u8>>>,
    /// Known once the output ended: the complaint, if there is one.
    verdict: Option<Option<String>>,
}

impl Pipe {
    /// Starts `command`.
    pub(super) fn start(command: &str) -> Result<Self> {
        let failed = |reason: String| Error::Source { uri: format!("pipe:{command}"), reason };
        let mut child = Command::new("sh")
            .args(["-c", command])
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| failed(format!("cannot start `sh`: {e}")))?;
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(failed("no pipes to the command".into()));
        };
        let stderr = Some(thread::spawn(move || last_bytes(stderr)));
        remember(&child);
        Ok(Self { child, stdout, stderr, verdict: None })
    }

    /// Waits for the command, whose output has ended.
    fn finish(&mut self) -> io::Result<Option<String>> {
        forget(&self.child);
        complaint(&mut self.child, self.stderr.take())
    }
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.verdict.is_none() {
            let count = self.stdout.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            self.verdict = Some(self.finish()?);
        }
        match &self.verdict {
            Some(Some(complaint)) => Err(io::Error::other(complaint.clone())),
            _ => Ok(0),
        }
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        if self.verdict.is_none() {
            forget(&self.child);
            end_group(self.child.id());
            // Whatever its status, we ended it; it must only not stay a zombie.
            let _ = self.child.wait();
            self.stderr.take().map(JoinHandle::join);
        }
    }
}

/// Waits for a command; what is to be said of one that ends with anything but 0.
pub(super) fn complaint(child: &mut Child, stderr: Option<JoinHandle<Vec<u8>>>) -> io::Result<Option<String>> {
    let status = child.wait()?;
    // What it left behind in its group may hold standard error open for ever.
    end_group(child.id());
    let said = stderr.map(JoinHandle::join).and_then(std::result::Result::ok).unwrap_or_default();
    let said = String::from_utf8_lossy(&said).trim().to_string();
    let said = if said.is_empty() { "and said nothing".to_owned() } else { format!("and said: {said}") };
    Ok((!status.success()).then(|| format!("command ended with {status}, {said}")))
}

#[allow(unsafe_code)]
pub(super) fn end_group(leader: u32) {
    if let Ok(group) = libc::pid_t::try_from(leader) {
        // SAFETY: kill takes two integers; the group is the one made for this child.
        unsafe { libc::kill(-group, libc::SIGKILL) };
    }
}

/// Reads to the end and keeps what came last.
pub(super) fn last_bytes(mut stderr: ChildStderr) -> Vec<u8> {
    let (mut kept, mut buffer) = (VecDeque::new(), [0; STDERR_BYTES]);
    while let Ok(count @ 1..) = stderr.read(&mut buffer) {
        kept.extend(&buffer[..count]);
        kept.drain(..kept.len().saturating_sub(STDERR_BYTES));
    }
    kept.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(command: &str) -> (Vec<u8>, io::Result<usize>) {
        let mut bytes = Vec::new();
        let result = Pipe::start(command).unwrap().read_to_end(&mut bytes);
        (bytes, result)
    }

    #[test]
    fn output_of_a_command_that_succeeds_is_read_whole() {
        let (bytes, result) = read("printf 'a  b'; printf \"$((1 + 2))\"");
        assert_eq!((bytes.as_slice(), result.unwrap()), (&b"a  b3"[..], 5));
    }

    #[test]
    fn a_command_that_fails_after_its_output_is_an_error_with_its_last_words() {
        let (bytes, result) = read("printf whole; exec 1>&-; echo no such key >&2; exit 7");
        assert_eq!(bytes, b"whole");
        let message = result.unwrap_err().to_string();
        assert!(message.contains("7") && message.contains("no such key"), "{message}");
    }

    #[test]
    fn a_command_that_is_not_there_is_an_error() {
        let message = read("no-such-command-here").1.unwrap_err().to_string();
        assert!(message.contains("127"), "{message}");
    }

    #[test]
    fn only_the_end_of_long_complaints_is_kept() {
        let (_, result) = read("i=0; while [ $i -lt 2000 ]; do echo line $i >&2; i=$((i+1)); done; exit 1");
        let message = result.unwrap_err().to_string();
        assert!(message.contains("line 1999") && !message.contains("line 5\n"), "{message}");
        assert!(message.len() < 2 * STDERR_BYTES);
    }

    #[test]
    fn a_reader_dropped_early_ends_the_command_and_its_children() {
        let mut pipe = Pipe::start("yes | cat").unwrap();
        let mut start = [0; 4];
        pipe.read_exact(&mut start).unwrap();
        assert_eq!(&start, b"y\ny\n");
        drop(pipe);
    }
}
