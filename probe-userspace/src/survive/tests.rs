//! A kill between every two steps: nothing that was metered is lost, nothing comes twice, and the books are exact.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use flow_wire::batch::{Sealed, decode, records};
use flow_wire::ledger::{Amount, Guarantee, Message, WorkerTerms, of_probe, residual};
use flow_wire::record::FlowRecord;
use flow_wire::stamp::{Epoch, ProbeId, Sequence, StreamId};
use uuid::Uuid;

use super::file::{LaneMemory, Owner};
use super::remains::amount;
use super::*;
use crate::export::outbox::{Outbox, Wanted};
use crate::export::tests::ByHand;
use crate::export::{KernelSides, Salvaged};
use crate::flow::{Budget, Cache, Settings};
use crate::meter::Shard;
use crate::source::{Frame, LinkLayer};
use crate::spool::testing::MemoryDisk;
use crate::spool::{Options, Spool, Sync};
use crate::worker::{Cut, Handover, Outlet, WhenFull};

mod shunts;

const SECOND: u64 = 1_000_000_000;
const START: u64 = 1_700_000_000 * SECOND;
/// The smallest that a worker takes, so that it overflows.
const RING: usize = 64;
const OLD: Epoch = Epoch(Uuid::from_u128(10));
const NEW: Epoch = Epoch(Uuid::from_u128(11));

const SETTINGS: Settings = Settings {
    active_timeout: Duration::from_secs(4),
    active_perturbation: Duration::ZERO,
    idle_timeout: Duration::from_secs(2),
    capacity: 8,
    hash_size: None,
    observation_domain_id: 1,
};

fn shape() -> Shape {
    Shape { buckets: Cache::buckets_for(&SETTINGS), ring: RING, places: 0 }
}

fn owner(epoch: Epoch, worker: u16) -> Owner {
    let probe = ProbeId(Uuid::from_u128(1));
    Owner {
        probe,
        epoch,
        epoch_start_nanoseconds: 5,
        worker,
        files: 1,
        ring_slots: 0,
        observation_domain_id: 1,
    }
}

fn udp(port: u16) -> Vec<u8> {
    let mut bytes = vec![0x45, 0, 0, 28, 0, 1, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2];
    bytes.extend(port.to_be_bytes());
    bytes.extend([0, 53, 0, 8, 0, 0]);
    bytes
}

/// A file of a process that can be killed, in memory where the machine has a place for it.
struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let shm = Path::new("/dev/shm");
        let parent = if shm.is_dir() { shm.to_path_buf() } else { std::env::temp_dir() };
        Self { directory: tempfile::tempdir_in(parent).unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn make(&self, name: &str, owner: Owner, shape: Shape) -> Parts {
        let file =
            File::options().read(true).write(true).create(true).truncate(true).open(self.path(name)).unwrap();
        super::memory::allocate(&file, shape.octets()).unwrap();
        Parts::of(&mut Memory::of_file(file, shape.octets()).unwrap(), shape, Some(owner))
    }

    fn read(&self, name: &str, spooled: Spooled<'_>) -> Option<Remains> {
        let file = File::options().read(true).write(true).open(self.path(name)).unwrap();
        Remains::read(&self.path(name), file, spooled).unwrap()
    }
}

/// Bursts that begin flows, go on, time out in both ways, evict, fill the ring, and hold what is not metered.
fn bursts() -> Vec<(u64, Vec<u16>)> {
    let mut bursts: Vec<_> = (0..7).map(|n| (n, vec![1000, 1001, 1000, 0])).collect();
    bursts.push((12, vec![1000, 1002]));
    // More flows than the cache holds, and more records than the ring does.
    bursts.extend((0..12).map(|n| (13 + n / 6, (0..8).map(|m| 2000 + 8 * n as u16 + m).collect())));
    bursts.push((30, vec![1000]));
    bursts.push((31, vec![1000, 0, 3000]));
    bursts
}

