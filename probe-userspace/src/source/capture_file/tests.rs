//! Files built here, read back; `pcap-parser` and broken copies as oracles.

use std::io::{Cursor, Read};

use pcap_parser::{PcapBlockOwned, PcapError};
use proptest::prelude::*;

use super::decoder::ByteOrder::{self, Big, Little};
use super::*;
use crate::flow::Settings;
use crate::meter::Shard;
use crate::source::LinkLayer;
use build::{Pcap, Written};

mod build;

/// What was read of one packet.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Read1 {
    nanoseconds: u64,
    link_layer: LinkLayer,
    original: u32,
    data: Vec<u8>,
}

/// A whole file, to its end or to the place where it is broken.
struct Outcome {
    packets: Vec<Read1>,
    notice: Option<String>,
    error: Option<String>,
}

fn read_from(reader: impl Read + Send + 'static) -> Outcome {
    let mut outcome = Outcome { packets: Vec::new(), notice: None, error: None };
    let mut file = match CaptureFile::new("test".into(), Box::new(reader)) {
        Ok(file) => file,
        Err(error) => {
            outcome.error = Some(error.to_string());
            return outcome;
        }
    };
    loop {
        let packets = &mut outcome.packets;
        let state = file.receive(0, &mut |frames| {
            assert!((1..=BURST_CAPACITY).contains(&frames.len()));
            packets.extend(frames.iter().map(|frame| Read1 {
                nanoseconds: frame.timestamp_nanoseconds,
                link_layer: frame.link_layer,
                original: frame.original_octets,
                data: frame.bytes.to_vec(),
            }));
        });
        match state {
            Ok(State::Some) => {}
            Ok(_) => break,
            Err(error) => {
                outcome.error = Some(error.to_string());
                assert!(matches!(
                    file.receive(0, &mut |_| panic!("a burst after the error")),
                    Ok(State::Ended)
                ));
                break;
            }
        }
    }
    let terms = file.terms().unwrap();
    let octets = outcome.packets.iter().map(|packet| u64::from(packet.original)).sum();
    assert_eq!(terms.seen, Amount { packets: outcome.packets.len() as u64, octets });
    assert_eq!((terms.redirected, terms.received), (terms.seen, terms.seen));
    outcome.notice = file.notice();
    outcome
}

fn read(file: Vec<u8>) -> Outcome {
    read_from(Cursor::new(file))
}

/// All of it must be readable.
fn packets(file: Vec<u8>) -> Vec<Read1> {
    let outcome = read(file);
    assert_eq!((outcome.error, outcome.notice), (None, None));
    outcome.packets
}

fn written(n: u32) -> Written {
    Written {
        seconds: 1_700_000_000 + n,
        nanoseconds: 123_456_000,
        original: 1000 + n,
        data: vec![n as u8; 20 + n as usize % 50],
    }
}

fn expected(packet: &Written, link_layer: LinkLayer) -> Read1 {
    Read1 {
        nanoseconds: u64::from(packet.seconds) * 1_000_000_000 + u64::from(packet.nanoseconds),
        link_layer,
        original: packet.original,
        data: packet.data.clone(),
    }
}

#[test]
fn every_kind_of_pcap_gives_the_same_packets() {
    let written: Vec<_> = (0..200).map(written).collect();
    for order in [Little, Big] {
        for magic in [0xa1b2_c3d4, 0xa1b2_3c4d, 0xa1b2_cd34] {
            for minor in [2, 3, 4] {
                let format = Pcap { order, magic, minor, link: 0x0400_0001 | 2 << 28 };
                let expected: Vec<_> =
                    written.iter().map(|packet| expected(packet, LinkLayer::Ethernet)).collect();
                assert_eq!(packets(format.file(&written)), expected, "{format:?}");
            }
        }
    }
}

