//! One script's thread in the collector: gives its process work, and starts another one where it ended.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::answers::Answers;
use super::backoff::Backoff;
use super::counters::{Counters, Reason};
use super::find::{Script, When, source};
use super::process::{Ended, Listen, Process};
use super::protocol::{Done, Job, Kafka, Level};
use super::queue::{Queue, Waiting};
use super::schedule::Schedule;
use super::settings::Settings;
use crate::ingest::Stop;

/// How often it is looked whether to stop, and whether the process lives.
const TICK: Duration = Duration::from_millis(100);

/// Errors of a script for flows are said that often: they may come with each batch.
const REPORT: Duration = Duration::from_secs(30);

/// What waits when the collector stops is worked off for so long.
const DRAIN_MAX: Duration = Duration::from_secs(1);

/// Of one script.
pub(super) struct Host {
    script: Script,
    settings: Arc<Settings>,
    answers: Arc<Answers>,
    counting: Counting,
    stop: Stop,
    process: Option<Process>,
    backoff: Backoff,
    /// Of the file that the process has its source of.
    modified: Option<SystemTime>,
    reported: Option<Instant>,
}

/// What its process says for the metrics.
struct Counting {
    script: String,
    counters: Counters,
    stop: Stop,
}

impl Listen for Counting {
    fn kafka(&mut self, kafka: Kafka) {
        let Kafka { queued, refused, delivered, failed } = kafka;
        let outcomes =
            [("queued", queued), ("refused", refused), ("delivered", delivered), ("failed", failed)];
        for (outcome, count) in outcomes {
            self.counters.kafka(&self.script, outcome, count);
        }
    }

    fn alert(&mut self, _: Level, _: &str) {
        self.counters.alert(&self.script);
    }

    fn is_over(&self) -> bool {
        self.stop.is_set()
    }
}

impl Host {
    pub(super) fn new(
        script: Script,
        settings: Arc<Settings>,
        answers: Arc<Answers>,
        counters: Counters,
        stop: Stop,
    ) -> Self {
        let counting = Counting { script: script.name.clone(), counters, stop: stop.clone() };
        let (process, backoff, modified, reported) = Default::default();
        Self { script, settings, answers, counting, stop, process, backoff, modified, reported }
    }

    /// A periodic script, until the collector stops.
    pub(super) fn keep_time(mut self) {
        let When::Every(period) = self.script.when else { return };
        let mut schedule = Schedule::new(period, now());
        while !self.stop.is_set() {
            let left = schedule.left(now());
            if !left.is_zero() {
                self.rest(left.min(TICK));
                continue;
            }
            if self.backoff.rests(Instant::now()) {
                self.count("suspended", 1);
            } else {
                self.run();
            }
            self.count("missed", schedule.ran(now()));
        }
        self.end();
    }

    fn run(&mut self) {
        let done = source(&self.script.path).map_err(Ended::from).and_then(|text| self.work(Job::Run(&text)));
        if let Ok(Done { error: Some(error), .. }) = done {
            self.answers.ears.hear(&self.script.name, Level::Error, &error);
        }
    }

    /// A script for flows, until the collector stops.
    pub(super) fn follow(mut self, queue: &Queue) {
        while !self.stop.is_set() {
            if self.backoff.rests(Instant::now()) {
                std::thread::sleep(TICK);
                continue;
            }
            match queue.take(TICK) {
                Some(batch) => self.see(&batch, queue),
                None => self.rest(Duration::from_millis(1)),
            }
        }
        let until = Instant::now() + DRAIN_MAX;
        while !self.backoff.rests(Instant::now()) && Instant::now() < until {
            let Some(batch) = queue.take(Duration::ZERO) else { break };
            self.see(&batch, queue);
        }
        queue.close();
        self.end();
    }

    fn see(&mut self, batch: &Waiting, queue: &Queue) {
        self.renew();
        match self.work(Job::Flows(&batch.body)) {
            Ok(done) => {
                // What it was called with, in its own words.
                let seen = done.flows.min(batch.flows);
                queue.counts().see(seen);
                let reason = if seen == 0 { Reason::NotLoaded } else { Reason::TimeLimit };
                queue.counts().drop(batch.flows - seen, reason);
                self.report(&done);
            }
            Err(Ended::Stopped) => queue.counts().drop(batch.flows, Reason::Stopped),
            Err(_) => queue.counts().drop(batch.flows, Reason::ProcessEnded),
        }
    }

    /// A script that changed is taken anew.
    fn renew(&mut self) {
        let modified = std::fs::metadata(&self.script.path).and_then(|data| data.modified()).ok();
        if modified != self.modified && self.process.is_some() {
            tracing::info!("script {}: its file has changed, it is started anew", self.script.name);
            self.end();
        }
        self.modified = modified;
    }

    fn report(&mut self, done: &Done) {
        let Some(error) = &done.error else { return };
        if self.reported.is_none_or(|at| at.elapsed() >= REPORT) {
            self.reported = Some(Instant::now());
            let text = format!("{error} (of {} flows {} ended so)", done.flows, done.failed_flows);
            self.answers.ears.hear(&self.script.name, Level::Error, &text);
        }
    }

    /// Has its process do something; where that ends, says so and rests.
    fn work(&mut self, job: Job<'_>) -> Result<Done, Ended> {
        let begun = Instant::now();
        let result = self.process().and_then(|()| match &mut self.process {
            Some(process) => process.work(job, &self.answers, &mut self.counting),
            None => Err(Ended::Itself("it is gone".to_owned())),
        });
        self.counting.counters.took(&self.script.name, begun.elapsed().as_secs_f64());
        match &result {
            Ok(done) => {
                self.backoff.succeed();
                self.count(if done.error.is_some() { "error" } else { "ok" }, 1);
            }
            Err(ended) => {
                self.count(if matches!(ended, Ended::Time(_)) { "killed_time" } else { "ended" }, 1);
                self.bury(ended);
            }
        }
        result
    }

    fn process(&mut self) -> Result<(), Ended> {
        if self.process.is_none() {
            let process = Process::start(&self.script, &self.settings)?;
            tracing::debug!("script {}: process {}", self.script.name, process.id());
            self.counting.counters.start(&self.script.name);
            self.process = Some(process);
        }
        Ok(())
    }

    fn bury(&mut self, ended: &Ended) {
        self.process = None;
        let pause = self.backoff.fail(Instant::now());
        tracing::error!("script {}: {ended}; it rests for {pause:?}", self.script.name);
    }

    /// Waits, and hears what its process still says of messages under way.
    fn rest(&mut self, patience: Duration) {
        let Some(process) = &mut self.process else {
            std::thread::sleep(patience);
            return;
        };
        if let Err(ended) = process.idle(patience, &self.answers, &mut self.counting) {
            self.count("ended", 1);
            self.bury(&ended);
        }
    }

    fn end(&mut self) {
        if let Some(process) = self.process.take() {
            process.farewell(&self.answers, &mut self.counting);
        }
    }

    fn count(&self, outcome: &'static str, count: u64) {
        if count > 0 {
            self.counting.counters.run(&self.script.name, outcome, count);
        }
    }
}

/// By the clock on the wall: periods are people's.
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
