//! The exporter's thread and those of the sinks: start, run, drain, end.
//!
//! ```text
//! last cut of every worker ─► DRAIN: sinks send ─► rest discarded{drain_timeout} ─► SETTLE: what is handed comes back
//!   ─► closed message ─► FAREWELL: it is sent ─► end
//! ```

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use flow_wire::ledger::{Discard, Message};

use super::exporter::Exporter;
use super::outbox::{Cursor, Outbox, Wanted};
use super::{Plan, Pressure, Sink};
use crate::survive::directory::Own;

/// Time that sinks get to settle what they were handed: a transaction is committed or aborted within.
const SETTLE: Duration = Duration::from_secs(2);

/// Time that the closed message gets to be sent.
const FAREWELL: Duration = Duration::from_millis(1_500);

/// Time that the disk of the spool gets in any case for what was written last.
const CLOSE_LEAST: Duration = Duration::from_millis(300);

/// Time that sinks get in any case for what the workers sealed last.
const DRAIN_LEAST: Duration = Duration::from_millis(500);

/// Time without work after which the rings are looked at again: a ring of a worker holds many times what arrives within.
const IDLE: Duration = Duration::from_millis(2);

/// A capture file is drained for as long as it takes; so often it is looked whether somebody wants the end.
const PATIENCE: Duration = Duration::from_millis(100);

/// A running exporter.
#[derive(Debug)]
pub struct Handle {
    thread: JoinHandle<Finished>,
    is_hurried: Arc<AtomicBool>,
    forsakes: Arc<AtomicBool>,
    deadline: Deadline,
}

/// Until when sinks may send, once the run is being stopped.
type Deadline = Arc<OnceLock<Instant>>;

/// How it ended.
#[derive(Debug)]
pub struct Finished {
    /// The last books: closed, with everything that happened up to the end.
    pub message: Arc<Message>,
    /// Names of sinks that did not come to their end in time.
    pub stuck: Vec<String>,
    /// What waits in the spool for the next start: names of sinks, and records.
    pub left: Vec<(String, u64)>,
}

/// Why an exporter cannot be started or joined.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No thread.
    #[error("thread '{name}' cannot be started: {error}")]
    Thread {
        /// Which one.
        name: String,
        /// What the system said.
        error: std::io::Error,
    },
    /// It panicked: a broken invariant, reported where it happened.
    #[error("the exporter ended by a panic: what it had not sent is lost, and the books are not closed")]
    Panicked,
}

/// Starts the exporter and its sinks, a thread each. It ends by itself behind the last cut of every worker.
///
/// # Errors
/// The system gives no thread.
pub fn start(plan: Plan) -> Result<Handle, Error> {
    let wanted: Vec<_> = plan.sinks.iter().map(|sink| Wanted::by(&**sink)).collect();
    let outbox = Outbox::over(&wanted, plan.outbox_octets, plan.spool);
    let keeper = Keeper::start(&outbox)?;
    let mut sinks = Vec::new();
    for (index, sink) in plan.sinks.into_iter().enumerate() {
        sinks.push(Running::start(sink, outbox.cursor(index))?);
    }
    let exporter = Exporter::new(&plan.identity, plan.lanes, plan.salvage, Arc::clone(&outbox), plan.books);
    let is_hurried = Arc::new(AtomicBool::new(plan.pressure == Pressure::Discard));
    let flag = Arc::clone(&is_hurried);
    let forsakes = Arc::new(AtomicBool::new(false));
    let forsaken = Arc::clone(&forsakes);
    let deadline = Deadline::default();
    let (until, own) = (Arc::clone(&deadline), plan.own);
    let thread = spawn("exporter", move || {
        let mut exporter = exporter;
        run(&mut exporter, &flag, &forsaken);
        while !flag.load(Ordering::Relaxed) && !outbox.wait_empty(PATIENCE) {}
        let left = until.get().map(|until| until.saturating_duration_since(Instant::now()));
        let time = left.map_or(plan.drain, |left| left.max(DRAIN_LEAST));
        drain(exporter, &outbox, (sinks, keeper), &own, time)
    })?;
    Ok(Handle { thread, is_hurried, forsakes, deadline })
}

impl Handle {
    /// From now on nothing waits for a sink any more ([`Pressure::Wait`] becomes [`Pressure::Discard`]): the run is being
    /// stopped. Sinks may send until `until`, however long the workers take for their last records, and for a moment at
    /// least. The first call counts.
    pub fn hurry(&self, until: Instant) {
        let _the_first_counts = self.deadline.set(until);
        self.is_hurried.store(true, Ordering::Relaxed);
    }

    /// Waits no longer for workers that have not said their last: they are stuck. The books close without them, and what
    /// they had open is counted as `drain_timeout`.
    pub fn forsake(&self) {
        self.forsakes.store(true, Ordering::Relaxed);
    }

    /// Whether it has come to its end.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits for the end, which comes in bounded time behind the last cut of every worker.
    ///
    /// # Errors
    /// It panicked.
    pub fn join(self) -> Result<Finished, Error> {
        self.thread.join().map_err(|_| Error::Panicked)
    }
}

