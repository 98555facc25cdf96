//! A capture with a bit of everything that a worker has to tell apart, the same for every test.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use perf::craft::{self, Ethernet, Ip4, LinkType, Pcap, Record, Segment, Tag, flag};

/// Conversations of whole packets, per transport and version.
const CONVERSATIONS: u16 = 40;
/// Packets of each, half of them backwards.
const PACKETS: u16 = 10;

/// Writes the capture; gives how many frames it has.
pub(crate) fn write(path: &Path) -> u64 {
    let mut frames = Vec::new();
    conversations(&mut frames);
    fragments(&mut frames);
    exceptions(&mut frames);
    let records: Vec<Record> = (0..).zip(frames).map(|(n, frame)| Record::whole(n * 1000, frame)).collect();
    std::fs::write(path, Pcap::new(LinkType::Ethernet).file(&records)).unwrap();
    records.len() as u64
}

fn end(version: u8, host: u16, port: u16) -> SocketAddr {
    let text = match version {
        4 => format!("10.{}.{}.1", host >> 8, host & 255),
        _ => format!("fd00::{host:x}"),
    };
    SocketAddr::new(text.parse::<IpAddr>().unwrap(), port)
}

/// UDP and TCP over both versions; untagged, tagged and doubly tagged in turn. TCP has neither SYN nor FIN: when a flow
/// ends must not depend on when its packets come.
fn conversations(frames: &mut Vec<Vec<u8>>) {
    let tags = [vec![], vec![Tag::customer(7)], vec![Tag::service(8), Tag::customer(9)]];
    for number in 0..PACKETS {
        for host in 0..CONVERSATIONS {
            for version in [4, 6] {
                let ethernet =
                    Ethernet { tags: tags[usize::from(host) % tags.len()].clone(), ..Ethernet::default() };
                let (near, far) = (end(version, host, 1000 + host), end(version, 900, 443));
                let (source, destination) = if number % 2 == 0 { (near, far) } else { (far, near) };
                let payload = vec![0; usize::from(host) * 10];
                let udp = craft::udp(source, destination, &payload);
                let tcp = craft::tcp(source, destination, flag::ACK, u32::from(number), &payload);
                frames.extend([udp, tcp].map(|segment| ethernet.frame(&craft::packet(&segment))));
            }
        }
    }
}

/// Flows that have whole packets and fragmented ones: the parts of a packet arrive where its addresses spread to, and
/// belong to where the whole packets are.
fn fragments(frames: &mut Vec<Vec<u8>>) {
    let ethernet = Ethernet::default();
    for host in 0..100_u16 {
        for version in [4, 6] {
            let segment = craft::udp(end(version, host, 5000 + host), end(version, 901, 53), &[1; 2500]);
            let whole = craft::udp(end(version, host, 5000 + host), end(version, 901, 53), &[1; 20]);
            let parts = match version {
                4 => craft::ip4_fragments(&segment, host, 1000),
                _ => craft::ip6_fragments(&segment, u32::from(host), 1000),
            };
            frames.push(ethernet.frame(&craft::packet(&whole)));
            frames.extend(parts.iter().map(|part| ethernet.frame(part)));
        }
    }
}

/// What is in no flow: not IP, and broken.
fn exceptions(frames: &mut Vec<Vec<u8>>) {
    let ethernet = Ethernet::default();
    let echo: Segment = craft::icmp(end(4, 1, 0).ip(), end(4, 2, 0).ip(), 8, 0, &[0; 20]);
    frames.push(ethernet.frame(&craft::packet(&echo)));
    for host in 0..20_u8 {
        let other = Ethernet { source: [2, 0, 0, 0, 1, host], ..Ethernet::default() };
        frames.push(other.frame_of(0x0806, &[0; 28]));
        frames.push(other.frame_of(0x88cc, &[0; 40]));
        let tcp = craft::tcp(end(4, u16::from(host), 1), end(4, 902, 2), flag::ACK, 1, &[]);
        let mut cut = other.frame(&Ip4::default().packet(&tcp));
        cut.truncate(14 + 20 + 8);
        frames.push(cut);
    }
}
