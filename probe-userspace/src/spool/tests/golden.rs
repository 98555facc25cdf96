//! The octets of a segment, as `mod.rs` draws them.

use flow_wire::ledger::Amount;

use super::super::entry::{Head, Kind};
use super::super::segment::SegmentHead;
use super::*;

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

#[test]
fn the_head_of_a_segment_has_the_documented_octets() {
    let head = SegmentHead {
        spool: Uuid::from_u128(0xa1a2_a3a4_a5a6_a7a8_a9aa_abac_adae_afb0),
        serial: 7,
        first: Position(0x0000_0200_0000_0003),
        opened_nanoseconds: 0x1797_9cfe_362a_0000,
    };
    let golden = "474e5453504f4f4c0000000113b17c6b\
                  a1a2a3a4a5a6a7a8a9aaabacadaeafb0\
                  00000000000000070000020000000003\
                  17979cfe362a00000000000000000000";
    assert_eq!(hex(&head.to_octets()), golden);
}

#[test]
fn an_entry_has_the_documented_octets() {
    let stamp = Stamp { probe: PROBE, epoch: epoch(5), stream: StreamId(2), sequence: Sequence(9) };
    let header = Header::seal(flow_wire::bus::Kind::Flows, stamp, 4, b"body!");
    let head = Head {
        kind: Kind::Batch,
        note: Note::Flows,
        position: Position(0x0000_0200_0000_0003),
        time_nanoseconds: 0x1797_9cfe_362a_0000,
        exported: Amount { packets: 12, octets: 1_200 },
        covered: 0x77,
        body_octets: 5,
        frame: header.to_frame(5),
    };
    let golden = "000000850f5ea4540000020000000003\
                  17979cfe362a00000000000000000000\
                  000000000000000c00000000000004b0\
                  00000000000000770000000000000000\
                  474e543100010000\
                  0102030405064708890a0b0c0d0e0f10\
                  00000000000000000000000000000005\
                  00020000000000040000000000000009\
                  d1a8bb9600000005\
                  626f647921000000";
    let octets = [&head.to_octets(head.body_crc32c(b"body!"))[..], b"body!", &[0; 3]].concat();
    assert_eq!(hex(&octets), golden);
    assert_eq!(Head::from_octets(&octets[..0x85]), Ok(head));
}
