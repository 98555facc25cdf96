//! The loop, over sources made of memory.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use flow_wire::ledger::{Amount, Discard};
use flow_wire::record::FlowRecord;

use super::*;
use crate::flow::{Cache, Settings};
use crate::source::{Error, Frame, LinkLayer, ObservationPoint};
use crate::survive::{Parts, Shape};

/// Bursts of frames (time and source port of a UDP packet), then nothing more.
struct Script {
    point: ObservationPoint,
    bursts: VecDeque<Vec<(u64, u16)>>,
    received: Amount,
}

impl Script {
    fn boxed(name: &str, bursts: impl IntoIterator<Item = Vec<(u64, u16)>>) -> Box<dyn Source> {
        let point = ObservationPoint { interface: name.into(), ingress_interface: 0, queue: 0 };
        Box::new(Self { point, bursts: bursts.into_iter().collect(), received: Amount::ZERO })
    }
}

fn udp(port: u16) -> Vec<u8> {
    let mut bytes = vec![0x45, 0, 0, 28, 0, 1, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2];
    bytes.extend(port.to_be_bytes());
    bytes.extend([0, 53, 0, 8, 0, 0]);
    bytes
}

impl Source for Script {
    fn observation_point(&self) -> &ObservationPoint {
        &self.point
    }

