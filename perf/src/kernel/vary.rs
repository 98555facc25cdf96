//! What differs between the copies of a live frame: a call sends one frame, and else all of its copies were one flow.
//!
//! The numbers lie in a map, since the program remembers nothing from one copy to the next. Pages come back to the kernel's pool with
//! their old contents, so each copy's fields are written whole.

use super::Error;
use super::bpf::{look_up, op};
use super::bpf_map::Map;

/// What differs from copy to copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vary {
    /// The source port of UDP over IPv4 without tags: the next of so many, from [`FIRST_PORT`] on; no checksum.
    SourcePorts(u16),
    /// The source address of IPv4 without tags, and the header's checksum.
    SourceAddresses(Addresses),
}

/// The first of the source ports: those below are well-known ones.
pub const FIRST_PORT: u16 = 1024;

/// From one source port to the next: a prime, so that flows which follow each other lie nowhere near each other in a table,
/// and all of them come, unless their number is a multiple of it.
const PORT_STEP: i32 = 7919;

/// Whole of [`Addresses::share`].
pub const WHOLE: u32 = 1000;

/// Flow numbers are the last three octets of 10.0.0.0/8.
pub const NUMBERS: u32 = 1 << 24;

/// Numbers of flows in the order of their packets: `share` of [`WHOLE`] packets, evenly among the others, are of the elephants in turn, each of
/// the others is of the next of `flows` small flows, and those make room for as many new ones when each has had its packets.
///
/// ```text
///   elephants      0 .. elephants
///   small flows    elephants + base .. elephants + base + flows,  base = 0, flows, 2 flows .. while that is below NUMBERS, then 0 again
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// How many; 0 only if `share` is.
    pub elephants: u32,
    /// Of [`WHOLE`] packets.
    pub share: u32,
    /// Small flows at once; with the elephants at most [`NUMBERS`].
    pub flows: u32,
    /// Packets of a small flow.
    pub packets_per_flow: u32,
    /// What a number is combined with: another seed's has other addresses.
    pub mask: u32,
    /// Sum of the IPv4 header's words, folded, without checksum and without the three octets that change.
    pub header_sum: u16,
}

impl Addresses {
    /// The highest base.
    #[must_use]
    pub fn last_base(&self) -> u32 {
        (NUMBERS - self.elephants).saturating_sub(self.flows)
    }
}

/// The map that the instructions need, and they themselves. They end where the next instruction stands. r6 and the map are theirs.
pub(super) fn program(vary: Option<Vary>) -> Result<(Option<Map>, Vec<u64>), Error> {
    let Some(vary) = vary else { return Ok((None, Vec::new())) };
    let (octets, rest) = match vary {
        Vary::SourcePorts(ports) => (8, next_port(ports)),
        Vary::SourceAddresses(addresses) => {
            (40, [&next_number(&addresses)[..], &address(&addresses)].concat())
        }
    };
    let map = Map::array(octets)?;
    let mut program = vec![op(0xbf, 6, 1, 0, 0)]; // r6 = ctx
    program.extend(look_up(&map));
    program.push(op(0x15, 0, 0, rest.len() as i16, 0)); // if r0 == 0 goto end
    program.extend(rest);
    Ok((Some(map), program))
}

/// Writes the next source port into the frame, where it is long enough for one.
fn next_port(ports: u16) -> Vec<u64> {
    vec![
        op(0x79, 7, 0, 0, 0),                       // r7 = *(u64 *)r0
        op(0x07, 7, 0, 0, PORT_STEP),               // r7 += step
        op(0x97, 7, 0, 0, i32::from(ports.max(1))), // r7 %= ports
        op(0x7b, 0, 7, 0, 0),                       // *(u64 *)r0 = r7
        op(0x07, 7, 0, 0, i32::from(FIRST_PORT)),   // r7 += first
        op(0xdc, 7, 0, 0, 16),                      // r7 = be16(r7)
        op(0x61, 2, 6, 0, 0),                       // r2 = ctx->data
        op(0x61, 3, 6, 4, 0),                       // r3 = ctx->data_end
        op(0xbf, 4, 2, 0, 0),                       // r4 = r2
        op(0x07, 4, 0, 0, 42),                      // r4 += Ethernet, IPv4, UDP
        op(0x2d, 4, 3, 2, 0),                       // if r4 > r3 goto end
        op(0x6b, 2, 7, 34, 0),                      // source port = r7
        op(0x6a, 2, 0, 40, 0),                      // checksum = 0: none (RFC 768)
    ]
}

// Where the map has what: octets.
const CREDIT: i16 = 0;
const ELEPHANT: i16 = 8;
const PLACE: i16 = 16;
const PASS: i16 = 24;
const BASE: i16 = 32;

