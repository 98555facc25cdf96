//! Opening interfaces: sockets for every worker, doors, and the kernel's side of the books.

use std::sync::Arc;

use flow_wire::ledger::{Message, QueueTerms};
use xsk::packet::{Fanout, Filter, Gate, Options, Socket, Spread};

use super::Error;
use super::audit::Audit;
use super::conduct::{Door, Stage};
use super::crew::Post;
use super::host::{Interface, MISSED, missed};
use super::kernel_books::KernelBooks;
use super::layout::Layout;
use super::mode::Mode;
use super::pins::Pins;
use super::plan::{Plan, Port};
use super::symmetry::Symmetry;
use super::xdp;
use crate::books;
use crate::config::Capture;
use crate::export::{Books, Sink};
use crate::source::bpf::Instruction;
use crate::source::filtered::Filtered;
use crate::source::packet::{PacketSocket, link_layer};
use crate::source::selection::{InForce, Selection};
use crate::source::xdp::shunt::Table;
use crate::source::{LinkLayer, Source};
use crate::spool::Statistics;
use crate::telemetry::Board;
use crate::worker::{Clock, Cut, Handover, NAP_FRAMES, Sightings, Wait};

/// Opens everything; nothing comes in before the doors are opened.
pub(super) fn stage(
    plan: &Plan,
    capture: &Capture,
    sinks: Vec<Box<dyn Sink>>,
    (board, in_force): (&Board, &Arc<InForce>),
    pins: Pins,
    clock: Clock,
) -> Result<Stage, Error> {
    let sources = plan.workers.iter().map(|_| Vec::new()).collect();
    let mut opened =
        Opened { sources, layout: plan.layout, in_force: Arc::clone(in_force), pins, ..Opened::default() };
    for port in &plan.ports {
        match port.mode {
            Mode::Xdp => xdp::open(port, capture, &mut opened)?,
            Mode::Packet => packet(port, capture, &mut opened)?,
        }
    }
    let sightings = Arc::new(Sightings::default());
    let parts = opened.sources.into_iter().zip(&plan.workers).zip(handovers(plan, &sightings)?);
    let posts = parts.map(|((sources, &core), handover)| Post { sources, core, handover }).collect();
    Ok(Stage {
        posts,
        doors: opened.doors,
        books: Box::new(LiveBooks {
            kernel: opened.kernel,
            devices: plan.ports.iter().filter_map(Device::of).collect(),
            board: board.clone(),
            audit: Audit::default(),
            symmetry: Symmetry::new(plan, sightings),
        }),
        sinks,
        spool: None,
        pins: opened.pins,
        ring_slots: opened.ring_slots,
        clock,
        wait: wait(plan, capture),
        shunt: plan.shunt(capture).map(|threshold| (threshold, opened.shunts)),
    })
}

/// What has been opened so far.
#[derive(Default)]
pub(super) struct Opened {
    pub sources: Vec<Vec<Box<dyn Source>>>,
    pub layout: Layout,
    pub doors: Vec<Box<dyn Door>>,
    pub kernel: Vec<KernelBooks>,
    pub in_force: Arc<InForce>,
    pub pins: Pins,
    /// Of all sockets' receive rings.
    pub ring_slots: u32,
    /// Of all programs that count flows themselves.
    pub shunts: Vec<Table>,
}

/// Rings that a nap may fill are looked after by whoever is woken.
fn wait(plan: &Plan, capture: &Capture) -> Wait {
    let shallowest = plan.ports.iter().map(|port| capture.depth.frames(port.queues.len())).min();
    match capture.wait {
        Wait::Nap if shallowest.is_some_and(|frames| frames < NAP_FRAMES) => Wait::Poll,
        wait => wait,
    }
}

/// Packet sockets are spread by addresses, so that a flow and its fragments are in one worker anyway: each stands alone.
/// As soon as the XDP program spreads for one interface, flows belong to workers by its arithmetic; where queues are split, once it
/// is seen that the device does not keep flows together.
fn handovers(plan: &Plan, sightings: &Arc<Sightings>) -> Result<Vec<Handover>, Error> {
    let workers = plan.workers.len();
    if plan.layout == Layout::Split {
        let steering = plan.steering().map(Arc::new);
        return Handover::apart(workers, sightings, steering.as_ref()).map_err(Error::Handover);
    }
    if plan.ports.iter().any(|port| port.mode == Mode::Xdp) {
        return Handover::mesh(workers).map_err(Error::Handover);
    }
    let mut alone = Vec::with_capacity(workers);
    for _ in 0..workers {
        alone.extend(Handover::mesh(1).map_err(Error::Handover)?);
    }
    Ok(alone)
}

