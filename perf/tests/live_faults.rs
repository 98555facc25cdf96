//! A packet, record or batch that vanishes or comes twice at one hop of the probe, and is in nobody's count: the ledger
//! must not balance, and name that hop.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod live;

use std::path::{Path, PathBuf};

use live::{BOUND, Books, Room};
use perf::process::{Program, path};

/// The hops that are the probe's own; those behind the bus are the collector's.
const HOPS: [&str; 5] = ["kernel", "receive", "meter", "export", "batch"];

/// The variant that `make build` lays beside the ordinary programs.
fn binary() -> PathBuf {
    let ordinary = path("gannet-probe").unwrap();
    let folder = ordinary.parent().unwrap().parent().unwrap().join("fault-injection");
    let variant = folder.join("gannet-probe");
    assert!(variant.exists(), "{} is missing: `make build` builds it", variant.display());
    variant
}

fn assert_named(books: &Books, case: &str, hop: &str) {
    assert_eq!(books.finished.code(), 3, "{case}: {}", books.finished.stderr);
    assert!(books.total("/residual") > 0, "{case}");
    let identities = books.ledger["identities"].as_array().unwrap();
    let broken: Vec<_> = identities.iter().filter(|identity| identity["holds"] == false).collect();
    assert!(!broken.is_empty(), "{case}: every identity holds");
    assert!(broken.iter().all(|identity| identity["hop"] == hop), "{case}: {broken:#?}");
    let said = format!("do not balance at the hop {hop}");
    assert!(books.finished.stderr.contains(&said), "{case}: {}", books.finished.stderr);
}

fn every_fault(mode: &str, hops: &[&str]) {
    let room = Room::new(1, 1500);
    for hop in hops {
        for fault in ["lose", "double"] {
            let mut probe = Program::foreign("gannet-probe", room.right.command(binary()))
                .args(["-i", "in", "--capture", mode])
                .args([Path::new("--flows"), &room.path("flows")])
                .args([Path::new("--ledger"), &room.path("ledger")])
                .env("GANNET_FAULT", format!("{hop}:{fault}"))
                .start()
                .unwrap();
            probe.wait_for_line("ready:", BOUND).unwrap();
            room.send("--by packet-socket --flows 20");
            let books = room.stop(probe);
            assert_named(&books, &format!("{mode}, {hop}:{fault}"), hop);
        }
    }
}

#[test]
fn every_fault_in_an_af_xdp_capture_is_named_by_its_hop() {
    every_fault("xdp", &HOPS);
}

/// A packet socket has no program whose outcomes could fail to add up.
#[test]
fn every_fault_behind_a_packet_socket_is_named_by_its_hop() {
    every_fault("packet", &HOPS[1..]);
}
