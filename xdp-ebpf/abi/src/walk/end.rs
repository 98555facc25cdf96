//! The two ends of a packet, put into the order of the key.

use super::Tagged;
use super::transport::Transport;
use crate::key::{Direction, FlowKey};

/// One address in network order, as two numbers: they compare as the octets do, in two instructions.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Address {
    high: u64,
    low: u64,
}

impl Address {
    #[inline(always)]
    pub(super) fn v4(octets: [u8; 4]) -> Self {
        Self { high: u64::from(u32::from_be_bytes(octets)) << 32, low: 0 }
    }

    #[inline(always)]
    pub(super) fn v6(high: [u8; 8], low: [u8; 8]) -> Self {
        Self { high: u64::from_be_bytes(high), low: u64::from_be_bytes(low) }
    }

    #[inline(always)]
    fn octets(self) -> [u8; 16] {
        let [a, b, c, d, e, f, g, h] = self.high.to_be_bytes();
        let [i, j, k, l, m, n, o, p] = self.low.to_be_bytes();
        [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
    }
}

/// The key of a packet and the direction it has in it. Equal ends count as [`Direction::LowToHigh`].
#[inline(always)]
pub(super) fn key(
    source: Address,
    destination: Address,
    transport: &Transport,
    ip_version: u8,
    tagged: &Tagged,
) -> (FlowKey, Direction) {
    let ports = (transport.source_port, transport.destination_port);
    let direction = direction(source, destination, ports);
    let (low, high, low_port, high_port) = match direction {
        Direction::LowToHigh => (source, destination, ports.0, ports.1),
        Direction::HighToLow => (destination, source, ports.1, ports.0),
    };
    let key = FlowKey {
        low_address: low.octets(),
        high_address: high.octets(),
        low_port,
        high_port,
        vlan: tagged.vlan,
        customer_vlan: tagged.customer_vlan,
        protocol: transport.protocol,
        ip_version,
        zero: [0; 2],
    };
    (key, direction)
}

#[inline(always)]
fn direction(source: Address, destination: Address, ports: (u16, u16)) -> Direction {
    let ordered = if source.high != destination.high {
        source.high < destination.high
    } else if source.low != destination.low {
        source.low < destination.low
    } else {
        ports.0 <= ports.1
    };
    if ordered { Direction::LowToHigh } else { Direction::HighToLow }
}
