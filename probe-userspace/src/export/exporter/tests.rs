//! Steps in virtual time: what goes in at the rings comes out sealed, and the message balances.

use std::sync::Mutex;

use flow_wire::batch::open;
use flow_wire::bus::Kind;
use flow_wire::ledger::{Amount, Guarantee, QueueTerms, WorkerTerms, of_probe, residual};
use flow_wire::stamp::{Epoch, ProbeId};
use uuid::Uuid;

use super::*;
use crate::export::outbox::{Cursor, Next};
use crate::export::tests::record;
use crate::worker::Producer;

const SECOND: Duration = Duration::from_secs(1);
const WALL: u64 = 1_700_000_000_000_000_000;

fn identity() -> Identity {
    Identity {
        probe: ProbeId(Uuid::from_u128(1)),
        epoch: Epoch(Uuid::from_u128(2)),
        epoch_start_nanoseconds: WALL,
        exporter: "host".to_owned(),
        active_timeout: Duration::from_secs(120),
    }
}

fn packets(count: u64) -> Amount {
    Amount { packets: count, octets: count * 100 }
}

/// A worker that metered so many flows, and has so many packets in open ones.
fn cut(worker: u16, flows: u64, open: u64, last: bool) -> Box<Cut> {
    let received = packets(3 * flows + open);
    let worker =
        WorkerTerms { worker, received, metered: received, open: packets(open), ..WorkerTerms::default() };
    let source = QueueTerms {
        interface: "file".to_owned(),
        queue: u32::from(worker.worker),
        seen: received,
        redirected: received,
        received,
        ..QueueTerms::default()
    };
    Box::new(Cut { time_nanoseconds: WALL, worker, sources: vec![source], stages: None, last })
}

#[derive(Clone, Default)]
struct Published(Arc<Mutex<Vec<Arc<Message>>>>);

impl Books for Published {
    fn queues(&mut self, cuts: &[Cut]) -> Vec<QueueTerms> {
        cuts.iter().flat_map(|cut| cut.sources.clone()).collect()
    }

    fn publish(&mut self, message: &Arc<Message>, _spool: Option<crate::spool::Statistics>) {
        self.0.lock().unwrap().push(Arc::clone(message));
    }
}

struct Bench {
    workers: Vec<Producer>,
    exporter: Exporter,
    cursor: Cursor,
    published: Published,
}

impl Bench {
    fn new(workers: usize, outbox_octets: usize) -> Self {
        let (workers, lanes) = (0..workers).map(|_| crate::export::tests::lane(10_000)).unzip();
        let outbox = Outbox::new(&[("sink".to_owned(), Guarantee::ExactlyOnce)], outbox_octets);
        let cursor = outbox.cursor(0);
        let published = Published::default();
        let exporter = Exporter::new(&identity(), lanes, None, outbox, Box::new(published.clone()));
        Self { workers, exporter, cursor, published }
    }

    fn push(&mut self, worker: usize, records: usize) {
        for _ in 0..records {
            assert!(self.workers[worker].push(&record()));
        }
    }

    fn step(&mut self, now: Duration) {
        while self.exporter.step(now, WALL, Pressure::Discard) {}
    }

    fn sent(&self) -> Vec<Arc<Sealed>> {
        match self.cursor.next(usize::MAX, usize::MAX, Duration::ZERO) {
            Next::Batches(batches) => batches,
            Next::Nothing | Next::End => Vec::new(),
        }
    }

    fn rows(&self) -> Vec<(u16, u64, u32)> {
        let flows = self.sent().into_iter().filter(|sealed| sealed.header.kind == Kind::Flows);
        let stamped = |sealed: Arc<Sealed>| {
            let stamp = sealed.header.stamp;
            (stamp.stream.0, stamp.sequence.0, sealed.header.rows)
        };
        flows.map(stamped).collect()
    }

    fn messages(&self) -> Vec<Arc<Message>> {
        self.published.0.lock().unwrap().clone()
    }
}

#[test]
fn a_batch_is_sealed_at_a_thousand_rows() {
    let mut bench = Bench::new(1, usize::MAX);
    bench.push(0, 2_500);
    bench.step(Duration::ZERO);
    assert_eq!(bench.rows(), [(0, 0, 1_000), (0, 1, 1_000)]);
}

#[test]
fn a_batch_is_sealed_a_second_after_its_first_row() {
    let mut bench = Bench::new(1, usize::MAX);
    bench.push(0, 1);
    bench.step(SECOND);
    bench.push(0, 1);
    bench.step(2 * SECOND - Duration::from_nanos(1));
    assert_eq!(bench.rows(), []);
    bench.step(2 * SECOND);
    assert_eq!(bench.rows(), [(0, 0, 2)]);
}

