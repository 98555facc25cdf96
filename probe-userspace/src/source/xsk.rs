//! An AF_XDP socket of one queue as a source. The socket, its rings and its memory are the `xsk` crate's.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use flow_wire::fault::{self, Fault, Hop};
use flow_wire::ledger::{Amount, QueueTerms};
use xsk::{Burst, Socket};

use super::selection::{Follower, InForce};
use super::{BURST_CAPACITY, Error, Frame, LinkLayer, NO_FRAME, ObservationPoint, Source, State};

const _: () =
    assert!(xsk::burst::PACKETS <= BURST_CAPACITY, "a burst of the socket is a burst of the source");

/// One socket; it belongs to the worker that polls it.
#[derive(Debug)]
pub struct Xsk {
    socket: Socket,
    burst: Burst,
    point: ObservationPoint,
    received: Amount,
    /// The calls of this socket run the device's queue: nothing comes without one.
    busy_poll: bool,
    /// Packets whose descriptors made no sense, up to the last look.
    unbelieved: u64,
    follower: Follower,
}

impl Xsk {
    /// Over a bound socket; `busy_poll` where its own calls are to run the device's queue. Frames that
    /// the expression in force does not select are marked.
    pub fn new(socket: Socket, busy_poll: bool, in_force: &Arc<InForce>) -> Self {
        let point = ObservationPoint {
            interface: socket.interface().name().to_string(),
            ingress_interface: socket.interface().index(),
            queue: socket.queue().0,
        };
        let (burst, follower) = (socket.burst(), Follower::of(in_force));
        Self { burst, socket, point, received: Amount::ZERO, busy_poll, unbelieved: 0, follower }
    }

    fn error(&self, operation: &'static str, error: std::io::Error) -> Error {
        Error::System { interface: self.point.interface.clone(), operation, error }
    }

    /// Lends what is in the burst. Times are the burst's: copy mode has no other, and one clock read a burst is what
    /// the data path can afford.
    fn lend(&mut self, now_nanoseconds: u64, lend: &mut dyn FnMut(&[Frame<'_>])) {
        let selector = self.follower.now().selector.as_ref();
        let mut frames = [NO_FRAME; BURST_CAPACITY];
        let mut octets = 0;
        for (frame, packet) in frames.iter_mut().zip(self.burst.iter()) {
            let original_octets = packet.octets();
            *frame = Frame {
                bytes: packet.bytes(),
                further_octets: original_octets.saturating_sub(packet.bytes().len() as u32),
                original_octets,
                timestamp_nanoseconds: now_nanoseconds,
                left_out: selector.is_some_and(|selector| {
                    !selector.selects(LinkLayer::Ethernet, packet.bytes(), original_octets)
                }),
                ..NO_FRAME
            };
            octets += u64::from(original_octets);
        }
        let mut frames = &frames[..self.burst.len()];
        let mut amount = Amount { packets: frames.len() as u64, octets };
        match fault::take(Hop::Receive) {
            None => {}
            Some(Fault::Double) => lend(&frames[..1]),
            Some(Fault::Lose) => {
                amount = Amount {
                    packets: amount.packets - 1,
                    octets: octets - u64::from(frames[0].original_octets),
                };
                frames = &frames[1..];
            }
        }
        self.received += amount;
        if !frames.is_empty() {
            lend(frames);
        }
    }
}

impl Xsk {
    /// An interface that is down has nothing to poll for, and may come up again; one that is gone is the door's affair.
    fn kick(&mut self) -> Result<(), Error> {
        match self.socket.kick_receive() {
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENETDOWN | libc::ENXIO)) => Ok(()),
            kicked => kicked.map(drop).map_err(|error| self.error("recvfrom", error)),
        }
    }

    /// Packets that the ring described and nobody could find, and a word about new ones: a driver that does so is broken.
    fn unbelieved(&mut self) -> u64 {
        let counters = self.socket.counters();
        if counters.bad_packets > self.unbelieved {
            tracing::error!(
                interface = self.point.interface,
                queue = self.point.queue,
                packets = counters.bad_packets - self.unbelieved,
                descriptors = ?counters.bad_descriptors,
                "descriptors of the kernel lie outside of what it was given: counted as rx_dropped; report it with the driver's name (ethtool -i)"
            );
        }
        self.unbelieved = counters.bad_packets;
        counters.bad_packets
    }
}

impl Source for Xsk {
    fn observation_point(&self) -> &ObservationPoint {
        &self.point
    }

    fn receive(&mut self, now_nanoseconds: u64, lend: &mut dyn FnMut(&[Frame<'_>])) -> Result<State, Error> {
        let mut count = self.socket.receive(&mut self.burst);
        if count == 0 && self.busy_poll {
            self.kick()?;
            count = self.socket.receive(&mut self.burst);
        }
        if count == 0 {
            // Also where frames of unbelievable descriptors came: they go back all the same.
            self.socket.give_back(&mut self.burst);
            return Ok(State::Idle);
        }
        self.lend(now_nanoseconds, lend);
        self.socket.give_back(&mut self.burst);
        Ok(State::Some)
    }

    fn before_sleep(&mut self) {
        self.socket.settle();
    }

    fn wait(&mut self, timeout: Duration) -> Result<(), Error> {
        self.socket.wait(Some(timeout)).map(drop).map_err(|error| self.error("ppoll", error))
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.socket.as_fd())
    }

    /// The kernel counts losses per socket, and in packets only. A packet whose descriptor cannot be believed was redirected and
    /// is not received: it stands with what the kernel dropped.
    fn terms(&mut self) -> Result<QueueTerms, Error> {
        let statistics = self
            .socket
            .statistics()
            .map_err(|error| self.error("getsockopt(XDP_STATISTICS)", std::io::Error::other(error)))?;
        let unbelieved = self.unbelieved();
        Ok(QueueTerms {
            interface: self.point.interface.clone(),
            queue: self.point.queue,
            received: self.received,
            rx_ring_full: statistics.rx_ring_full,
            rx_dropped: statistics.rx_dropped + unbelieved,
            rx_fill_ring_empty_descs: statistics.rx_fill_ring_empty,
            ..QueueTerms::default()
        })
    }
}