fn run(exporter: &mut Exporter, is_hurried: &AtomicBool, forsakes: &AtomicBool) {
    let start = Instant::now();
    while !exporter.has_ended() {
        let pressure = if is_hurried.load(Ordering::Relaxed) { Pressure::Discard } else { Pressure::Wait };
        // Read before the step: what the rings of stuck workers have by now is taken.
        let is_forsaking = forsakes.load(Ordering::Relaxed);
        if exporter.step(start.elapsed(), wall_nanoseconds(), pressure) {
            continue;
        }
        if is_forsaking {
            exporter.forsake(start.elapsed());
        } else {
            std::thread::park_timeout(IDLE);
        }
    }
}

fn drain(
    mut exporter: Exporter,
    outbox: &Arc<Outbox>,
    (sinks, keeper): (Vec<Running>, Keeper),
    own: &Own,
    time: Duration,
) -> Finished {
    let over = Instant::now() + time + SETTLE + FAREWELL + CLOSE_LEAST;
    outbox.hasten();
    if !outbox.wait_empty(time) {
        tracing::warn!(
            seconds = time.as_secs_f64(),
            "sinks could not send everything in time: what is in the spool stays there, the rest is discarded"
        );
        outbox.abandon(Discard::DrainTimeout);
        outbox.wait_empty(SETTLE);
    }
    exporter.compose(time, wall_nanoseconds(), true);
    // From here on a kill is none: a next start must not find anything to close.
    own.end(true);
    outbox.end();
    let until = Instant::now() + FAREWELL;
    let stuck = sinks.into_iter().filter_map(|sink| sink.join(until)).collect();
    outbox.abandon(Discard::DrainTimeout);
    let left = outbox.left();
    for (sink, records) in &left {
        tracing::warn!(
            sink,
            records,
            "records wait in the spool: a start with this state directory and this output sends them"
        );
    }
    // Whatever the farewell changed belongs into the local books as well.
    let message = Arc::new(exporter.message(wall_nanoseconds(), true));
    keeper.end(outbox, over);
    Finished { message, stuck, left }
}

/// The thread that waits for the spool's disk, so that nobody else does.
struct Keeper {
    thread: JoinHandle<()>,
    is_over: Arc<AtomicBool>,
}

impl Keeper {
    fn start(outbox: &Arc<Outbox>) -> Result<Self, Error> {
        let is_over = Arc::new(AtomicBool::new(false));
        let (outbox, flag) = (Arc::clone(outbox), Arc::clone(&is_over));
        let thread = spawn("spool", move || outbox.keep(|| flag.load(Ordering::Relaxed)))?;
        Ok(Self { thread, is_over })
    }

    /// The files are closed, by a thread of its own: a disk that does not answer holds up the end no longer than `over`.
    fn end(self, outbox: &Arc<Outbox>, over: Instant) {
        self.is_over.store(true, Ordering::Relaxed);
        outbox.wake_keeper();
        let closed = Arc::clone(outbox);
        let Ok(closing) = spawn("spool-end", move || closed.close()) else { return outbox.close() };
        while !(self.thread.is_finished() && closing.is_finished()) {
            if Instant::now() >= over {
                tracing::error!(
                    octets = outbox.unsynced_octets(),
                    "the disk of the spool does not answer: so much of it is not known to be on the medium, and would be lost with the \
                     power; the end of the probe does not lose it"
                );
                return;
            }
            std::thread::park_timeout(IDLE);
        }
    }
}

/// A sink's thread.
struct Running {
    name: String,
    /// What it has not sent stays in the spool.
    is_kept: bool,
    thread: JoinHandle<()>,
}

impl Running {
    fn start(mut sink: Box<dyn Sink>, cursor: Cursor) -> Result<Self, Error> {
        let name = sink.name();
        sink.prepare(&cursor);
        let is_kept = cursor.spool().is_some();
        // The kernel shows 15 characters of a thread's name.
        let short: String = format!("sink-{name}").chars().take(15).collect();
        let thread = spawn(&short, move || sink.run(cursor))?;
        Ok(Self { name, is_kept, thread })
    }

    /// `Some(name)` = it is stuck in a call that does not come back (a pipe that nobody reads); it ends with the process. One whose
    /// broker does not answer just now has left everything to the next start: that is a stop in order.
    fn join(self, until: Instant) -> Option<String> {
        while !self.thread.is_finished() {
            if Instant::now() >= until && self.is_kept {
                tracing::warn!(
                    sink = self.name,
                    "the bus does not answer: what it has not taken stays in the spool"
                );
                return None;
            }
            if Instant::now() >= until {
                tracing::error!(sink = self.name, "the sink did not end in time");
                return Some(self.name);
            }
            std::thread::park_timeout(IDLE);
        }
        self.thread.join().err().map(|_| self.name)
    }
}

fn spawn<T: Send + 'static>(
    name: &str,
    run: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, Error> {
    let failed = |error| Error::Thread { name: name.to_owned(), error };
    std::thread::Builder::new().name(name.to_owned()).spawn(run).map_err(failed)
}

fn wall_nanoseconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
