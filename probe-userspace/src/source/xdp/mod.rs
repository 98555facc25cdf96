//! The XDP program in the kernel: loaded, told about the host, given its sockets, attached, counted, taken off.
//!
//! ```text
//! Program::load ─► set_socket (each queue, each worker) ─► attach ─► counters, set_filter, set_host ...
//!                                                                         │
//!                      drop ◄── detach ◄── counters ◄── (drain) ◄── clear_sockets
//! ```
//!
//! Start: fill the rings, bind the sockets, put them into the program, attach. Stop: clear the sockets (frames now pass
//! to the stack, counted `no_socket`), drain the rings, read the counters, detach. Link, program and maps are descriptors of
//! this process, and go with it however it ends, unless [`pins`] say where they are kept. The object is embedded; no
//! compiler, no file.

mod attach;
mod bank;
mod counters;
mod error;
pub mod filter;
pub mod pins;
pub mod shunt;

use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use aya::maps::{Array, LpmTrie, Map, MapData, MapError, PerCpuArray, XskMap};
use aya::programs::Xdp;
use aya::programs::links::FdLink;
use aya::{Ebpf, EbpfLoader};
use xdp_abi::map::{self, Config, QueueSockets};
use xdp_abi::shunt::PLACES;

use bank::Banks;
use counters::Counters;

pub use attach::{Attached, Mode, Wanted};
pub use counters::QueueCounters;
pub use error::Error;
pub use filter::CaptureFilter;
use pins::{Orphan, Pin, Place};
use shunt::{Barrier, LoadError, Table};

/// A CPU that runs the program at the moment when it is detached ends within microseconds; drivers wait for that, generic
/// mode does not (net/core/dev.c, `generic_xdp_install`). This allows for a virtual CPU that is put aside meanwhile.
const DETACH_GRACE: Duration = Duration::from_millis(20);

/// Returns once no CPU runs a program any more that was taken off, or replaced.
pub fn stand_still() {
    std::thread::sleep(DETACH_GRACE);
}

/// The same by the kernel's own word as well, where there is the right to ask: what a program counts of a flow has to be whole before it is
/// put into its record.
pub fn have_ended() {
    stand_still();
    if let Ok(barrier) = Barrier::new() {
        barrier.wait();
    }
}

/// The program as `make ebpf` builds it.
static OBJECT: &[u8] = aya::include_bytes_aligned!("../../../../xdp-ebpf/gannet.bpf.o");

/// What the program must know of the interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// The device's MAC address.
    pub mac_address: [u8; 6],
    /// The interface has an address: frames to its MAC address, broadcast and multicast pass to the stack, counted
    /// `own`, so that the capture does not cut the host off.
    pub has_address: bool,
}

/// What the program is loaded with.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The interface.
    pub host: Host,
    /// Sockets of each RX queue, in the order of the queues: as many as workers serve it. All queues that the device
    /// has; 0 = the queue is not captured.
    pub sockets_of_queue: Vec<u32>,
    /// What is captured.
    pub filter: CaptureFilter,
    /// Where counters and link outlive the process; `None` = they do not.
    pub place: Option<Place>,
    /// It counts flows itself that it is told of.
    pub shunts: bool,
}

/// The program of one interface. Dropping it detaches it.
pub struct Program {
    ebpf: Ebpf,
    config: Array<MapData, [u8; 8]>,
    sockets: XskMap<MapData>,
    banks: Banks,
    counters: Counters,
    places: Vec<QueueSockets>,
    stored: Config,
    link: Option<FdLink>,
    pin: Option<Pin>,
    place: Option<Place>,
    not_kept: Option<Error>,
    shunt: Option<Table>,
}

impl Program {
    /// Loads the program and fills its maps; no frame reaches it before [`Program::attach`].
    ///
    /// System calls: bpf(2) `BPF_BTF_LOAD`, `BPF_MAP_CREATE`, `BPF_PROG_LOAD`, `BPF_MAP_UPDATE_ELEM`. Capabilities:
    /// CAP_BPF and CAP_NET_ADMIN (both, or CAP_SYS_ADMIN).
    ///
    /// # Errors
    /// [`Error::NotPermitted`], [`Error::NotLoaded`] (an old kernel, no BTF), [`Error::TooManyQueues`],
    /// [`Error::TooManySockets`], [`Error::Map`].
    pub fn load(settings: &Settings) -> Result<Self, Error> {
        Self::load_object(settings, OBJECT)
    }

