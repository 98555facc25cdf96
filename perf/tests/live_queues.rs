//! Queues that each belong to one worker: they share nothing while both directions of a flow come by one queue, and where they
//! do not, that is seen, said, and every flow is one record all the same.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod live;
#[path = "live/traffic.rs"]
mod traffic;

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::path::Path;

use live::{Books, Room};
use perf::craft::{self, Ethernet, LinkType, Pcap, Record};
use perf::flows;
use serde_json::Value;

/// Packets of a flow in each direction, a round.
const PACKETS: u64 = 10;
/// What is said once flows are seen to be split.
const WARNING: &str = "packets of one flow come by queues of several workers";

/// Both queues of the wire's right end, one for each CPU that sends.
fn by_cpu(room: &Room) {
    for (queue, mask) in [(0, "1"), (1, "2")] {
        let script = format!("echo {mask} > /sys/class/net/out/queues/tx-{queue}/xps_cpus");
        room.left.run("sh", &["-c", &script]).unwrap();
    }
}

/// One direction of so many flows.
fn write(path: &Path, hosts: Range<u16>, backwards: bool) {
    let mut records = Vec::new();
    for number in 0..PACKETS {
        for host in hosts.clone() {
            let near = SocketAddr::new(IpAddr::from([10, 1, (host >> 8) as u8, host as u8]), 1000);
            let far = SocketAddr::new(IpAddr::from([10, 2, 0, 1]), 443);
            let (source, destination) = if backwards { (far, near) } else { (near, far) };
            let packet = craft::packet(&craft::udp(source, destination, &[0; 20]));
            records.push(Record::whole(number * 1000, Ethernet::default().frame(&packet)));
        }
    }
    std::fs::write(path, Pcap::new(LinkType::Ethernet).file(&records)).unwrap();
}

/// Sends a round of these flows, each direction by the queue of its own.
fn send_apart(room: &Room, hosts: Range<u16>) -> u64 {
    let mut arrived = 0;
    for cpu in [0, 1] {
        let capture = room.path("apart.pcap");
        write(&capture, hosts.clone(), cpu == 1);
        let arguments =
            format!("--by packet-socket --rate 20000 --cpu {cpu} --capture {}", capture.display());
        arrived += room.send(&arguments)["arrived"]["packets"].as_u64().unwrap();
    }
    assert_eq!(arrived, 2 * PACKETS * hosts.len() as u64);
    arrived
}

/// Records of flows from hosts of these numbers, as (packets, packets back).
fn records(room: &Room, hosts: Range<u16>) -> Vec<(u64, u64)> {
    let text = std::fs::read_to_string(room.path("flows")).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let of = |line: Value| {
        let end = |key: &str| line[key].as_str().unwrap().parse::<IpAddr>().unwrap();
        let host =
            [end("source_ip_address"), end("destination_ip_address")].into_iter().find_map(|address| {
                match address {
                    IpAddr::V4(address) if address.octets()[1] == 1 => {
                        Some(u16::from_be_bytes([address.octets()[2], address.octets()[3]]))
                    }
                    _ => None,
                }
            });
        let count = |key: &str| line[key].as_u64().unwrap();
        hosts
            .contains(&host.unwrap())
            .then(|| (count("packet_delta_count"), count("reverse_packet_delta_count")))
    };
    lines.filter_map(of).collect()
}

fn workers<'a>(books: &'a Books, term: &'a str) -> Vec<u64> {
    let of = |worker: &Value| worker[term]["packets"].as_u64().unwrap();
    books.ledger["workers"].as_array().unwrap().iter().map(of).collect()
}

/// Without further ado veth chooses the queue by the kernel's flow hash, which is symmetric; and of fragments, as NICs do, by the
/// addresses alone.
#[test]
fn split_queues_find_what_is_there_and_hand_nothing_over() {
    let room = Room::new(2, 9000);
    let capture = room.path("capture.pcap");
    let frames = traffic::write(&capture);
    let offline = room.offline(&capture);
    let probe = room.probe("--capture xdp --workers 2 --queue-mode split");
    for _ in 0..3 {
        room.send(&format!("--by packet-socket --capture {}", capture.display()));
    }
    let books = room.stop(probe);
    books.assert_balanced("split");
    assert_eq!(books.total("/metered/packets"), 3 * offline.total("/metered/packets"));
    assert_eq!(books.total("/seen/packets"), 3 * frames);
    assert_eq!(books.flows.len(), offline.flows.len());
    assert!(workers(&books, "received").iter().all(|packets| *packets > 0), "{:#}", books.ledger["workers"]);
    assert_eq!((books.total("/handed_over/packets"), books.total("/split_flows")), (0, 0));
    assert!(!books.finished.stderr.contains(WARNING), "{}", books.finished.stderr);
}

#[test]
fn flows_whose_directions_come_by_queues_of_two_workers_are_one_record_once_it_is_seen() {
    let room = Room::new(2, 1500);
    by_cpu(&room);
    let mut probe = room.probe("--capture xdp --workers 2 --queue-mode split");
    let mut sent = 0;
    let is_said = |probe: &perf::process::Running| probe.stderr().contains(WARNING);
    for round in 0.. {
        assert!(round < 50, "nobody sees that flows are split: {}", probe.stderr());
        sent += send_apart(&room, 0..200);
        if is_said(&probe) {
            break;
        }
    }
    probe.wait_for_line("ethtool -X in hkey 6d:5a", live::BOUND).unwrap();
    // Each worker follows within a few bursts of its own.
    sent += send_apart(&room, 0..200);
    sent += send_apart(&room, 1000..1200);
    let books = room.stop(probe);
    books.assert_balanced("asymmetric");
    assert_eq!(books.total("/lost/packets"), 0, "{:#}", books.ledger["total"]);
    assert_eq!(books.total("/metered/packets"), sent);
    assert_eq!(books.finished.stderr.matches(WARNING).count(), 1, "it is said once");
    assert!(books.total("/split_flows") >= 3);

    let after = records(&room, 1000..1200);
    assert_eq!(after, vec![(PACKETS, PACKETS); 200], "one record each, with both directions");
    let before = records(&room, 0..200);
    assert!(before.len() > 200 && before.len() <= 400, "{} records of 200 flows", before.len());
    let packets: u64 = before.iter().map(|(packets, back)| packets + back).sum();
    assert_eq!(packets, sent - 2 * PACKETS * 200, "no packet is lost or doubled over the switch");
    assert_eq!(flows::total(&books.flows).packets, sent);
}

#[test]
fn queues_are_split_where_asked_and_possible_and_the_start_says_which_and_why() {
    for (queues, arguments, said) in [
        (2, "--workers 2", "serves every queue, flows are spread: in does not say how its RSS spreads"),
        (2, "--workers 2 --queue-mode spread", "serves every queue, flows are spread: as asked"),
        (2, "--workers 2 --queue-mode split", "queues are split among 2 workers: as asked"),
        (1, "--workers 2 --queue-mode split", "serves every queue, flows are spread: in has one queue"),
    ] {
        let room = Room::new(queues, 1500);
        let probe = room.probe(&format!("--capture xdp {arguments}"));
        room.send("--by packet-socket --flows 100");
        let books = room.stop(probe);
        books.assert_balanced(arguments);
        assert_eq!(books.total("/metered/packets"), 1000, "{arguments}");
        assert!(books.finished.stderr.contains(said), "{arguments}: {}", books.finished.stderr);
    }
}
