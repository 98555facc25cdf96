//! A run from the first thread to the closed books, whatever its input.
//!
//! ```text
//! Stage (sources, doors, books) ─► exporter ─► workers ─► doors open ─► rights given up ─► ready
//!     ─► a second after the other, until a signal, or the end of the input
//!     ─► doors closed ─► grace ─► workers drain, last cuts ─► exporter drains ─► books closed
//! ```

use std::sync::Arc;
use std::time::{Duration, Instant};

use flow_wire::ledger::Message;
use xdp_abi::shunt::PLACES;

use super::control::{Failures, Stop};
use super::crew::{self, Crew, Post};
use super::host::{Interface, Signals};
use super::notify::Notify;
use super::pins::Pins;
use super::recovery::{self, Needs};
use super::reload::Reload;
use super::screen::Screen;
use super::watch::Watch;
use crate::config::Flows;
use crate::export::{self, Books, Identity, Pressure, Sink};
use crate::flow::{Cache, Settings};
use crate::source::selection::Selection;
use crate::source::xdp::shunt::{Shunt, Table};
use crate::spool::Spool;
use crate::survive::{Directory, Parts, Shape};
use crate::telemetry::Board;
use crate::worker::{Clock, Wait};

/// Records and cuts between a worker and the exporter: what a worker ends in a tenth of a second at 300,000 flows a
/// second, 5 MB.
const RING_RECORDS: usize = 1 << 15;

/// Frames that the program redirected, or the gate let through, just before the doors were closed are in the rings
/// after this: a NAPI poll takes some hundred microseconds, and this allows for one that was put off.
const GRACE: Duration = Duration::from_millis(50);

/// Sinks have sent within this after the order to stop. With what the exporter takes for the rest of it (`export::thread`:
/// 3.5 s) the whole stop stays below the 10 s of the contract.
const SENT_WITHIN: Duration = Duration::from_secs(6);

/// What keeps packets out, and lets them in.
pub(super) trait Door: Send {
    /// The name of its interface.
    fn interface(&self) -> &str;
    /// Packets come from now on.
    fn open(&mut self) -> Result<(), super::Error>;
    /// No more packets come, but those on their way.
    fn close(&mut self) -> Result<(), super::Error>;
    /// Looks after it while the run goes on: what the host has changed of its interfaces meanwhile. `false` = the
    /// interface is gone, and nothing will come through this door any more.
    fn tend(&mut self, interfaces: &[Interface]) -> Result<bool, super::Error>;
    /// Puts another selection in force, as far as it is the door that leaves out.
    fn select(&mut self, _selection: &Selection) -> Result<(), super::Error> {
        Ok(())
    }
}

/// Everything that is opened before the first thread runs.
pub(super) struct Stage {
    /// The workers, in the order of their numbers.
    pub posts: Vec<Post>,
    /// In the order to open them.
    pub doors: Vec<Box<dyn Door>>,
    /// The kernel's side of the books.
    pub books: Box<dyn Books>,
    /// Where finished records go.
    pub sinks: Vec<Box<dyn Sink>>,
    /// Where batches wait for sinks that are durable.
    pub spool: Option<Spool>,
    /// What the kernel keeps over a kill.
    pub pins: Pins,
    /// Of all receive rings of the program's sockets together.
    pub ring_slots: u32,
    /// Where time comes from, and with it whether anybody waits.
    pub clock: Clock,
    /// How workers wait for packets.
    pub wait: Wait,
    /// From how many packets on the programs of these tables count a flow themselves.
    pub shunt: Option<(u64, Vec<Table>)>,
}

/// What the run needs besides.
pub(super) struct Setting<'a> {
    pub identity: Identity,
    /// Where the workers' memory outlives a kill; `None` = it does not.
    pub recovery: Option<Directory>,
    pub flows: Flows,
    pub stop: Stop,
    pub signals: &'a mut Signals,
    pub screen: Screen,
    pub board: Board,
    /// What SIGHUP does; `None` = it stops the run.
    pub reload: Option<Reload<'a>>,
    /// Gives rights up, once everything is open.
    pub give_up_rights: &'a mut dyn FnMut() -> Result<(), super::Error>,
    /// For the line that says that the run has begun.
    pub what: String,
}

/// How the run ended.
pub(super) struct Ended {
    /// The closed books.
    pub message: Arc<Message>,
    /// Something failed on the way.
    pub failed: bool,
    /// The books were closed without a worker: what they say has a bound, and is not exact.
    pub is_bound: bool,
    /// What waits in the spool for the next start: names of sinks, and records.
    pub left: Vec<(String, u64)>,
}

