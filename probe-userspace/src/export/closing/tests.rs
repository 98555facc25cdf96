//! A probe is killed; the next start speaks for it, and the books of both balance.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use flow_wire::batch::Sealed;
use flow_wire::bus::Kind;
use flow_wire::ledger::{Amount, Discard, Guarantee, Message, QueueTerms, WorkerTerms, of_probe, residual};
use flow_wire::stamp::{Epoch, ProbeId, Sequence};
use uuid::Uuid;

use crate::export::exporter::Exporter;
use crate::export::outbox::{Cursor, Next, Outbox, Wanted};
use crate::export::tests::{lane, record};
use crate::export::{Books, Identity, Pressure};
use crate::spool::testing::MemoryDisk;
use crate::spool::{Options, Spool, Statistics, Sync};
use crate::worker::{Cut, Producer};

const PROBE: ProbeId = ProbeId(Uuid::from_u128(1));
const DAY: Duration = Duration::from_secs(86_400);
const WALL: u64 = 1_700_000_000_000_000_000;

struct Nobody;

impl Books for Nobody {
    fn queues(&mut self, cuts: &[Cut]) -> Vec<QueueTerms> {
        cuts.iter().flat_map(|cut| cut.sources.clone()).collect()
    }

    fn publish(&mut self, _message: &Arc<Message>, _spool: Option<Statistics>) {}
}

fn packets(count: u64) -> Amount {
    Amount { packets: count, octets: count * 100 }
}

/// A start of a probe over this disk, with a sink that takes what the test takes.
struct Start {
    worker: Producer,
    exporter: Exporter,
    cursor: Cursor,
    taken: Mutex<Vec<Arc<Sealed>>>,
}

impl Start {
    fn of(epoch: u128, disk: &MemoryDisk) -> Self {
        let options = Options {
            quota_octets: 64 << 20,
            segment_octets: 4 << 20,
            age: 7 * DAY,
            cursor_ttl: 7 * DAY,
            memory_octets: 1 << 20,
            sync: Sync::Interval,
        };
        let spool = Spool::over(Box::new(disk.clone()), PROBE, options).unwrap();
        let sinks = [
            Wanted {
                name: "kafka://a".to_owned(),
                guarantee: Guarantee::ExactlyOnce,
                is_durable: true,
                opens_cursors: false,
            },
            Wanted {
                name: "zmq://a".to_owned(),
                guarantee: Guarantee::AtMostOnce,
                is_durable: false,
                opens_cursors: false,
            },
        ];
        let outbox = Outbox::over(&sinks, usize::MAX, Some(spool));
        let cursor = outbox.cursor(0);
        let (worker, lane) = lane(10_000);
        let identity = Identity {
            probe: PROBE,
            epoch: Epoch(Uuid::from_u128(epoch)),
            epoch_start_nanoseconds: WALL,
            exporter: "host".to_owned(),
            active_timeout: Duration::from_secs(120),
        };
        let exporter = Exporter::new(&identity, vec![lane], None, outbox, Box::new(Nobody));
        Self { worker, exporter, cursor, taken: Mutex::default() }
    }

    fn push(&mut self, records: usize) {
        for _ in 0..records {
            assert!(self.worker.push(&record()));
        }
    }

    /// So many flows metered so far, and so many packets in open ones.
    fn cut(&mut self, flows: u64, open: u64, last: bool) {
        let received = packets(3 * flows + open);
        let worker =
            WorkerTerms { received, metered: received, open: packets(open), ..WorkerTerms::default() };
        let source = QueueTerms {
            interface: "file".to_owned(),
            seen: received,
            redirected: received,
            received,
            ..QueueTerms::default()
        };
        let cut = Cut { time_nanoseconds: WALL, worker, sources: vec![source], stages: None, last };
        self.worker.push_cut(Box::new(cut)).unwrap();
    }

    fn step(&mut self, seconds: u64) {
        while self.exporter.step(Duration::from_secs(seconds), WALL, Pressure::Discard) {}
    }

    /// The sink takes everything that there is.
    fn take(&self) {
        while let Next::Batches(batches) = self.cursor.next(usize::MAX, usize::MAX, Duration::ZERO) {
            self.cursor.acknowledge(batches.len());
            self.taken.lock().unwrap().extend(batches);
        }
    }

