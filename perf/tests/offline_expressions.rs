//! `-f` against tcpdump: for every capture and every expression, as many packets as `tcpdump -r FILE EXPRESSION` selects.
//!
//! Crafted captures always; those of `CAPTURES=DIR` as well, where it is named (`make test-captures`).
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::path::{Path, PathBuf};
use std::process::Command;

use perf::craft::{
    self, Ethernet, Extension, Ip4, Ip6, LinkType, Pcap, Record, Resolution, Segment, Tag, flag,
};
use probe::source::bpf::{Expression, Selector};
use probe::source::capture_file::CaptureFile;
use probe::source::filtered::Filtered;
use probe::source::xdp::CaptureFilter;
use probe::source::{Frame, LinkLayer, Source, State};

/// What people write, and what reaches every kind of instruction.
const EXPRESSIONS: [&str; 54] = [
    "",
    "ip",
    "ip6",
    "arp",
    "not arp",
    "tcp",
    "udp",
    "icmp or icmp6",
    "sctp",
    "not tcp",
    "port 9",
    "port 443 or port 53",
    "src port 40000",
    "dst port 9",
    "tcp port 80",
    "udp port 53",
    "not port 9",
    "ip and not port 443",
    "portrange 1-1024",
    "tcp dst portrange 20-25",
    "udp src portrange 30000-65535",
    "host 192.0.2.1",
    "ip host 192.0.2.1",
    "src host 192.0.2.1 and dst port 9",
    "host 2001:db8::1",
    "ip6 src net 2001:db8::/48",
    "net 10.0.0.0/8 or net 192.168.0.0/16",
    "ip net 192.0.2.0/24",
    "dst net 198.51.100.0/24 and udp",
    "tcp and (host 192.0.2.1 or host 2001:db8::1)",
    "ip proto 17",
    "ip6 proto 6",
    "proto 50",
    "ip6 proto 44",
    "ip6 proto 0",
    "ip[6:2] & 0x1fff != 0",
    "ip[0] & 0xf > 5",
    "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
    "tcp[13] = 2",
    "icmp[icmptype] = icmp-echo",
    "udp[8:4] = 0x7061796c",
    "ip[2:2] - 4 * (ip[0] & 0xf) > 20",
    "ip[8] / 2 = 32 or ip[8] % 3 = 0",
    "ether[12:2] = 0x0806",
    "vlan",
    "vlan 7",
    "vlan and udp",
    "vlan 100 and vlan 7",
    "mpls",
    "less 80",
    "greater 80 and not udp",
    "len = 64 or len > 1000",
    "ether multicast or ether broadcast",
    "ip and ip[ip[0] & 0xf << 2] = 0x9c",
];

/// One frame of many kinds, whole; then each cut off at every length, as the wire and as the capture would.
fn frames() -> Vec<Record> {
    let end = |text: &str| text.parse().unwrap();
    let (a, b) = (end("192.0.2.1:40000"), end("198.51.100.2:9"));
    let (a6, b6) = (end("[2001:db8::1]:40000"), end("[2001:db8::2]:9"));
    let plain = |segment: &Segment| Ethernet::default().frame(&craft::packet(segment));
    let tagged = |tags: &[Tag]| Ethernet { tags: tags.to_vec(), ..Ethernet::default() };
    let udp = craft::udp(a, b, b"payload of some length");
    let options = Ip4 { options: vec![7, 7, 4, 0, 0, 0, 0, 0], ..Ip4::default() };
    let extensions = vec![Extension::options(0, 1), Extension::options(60, 2), Extension::authentication()];
    let mut all = vec![
        plain(&udp),
        plain(&craft::udp(b, a, b"answer")),
        plain(&craft::tcp(a, b, flag::SYN, 1, b"")),
        plain(&craft::tcp(end("10.1.2.3:443"), a, flag::SYN | flag::ACK, 1, &[7; 900])),
        plain(&craft::udp(end("192.168.3.4:53"), a, b"name")),
        plain(&craft::sctp(a, b, &[14, 0, 0, 4])),
        plain(&craft::icmp(a.ip(), b.ip(), 8, 0, &[0, 1, 0, 1, 1, 2, 3, 4])),
        plain(&craft::udp(a6, b6, b"payload of some length")),
        plain(&craft::tcp(a6, b6, flag::SYN, 1, b"")),
        plain(&craft::icmp6(a6.ip(), b6.ip(), 128, 0, &[0, 1, 0, 1, 1, 2, 3, 4])),
        tagged(&[Tag::customer(7)]).frame(&craft::packet(&udp)),
        tagged(&[Tag::service(100), Tag::customer(7)]).frame(&craft::packet(&udp)),
        Ethernet::default().frame(&options.packet(&udp)),
        Ethernet::default()
            .frame(&Ip6 { extensions, ..Ip6::default() }.packet(&craft::udp(a6, b6, b"behind"))),
    ];
    all.extend([0x0806, 0x88cc, 0x8847, 38].map(|kind| Ethernet::default().frame_of(kind, &[0; 46])));
    all.extend(
        craft::ip4_fragments(&craft::udp(a, b, &[b'x'; 3000]), 9, 1480)
            .iter()
            .map(|p| Ethernet::default().frame(p)),
    );
    all.extend(
        craft::ip6_fragments(&craft::udp(a6, b6, &[b'x'; 3000]), 9, 1448)
            .iter()
            .map(|p| Ethernet::default().frame(p)),
    );
    let short = |frame: &Vec<u8>| {
        (0..frame.len().min(100)).map(|length| frame[..length].to_vec()).collect::<Vec<_>>()
    };
    let cut: Vec<Vec<u8>> = all.iter().flat_map(short).collect();
    let snapped = all
        .iter()
        .flat_map(|frame| (0..frame.len().min(100)).map(|kept| Record::snapped(1, frame.clone(), kept)));
    let snapped: Vec<Record> = snapped.collect();
    all.into_iter().chain(cut).map(|bytes| Record::whole(1, bytes)).chain(snapped).collect()
}

