//! An interface captured by AF_XDP: the workers' sockets on its queues, the program that feeds them, its books.
//!
//! ```text
//! start:  rings filled, sockets bound ─► slots of the program ─► program attached
//! stop:   slots emptied (frames pass, counted) ─► grace, drain ─► detached ─► counters read once more: they stand still
//! ```

use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use xsk::socket::{BusyPoll, Mode as XskMode, Options};
use xsk::umem::{self, FrameSize, Pages, Umem};

use super::Error;
use super::conduct::Door;
use super::host::{Interface, in_use};
use super::kernel_books::KernelBooks;
use super::live::Opened;
use super::plan::Port;
use crate::config::{Capture, XdpModeWord};
use crate::source::selection::Selection;
use crate::source::xdp::pins::Orphan;
use crate::source::xdp::{Host, Mode, Program, Settings, Wanted};
use crate::source::xsk::Xsk;

/// Slots of a worker's ring at least: the kernel's batches are 64.
const SMALLEST_RING_FRAMES: u32 = 64;

/// The program is shared by who opens and closes and by who reads its counters, once a second.
pub(super) type Shared = Arc<Mutex<Program>>;

/// Binds the sockets and loads the program; it is attached by its door.
pub(super) fn open(port: &Port, capture: &Capture, opened: &mut Opened) -> Result<(), Error> {
    let (workers, layout) = (opened.sources.len(), opened.layout);
    let host = host(&port.interface);
    let wanted = wanted(capture.xdp_mode);
    let settings = Settings {
        host,
        sockets_of_queue: sockets_of_queue(port, layout.workers_of(0, workers).len() as u32),
        filter: opened.in_force.get().of_program(),
        place: opened.pins.place(&port.interface.name),
        shunts: capture.shunt.is_some(),
    };
    let mut program = Program::load(&settings)?;
    let interface = xsk::Interface::by_name(&port.interface.name)?;
    let ring_size = capture.depth.frames(port.queues.len());
    for (place, &queue) in port.queues.iter().enumerate() {
        let serving = layout.workers_of(place, workers);
        let options = options(&interface, queue, (serving.len() as u32, ring_size), capture);
        let umem = memory(capture, options.fill_slots)?;
        for (number, sources) in (0..).zip(&mut opened.sources[serving]) {
            let socket = xsk::Socket::bind(&umem, &options)?;
            if number == 0 {
                report(&socket, &umem, capture);
            }
            program.set_socket(queue, number, socket.as_fd())?;
            opened.ring_slots += options.rx_slots;
            let busy_poll = capture.busy_poll > Duration::ZERO && socket.busy_poll_refused().is_none();
            sources.push(Box::new(Xsk::new(socket, busy_poll, &opened.in_force)));
        }
    }
    let promiscuous = capture.promiscuous.then(|| xsk::Promiscuous::join(&interface)).transpose()?;
    opened.shunts.extend(program.shunt().cloned());
    let program = Arc::new(Mutex::new(program));
    opened.kernel.push(KernelBooks::new(&port.interface, &program));
    opened.doors.push(Box::new(ProgramDoor {
        program,
        interface: port.interface.clone(),
        host,
        wanted,
        orphan: opened.pins.orphan(port.interface.index),
        _promiscuous: promiscuous,
    }));
    Ok(())
}

/// For every queue of the device; those that are not served have none.
fn sockets_of_queue(port: &Port, workers: u32) -> Vec<u32> {
    (0..port.queue_count).map(|queue| if port.queues.contains(&queue) { workers } else { 0 }).collect()
}

/// A queue's UMEM: a fill ring's worth.
fn memory(capture: &Capture, frames: u32) -> Result<Umem, Error> {
    let frame_size = if capture.frame_size_octets == 4096 { FrameSize::Four } else { FrameSize::Two };
    let options = umem::Options { frames, frame_size, headroom: 0, hugepages: capture.hugepages };
    Ok(Umem::new(&options)?)
}

/// The workers of a queue have equal parts of its depth: flows are spread evenly, and a worker that stalls then loses
/// nothing for as long as one alone would.
fn options(
    interface: &xsk::Interface,
    queue: u32,
    (workers, ring_size): (u32, u32),
    capture: &Capture,
) -> Options {
    let part = (ring_size / workers.next_power_of_two()).max(SMALLEST_RING_FRAMES);
    let microseconds = capture.busy_poll.as_micros() as u32;
    Options {
        rx_slots: part,
        // Twice the rings: as many frames are with the kernel as wait to be read.
        fill_slots: (part * workers).next_power_of_two() * 2,
        modes: match capture.xdp_mode {
            XdpModeWord::Auto => vec![XskMode::ZeroCopy, XskMode::Copy],
            XdpModeWord::ZeroCopy => vec![XskMode::ZeroCopy],
            XdpModeWord::Copy | XdpModeWord::Generic => vec![XskMode::Copy],
        },
        busy_poll: (capture.busy_poll > Duration::ZERO)
            .then(|| BusyPoll { microseconds, ..BusyPoll::default() }),
        ..Options::receiver(interface, xsk::QueueId(queue))
    }
}

