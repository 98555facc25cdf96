//! A run from the first thread to the closed books, whatever its input.
//!
//! ```text
//! Stage (sources, doors, books) ─► exporter ─► workers ─► doors open ─► rights given up ─► ready
//!     ─► a second after the other, until a signal, or the end of the input
//!     ─► doors closed ─► grace ─► workers drain, last cuts ─► exporter drains ─► books closed
//! ```

use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use flow_wire::ledger::Message;
use rtrb::RingBuffer;
use xsk::wait::{self, Wake};

use super::control::{Failures, LiveControl, Stop};
use super::host::{self, Interface, Signals};
use super::notify::Notify;
use super::screen::Screen;
use crate::config::Flows;
use crate::export::{self, Books, Identity, Pressure, Sink};
use crate::flow::Settings;
use crate::meter::Shard;
use crate::source::Source;
use crate::telemetry::Board;
use crate::worker::{Clock, Export, Handover, Outlet, WhenFull, Worker};

/// Records and cuts between a worker and the exporter: what a worker ends in a tenth of a second at 300,000 flows a
/// second, 7 MB.
const RING_RECORDS: usize = 1 << 15;

/// Frames that the program redirected, or the gate let through, just before the doors were closed are in the rings
/// after this: a NAPI poll takes some hundred microseconds, and this allows for one that was put off.
const GRACE: Duration = Duration::from_millis(50);

/// The control thread looks around this often at least.
const TICK: Duration = Duration::from_millis(200);

/// Workers and exporter of a live capture have new books every second. After this without any the watchdog is no longer
/// fed, and the service manager does what it was told to.
const SILENCE_MOST: Duration = Duration::from_secs(10);

/// Between two looks at what the host has changed: an address that came is reachable after this.
const TEND: Duration = Duration::from_secs(1);

/// Workers have said their last within this after the order to stop: see `control::WRITE_MOST`, and a moment to give up.
const WORKERS_MOST: Duration = Duration::from_secs(5);

/// Sinks have sent within this after the order to stop. With what the exporter takes for the rest of it (`export::thread`:
/// 3.5 s) the whole stop stays below the 10 s of the contract.
const SENT_WITHIN: Duration = Duration::from_secs(6);

/// What keeps packets out, and lets them in.
pub(super) trait Door: Send {
    /// Packets come from now on.
    fn open(&mut self) -> Result<(), super::Error>;
    /// No more packets come, but those on their way.
    fn close(&mut self) -> Result<(), super::Error>;
    /// Looks after it while the run goes on: what the host has changed of its interfaces meanwhile. `false` = the
    /// interface is gone, and nothing will come through this door any more.
    fn tend(&mut self, interfaces: &[Interface]) -> Result<bool, super::Error>;
}

/// Everything that is opened before the first thread runs.
pub(super) struct Stage {
    /// By worker: its sources.
    pub sources: Vec<Vec<Box<dyn Source>>>,
    /// By worker: its core, where it is pinned.
    pub cores: Vec<Option<usize>>,
    /// By worker: its ends to the others.
    pub handovers: Vec<Handover>,
    /// In the order to open them.
    pub doors: Vec<Box<dyn Door>>,
    /// The kernel's side of the books.
    pub books: Box<dyn Books>,
    /// Where finished records go.
    pub sinks: Vec<Box<dyn Sink>>,
    /// Where time comes from, and with it whether anybody waits.
    pub clock: Clock,
}

/// What the run needs besides.
pub(super) struct Setting<'a> {
    pub identity: Identity,
    pub flows: Flows,
    pub stop: Stop,
    pub signals: &'a mut Signals,
    pub screen: Screen,
    pub board: Board,
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
}

/// Runs it all.
pub(super) fn conduct(stage: Stage, setting: Setting<'_>) -> Result<Ended, super::Error> {
    let pressure = if stage.clock == Clock::OfPackets { Pressure::Wait } else { Pressure::Discard };
    let (producers, rings): (Vec<_>, Vec<_>) =
        stage.sources.iter().map(|_| RingBuffer::new(RING_RECORDS)).unzip();
    let exporter = export::start(export::Plan {
        identity: setting.identity.clone(),
        rings,
        sinks: stage.sinks,
        books: stage.books,
        outbox_octets: export::OUTBOX_OCTETS,
        drain: export::DRAIN,
        pressure,
    })?;
    let failures = Failures::default();
    let crew = Crew::start(
        stage.sources,
        stage.cores,
        stage.handovers,
        producers,
        stage.clock,
        setting.flows,
        (&setting.stop, &failures),
    )?;
    let mut doors = stage.doors;
    let opened = open(&mut doors).and_then(|()| (setting.give_up_rights)());
    let notify = Notify::from_environment();
    let mut deserted = false;
    if opened.is_ok() {
        tracing::info!("ready: metering {}", setting.what);
        notify.ready(&format!("metering {}", setting.what));
        let mut watch = Watch { notify, screen: setting.screen, board: setting.board, doors: &mut doors };
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
    // The exporter waits for the last cut of every worker: of one that is stuck it would wait for ever.
    let whole = crew.join().map_err(|worker| super::Error::Stuck { worker })?;
    let finished = exporter.join()?;
    opened?;
    for sink in &finished.stuck {
        tracing::error!("{sink} did not end in time");
    }
    let failed = !whole || failed_doors || deserted || failures.count() > 0 || !finished.stuck.is_empty();
    Ok(Ended { message: finished.message, failed })
}

fn open(doors: &mut [Box<dyn Door>]) -> Result<(), super::Error> {
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

/// What the control thread does while the workers work.
struct Watch<'a> {
    notify: Notify,
    screen: Screen,
    board: Board,
    doors: &'a mut [Box<dyn Door>],
}

impl Watch<'_> {
    /// Until a signal, the end of the input, or until no interface is left: `true` for that.
    fn until_stopped(&mut self, exporter: &export::Handle, signals: &mut Signals) -> bool {
        let tick = self.notify.period().map_or(TICK, |period| period.min(TICK));
        let mut tended = Instant::now();
        loop {
            // An error would be EINVAL or ENOMEM; the tick goes on without it.
            let _ = wait::until_readable(&[signals.as_fd()], Some(tick));
            let signal = signals.take();
            if let Some(signal) = signal {
                tracing::info!("{signal}: draining");
            }
            if signal.is_some() || exporter.is_finished() {
                self.notify.stopping();
                return false;
            }
            if let Some(message) = self.board.get() {
                let status = self.screen.show(&message);
                self.notify.status(&status);
            }
            // Files are read as fast as their readers take flows: silence is no sign there.
            if self.doors.is_empty() || self.board.age() < SILENCE_MOST {
                self.notify.alive();
            }
            if tended.elapsed() >= TEND {
                tended = Instant::now();
                if self.is_deserted() {
                    tracing::error!("no interface is left: draining");
                    self.notify.stopping();
                    return true;
                }
            }
        }
    }

    /// Tends the doors. What cannot be looked after now may be the next time.
    fn is_deserted(&mut self) -> bool {
        let Ok(interfaces) = host::interfaces() else { return false };
        let mut left = self.doors.is_empty();
        for door in &mut *self.doors {
            match door.tend(&interfaces) {
                Ok(there) => left |= there,
                Err(error) => {
                    tracing::error!("{error}");
                    left = true;
                }
            }
        }
        !left
    }
}

