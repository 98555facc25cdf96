//! A stop with everything open: what the flow cache holds is written within the time that a stop has.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod live;

use live::Room;

/// As many flows as `-M` allows by default.
const FLOWS: u64 = 262_144;

#[test]
fn a_full_default_cache_is_written_at_the_stop() {
    let room = Room::new(1, 1500);
    let probe = room.probe("--capture xdp -d 600 -t 600");
    let rate = FLOWS / 8;
    room.send(&format!("--flows {FLOWS} --packets-per-flow 1 --rate {rate}"));
    let books = room.stop(probe);
    books.assert_balanced("a full cache");
    assert_eq!(books.total("/seen/packets"), FLOWS);
    assert_eq!(books.total("/lost/packets"), 0, "{:#}", books.ledger["total"]["lost"]);
    assert_eq!(books.total("/in_records/packets"), FLOWS);
    let discarded = books.ledger["cursors"].to_string();
    assert!(discarded.contains("records_out") && !discarded.contains("drain_timeout"), "{discarded}");
    assert_eq!(books.flows.len() as u64, FLOWS);
}
