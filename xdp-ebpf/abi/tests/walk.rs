//! What the walk finds, frame by frame.
#![allow(clippy::unwrap_used, missing_docs)]

mod frames;

use frames::*;
use xdp_abi::headers::{Fragment, Headers, NonFlow, Undecodable, Unmetered};
use xdp_abi::key::Direction;
use xdp_abi::protocol::{ICMP, ICMPV6, SCTP, TCP, UDP, ethertype};
use xdp_abi::walk::{EXTENSIONS_MAX, Link, VLAN_TAGS_MAX, walk};

fn walked(frame: &[u8]) -> Headers {
    walk(frame, Link::Ethernet).unwrap()
}

fn undecodable(frame: &[u8]) -> Undecodable {
    match walk(frame, Link::Ethernet) {
        Err(Unmetered::Undecodable(reason)) => reason,
        other => panic!("{other:?}"),
    }
}

fn v4(payload: &[u8], ip: Ipv4) -> Vec<u8> {
    ethernet(ethertype::IPV4, &ip.packet(payload))
}

fn v6(next: u8, payload: &[u8]) -> Vec<u8> {
    ethernet(ethertype::IPV6, &ipv6(next, payload))
}

#[test]
fn tcp_over_ipv4_gives_every_field() {
    let headers = walked(&v4(&tcp(51000, 443, 0x12), Ipv4::of(TCP)));
    assert_eq!(headers.key.low_address, in_key("10.0.0.1".parse().unwrap()));
    assert_eq!(headers.key.high_address, in_key("192.168.7.9".parse().unwrap()));
    assert_eq!((headers.key.low_port, headers.key.high_port), (51000, 443));
    assert_eq!((headers.key.protocol, headers.key.ip_version), (TCP, 4));
    assert_eq!((headers.key.vlan, headers.key.customer_vlan), (0, 0));
    assert_eq!(headers.direction, Direction::LowToHigh);
    assert_eq!(headers.fragment, Fragment::Whole);
    assert_eq!((headers.tcp_flags, headers.tos, headers.ttl), (0x12, 0x2e, 63));
    assert_eq!((headers.ip_octets, headers.ip_offset), (40, 14));
}

#[test]
fn udp_over_ipv6_gives_every_field() {
    let headers = walked(&v6(UDP, &udp(53, 40000)));
    assert_eq!(headers.key.low_address, source_v6().octets());
    assert_eq!(headers.key.high_address, destination_v6().octets());
    assert_eq!((headers.key.low_port, headers.key.high_port), (53, 40000));
    assert_eq!((headers.key.protocol, headers.key.ip_version), (UDP, 6));
    assert_eq!((headers.tos, headers.ttl), (0xab, 61));
    assert_eq!((headers.ip_octets, headers.ip_offset, headers.tcp_flags), (48, 14, 0));
}

#[test]
fn sctp_ports_are_read() {
    let headers = walked(&v4(&sctp(9, 36412), Ipv4::of(SCTP)));
    assert_eq!((headers.key.low_port, headers.key.high_port), (9, 36412));
}

#[test]
fn icmp_has_type_and_code_and_no_ports() {
    let v4 = walked(&v4(&[3, 1, 0, 0], Ipv4::of(ICMP)));
    assert_eq!((v4.icmp_type, v4.icmp_code, v4.key.low_port, v4.key.high_port), (3, 1, 0, 0));
    let v6 = walked(&v6(ICMPV6, &[128, 7, 0, 0]));
    assert_eq!((v6.icmp_type, v6.icmp_code, v6.key.low_port), (128, 7, 0));
}

#[test]
fn another_protocol_has_ports_zero_and_needs_no_header() {
    for protocol in [0, 2, 41, 47, 50, 89, 255] {
        let headers = walked(&v4(&[], Ipv4::of(protocol)));
        assert_eq!((headers.key.protocol, headers.key.low_port), (protocol, 0));
    }
}

#[test]
fn ipv4_options_are_stepped_over() {
    for options_words in 1..=10 {
        let headers = walked(&v4(&tcp(1, 2, 2), Ipv4 { options_words, ..Ipv4::of(TCP) }));
        assert_eq!((headers.key.low_port, headers.key.high_port), (1, 2));
    }
}