/// The worker threads.
struct Crew {
    threads: Vec<JoinHandle<()>>,
    wakes: Vec<Wake>,
}

impl Crew {
    fn start(
        sources: Vec<Vec<Box<dyn Source>>>,
        cores: Vec<Option<usize>>,
        handovers: Vec<Handover>,
        producers: Vec<rtrb::Producer<Export>>,
        clock: Clock,
        flows: Flows,
        (stop, failures): (&Stop, &Failures),
    ) -> Result<Self, super::Error> {
        let settings = shard_settings(flows, sources.len());
        let when_full = if clock == Clock::OfPackets { WhenFull::Wait } else { WhenFull::Discard };
        let mut crew = Self { threads: Vec::new(), wakes: Vec::new() };
        let parts = sources.into_iter().zip(cores).zip(handovers).zip(producers);
        let (made, all_made) = std::sync::mpsc::channel::<()>();
        for (number, (((sources, core), handover), ring)) in (0..).zip(parts) {
            let made = made.clone();
            crew.wakes.push(handover.wake().clone());
            let mut control = LiveControl::new(stop, failures);
            let body = move || {
                pin(core);
                // Made here: its pages then lie in the memory next to its core.
                let shard = Shard::new(number, &settings);
                describe(number, &shard, &settings);
                drop(made);
                Worker::new(shard, Outlet::new(ring, when_full, handover), clock).run(sources, &mut control);
            };
            let name = format!("worker-{number}");
            let thread = std::thread::Builder::new().name(name).spawn(body).map_err(super::Error::Thread)?;
            crew.threads.push(thread);
        }
        // Touching some hundred megabytes takes longer than a ring lasts: no door opens before. This ends when every
        // worker has dropped its end, by a panic too.
        drop(made);
        let _every_end_is_dropped = all_made.recv();
        Ok(crew)
    }

    /// Wakes all and waits for their end: `Ok(false)` = one has panicked, `Err` = this one does not end.
    fn join(self) -> Result<bool, usize> {
        self.wakes.iter().for_each(Wake::wake);
        let until = Instant::now() + WORKERS_MOST;
        let mut whole = true;
        for (worker, thread) in self.threads.into_iter().enumerate() {
            while !thread.is_finished() {
                if Instant::now() >= until {
                    return Err(worker);
                }
                std::thread::park_timeout(Duration::from_millis(1));
            }
            whole &= thread.join().is_ok();
        }
        Ok(whole)
    }
}

/// An equal part of the cache for each shard.
fn shard_settings(flows: Flows, workers: usize) -> Settings {
    let workers = workers.max(1);
    Settings {
        active_timeout: flows.active_timeout,
        idle_timeout: flows.idle_timeout,
        capacity: flows.capacity.div_ceil(workers),
        hash_size: flows.buckets.map(|buckets| buckets.div_ceil(workers)),
        observation_domain_id: super::OBSERVATION_DOMAIN_ID,
    }
}

/// What `-M` and `-w` amount to: a hint that was given is answered.
fn describe(worker: u16, shard: &Shard, settings: &Settings) {
    let (flows, buckets) = (settings.capacity, shard.cache().bucket_count());
    let megabytes = shard.cache().memory_octets() >> 20;
    match settings.hash_size {
        Some(_) => {
            tracing::info!("worker {worker}: {flows} flows in {buckets} buckets of 16, {megabytes} MB")
        }
        None => tracing::debug!("worker {worker}: {flows} flows in {buckets} buckets of 16, {megabytes} MB"),
    }
}

fn pin(core: Option<usize>) {
    if let Some(id) = core
        && !core_affinity::set_for_current(core_affinity::CoreId { id })
    {
        tracing::warn!("cannot pin a worker to core {id}: it runs where the scheduler puts it");
    }
}
