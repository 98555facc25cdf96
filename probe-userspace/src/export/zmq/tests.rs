//! Real sockets on loopback: what a subscriber reads, and what the sequences say of what it did not.

use std::collections::BTreeSet;
use std::sync::Arc;

use flow_wire::batch::{Sealed, encode, open};
use flow_wire::bus::Kind;
use flow_wire::header::Header;
use flow_wire::ledger::{Amount, Discard};
use flow_wire::stamp::{Epoch, ProbeId, Sequence, Stamp, StreamId};
use uuid::Uuid;

use super::*;
use crate::export::outbox::Outbox;
use crate::export::tests::record;

mod acknowledge;
mod encryption;
mod hostile;
mod known;
mod store;

const PATIENCE_MS: i32 = 10_000;

fn stamp(sequence: u64) -> Stamp {
    Stamp {
        probe: ProbeId(Uuid::from_u128(1)),
        epoch: Epoch(Uuid::from_u128(2)),
        stream: StreamId(0),
        sequence: Sequence(sequence),
    }
}

pub(super) fn sealed(sequence: u64) -> Arc<Sealed> {
    Arc::new(encode(&[record()], stamp(sequence)).unwrap())
}

fn options(acknowledge: Acknowledge) -> Options {
    let (prefix, probe) = ("gannet".to_owned(), ProbeId(Uuid::from_u128(1)));
    Options { prefix, probe, acknowledge, encryption: None, is_patient: false, ntop: ntop::testing() }
}

/// A sink on a port of the kernel's choice, and the address to reach it.
fn publisher_with(queue_messages: i32, options: &Options) -> (Box<Zmq>, String) {
    let socket = socket::socket(&::zmq::Context::new(), queue_messages, false).unwrap();
    socket.bind("tcp://127.0.0.1:*").unwrap();
    let address = socket.get_last_endpoint().unwrap().unwrap();
    (Box::new(Zmq::over(socket, None, None, "zmq://test".to_owned(), options)), address)
}

fn publisher(queue_messages: i32) -> (Box<Zmq>, String) {
    publisher_with(queue_messages, &options(Acknowledge::Off))
}

fn subscriber(context: &::zmq::Context, address: &str, queue_messages: i32) -> ::zmq::Socket {
    let socket = context.socket(::zmq::SUB).unwrap();
    socket.set_rcvhwm(queue_messages).unwrap();
    socket.set_rcvtimeo(PATIENCE_MS).unwrap();
    socket.set_subscribe(b"gannet.").unwrap();
    socket.connect(address).unwrap();
    socket
}

/// Until the subscription has arrived nothing would be sent.
fn wait_for_subscriber(sink: &mut Zmq, cursor: &Cursor) {
    while !sink.plain.subscribers.want(b"gannet.flow") {
        assert_eq!(sink.socket.poll(::zmq::POLLIN, i64::from(PATIENCE_MS)), Ok(1), "no subscription came");
        sink.listen(cursor);
    }
}

/// The sequences that a subscriber reads, up to that of the last batch; each message is checked.
fn read_until(socket: &::zmq::Socket, last: u64) -> BTreeSet<u64> {
    let mut sequences = BTreeSet::new();
    while !sequences.contains(&last) {
        let frames = socket.recv_multipart(0).unwrap();
        assert_eq!((frames.len(), frames[0].as_slice()), (3, Kind::Flows.topic("gannet").as_bytes()));
        let header = Header::from_frame(&frames[1], &frames[2]).unwrap();
        assert_eq!(open(&header, &frames[2]).unwrap().batch.num_rows(), 1);
        assert!(sequences.insert(header.stamp.sequence.0), "a batch came twice");
    }
    sequences
}

#[test]
fn a_subscriber_reads_every_batch_as_it_was_sealed() {
    let context = ::zmq::Context::new();
    let (mut sink, address) = publisher(1_000);
    let reader = subscriber(&context, &address, 1_000);
    let outbox = Outbox::new(&[(sink.name(), sink.guarantee())], usize::MAX);
    wait_for_subscriber(&mut sink, &outbox.cursor(0));
    (0..300).for_each(|sequence| outbox.append(&sealed(sequence)));
    outbox.end();
    sink.run(outbox.cursor(0));
    assert_eq!(read_until(&reader, 299).len(), 300);
    assert_eq!(outbox.terms()[0].acknowledged, 300);
}