fn wanted(word: XdpModeWord) -> Wanted {
    match word {
        XdpModeWord::Auto => Wanted::Best,
        XdpModeWord::ZeroCopy | XdpModeWord::Copy => Wanted::Native,
        XdpModeWord::Generic => Wanted::Generic,
    }
}

/// Which of the possible modes it came to, and what was refused on the way.
fn report(socket: &xsk::Socket, umem: &Umem, capture: &Capture) {
    let place = format!("{} queue {}", socket.interface(), socket.queue());
    for (mode, error) in socket.refused_modes() {
        tracing::debug!("{place}: no {} mode: {error}", mode.name());
    }
    tracing::info!("{place}: AF_XDP in {} mode", socket.mode().name());
    if let Some(error) = socket.busy_poll_refused() {
        tracing::warn!("{place}: busy polling is refused: {error}; it needs CAP_NET_ADMIN");
    }
    if capture.hugepages && umem.pages() == Pages::Ordinary {
        tracing::warn!("{place}: no hugepages are free, ordinary pages are used; `sysctl vm.nr_hugepages=N`");
    }
}

/// What is the host's own on this interface now.
fn host(interface: &Interface) -> Host {
    Host { mac_address: interface.mac_address, has_address: in_use(interface).is_some() }
}

struct ProgramDoor {
    program: Shared,
    interface: Interface,
    /// As the program knows it.
    host: Host,
    wanted: Wanted,
    /// What a killed probe left attached there.
    orphan: Option<Orphan>,
    /// A membership: however the process ends, the kernel undoes it.
    _promiscuous: Option<xsk::Promiscuous>,
}

impl ProgramDoor {
    /// What a killed probe left attached is succeeded, or makes room at this moment. `None` = attach.
    fn succeed(&mut self) -> Option<Mode> {
        let orphan = self.orphan.take()?;
        if !orphan.suits(self.wanted) {
            orphan.detach();
            return None;
        }
        let mode = lock(&self.program).succeed(orphan);
        let say = |error: &_| tracing::warn!("{}: {error}: attaching anew", self.interface.name);
        let mode = mode.inspect_err(say).ok();
        self.say_what_is_not_kept();
        mode
    }

    fn say_what_is_not_kept(&self) {
        if let Some(error) = lock(&self.program).not_kept() {
            tracing::warn!(
                "what the kernel does between a kill and the next start will not be counted: {error}"
            );
        }
    }
}

impl Door for ProgramDoor {
    fn interface(&self) -> &str {
        &self.interface.name
    }

    fn open(&mut self) -> Result<(), Error> {
        let succeeded = self.succeed();
        let name = &self.interface.name;
        if let Some(mode) = succeeded {
            tracing::info!("{name}: XDP program in the place of a killed probe's, {mode} mode");
            return Ok(());
        }
        let attached = lock(&self.program).attach(name, self.interface.index, self.wanted)?;
        tracing::info!("{name}: XDP program attached, {} mode", attached.mode);
        self.say_what_is_not_kept();
        if let Some(reason) = attached.native_refused {
            tracing::warn!(
                "{name}: generic mode, since the driver refuses native: {reason}; it is slower, and what it cannot \
                 deliver has no counter"
            );
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), Error> {
        Ok(lock(&self.program).clear_sockets()?)
    }

    fn select(&mut self, selection: &Selection) -> Result<(), Error> {
        Ok(lock(&self.program).set_filter(&selection.of_program())?)
    }

    /// An interface that gets an address while it is captured must be reachable by it, and one that loses its last is
    /// captured whole.
    fn tend(&mut self, interfaces: &[Interface]) -> Result<bool, Error> {
        let Some(interface) = interfaces.iter().find(|one| one.index == self.interface.index) else {
            return Ok(false);
        };
        let host = host(interface);
        if host != self.host {
            lock(&self.program).set_host(host)?;
            let now =
                if host.has_address { "its own frames pass to the host" } else { "all frames are captured" };
            tracing::info!("{}: the host uses it differently now: {now}", interface.name);
            self.host = host;
        }
        Ok(true)
    }
}

/// A panic while it was held leaves the maps as whole as the kernel keeps them.
pub(super) fn lock(program: &Shared) -> MutexGuard<'_, Program> {
    program.lock().unwrap_or_else(PoisonError::into_inner)
}
