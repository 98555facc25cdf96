//! One segment in several IP packets.

use super::ip::{Extension, Ip4, Ip6};
use super::transport::Segment;

/// The parts of a segment: offset in units of 8 octets, octets, whether more follow.
fn parts(segment: &Segment, octets: usize) -> Vec<(u16, Segment, bool)> {
    assert!(octets > 0 && octets.is_multiple_of(8), "a fragment holds a multiple of 8 octets, not {octets}");
    let count = segment.bytes.len().div_ceil(octets);
    let part = |(index, bytes): (usize, &[u8])| {
        let whole = Segment::raw(segment.protocol, segment.source, segment.destination, bytes.to_vec());
        ((index * octets / 8) as u16, whole, index + 1 < count)
    };
    segment.bytes.chunks(octets).enumerate().map(part).collect()
}

/// IPv4 fragments with `octets` of the segment in each but the last.
///
/// # Panics
/// When `octets` is no multiple of 8.
#[must_use]
pub fn ip4_fragments(segment: &Segment, identification: u16, octets: usize) -> Vec<Vec<u8>> {
    let fragment = |(fragment_offset, part, more_fragments)| {
        Ip4 { identification, fragment_offset, more_fragments, ..Ip4::default() }.packet(&part)
    };
    parts(segment, octets).into_iter().map(fragment).collect()
}

/// IPv6 fragments with `octets` of the segment in each but the last.
///
/// # Panics
/// When `octets` is no multiple of 8.
#[must_use]
pub fn ip6_fragments(segment: &Segment, identification: u32, octets: usize) -> Vec<Vec<u8>> {
    let fragment = |(offset, part, more)| {
        let extensions = vec![Extension::fragment(offset, more, identification)];
        Ip6 { extensions, ..Ip6::default() }.packet(&part)
    };
    parts(segment, octets).into_iter().map(fragment).collect()
}