#[test]
fn vlan_tags_are_kept_outer_first() {
    let inner = tag(0x2064, ethertype::IPV4, &Ipv4::of(UDP).packet(&udp(1, 2)));
    let one = walked(&ethernet(ethertype::VLAN, &inner));
    assert_eq!((one.key.vlan, one.key.customer_vlan, one.ip_offset), (0x1064, 0, 18));
    for service in [ethertype::SERVICE_VLAN, ethertype::SERVICE_VLAN_OLD, ethertype::VLAN] {
        let two = walked(&ethernet(service, &tag(0, ethertype::VLAN, &inner)));
        assert_eq!((two.key.vlan, two.key.customer_vlan, two.ip_offset), (0x1000, 0x1064, 22));
    }
}

#[test]
fn more_tags_than_the_key_holds_are_followed_up_to_the_bound() {
    let mut payload = Ipv4::of(UDP).packet(&udp(1, 2));
    let mut ethertype = ethertype::IPV4;
    for id in (1..=VLAN_TAGS_MAX as u16).rev() {
        payload = tag(id, ethertype, &payload);
        ethertype = ethertype::VLAN;
    }
    let headers = walked(&ethernet(ethertype, &payload));
    assert_eq!((headers.key.vlan, headers.key.customer_vlan, headers.key.high_port), (0x1001, 0x1002, 2));
    let one_more = ethernet(ethertype, &tag(9, ethertype, &payload));
    assert_eq!(undecodable(&one_more), Undecodable::VlanTooMany);
}

#[test]
fn a_tag_that_was_taken_off_is_put_back_outside() {
    let inner = ethernet(ethertype::VLAN, &tag(7, ethertype::IPV4, &Ipv4::of(UDP).packet(&udp(1, 2))));
    let both = ethernet(ethertype::SERVICE_VLAN, &tag(0xe005, ethertype::VLAN, &inner[14..]));
    let mut key = walked(&inner).key;
    key.put_back_tag(0xe005);
    assert_eq!(key, walked(&both).key);
}

#[test]
fn extension_headers_are_stepped_over() {
    let tcp = tcp(7, 8, 0x10);
    let destination = extension(TCP, 1, &tcp);
    let mobility = extension(60, 0, &destination);
    // Authentication header: (length + 2) * 4 = 24 octets.
    let mut authentication = vec![135, 4];
    authentication.resize(24, 0);
    authentication.extend(&mobility);
    let atomic = fragment_header(51, 0, false, &authentication);
    let routing = extension(44, 2, &atomic);
    let hop_by_hop = extension(43, 0, &routing);
    let headers = walked(&v6(0, &hop_by_hop));
    assert_eq!((headers.key.protocol, headers.key.low_port, headers.key.high_port), (TCP, 7, 8));
    assert_eq!((headers.fragment, headers.tcp_flags), (Fragment::Whole, 0x10));
}

#[test]
fn esp_and_no_next_header_end_the_chain() {
    assert_eq!(walked(&v6(50, &[1, 2, 3, 4])).key.protocol, 50);
    assert_eq!(walked(&v6(60, &extension(59, 0, &[]))).key.protocol, 59);
}

#[test]
fn a_chain_longer_than_the_bound_is_refused() {
    let chain = |count: usize| {
        let mut payload = extension(UDP, 0, &udp(1, 2));
        for _ in 1..count {
            payload = extension(60, 0, &payload);
        }
        v6(60, &payload)
    };
    assert_eq!(walked(&chain(EXTENSIONS_MAX)).key.high_port, 2);
    assert_eq!(undecodable(&chain(EXTENSIONS_MAX + 1)), Undecodable::Ipv6ExtensionTooMany);
}

#[test]
fn headers_behind_the_bound_are_not_read() {
    let long = extension(60, 255, &extension(UDP, 0, &udp(1, 2)));
    assert_eq!(undecodable(&v6(60, &long)), Undecodable::Ipv6ExtensionTooMany);
}