    fn receive(&mut self, _now: u64, lend: &mut dyn FnMut(&[Frame<'_>])) -> Result<State, Error> {
        let Some(burst) = self.bursts.pop_front() else { return Ok(State::Ended) };
        let packets: Vec<_> = burst.iter().map(|&(at, port)| (at, udp(port))).collect();
        let frames: Vec<_> = packets
            .iter()
            .map(|packet| Frame {
                bytes: &packet.1,
                further_octets: 0,
                original_octets: packet.1.len() as u32,
                timestamp_nanoseconds: packet.0,
                link_layer: LinkLayer::Ip,
                stripped_vlan: None,
                left_out: false,
            })
            .collect();
        for frame in &frames {
            self.received += Amount::one(frame.original_octets.into());
        }
        lend(&frames);
        Ok(State::Some)
    }

    fn wait(&mut self, _timeout: Duration) -> Result<(), Error> {
        Ok(())
    }

    fn terms(&mut self) -> Result<QueueTerms, Error> {
        Ok(QueueTerms {
            interface: self.point.interface.clone(),
            received: self.received,
            ..QueueTerms::default()
        })
    }
}

/// Says nothing, stops never.
#[derive(Default)]
struct Quiet {
    broken: Vec<String>,
    turns_left: Option<u32>,
}

impl Control for Quiet {
    fn is_stopping(&mut self) -> bool {
        match &mut self.turns_left {
            None => false,
            Some(0) => true,
            Some(turns) => {
                *turns -= 1;
                false
            }
        }
    }

    fn wait(&mut self, _sources: &mut [Box<dyn Source>], _wake: &Wake, _timeout: Duration) {}

    fn broken(&mut self, error: Error) {
        self.broken.push(error.to_string());
    }

    fn notice(&mut self, sentence: String) {
        self.broken.push(sentence);
    }
}

const SETTINGS: Settings = Settings {
    active_timeout: Duration::from_secs(120),
    active_perturbation: Duration::ZERO,
    idle_timeout: Duration::from_secs(30),
    capacity: 1024,
    hash_size: None,
    observation_domain_id: 1,
};

fn worker(number: u16, ring_capacity: usize, when_full: WhenFull, handover: Handover) -> (Worker, Consumer) {
    let shape = Shape { buckets: Cache::buckets_for(&SETTINGS), ring: ring_capacity, places: 0 };
    let Parts { shard, out, lane } = Parts::anonymous(shape).unwrap();
    let outlet = Outlet::new(out, when_full, handover);
    (Worker::new(Shard::new(number, &SETTINGS, shard), outlet, Clock::OfPackets), lane.ring)
}

fn alone() -> Handover {
    Handover::mesh(1).unwrap().pop().unwrap()
}

fn drain(out: &mut Consumer) -> (Vec<FlowRecord>, Vec<Cut>) {
    let (mut records, mut cuts) = (Vec::new(), Vec::new());
    while let Some(export) = out.pop() {
        out.release();
        match export {
            Export::Record(record) => records.push(record),
            Export::Cut(cut) => cuts.push(*cut),
        }
    }
    (records, cuts)
}

fn second(n: u64) -> u64 {
    (1_700_000_000 + n) * 1_000_000_000
}

#[test]
fn a_run_ends_with_a_cut_that_balances() {
    let (worker, mut out) = worker(3, 100, WhenFull::Discard, alone());
    let bursts = (0..10).map(|n| vec![(second(n), 1000), (second(n), 1001)]);
    worker.run(vec![Script::boxed("a", bursts)], &mut Quiet::default());
    let (records, cuts) = drain(&mut out);
    assert_eq!(records.len(), 2);
    let last = cuts.last().unwrap();
    assert!(last.last && cuts[..cuts.len() - 1].iter().all(|cut| !cut.last));
    assert_eq!((last.worker.worker, last.time_nanoseconds), (3, second(9)));
    assert_eq!((last.worker.received, last.worker.metered), (last.sources[0].received, last.worker.received));
    assert_eq!((last.worker.open, last.worker.metered.packets), (Amount::ZERO, 20));
}

#[test]
fn what_finds_the_ring_full_is_counted() {
    const ROOM: u64 = 64;
    let (worker, mut out) = worker(0, ROOM as usize, WhenFull::Discard, alone());
    // Each packet finds the flow of the one before idle, and nobody reads until all of them are through.
    let through = Arc::new(AtomicBool::new(false));
    let bursts = (0..200).map(|n| vec![(second(60 * n), 1000)]);
    let mut sources = vec![Script::boxed("a", bursts)];
    sources.push(Box::new(Flag { inner: Script::boxed("b", []), raised: through.clone() }));
    let run = std::thread::spawn(move || worker.run(sources, &mut Quiet::default()));
    let (mut records, mut last) = (0, None);
    while last.is_none() {
        std::thread::yield_now();
        if through.load(Ordering::Acquire) {
            let (more, cuts) = drain(&mut out);
            records += more.len() as u64;
            last = cuts.into_iter().find(|cut| cut.last);
        }
    }
    run.join().unwrap();
    let terms = last.unwrap().worker;
    let lost = terms.discarded[&Discard::ExportQueueFull].packets;
    assert!(lost > 0 && records >= ROOM - 1);
    assert_eq!((records + lost, terms.metered.packets), (200, 200));
}

/// Has no time for what finds no room at the end.
struct Hasty(Arc<AtomicBool>);

impl Control for Hasty {
    fn is_stopping(&mut self) -> bool {
        false
    }

    fn wait(&mut self, _sources: &mut [Box<dyn Source>], _wake: &Wake, _timeout: Duration) {}

    fn is_out_of_time(&mut self) -> bool {
        self.0.store(true, Ordering::Release);
        true
    }

    fn broken(&mut self, error: Error) {
        panic!("{error}");
    }

    fn notice(&mut self, sentence: String) {
        panic!("{sentence}");
    }
}

#[test]
fn flows_that_a_stop_has_no_time_for_are_counted() {
    for when_full in [WhenFull::Discard, WhenFull::Wait] {
        let (worker, mut out) = worker(0, 64, when_full, alone());
        // All flows are open at the end, and nobody reads before the worker has been told that there is no time.
        let bursts = (0..10).map(|n| (0..50).map(|m| (second(0), n * 50 + m)).collect());
        let sources = vec![Script::boxed("a", bursts)];
        let told = Arc::new(AtomicBool::new(false));
        let mut control = Hasty(told.clone());
        let run = std::thread::spawn(move || worker.run(sources, &mut control));
        let (mut records, mut last) = (0, None);
        while last.is_none() {
            std::thread::yield_now();
            if told.load(Ordering::Acquire) {
                let (more, cuts) = drain(&mut out);
                records += more.len() as u64;
                last = cuts.into_iter().find(|cut| cut.last);
            }
        }
        run.join().unwrap();
        let terms = last.unwrap().worker;
        let lost = terms.discarded[&Discard::DrainTimeout].packets;
        assert!(lost > 0 && records > 0, "{when_full:?}: {records} and {lost}");
        assert_eq!((records + lost, terms.metered.packets, terms.open), (500, 500, Amount::ZERO));
    }
}

/// Says when it is asked for the first time: the source before it has then ended.
struct Flag {
    inner: Box<dyn Source>,
    raised: Arc<AtomicBool>,
}

impl Source for Flag {
    fn observation_point(&self) -> &ObservationPoint {
        self.inner.observation_point()
    }

    fn receive(&mut self, now: u64, lend: &mut dyn FnMut(&[Frame<'_>])) -> Result<State, Error> {
        self.raised.store(true, Ordering::Release);
        self.inner.receive(now, lend)
    }

    fn wait(&mut self, _timeout: Duration) -> Result<(), Error> {
        Ok(())
    }

    fn terms(&mut self) -> Result<QueueTerms, Error> {
        self.inner.terms()
    }
}

/// An interface that has had one burst.
struct Interface(ObservationPoint, bool);

impl Source for Interface {
    fn observation_point(&self) -> &ObservationPoint {
        &self.0
    }

    fn receive(&mut self, now: u64, lend: &mut dyn FnMut(&[Frame<'_>])) -> Result<State, Error> {
        if std::mem::replace(&mut self.1, true) {
            return Ok(State::Idle);
        }
        let bursts = [(0..60).map(|port| (now, port)).collect()];
        Script::boxed("a", bursts).receive(now, lend)
    }

    fn wait(&mut self, _timeout: Duration) -> Result<(), Error> {
        Ok(())
    }

    fn terms(&mut self) -> Result<QueueTerms, Error> {
        Ok(QueueTerms::default())
    }
}

/// Counts how often it was to sleep, and stops when it is told.
struct Sleeper {
    naps: Arc<AtomicU32>,
    stop: Arc<AtomicBool>,
}

impl Control for Sleeper {
    fn is_stopping(&mut self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    fn wait(&mut self, _sources: &mut [Box<dyn Source>], _wake: &Wake, timeout: Duration) {
        self.naps.fetch_add(u32::from(timeout == NO_ROOM_TICK), Ordering::Release);
        std::thread::sleep(timeout);
    }

    fn broken(&mut self, error: Error) {
        panic!("{error}");
    }

    fn notice(&mut self, sentence: String) {
        panic!("{sentence}");
    }
}

#[test]
fn a_worker_whose_exporter_takes_nothing_sleeps_and_stops() {
    let settings = Settings { idle_timeout: Duration::from_millis(1), ..SETTINGS };
    let parts =
        Parts::anonymous(Shape { buckets: Cache::buckets_for(&settings), ring: 64, places: 0 }).unwrap();
    let mut out = parts.lane.ring;
    let outlet = Outlet::new(parts.out, WhenFull::Discard, alone());
    let worker = Worker::new(Shard::new(0, &settings, parts.shard), outlet, Clock::monotonic());
    let (naps, stop) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
    let mut control = Sleeper { naps: naps.clone(), stop: stop.clone() };
    let point = ObservationPoint { interface: "a".into(), ingress_interface: 0, queue: 0 };
    let run = std::thread::spawn(move || worker.run(vec![Box::new(Interface(point, false))], &mut control));
    let begun = std::time::Instant::now();
    while naps.load(Ordering::Acquire) < 10 {
        assert!(begun.elapsed() < Duration::from_secs(20), "it never slept");
        std::thread::yield_now();
    }
    stop.store(true, Ordering::Release);
    let (mut records, mut ended) = (0, false);
    while !ended {
        let (more, cuts) = drain(&mut out);
        records += more.len();
        ended = cuts.iter().any(|cut| cut.last);
        std::thread::yield_now();
    }
    run.join().unwrap();
    assert_eq!(records, 60, "nothing is discarded for want of room");
}

#[test]
fn a_file_waits_for_the_exporter_and_loses_nothing() {
    let (worker, mut out) = worker(0, 2, WhenFull::Wait, alone());
    let bursts = (0..500).map(|n| vec![(second(60 * n), 1000)]);
    let run = std::thread::spawn(move || {
        worker.run(vec![Script::boxed("a", bursts)], &mut Quiet::default());
    });
    let (mut records, mut ended) = (0, false);
    while !ended {
        let (more, cuts) = drain(&mut out);
        records += more.len();
        ended = cuts.iter().any(|cut| cut.last && cut.worker.discarded.is_empty());
        std::thread::yield_now();
    }
    run.join().unwrap();
    assert_eq!(records, 500);
}

#[test]
fn files_are_read_one_after_the_other_and_an_earlier_one_begins_anew() {
    let (worker, mut out) = worker(0, 100, WhenFull::Wait, alone());
    let at = |start: u64| (0..3_u64).map(move |n| vec![(second(start + n), 1000)]);
    let sources = vec![
        Script::boxed("1", at(1000)),
        // Goes on: one flow with the first.
        Script::boxed("2", at(1010)),
        // An older capture: a flow of its own.
        Script::boxed("3", at(0)),
    ];
    worker.run(sources, &mut Quiet::default());
    let (records, cuts) = drain(&mut out);
    let spans: Vec<_> = records
        .iter()
        .map(|r| (r.packet_delta_count, r.flow_start_nanoseconds, r.flow_end_nanoseconds))
        .collect();
    assert_eq!(spans, [(6, second(1000), second(1012)), (3, second(0), second(2))]);
    assert_eq!(cuts.last().unwrap().sources.len(), 3);
}

#[test]
fn a_stop_ends_a_file_before_its_end() {
    let (worker, mut out) = worker(0, 100, WhenFull::Wait, alone());
    let bursts = (0..1000).map(|_| vec![(second(0), 1000)]);
    worker.run(vec![Script::boxed("a", bursts)], &mut Quiet { turns_left: Some(5), ..Quiet::default() });
    let (records, cuts) = drain(&mut out);
    assert_eq!(records.iter().map(|record| record.packet_delta_count).sum::<u64>(), 6);
    assert_eq!(cuts.last().unwrap().worker.metered.packets, 6);
}

#[test]
fn two_workers_meter_each_other_s_flows_and_both_balance() {
    let mut ends = Handover::mesh(2).unwrap().into_iter();
    let mut threads = Vec::new();
    for number in 0..2_u16 {
        let (worker, out) = worker(number, 10_000, WhenFull::Wait, ends.next().unwrap());
        // Both see all flows, as with queues whose RSS is not symmetric.
        let bursts: Vec<_> = (0..40_u64)
            .map(|n| (0..50).map(|port| (second(n / 10), 1000 + port)).collect::<Vec<_>>())
            .collect();
        threads.push(std::thread::spawn(move || {
            worker.run(vec![Script::boxed("a", bursts)], &mut Quiet::default());
            out
        }));
    }
    let mut sum = (0, 0, 0);
    let mut ports = std::collections::BTreeSet::new();
    for thread in threads {
        let (records, cuts) = drain(&mut thread.join().unwrap());
        let terms = &cuts.last().unwrap().worker;
        assert_eq!(
            terms.received.packets + terms.taken_over.packets,
            terms.metered.packets + terms.handed_over.packets + terms.handover_full.packets
        );
        assert_eq!(
            records.iter().map(|record| record.packet_delta_count).sum::<u64>(),
            terms.metered.packets
        );
        sum.0 += terms.handed_over.packets;
        sum.1 += terms.taken_over.packets;
        sum.2 += terms.metered.packets + terms.handover_full.packets;
        for record in records {
            assert!(ports.insert(record.source_transport_port), "a flow in both shards");
        }
    }
    assert!(sum.0 > 0);
    assert_eq!((sum.0, sum.2, ports.len()), (sum.1, 4000, 50));
}
