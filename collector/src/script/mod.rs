//! Scripts in Lua: each in a process of its own, which can hang, crash and be killed without anybody else noticing.
//!
//! ```text
//!            ┌ queue ─► host (a thread) ─► link ═════ child ─► sandbox ─► api (ntop.*)
//! writer ─► tap          schedule ──┘      frames     confine             kafka, http, flow, json
//!            └ full: dropped, counted      answers ◄─ cache, modules, the API's answers
//! ```
//!
//! The process is this program again (`gannet-collector lua-child`). It asks its host for all that it needs from here, and gets what it may
//! not show (passwords) through the link, never by its command line.

mod answers;
mod api;
mod backoff;
mod cache;
pub mod child;
mod confine;
mod counters;
mod find;
mod host;
mod link;
mod process;
mod protocol;
mod queue;
mod sandbox;
mod schedule;
mod settings;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use prometheus_client::registry::Registry;

pub use answers::{Answers, Api, Ears};
pub use find::{Error, Script, When, source};
pub use process::{Ended, Listen, Process, SUBCOMMAND};
pub use protocol::{Done, Job, Kafka, Level};
pub use settings::{Allowed, Settings};

use crate::ingest::{Stop, Tap};
use crate::store::Batch;
use counters::Counters;
use host::Host;
use queue::{Queue, Waiting};

/// For the last jobs, what waits behind them, and messages under way.
const STOP_MAX: Duration = Duration::from_secs(5);

/// All scripts of a collector.
pub struct Scripts {
    settings: Arc<Settings>,
    scripts: Vec<(Script, Option<Arc<Queue>>)>,
    counters: Counters,
    stop: Stop,
    threads: Vec<JoinHandle<()>>,
}

impl Scripts {
    /// Finds them, and starts nothing.
    ///
    /// # Errors
    /// The directory cannot be read, or has too many.
    pub fn find(settings: &Settings, registry: &mut Registry) -> Result<Self, Error> {
        let counters = Counters::register(registry);
        let queued = |script: Script| {
            let queue = (script.when == When::Flow)
                .then(|| Arc::new(Queue::new(settings.queue_octets, counters.flows(&script.name))));
            (script, queue)
        };
        let scripts = find::scripts(&settings.directory)?.into_iter().map(queued).collect();
        let (settings, stop, threads) = (Arc::new(settings.clone()), Stop::default(), Vec::new());
        Ok(Self { settings, scripts, counters, stop, threads })
    }

    /// What the writer hands stored flows to; `None` = no script wants them.
    pub fn tap(&self) -> Option<Box<dyn Tap>> {
        let queues: Vec<_> = self.scripts.iter().filter_map(|(_, queue)| queue.clone()).collect();
        (!queues.is_empty()).then(|| Box::new(Queues(queues)) as Box<dyn Tap>)
    }

    /// A thread for each; its process comes with its first work.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn start(&mut self, api: Arc<dyn Api>) -> std::io::Result<()> {
        let directory = self.settings.directory.clone();
        let answers = Arc::new(Answers::new(directory, api, Arc::new(answers::Log)));
        for (script, queue) in &self.scripts {
            tracing::info!("script {}: {}", script.name, script.when.sentence());
            let host = Host::new(
                script.clone(),
                Arc::clone(&self.settings),
                Arc::clone(&answers),
                self.counters.clone(),
                self.stop.clone(),
            );
            let (name, queue) = (format!("script {}", script.name), queue.clone());
            let run = move || match queue {
                Some(queue) => host.follow(&queue),
                None => host.keep_time(),
            };
            self.threads.push(std::thread::Builder::new().name(name).spawn(run)?);
        }
        Ok(())
    }

    /// Lets each end what it is at, for some two seconds; what still waits then is counted as dropped.
    pub fn stop(self) {
        self.stop.set();
        let until = Instant::now() + STOP_MAX;
        // One that still waits for an answer of the store is left to the end of the process, as is its script's.
        while !self.threads.iter().all(JoinHandle::is_finished) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(10));
        }
        for (script, queue) in &self.scripts {
            if let Some(queue) = queue {
                queue.close();
                let said = queue.counts().sentence();
                tracing::info!("script {}: {said}", script.name);
            }
        }
    }
}

/// The queues of all scripts that want flows.
struct Queues(Vec<Arc<Queue>>);

impl Tap for Queues {
    fn stored(&mut self, batches: Vec<Batch>) {
        for batch in batches {
            let waiting = Arc::new(Waiting { flows: batch.rows.num_rows() as u64, body: batch.body });
            self.0.iter().for_each(|queue| queue.offer(&waiting));
        }
    }
}
