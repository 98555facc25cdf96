//! Captures built here, each for one thing that a capture can be, held against the independent tools like any other.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod oracle;

use std::net::{IpAddr, SocketAddr};

use oracle::agree::{Report, agree};
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

fn client() -> SocketAddr {
    end("192.0.2.1:40000")
}

fn server() -> SocketAddr {
    end("198.51.100.2:9")
}

fn client6() -> SocketAddr {
    end("[2001:db8::1]:40000")
}

fn server6() -> SocketAddr {
    end("[2001:db8::2]:9")
}

fn frame(segment: &Segment) -> Vec<u8> {
    Ethernet::default().frame(&craft::packet(segment))
}

/// Frames, a millisecond apart.
fn records(frames: impl IntoIterator<Item = Vec<u8>>) -> Vec<Record> {
    frames.into_iter().zip(0..).map(|(bytes, n)| Record::whole(START + n * SECOND / 1000, bytes)).collect()
}

fn ethernet(records: &[Record]) -> Vec<u8> {
    Pcap::new(LinkType::Ethernet).file(records)
}

/// Writes the file, and holds everybody's word against it.
fn judge(file: &[u8]) -> Report {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("crafted.pcap");
    std::fs::write(&path, file).unwrap();
    let report = agree(&path);
    assert_eq!(report.unpredicted, Vec::<String>::new());
    report
}

/// One sound frame of each kind.
fn sound() -> Vec<Vec<u8>> {
    let (a, b, a6, b6) = (client(), server(), client6(), server6());
    let tagged = |tags: &[Tag]| Ethernet { tags: tags.to_vec(), ..Ethernet::default() };
    let udp = craft::packet(&craft::udp(a, b, b"payload of some length"));
    let options = Ip4 { options: vec![7, 7, 4, 0, 0, 0, 0, 0], ..Ip4::default() };
    let extensions = vec![Extension::options(0, 1), Extension::options(60, 2), Extension::authentication()];
    let extended = Ip6 { extensions, ..Ip6::default() };
    vec![
        frame(&craft::udp(a, b, b"payload of some length")),
        frame(&craft::tcp(a, b, flag::SYN, 1, b"")),
        frame(&craft::sctp(a, b, &[14, 0, 0, 4])),
        frame(&craft::icmp(a.ip(), b.ip(), 8, 0, &[0, 1, 0, 1, 1, 2, 3, 4])),
        frame(&craft::udp(a6, b6, b"payload of some length")),
        frame(&craft::tcp(a6, b6, flag::SYN, 1, b"")),
        frame(&craft::icmp6(a6.ip(), b6.ip(), 128, 0, &[0, 1, 0, 1, 1, 2, 3, 4])),
        tagged(&[Tag::customer(7)]).frame(&udp),
        tagged(&[Tag::customer(0)]).frame(&udp),
        tagged(&[Tag::service(100), Tag::customer(7)]).frame(&udp),
        Ethernet::default().frame(&options.packet(&craft::udp(a, b, b"with options"))),
        Ethernet::default().frame(&extended.packet(&craft::udp(a6, b6, b"with extensions"))),
    ]
}

#[test]
fn every_kind_of_sound_packet_is_in_its_flow() {
    let report = judge(&ethernet(&records(sound())));
    assert_eq!(
        (report.packets, report.records),
        (12, 10),
        "the two with options share a key with others: {report:?}"
    );
    assert!(report.excepted.is_empty());
}

