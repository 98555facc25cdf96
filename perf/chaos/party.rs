//! A process that things happen to: killed, stopped, standing still, and started again.

use std::time::Duration;

use perf::kernel::signal::Signal;
use perf::process::{Program, Running};
use perf::wait::wait_until;

/// An end in order takes as long as the slowest party's drain, on a busy machine.
pub(crate) const END_BOUND: Duration = Duration::from_secs(60);

/// One party.
pub(crate) struct Party {
    name: &'static str,
    /// What it says once it works.
    ready: &'static str,
    /// How it is started, each time.
    program: Box<dyn Fn() -> Program>,
    running: Option<Running>,
    /// Starts so far.
    pub(crate) starts: u32,
    /// What it said when it ended though nobody had asked it to.
    pub(crate) deaths: Vec<String>,
    /// All that ended runs said, the latest last.
    said: Vec<String>,
}

impl Party {
    pub(crate) fn new(
        name: &'static str,
        ready: &'static str,
        program: impl Fn() -> Program + 'static,
    ) -> Self {
        let program = Box::new(program);
        Self { name, ready, program, running: None, starts: 0, deaths: Vec::new(), said: Vec::new() }
    }

    /// Starts it, unless it runs. Does not wait until it is ready: the next event may well come before.
    pub(crate) fn start(&mut self) {
        self.notice_the_end(false);
        if self.running.is_none() {
            self.running = Some((self.program)().start().unwrap());
            self.starts += 1;
        }
    }

    /// Whether it runs; an end that nobody asked for is kept, unless it may end (its disk is full).
    pub(crate) fn notice_the_end(&mut self, may_end: bool) -> bool {
        let Some(running) = &mut self.running else { return false };
        if !running.ended() {
            return true;
        }
        if let Some(running) = self.running.take() {
            let finished = running.wait(END_BOUND).unwrap();
            if !may_end {
                self.deaths.push(format!(
                    "{} ended by itself ({})\n{}",
                    self.name, finished.status, finished.stderr
                ));
            }
            self.said.push(finished.stderr);
        }
        false
    }

    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(running) = &self.running {
            running.signal(signal);
        }
    }

    pub(crate) fn kill(&mut self) {
        self.notice_the_end(false);
        if let Some(running) = self.running.take() {
            self.said.push(running.kill().unwrap().stderr);
        }
    }

    /// Waits for the end of one that was asked to end; says what is wrong with it. One that was not ready yet may not have known
    /// what SIGTERM means.
    pub(crate) fn wait_for_the_end(&mut self) -> Option<String> {
        let finished = self.running.take()?.wait(END_BOUND).unwrap_or_else(|error| panic!("{error}"));
        let was_ready = finished.stderr.contains(self.ready);
        let is_well = finished.code() == 0 || !was_ready && finished.code() == -1;
        let wrong =
            format!("{} was stopped and ended with {}\n{}", self.name, finished.status, finished.stderr);
        self.said.push(finished.stderr);
        (!is_well).then_some(wrong)
    }

    /// Whether this start works.
    pub(crate) fn is_ready(&self) -> bool {
        self.running.as_ref().is_some_and(|running| running.stderr().contains(self.ready))
    }

    /// Until this start works.
    pub(crate) fn wait_until_ready(&mut self) {
        if let Some(running) = &mut self.running {
            running.wait_for_line(self.ready, END_BOUND).unwrap_or_else(|error| panic!("{error}"));
        }
    }

    /// What all of its runs said.
    pub(crate) fn said(&self) -> String {
        let now = self.running.as_ref().map(Running::stderr);
        self.said.iter().cloned().chain(now).collect::<Vec<_>>().join("\n--- next start ---\n")
    }
}

/// Until a condition holds; what is waited for is said where it does not come.
pub(crate) fn wait(
    description: &str,
    bound: Duration,
    condition: impl FnMut() -> bool,
) -> Result<(), String> {
    wait_until(description, bound, condition).map_err(|error| error.to_string())
}