#[test]
fn ipv4_fragments_are_told_apart() {
    let first = walked(&v4(&udp(5, 6), Ipv4 { fragment: 0x2000, ..Ipv4::of(UDP) }));
    assert_eq!((first.fragment, first.key.high_port), (Fragment::First(0x1234), 6));
    let middle = walked(&v4(&udp(5, 6), Ipv4 { fragment: 0x2001, ..Ipv4::of(UDP) }));
    assert_eq!((middle.fragment, middle.key.high_port), (Fragment::Later(0x1234), 0));
    let last = walked(&v4(&[], Ipv4 { fragment: 0x0001, ..Ipv4::of(UDP) }));
    assert_eq!(last.fragment, Fragment::Later(0x1234));
    let unfragmentable = walked(&v4(&udp(5, 6), Ipv4 { fragment: 0x4000, ..Ipv4::of(UDP) }));
    assert_eq!(unfragmentable.fragment, Fragment::Whole);
}

#[test]
fn ipv6_fragments_are_told_apart() {
    let first = walked(&v6(44, &fragment_header(UDP, 0, true, &udp(5, 6))));
    assert_eq!((first.fragment, first.key.low_port), (Fragment::First(0xdead_beef), 5));
    let later = walked(&v6(44, &fragment_header(UDP, 1, false, &udp(5, 6))));
    assert_eq!((later.fragment, later.key.low_port), (Fragment::Later(0xdead_beef), 0));
    // What follows a later fragment's header is no header, whatever its number says.
    let inside = walked(&v6(44, &fragment_header(60, 9, true, &[0xff; 3])));
    assert_eq!((inside.fragment, inside.key.protocol), (Fragment::Later(0xdead_beef), 60));
}

#[test]
fn padding_behind_the_ip_packet_is_no_header() {
    let total_octets = Some(20 + 13);
    assert_eq!(
        undecodable(&v4(&tcp(1, 2, 2), Ipv4 { total_octets, ..Ipv4::of(TCP) })),
        Undecodable::TcpTruncated
    );
    let packet = ipv6_between(source_v6(), destination_v6(), UDP, 3, &udp(1, 2));
    assert_eq!(undecodable(&ethernet(ethertype::IPV6, &packet)), Undecodable::UdpTruncated);
    let packet = ipv6_between(source_v6(), destination_v6(), 60, 7, &extension(UDP, 0, &udp(1, 2)));
    assert_eq!(undecodable(&ethernet(ethertype::IPV6, &packet)), Undecodable::Ipv6ExtensionTruncated);
}

#[test]
fn a_length_of_zero_gives_no_end() {
    let offloaded = walked(&v4(&tcp(1, 2, 2), Ipv4 { total_octets: Some(0), ..Ipv4::of(TCP) }));
    assert_eq!((offloaded.ip_octets, offloaded.key.high_port), (0, 2));
    let packet = ipv6_between(source_v6(), destination_v6(), UDP, 0, &udp(1, 2));
    let jumbogram = walked(&ethernet(ethertype::IPV6, &packet));
    assert_eq!((jumbogram.ip_octets, jumbogram.key.high_port), (0, 2));
}

#[test]
fn a_length_beyond_the_captured_octets_is_believed() {
    let cut = walked(&v4(&tcp(1, 2, 2), Ipv4 { total_octets: Some(1500), ..Ipv4::of(TCP) }));
    assert_eq!((cut.ip_octets, cut.key.high_port), (1500, 2));
}

#[test]
fn broken_ip_headers_have_their_reasons() {
    let good = v4(&tcp(1, 2, 2), Ipv4::of(TCP));
    let with = |at: usize, octet: u8| {
        let mut frame = good.clone();
        frame[at] = octet;
        undecodable(&frame)
    };
    assert_eq!(with(14, 0x65), Undecodable::IpVersion);
    assert_eq!(with(14, 0x44), Undecodable::Ipv4HeaderLength);
    assert_eq!(with(17, 19), Undecodable::Ipv4TotalLength);
    assert_eq!(with(46, 0x40), Undecodable::TcpDataOffset);
    let mut six = v6(UDP, &udp(1, 2));
    six[14] = 0x4a;
    assert_eq!(undecodable(&six), Undecodable::IpVersion);
}