#[test]
fn every_file_format_and_link_type_is_read() {
    let packet = craft::packet(&craft::udp(client(), server(), b"hello"));
    let six = craft::packet(&craft::udp(client6(), server6(), b"hello"));
    let links = [
        (LinkType::Ethernet, Ethernet::default().frame(&packet)),
        (LinkType::Raw, packet.clone()),
        (LinkType::Raw, six.clone()),
        (LinkType::Ip4, packet.clone()),
        (LinkType::Ip6, six.clone()),
        (LinkType::Cooked, craft::cooked(&packet)),
        (LinkType::Cooked2, craft::cooked2(&six)),
        (LinkType::Loop, craft::loopback(2, true, &packet)),
        (LinkType::Null, craft::loopback(2, false, &packet)),
        (LinkType::Null, craft::loopback(30, true, &six)),
    ];
    let mut all = PcapNg::new(&links.clone().map(|(link, _)| link));
    for (interface, (link, bytes)) in links.into_iter().enumerate() {
        let record = Record::whole(START + 123_456_789, bytes);
        all.push(interface as u32, &record);
        for resolution in [Resolution::Microseconds, Resolution::Nanoseconds] {
            let big_endian = resolution == Resolution::Nanoseconds;
            let report = judge(&Pcap { link, resolution, big_endian }.file(std::slice::from_ref(&record)));
            assert_eq!((report.packets, report.records), (1, 1), "{link:?} {resolution:?}");
        }
    }
    let report = judge(all.file());
    assert_eq!((report.packets, report.records), (10, 2));
}

#[test]
fn what_is_no_ip_is_counted_by_its_kind() {
    let of = |ethertype: u16| Ethernet::default().frame_of(ethertype, &[0; 46]);
    let frames = [of(0x0806), of(0x88cc), of(0x8847), of(0x8864), of(38), of(0x88b5)];
    let report = judge(&ethernet(&records(frames)));
    let reasons: Vec<&str> = report.excepted.keys().map(String::as_str).collect();
    assert_eq!(reasons, ["arp", "llc", "lldp", "mpls", "other_ethertype", "pppoe"]);
    let wifi = Pcap::new(LinkType::Wifi).file(&records([vec![0; 40]]));
    assert_eq!(judge(&wifi).excepted["link_type"], (1, 40));
}

#[test]
fn every_sound_packet_cut_off_anywhere_is_in_a_flow_or_has_a_reason() {
    // Once as if the wire had cut it, once as if the capture had.
    let cut = |frame: Vec<u8>| (0..frame.len()).map(move |length| frame[..length].to_vec());
    let short = records(sound().into_iter().flat_map(cut));
    let snapped =
        |frame: Vec<u8>| (0..frame.len()).map(move |kept| Record::snapped(START, frame.clone(), kept));
    let report = judge(&ethernet(&short));
    assert_eq!(report.packets, short.len() as u64);
    for reason in ["link_truncated", "vlan_truncated", "ipv4_truncated", "ipv6_truncated", "tcp_truncated"] {
        assert!(report.excepted.contains_key(reason), "{reason}: {:?}", report.excepted);
    }
    let snapped: Vec<Record> = sound().into_iter().flat_map(snapped).collect();
    assert_eq!(judge(&ethernet(&snapped)).excepted.keys().len(), report.excepted.keys().len());
}

#[test]
fn headers_that_contradict_themselves_have_a_reason() {
    let sound = frame(&craft::tcp(client(), server(), flag::ACK, 1, b"data"));
    let with = |at: usize, octets: &[u8]| {
        let mut frame = sound.clone();
        frame[at..at + octets.len()].copy_from_slice(octets);
        frame
    };
    let tags = vec![Tag::customer(1); 5];
    let frames = [
        with(14, &[0x55]),
        with(14, &[0x44]),
        with(16, &[0, 19]),
        with(46, &[0x40]),
        Ethernet { tags, ..Ethernet::default() }.frame(&sound[14..]),
    ];
    let report = judge(&ethernet(&records(frames)));
    let reasons: Vec<&str> = report.excepted.keys().map(String::as_str).collect();
    let expected =
        ["ip_version", "ipv4_header_length", "ipv4_total_length", "tcp_data_offset", "vlan_too_many"];
    assert_eq!(reasons, expected);
}

