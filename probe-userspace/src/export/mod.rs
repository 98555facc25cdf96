//! From finished records to acknowledged batches. Workers never wait for anything here.
//!
//! ```text
//! ring of worker 0 ─► stream 0 ─┐ sealed                 ┌─► cursor ─► kafka       (a thread each)
//! ring of worker 1 ─► stream 1 ─┼────────► outbox ───────┼─► cursor ─► zmq
//! cuts of all ─► message ─► control ─┘  (memory, spool)   └─► cursor ─► json_lines
//! ```
//!
//! A cut of a worker closes its open batch, so that what it says is exact: metered = exported + open + discarded.

mod closing;
mod exporter;
pub mod json_lines;
pub mod kafka;
mod message;
pub mod outbox;
mod salvage;
mod stream;
mod thread;
mod witness;
pub mod zmq;

use std::collections::BTreeMap;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use flow_wire::fault::Fault;
use flow_wire::ledger::{Guarantee, Message, QueueTerms};
use flow_wire::stamp::{Epoch, ProbeId};

use crate::source::xdp::shunt::Counted;
use crate::spool::{Spool, Statistics};
use crate::survive::Remains;
use crate::survive::directory::Own;
use crate::survive::file::LaneMemory;
use crate::worker::Cut;
use outbox::Cursor;

pub use thread::{Error, Finished, Handle, start};

/// Memory that sealed batches of one sink may take while it cannot send: some minutes of 10,000 flows a second.
pub const OUTBOX_OCTETS: usize = 256 << 20;

/// Time that sinks get to send what is left at the stop; with what `thread` adds the whole stop
/// stays below the 10 s that contracts.md promises.
pub const DRAIN: Duration = Duration::from_secs(5);

/// What an exporter works with.
pub struct Plan {
    /// Who it speaks for.
    pub identity: Identity,
    /// One per worker; its number is the stream.
    pub lanes: Vec<LaneMemory>,
    /// Files that the lanes live in: not needed once the books are closed.
    pub own: Own,
    /// What killed epochs left, oldest first; each epoch's workers one behind the other.
    pub salvage: Option<Salvaged>,
    /// Where batches go. None at all: records are sealed and counted, and discarded as `no_sink`.
    pub sinks: Vec<Box<dyn Sink>>,
    /// The other side of the books.
    pub books: Box<dyn Books>,
    /// Bound of the outbox in memory, per sink.
    pub outbox_octets: usize,
    /// For sinks that are durable; `None` = all of them have memory alone.
    pub spool: Option<Spool>,
    /// See [`DRAIN`].
    pub drain: Duration,
    /// What to do where a sink cannot follow.
    pub pressure: Pressure,
}

/// What is to be exported of killed epochs.
pub struct Salvaged {
    /// One per worker that was killed.
    pub remains: Vec<Remains>,
    /// The exporter's end of the stream that brings it.
    pub lane: LaneMemory,
    /// Counts the starts of the probe: see [`Closes::generation`](flow_wire::ledger::Closes::generation).
    pub generation: u64,
    /// The kernel's side of their books: known once this run's programs are in the place of theirs.
    pub kernel: KernelSides,
}

/// Comes once, by epoch; an epoch of which the kernel kept nothing is not in it.
pub type KernelSides = mpsc::Receiver<BTreeMap<Epoch, KernelSide>>;

/// What the kernel counted for a killed epoch.
pub struct KernelSide {
    /// Up to where this run's programs took over; `None` = it could not be read.
    pub queues: Option<Vec<QueueTerms>>,
    /// What its programs counted of flows by themselves, and count no more; `None` = it could not be read.
    pub counted: Option<Vec<Counted>>,
    /// To be called behind the closing message: the kernel need not keep it any longer.
    pub remove: Box<dyn FnOnce() + Send>,
}

/// What goes into stamps and messages.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Which probe.
    pub probe: ProbeId,
    /// Which start of it.
    pub epoch: Epoch,
    /// When that was, since the UNIX epoch.
    pub epoch_start_nanoseconds: u64,
    /// Name of the host, for people.
    pub exporter: String,
    /// Of the flow cache, for readers of time series.
    pub active_timeout: Duration,
}

/// What happens where a sink cannot follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pressure {
    /// The network does not wait: what does not fit is discarded and counted.
    Discard,
    /// A capture file does: rings are left unread until there is room, until [`Handle::hurry`].
    Wait,
}

/// What the exporter asks of the rest of the probe.
pub trait Books: Send {
    /// The terms of all queues: those of the workers' sources, and the kernel's counters, which are read now, behind the
    /// cuts (downstream first).
    fn queues(&mut self, cuts: &[Cut]) -> Vec<QueueTerms>;

    /// The newest message, once a second and at the end, and what the spool says of itself.
    fn publish(&mut self, message: &Arc<Message>, spool: Option<Statistics>);
}

/// A place that batches go to. It has a thread of its own, and a cursor into the outbox.
pub trait Sink: Send {
    /// As in ledger, metrics and messages: the endpoint, without secrets.
    fn name(&self) -> String;

    /// What its acknowledgement promises.
    fn guarantee(&self) -> Guarantee;

    /// Called once before anything is appended: a sink that has readers of its own opens their cursors here.
    fn prepare(&mut self, _cursor: &Cursor) {}

    /// Whether it acknowledges what has arrived, so that a spool keeps for it what has not, also over restarts.
    fn is_durable(&self) -> bool {
        false
    }

    /// Whether it opens further cursors while it runs, for readers that introduce themselves
    /// ([`Outbox::open_cursor`](outbox::Outbox::open_cursor)): then there has to be a spool as well.
    fn opens_cursors(&self) -> bool {
        false
    }

    /// Takes batches off the cursor until it says [`Next::End`](outbox::Next::End). Failures are its own affair: it reports,
    /// tries again, or refuses batches to the cursor with a reason.
    fn run(self: Box<Self>, cursor: Cursor);
}

/// How often a thing goes on: once, but for a fault on purpose.
fn copies(fault: Option<Fault>) -> usize {
    match fault {
        None => 1,
        Some(Fault::Lose) => 0,
        Some(Fault::Double) => 2,
    }
}

#[cfg(test)]
pub(crate) mod tests;