    /// Messages that it has taken, with the epoch in their headers.
    fn messages(&self) -> Vec<(u128, Message)> {
        let taken = self.taken.lock().unwrap();
        let ledgers = taken.iter().filter(|sealed| sealed.header.kind == Kind::Ledger);
        ledgers
            .map(|sealed| (sealed.header.stamp.epoch.0.as_u128(), Message::decode(&sealed.body).unwrap()))
            .collect()
    }

    fn closing(&self) -> Vec<Message> {
        self.messages()
            .into_iter()
            .map(|(_, message)| message)
            .filter(|message| message.closes.is_some())
            .collect()
    }
}

fn waiting(message: &Message) -> u64 {
    message.cursors.iter().filter(|cursor| cursor.sink == "kafka://a").map(|cursor| cursor.in_spool).sum()
}

#[test]
fn a_closing_that_the_disk_did_not_take_is_said_once_it_does() {
    let disk = MemoryDisk::default();
    let mut first = Start::of(1, &disk);
    first.push(10);
    first.cut(10, 0, false);
    first.step(0);
    let disk = disk.copy();
    let mut second = Start::of(2, &disk);
    disk.state().is_write_failing = true;
    second.cut(0, 0, false);
    second.step(0);
    second.take();
    assert_eq!(second.closing().len(), 0);
    disk.state().is_write_failing = false;
    for seconds in 1..=2 {
        second.cut(0, 0, false);
        second.step(seconds);
    }
    second.take();
    let closing = second.closing();
    assert_eq!((closing.len(), residual(&of_probe(&closing[0], None))), (1, Amount::ZERO));
}

#[test]
fn a_killed_start_is_closed_by_the_next_one_and_its_batches_come_first() {
    let disk = MemoryDisk::default();
    let mut first = Start::of(1, &disk);
    first.push(1_200);
    first.cut(1_200, 17, false);
    first.step(0);
    // Sealed behind the last message, of what was open then.
    first.push(5);
    first.step(1);
    first.step(2);
    let mut second = Start::of(2, &disk.copy());
    second.cut(0, 0, false);
    second.step(0);
    second.take();
    let closing = second.closing();
    assert_eq!(closing.len(), 1);
    let message = &closing[0];
    let closes = message.closes.unwrap();
    assert_eq!((closes.epoch.0.as_u128(), closes.generation, closes.is_bound), (1, 2, true));
    assert_eq!(residual(&of_probe(message, None)), Amount::ZERO, "{message:#?}");
    assert_eq!((message.workers[0].lost_at_crash, message.workers[0].open), (packets(2), Amount::ZERO));
    assert_eq!((message.cuts[0].records, message.cuts[0].next), (1_205, Sequence(3)));
    assert_eq!(waiting(message), 1_205);
    let order: Vec<_> =
        second.taken.lock().unwrap().iter().map(|sealed| sealed.header.stamp.epoch.0.as_u128()).collect();
    assert!(order.is_sorted() && order.contains(&1) && order.contains(&2), "{order:?}");
    // At the end it is said that they went out.
    second.cut(0, 0, true);
    second.step(1);
    second.exporter.compose(Duration::from_secs(1), WALL, true);
    second.take();
    let closing = second.closing();
    assert_eq!((closing.len(), waiting(&closing[1])), (2, 0));
    assert_eq!(residual(&of_probe(&closing[1], None)), Amount::ZERO);
}

#[test]
fn what_was_metered_and_sealed_behind_the_last_message_is_in_the_closing_books() {
    let disk = MemoryDisk::default();
    let mut first = Start::of(1, &disk);
    first.cut(0, 3, false);
    first.step(0);
    first.push(40);
    first.step(1);
    first.step(2);
    let mut second = Start::of(2, &disk.copy());
    second.cut(0, 0, false);
    second.step(0);
    second.take();
    let message = second.closing().remove(0);
    assert_eq!(residual(&of_probe(&message, None)), Amount::ZERO, "{message:#?}");
    assert_eq!((message.workers[0].exported, message.workers[0].lost_at_crash), (packets(120), Amount::ZERO));
}

#[test]
fn a_start_that_closed_itself_and_left_nothing_is_not_spoken_for() {
    let disk = MemoryDisk::default();
    let mut first = Start::of(1, &disk);
    first.push(10);
    first.cut(10, 0, true);
    first.step(0);
    first.exporter.compose(Duration::ZERO, WALL, true);
    first.take();
    first.cursor.outbox().close();
    let mut second = Start::of(2, &disk.copy());
    second.cut(0, 0, false);
    second.step(0);
    second.take();
    assert_eq!(second.closing(), []);
}