#[test]
fn fragments_have_the_ports_of_their_first() {
    let payload = [b'x'; 3000];
    let four = craft::ip4_fragments(&craft::udp(client(), server(), &payload), 9, 1480);
    let six = craft::ip6_fragments(&craft::udp(client6(), server6(), &payload), 9, 1448);
    let late = craft::ip4_fragments(&craft::udp(client(), end("198.51.100.3:9"), &payload), 10, 1480);
    let ethernet_frame = |packet: &Vec<u8>| Ethernet::default().frame(packet);
    let in_order = four.iter().chain(&six).map(ethernet_frame);
    let out_of_order = [&late[2], &late[0], &late[1]].map(ethernet_frame);
    let report = judge(&ethernet(&records(in_order.chain(out_of_order))));
    // Two datagrams in order are two flows; of the third, the part that came before its first is a flow of its own.
    assert_eq!((report.packets, report.records), (9, 4));
}

#[test]
fn a_later_fragment_half_a_minute_after_its_first_has_no_ports() {
    let parts = craft::ip4_fragments(&craft::udp(client(), server(), &[b'x'; 2000]), 9, 1480);
    let at = |seconds: u64, packet: &Vec<u8>| {
        Record::whole(START + seconds * SECOND, Ethernet::default().frame(packet))
    };
    let report = judge(&ethernet(&[at(0, &parts[0]), at(29, &parts[1]), at(30, &parts[1])]));
    assert_eq!((report.packets, report.records), (3, 2));
}

/// A conversation: who sends (client or not), when, which flags.
fn conversation(packets: &[(bool, u64, u8)]) -> Report {
    let record = |(forward, milliseconds, flags): &(bool, u64, u8)| {
        let (source, destination) = if *forward { (client(), server()) } else { (server(), client()) };
        let bytes = frame(&craft::tcp(source, destination, *flags, 1, b""));
        Record::whole(START + milliseconds * SECOND / 1000, bytes)
    };
    judge(&ethernet(&packets.iter().map(record).collect::<Vec<_>>()))
}

const S: u8 = flag::SYN;
const SA: u8 = flag::SYN | flag::ACK;
const A: u8 = flag::ACK;
const FA: u8 = flag::FIN | flag::ACK;
const R: u8 = flag::RST;

#[test]
fn tcp_ends_at_both_fins_or_a_reset_and_lingers() {
    let closed = [(true, 0, S), (false, 1, SA), (true, 2, A), (true, 3, FA), (false, 4, FA), (true, 5, A)];
    assert_eq!(conversation(&closed).reasons, [("end_of_flow", 1)].into());
    let reset = [(true, 0, S), (false, 1, R), (true, 900, A)];
    assert_eq!(conversation(&reset).reasons, [("end_of_flow", 1)].into());
    // What comes a second after the end is another flow; a SYN is at once.
    let late = [(true, 0, S), (false, 1, R), (true, 1001, A)];
    assert_eq!(conversation(&late).reasons, [("end_of_flow", 1), ("forced_end", 1)].into());
    let again = [(true, 0, S), (false, 1, R), (true, 2, S), (false, 3, SA)];
    assert_eq!(conversation(&again).reasons, [("end_of_flow", 1), ("forced_end", 1)].into());
    let half = [(true, 0, S), (false, 1, SA), (true, 2, FA), (false, 5000, A)];
    assert_eq!(conversation(&half).reasons, [("forced_end", 1)].into());
}

#[test]
fn the_syn_says_who_the_source_is_even_when_it_comes_later() {
    let answer_first = [(false, 0, SA), (true, 1, S), (true, 2, A)];
    assert_eq!(conversation(&answer_first).records, 1);
}

#[test]
fn silence_ends_a_flow_and_a_long_one_is_written_in_parts() {
    let idle = [(true, 0, A), (true, 29_999, A), (true, 59_999, A)];
    assert_eq!(conversation(&idle).reasons, [("forced_end", 1), ("idle_timeout", 1)].into());
    let long: Vec<(bool, u64, u8)> = (0..=25).map(|n| (n % 2 == 0, n * 10_000, A)).collect();
    assert_eq!(conversation(&long).reasons, [("active_timeout", 2), ("forced_end", 1)].into());
}

#[test]
fn packets_out_of_order_in_time_are_in_one_flow() {
    let report = conversation(&[(true, 5000, A), (true, 1000, A), (false, 6000, A), (true, 0, A)]);
    assert_eq!((report.packets, report.records), (4, 1));
}