#[test]
fn what_a_slow_subscriber_misses_is_a_gap_and_what_it_gets_is_whole() {
    let context = ::zmq::Context::new();
    let (mut sink, address) = publisher(8);
    let reader = subscriber(&context, &address, 8);
    let outbox = Outbox::new(&[(sink.name(), sink.guarantee())], usize::MAX);
    wait_for_subscriber(&mut sink, &outbox.cursor(0));
    // Far more than both queues and the kernel's socket buffers hold: it reads nothing meanwhile.
    let mut count = 0;
    for _ in 0..20_000 {
        sink.plain.publish(&sink.socket, &sealed(count), 1).unwrap();
        count += 1;
    }
    // One more at a time, until one comes through: the queue empties as the reader reads.
    let mut read = BTreeSet::new();
    reader.set_rcvtimeo(50).unwrap();
    let last = loop {
        while let Ok(frames) = reader.recv_multipart(0) {
            let header = Header::from_frame(&frames[1], &frames[2]).unwrap();
            assert!(read.insert(header.stamp.sequence.0), "a batch came twice");
        }
        match read.last() {
            Some(&last) if last + 1 == count && count > 20_000 => break last,
            _ => {
                sink.plain.publish(&sink.socket, &sealed(count), 1).unwrap();
                count += 1;
            }
        }
    };
    let gaps: u64 = read.iter().zip(read.iter().skip(1)).map(|(one, next)| next - one - 1).sum();
    let missing = gaps + read.first().unwrap();
    assert!(missing > 0, "nothing was dropped: the test shows nothing");
    assert_eq!(read.len() as u64 + missing, last + 1);
}

#[test]
fn what_nobody_heard_is_a_gap_for_who_comes_later() {
    let context = ::zmq::Context::new();
    let (mut sink, address) = publisher(1_000);
    let outbox = Outbox::new(&[(sink.name(), sink.guarantee())], usize::MAX);
    let cursor = outbox.cursor(0);
    let settle = |sink: &mut Zmq, sequences: std::ops::Range<u64>| {
        sequences.for_each(|sequence| outbox.append(&sealed(sequence)));
        let Next::Batches(batches) = cursor.next(TAKE_BATCHES, usize::MAX, LOOK) else { panic!() };
        batches.iter().for_each(|sealed| sink.plain.settle(&sink.socket, sealed, &cursor, false));
    };
    settle(&mut sink, 0..7);
    let reader = subscriber(&context, &address, 1_000);
    wait_for_subscriber(&mut sink, &cursor);
    settle(&mut sink, 7..10);
    assert_eq!(read_until(&reader, 9), BTreeSet::from([7, 8, 9]));
    let terms = outbox.terms().remove(0);
    assert_eq!((terms.acknowledged, terms.in_spool, terms.records_out), (3, 0, 10));
    assert_eq!((terms.discarded[&Discard::NoSubscriber], terms.discarded_batches), (7, 7));
    let lost = (0..7).fold(Amount::ZERO, |sum, sequence| sum + sealed(sequence).exported);
    assert_eq!(terms.discarded_amounts[&Discard::NoSubscriber], lost);
}

#[test]
fn a_capture_file_waits_for_its_reader() {
    let context = ::zmq::Context::new();
    let (mut sink, address) = publisher(1_000);
    sink.patience = Some((Duration::from_secs(60), Duration::from_secs(60)));
    let outbox = Outbox::new(&[(sink.name(), sink.guarantee())], usize::MAX);
    (0..5).for_each(|sequence| outbox.append(&sealed(sequence)));
    outbox.end();
    let cursor = outbox.cursor(0);
    let thread = std::thread::spawn(move || sink.run(cursor));
    let reader = subscriber(&context, &address, 1_000);
    assert_eq!(read_until(&reader, 4).len(), 5);
    thread.join().unwrap();
}

#[test]
fn a_port_that_is_taken_is_named_with_the_mend() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("zmq://{}", taken.local_addr().unwrap());
    let endpoint::Endpoint::Zmq(endpoint) = url.parse().unwrap() else { panic!() };
    let error = Zmq::open(&endpoint, &options(Acknowledge::Auto)).err().unwrap().to_string();
    assert!(error.contains(&url) && error.contains("another process has this port"), "{error}");
}

#[test]
fn addresses_of_other_hosts_and_of_nobody_are_refused() {
    let open = |url: &str| {
        let endpoint::Endpoint::Zmq(endpoint) = url.parse().unwrap() else { panic!() };
        Zmq::open(&endpoint, &options(Acknowledge::Auto)).err().unwrap().to_string()
    };
    assert!(open("zmq://192.0.2.1:5556").contains("this host has no such address"));
    assert!(open("zmq://*:5556c").contains("name its host"));
}

/// libzmq 4.3.4 aborts a reader that finds a PING behind its high-water mark once the connection has failed.
#[test]
fn subscribers_are_never_sent_a_zmtp_heartbeat() {
    let socket = socket::socket(&::zmq::Context::new(), 8, false).unwrap();
    assert_eq!(socket.get_heartbeat_ivl(), Ok(0));
    assert_eq!(socket.get_tcp_keepalive(), Ok(1));
}
