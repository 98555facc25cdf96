//! The host's own traffic: never taken away from an interface that has an address.

use crate::frame::Frame;
use xdp_abi::bytes::Bytes;
use xdp_abi::map::Config;

/// IEEE 802.3, 3.2.3: broadcast and multicast. ARP, neighbour discovery and DHCP come this way.
const GROUP: u8 = 0x01;

#[inline(always)]
pub(crate) fn is_own(frame: &Frame, config: &Config) -> bool {
    if config.has_address == 0 {
        return false;
    }
    let Some(destination) = frame.octets::<6>(0) else { return false };
    if destination[0] & GROUP != 0 {
        return true;
    }
    number(destination) == number(config.mac_address)
}

/// Compared as one number: the array's own comparison is a call that the program cannot make.
#[inline(always)]
fn number([a, b, c, d, e, f]: [u8; 6]) -> u64 {
    u64::from_be_bytes([0, 0, a, b, c, d, e, f])
}