/// Cuts a frame at every octet: `reasons` are the first lengths from which on each reason holds.
fn cut_everywhere(frame: &[u8], reasons: &[(usize, Undecodable)], readable_from: usize) {
    for length in 0..readable_from {
        let expected = reasons.iter().rev().find(|(from, _)| *from <= length).unwrap().1;
        assert_eq!(undecodable(&frame[..length]), expected, "cut to {length} octets");
    }
    for length in readable_from..=frame.len() {
        assert_eq!(walked(&frame[..length]).key, walked(frame).key, "cut to {length} octets");
    }
}

#[test]
fn a_cut_frame_names_the_header_that_was_cut() {
    use Undecodable::*;
    let link = (0, LinkTruncated);
    let ip = Ipv4 { options_words: 1, ..Ipv4::of(TCP) };
    cut_everywhere(&v4(&tcp(1, 2, 2), ip), &[link, (14, Ipv4Truncated), (38, TcpTruncated)], 52);
    cut_everywhere(&v4(&udp(1, 2), Ipv4::of(UDP)), &[link, (14, Ipv4Truncated), (34, UdpTruncated)], 38);
    cut_everywhere(&v4(&sctp(1, 2), Ipv4::of(SCTP)), &[link, (14, Ipv4Truncated), (34, SctpTruncated)], 38);
    cut_everywhere(&v4(&[8, 0, 0, 0], Ipv4::of(ICMP)), &[link, (14, Ipv4Truncated), (34, IcmpTruncated)], 36);
    let tagged =
        ethernet(ethertype::VLAN, &tag(1, ethertype::IPV6, &ipv6(60, &extension(UDP, 0, &udp(1, 2)))));
    cut_everywhere(
        &tagged,
        &[link, (14, VlanTruncated), (18, Ipv6Truncated), (58, Ipv6ExtensionTruncated), (66, UdpTruncated)],
        70,
    );
}

#[test]
fn frames_that_are_not_ip_have_their_kind() {
    for (ethertype, kind) in [
        (0x0806, NonFlow::Arp),
        (0x8035, NonFlow::Arp),
        (0x88cc, NonFlow::Lldp),
        (0x8847, NonFlow::Mpls),
        (0x8848, NonFlow::Mpls),
        (0x8863, NonFlow::Pppoe),
        (0x8864, NonFlow::Pppoe),
        (0x0026, NonFlow::Llc),
        (0x05ff, NonFlow::Llc),
        (0x0600, NonFlow::OtherEthertype),
        (0x88f7, NonFlow::OtherEthertype),
    ] {
        let expected = Err(Unmetered::NonFlow(kind));
        assert_eq!(walk(&ethernet(ethertype, &[])[..], Link::Ethernet), expected);
        let tagged = ethernet(ethertype::VLAN, &tag(1, ethertype, &[]));
        assert_eq!(walk(&tagged[..], Link::Ethernet), expected);
    }
}

#[test]
fn raw_ip_goes_by_its_version() {
    let v4 = walk(&Ipv4::of(UDP).packet(&udp(1, 2))[..], Link::RawIp).unwrap();
    assert_eq!((v4.key.ip_version, v4.ip_offset), (4, 0));
    let v6 = walk(&ipv6(UDP, &udp(1, 2))[..], Link::RawIp).unwrap();
    assert_eq!((v6.key.ip_version, v6.ip_offset), (6, 0));
    assert_eq!(walk(&[0x50; 60][..], Link::RawIp), Err(Undecodable::IpVersion.into()));
    assert_eq!(walk(&[][..], Link::RawIp), Err(Undecodable::LinkTruncated.into()));
}

#[test]
fn another_link_layer_is_read_behind_its_header() {
    let cooked = [&[0xaa; 16][..], &tag(5, ethertype::IPV4, &Ipv4::of(UDP).packet(&udp(1, 2)))].concat();
    let headers = walk(&cooked[..], Link::Ip { ethertype: ethertype::VLAN, offset: 16 }).unwrap();
    assert_eq!((headers.key.vlan, headers.ip_offset, headers.key.high_port), (0x1005, 20, 2));
    let arp = walk(&cooked[..], Link::Ip { ethertype: ethertype::ARP, offset: 16 });
    assert_eq!(arp, Err(Unmetered::NonFlow(NonFlow::Arp)));
}
