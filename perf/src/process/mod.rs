//! Our own programs as children of a test: found, started, listened to, and always ended.

mod binary;
mod output;

use std::ffi::OsStr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

pub use binary::{Missing, path};

use crate::kernel::signal::{self, Signal};
use crate::netns::Netns;
use crate::wait::{TimedOut, wait_for};
use output::Listener;

/// What goes wrong with a child.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The binary is not built.
    #[error(transparent)]
    Missing(#[from] Missing),
    /// It could not be started.
    #[error("cannot start {program}: {source}")]
    Start {
        /// Its name.
        program: String,
        /// Why not.
        source: std::io::Error,
    },
    /// It did not do what was waited for; with what it said.
    #[error("{program}: {timed_out}\n{said}")]
    TimedOut {
        /// Its name.
        program: String,
        /// What was waited for.
        timed_out: TimedOut,
        /// The end of its output.
        said: String,
    },
}

/// A program about to be started.
#[derive(Debug)]
pub struct Program {
    name: String,
    command: Command,
}

impl Program {
    /// One of our binaries (`gannet-probe`), as `cargo build --workspace` left it beside this test.
    ///
    /// # Errors
    /// When it is not built: the message names the command.
    pub fn ours(name: &str) -> Result<Self, Error> {
        Ok(Self { name: name.to_owned(), command: Command::new(path(name)?) })
    }

    /// The same, inside a namespace.
    ///
    /// # Errors
    /// As [`Program::ours`].
    pub fn ours_in(namespace: &Netns, name: &str) -> Result<Self, Error> {
        Ok(Self { name: name.to_owned(), command: namespace.command(path(name)?) })
    }

    /// Any program, by a command made elsewhere ([`Netns::command`]).
    #[must_use]
    pub fn foreign(name: &str, command: Command) -> Self {
        Self { name: name.to_owned(), command }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<S: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.command.args(arguments);
        self
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Starts it, listening to its output.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn start(mut self) -> Result<Running, Error> {
        signal::die_with_parent(&mut self.command);
        let child = self
            .command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|source| Error::Start { program: self.name.clone(), source })?;
        Ok(Running::new(self.name, child))
    }

    /// Starts it and waits for its end.
    ///
    /// # Errors
    /// When it does not start, or not end within `bound` (it is killed then).
    pub fn run(self, bound: Duration) -> Result<Finished, Error> {
        self.start()?.wait(bound)
    }
}

/// A child that runs; killed when dropped.
#[derive(Debug)]
pub struct Running {
    name: String,
    child: Child,
    stdout: Listener,
    stderr: Listener,
}

/// A child that ended.
#[derive(Debug)]
pub struct Finished {
    /// How.
    pub status: ExitStatus,
    /// All it wrote to standard output.
    pub stdout: String,
    /// All it wrote to standard error.
    pub stderr: String,
}

impl Finished {
    /// Its exit code; -1 when a signal ended it.
    #[must_use]
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or(-1)
    }
}

impl Running {
    fn new(name: String, mut child: Child) -> Self {
        let stdout = Listener::start(child.stdout.take());
        let stderr = Listener::start(child.stderr.take());
        Self { name, child, stdout, stderr }
    }

