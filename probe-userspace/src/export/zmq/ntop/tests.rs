//! A subscriber as ntopng is one, on a real socket: which messages come, in which order, and what the books say.

use std::sync::Arc;

use flow_wire::batch::encode;
use flow_wire::ledger::{Amount, CursorTerms, Message, QueueTerms};
use flow_wire::stamp::{Epoch, ProbeId, Sequence, Stamp, StreamId};
use uuid::Uuid;

use super::*;
use crate::export::outbox::Outbox;
use crate::export::tests::record;

const PATIENCE_MS: i32 = 10_000;

/// An output with its books, and a subscriber.
struct Site {
    ntop: Ntop,
    subscribers: Subscribers,
    socket: ::zmq::Socket,
    reader: ::zmq::Socket,
    outbox: Arc<Outbox>,
    batches: u64,
}

impl Site {
    fn new(options: &Options, topics: &[&str]) -> Self {
        let context = ::zmq::Context::new();
        let socket = context.socket(::zmq::XPUB).unwrap();
        socket.bind("tcp://127.0.0.1:*").unwrap();
        let reader = context.socket(::zmq::SUB).unwrap();
        reader.set_rcvtimeo(PATIENCE_MS).unwrap();
        reader.connect(&socket.get_last_endpoint().unwrap().unwrap()).unwrap();
        let outbox = Outbox::new(&[("zmq://test".to_owned(), Guarantee::AtMostOnce)], usize::MAX);
        let mut ntop = Ntop::new("zmq://test", 0x0102_0304, options);
        ntop.prepare(&outbox.cursor(0));
        let subscribers = Subscribers::of("gannet");
        let mut site = Self { ntop, subscribers, socket, reader, outbox, batches: 0 };
        site.subscribe(topics);
        site
    }

    fn subscribe(&mut self, topics: &[&str]) {
        for topic in topics {
            self.reader.set_subscribe(topic.as_bytes()).unwrap();
            assert_eq!(self.socket.poll(::zmq::POLLIN, i64::from(PATIENCE_MS)), Ok(1));
            self.subscribers.take(&self.socket.recv_bytes(0).unwrap());
        }
    }

    /// Seals so many records and lets the output have its turn.
    fn publish(&mut self, records: usize) {
        let stamp = Stamp {
            probe: ProbeId(Uuid::from_u128(1)),
            epoch: Epoch(Uuid::from_u128(2)),
            stream: StreamId(0),
            sequence: Sequence(self.batches),
        };
        self.batches += 1;
        self.outbox.append(&Arc::new(encode(&vec![record(); records], stamp).unwrap()));
        assert!(!self.ntop.publish(&self.socket, &self.subscribers, 64));
    }

    fn books(&self, message: &Message, sequence: u64) {
        let stamp = Stamp {
            probe: ProbeId(Uuid::from_u128(1)),
            epoch: Epoch(Uuid::from_u128(2)),
            stream: StreamId::CONTROL,
            sequence: Sequence(sequence),
        };
        self.outbox.append(&Arc::new(Sealed::ledger(message, stamp).unwrap()));
    }

    /// Topic, message number, payload.
    fn read(&self) -> (String, u32, Vec<u8>) {
        let frames = self.reader.recv_multipart(0).unwrap();
        assert_eq!((frames.len(), frames[0].len()), (2, 36));
        let name = frames[0][..16].split(|octet| *octet == 0).next().unwrap();
        let number = u32::from_be_bytes(frames[0][28..32].try_into().unwrap());
        assert_eq!(frames[0][32..], [4, 3, 2, 1]);
        (String::from_utf8(name.to_vec()).unwrap(), number, frames[1].clone())
    }

    fn terms(&self) -> Option<CursorTerms> {
        self.outbox.terms().into_iter().find(|terms| terms.sink == "zmq://test/ntop")
    }
}

#[test]
fn flows_come_as_they_are_sealed_and_the_messages_of_all_topics_are_numbered_together() {
    let mut site = Site::new(&testing(), &["flow", "event", "template"]);
    site.ntop.speak(&site.socket, &site.subscribers, Instant::now());
    site.publish(600);
    site.ntop.speak(&site.socket, &site.subscribers, Instant::now() + EVENT_EVERY);
    let read: Vec<_> = (0..6).map(|_| site.read()).collect();
    let topics: Vec<_> = read.iter().map(|(topic, number, _)| (topic.as_str(), *number)).collect();
    assert_eq!(topics, [("template", 1), ("event", 2), ("flow", 3), ("flow", 4), ("flow", 5), ("event", 6)]);
    let terms = site.terms().unwrap();
    assert_eq!((terms.records_out, terms.acknowledged, terms.in_spool), (600, 600, 0));
    let event: serde_json::Value = serde_json::from_slice(&read[5].2).unwrap();
    assert_eq!(event["zmq"]["num_flow_exports"], 600);
}

