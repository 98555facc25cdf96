//! The whole life of an exporter with its sinks' threads.

use flow_wire::ledger::{Amount, Guarantee, QueueTerms, WorkerTerms, of_probe, residual};
use flow_wire::stamp::{Epoch, ProbeId};
use uuid::Uuid;

use super::*;
use crate::export::outbox::Next;
use crate::export::{Books, Identity};
use crate::spool::testing::MemoryDisk;
use crate::spool::{Options, Spool, Sync};
use crate::survive::{Directory, Owner, Shape};
use crate::worker::{Cut, Producer};

struct NoQueues;

impl Books for NoQueues {
    fn queues(&mut self, _cuts: &[Cut]) -> Vec<QueueTerms> {
        Vec::new()
    }

    fn publish(&mut self, _message: &Arc<Message>, _spool: Option<crate::spool::Statistics>) {}
}

/// Takes nothing before the end, then everything or nothing.
struct Late {
    acknowledges: bool,
}

/// As long as the whole end may take with this plan, and as much again.
const PATIENT: Duration = Duration::from_secs(10);

impl Sink for Late {
    fn name(&self) -> String {
        "late".to_owned()
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::AtMostOnce
    }

    fn is_durable(&self) -> bool {
        true
    }

    fn run(self: Box<Self>, cursor: Cursor) {
        while !self.acknowledges && !cursor.is_ending() {
            std::thread::yield_now();
        }
        while let Next::Batches(batches) = cursor.next(9, usize::MAX, Duration::from_secs(60)) {
            cursor.acknowledge(batches.len());
        }
    }
}

fn start_with(sink: Late, pressure: Pressure) -> (Handle, Producer) {
    start_over(None, sink, pressure)
}

fn start_over(spool: Option<Spool>, sink: Late, pressure: Pressure) -> (Handle, Producer) {
    start_all(spool, Box::new(sink), Own::default(), pressure)
}

fn start_all(spool: Option<Spool>, sink: Box<dyn Sink>, own: Own, pressure: Pressure) -> (Handle, Producer) {
    let (worker, ring) = crate::export::tests::lane(10);
    let identity = Identity {
        probe: ProbeId(Uuid::nil()),
        epoch: Epoch(Uuid::nil()),
        epoch_start_nanoseconds: 0,
        exporter: "host".to_owned(),
        active_timeout: Duration::from_secs(120),
    };
    let plan = Plan {
        identity,
        lanes: vec![ring],
        own,
        salvage: None,
        sinks: vec![sink],
        books: Box::new(NoQueues),
        outbox_octets: usize::MAX,
        spool,
        drain: Duration::from_millis(20),
        pressure,
    };
    (start(plan).unwrap(), worker)
}

fn end(worker: &mut Producer) {
    let record = crate::export::tests::record();
    assert!(worker.push(&record));
    let metered = Amount { packets: 3, octets: 300 };
    let worker_terms = WorkerTerms { metered, ..WorkerTerms::default() };
    let cut =
        Cut { time_nanoseconds: 0, worker: worker_terms, sources: Vec::new(), stages: None, last: true };
    worker.push_cut(Box::new(cut)).unwrap();
}

fn export_residual(message: &Message) -> Amount {
    let identities = of_probe(message, None);
    let downstream: Vec<_> = identities.into_iter().filter(|identity| identity.name != "received").collect();
    residual(&downstream)
}

#[test]
fn what_is_sealed_is_sent_before_the_end() {
    let (handle, mut worker) = start_with(Late { acknowledges: true }, Pressure::Discard);
    end(&mut worker);
    let finished = handle.join().unwrap();
    assert_eq!((finished.message.cursors[0].acknowledged, finished.message.cursors[0].in_spool), (1, 0));
    assert!(finished.message.closed && finished.stuck.is_empty());
    assert_eq!(export_residual(&finished.message), Amount::ZERO);
}

#[test]
fn what_cannot_be_sent_in_time_is_counted() {
    let (handle, mut worker) = start_with(Late { acknowledges: false }, Pressure::Discard);
    end(&mut worker);
    let finished = handle.join().unwrap();
    assert_eq!(finished.message.cursors[0].discarded[&Discard::DrainTimeout], 1);
    assert_eq!(export_residual(&finished.message), Amount::ZERO);
}