fn frames<'a>(at: u64, packets: &'a [Vec<u8>]) -> Vec<Frame<'a>> {
    let frame = |bytes: &'a Vec<u8>| Frame {
        bytes,
        further_octets: 0,
        original_octets: bytes.len() as u32,
        timestamp_nanoseconds: START + at * SECOND,
        link_layer: LinkLayer::Ip,
        stripped_vlan: None,
        left_out: false,
    };
    packets.iter().map(frame).collect()
}

/// Runs it all, worker and exporter in turns, until it ends or is killed. Says what the sink had by then, and how many packets
/// had been given to the worker in whole bursts and in all.
struct Run {
    ended: bool,
    flows: Vec<std::sync::Arc<Sealed>>,
    whole: u64,
    given: u64,
}

fn run(place: &Place, kill_after: u64) -> Run {
    run_over(place, kill_after, |lane| ByHand::new(OLD, vec![lane], None))
}

fn run_over(place: &Place, kill_after: u64, exporter: impl FnOnce(LaneMemory) -> ByHand) -> Run {
    let Parts { shard, out, lane } = place.make("old", owner(OLD, 0), shape());
    let mut shard = Shard::new(0, &SETTINGS, shard);
    let alone = Handover::mesh(1).unwrap().pop().unwrap();
    let mut out = Outlet::new(out, WhenFull::Discard, alone);
    let mut exporter = exporter(lane);
    let (whole, given) = (Cell::new(0), Cell::new(0));
    let ended = kill::after(kill_after, || {
        for (number, (at, ports)) in bursts().into_iter().enumerate() {
            let packets: Vec<_> =
                ports.iter().map(|&port| if port == 0 { vec![0] } else { udp(port) }).collect();
            let metered = ports.iter().filter(|port| **port != 0).count() as u64;
            given.set(whole.get() + metered);
            shard.process(&frames(at, &packets), 3, &mut out);
            whole.set(given.get());
            shard.expire(START + at * SECOND, Budget { buckets: 100, looks: 100 }, &mut out);
            // The exporter is away while the ring overflows.
            if !(8..=18).contains(&number) {
                exporter.step(Duration::from_millis(700 * number as u64));
            }
        }
    });
    Run { ended, flows: exporter.sent().0, whole: whole.get(), given: given.get() }
}

fn rows(flows: &[std::sync::Arc<Sealed>]) -> Vec<FlowRecord> {
    flows.iter().flat_map(|sealed| records(&decode(&sealed.body).unwrap().batch).unwrap()).collect()
}

fn sum(records: &[FlowRecord]) -> Amount {
    records.iter().map(amount).fold(Amount::ZERO, |sum, amount| sum + amount)
}

fn next(flows: &[std::sync::Arc<Sealed>]) -> Sequence {
    flows.last().map_or(Sequence(0), |sealed| Sequence(sealed.header.stamp.sequence.0 + 1))
}

fn by_port(all: &[FlowRecord]) -> BTreeMap<u16, u64> {
    let mut ports = BTreeMap::new();
    for record in all {
        *ports.entry(record.source_transport_port).or_default() += record.packet_delta_count;
    }
    ports
}

