//! A store gets every batch until it has acknowledged it, whatever happens in between.

use super::store::{Store, named};
use super::*;
use flow_wire::ledger::CursorTerms;
use flow_wire::upstream::No;

/// A sink that runs, its outbox, and where it listens.
struct Running {
    outbox: Arc<Outbox>,
    address: String,
    thread: std::thread::JoinHandle<()>,
}

impl Running {
    fn start(acknowledge: Acknowledge) -> Self {
        let (mut sink, address) = publisher_with(SEND_QUEUE_MESSAGES, &options(acknowledge));
        let outbox = Outbox::new(&[(sink.name(), sink.guarantee())], usize::MAX);
        outbox.begin_epoch(flow_wire::stamp::Epoch(uuid::Uuid::nil()), &[StreamId(0)]);
        let cursor = outbox.cursor(0);
        sink.prepare(&cursor);
        let thread = std::thread::spawn(move || sink.run(cursor));
        Self { outbox, address, thread }
    }

    fn append(&self, sequences: std::ops::Range<u64>) {
        sequences.for_each(|sequence| self.outbox.append(&sealed(sequence)));
    }

    /// The terms of a store's cursor.
    fn terms(&self, store: u128) -> Option<CursorTerms> {
        let name = format!("zmq://test/{}", Uuid::from_u128(store));
        self.outbox.terms().into_iter().find(|terms| terms.sink == name)
    }

