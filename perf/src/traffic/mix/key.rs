//! Who talks to whom: the key of a flow, in few octets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::traffic::random::spread;

/// What a flow of the mix is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Protocol {
    Tcp,
    Udp,
    /// Echo, of ICMP or ICMPv6.
    Echo,
}

/// Bits of a client's number: what 10.0.0.0/8 leaves.
const CLIENT_BITS: u32 = 24;
/// Bits of a server's number: what 172.16.0.0/12 leaves.
const SERVER_BITS: u32 = 20;

/// Most clients or servers: what has an address on both sides, and is a table of 8 MB.
pub(super) const ENDS_MAX: u32 = 1 << SERVER_BITS;

/// The two ends of a flow, and what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    client: u32,
    server: u32,
    client_port: u16,
    server_port: u16,
    pub(super) protocol: Protocol,
    pub(super) ipv6: bool,
}

impl Key {
    /// By the ranks of the two ends: other addresses by another seed.
    pub(super) fn new(seed: u64, ranks: [u32; 2], ports: [u16; 2], protocol: Protocol, ipv6: bool) -> Self {
        let mask = spread(seed, u64::MAX);
        Self {
            client: (ranks[0] ^ mask as u32) & ((1 << CLIENT_BITS) - 1),
            server: (ranks[1] ^ (mask >> 32) as u32) & ((1 << SERVER_BITS) - 1),
            client_port: ports[0],
            server_port: ports[1],
            protocol,
            ipv6,
        }
    }

    /// IANA number.
    pub(super) fn protocol_identifier(self) -> u8 {
        match self.protocol {
            Protocol::Tcp => 6,
            Protocol::Udp => 17,
            Protocol::Echo if self.ipv6 => 58,
            Protocol::Echo => 1,
        }
    }

    /// Client and server; ports of 0 where the protocol has none.
    pub(super) fn ends(self) -> (SocketAddr, SocketAddr) {
        let (client, server): (IpAddr, IpAddr) = if self.ipv6 {
            let of = |net: u128, number: u32| Ipv6Addr::from(net << 80 | u128::from(number));
            (of(0x2001_0db8_0001, self.client).into(), of(0x2001_0db8_0002, self.server).into())
        } else {
            let of = |net: [u8; 4], number: u32| Ipv4Addr::from(u32::from_be_bytes(net) | number);
            (of([10, 0, 0, 0], self.client).into(), of([172, 16, 0, 0], self.server).into())
        };
        (SocketAddr::new(client, self.client_port), SocketAddr::new(server, self.server_port))
    }
}