    /// Its pid.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote to standard output so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        self.stdout.so_far()
    }

    /// What it wrote to standard error so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.stderr.so_far()
    }

    /// When its standard error first had these words; whoever asks late gets the same answer.
    #[must_use]
    pub fn said_at(&self, words: &str) -> Option<Instant> {
        self.stderr.came_at(words)
    }

    /// Whether it has ended, without waiting.
    pub fn ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// Waits until a line of its output (standard error or standard output) contains `words`; gives that line.
    ///
    /// # Errors
    /// When that does not happen within `bound`, or it ended before.
    pub fn wait_for_line(&mut self, words: &str, bound: Duration) -> Result<String, Error> {
        let found = wait_for(&format!("it says {words:?}"), bound, || {
            let ended = self.ended();
            let said = self.stderr() + &self.stdout();
            let line = said.lines().find(|line| line.contains(words)).map(str::to_owned);
            if line.is_none() && ended { Some(None) } else { line.map(Some) }
        });
        match found {
            Ok(Some(line)) => Ok(line),
            Ok(None) => Err(self.timed_out(TimedOut {
                description: format!("it says {words:?}: it ended before"),
                waited: Duration::ZERO,
            })),
            Err(timed_out) => Err(self.timed_out(timed_out)),
        }
    }

    /// Sends a signal and goes on.
    pub fn signal(&self, signal: Signal) {
        signal::send(self.child.id(), signal);
    }

    /// Sends a signal and waits for the end.
    ///
    /// # Errors
    /// When it does not end within `bound`; it is killed then.
    pub fn stop(self, signal: Signal, bound: Duration) -> Result<Finished, Error> {
        self.signal(signal);
        self.wait(bound)
    }

    /// Ends it at once, as a crash does.
    ///
    /// # Errors
    /// When the kernel does not end it (a process in an uninterruptible system call).
    pub fn kill(self) -> Result<Finished, Error> {
        /// SIGKILL cannot be refused: only a system call that does not return delays it.
        const KILL_BOUND: Duration = Duration::from_secs(10);
        self.stop(Signal::Kill, KILL_BOUND)
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When that does not come within `bound`; it is killed then.
    pub fn wait(mut self, bound: Duration) -> Result<Finished, Error> {
        let ended = wait_for("it ends", bound, || self.child.try_wait().ok().flatten());
        match ended {
            Ok(status) => {
                Ok(Finished { status, stdout: self.stdout.read_to_end(), stderr: self.stderr.read_to_end() })
            }
            Err(timed_out) => Err(self.timed_out(timed_out)),
        }
    }

    fn timed_out(&self, timed_out: TimedOut) -> Error {
        let said = format!("standard error:\n{}standard output:\n{}", self.stderr(), self.stdout());
        Error::TimedOut { program: self.name.clone(), timed_out, said }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only when it has ended and was waited for.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Program {
        Program::foreign("sh", Command::new("sh")).args(["-c", script])
    }

    #[test]
    fn output_and_code_of_a_child_are_kept() {
        let finished = shell("echo out; echo err >&2; exit 3").run(Duration::from_secs(10)).unwrap();
        assert_eq!((finished.code(), &*finished.stdout, &*finished.stderr), (3, "out\n", "err\n"));
    }

    #[test]
    fn when_words_came_is_known_later() {
        let before = Instant::now();
        let mut child = shell("echo one >&2; sleep 0.3; echo two >&2; exec sleep 60").start().unwrap();
        child.wait_for_line("two", Duration::from_secs(10)).unwrap();
        let [one, two] = ["one", "two"].map(|words| child.said_at(words).unwrap());
        assert!(before < one && two - one >= Duration::from_millis(200), "{:?}", two - one);
        assert_eq!(child.said_at("three"), None);
    }

    #[test]
    fn a_child_that_does_not_end_is_reported_with_what_it_said() {
        let error = shell("echo stuck; exec sleep 60").run(Duration::from_millis(200)).unwrap_err();
        assert!(error.to_string().contains("stuck"), "{error}");
    }

    #[test]
    fn a_dropped_child_is_gone() {
        let mut child = shell("echo up; exec sleep 60").start().unwrap();
        child.wait_for_line("up", Duration::from_secs(10)).unwrap();
        let pid = child.pid();
        drop(child);
        assert!(!signal::send(pid, Signal::Continue), "pid {pid} still lives");
    }

    #[test]
    fn waiting_for_a_line_of_a_child_that_ended_fails_at_once() {
        let mut child = shell("echo other").start().unwrap();
        let error = child.wait_for_line("never", Duration::from_secs(60)).unwrap_err();
        assert!(error.to_string().contains("ended before"), "{error}");
    }

    #[test]
    fn a_binary_that_is_not_built_names_the_command_that_builds_it() {
        let error = Program::ours("gannet-nothing").unwrap_err();
        assert!(error.to_string().contains("cargo build --workspace"), "{error}");
    }
}
