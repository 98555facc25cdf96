//! The harness itself: what the tests that cross processes stand on.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::path::Path;
use std::process::Command;

use perf::netns::{End, Hub, Netns, Wire};

fn named(name: &str) -> bool {
    Path::new("/run/netns").join(name).exists()
}

fn ping(from: &Netns, to: &str) {
    from.run("ping", &["-q", "-c", "3", "-i", "0.01", "-W", "5", to]).unwrap();
}

#[test]
fn a_wire_carries_packets_and_its_ends_count_them() {
    let [left, right] = ["wire", "wire"].map(|label| Netns::new(label).unwrap());
    let wire = Wire { queues: 4, ..Wire::default() };
    wire.lay(End::new(&left, "out"), End::new(&right, "in")).unwrap();
    left.address("out", "10.9.0.1/24").unwrap();
    right.address("in", "10.9.0.2/24").unwrap();
    ping(&left, "10.9.0.2");
    let (sent, received) = (left.counters("out").unwrap(), right.counters("in").unwrap());
    // Three echo requests and an ARP exchange, in either direction.
    assert!(received.rx_packets >= 4, "{received:?}");
    assert_eq!(sent.tx_packets, received.rx_packets);
    assert_eq!(sent.tx_bytes, received.rx_bytes);
    let queues = received.driver.keys().filter(|name| name.ends_with("_xdp_packets")).count();
    assert_eq!(queues, 4, "{:?}", received.driver);
}

#[test]
fn a_mirror_port_of_a_hub_sees_both_directions() {
    let hub = Hub::new("hub").unwrap();
    let [client, server, mirror] = ["client", "server", "mirror"].map(|label| Netns::new(label).unwrap());
    for (guest, port) in [(&client, "client"), (&server, "server"), (&mirror, "mirror")] {
        hub.plug(guest, "eth0", port, Wire::default()).unwrap();
    }
    client.address("eth0", "10.9.1.1/24").unwrap();
    server.address("eth0", "10.9.1.2/24").unwrap();
    ping(&client, "10.9.1.2");
    let seen = mirror.counters("eth0").unwrap();
    let both = client.counters("eth0").unwrap().tx_packets + server.counters("eth0").unwrap().tx_packets;
    assert_eq!(seen.rx_packets, both);
    assert_eq!(seen.tx_packets, 0);
}

#[test]
fn a_namespace_goes_when_it_is_dropped_even_by_a_panic() {
    let namespace = Netns::new("panic").unwrap();
    let name = namespace.name().to_owned();
    assert!(named(&name));
    let panicked = std::panic::catch_unwind(move || {
        let _held = &namespace;
        panic!("on purpose");
    });
    assert!(panicked.is_err());
    assert!(!named(&name));
}

#[test]
fn a_namespace_of_a_dead_process_goes_at_the_next_start() {
    // The pid of a child that has ended and was waited for: nobody has it.
    let mut child = Command::new("true").spawn().unwrap();
    let pid = child.id();
    child.wait().unwrap();
    let name = format!("gn-stale-{pid}-0");
    assert!(Command::new("ip").args(["netns", "add", &name]).status().unwrap().success());
    let _next = Netns::new("next").unwrap();
    assert!(!named(&name));
}