#[test]
fn sections_and_interfaces_of_pcapng_have_their_own_clock_link_and_order() {
    let data = [7; 33];
    let mut file = Vec::new();
    let mut expected = Vec::new();
    for order in [Little, Big] {
        file.extend(build::section(order));
        // Microseconds by default; nanoseconds; 2^-10 s with an offset.
        let offset = match order {
            Little => (-5_i64).to_le_bytes(),
            Big => (-5_i64).to_be_bytes(),
        };
        file.extend(build::interface(order, 1, 0, &[(2, b"eth0")]));
        file.extend(build::interface(order, 276, 0, &[(9, &[9]), (0, &[])]));
        file.extend(build::block(order, 4, &[1; 40]));
        file.extend(build::interface(order, 147, 30, &[(9, &[0x8a]), (14, &offset)]));
        file.extend(build::enhanced(order, 0, 1_000_001, 60, &data));
        file.extend(build::enhanced(order, 1, 5_000_000_000, 61, &data));
        file.extend(build::block(order, 0x0bad, &[2; 100]));
        file.extend(build::enhanced(order, 2, 10 << 10 | 512, 62, &data));
        file.extend(build::obsolete(order, 1, 6_000_000_000, 63, &data));
        let read = |nanoseconds, link_layer, original| Read1 {
            nanoseconds,
            link_layer,
            original,
            data: data.to_vec(),
        };
        expected.extend([
            read(1_000_001_000, LinkLayer::Ethernet, 60),
            read(5_000_000_000, LinkLayer::LinuxCookedV2, 61),
            read(5_500_000_000, LinkLayer::Other(147), 62),
            read(6_000_000_000, LinkLayer::LinuxCookedV2, 63),
        ]);
    }
    assert_eq!(packets(file), expected);
}

#[test]
fn a_new_section_forgets_the_interfaces_of_the_old_one() {
    let section = [build::section(Little), build::interface(Little, 1, 0, &[])].concat();
    let file = [section, build::section(Big), build::enhanced(Big, 0, 0, 4, &[0; 4])].concat();
    assert!(read(file).error.unwrap().contains("interface 0, of which there are 0"));
}

#[test]
fn a_simple_packet_has_the_time_before_it_and_the_snap_length_of_the_first_interface() {
    let mut file = build::section(Little);
    file.extend(build::interface(Little, 101, 16, &[(9, &[9])]));
    file.extend(build::enhanced(Little, 0, 77, 20, &[1; 16]));
    file.extend(build::simple(Little, 100, &[2; 16]));
    file.extend(build::simple(Little, 5, &[3; 5]));
    let read: Vec<_> =
        packets(file).into_iter().map(|packet| (packet.nanoseconds, packet.original, packet.data)).collect();
    assert_eq!(read, [(77, 20, vec![1; 16]), (77, 100, vec![2; 16]), (77, 5, vec![3; 5])]);
}

#[test]
fn a_file_cut_anywhere_is_read_up_to_there_and_says_so() {
    let written: Vec<_> = (0..5).map(written).collect();
    let pcap = Pcap::MICROSECONDS;
    let mut edges = vec![pcap.header().len()];
    for packet in &written {
        edges.push(edges[edges.len() - 1] + pcap.record(packet).len());
    }
    let file = pcap.file(&written);
    for cut in edges[0]..=file.len() {
        let outcome = read(file[..cut].to_vec());
        let whole = edges.iter().filter(|&&edge| edge <= cut).count() - 1;
        assert_eq!((outcome.packets.len(), outcome.error), (whole, None), "cut at {cut}");
        match edges.contains(&cut) {
            true => assert_eq!(outcome.notice, None, "cut at {cut}"),
            false => {
                assert!(
                    outcome.notice.unwrap().contains(&format!("offset {};", edges[whole])),
                    "cut at {cut}"
                )
            }
        }
    }
    for cut in 0..edges[0] {
        assert!(read(file[..cut].to_vec()).error.unwrap().contains("within its header"), "cut at {cut}");
    }
}

#[test]
fn a_pcapng_cut_within_a_block_that_is_passed_over_says_so() {
    let mut file = build::section(Little);
    let edge = file.len();
    file.extend(build::block(Little, 0x0bad, &[2; 5000]));
    let outcome = read(file[..file.len() - 1000].to_vec());
    assert_eq!(outcome.error, None);
    assert!(outcome.notice.unwrap().contains(&format!("offset {edge};")));
}

