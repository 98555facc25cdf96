//! Packet sockets on veth in a network namespace. Needs root, and says so.
#![cfg(not(any(loom, miri)))]

mod support;

use std::time::Duration;

use support::namespace::Namespace;
use support::program::filter_that_returns;
use support::sender::Sender;
use support::{frame, number, udp, wait_until};
use xsk::packet::{Fanout, Options, Socket, Spread, Vlan};
use xsk::{Interface, Promiscuous};

/// How long a packet may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(20);
/// PACKET_OUTGOING (linux/if_packet.h).
const OUTGOING: u8 = 4;

fn ends() -> (Interface, Interface) {
    (Interface::by_name("in0").expect("in0"), Interface::by_name("out0").expect("out0"))
}

fn started(options: &Options) -> Socket {
    let socket = Socket::open(options).expect("packet socket");
    socket.start().expect("start");
    socket
}

/// Stops the socket and hands over what it had captured; its books are closed afterwards.
fn drain(socket: &mut Socket, mut see: impl FnMut(&xsk::packet::Packet<'_>)) {
    socket.stop().expect("stop");
    wait_until("a drained packet socket", LIMIT, || {
        socket.receive().iter().for_each(&mut see);
        socket.is_drained().expect("statistics")
    });
    let statistics = socket.statistics().expect("statistics");
    assert_eq!(statistics.packets, socket.received() + statistics.drops);
    assert_eq!(socket.unreadable(), 0);
}

#[test]
fn every_packet_is_lent_whole_and_in_order() {
    Namespace::with_veth(1, 9000).run(|| {
        let (inside, outside) = ends();
        let mut socket = started(&Options::receiver(&inside));
        let sender = Sender::new(&outside);
        for index in 0..5_000 {
            sender.send(&frame(60 + index % 8_900, 0, index as u32));
        }
        let mut next = 0;
        drain(&mut socket, |packet| {
            let expected = frame(60 + next as usize % 8_900, 0, next);
            assert_eq!(packet.original_octets as usize, expected.len());
            assert_eq!(packet.bytes, expected);
            assert_eq!((packet.vlan, packet.hardware_type), (None, 1));
            assert!(packet.timestamp.nanoseconds > 1_600_000_000_000_000_000 && !packet.timestamp.of_device);
            next += 1;
        });
        assert_eq!((next, socket.received()), (5_000, 5_000));
    });
}

#[test]
fn a_stripped_tag_is_handed_up_and_counted_in() {
    Namespace::with_veth(1, 1500).run(|| {
        let (inside, outside) = ends();
        let mut socket = started(&Options::receiver(&inside));
        let untagged = frame(100, 0, 7);
        let (addresses, rest) = untagged.split_at(12);
        for tpid in [0x8100_u16, 0x88a8] {
            let tag = [tpid.to_be_bytes(), 0x6123_u16.to_be_bytes()].concat();
            Sender::new(&outside).send(&[addresses, tag.as_slice(), rest].concat());
        }
        let mut tags = Vec::new();
        drain(&mut socket, |packet| {
            assert_eq!(packet.bytes, untagged, "the tag is not in the bytes");
            assert_eq!(packet.original_octets, 104, "but in the octets");
            tags.extend(packet.vlan);
        });
        let expected = [Vlan { tci: 0x6123, tpid: 0x8100 }, Vlan { tci: 0x6123, tpid: 0x88a8 }];
        assert_eq!(tags, expected);
    });
}

#[test]
fn what_finds_no_block_is_counted_as_dropped() {
    Namespace::with_veth(1, 1500).run(|| {
        let (inside, outside) = ends();
        let options = Options { block_octets: 128 << 10, blocks: 2, ..Options::receiver(&inside) };
        let mut socket = started(&options);
        let sender = Sender::new(&outside);
        (0..2_000).for_each(|index| sender.send(&frame(1_000, 0, index)));
        drain(&mut socket, |_| {});
        let statistics = socket.statistics().expect("statistics");
        assert_eq!(statistics.packets, 2_000);
        assert!(statistics.drops > 1_000 && statistics.freezes > 0, "{statistics:?}");
    });
}

#[test]
fn outgoing_packets_are_ignored_unless_asked_for() {
    Namespace::with_veth(1, 1500).run(|| {
        let (inside, _) = ends();
        let mut deaf = started(&Options::receiver(&inside));
        let mut hearing = started(&Options { ignore_outgoing: false, ..Options::receiver(&inside) });
        Sender::new(&inside).send(&frame(100, 0, 1));
        let mut heard = Vec::new();
        drain(&mut hearing, |packet| heard.push(packet.packet_type));
        drain(&mut deaf, |packet| panic!("an outgoing packet was seen: {packet:?}"));
        assert_eq!(heard, [OUTGOING]);
    });
}

#[test]
fn a_packet_that_was_cut_off_keeps_its_octets() {
    Namespace::with_veth(1, 1500).run(|| {
        let (inside, outside) = ends();
        let mut socket = started(&Options { snap_octets: Some(64), ..Options::receiver(&inside) });
        Sender::new(&outside).send(&frame(1_000, 0, 3));
        let mut seen = Vec::new();
        drain(&mut socket, |packet| seen.push((packet.bytes.len(), packet.original_octets)));
        assert_eq!(seen, [(64, 1_000)]);
    });
}

#[test]
fn a_group_shares_packets_and_keeps_both_directions_of_a_flow_together() {
    for spread in [Spread::Hash, Spread::Addresses] {
        shares_and_keeps_flows_together(&spread);
    }
}

fn shares_and_keeps_flows_together(spread: &Spread) {
    Namespace::with_veth(1, 1500).run(|| {
        let (inside, outside) = ends();
        let fanout = Fanout { group: Some(7), spread: spread.clone() };
        let options = Options { fanout: Some(fanout), ..Options::receiver(&inside) };
        let mut members = [(); 2].map(|()| Socket::open(&options).expect("member"));
        members.iter().for_each(|member| member.start().expect("start"));
        let sender = Sender::new(&outside);
        (0..1_280).for_each(|index| sender.send(&udp((index / 2 % 64 + 2) as u8, index % 2 == 1, index)));
        let mut seen = [Vec::new(), Vec::new()];
        for (member, seen) in members.iter_mut().zip(&mut seen) {
            drain(member, |packet| {
                let bytes = packet.bytes;
                seen.push((
                    bytes[29].max(bytes[33]),
                    u32::from_be_bytes([bytes[50], bytes[51], bytes[52], bytes[53]]),
                ));
            });
        }
        let mut numbers: Vec<_> = seen.iter().flatten().map(|(_, number)| *number).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..1_280).collect::<Vec<_>>(), "each packet reached one member, once");
        assert!(seen.iter().all(|seen| !seen.is_empty()), "both members have flows");
        let [first, second] = seen
            .map(|seen| seen.into_iter().map(|(flow, _)| flow).collect::<std::collections::BTreeSet<_>>());
        assert!(first.is_disjoint(&second), "a flow was split: {first:?} {second:?}");
    });
}