#[test]
fn a_kill_between_any_two_steps_loses_nothing_that_was_metered() {
    let place = Place::new();
    let mut sent = BTreeMap::<u16, u64>::new();
    bursts().iter().flat_map(|burst| &burst.1).for_each(|port| *sent.entry(*port).or_default() += 1);
    let (mut discards, mut kinds) = (0, [false; 3]);
    for kill_after in 0.. {
        let run = run(&place, kill_after);
        let known = next(&run.flows);
        let remains = place.read("old", &|_, _| Some(known)).unwrap();
        let (rows, terms) = (rows(&run.flows), &remains.terms);
        let discarded = terms.discarded.values().fold(Amount::ZERO, |sum, amount| sum + *amount);
        assert!(!remains.is_bound, "kill {kill_after}");
        assert_eq!(terms.exported, sum(&rows), "kill {kill_after}");
        assert_eq!(terms.recovered, sum(&remains.records), "kill {kill_after}");
        assert_eq!(terms.metered, terms.exported + discarded + terms.recovered, "kill {kill_after}");
        assert!((run.whole..=run.given).contains(&terms.metered.packets), "kill {kill_after}");
        assert_eq!((remains.cut.next, remains.cut.records), (known, rows.len() as u64), "kill {kill_after}");
        assert!(remains.records.iter().all(|record| record.recovered_from == Some(OLD)));
        let message =
            Message { workers: vec![terms.clone()], cuts: vec![remains.cut], closed: true, ..closing() };
        assert_eq!(residual(&of_probe(&message, None)), Amount::ZERO, "kill {kill_after}: {message:?}");
        for (port, packets) in by_port(&[rows, remains.records].concat()) {
            assert!(packets <= sent[&port], "kill {kill_after}: port {port} came twice");
        }
        discards = discarded.packets;
        kinds[0] |= terms.exported.packets > 0;
        kinds[1] |= terms.recovered.packets > 0;
        kinds[2] |= terms.metered.packets > run.whole && terms.metered.packets < run.given;
        if run.ended {
            assert!(kill_after > 1_000, "{kill_after} kill points are not all of them");
            break;
        }
    }
    assert!(
        discards > 0 && kinds == [true; 3],
        "{discards} discarded, {kinds:?}: the run must come to all of it"
    );
}

fn closing() -> Message {
    let closes = flow_wire::ledger::Closes { epoch: OLD, generation: 1, is_bound: false };
    Message { closes: Some(closes), ..Message::default() }
}

/// A start that finds the remains, and is killed itself.
fn salvage(
    place: &Place,
    spooled: Sequence,
    kill_after: u64,
) -> (bool, Vec<std::sync::Arc<Sealed>>, Vec<Message>) {
    let remains = place.read("old", &|_, _| Some(spooled)).unwrap();
    let small = Shape { buckets: 0, ring: 1, places: 0 };
    let lane = place.make("new", owner(NEW, 1), small).lane;
    let worker = Parts::anonymous(Shape { buckets: 0, ring: RING, places: 0 }).unwrap().lane;
    let salvaged = Salvaged { remains: vec![remains], lane, generation: 2, kernel: nothing_of_the_kernel() };
    let mut exporter = ByHand::new(NEW, vec![worker], Some(salvaged));
    let ended = kill::after(kill_after, || exporter.step(Duration::ZERO));
    let (flows, messages) = exporter.sent();
    if ended {
        assert_eq!(residual(&of_probe(&exporter.message(), None)), Amount::ZERO);
    }
    (ended, flows, messages)
}

#[test]
fn a_recovery_that_is_killed_is_continued_and_nothing_comes_twice() {
    let place = Place::new();
    let old = run(&place, 2_000);
    assert!(!old.ended);
    let spooled = next(&old.flows);
    let whole = place.read("old", &|_, _| Some(spooled)).unwrap();
    assert!(!whole.records.is_empty());
    let kept = std::fs::read(place.path("old")).unwrap();
    for kill_after in 0.. {
        std::fs::write(place.path("old"), &kept).unwrap();
        let (ended, flows, messages) = salvage(&place, spooled, kill_after);
        let drained = rows(&flows);
        let of_new = next(&flows);
        let know = |epoch: Epoch, _: StreamId| Some(if epoch == OLD { spooled } else { of_new });
        // Removed with everything in it, and its closing books are behind the batches; or what is left is the rest.
        let left = match place.path("old").exists() {
            true => {
                place.read("old", &know).map(|remains| (remains.records.clone(), remains.terms.recovered))
            }
            false => None,
        };
        let (rest, recovered) = left.unwrap_or((Vec::new(), whole.terms.recovered));
        assert_eq!([drained.clone(), rest].concat(), whole.records, "kill {kill_after}");
        assert_eq!(recovered, whole.terms.recovered, "kill {kill_after}");
        let of_lane = place.read("new", &know).unwrap();
        assert_eq!((of_lane.terms.inherited, of_lane.terms.exported), (sum(&drained), sum(&drained)));
        if ended {
            let closing = &messages[0];
            assert_eq!(closing.closes.map(|closes| (closes.epoch, closes.is_bound)), Some((OLD, false)));
            assert_eq!(closing.workers, std::slice::from_ref(&whole.terms));
            assert_eq!(residual(&of_probe(closing, None)), Amount::ZERO);
            assert!(!place.path("old").exists());
            break;
        }
    }
}

