//! One flow of the mix: its packets one after the other.
//!
//! ```text
//!   TCP, n packets, FIN:   SYN  SYN ACK  ACK  data ...  FIN  FIN  ACK        (short of 6: the end is cut off)
//!   TCP, n packets, RST:   SYN  SYN ACK  ACK  data ...  RST                  (2: refused)
//!   UDP                    client first, then either side
//!   ICMP echo              request, reply, request, ...
//! ```

use super::FrameSize;
use super::key::{Key, Protocol};
use crate::craft::flag;
use crate::traffic::random::Random;

/// Shortest frame of Ethernet, without FCS (IEEE 802.3 section 4A.4.2 less 4): shorter packets are padded.
pub(super) const FRAME_LEAST_OCTETS: usize = 60;

/// Of ten packets of data, so many go from client to server.
const CLIENT_DATA_IN_TEN: u32 = 4;

/// What of a packet is not in the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packet {
    /// From client to server.
    pub(super) forward: bool,
    pub(super) header: Header,
    /// Length that the frame is to have; it is as long as its headers at least.
    pub(super) frame_octets: usize,
    /// Whether what the headers leave of it is payload, or padding of Ethernet.
    pub(super) is_data: bool,
}

/// Fields of the transport header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Header {
    Tcp { flags: u8, sequence: u32, acknowledgement: u32 },
    Udp,
    Echo { identifier: u16, sequence: u16 },
}

/// A flow that has packets left.
#[derive(Clone, Debug)]
pub(super) struct Flow {
    pub(super) key: Key,
    /// Where the truth counts it.
    pub(super) slot: usize,
    pub(super) random: Random,
    /// Mean time between two of its packets.
    pub(super) gap_nanoseconds: f64,
    packets: u32,
    sent: u32,
    resets: bool,
    /// Next sequence numbers of client and server.
    next: [u32; 2],
}

impl Flow {
    /// At its beginning; `resets`: a TCP flow ends by RST.
    pub(super) fn new(key: Key, packets: u32, resets: bool, mut random: Random) -> Self {
        let client = random.bits() as u32;
        // A server that refuses has no sequence number of its own (RFC 9293 section 3.10.7.1).
        let server = if resets && packets == 2 { 0 } else { random.bits() as u32 };
        let next = [client, server];
        Self { key, slot: 0, random, gap_nanoseconds: 0.0, packets, sent: 0, resets, next }
    }

    pub(super) fn packets(&self) -> u32 {
        self.packets
    }

    pub(super) fn is_over(&self) -> bool {
        self.sent == self.packets
    }

    /// The next packet. `link_octets`: what its frame has before IP.
    pub(super) fn next(&mut self, size: FrameSize, link_octets: usize) -> Packet {
        let packet = match self.key.protocol {
            Protocol::Tcp => self.tcp(size, link_octets),
            Protocol::Udp => self.datagram(size),
            Protocol::Echo => self.echo(size),
        };
        self.sent += 1;
        packet
    }

    fn datagram(&mut self, size: FrameSize) -> Packet {
        let forward = self.sent == 0 || self.random.below(2) == 0;
        let frame_octets = size.draw(&mut self.random);
        Packet { forward, header: Header::Udp, frame_octets, is_data: true }
    }

    fn echo(&mut self, size: FrameSize) -> Packet {
        let header = Header::Echo { identifier: self.next[0] as u16, sequence: (self.sent / 2) as u16 };
        Packet {
            forward: self.sent.is_multiple_of(2),
            header,
            frame_octets: size.draw(&mut self.random),
            is_data: true,
        }
    }