/// Captures of every link type that is read.
fn crafted(folder: &Path) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    let mut put = |name: &str, file: Vec<u8>| {
        let path = folder.join(name);
        std::fs::write(&path, file).unwrap();
        paths.push(path);
    };
    let ethernet = frames();
    put("ethernet.pcap", Pcap::new(LinkType::Ethernet).file(&ethernet));
    let udp = craft::packet(&craft::udp(
        "192.0.2.1:40000".parse().unwrap(),
        "198.51.100.2:9".parse().unwrap(),
        b"hello",
    ));
    let six = craft::packet(&craft::udp(
        "[2001:db8::1]:40000".parse().unwrap(),
        "[2001:db8::2]:9".parse().unwrap(),
        b"hello",
    ));
    for big_endian in [false, true] {
        let of = |link, packets: &[Vec<u8>]| {
            let records: Vec<_> = packets.iter().map(|bytes| Record::whole(1, bytes.clone())).collect();
            Pcap { link, resolution: Resolution::Nanoseconds, big_endian }.file(&records)
        };
        let order = if big_endian { "big" } else { "little" };
        put(&format!("raw-{order}.pcap"), of(LinkType::Raw, &[udp.clone(), six.clone()]));
        put(&format!("ip4-{order}.pcap"), of(LinkType::Ip4, std::slice::from_ref(&udp)));
        put(&format!("ip6-{order}.pcap"), of(LinkType::Ip6, std::slice::from_ref(&six)));
        put(
            &format!("cooked-{order}.pcap"),
            of(LinkType::Cooked, &[craft::cooked(&udp), craft::cooked(&six)]),
        );
        put(
            &format!("cooked2-{order}.pcap"),
            of(LinkType::Cooked2, &[craft::cooked2(&udp), craft::cooked2(&six)]),
        );
        put(
            &format!("loop-{order}.pcap"),
            of(LinkType::Loop, &[craft::loopback(2, true, &udp), craft::loopback(24, true, &six)]),
        );
        put(
            &format!("null-{order}.pcap"),
            of(
                LinkType::Null,
                &[craft::loopback(2, big_endian, &udp), craft::loopback(30, big_endian, &six)],
            ),
        );
    }
    paths
}

fn named() -> Vec<PathBuf> {
    let Some(folder) = std::env::var_os("CAPTURES") else { return Vec::new() };
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "pcap" || ending == "pcapng"))
        .collect();
    paths.sort();
    paths
}

/// tcpdump's count; `None` = it does not take the expression for this file, or the file.
fn theirs(path: &Path, expression: &str) -> Option<u64> {
    let output = Command::new("tcpdump").args(["-n", "--count", "-r"]).arg(path).arg(expression).output();
    let output = output.expect("tcpdump is installed by `make setup`");
    let said = String::from_utf8_lossy(&output.stdout);
    output.status.success().then(|| said.split_whitespace().next().unwrap().parse().unwrap())
}