/// r7 = the number of the next packet's flow.
fn next_number(addresses: &Addresses) -> [u64; 31] {
    let number = |value: u32| value.cast_signed();
    let (elephants, flows) = (number(addresses.elephants), number(addresses.flows));
    let (share, whole) = (number(addresses.share), number(WHOLE));
    [
        op(0x79, 1, 0, CREDIT, 0),                             //  0 r1 = credit
        op(0x07, 1, 0, 0, share),                              //  1 r1 += share
        op(0xa5, 1, 0, 9, whole),                              //  2 if r1 < whole goto small
        op(0x07, 1, 0, 0, -whole),                             //  3 r1 -= whole
        op(0x7b, 0, 1, CREDIT, 0),                             //  4 credit = r1
        op(0x79, 7, 0, ELEPHANT, 0),                           //  5 r7 = elephant
        op(0xbf, 2, 7, 0, 0),                                  //  6 r2 = r7
        op(0x07, 2, 0, 0, 1),                                  //  7 r2 += 1
        op(0xa5, 2, 0, 1, elephants),                          //  8 if r2 >= elephants
        op(0xb7, 2, 0, 0, 0),                                  //  9     r2 = 0
        op(0x7b, 0, 2, ELEPHANT, 0),                           // 10 elephant = r2
        op(0x05, 0, 0, 19, 0),                                 // 11 goto end
        op(0x7b, 0, 1, CREDIT, 0),                             // 12 small: credit = r1
        op(0x79, 2, 0, PLACE, 0),                              // 13 r2 = place
        op(0x79, 3, 0, BASE, 0),                               // 14 r3 = base
        op(0xbf, 7, 3, 0, 0),                                  // 15 r7 = r3
        op(0x0f, 7, 2, 0, 0),                                  // 16 r7 += r2
        op(0x07, 7, 0, 0, elephants),                          // 17 r7 += elephants
        op(0x07, 2, 0, 0, 1),                                  // 18 r2 += 1
        op(0xa5, 2, 0, 10, flows),                             // 19 if r2 < flows goto place
        op(0xb7, 2, 0, 0, 0),                                  // 20 r2 = 0
        op(0x79, 4, 0, PASS, 0),                               // 21 r4 = pass
        op(0x07, 4, 0, 0, 1),                                  // 22 r4 += 1
        op(0xa5, 4, 0, 5, number(addresses.packets_per_flow)), // 23 if r4 < packets goto pass
        op(0xb7, 4, 0, 0, 0),                                  // 24 r4 = 0
        op(0x07, 3, 0, 0, flows),                              // 25 r3 += flows
        op(0xb5, 3, 0, 1, number(addresses.last_base())),      // 26 if r3 > last base
        op(0xb7, 3, 0, 0, 0),                                  // 27     r3 = 0
        op(0x7b, 0, 3, BASE, 0),                               // 28 base = r3
        op(0x7b, 0, 4, PASS, 0),                               // 29 pass: pass = r4
        op(0x7b, 0, 2, PLACE, 0),                              // 30 place: place = r2
    ]
}

/// Writes r7 into the source address, and the header's checksum (RFC 1071), where the frame is long enough for them.
fn address(addresses: &Addresses) -> [u64; 26] {
    const FOLD: [u64; 4] = [
        op(0xbf, 9, 8, 0, 0),      // r9 = r8
        op(0x77, 9, 0, 0, 16),     // r9 >>= 16
        op(0x57, 8, 0, 0, 0xffff), // r8 &= 0xffff
        op(0x0f, 8, 9, 0, 0),      // r8 += r9
    ];
    [
        op(0xa7, 7, 0, 0, addresses.mask.cast_signed()), // r7 ^= mask
        op(0xbf, 8, 7, 0, 0),                            // r8 = r7
        op(0x77, 8, 0, 0, 16),                           // r8 >>= 16
        op(0xbf, 9, 7, 0, 0),                            // r9 = r7
        op(0x57, 9, 0, 0, 0xffff),                       // r9 &= 0xffff
        op(0x0f, 8, 9, 0, 0),                            // r8 += r9
        op(0x07, 8, 0, 0, i32::from(addresses.header_sum)), // r8 += the others
        FOLD[0],
        FOLD[1],
        FOLD[2],
        FOLD[3],
        FOLD[0],
        FOLD[1],
        FOLD[2],
        FOLD[3],
        op(0xa7, 8, 0, 0, 0xffff),   // r8 ^= 0xffff
        op(0xdc, 8, 0, 0, 16),       // r8 = be16(r8)
        op(0x47, 7, 0, 0, 10 << 24), // r7 |= 10.0.0.0
        op(0xdc, 7, 0, 0, 32),       // r7 = be32(r7)
        op(0x61, 2, 6, 0, 0),        // r2 = ctx->data
        op(0x61, 3, 6, 4, 0),        // r3 = ctx->data_end
        op(0xbf, 4, 2, 0, 0),        // r4 = r2
        op(0x07, 4, 0, 0, 34),       // r4 += Ethernet, IPv4
        op(0x2d, 4, 3, 2, 0),        // if r4 > r3 goto end
        op(0x6b, 2, 8, 24, 0),       // checksum = r8
        op(0x63, 2, 7, 26, 0),       // source address = r7
    ]
}