#[test]
fn lengths_that_no_packet_has_are_refused_with_their_offset_after_what_came_before() {
    let format = Pcap::MICROSECONDS;
    let mut file = format.file(&[written(0)]);
    let offset = file.len();
    for number in [1, 2, 262_145, 262_145_u32] {
        file.extend(number.to_le_bytes());
    }
    let outcome = read(file);
    assert_eq!(outcome.packets.len(), 1);
    let error = outcome.error.unwrap();
    assert!(error.contains(&format!("offset {offset}")) && error.contains("262145"), "{error}");
}

#[test]
fn what_no_pcapng_has_is_refused() {
    let begin = || [build::section(Little), build::interface(Little, 1, 0, &[])].concat();
    let wrong_end = |mut block: Vec<u8>| {
        let last = block.len() - 4;
        block[last] ^= 4;
        block
    };
    let raw = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>();
    for (block, reason) in [
        (build::enhanced(Little, 1, 0, 4, &[0; 4]), "interface 1, of which there are 1"),
        (wrong_end(build::enhanced(Little, 0, 0, 4, &[0; 4])), "begins with length"),
        (build::block(Little, 6, &raw(&[0, 0, 0, 5, 5, 0])), "do not fit"),
        (build::block(Little, 6, &raw(&[0, 0, 0, 262_145, 5, 0])), "262145 captured octets"),
        (build::block(Little, 6, &raw(&[0, 0])), "no such block can have"),
        (raw(&[6, 0x4000_0000, 0, 0]), "no such block can have"),
        (raw(&[9, 13, 0, 0]), "no such block can have"),
        (raw(&[9, 0, 0, 0]), "no such block can have"),
        (raw(&[0x0a0d_0d0a, 28, 0x1234_5678, 1]), "byte-order magic"),
        (raw(&[0x0a0d_0d0a, 28, 0x1a2b_3c4d, 2]), "pcapng version 2.0"),
    ] {
        let outcome = read([begin(), block].concat());
        let error = outcome.error.unwrap_or_default();
        assert!(error.contains(reason) && error.contains("offset"), "{reason}: {error}");
    }
}

#[test]
fn what_is_no_capture_is_refused_with_a_hint() {
    for (begin, hint) in
        [(&[0x1f, 0x8b, 8, 0][..], "gunzip"), (&[0x28, 0xb5, 0x2f, 0xfd], "zstd"), (b"GET ", "neither")]
    {
        let error = read([begin, &[0; 100]].concat()).error.unwrap();
        assert!(error.contains(hint), "{error}");
    }
}

#[test]
fn a_block_of_gigabytes_is_passed_over_in_the_window() {
    let head =
        [build::section(Little), 0x0bad_u32.to_le_bytes().to_vec(), 0xffff_fff0_u32.to_le_bytes().to_vec()];
    let octets = 0xffff_fff0_u64 - 8;
    let tail = [build::interface(Little, 1, 0, &[]), build::enhanced(Little, 0, 0, 4, &[1; 4])].concat();
    let outcome = read_from(
        Cursor::new(head.concat()).chain(std::io::repeat(0xee).take(octets)).chain(Cursor::new(tail)),
    );
    assert_eq!((outcome.packets.len(), outcome.error, outcome.notice), (1, None, None));
}

/// Gives a few octets at a time, as a pipe may.
struct Dribble(Cursor<Vec<u8>>, usize);

impl Read for Dribble {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.1 = self.1 % 13 + 1;
        let length = buffer.len().min(self.1);
        self.0.read(&mut buffer[..length])
    }
}

fn any_order() -> impl Strategy<Value = ByteOrder> {
    prop_oneof![Just(Little), Just(Big)]
}

fn any_packets() -> impl Strategy<Value = Vec<Written>> {
    let one =
        (any::<u32>(), 0..1_000_000_000_u32, any::<u32>(), proptest::collection::vec(any::<u8>(), 0..120));
    let make = |(seconds, nanoseconds, original, data)| Written { seconds, nanoseconds, original, data };
    proptest::collection::vec(one.prop_map(make), 0..150)
}

