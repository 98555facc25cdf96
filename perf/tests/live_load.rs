//! Load by live frames, and the truth about every flow of it: what the generator knows that arrived is what the probe
//! must have metered, or counted as lost.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod live;

use live::{Books, Room};
use perf::flows::{self, Flows};
use serde_json::Value;

/// Runs a probe while the generator sends; its books, the generator's report and truth.
fn load(probe: &str, generator: &str) -> (Books, Value, Flows) {
    let room = Room::new(1, 1500);
    let running = room.probe(probe);
    let truth = room.path("truth");
    let report = room.send(&format!("{generator} --truth {}", truth.display()));
    let books = room.stop(running);
    books.assert_balanced(generator);
    (books, report, flows::read(&std::fs::read_to_string(truth).unwrap()).unwrap())
}

fn number(report: &Value, pointer: &str) -> u64 {
    report.pointer(pointer).and_then(Value::as_u64).unwrap_or_else(|| panic!("no {pointer} in {report}"))
}

#[test]
fn every_flow_of_a_load_is_metered_to_the_packet_and_the_octet() {
    for generator in [
        "--flows 500 --packets-per-flow 100 --rate 50000",
        "--flows 200 --packets-per-flow 100 --rate 50000 --ipv6 --transport tcp --frame-size 300",
        "--flows 100 --packets-per-flow 100 --rate 50000 --vlan 7 --frame-size 1500",
    ] {
        let (books, report, truth) = load("--capture xdp", generator);
        assert_eq!(books.total("/lost/packets"), 0, "{generator}: {:#}", books.ledger["total"]);
        assert_eq!(books.total("/seen/packets"), number(&report, "/arrived/packets"), "{generator}");
        assert_eq!(books.total("/seen/octets"), number(&report, "/arrived/octets"), "{generator}");
        assert_eq!(flows::differences(&truth, &books.flows), Vec::<String>::new(), "{generator}");
    }
}

#[test]
fn what_a_load_flat_out_costs_is_counted_and_no_flow_has_more_than_was_sent() {
    // A ring far too small for the load: some of it must be lost.
    let (books, report, truth) =
        load("--capture xdp --ring-size 64", "--flows 2000 --packets-per-flow 500 --burst 256 --seconds 2");
    let arrived = number(&report, "/arrived/packets");
    assert_eq!(books.total("/seen/packets"), arrived, "{report}");
    let (metered, lost) = (books.total("/metered/packets"), books.total("/lost/packets"));
    assert_eq!(metered + lost, arrived, "{:#}", books.ledger["total"]);
    assert!(lost > 0, "nothing was lost: the load is no load");
    let mut short = 0;
    for (key, found) in &books.flows {
        let sent = truth.get(key).unwrap_or_else(|| panic!("{key:?} was never sent"));
        for (found, sent) in [(found.upward, sent.upward), (found.downward, sent.downward)] {
            assert!(found.packets <= sent.packets, "{key:?}: {found:?} of {sent:?}");
            short += sent.packets - found.packets;
        }
    }
    let unseen = truth.iter().filter(|(key, _)| !books.flows.contains_key(key));
    short += unseen.map(|(_, both)| both.upward.packets + both.downward.packets).sum::<u64>();
    assert_eq!(short, lost, "the flows lack as much as the ledger says was lost");
}

#[test]
fn copies_of_a_frame_are_a_flow_for_each_source_port() {
    let room = Room::new(1, 1500);
    let running = room.probe("--capture xdp");
    room.send("--flows 1 --packets-per-flow 1000 --one-way --source-ports 100 --rate 50000");
    let books = room.stop(running);
    books.assert_balanced("source ports");
    assert_eq!(books.flows.len(), 100);
    for (key, found) in &books.flows {
        assert_eq!(found.upward.packets + found.downward.packets, 10, "{key:?}");
    }
}

#[test]
fn live_frames_reach_the_queue_of_the_cpu_that_sends_them() {
    let room = Room::new(2, 1500);
    let running = room.probe("--capture xdp --workers 1");
    for (cpu, count) in [(0, 3000), (1, 5000)] {
        room.send(&format!("--cpu {cpu} --count {count} --rate 20000 --seed {cpu}"));
    }
    let books = room.stop(running);
    books.assert_balanced("two queues");
    let seen = |queue: &Value| (queue["queue"].as_u64().unwrap(), number(queue, "/seen/packets"));
    let mut queues: Vec<(u64, u64)> = books.ledger["queues"].as_array().unwrap().iter().map(seen).collect();
    queues.sort_unstable();
    assert_eq!(queues, [(0, 3000), (1, 5000)]);
}