/// A packet socket for each worker, in one fanout group.
fn packet(port: &Port, capture: &Capture, opened: &mut Opened) -> Result<(), Error> {
    let interface = xsk::Interface::by_name(&port.interface.name)?;
    let fanout = (opened.sources.len() > 1).then_some(Fanout { group: None, spread: Spread::Addresses });
    let mut options = Options {
        ignore_outgoing: !capture.outgoing,
        promiscuous: capture.promiscuous,
        snap_octets: capture.snap_octets,
        fanout,
        ..Options::receiver(&interface)
    };
    for sources in &mut opened.sources {
        let socket = Socket::open(&options)?;
        // The first made the group, with a number that no other probe has: who joined another's would take its packets
        // away. The others join it.
        if let Some(fanout) = &mut options.fanout {
            fanout.group = socket.fanout_group();
        }
        let mut gate = socket.gate()?;
        gate.set_filter(filter(&opened.in_force.get(), &port.interface))?;
        opened.doors.push(Box::new(GateDoor { gate, interface: port.interface.clone() }));
        let source = PacketSocket::new(socket, &opened.in_force);
        sources.push(Filtered::changeable(source, &opened.in_force));
    }
    Ok(())
}

struct GateDoor {
    gate: Gate,
    interface: Interface,
}

/// What the kernel can leave out of it before it is copied.
fn filter(selection: &Selection, interface: &Interface) -> Option<Filter> {
    let program = selection.selector.as_ref()?.program(link_layer(interface.hardware_type))?;
    // Its guards are for Ethernet; what has no link layer is judged by the worker alone.
    let is_ethernet = link_layer(interface.hardware_type) == LinkLayer::Ethernet;
    let instruction = |&Instruction { code, jt, jf, k }: &Instruction| libc::sock_filter { code, jt, jf, k };
    let program: Vec<_> = program.instructions().iter().map(instruction).collect();
    is_ethernet.then(|| Filter::new(&program)).flatten()
}

impl Door for GateDoor {
    fn interface(&self) -> &str {
        &self.interface.name
    }

    fn open(&mut self) -> Result<(), Error> {
        Ok(self.gate.open()?)
    }

    fn close(&mut self) -> Result<(), Error> {
        Ok(self.gate.close()?)
    }

    fn select(&mut self, selection: &Selection) -> Result<(), Error> {
        Ok(self.gate.set_filter(filter(selection, &self.interface))?)
    }

    fn tend(&mut self, interfaces: &[Interface]) -> Result<bool, Error> {
        Ok(interfaces.iter().any(|interface| interface.index == self.interface.index))
    }
}

/// The books of sockets, kernel and devices.
struct LiveBooks {
    kernel: Vec<KernelBooks>,
    devices: Vec<Device>,
    board: Board,
    audit: Audit,
    symmetry: Symmetry,
}

impl Books for LiveBooks {
    fn queues(&mut self, cuts: &[Cut]) -> Vec<QueueTerms> {
        let stages = |cut: &Cut| Some((cut.worker.worker, Arc::clone(cut.stages.as_ref()?)));
        self.board.put_stages(cuts.iter().filter_map(stages).collect());
        let sockets = books::merge(cuts.iter().flat_map(|cut| cut.sources.iter().cloned()));
        let closing = !cuts.is_empty() && cuts.iter().all(|cut| cut.last);
        let mut parts = Vec::new();
        for kernel in &mut self.kernel {
            parts.extend(kernel.terms(&sockets, closing));
        }
        parts.extend(self.devices.iter_mut().filter_map(Device::terms));
        books::merge(sockets.into_iter().chain(parts))
    }

    fn publish(&mut self, message: &Arc<Message>, spool: Option<Statistics>) {
        for sentence in self.audit.judge(message) {
            tracing::error!("the books do not balance {sentence}");
        }
        self.symmetry.say();
        self.board.put(message.clone(), spool);
    }
}

/// What a device missed while it was captured. It says so for all of its queues together: it stands at the first.
struct Device {
    interface: Interface,
    queue: u32,
    before: u64,
    /// Since then; it stays when the device goes away.
    missed: u64,
}

impl Device {
    fn of(port: &Port) -> Option<Self> {
        let queue = port.queues.first().copied()?;
        Some(Self { interface: port.interface.clone(), queue, before: missed(&port.interface)?, missed: 0 })
    }

    /// A counter that went back was reset with its device, and one that is gone went with it: what it said before stands.
    fn note(&mut self, counter: Option<u64>) {
        let since = counter.map_or(0, |counter| counter.saturating_sub(self.before));
        self.missed = self.missed.max(since);
    }

    fn terms(&mut self) -> Option<QueueTerms> {
        self.note(missed(&self.interface));
        let terms = QueueTerms {
            interface: self.interface.name.clone(),
            queue: self.queue,
            device_missed: [(MISSED.to_string(), self.missed)].into(),
            ..QueueTerms::default()
        };
        (self.missed > 0).then_some(terms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_device_missed_stays_when_it_goes_away() {
        let interface = Interface {
            name: "nosuchdevice0".into(),
            index: 7,
            hardware_type: 1,
            mac_address: [2; 6],
            up: true,
            addresses: vec![],
        };
        let mut device = Device { interface, queue: 0, before: 100, missed: 0 };
        assert_eq!(device.terms(), None);
        for counter in [Some(103), Some(130), Some(0), None] {
            device.note(counter);
        }
        assert_eq!(device.terms().unwrap().device_missed[MISSED], 30);
    }
}