/// Of a source, once it is read: frames that were lent, of them those that are not left out, and those that are Ethernet.
fn drain(mut source: Box<dyn Source>) -> Option<[u64; 3]> {
    let mut counts = [0; 3];
    loop {
        let state = source.receive(0, &mut |frames| {
            let count = |is: fn(&Frame<'_>) -> bool| frames.iter().filter(|frame| is(frame)).count() as u64;
            counts[0] += frames.len() as u64;
            counts[1] += count(|frame| !frame.left_out);
            counts[2] += count(|frame| frame.link_layer == LinkLayer::Ethernet);
        });
        match state {
            Ok(State::Ended) => return Some(counts),
            Ok(_) => {}
            Err(_) => return None,
        }
    }
}

fn ours(path: &Path, expression: &str, rules: &CaptureFilter) -> Option<[u64; 3]> {
    let file = CaptureFile::open(path).ok()?.selecting(&Expression::new(expression)).ok()?;
    drain(Filtered::boxed(file, rules))
}

#[test]
fn every_expression_selects_of_every_capture_as_many_packets_as_tcpdump() {
    let folder = tempfile::tempdir().unwrap();
    let paths = [crafted(folder.path()), named()].concat();
    let (mut compared, mut refused, mut with_rules, mut left_to_rules) = (0, 0, 0, 0u64);
    for path in &paths {
        // What tcpdump cannot read to its end is not an oracle for how far we come.
        let Some(all) = theirs(path, "") else { continue };
        for expression in EXPRESSIONS {
            let said = format!("{} '{expression}'", path.display());
            let expected = theirs(path, expression);
            let counted = ours(path, expression, &CaptureFilter::default());
            assert_eq!(counted.map(|[_, selected, _]| selected), expected, "{said}");
            let Some(expected) = expected else {
                refused += 1;
                continue;
            };
            let [lent, _, ethernet] = counted.unwrap();
            assert_eq!(lent, all, "{said}: every frame is lent, selected or not");
            compared += 1;
            if ethernet != all {
                continue;
            }
            let selector = Selector::new(&Expression::new(expression), &[LinkLayer::Ethernet]).unwrap();
            let Some((words, rules)) = selector.rules() else { continue };
            // The rules of the XDP program leave out nothing that the expression selects.
            if let Some([let_through, selected, _]) = ours(path, expression, rules) {
                assert_eq!(selected, expected, "{said} behind '{words}'");
                with_rules += 1;
                left_to_rules += all - let_through;
            }
        }
    }
    println!(
        "{} captures: {compared} counts agree, {refused} expressions refused by both; behind rules {with_rules} counts agree, {left_to_rules} frames left to them",
        paths.len()
    );
    // Of the crafted captures alone.
    assert!(compared >= 500 && refused > 10 && with_rules >= 30 && left_to_rules > 1000);
}

/// What of the list is worth a rule, and what must not have one.
#[test]
fn rules_are_made_of_what_an_expression_cannot_be_without() {
    for (expression, rules) in [
        ("udp port 53", Some("proto 17 port 53")),
        ("tcp", Some("proto 6")),
        ("port 443 or port 53", Some("proto 6,17,132 port 53,443")),
        ("tcp dst portrange 20-25", Some("proto 6 port 20-25")),
        ("ip", Some("net 0.0.0.0/0")),
        ("ip host 192.0.2.1", Some("net 192.0.2.1/32")),
        ("host 2001:db8::1", Some("net 2001:db8::1/128")),
        ("ip net 10.0.0.0/8 and udp", Some("proto 17 net 10.0.0.0/8")),
        ("ip6 net 2001:db8::/48 and tcp port 443", Some("proto 6 port 443 net 2001:db8::/48")),
        ("tcp and not port 22", Some("proto 6")),
        ("icmp or arp", None),
        ("host 192.0.2.1", None),
        ("not port 22", None),
        ("vlan and udp", None),
        ("", None),
    ] {
        let selector = Selector::new(&Expression::new(expression), &[LinkLayer::Ethernet]).unwrap();
        assert_eq!(selector.rules().map(|(words, _)| words.as_str()), rules, "{expression}");
    }
}