    /// The same with another object: tests compare a fresh build with the embedded one.
    ///
    /// # Errors
    /// As [`Program::load`], and [`Error::Object`].
    pub fn load_object(settings: &Settings, object: &[u8]) -> Result<Self, Error> {
        let places = places(&settings.sockets_of_queue)?;
        let cpus = aya::util::nr_cpus().map_err(|(_, error)| Error::Cpus { error })?;
        let mut ebpf = loader(settings.shunts, cpus).load(object).map_err(|error| error::of_load(&error))?;
        xdp(&mut ebpf)?.load().map_err(|error| error::of_load(&error))?;
        write_places(&mut take(&mut ebpf, map::QUEUES)?, &places)?;
        let banks = Banks::new(
            take::<LpmTrie<_, _, _>>(&mut ebpf, map::PREFIXES)?,
            take(&mut ebpf, map::PORTS)?,
            take(&mut ebpf, map::PROTOCOLS)?,
            take(&mut ebpf, map::KINDS)?,
        );
        let shunt = settings.shunts.then(|| Table::of(|name| ebpf.map(name), cpus)).transpose()?;
        let pinned = settings
            .place
            .as_ref()
            .map(|place| place.pin_maps(|name| ebpf.map(name), settings.shunts).map(|()| place.clone()));
        let counters: PerCpuArray<_, _> = take(&mut ebpf, map::COUNTERS)?;
        let mut program = Self {
            config: take(&mut ebpf, map::CONFIG)?,
            sockets: take(&mut ebpf, map::SOCKETS)?,
            banks,
            counters: Counters::new(counters, places.len() as u32),
            places,
            stored: Config::default(),
            link: None,
            pin: None,
            place: None,
            not_kept: None,
            shunt,
            ebpf,
        };
        match pinned.transpose() {
            Ok(place) => program.place = place,
            Err(error) => program.not_kept = Some(error),
        }
        program.set_host(settings.host)?;
        program.set_filter(&settings.filter)?;
        Ok(program)
    }

    /// Tells the program what the interface's addresses are now.
    ///
    /// # Errors
    /// [`Error::Map`].
    pub fn set_host(&mut self, host: Host) -> Result<(), Error> {
        self.store(Config {
            mac_address: host.mac_address,
            has_address: u8::from(host.has_address),
            filter: self.stored.filter,
        })
    }

    /// Puts another capture filter in force, from one frame to the next.
    ///
    /// # Errors
    /// [`Error::Map`]; the filter before stays in force.
    pub fn set_filter(&mut self, filter: &CaptureFilter) -> Result<(), Error> {
        let filter = self.banks.write(filter)?;
        self.store(Config { filter, ..self.stored })
    }

    /// Gives frames of this queue that spread to this worker (from 0, in the order of the queue's workers) to a socket,
    /// which must be bound to this very queue of the interface: the kernel drops what goes to another.
    ///
    /// # Errors
    /// [`Error::NoSuchSlot`], [`Error::Map`] (EINVAL: not an AF_XDP socket; EBADF).
    pub fn set_socket(&mut self, queue: u32, worker: u32, socket: BorrowedFd<'_>) -> Result<(), Error> {
        let slot = self.slot(queue, worker)?;
        self.sockets.set(slot, socket.as_raw_fd(), 0).map_err(writing(map::SOCKETS))
    }

    /// Attaches the program to an interface of the calling thread's network namespace, native or generic.
    ///
    /// System call: bpf(2) `BPF_LINK_CREATE`. Capability: CAP_NET_ADMIN (CAP_BPF as well where it is loaded).
    ///
    /// # Errors
    /// [`Error::Busy`], [`Error::NotPermitted`], [`Error::Refused`] with the reason of each mode.
    pub fn attach(&mut self, interface: &str, index: u32, wanted: Wanted) -> Result<Attached, Error> {
        self.detach();
        let (link, attached) = attach::attach(xdp(&mut self.ebpf)?, interface, index, wanted)?;
        let Some(place) = &self.place else {
            self.link = Some(link);
            return Ok(attached);
        };
        match place.pin_link(link, attached.mode) {
            Ok((link, pin)) => (self.link, self.pin) = (Some(link), Some(pin)),
            // Nothing to outlive the process is no reason not to capture.
            Err(error) => {
                (self.place, self.not_kept) = (None, Some(error));
                return self.attach(interface, index, wanted);
            }
        }
        Ok(attached)
    }

    /// The same, in place of a killed probe's program: no frame passes between the two.
    ///
    /// System call: bpf(2) `BPF_LINK_UPDATE`. Capability: CAP_NET_ADMIN.
    ///
    /// # Errors
    /// [`Error::NotSucceeded`], [`Error::NotPinned`]; the killed probe's program is off the interface then.
    pub fn succeed(&mut self, orphan: Orphan) -> Result<Mode, Error> {
        self.detach();
        let (link, mode, old) = orphan.apart();
        match self.replace(link, mode) {
            Ok(()) => old.forget(),
            Err(error) => {
                old.detach();
                return Err(error);
            }
        }
        Ok(mode)
    }

