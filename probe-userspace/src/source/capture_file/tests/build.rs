//! Capture files in memory, octet by octet as the drafts have them.

use super::super::decoder::ByteOrder;

/// A packet to be written: seconds, nanoseconds, original length, captured octets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) seconds: u32,
    pub(super) nanoseconds: u32,
    pub(super) original: u32,
    pub(super) data: Vec<u8>,
}

pub(super) fn u16_of(order: ByteOrder, number: u16) -> [u8; 2] {
    match order {
        ByteOrder::Little => number.to_le_bytes(),
        ByteOrder::Big => number.to_be_bytes(),
    }
}

pub(super) fn u32_of(order: ByteOrder, number: u32) -> [u8; 4] {
    match order {
        ByteOrder::Little => number.to_le_bytes(),
        ByteOrder::Big => number.to_be_bytes(),
    }
}

/// How a pcap file is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pcap {
    pub(super) order: ByteOrder,
    pub(super) magic: u32,
    pub(super) minor: u16,
    pub(super) link: u32,
}

impl Pcap {
    pub(super) const MICROSECONDS: Self =
        Self { order: ByteOrder::Little, magic: 0xa1b2_c3d4, minor: 4, link: 1 };

    pub(super) fn header(self) -> Vec<u8> {
        let mut out = u32_of(self.order, self.magic).to_vec();
        out.extend(u16_of(self.order, 2));
        out.extend(u16_of(self.order, self.minor));
        for number in [0, 0, 262_144, self.link] {
            out.extend(u32_of(self.order, number));
        }
        out
    }

    pub(super) fn record(self, packet: &Written) -> Vec<u8> {
        let per_unit = if self.magic == 0xa1b2_3c4d { 1 } else { 1000 };
        let captured = packet.data.len() as u32;
        let (first, second) =
            if self.minor <= 2 { (packet.original, captured) } else { (captured, packet.original) };
        let mut out = Vec::new();
        for number in [packet.seconds, packet.nanoseconds / per_unit, first, second] {
            out.extend(u32_of(self.order, number));
        }
        if self.magic == 0xa1b2_cd34 {
            out.extend([0xff; 8]);
        }
        out.extend(&packet.data);
        out
    }

    pub(super) fn file(self, packets: &[Written]) -> Vec<u8> {
        packets.iter().fold(self.header(), |mut out, packet| {
            out.extend(self.record(packet));
            out
        })
    }
}

/// Any block: the body is padded to a multiple of four.
pub(super) fn block(order: ByteOrder, block_type: u32, body: &[u8]) -> Vec<u8> {
    let padded = body.len().next_multiple_of(4);
    let length = u32_of(order, padded as u32 + 12);
    let mut out = u32_of(order, block_type).to_vec();
    out.extend(length);
    out.extend(body);
    out.resize(8 + padded, 0);
    out.extend(length);
    out
}

pub(super) fn section(order: ByteOrder) -> Vec<u8> {
    let mut body = u32_of(order, 0x1a2b_3c4d).to_vec();
    body.extend(u16_of(order, 1));
    body.extend(u16_of(order, 0));
    body.extend([0xff; 8]);
    block(order, 0x0a0d_0d0a, &body)
}

/// With options as (code, value).
pub(super) fn interface(order: ByteOrder, link: u16, snap_length: u32, options: &[(u16, &[u8])]) -> Vec<u8> {
    let mut body = u16_of(order, link).to_vec();
    body.extend([0; 2]);
    body.extend(u32_of(order, snap_length));
    for (code, value) in options {
        body.extend(u16_of(order, *code));
        body.extend(u16_of(order, value.len() as u16));
        body.extend(*value);
        body.resize(body.len().next_multiple_of(4), 0);
    }
    block(order, 1, &body)
}

/// An enhanced packet, its time in units of the interface.
pub(super) fn enhanced(order: ByteOrder, interface: u32, units: u64, original: u32, data: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    for number in [interface, (units >> 32) as u32, units as u32, data.len() as u32, original] {
        body.extend(u32_of(order, number));
    }
    body.extend(data);
    body.resize(body.len().next_multiple_of(4), 0);
    // A comment, which has to be passed over.
    body.extend(u16_of(order, 1));
    body.extend(u16_of(order, 3));
    body.extend(*b"abc\0");
    block(order, 6, &body)
}

/// The obsolete packet block, with a drop count.
pub(super) fn obsolete(order: ByteOrder, interface: u16, units: u64, original: u32, data: &[u8]) -> Vec<u8> {
    let mut body = u16_of(order, interface).to_vec();
    body.extend(u16_of(order, 99));
    for number in [(units >> 32) as u32, units as u32, data.len() as u32, original] {
        body.extend(u32_of(order, number));
    }
    body.extend(data);
    block(order, 2, &body)
}

pub(super) fn simple(order: ByteOrder, original: u32, data: &[u8]) -> Vec<u8> {
    let mut body = u32_of(order, original).to_vec();
    body.extend(data);
    block(order, 3, &body)
}