    fn wait_for(&self, what: &str, store: u128, is_so: impl Fn(&CursorTerms) -> bool) {
        let until = Instant::now() + Duration::from_millis(PATIENCE_MS as u64);
        while !self.terms(store).is_some_and(|terms| is_so(&terms)) {
            assert!(Instant::now() < until, "waited in vain until {what}: {:?}", self.terms(store));
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }

    fn end(self) {
        self.outbox.end();
        self.thread.join().unwrap();
    }
}

#[test]
fn a_batch_is_acknowledged_once_the_store_has_committed_it() {
    let running = Running::start(Acknowledge::Auto);
    let mut store = Store::connect(&running.address, named(7));
    store.greet().session.unwrap();
    running.append(0..3);
    let arrived: Vec<_> = (0..3).map(|_| store.receive()).collect();
    assert_eq!(arrived, [(0, 0), (1, 1), (2, 2)]);
    store.acknowledge(3, 0);
    assert_eq!(running.terms(7).map(|terms| (terms.acknowledged, terms.in_spool)), Some((0, 3)));
    store.acknowledge(3, 2);
    running.wait_for("two are acknowledged", 7, |terms| (terms.acknowledged, terms.in_spool) == (2, 1));
    store.acknowledge(3, 3);
    running.wait_for("all are", 7, |terms| terms.in_spool == 0);
    assert_eq!(running.terms(7).unwrap().guarantee, Guarantee::AtLeastOnce);
    // Nobody ever subscribed the public topics: that is no loss beside a store that has all.
    assert_eq!(running.outbox.terms().len(), 1);
    running.end();
}

#[test]
fn credit_bounds_what_is_on_the_way() {
    let running = Running::start(Acknowledge::Auto);
    let mut store = Store::connect(&running.address, flow_wire::upstream::Hello { credit: 2, ..named(7) });
    store.greet().session.unwrap();
    running.append(0..5);
    assert_eq!([store.receive(), store.receive()], [(0, 0), (1, 1)]);
    assert!(!store.gets_another_within(500), "more came than there is credit for");
    store.acknowledge(2, 1);
    assert_eq!(store.receive(), (2, 2));
    running.end();
}

#[test]
fn another_run_of_the_collector_gets_again_what_the_former_did_not_commit() {
    let running = Running::start(Acknowledge::Auto);
    let mut store = Store::connect(&running.address, named(7));
    store.greet().session.unwrap();
    running.append(0..4);
    (0..4).for_each(|number| assert_eq!(store.receive(), (number, number)));
    store.acknowledge(4, 1);
    running.wait_for("one is acknowledged", 7, |terms| terms.acknowledged == 1);
    let former = store.session;
    drop(store);
    let mut store = Store::connect(&running.address, named(7));
    assert_ne!(store.come_back(), former);
    let again: Vec<_> = (0..3).map(|_| store.receive()).collect();
    assert_eq!(again, [(0, 1), (1, 2), (2, 3)]);
    store.acknowledge(3, 3);
    running.wait_for("all are acknowledged", 7, |terms| terms.acknowledged == 4);
    running.end();
}

#[test]
fn a_connection_that_breaks_costs_neither_a_batch_nor_the_session() {
    let running = Running::start(Acknowledge::Auto);
    let mut store = Store::connect(&running.address, named(7));
    let hello = store.hello;
    store.greet().session.unwrap();
    running.append(0..2);
    assert_eq!(store.receive(), (0, 0));
    store.acknowledge(1, 1);
    running.wait_for("one is acknowledged", 7, |terms| terms.acknowledged == 1);
    let session = store.session;
    drop(store);
    running.append(2..4);
    let mut store = Store::connect(&running.address, hello);
    assert_eq!(store.greet().session, Ok(session));
    let rest: Vec<_> = (0..3).map(|_| store.receive()).collect();
    assert_eq!(rest, [(1, 1), (2, 2), (3, 3)]);
    running.end();
}

#[test]
fn required_batches_are_kept_for_the_first_store_before_it_ever_came() {
    let running = Running::start(Acknowledge::Require);
    running.append(0..3);
    let mut store = Store::connect(&running.address, named(7));
    store.greet().session.unwrap();
    let arrived: Vec<_> = (0..3).map(|_| store.receive()).collect();
    assert_eq!(arrived, [(0, 0), (1, 1), (2, 2)]);
    store.acknowledge(3, 3);
    running
        .wait_for("all are acknowledged", 7, |terms| terms.acknowledged == 3 && terms.discarded.is_empty());
    // A second store begins where it came; what was before is counted for it.
    let mut second = Store::connect(&running.address, named(8));
    second.greet().session.unwrap();
    running.append(3..4);
    assert_eq!(second.receive(), (0, 3));
    running.wait_for("the second has its books", 8, |terms| {
        (terms.records_out, terms.discarded[&Discard::NoSubscriber]) == (4, 3)
    });
    running.end();
}

#[test]
fn plain_subscribers_and_stores_are_served_on_one_url() {
    let running = Running::start(Acknowledge::Auto);
    let context = ::zmq::Context::new();
    let reader = subscriber(&context, &running.address, 1_000);
    let mut store = Store::connect(&running.address, named(7));
    store.greet().session.unwrap();
    // What one subscriber reads the other one reads as well, once both are known.
    running.append(0..1);
    let first = reader.recv_multipart(0).map(|frames| frames.len());
    assert_eq!(first, Ok(3));
    assert_eq!(store.receive(), (0, 0));
    running.append(1..100);
    assert_eq!(read_until(&reader, 99).len(), 99);
    (1..100).for_each(|number| assert_eq!(store.receive(), (number, number)));
    store.acknowledge(100, 100);
    running.wait_for("all are acknowledged", 7, |terms| terms.acknowledged == 100);
    let plain = running.outbox.terms().remove(0);
    assert_eq!(
        (plain.sink.as_str(), plain.guarantee, plain.acknowledged),
        ("zmq://test", Guarantee::AtMostOnce, 100)
    );
    running.end();
}

#[test]
fn a_probe_that_is_told_not_to_says_so_and_a_copied_store_too() {
    let running = Running::start(Acknowledge::Off);
    assert_eq!(Store::connect(&running.address, named(7)).greet().session, Err(No::Off));
    running.end();
    let running = Running::start(Acknowledge::Auto);
    let mut store = Store::connect(&running.address, named(7));
    store.greet().session.unwrap();
    assert_eq!(Store::connect(&running.address, named(7)).greet().session, Err(No::Taken));
    store.greet().session.unwrap();
    running.end();
}

#[test]
fn what_was_committed_is_heard_before_the_end() {
    let running = Running::start(Acknowledge::Auto);
    let mut store = Store::connect(&running.address, named(7));
    store.greet().session.unwrap();
    running.append(0..1);
    store.receive();
    running.outbox.end();
    store.acknowledge(1, 1);
    let outbox = Arc::clone(&running.outbox);
    running.thread.join().unwrap();
    assert_eq!(outbox.terms()[0].acknowledged, 1);
}
