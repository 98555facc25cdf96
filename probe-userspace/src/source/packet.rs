//! A packet socket as a source: it listens, and takes nothing away. The socket and its ring are the `xsk` crate's.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use flow_wire::fault::{self, Fault, Hop};
use flow_wire::ledger::{Amount, QueueTerms};
use xsk::packet::{PACKETS, Packet, Socket};

use super::bpf::Selector;
use super::selection::{Follower, InForce};
use super::{BURST_CAPACITY, Error, Frame, LinkLayer, NO_FRAME, ObservationPoint, Source, State};

const _: () = assert!(PACKETS <= BURST_CAPACITY, "a burst of the socket is a burst of the source");

/// A packet's own time is believed up to so much before the worker's: the ring hands a block over after some tens of
/// milliseconds. Anything else is a step of the host's clock.
const BELIEVED_NANOSECONDS: u64 = 10_000_000_000;

/// Devices without a link-layer header (tunnels): the packet begins with the IP header.
const ARPHRD_NONE: u16 = libc::ARPHRD_NONE;

/// One packet socket.
#[derive(Debug)]
pub struct PacketSocket {
    socket: Socket,
    point: ObservationPoint,
    /// Taken from the ring.
    taken: Amount,
    /// Handed to the worker.
    received: Amount,
    follower: Follower,
}

impl PacketSocket {
    /// Over an open socket. Queue 0 stands for all of the interface's. Frames that the expression in force does not select are marked.
    pub fn new(socket: Socket, in_force: &Arc<InForce>) -> Self {
        let interface = socket.interface();
        let point = ObservationPoint {
            interface: interface.name().to_string(),
            ingress_interface: interface.index(),
            queue: 0,
        };
        let follower = Follower::of(in_force);
        Self { socket, point, taken: Amount::ZERO, received: Amount::ZERO, follower }
    }

    fn error(
        &self,
        operation: &'static str,
        error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Error {
        Error::System {
            interface: self.point.interface.clone(),
            operation,
            error: std::io::Error::other(error),
        }
    }
}

impl Source for PacketSocket {
    fn observation_point(&self) -> &ObservationPoint {
        &self.point
    }

    fn receive(&mut self, now_nanoseconds: u64, lend: &mut dyn FnMut(&[Frame<'_>])) -> Result<State, Error> {
        let lent = self.socket.receive();
        if lent.is_empty() {
            return Ok(State::Idle);
        }
        let selector = self.follower.now().selector.as_ref();
        let mut frames = [NO_FRAME; BURST_CAPACITY];
        let mut amount = Amount { packets: lent.len() as u64, octets: 0 };
        for (place, packet) in frames.iter_mut().zip(lent.iter()) {
            *place = frame(packet, now_nanoseconds);
            if let Some(selector) = selector {
                place.left_out |= !selects(selector, packet);
            }
            amount.octets += u64::from(packet.original_octets);
        }
        self.taken += amount;
        let mut frames = &frames[..lent.len()];
        match fault::take(Hop::Receive) {
            None => {}
            Some(Fault::Double) => lend(&frames[..1]),
            Some(Fault::Lose) => {
                amount.packets -= 1;
                amount.octets -= u64::from(frames[0].original_octets);
                frames = &frames[1..];
            }
        }
        self.received += amount;
        if !frames.is_empty() {
            lend(frames);
        }
        Ok(State::Some)
    }

    fn before_sleep(&mut self) {
        if let Some(error) = self.socket.take_error() {
            tracing::warn!(
                "{}: {error}: nothing arrives until the interface is up, or there, again",
                self.point.interface
            );
        }
    }

    fn wait(&mut self, timeout: Duration) -> Result<(), Error> {
        self.socket.wait(Some(timeout)).map(drop).map_err(|error| self.error("ppoll", error))
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.socket.as_fd())
    }

    /// The kernel counts what the socket saw and dropped, in packets only; what was taken from the ring is counted here.
    /// The octets of `seen` are those of what was taken, and in no identity.
    fn terms(&mut self) -> Result<QueueTerms, Error> {
        // Downstream first: packets that come in between are seen and not yet received.
        let (received, taken) = (self.received, self.taken);
        let unreadable = self.socket.unreadable();
        let statistics =
            self.socket.statistics().map_err(|error| self.error("getsockopt(PACKET_STATISTICS)", error))?;
        Ok(QueueTerms {
            interface: self.point.interface.clone(),
            queue: self.point.queue,
            seen: Amount { packets: statistics.packets, octets: taken.octets },
            redirected: taken,
            dropped_before_redirect: true,
            received,
            rx_ring_full: statistics.drops,
            rx_dropped: unreadable,
            ..QueueTerms::default()
        })
    }

    fn is_drained(&mut self) -> Result<bool, Error> {
        self.socket.is_drained().map_err(|error| self.error("getsockopt(PACKET_STATISTICS)", error))
    }
}

fn frame<'a>(packet: &Packet<'a>, now_nanoseconds: u64) -> Frame<'a> {
    let stamp = packet.timestamp.nanoseconds;
    let believed = stamp <= now_nanoseconds && now_nanoseconds - stamp < BELIEVED_NANOSECONDS;
    Frame {
        bytes: packet.bytes,
        further_octets: 0,
        original_octets: packet.original_octets,
        timestamp_nanoseconds: if believed { stamp } else { now_nanoseconds },
        link_layer: link_layer(packet.hardware_type),
        stripped_vlan: packet.vlan.map(|vlan| vlan.tci),
        left_out: packet.is_left_out(),
    }
}

/// As it was on the wire.
fn selects(selector: &Selector, packet: &Packet<'_>) -> bool {
    match packet.vlan {
        Some(vlan) => selector.selects_tagged(packet.bytes, (vlan.tpid, vlan.tci), packet.original_octets),
        None => selector.selects(link_layer(packet.hardware_type), packet.bytes, packet.original_octets),
    }
}

/// By ARPHRD type; one that is not read is counted as such by the walk.
pub(crate) fn link_layer(hardware_type: u16) -> LinkLayer {
    match hardware_type {
        libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK => LinkLayer::Ethernet,
        ARPHRD_NONE => LinkLayer::Ip,
        other => LinkLayer::Other(other.into()),
    }
}

#[cfg(test)]
mod tests {
    use xsk::packet::{Timestamp, Vlan};

    use super::*;

    fn packet(nanoseconds: u64, hardware_type: u16) -> Packet<'static> {
        Packet {
            bytes: &[1, 2, 3],
            original_octets: 7,
            timestamp: Timestamp { nanoseconds, of_device: false },
            vlan: Some(Vlan { tci: 5, tpid: 0x8100 }),
            hardware_type,
            packet_type: 0,
        }
    }

    #[test]
    fn a_stamp_is_believed_unless_a_clock_has_stepped() {
        let now = 1_700_000_000_000_000_000;
        let at = |stamp| frame(&packet(stamp, 1), now).timestamp_nanoseconds;
        assert_eq!(at(now - 20_000_000), now - 20_000_000);
        assert_eq!(at(now + 1), now);
        assert_eq!(at(0), now);
    }

    #[test]
    fn tags_and_link_layers_are_carried_over() {
        assert_eq!(frame(&packet(0, 1), 0).stripped_vlan, Some(5));
        assert_eq!(frame(&packet(0, 772), 0).link_layer, LinkLayer::Ethernet);
        assert_eq!(frame(&packet(0, 65534), 0).link_layer, LinkLayer::Ip);
        assert_eq!(frame(&packet(0, 512), 0).link_layer, LinkLayer::Other(512));
    }
}