#[test]
fn a_cut_closes_the_batch_and_the_message_is_exact() {
    let mut bench = Bench::new(2, usize::MAX);
    bench.push(0, 1_200);
    bench.workers[0].push_cut(cut(0, 1_200, 17, false)).unwrap();
    bench.push(0, 5);
    bench.push(1, 3);
    bench.step(Duration::ZERO);
    assert_eq!(bench.messages().len(), 0, "worker 1 has not said anything yet");
    bench.workers[1].push_cut(cut(1, 3, 0, false)).unwrap();
    bench.step(Duration::ZERO);
    let messages = bench.messages();
    let message = messages.last().unwrap();
    assert_eq!(residual(&of_probe(message, None)), Amount::ZERO);
    assert_eq!(message.workers[0].exported, packets(3_600));
    assert_eq!((message.cuts[0].next.0, message.cuts[0].records), (2, 1_200));
    assert_eq!((message.cuts[1].next.0, message.cuts[1].records), (1, 3));
    assert_eq!(message.cursors.iter().map(|cursor| cursor.in_spool).sum::<u64>(), 1_203);
    assert_eq!(bench.rows(), [(0, 0, 1_000), (0, 1, 200), (1, 0, 3)]);
}

#[test]
fn messages_travel_in_the_control_stream_without_gaps() {
    let mut bench = Bench::new(1, usize::MAX);
    for _ in 0..3 {
        bench.workers[0].push_cut(cut(0, 0, 9, false)).unwrap();
        bench.step(Duration::ZERO);
    }
    let sent = bench.sent();
    let sequences: Vec<_> = sent.iter().map(|sealed| sealed.header.stamp.sequence.0).collect();
    assert_eq!(sequences, [0, 1, 2]);
    assert!(sent.iter().all(|sealed| sealed.header.stamp.stream == StreamId::CONTROL));
    assert_eq!(Message::decode(&sent[2].body).unwrap(), *bench.messages()[2]);
}

#[test]
fn a_late_worker_holds_the_message_up_for_two_seconds() {
    let mut bench = Bench::new(2, usize::MAX);
    for worker in 0..2 {
        bench.workers[usize::from(worker)].push_cut(cut(worker, 0, 1, false)).unwrap();
    }
    bench.step(SECOND);
    bench.workers[0].push_cut(cut(0, 0, 2, false)).unwrap();
    bench.step(2 * SECOND);
    assert_eq!(bench.messages().len(), 1);
    bench.step(3 * SECOND);
    assert_eq!(bench.messages().len(), 2);
    assert_eq!(residual(&of_probe(&bench.messages()[1], None)), Amount::ZERO);
}

#[test]
fn the_end_is_the_last_cut_of_every_worker() {
    let mut bench = Bench::new(2, usize::MAX);
    bench.push(0, 1);
    bench.workers[0].push_cut(cut(0, 1, 0, true)).unwrap();
    bench.step(Duration::ZERO);
    assert!(!bench.exporter.has_ended());
    // The other one panicked.
    drop(bench.workers.pop());
    bench.step(Duration::ZERO);
    assert!(bench.exporter.has_ended());
    let message = bench.exporter.compose(Duration::ZERO, WALL, true);
    assert!(message.closed);
    assert_eq!(residual(&of_probe(&message, None)), Amount::ZERO);
}

#[test]
fn a_full_outbox_is_a_counted_loss_and_no_residual() {
    let mut bench = Bench::new(1, 1);
    bench.push(0, 1_500);
    bench.workers[0].push_cut(cut(0, 1_500, 0, true)).unwrap();
    bench.step(Duration::ZERO);
    let message = bench.exporter.compose(Duration::ZERO, WALL, true);
    assert_eq!(message.cursors[0].discarded.values().sum::<u64>(), 1_500);
    assert_eq!(residual(&of_probe(&message, None)), Amount::ZERO);
}

#[test]
fn a_capture_file_waits_for_room() {
    let mut bench = Bench::new(1, BODY_OCTETS_MAX);
    bench.push(0, 9_000);
    while bench.exporter.step(Duration::ZERO, WALL, Pressure::Wait) {}
    let waiting = bench.workers[0].room();
    assert!(waiting < 10_000, "everything was taken");
    let mut rows = 0;
    loop {
        let sent = bench.sent();
        rows += sent
            .iter()
            .map(|sealed| open(&sealed.header, &sealed.body).unwrap().batch.num_rows())
            .sum::<usize>();
        bench.cursor.acknowledge(sent.len());
        if !bench.exporter.step(SECOND, WALL, Pressure::Wait) && sent.is_empty() {
            break;
        }
    }
    assert_eq!(rows, 9_000);
}
