//! Runs a binary as a user would, and hands back what it said.

use std::ffi::OsStr;
use std::io::Read;
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A binary with its arguments. The environment is empty but for `PATH`, `HOME` and what is set here.
#[derive(Debug)]
pub struct Command {
    inner: std::process::Command,
    timeout: Duration,
}

/// How a command ended and what it said.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Exit status.
    pub status: ExitStatus,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// Output cannot be waited for without looking now and then.
const GLANCE: Duration = Duration::from_millis(5);

impl Command {
    /// For a binary, in a test `env!("CARGO_BIN_EXE_clipdata")`.
    pub fn new(binary: impl AsRef<Path>) -> Self {
        let mut inner = std::process::Command::new(binary.as_ref());
        inner.env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        for name in ["PATH", "HOME", "LD_LIBRARY_PATH", "TMPDIR"] {
            if let Some(value) = std::env::var_os(name) {
                inner.env(name, value);
            }
        }
        Self { inner, timeout: Duration::from_secs(120) }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.inner.arg(argument);
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.inner.args(arguments);
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.inner.env(name, value);
        self
    }

    /// Runs in this folder.
    #[must_use]
    pub fn current_dir(mut self, folder: impl AsRef<Path>) -> Self {
        self.inner.current_dir(folder);
        self
    }

    /// Writes standard output to this instead of keeping it.
    #[must_use]
    pub fn stdout(mut self, to: impl Into<Stdio>) -> Self {
        self.inner.stdout(to);
        self
    }

    /// Writes standard error to this instead of keeping it.
    #[must_use]
    pub fn stderr(mut self, to: impl Into<Stdio>) -> Self {
        self.inner.stderr(to);
        self
    }

    /// Gives up after this time instead of two minutes.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Starts it without waiting, for tests that interrupt it. Whoever calls waits for the child.
    pub fn spawn(mut self) -> Child {
        self.inner.spawn().unwrap_or_else(|error| panic!("cannot start {:?}: {error}", self.inner))
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// When it cannot be started or takes longer than the timeout; it is killed then.
    pub fn run(self) -> Finished {
        let (timeout, shown) = (self.timeout, format!("{:?}", self.inner));
        let mut child = self.spawn();
        let stdout = collect(child.stdout.take());
        let stderr = collect(child.stderr.take());
        let status = wait(&mut child, timeout);
        let [stdout, stderr] = [stdout, stderr]
            .map(|thread| thread.join().unwrap_or_default())
            .map(|text| String::from_utf8_lossy(&text).into_owned());
        let Some(status) = status else {
            panic!("{shown} did not end within {timeout:?}\nstdout:\n{stdout}\nstderr:\n{stderr}")
        };
        Finished { status, stdout, stderr }
    }
}

impl Finished {
    /// The exit code; panics when a signal ended it.
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| panic!("ended by a signal: {self}"))
    }

    /// Panics with all output unless the exit code is this one.
    #[must_use]
    pub fn expect_code(self, code: i32) -> Self {
        assert!(self.status.code() == Some(code), "expected exit code {code}, got {self}");
        self
    }

    /// Panics with all output unless the exit code is 0.
    #[must_use]
    pub fn success(self) -> Self {
        self.expect_code(0)
    }

    /// Standard output as JSON Lines.
    pub fn json_lines(&self) -> Vec<serde_json::Value> {
        let parse =
            |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("not JSON ({error}): {line}"));
        self.stdout.lines().filter(|line| !line.trim().is_empty()).map(parse).collect()
    }

    /// The `data` of the JSON lines of this `type`.
    pub fn json_data(&self, kind: &str) -> Vec<serde_json::Value> {
        let lines = self.json_lines().into_iter();
        lines.filter(|line| line["type"] == kind).map(|mut line| line["data"].take()).collect()
    }
}

impl std::fmt::Display for Finished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}\nstdout:\n{}\nstderr:\n{}", self.status, self.stdout, self.stderr)
    }
}

fn collect(pipe: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What came before a broken pipe is kept.
            let _ = pipe.read_to_end(&mut bytes);
        }
        bytes
    })
}

/// The exit status, or nothing when the time was up and the child was killed.
fn wait(child: &mut Child, timeout: Duration) -> Option<ExitStatus> {
    let deadline = Instant::now() + timeout;
    loop {
        if let Some(status) = child.try_wait().expect("a child of this process can be waited for") {
            return Some(status);
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        std::thread::sleep(GLANCE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        Command::new("/bin/sh").arg("-c").arg(script)
    }

    #[test]
    fn output_and_exit_code_come_back() {
        let finished = shell("echo out; echo err >&2; exit 3").run().expect_code(3);
        assert_eq!((finished.stdout.as_str(), finished.stderr.as_str()), ("out\n", "err\n"));
    }

    #[test]
    fn json_lines_are_picked_by_type() {
        let finished = shell(r#"echo '{"type":"a","data":1}'; echo; echo '{"type":"b","data":2}'"#).run().success();
        assert_eq!(finished.json_lines().len(), 2);
        assert_eq!(finished.json_data("b"), [serde_json::json!(2)]);
    }

    #[test]
    #[should_panic(expected = "did not end within")]
    fn a_command_that_hangs_is_killed() {
        shell("exec tail -f /dev/null").timeout(Duration::from_millis(50)).run();
    }

    #[test]
    fn the_environment_is_what_the_test_sets() {
        let finished = shell("echo $GREETING$CARGO_PKG_NAME").env("GREETING", "hello").run().success();
        assert_eq!(finished.stdout, "hello\n");
    }
}
