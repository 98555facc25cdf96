//! A process that things happen to: killed, stopped, standing still, and started again.

use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

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
    /// Each start so far, and when it said that it works.
    pub(crate) starts: Vec<(Instant, Option<Instant>)>,
    /// The start that runs may end by itself, now or soon: its disk was full.
    pub(crate) may_end: bool,
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
        let (running, starts, may_end, deaths, said) = Default::default();
        Self { name, ready, program, running, starts, may_end, deaths, said }
    }

    /// Starts it, unless it runs. Does not wait until it is ready: the next event may well come before.
    pub(crate) fn start(&mut self) {
        self.notice_the_end();
        if self.running.is_none() {
            self.may_end = false;
            self.starts.push((Instant::now(), None));
            self.running = Some((self.program)().start().unwrap());
        }
    }

    /// Whether it runs; an end that nobody asked for is kept.
    pub(crate) fn notice_the_end(&mut self) -> bool {
        self.note_ready();
        let Some(running) = &mut self.running else { return false };
        if !running.ended() {
            return true;
        }
        if let Some(running) = self.running.take() {
            let finished = running.wait(END_BOUND).unwrap();
            if !self.may_end {
                let last = last_lines(&finished.stderr);
                self.deaths.push(format!("{} ended by itself ({})\n{last}", self.name, finished.status));
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
        self.notice_the_end();
        if let Some(running) = self.running.take() {
            self.said.push(running.kill().unwrap().stderr);
        }
    }

    /// Waits for the end of one that was asked to end; says what is wrong with it. One that was not ready yet may not have known
    /// what SIGTERM means.
    pub(crate) fn wait_for_the_end(&mut self) -> Option<String> {
        self.note_ready();
        let finished = self.running.take()?.wait(END_BOUND).unwrap_or_else(|error| panic!("{error}"));
        let was_ready = finished.stderr.contains(self.ready);
        let is_well = finished.code() == 0 || !was_ready && finished.status.signal() == Some(libc::SIGTERM);
        let last = last_lines(&finished.stderr);
        let wrong = format!("{} was stopped and ended with {}\n{last}", self.name, finished.status);
        self.said.push(finished.stderr);
        (!is_well).then_some(wrong)
    }

    /// Of the start that runs, whose output tells.
    fn note_ready(&mut self) {
        if let (Some(running), Some((_, ready @ None))) = (&self.running, self.starts.last_mut()) {
            *ready = running.said_at(self.ready);
        }
    }

    /// When each start that came so far began to work.
    pub(crate) fn ready(&self) -> Vec<Instant> {
        self.starts.iter().filter_map(|(_, ready)| *ready).collect()
    }

    /// What the slowest start took until it worked.
    pub(crate) fn slowest_start(&self) -> Duration {
        let took = |(start, ready): &(Instant, Option<Instant>)| ready.map(|ready| ready - *start);
        self.starts.iter().filter_map(took).max().unwrap_or_default()
    }

    /// Until this start works.
    pub(crate) fn wait_until_ready(&mut self) {
        if let Some(running) = &mut self.running {
            running.wait_for_line(self.ready, END_BOUND).unwrap_or_else(|error| panic!("{error}"));
        }
        self.note_ready();
    }

    /// What all of its runs said.
    pub(crate) fn said(&self) -> String {
        let now = self.running.as_ref().map(Running::stderr);
        self.said.iter().cloned().chain(now).collect::<Vec<_>>().join("\n--- next start ---\n")
    }
}

/// All of it lies beside the verdict.
fn last_lines(said: &str) -> String {
    const SHOWN: usize = 12;
    let lines: Vec<_> = said.lines().collect();
    lines[lines.len().saturating_sub(SHOWN)..].join("\n")
}

/// Until a condition holds; what is waited for is said where it does not come.
pub(crate) fn wait(
    description: &str,
    bound: Duration,
    condition: impl FnMut() -> bool,
) -> Result<(), String> {
    wait_until(description, bound, condition).map_err(|error| error.to_string())
}