#[test]
fn each_batch_of_a_recovery_counts_behind_the_one_before() {
    let place = Place::new();
    let old = run(&place, 2_000);
    let spooled = next(&old.flows);
    let all = place.read("old", &|_, _| Some(spooled)).unwrap().records;
    let mut remains = place.read("old", &|_, _| Some(spooled)).unwrap();
    for (sequence, rows) in [(0, 2), (1, 3)] {
        remains.records.drain(..rows);
        remains.prepare(rows, NEW, StreamId(1), Sequence(sequence + 1));
        remains.commit();
    }
    drop(remains);
    let left = place.read("old", &|_, _| Some(spooled)).unwrap().records;
    assert!(left == all[5..], "{} of {} are left", left.len(), all.len());
}

fn spool(disk: &MemoryDisk) -> Spool {
    let week = Duration::from_secs(7 * 86_400);
    let options = Options {
        quota_octets: 64 << 20,
        segment_octets: 4 << 20,
        age: week,
        cursor_ttl: week,
        memory_octets: 1 << 20,
        sync: Sync::None,
    };
    Spool::over(Box::new(disk.clone()), ProbeId(Uuid::from_u128(1)), options).unwrap()
}

fn outbox(spool: Spool) -> Arc<Outbox> {
    let (name, guarantee) = ("kafka://a".to_owned(), Guarantee::ExactlyOnce);
    Outbox::over(
        &[Wanted { name, guarantee, is_durable: true, opens_cursors: false }],
        usize::MAX,
        Some(spool),
    )
}

#[test]
fn spool_and_memory_together_give_everything_once_and_exact_books() {
    let place = Place::new();
    for kill_after in (0..).step_by(173) {
        let disk = MemoryDisk::default();
        let first = |lane| ByHand::over(OLD, vec![lane], None, outbox(spool(&disk)));
        let ended = run_over(&place, kill_after, first).ended;
        let spool = spool(&disk.copy());
        let spooled = |epoch, stream| Some(spool.sealed(epoch, stream).unwrap_or(Sequence(0)));
        let remains = place.read("old", &spooled).unwrap();
        let terms = remains.terms.clone();
        let lane = place.make("new", owner(NEW, 1), Shape { buckets: 0, ring: 1, places: 0 }).lane;
        let salvaged =
            Salvaged { remains: vec![remains], lane, generation: 2, kernel: nothing_of_the_kernel() };
        let (mut worker, lane) = crate::export::tests::lane(RING);
        let mut second = ByHand::over(NEW, vec![lane], Some(salvaged), outbox(spool));
        let worker_terms = WorkerTerms::default();
        let cut =
            Cut { time_nanoseconds: 7, worker: worker_terms, sources: Vec::new(), stages: None, last: false };
        worker.push_cut(Box::new(cut)).unwrap();
        second.step(Duration::ZERO);
        let (flows, messages) = second.sent();
        let discarded = terms.discarded.values().fold(Amount::ZERO, |sum, amount| sum + *amount);
        assert_eq!(sum(&rows(&flows)) + discarded, terms.metered, "kill {kill_after}");
        let closing: Vec<_> = messages.iter().filter(|message| message.closes.is_some()).collect();
        let last = closing.last().unwrap();
        let of_cursors = |message: &Message| -> Vec<_> {
            message.cursors.iter().map(|cursor| (cursor.sink.clone(), cursor.stream)).collect()
        };
        assert_eq!(of_cursors(closing[0]), of_cursors(last), "kill {kill_after}: a kill may follow");
        assert_eq!(last.closes.map(|closes| (closes.epoch, closes.is_bound)), Some((OLD, false)));
        assert_eq!(last.workers, [terms], "kill {kill_after}");
        assert_eq!(residual(&of_probe(last, None)), Amount::ZERO, "kill {kill_after}: {last:?}");
        if ended {
            break;
        }
    }
}