/// Runs it all.
pub(super) fn conduct(stage: Stage, setting: Setting<'_>) -> Result<Ended, super::Error> {
    let pressure = if stage.clock == Clock::OfPackets { Pressure::Wait } else { Pressure::Discard };
    let settings = crew::shard_settings(setting.flows, stage.posts.len());
    let places = if stage.shunt.is_some() { PLACES as usize } else { 0 };
    let shape = Shape { buckets: Cache::buckets_for(&settings), ring: RING_RECORDS, places };
    let needs = Needs { workers: stage.posts.len(), shape, ring_slots: stage.ring_slots };
    let shunt = shunt(stage.shunt, &settings, stage.clock)?;
    let spool = stage.spool.as_ref();
    let memory = recovery::memory(setting.recovery.as_ref(), &setting.identity, needs, spool)?;
    let mut pins = stage.pins;
    if !memory.is_lasting() {
        pins.keep_nothing();
    }
    let mut lanes = Vec::with_capacity(needs.workers);
    let mut posts = Vec::with_capacity(needs.workers);
    for (post, Parts { shard, out, lane }) in stage.posts.into_iter().zip(memory.parts) {
        posts.push((post, shard, out));
        lanes.push(lane);
    }
    let exporter = export::start(export::Plan {
        identity: setting.identity.clone(),
        lanes,
        own: memory.own.clone(),
        salvage: memory.salvage,
        sinks: stage.sinks,
        books: stage.books,
        outbox_octets: export::OUTBOX_OCTETS,
        spool: stage.spool,
        drain: export::DRAIN,
        pressure,
    });
    // What does not begin leaves nothing that a next start would take for a killed run's.
    let exporter = exporter.inspect_err(|_| memory.own.end(true))?;
    let failures = Failures::default();
    let pace = (stage.clock, stage.wait);
    let crew = Crew::start(posts, pace, (&settings, shunt), (&setting.stop, &failures));
    let crew = crew.inspect_err(|_| memory.own.end(true))?;
    let mut doors = stage.doors;
    let opened = open(&mut doors, &mut pins)
        .map(|()| memory.killed.settle(&mut pins))
        .and_then(|()| (setting.give_up_rights)());
    let notify = Notify::from_environment();
    let mut deserted = false;
    if opened.is_ok() {
        tracing::info!("ready: metering {}", setting.what);
        notify.ready(&format!("metering {}", setting.what));
        let Setting { screen, board, reload, .. } = setting;
        let mut watch = Watch { notify, screen, board, doors: &mut doors, reload, gone: Default::default() };
        deserted = watch.until_stopped(&exporter, setting.signals);
    }
    let failed_doors = close(&mut doors);
    if !doors.is_empty() {
        std::thread::sleep(GRACE);
    }
    if !exporter.is_finished() {
        // Stopped before the end of the input: from here on nobody waits for anybody.
        exporter.hurry(Instant::now() + SENT_WITHIN);
    }
    setting.stop.order();
    let parted = crew.join();
    for worker in &parted.stuck {
        tracing::error!(
            "worker {worker} did not end in time: the books close without it\n  mend: report it, with what `cat \
             /proc/PID/task/*/stack` showed while it hung"
        );
    }
    // The exporter waits for the last cut of every worker: of one that is stuck it would wait for ever.
    if !parted.stuck.is_empty() {
        exporter.forsake();
    }
    let finished = exporter.join()?;
    // Their heads are gone with the closing of the books; now the memory. A worker that is stuck may still touch it.
    memory.own.end(!parted.stuck.is_empty());
    pins.end();
    opened?;
    for sink in &finished.stuck {
        tracing::error!("{sink} did not end in time");
    }
    let is_bound = !parted.stuck.is_empty();
    let stuck = is_bound || !finished.stuck.is_empty();
    let failed = stuck || parted.panicked || failed_doors || deserted || failures.count() > 0;
    Ok(Ended { message: finished.message, failed, is_bound, left: finished.left })
}

/// From how many packets on, and what all workers share of it.
fn shunt(
    wanted: Option<(u64, Vec<Table>)>,
    settings: &Settings,
    clock: Clock,
) -> Result<Option<(u64, Shunt)>, super::Error> {
    let Some((threshold, tables)) = wanted else { return Ok(None) };
    let shunt = Shunt::new(tables, settings.idle_timeout, clock).map_err(super::Error::Shunt)?;
    Ok(Some((threshold, shunt)))
}

fn open(doors: &mut [Box<dyn Door>], pins: &mut Pins) -> Result<(), super::Error> {
    pins.begin();
    doors.iter_mut().try_for_each(|door| door.open())
}

/// Every one, also where another would not. `true` = one would not.
fn close(doors: &mut [Box<dyn Door>]) -> bool {
    let mut failed = false;
    for door in doors {
        if let Err(error) = door.close() {
            tracing::error!("{error}");
            failed = true;
        }
    }
    failed
}