fn any_file() -> impl Strategy<Value = Vec<u8>> {
    let magic = prop_oneof![Just(0xa1b2_c3d4_u32), Just(0xa1b2_3c4d)];
    let pcap = (any_order(), magic, prop_oneof![Just(1_u32), Just(0), Just(113), Just(101)], any_packets())
        .prop_map(|(order, magic, link, packets)| Pcap { order, magic, minor: 4, link }.file(&packets));
    let pcapng = (any_order(), any_packets()).prop_map(|(order, packets)| {
        let mut file = [build::section(order), build::interface(order, 1, 0, &[(9, &[9])])].concat();
        for packet in &packets {
            let units = expected(packet, LinkLayer::Ethernet).nanoseconds;
            file.extend(build::enhanced(order, 0, units, packet.original, &packet.data));
        }
        file
    });
    prop_oneof![pcap, pcapng]
}

/// Time, original length and captured octets by `pcap-parser`.
fn oracle(file: &[u8]) -> Vec<(u64, u32, Vec<u8>)> {
    let mut reader = pcap_parser::create_reader(1 << 20, file).unwrap();
    let (mut packets, mut per_unit) = (Vec::new(), 1000);
    loop {
        match reader.next() {
            Ok((consumed, block)) => {
                match block {
                    PcapBlockOwned::LegacyHeader(header) => {
                        per_unit = if header.is_nanosecond_precision() { 1 } else { 1000 };
                    }
                    PcapBlockOwned::Legacy(packet) => packets.push((
                        u64::from(packet.ts_sec) * 1_000_000_000 + u64::from(packet.ts_usec) * per_unit,
                        packet.origlen,
                        packet.data.to_vec(),
                    )),
                    PcapBlockOwned::NG(pcap_parser::Block::EnhancedPacket(packet)) => packets.push((
                        u64::from(packet.ts_high) << 32 | u64::from(packet.ts_low),
                        packet.origlen,
                        packet.data[..packet.caplen as usize].to_vec(),
                    )),
                    PcapBlockOwned::NG(_) => {}
                }
                reader.consume(consumed);
            }
            Err(PcapError::Eof) => return packets,
            Err(PcapError::Incomplete(_)) => reader.refill().unwrap(),
            Err(error) => panic!("{error:?}"),
        }
    }
}

proptest! {
    #[test]
    fn pcap_parser_reads_the_same(file in any_file()) {
        let read: Vec<_> = packets(file.clone()).into_iter().map(|p| (p.nanoseconds, p.original, p.data)).collect();
        prop_assert_eq!(read, oracle(&file));
    }

    #[test]
    fn a_pipe_that_dribbles_gives_the_same_packets(file in any_file()) {
        let dribbled = read_from(Dribble(Cursor::new(file.clone()), 0));
        prop_assert_eq!(dribbled.error, None);
        prop_assert_eq!(dribbled.packets, packets(file));
    }

    /// No panic, an end, and every packet that was read is in a flow or has a reason.
    #[test]
    fn a_broken_file_ends_and_its_packets_are_conserved(
        mut file in any_file(),
        harm in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..40),
        cut in any::<prop::sample::Index>(),
    ) {
        for (place, octet) in harm {
            let place = place.index(file.len());
            file[place] = octet;
        }
        file.truncate(cut.index(file.len()) + 1);
        conserve(file)?;
    }
}

fn conserve(file: Vec<u8>) -> Result<(), TestCaseError> {
    let Ok(mut source) = CaptureFile::new("test".into(), Box::new(Cursor::new(file))) else { return Ok(()) };
    let settings = Settings {
        active_timeout: Duration::from_secs(120),
        active_perturbation: Duration::ZERO,
        idle_timeout: Duration::from_secs(30),
        capacity: 16,
        hash_size: None,
        observation_domain_id: 1,
    };
    let mut shard = Shard::of(0, &settings);
    let mut out = crate::meter::testing::Collected::default();
    while let Ok(State::Some) = source.receive(0, &mut |frames| shard.process(frames, 0, &mut out)) {}
    shard.flush(0, &mut out);
    let terms = shard.terms();
    let sum = |amounts: Vec<Amount>| amounts.into_iter().fold(Amount::ZERO, |sum, amount| sum + amount);
    let excepted = sum(terms.undecodable.values().chain(terms.non_flow.values()).copied().collect());
    prop_assert_eq!(source.terms().unwrap().seen, terms.metered + excepted);
    prop_assert_eq!(terms.open, Amount::ZERO);
    prop_assert_eq!(out.amount(), terms.metered);
    Ok(())
}