#[test]
fn a_packet_without_a_length_counts_what_was_captured() {
    let segment = craft::tcp(client(), server(), flag::ACK, 1, &[b'x'; 4000]);
    let offloaded = Ip4 { total_length: Some(0), ..Ip4::default() }.packet(&segment);
    let jumbo = Ip6 { payload_length: Some(0), ..Ip6::default() }.packet(&craft::tcp(
        client6(),
        server6(),
        flag::ACK,
        1,
        &[b'x'; 4000],
    ));
    let frames = [offloaded, jumbo].map(|packet| Ethernet::default().frame(&packet));
    assert_eq!(judge(&ethernet(&records(frames))).records, 2);
}

#[test]
fn one_key_in_two_vlans_is_two_flows() {
    let packet = craft::packet(&craft::udp(client(), server(), b"same"));
    let tags =
        [vec![], vec![Tag::customer(1)], vec![Tag::customer(2)], vec![Tag::service(1), Tag::customer(2)]];
    let frames = tags.map(|tags| Ethernet { tags, ..Ethernet::default() }.frame(&packet));
    assert_eq!(judge(&ethernet(&records(frames))).records, 4);
}

#[test]
fn the_ends_of_a_packet_to_itself_are_told_apart_by_port() {
    let (a, b) = (end("192.0.2.1:5"), end("192.0.2.1:6"));
    let frames = [craft::udp(a, b, b"1"), craft::udp(b, a, b"22"), craft::udp(a, a, b"333")];
    assert_eq!(judge(&ethernet(&records(frames.iter().map(frame)))).records, 2);
}

#[test]
fn a_file_without_packets_and_one_that_ends_early_are_read_as_far_as_they_go() {
    assert_eq!(judge(&ethernet(&[])).packets, 0);
    let mut file = ethernet(&records(sound()));
    file.truncate(file.len() - 5);
    assert_eq!(judge(&file).packets, 11);
}

#[test]
fn an_icmp_error_is_a_flow_of_its_own_and_not_of_what_it_quotes() {
    let quoted = craft::packet(&craft::udp(client(), server(), b"lost"));
    let rest = [&[0; 4], &*quoted].concat();
    let error = craft::icmp(address("203.0.113.1"), client().ip(), 3, 1, &rest);
    assert_eq!(judge(&ethernet(&records([frame(&error)]))).records, 1);
}

#[test]
fn every_sound_packet_with_any_octet_wrong_is_in_the_flow_it_says_or_has_a_reason() {
    let wrong = |frame: Vec<u8>| {
        (0..frame.len()).flat_map(move |at| {
            [0x00, 0xff, frame[at] ^ 0x01, frame[at] ^ 0x80].map(|octet| {
                let mut frame = frame.clone();
                frame[at] = octet;
                frame
            })
        })
    };
    let report = judge(&ethernet(&records(sound().into_iter().flat_map(wrong))));
    assert!(report.excepted.len() > 5, "{:?}", report.excepted);
}

#[test]
fn flows_that_cannot_be_written_are_counted_and_the_run_has_failed() {
    let folder = tempfile::tempdir().unwrap();
    let [capture, ledger] = ["sound.pcap", "ledger.json"].map(|name| folder.path().join(name));
    std::fs::write(&capture, ethernet(&records(sound()))).unwrap();
    let finished = perf::process::Program::ours("gannet-probe")
        .unwrap()
        .args(["-i".as_ref(), capture.as_path(), "--ledger".as_ref(), &ledger])
        .args(["--flows", "/dev/full"])
        .run(std::time::Duration::from_secs(60))
        .unwrap();
    assert_eq!(finished.code(), 1, "{}", finished.stderr);
    let books: serde_json::Value = serde_json::from_slice(&std::fs::read(ledger).unwrap()).unwrap();
    let total = &books["total"];
    assert_eq!(total["lost"]["write_failed"]["packets"], sound().len(), "{total}");
    assert_eq!((&total["in_records"], &total["residual"]), (&total["seen"], &0.into()));
}
