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
    let is_low_to_high = is_low_to_high(source, destination, ports);
    headers.direction = if is_low_to_high { Direction::LowToHigh } else { Direction::HighToLow };
    // Without a branch: packets of a conversation go either way, and no processor guesses which.
    let swap = u64::from(is_low_to_high).wrapping_sub(1);
    let (low_high, high_high) = swapped(source.high, destination.high, swap);
    let (low_low, high_low) = swapped(source.low, destination.low, swap);
    key.low_address = Address { high: low_high, low: low_low }.octets();
    key.high_address = Address { high: high_high, low: high_low }.octets();
    let (low, high) = swapped(ports.source.into(), ports.destination.into(), swap);
    (key.low_port, key.high_port) = (low as u16, high as u16);
}

/// The two, the other way round where all bits of `swap` are set; none are else.
#[inline(always)]
fn swapped(first: u64, second: u64, swap: u64) -> (u64, u64) {
    let difference = (first ^ second) & swap;
    (first ^ difference, second ^ difference)
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