    /// It gets its new name before the program, so that it has one at any time.
    fn replace(&mut self, link: FdLink, mode: Mode) -> Result<(), Error> {
        let (link, pin) = match &self.place {
            Some(place) => place.pin_link(link, mode).map(|(link, pin)| (link, Some(pin)))?,
            None => (link, None),
        };
        match attach::replace(xdp(&mut self.ebpf)?, link) {
            Ok(link) => (self.link, self.pin) = (Some(link), pin),
            Err(error) => {
                pin.into_iter().for_each(Pin::forget);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Why counters or link do not outlive the process, though they have a place; said once.
    pub fn not_kept(&mut self) -> Option<Error> {
        self.not_kept.take()
    }

    /// Counters of all queues, cumulative since [`Program::load`], summed over the CPUs. While frames arrive, a queue
    /// has seen at least as many as it has outcomes, and at most one a CPU more.
    ///
    /// # Errors
    /// [`Error::Map`].
    pub fn counters(&mut self) -> Result<Vec<QueueCounters>, Error> {
        self.counters.read()
    }

    /// The table of flows that it counts itself; `None` = it has none.
    pub fn shunt(&self) -> Option<&Table> {
        self.shunt.as_ref()
    }

    /// Takes all sockets out: from now on frames pass to the stack, counted `no_socket`. What the rings hold stays there.
    ///
    /// # Errors
    /// [`Error::Map`].
    pub fn clear_sockets(&mut self) -> Result<(), Error> {
        let slots = self.places.iter().map(|place| place.sockets).sum();
        for slot in 0..slots {
            match self.sockets.unset(slot) {
                Ok(()) => {}
                // ENOENT would be an empty slot; Linux up to 6.18 does not answer so for this kind of map.
                Err(MapError::KeyNotFound) => {}
                Err(error) => return Err(writing(map::SOCKETS)(error)),
            }
        }
        Ok(())
    }

    /// Detaches the program and waits until no CPU runs it any more; the counters then stand still. Without effect where
    /// it is not attached.
    pub fn detach(&mut self) {
        if let Some(link) = self.link.take() {
            self.pin.take().into_iter().for_each(Pin::detach);
            drop(link);
            stand_still();
        }
    }

    /// The loaded program, for [`aya::programs::TestRun`].
    ///
    /// # Errors
    /// [`Error::Object`].
    pub fn xdp(&mut self) -> Result<&mut Xdp, Error> {
        xdp(&mut self.ebpf)
    }

    fn slot(&self, queue: u32, worker: u32) -> Result<u32, Error> {
        let place = self.places.get(queue as usize).copied().unwrap_or_default();
        if worker >= place.sockets {
            return Err(Error::NoSuchSlot { queue, worker, sockets: place.sockets });
        }
        Ok(place.first_slot + worker)
    }

    fn store(&mut self, config: Config) -> Result<(), Error> {
        self.config.set(0, config.to_octets(), 0).map_err(writing(map::CONFIG))?;
        self.stored = config;
        Ok(())
    }
}

/// Pins would keep it where it is.
impl Drop for Program {
    fn drop(&mut self) {
        self.detach();
    }
}

/// Without a shunt its maps are as small as maps can be. A row of counters for each CPU that there may be.
fn loader(shunts: bool, cpus: usize) -> EbpfLoader<'static> {
    let mut loader = EbpfLoader::new();
    if shunts {
        loader.map_max_entries(map::SHUNT_COUNTS, PLACES * cpus as u32);
    } else {
        for name in [map::SHUNT_KEYS, map::SHUNT_COUNTS] {
            loader.map_max_entries(name, 1);
        }
    }
    loader
}

/// Slots one after the other, queue by queue.
fn places(sockets_of_queue: &[u32]) -> Result<Vec<QueueSockets>, Error> {
    if sockets_of_queue.len() > map::QUEUES_MAX as usize {
        return Err(Error::TooManyQueues { queues: sockets_of_queue.len(), most: map::QUEUES_MAX });
    }
    let all: u64 = sockets_of_queue.iter().map(|sockets| u64::from(*sockets)).sum();
    if all > u64::from(map::SOCKETS_MAX) {
        return Err(Error::TooManySockets { sockets: all, most: map::SOCKETS_MAX });
    }
    let mut first_slot = 0;
    Ok(sockets_of_queue
        .iter()
        .map(|&sockets| {
            let place = QueueSockets { first_slot, sockets };
            first_slot += sockets;
            place
        })
        .collect())
}

fn write_places(map: &mut Array<MapData, [u32; 2]>, places: &[QueueSockets]) -> Result<(), Error> {
    for (queue, place) in (0..).zip(places) {
        map.set(queue, [place.first_slot, place.sockets], 0).map_err(writing(map::QUEUES))?;
    }
    Ok(())
}

fn take<M: TryFrom<Map>>(ebpf: &mut Ebpf, name: &'static str) -> Result<M, Error> {
    let map = ebpf.take_map(name).ok_or(Error::Object { name })?;
    M::try_from(map).map_err(|_| Error::Object { name })
}

fn xdp(ebpf: &mut Ebpf) -> Result<&mut Xdp, Error> {
    let missing = Error::Object { name: map::PROGRAM };
    let Some(program) = ebpf.program_mut(map::PROGRAM) else { return Err(missing) };
    program.try_into().map_err(|_| missing)
}

impl From<LoadError> for Error {
    fn from(LoadError { map, error }: LoadError) -> Self {
        Self::NotMapped { map, error }
    }
}

fn writing(map: &'static str) -> impl FnOnce(MapError) -> Error {
    move |error| Error::Map { map, operation: "writing", error }
}