#[test]
fn a_start_that_closed_itself_with_batches_waiting_is_exact_and_said_again() {
    let disk = MemoryDisk::default();
    let mut first = Start::of(1, &disk);
    first.push(10);
    first.cut(10, 0, true);
    first.step(0);
    first.exporter.compose(Duration::ZERO, WALL, true);
    first.cursor.outbox().close();
    let between = disk.copy();
    let mut second = Start::of(2, &between);
    second.cut(0, 0, false);
    second.step(0);
    second.take();
    let message = second.closing().remove(0);
    assert_eq!((message.closes.unwrap().is_bound, waiting(&message)), (false, 10));
    assert_eq!(residual(&of_probe(&message, None)), Amount::ZERO);
    // A third start that finds nothing of it waiting says nothing.
    second.cursor.outbox().close();
    let mut third = Start::of(3, &between.copy());
    third.cut(0, 0, false);
    third.step(0);
    third.take();
    let spoken_for: Vec<_> =
        third.closing().iter().map(|message| message.closes.unwrap().epoch.0.as_u128()).collect();
    assert_eq!(spoken_for, [2]);
}

#[test]
fn what_a_cursor_of_the_spool_discards_is_a_tombstone_once() {
    let disk = MemoryDisk::default();
    let mut start = Start::of(1, &disk);
    start.push(1_000);
    start.cut(1_000, 0, false);
    start.step(0);
    let Next::Batches(batches) = start.cursor.next(1, usize::MAX, Duration::ZERO) else { panic!() };
    start.cursor.discard(batches[0].header.stamp, Discard::RefusedByBus);
    start.cut(1_000, 0, false);
    start.step(1);
    start.cut(1_000, 0, true);
    start.step(2);
    start.take();
    let tombstones: Vec<_> =
        start.messages().into_iter().flat_map(|(_, message)| message.tombstones).collect();
    assert_eq!(tombstones.len(), 1);
    let tombstone = tombstones[0];
    assert_eq!((tombstone.sink, tombstone.records, tombstone.reason), (1, 1_000, Discard::RefusedByBus));
    assert_eq!((tombstone.first, tombstone.last), (Sequence(0), Sequence(0)));
}

/// So many packets that the program had counted by the last message, of which so many were merged; and records of three packets that
/// were sealed behind it. The closing books.
fn killed_in_a_shunt(counted: u64, merged: u64, records: usize) -> Message {
    let disk = MemoryDisk::default();
    let mut first = Start::of(1, &disk);
    let metered = packets(3);
    let worker = WorkerTerms {
        received: metered,
        metered,
        shunt_merged: packets(merged),
        open: packets(3 + merged),
        shunted_flows: 2,
        ..WorkerTerms::default()
    };
    let source = QueueTerms {
        interface: "eth0".to_owned(),
        seen: packets(3 + counted),
        redirected: metered,
        received: metered,
        shunted: packets(counted),
        shunt_counted: packets(counted),
        ..QueueTerms::default()
    };
    let cut = Cut { time_nanoseconds: WALL, worker, sources: vec![source], stages: None, last: false };
    first.worker.push_cut(Box::new(cut)).unwrap();
    first.step(0);
    first.push(records);
    first.step(1);
    first.step(2);
    let mut second = Start::of(2, &disk.copy());
    second.cut(0, 0, false);
    second.step(0);
    second.take();
    let message = second.closing().remove(0);
    assert!(message.closes.unwrap().is_bound);
    assert_eq!(residual(&of_probe(&message, None)), Amount::ZERO, "{message:#?}");
    assert_eq!((message.workers[0].open, message.workers[0].shunted_flows), (Amount::ZERO, 0));
    message
}

/// Three packets were metered and 40 merged, 10 were counted and not read: what was sealed since covers them in this order.
#[test]
fn what_is_lost_in_a_shunt_is_not_what_was_sealed_since() {
    for (records, lost, metered) in [(0, 53, 3), (14, 11, 3), (15, 8, 3), (17, 2, 3), (18, 0, 4), (30, 0, 40)]
    {
        let worker = killed_in_a_shunt(50, 40, records).workers.remove(0);
        assert_eq!((worker.lost_at_crash, worker.metered), (packets(lost), packets(metered)), "{records}");
        assert_eq!((worker.shunt_merged, worker.exported), (packets(50), packets(3 * records as u64)));
    }
}