#[test]
fn a_capture_file_is_drained_until_somebody_hurries() {
    let (handle, mut worker) = start_with(Late { acknowledges: false }, Pressure::Wait);
    end(&mut worker);
    std::thread::park_timeout(5 * PATIENCE);
    assert!(!handle.is_finished());
    handle.hurry(Instant::now());
    assert_eq!(handle.join().unwrap().message.cursors[0].discarded[&Discard::DrainTimeout], 1);
}

#[test]
fn the_books_close_without_a_worker_that_is_stuck() {
    let (handle, mut worker) = start_with(Late { acknowledges: true }, Pressure::Discard);
    let metered = Amount { packets: 10, octets: 1_000 };
    let terms = WorkerTerms { metered, open: metered, open_flows: 4, ..WorkerTerms::default() };
    let cut = Cut { time_nanoseconds: 0, worker: terms, sources: Vec::new(), stages: None, last: false };
    worker.push_cut(Box::new(cut)).unwrap();
    assert!(worker.push(&crate::export::tests::record()));
    handle.forsake();
    let finished = handle.join().unwrap();
    let worker = &finished.message.workers[0];
    assert_eq!(worker.exported, Amount { packets: 3, octets: 300 });
    assert_eq!((worker.open, worker.open_flows), (Amount::ZERO, 0));
    assert_eq!(worker.discarded[&Discard::DrainTimeout], Amount { packets: 7, octets: 700 });
    assert!(finished.message.closed && export_residual(&finished.message) == Amount::ZERO);
}

#[test]
fn a_disk_that_does_not_answer_does_not_hold_up_the_end() {
    let disk = MemoryDisk::default();
    let day = Duration::from_secs(86_400);
    let options = Options {
        quota_octets: 64 << 20,
        segment_octets: 4 << 20,
        age: day,
        cursor_ttl: day,
        memory_octets: 1 << 20,
        sync: Sync::Interval,
    };
    let spool = Spool::over(Box::new(disk.clone()), ProbeId(Uuid::nil()), options).unwrap();
    disk.state().is_sync_hanging = true;
    let (handle, mut worker) = start_over(Some(spool), Late { acknowledges: false }, Pressure::Discard);
    end(&mut worker);
    let (ended, has_ended) = std::sync::mpsc::channel();
    let join = std::thread::spawn(move || ended.send(handle.join().unwrap()));
    let finished = has_ended.recv_timeout(PATIENT);
    let cursor = String::from_utf8(disk.read_all("cursors/late")).unwrap();
    disk.state().is_sync_hanging = false;
    join.join().unwrap().unwrap();
    let finished = finished.unwrap();
    assert_eq!((export_residual(&finished.message), finished.left[0].1), (Amount::ZERO, 1));
    assert!(cursor.contains("\"is_attached\":false"), "the cursor is written all the same: {cursor}");
}

/// Says whether a file is there when nothing more will be appended.
struct Farewell {
    path: std::path::PathBuf,
    is_there: std::sync::mpsc::Sender<bool>,
}

impl Sink for Farewell {
    fn name(&self) -> String {
        "farewell".to_owned()
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::AtMostOnce
    }

    fn run(self: Box<Self>, cursor: Cursor) {
        while !cursor.is_ending() {
            std::thread::yield_now();
        }
        self.is_there.send(self.path.exists()).unwrap();
    }
}

#[test]
fn behind_the_closed_books_a_kill_is_none() {
    let base = tempfile::tempdir_in("/dev/shm").expect("a tmpfs");
    let probe = ProbeId(Uuid::nil());
    let directory = Directory::open(base.path(), probe).unwrap();
    let owner = Owner {
        probe,
        epoch: Epoch(Uuid::nil()),
        epoch_start_nanoseconds: 0,
        worker: 0,
        files: 1,
        ring_slots: 0,
        observation_domain_id: 1,
    };
    let own = Own::default();
    let _parts = directory.make(owner, Shape { buckets: 1, ring: 1, places: 0 }, &own).unwrap();
    let path = base.path().join(probe.0.to_string()).join(format!("{}-00000.flows", Uuid::nil()));
    assert!(path.exists());
    let (is_there, farewell) = std::sync::mpsc::channel();
    let sink = Box::new(Farewell { path, is_there });
    let (handle, mut worker) = start_all(None, sink, own, Pressure::Discard);
    end(&mut worker);
    assert_eq!(farewell.recv_timeout(PATIENT), Ok(false));
    handle.join().unwrap();
}