#[test]
fn a_program_says_which_member_gets_a_packet() {
    Namespace::with_veth(1, 1500).run(|| {
        let (inside, outside) = ends();
        let program = std::sync::Arc::new(filter_that_returns(1));
        let fanout = Fanout { group: Some(8), spread: Spread::Program(program) };
        let options = Options { fanout: Some(fanout), ..Options::receiver(&inside) };
        let mut members = [(); 2].map(|()| started(&options));
        let sender = Sender::new(&outside);
        (0..100).for_each(|index| sender.send(&udp(index as u8, false, index)));
        members.iter_mut().for_each(|member| drain(member, |_| {}));
        assert_eq!(members.map(|member| member.received()), [0, 100]);
    });
}

#[test]
fn an_interface_is_promiscuous_as_long_as_the_membership_lives() {
    let namespace = Namespace::with_veth(1, 1500);
    let promiscuity = || {
        let shown = namespace.show("in0");
        let field = shown.split("promiscuity ").nth(1).expect("`ip -d link` shows promiscuity").to_owned();
        field.split_whitespace().next().map(str::to_owned)
    };
    namespace.run(|| {
        let membership = Promiscuous::join(&ends().0).expect("membership");
        assert_eq!(promiscuity().as_deref(), Some("1"));
        drop(membership);
        wait_until("the interface to leave promiscuous mode", LIMIT, || {
            promiscuity().as_deref() == Some("0")
        });
    });
}

#[test]
fn numbers_of_test_frames_survive() {
    assert_eq!(number(&frame(60, 0, 0xdead_beef)), 0xdead_beef);
}
