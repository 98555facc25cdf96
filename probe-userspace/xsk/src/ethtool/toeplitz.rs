//! The queue that a device's hash sends a whole packet to. Fragments of it come by another, for devices hash those by less.
//!
//! Microsoft's verification suite for RSS is the oracle of the tests.

use std::net::{IpAddr, SocketAddr};

use super::rss::{RXH_IP_SRC, RXH_L4_B_0_1, RXH_XFRM_NO_CHANGE, RXH_XFRM_SYM_OR_XOR, RXH_XFRM_SYM_XOR, Rss};

/// Two addresses of IPv6 and two ports.
const INPUT_MOST: usize = 36;

/// What is hashed.
struct Input {
    octets: [u8; INPUT_MOST],
    count: usize,
    transform: u8,
}

impl Rss {
    /// The queue of a whole TCP (else UDP) packet from one end to the other; as the table has it, for a device with a symmetric hash in
    /// either direction. `None` where the ends are of different versions or the device has no table.
    #[must_use]
    pub fn queue(&self, ends: [SocketAddr; 2], is_tcp: bool) -> Option<u32> {
        let hash = self.hash(ends, is_tcp)?;
        let place = (hash as usize).checked_rem(self.table.len())?;
        self.table.get(place).copied()
    }

    fn hash(&self, [source, destination]: [SocketAddr; 2], is_tcp: bool) -> Option<u32> {
        let flow_type = usize::from(!is_tcp) + if source.is_ipv6() { 2 } else { 0 };
        let fields = self.fields[flow_type];
        let mut input = Input { octets: [0; INPUT_MOST], count: 0, transform: self.transform };
        if fields & RXH_IP_SRC != 0 {
            match (source.ip(), destination.ip()) {
                (IpAddr::V4(source), IpAddr::V4(destination)) => {
                    input.pair(&source.octets(), &destination.octets());
                }
                (IpAddr::V6(source), IpAddr::V6(destination)) => {
                    input.pair(&source.octets(), &destination.octets());
                }
                _ => return None,
            }
        }
        if fields & RXH_L4_B_0_1 != 0 {
            input.pair(&source.port().to_be_bytes(), &destination.port().to_be_bytes());
        }
        Some(toeplitz(&self.key, &input.octets[..input.count]))
    }
}

impl Input {
    /// A field of both sides, combined as the device does it (linux/ethtool.h at RXH_XFRM_SYM_XOR).
    fn pair(&mut self, source: &[u8], destination: &[u8]) {
        let is = |transform: u8| self.transform != RXH_XFRM_NO_CHANGE && self.transform & transform != 0;
        let (xor, or) = (is(RXH_XFRM_SYM_XOR), is(RXH_XFRM_SYM_OR_XOR));
        let length = source.len();
        // Two addresses and two ports fit: there are no longer ones.
        let (first, second) = self.octets[self.count..][..2 * length].split_at_mut(length);
        for (at, (one, other)) in source.iter().zip(destination).enumerate() {
            (first[at], second[at]) = match (xor, or) {
                (_, true) => (one | other, one ^ other),
                (true, false) => (one ^ other, one ^ other),
                (false, false) => (*one, *other),
            };
        }
        self.count += 2 * length;
    }
}

/// For each bit of the input that is set, the 32 bits of the key that begin at its place; a key that ends before goes on with zeros.
fn toeplitz(key: &[u8], input: &[u8]) -> u32 {
    let octet = |at: usize| u64::from(key.get(at).copied().unwrap_or(0));
    let mut hash = 0;
    for (at, byte) in input.iter().enumerate() {
        let window = (0..5).fold(0, |window, next| window << 8 | octet(at + next));
        for bit in (0..8).filter(|bit| byte & 0x80 >> bit != 0) {
            hash ^= (window >> (8 - bit)) as u32;
        }
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::super::rss::tests::rss;
    use super::*;

    /// The key of Microsoft's suite.
    const KEY: [u8; 40] = [
        0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0,
        0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42,
        0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
    ];

    /// Source, destination, hash with ports, hash of the addresses alone.
    const SUITE: [(&str, &str, u32, u32); 5] = [
        ("66.9.149.187:2794", "161.142.100.80:1766", 0x51cc_c178, 0x323e_8fc2),
        ("199.92.111.2:14230", "65.69.140.83:4739", 0xc626_b0ea, 0xd718_262a),
        ("24.19.198.95:12898", "12.22.207.184:38024", 0x5c2b_394a, 0xd2d0_a5de),
        ("[3ffe:2501:200:1fff::7]:2794", "[3ffe:2501:200:3::1]:1766", 0x4020_7d3d, 0x2cc1_8cd5),
        ("[3ffe:501:8::260:97ff:fe40:efab]:14230", "[ff02::1]:4739", 0xdde5_1bbf, 0x0f0c_461c),
    ];

    fn ends(source: &str, destination: &str) -> [SocketAddr; 2] {
        [source, destination].map(|end| end.parse().expect("an address with a port"))
    }

    #[test]
    fn the_hash_is_that_of_microsofts_suite() {
        for (source, destination, with_ports, without) in SUITE {
            let ends = ends(source, destination);
            let mut device = rss(&KEY);
            assert_eq!(device.hash(ends, true), Some(with_ports), "{source}");
            device.fields = [RXH_IP_SRC | RXH_IP_SRC << 1; 4];
            assert_eq!(device.hash(ends, false), Some(without), "{source}");
        }
    }

    #[test]
    fn a_symmetric_device_sends_both_directions_to_one_queue() {
        for (source, destination, ..) in SUITE {
            let [one, other] = ends(source, destination);
            let mut device = rss(&[0x6d, 0x5a].repeat(26));
            assert_eq!(device.hash([one, other], true), device.hash([other, one], true));
            device.key = KEY.to_vec();
            assert_ne!(device.hash([one, other], true), device.hash([other, one], true));
            for transform in [RXH_XFRM_SYM_XOR, RXH_XFRM_SYM_OR_XOR] {
                device.transform = transform;
                assert_eq!(device.hash([one, other], true), device.hash([other, one], true));
            }
        }
    }

    #[test]
    fn the_table_says_the_queue_and_without_one_nobody_does() {
        let mut device = rss(&KEY);
        device.table = vec![9, 8, 7];
        let ends = ends(SUITE[0].0, SUITE[0].1);
        assert_eq!(device.queue(ends, true), Some([9, 8, 7][0x51cc_c178 % 3]));
        device.table.clear();
        assert_eq!(device.queue(ends, true), None);
    }
}