#[test]
fn what_no_spool_takes_the_word_of_stays_in_its_file() {
    let place = Place::new();
    let disk = MemoryDisk::default();
    assert!(
        run_over(&place, u64::MAX, |lane| ByHand::over(OLD, vec![lane], None, outbox(spool(&disk)))).ended
    );
    let disk = disk.copy();
    let spool = spool(&disk);
    let spooled = |epoch, stream| Some(spool.sealed(epoch, stream).unwrap_or(Sequence(0)));
    let mut remains = place.read("old", &spooled).unwrap();
    // As if they had gone out: nothing but the closing is to come.
    remains.records.clear();
    let lane = place.make("new", owner(NEW, 1), Shape { buckets: 0, ring: 1, places: 0 }).lane;
    let salvaged = Salvaged { remains: vec![remains], lane, generation: 2, kernel: nothing_of_the_kernel() };
    let (_worker, lane) = crate::export::tests::lane(RING);
    let mut second = ByHand::over(NEW, vec![lane], Some(salvaged), outbox(spool));
    disk.state().is_write_failing = true;
    second.step(Duration::ZERO);
    assert!(place.path("old").exists());
    disk.state().is_write_failing = false;
    second.step(Duration::ZERO);
    assert!(!place.path("old").exists());
}

#[test]
fn a_damaged_file_is_counted_and_never_believed() {
    let place = Place::new();
    let old = run(&place, 2_000);
    let spooled = next(&old.flows);
    let whole = place.read("old", &|_, _| Some(spooled)).unwrap();
    let kept = std::fs::read(place.path("old")).unwrap();
    let used = shape().octets();
    // Every eighth octet of what is in use, turned over: indices, counters, records and entries alike.
    for at in (0..used).step_by(8) {
        let mut damaged = kept.clone();
        damaged[at] ^= 0x81;
        damaged[at + 7] ^= 0x40;
        std::fs::write(place.path("old"), &damaged).unwrap();
        let Some(remains) = place.read("old", &|_, _| Some(spooled)) else { continue };
        assert!(remains.records.len() <= whole.records.len() + 8, "octet {at}");
        for record in &remains.records {
            assert!(
                amount(record).packets < 1 << 57
                    && record.flow_start_nanoseconds <= record.flow_end_nanoseconds
            );
        }
    }
}

#[test]
fn a_directory_tells_the_living_from_the_dead() {
    let place = Place::new();
    let probe = ProbeId(Uuid::from_u128(1));
    let Ok(directory) = Directory::open(place.directory.path(), probe) else {
        panic!("/dev/shm is not a tmpfs: `mount -t tmpfs tmpfs /dev/shm`");
    };
    let (living, dead) = (directory::Own::default(), directory::Own::default());
    let small = Shape { buckets: 1, ring: 1, places: 0 };
    let of_the_living = directory.make(owner(NEW, 0), small, &living).unwrap();
    let of_the_dead = directory.make(owner(OLD, 0), small, &dead).unwrap();
    assert!(directory.remains(&|_, _| None).is_empty(), "both are locked");
    drop((of_the_dead, dead));
    let found = directory.remains(&|_, _| None);
    assert_eq!(found.iter().map(|remains| remains.owner).collect::<Vec<_>>(), [owner(OLD, 0)]);
    found.into_iter().for_each(Remains::remove);
    drop(of_the_living);
    living.end(false);
    assert_eq!(std::fs::read_dir(place.directory.path().join(probe.0.to_string())).unwrap().count(), 0);
}

#[test]
fn a_disk_is_refused() {
    let Ok(directory) = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")) else {
        panic!("no temporary directory")
    };
    let refusal = Directory::open(directory.path(), ProbeId(Uuid::nil())).unwrap_err();
    assert!(refusal.to_string().contains("not on tmpfs"), "{refusal}");
}

/// Known, and nothing.
fn nothing_of_the_kernel() -> KernelSides {
    let (tell, known) = std::sync::mpsc::channel();
    tell.send(BTreeMap::new()).unwrap();
    known
}