#[test]
fn fields_are_told_again_every_minute_and_to_who_comes_anew() {
    let mut site = Site::new(&testing(), &["template"]);
    let start = Instant::now();
    for (seconds, number) in [(0, 1), (59, 1), (60, 2), (61, 2), (120, 3)] {
        site.ntop.speak(&site.socket, &site.subscribers, start + Duration::from_secs(seconds));
        assert_eq!(site.ntop.outlet.sent(), number);
    }
    site.subscribers.take(b"\x00template");
    site.ntop.speak(&site.socket, &site.subscribers, start + Duration::from_secs(121));
    site.subscribers.take(b"\x01template");
    site.ntop.speak(&site.socket, &site.subscribers, start + Duration::from_secs(122));
    assert_eq!(site.ntop.outlet.sent(), 4);
}

#[test]
fn what_nobody_subscribes_is_not_written_and_no_loss_until_somebody_has_read() {
    let mut site = Site::new(&testing(), &["event"]);
    site.publish(10);
    site.ntop.speak(&site.socket, &site.subscribers, Instant::now());
    assert_eq!((site.read().0.as_str(), site.ntop.outlet.sent()), ("event", 1));
    assert_eq!(site.terms(), None, "nobody's loss");
    site.subscribe(&["flow"]);
    site.publish(20);
    assert_eq!(site.read().0, "flow");
    site.subscribers.take(b"\x00flow");
    site.publish(30);
    let terms = site.terms().unwrap();
    assert_eq!((terms.records_out, terms.acknowledged, terms.in_spool), (60, 20, 0));
    assert_eq!(terms.discarded[&Discard::NoSubscriber], 40);
}

#[test]
fn an_event_has_the_keys_that_ntopng_reads_with_the_numbers_of_the_books() {
    let about = About {
        inputs: "eno1".to_owned(),
        speed_megabits: 10_000,
        interface_address: "192.0.2.1".to_owned(),
        probe_address: "192.0.2.2".to_owned(),
        probe: "uuid".to_owned(),
        active_timeout: Duration::from_secs(120),
        idle_timeout: Duration::from_secs(30),
    };
    let mut site = Site::new(&Options { about, ..testing() }, &["event"]);
    let books = |packets: u64, seconds: u64| Message {
        version: Message::VERSION,
        time_nanoseconds: seconds * 1_000_000_000,
        queues: vec![QueueTerms {
            seen: Amount { packets, octets: packets * 100 },
            rx_ring_full: 3,
            not_delivered: Some(2),
            ..QueueTerms::default()
        }],
        ..Message::default()
    };
    site.books(&books(1_000, 10), 0);
    site.books(&books(1_500, 12), 1);
    site.publish(1);
    site.ntop.speak(&site.socket, &site.subscribers, Instant::now());
    let event: serde_json::Value = serde_json::from_slice(&site.read().2).unwrap();
    for (path, expected) in [
        ("/packets", 1_500.into()),
        ("/bytes", 150_000.into()),
        ("/packet_drops", 5.into()),
        ("/avg/pps", 250.into()),
        ("/avg/bps", 200_000.into()),
        ("/iface/name", "eno1".into()),
        ("/iface/speed", 10_000.into()),
        ("/iface/ip", "192.0.2.1".into()),
        ("/probe/ip", "192.0.2.2".into()),
        ("/probe/uuid", "uuid".into()),
        ("/probe/unique_source_id", 0x0102_0304.into()),
        ("/timeout/lifetime", 120.into()),
        ("/timeout/idle", 30.into()),
        ("/timeout/collected_lifetime", 120.into()),
        ("/mode", "packet_collection".into()),
        ("/drops/export_queue_full", 0.into()),
        ("/zmq/num_zmq_exporters", 1.into()),
    ] {
        assert_eq!(event.pointer(path), Some::<&serde_json::Value>(&expected), "{path}");
    }
    for path in ["/time", "/probe/version", "/probe/osname", "/flow_collection/exporters"] {
        assert!(event.pointer(path).is_some(), "{path}");
    }
}

/// ntopng takes messages of one source for one sequence.
#[test]
fn outputs_of_one_probe_are_sources_of_their_own_and_stay_the_same() {
    let probe = Uuid::from_u128(7);
    let sources = ["zmq://a:1", "zmq://a:2"].map(|sink| source(probe, sink));
    assert_ne!(sources[0], sources[1]);
    assert_eq!(sources[0], source(probe, "zmq://a:1"));
    assert!((0..2_000).all(|number| source(probe, &number.to_string()) as u8 != 0));
}
