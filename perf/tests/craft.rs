//! The packets that other tests are built from are what they claim to be: tshark judges.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::net::{IpAddr, SocketAddr};
use std::process::Command;

use perf::craft::{
    self, Ethernet, Extension, Ip4, Ip6, LinkType, Pcap, PcapNg, Record, Resolution, Segment, Tag, flag,
};

const SECOND: u64 = 1_000_000_000;
const START: u64 = 1_700_000_000 * SECOND;

fn end(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn four() -> Segment {
    craft::udp(end("192.0.2.1:4000"), end("192.0.2.2:9"), b"question")
}

fn six() -> Segment {
    craft::tcp(end("[2001:db8::1]:4000"), end("[2001:db8::2]:443"), flag::SYN, 7, b"")
}

/// One line per packet: the fields, tab separated. A packet that tshark calls malformed fails.
fn judge(file: &[u8], fields: &[&str]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("crafted.pcap");
    std::fs::write(&path, file).unwrap();
    let mut command = Command::new("tshark");
    command.arg("-r").arg(path).args(["-n", "-T", "fields"]);
    for check in ["ip.check_checksum", "tcp.check_checksum", "udp.check_checksum"] {
        command.args(["-o", &format!("{check}:TRUE")]);
    }
    for field in fields.iter().chain(&["_ws.malformed"]) {
        command.args(["-e", field]);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .map(|line| line.strip_suffix('\t').unwrap_or_else(|| panic!("malformed: {line}")).to_owned())
        .collect()
}

fn records(frames: impl IntoIterator<Item = Vec<u8>>) -> Vec<Record> {
    frames.into_iter().zip(0..).map(|(bytes, n)| Record::whole(START + n * SECOND, bytes)).collect()
}

#[test]
fn every_transport_is_read_back_with_a_right_checksum() {
    let (a, b) = (address("192.0.2.1"), address("192.0.2.2"));
    let (a6, b6) = (address("2001:db8::1"), address("2001:db8::2"));
    let segments = [
        four(),
        six(),
        craft::sctp(end("192.0.2.1:1"), end("192.0.2.2:2"), &[14, 0, 0, 4]),
        craft::icmp(a, b, 8, 0, &[0, 1, 0, 1]),
        craft::icmp6(a6, b6, 128, 0, &[0, 1, 0, 1]),
    ];
    let frames = segments.iter().map(|segment| Ethernet::default().frame(&craft::packet(segment)));
    let file = Pcap::new(LinkType::Ethernet).file(&records(frames));
    let judged =
        judge(&file, &["ip.proto", "ipv6.nxt", "udp.dstport", "tcp.flags.str", "icmp.type", "icmpv6.type"]);
    let expected =
        ["17\t\t9\t\t\t", "\t6\t\t··········S·\t\t", "132\t\t\t\t\t", "1\t\t\t\t8\t", "\t58\t\t\t\t128"];
    assert_eq!(judged, expected);
    let checksums = judge(&file, &["udp.checksum.status", "tcp.checksum.status", "icmpv6.checksum.status"]);
    assert_eq!(checksums, ["1\t\t", "\t1\t", "\t\t", "\t\t", "\t\t1"]);
}

#[test]
fn tags_options_and_extension_headers_are_read_back() {
    let tagged = Ethernet { tags: vec![Tag::service(100), Tag::customer(7)], ..Ethernet::default() };
    let options = Ip4 { options: vec![7, 7, 4, 0, 0, 0, 0], ..Ip4::default() };
    let extensions = vec![Extension::options(0, 1), Extension::options(60, 2), Extension::authentication()];
    let extended = Ip6 { extensions, ..Ip6::default() };
    let frames = [
        tagged.frame(&craft::packet(&four())),
        Ethernet::default().frame(&options.packet(&four())),
        Ethernet::default().frame(&extended.packet(&six())),
    ];
    let file = Pcap::new(LinkType::Ethernet).file(&records(frames));
    let judged =
        judge(&file, &["ieee8021ad.id", "vlan.id", "ip.hdr_len", "udp.dstport", "tcp.dstport", "ah.length"]);
    assert_eq!(judged, ["100\t7\t20\t9\t\t", "\t\t28\t9\t\t", "\t\t\t\t443\t4"]);
}

#[test]
fn fragments_are_put_together_again_by_tshark() {
    let payload = [b'x'; 3000];
    let four = craft::udp(end("192.0.2.1:4000"), end("192.0.2.2:9"), &payload);
    let six = craft::udp(end("[2001:db8::1]:4000"), end("[2001:db8::2]:9"), &payload);
    let packets = [craft::ip4_fragments(&four, 9, 1480), craft::ip6_fragments(&six, 9, 1448)].concat();
    let file = Pcap::new(LinkType::Raw).file(&records(packets));
    let judged = judge(&file, &["ip.flags.mf", "ip.frag_offset", "ipv6.fraghdr.offset", "udp.length"]);
    // tshark shows the ports and length where the packet is whole: at its last fragment.
    let expected = ["1\t0\t\t", "1\t185\t\t", "0\t370\t\t3008", "\t\t0\t", "\t\t181\t", "\t\t362\t3008"];
    assert_eq!(judged, expected);
}

#[test]
fn every_link_type_resolution_and_byte_order_is_read_back() {
    let packet = craft::packet(&four());
    let links = [
        (LinkType::Ethernet, Ethernet::default().frame(&packet)),
        (LinkType::Raw, packet.clone()),
        (LinkType::Ip4, packet.clone()),
        (LinkType::Cooked, craft::cooked(&packet)),
        (LinkType::Cooked2, craft::cooked2(&packet)),
        (LinkType::Loop, craft::loopback(2, true, &packet)),
    ];
    let mut all = PcapNg::new(&links.clone().map(|(link, _)| link));
    for (interface, (link, bytes)) in links.into_iter().enumerate() {
        let record = Record::whole(START + 123_456_789, bytes);
        all.push(interface as u32, &record);
        for (resolution, time) in [
            (Resolution::Microseconds, "1700000000.123456000"),
            (Resolution::Nanoseconds, "1700000000.123456789"),
        ] {
            for big_endian in [false, true] {
                let file = Pcap { link, resolution, big_endian }.file(std::slice::from_ref(&record));
                assert_eq!(
                    judge(&file, &["frame.time_epoch", "udp.dstport"]),
                    [format!("{time}\t9")],
                    "{link:?}"
                );
            }
        }
    }
    let judged = judge(all.file(), &["frame.time_epoch", "udp.dstport"]);
    assert_eq!(judged, vec!["1700000000.123456789\t9"; 6]);
    // The family of BSD loopback is in the order of the host that captured, whatever the file's.
    for big_endian in [false, true] {
        let bytes = craft::loopback(2, big_endian, &packet);
        let file = Pcap::new(LinkType::Null).file(&[Record::whole(START, bytes)]);
        assert_eq!(judge(&file, &["udp.dstport"]), ["9"]);
    }
}

#[test]
fn a_snapped_packet_keeps_its_original_length() {
    let frame = Ethernet::default().frame(&craft::packet(&four()));
    let file = Pcap::new(LinkType::Ethernet).file(&[Record::snapped(START, frame, 42)]);
    assert_eq!(judge(&file, &["frame.len", "frame.cap_len"]), ["50\t42"]);
}
