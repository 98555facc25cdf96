//! The two ends of a packet, put into the order of the key.

use super::Tagged;
use super::transport::Ports;
use crate::headers::Headers;
use crate::key::Direction;

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

/// Addresses, ports and tags of the key, and the direction that the packet has in it. Equal ends count as
/// [`Direction::LowToHigh`].
#[inline(always)]
pub(super) fn set_key(
    headers: &mut Headers,
    source: Address,
    destination: Address,
    ports: Ports,
    tagged: &Tagged,
) {
    let key = &mut headers.key;
    key.vlan = tagged.vlan;
    key.customer_vlan = tagged.customer_vlan;
    if is_low_to_high(source, destination, ports) {
        headers.direction = Direction::LowToHigh;
        key.low_address = source.octets();
        key.high_address = destination.octets();
        key.low_port = ports.source;
        key.high_port = ports.destination;
    } else {
        headers.direction = Direction::HighToLow;
        key.low_address = destination.octets();
        key.high_address = source.octets();
        key.low_port = ports.destination;
        key.high_port = ports.source;
    }
}

#[inline(always)]
fn is_low_to_high(source: Address, destination: Address, ports: Ports) -> bool {
    if source.high != destination.high {
        source.high < destination.high
    } else if source.low != destination.low {
        source.low < destination.low
    } else {
        ports.source <= ports.destination
    }
}