    fn tcp(&mut self, size: FrameSize, link_octets: usize) -> Packet {
        let (forward, flags, is_data) = self.step();
        let frame_octets = if is_data { size.draw(&mut self.random) } else { FRAME_LEAST_OCTETS };
        let headers = link_octets + if self.key.ipv6 { 60 } else { 40 };
        let payload = if is_data { frame_octets.saturating_sub(headers) } else { 0 };
        let (own, other) = if forward { (0, 1) } else { (1, 0) };
        let acknowledgement = if flags & flag::ACK == 0 { 0 } else { self.next[other] };
        let header = Header::Tcp { flags, sequence: self.next[own], acknowledgement };
        let counted = payload as u32 + u32::from(flags & (flag::SYN | flag::FIN) != 0);
        self.next[own] = self.next[own].wrapping_add(counted);
        Packet { forward, header, frame_octets, is_data }
    }

    /// Whether it goes forward, its flags, and whether it has data.
    fn step(&mut self) -> (bool, u8, bool) {
        const ACK: u8 = flag::ACK;
        let left = self.packets - self.sent;
        match self.sent {
            0 => return (true, flag::SYN, false),
            1 if self.resets && left == 1 => return (false, flag::RST | ACK, false),
            _ if self.resets && left == 1 => return (self.random.below(2) == 0, flag::RST | ACK, false),
            1 => return (false, flag::SYN | ACK, false),
            2 => return (true, ACK, false),
            _ => {}
        }
        let closing = if self.resets { 0 } else { (self.packets - 3).min(3) };
        match closing.checked_sub(left) {
            Some(0) => (true, flag::FIN | ACK, false),
            Some(1) => (false, flag::FIN | ACK, false),
            Some(_) => (true, ACK, false),
            None => (self.random.below(10) < CLIENT_DATA_IN_TEN, ACK, true),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(packets: u32, resets: bool) -> Vec<u8> {
        let key = Key::new(1, [0, 0], [40_000, 443], Protocol::Tcp, false);
        let mut flow = Flow::new(key, packets, resets, Random::new(1, 0));
        let mut flags = Vec::new();
        while !flow.is_over() {
            match flow.next(FrameSize::Fixed(60), 14).header {
                Header::Tcp { flags: of, .. } => flags.push(of),
                other => panic!("{other:?}"),
            }
        }
        flags
    }

    #[test]
    fn tcp_opens_by_a_handshake_and_closes_by_fin_or_rst() {
        const OPEN: [u8; 3] = [flag::SYN, flag::SYN | flag::ACK, flag::ACK];
        const FIN: u8 = flag::FIN | flag::ACK;
        const RST: u8 = flag::RST | flag::ACK;
        assert_eq!(flags(8, false), [&OPEN[..], &[flag::ACK, flag::ACK, FIN, FIN, flag::ACK]].concat());
        assert_eq!(flags(6, false), [&OPEN[..], &[FIN, FIN, flag::ACK]].concat());
        assert_eq!(flags(4, false), [&OPEN[..], &[FIN]].concat());
        assert_eq!(flags(5, true), [&OPEN[..], &[flag::ACK, RST]].concat());
        assert_eq!(flags(2, true), [flag::SYN, RST]);
        for resets in [false, true] {
            assert_eq!(flags(1, resets), [flag::SYN]);
        }
        assert_eq!(flags(3, false), OPEN);
    }

    #[test]
    fn each_side_acknowledges_what_the_other_has_sent() {
        let key = Key::new(1, [0, 0], [40_000, 443], Protocol::Tcp, false);
        let mut flow = Flow::new(key, 500, false, Random::new(2, 0));
        let mut expected: [Option<u32>; 2] = [None; 2];
        while !flow.is_over() {
            let packet = flow.next(FrameSize::Imix, 14);
            let Header::Tcp { flags, sequence, acknowledgement } = packet.header else {
                panic!("{packet:?}")
            };
            let (own, other) = if packet.forward { (0, 1) } else { (1, 0) };
            assert_eq!(expected[own].unwrap_or(sequence), sequence);
            assert_eq!(expected[other].unwrap_or(0), acknowledgement);
            let payload = if packet.is_data { packet.frame_octets - 54 } else { 0 };
            let counted = payload as u32 + u32::from(flags & (flag::SYN | flag::FIN) != 0);
            expected[own] = Some(sequence.wrapping_add(counted));
        }
    }
}
