//! A kill between every two steps of a worker that shunts, with the program by hand over memory that outlives it: each packet is in one
//! record of its flow, those that the program goes on counting behind the kill too.

use std::cell::RefCell;

use xdp_abi::headers::{Fragment, Headers};
use xdp_abi::key::Direction;
use xdp_abi::shunt::{PLACES, index};

use super::*;
use crate::export::KernelSide;
use crate::flow::Shunts;
use crate::meter::testing::key;
use crate::packet::Packet;
use crate::source::xdp::shunt::{Grace, Shunt, Table};
use flow_wire::ledger::QueueTerms;

const THRESHOLD: u64 = 3;
const ACK: u8 = 16;
const FIN: u8 = 1;
const RST: u8 = 4;
/// Real time less the monotonic clock's.
const OFFSET: u64 = START - 1_000 * SECOND;

const SETTINGS: Settings = Settings { capacity: 12, ..super::SETTINGS };

fn shape() -> Shape {
    Shape { buckets: Cache::buckets_for(&SETTINGS), ring: RING, places: PLACES as usize }
}

/// Two ports whose flows have one place.
fn of_one_place() -> [u16; 2] {
    let mut seen = BTreeMap::new();
    let second = (1..400).find_map(|port| Some([seen.insert(index(key(port).hash()), port)?, port]));
    second.unwrap()
}

/// Packets and octets of frames.
type Truth = BTreeMap<u16, [u64; 2]>;

/// What the program sees: it outlives the worker.
struct Wire {
    table: Table,
    truth: RefCell<Truth>,
    /// The worker has this one, and has not said that it is metered.
    under_way: Cell<Option<u16>>,
    /// Packets in the program, put aside behind the tag.
    begun: RefCell<Vec<Packet>>,
    now: Cell<u64>,
}

impl Wire {
    fn new() -> Self {
        let (truth, begun) = (RefCell::default(), RefCell::default());
        Self { table: Table::anonymous(), truth, under_way: Cell::new(None), begun, now: Cell::new(START) }
    }

    fn note(&self, port: u16, octets: u32) {
        let mut truth = self.truth.borrow_mut();
        let counts = truth.entry(port).or_default();
        counts[0] += 1;
        counts[1] += u64::from(octets);
    }

    /// `true` = the packet comes up.
    fn judge(&self, packet: &Packet, has_socket: bool) -> bool {
        let now = packet.timestamp_nanoseconds - OFFSET;
        let is_up = self.table.judge(&packet.headers, packet.layer2_octets, (now, 0), has_socket);
        if !is_up {
            self.note(packet.headers.key.low_port, packet.layer2_octets);
        }
        is_up
    }
}

fn packet(port: u16, side: usize, tcp_flags: u8, now: u64) -> Packet {
    let octets = 100 + u32::from(port % 7);
    let direction = if side == 0 { Direction::LowToHigh } else { Direction::HighToLow };
    let headers = Headers {
        key: key(port),
        direction,
        fragment: Fragment::Whole,
        tcp_flags,
        tos: 0,
        ttl: 64,
        icmp_type: 0,
        icmp_code: 0,
        ip_octets: octets,
        ip_offset: 14,
    };
    Packet { headers, octets, layer2_octets: octets + 14, timestamp_nanoseconds: now, ingress_interface: 0 }
}

/// A worker that shunts, with its exporter.
struct Worker<'a> {
    wire: &'a Wire,
    cache: Cache,
    out: Outlet,
    exporter: &'a RefCell<ByHand>,
    grace: Grace,
    now: u64,
}

impl Worker<'_> {
    fn send(&mut self, port: u16, side: usize, flags: u8, count: usize) {
        for _ in 0..count {
            let packet = packet(port, side, flags, self.now);
            if !self.wire.table.finds(&packet.headers) || self.wire.judge(&packet, true) {
                self.up(&packet);
            }
        }
    }

    fn up(&mut self, packet: &Packet) {
        let packet = Packet { timestamp_nanoseconds: self.now, ..*packet };
        let port = packet.headers.key.low_port;
        self.wire.under_way.set(Some(port));
        let place = self.cache.place(&packet.headers.key);
        self.cache.meter(place, &packet, &mut self.out);
        self.wire.under_way.set(None);
        self.wire.note(port, packet.layer2_octets);
    }

    /// Finds the tag, and is put aside.
    fn begin(&mut self, port: u16) {
        let packet = packet(port, 0, ACK, self.now);
        assert!(self.wire.table.finds(&packet.headers));
        self.wire.begun.borrow_mut().push(packet);
    }

    fn end_grace(&mut self) {
        for packet in self.wire.begun.take() {
            if self.wire.judge(&packet, true) {
                self.up(&packet);
            }
        }
        self.grace.end();
    }

    fn pass(&mut self, nanoseconds: u64) {
        self.now += nanoseconds;
        self.wire.now.set(self.now);
        self.cache.expire(self.now, Budget { buckets: 100, looks: 100 }, &mut self.out);
        let since = Duration::from_nanos(self.now - START);
        self.exporter.borrow_mut().step(since);
    }

    /// Everything that can befall a flow that is shunted.
    fn live(&mut self) {
        let [one, other] = of_one_place();
        // Counted, read, cut by the active time-out, and read again.
        for _ in 0..6 {
            self.send(one, 0, ACK, 9);
            self.send(one, 1, ACK, 5);
            self.send(500, 0, ACK, 6);
            self.pass(SECOND);
        }
        // Its place is taken.
        self.send(other, 0, ACK, 5);
        // It falls silent with packets in the program, and another one of its key begins while it waits.
        self.begin(one);
        self.pass(SECOND);
        self.pass(2 * SECOND);
        let next = packet(one, 0, ACK, self.now);
        self.up(&next);
        self.end_grace();
        self.pass(1);
        // Now the other one has the place.
        self.pass(SECOND);
        self.send(other, 0, ACK, 8);
        self.pass(SECOND / 2);
        // An end by one side, and on; a reset.
        self.send(other, 0, FIN | ACK, 1);
        self.pass(SECOND / 2);
        self.end_grace();
        self.pass(SECOND);
        self.send(other, 1, ACK, 7);
        self.send(501, 0, ACK, 7);
        self.send(501, 0, RST, 1);
        self.pass(SECOND / 2);
        // Others are pushed out while it is shunted.
        self.send(502, 0, ACK, 9);
        for port in 600..620 {
            self.send(port, 0, ACK, 1);
        }
        self.pass(SECOND / 2);
        self.end_grace();
        self.pass(SECOND / 2);
    }
}

/// Until it ends or is killed; what the sink had.
fn run(place: &super::Place, wire: &Wire, kill_after: u64) -> (bool, Vec<Arc<Sealed>>) {
    let Parts { shard, out, lane } = place.make("old", owner(OLD, 0), shape());
    let grace = Grace::by_hand();
    let shunt =
        Shunt::waiting(vec![wire.table.clone()], SETTINGS.idle_timeout, OFFSET, grace.clone()).unwrap();
    let shunts = Shunts::new(shunt, THRESHOLD, shard.shunts.unwrap());
    let alone = Handover::mesh(1).unwrap().pop().unwrap();
    let exporter = RefCell::new(ByHand::new(OLD, vec![lane], None));
    let mut worker = Worker {
        wire,
        cache: Cache::new(&SETTINGS, shard.flows).with_shunts(Some(shunts)),
        out: Outlet::new(out, WhenFull::Discard, alone),
        exporter: &exporter,
        grace,
        now: START,
    };
    let ended = kill::after(kill_after, || worker.live());
    let flows = exporter.borrow().sent().0;
    (ended, flows)
}

/// The program behind the kill: it counts what it counts, until a sample finds no socket.
fn go_on(wire: &Wire) {
    for packet in wire.begun.take() {
        wire.judge(&packet, false);
    }
    for second in 0..3 {
        for port in [of_one_place()[0], of_one_place()[1], 500, 501, 502] {
            for side in [0, 1, 1] {
                let packet = packet(port, side, ACK, wire.now.get() + second * SECOND + SECOND / 10);
                if wire.table.finds(&packet.headers) {
                    wire.judge(&packet, false);
                }
            }
        }
    }
}

fn by_flow(records: &[FlowRecord]) -> Truth {
    let mut all = Truth::new();
    for record in records {
        let port = record.source_transport_port.min(record.destination_transport_port);
        let port = if port == 443 {
            record.source_transport_port.max(record.destination_transport_port)
        } else {
            port
        };
        let counts = all.entry(port).or_default();
        counts[0] += record.packet_delta_count + record.reverse_packet_delta_count;
        counts[1] += record.layer2_octet_delta_count + record.reverse_layer2_octet_delta_count;
        assert!(record.flow_start_nanoseconds <= record.flow_end_nanoseconds, "{record:?}");
    }
    all
}

#[test]
fn a_kill_at_any_step_of_a_worker_that_shunts_leaves_each_packet_in_one_record() {
    let place = super::Place::new();
    let (mut added, mut parted, mut metered) = (0, 0, 0);
    for kill_after in 0.. {
        let wire = Wire::new();
        let (ended, flows) = run(&place, &wire, kill_after);
        go_on(&wire);
        let mut remains = place.read("old", &|_, _| Some(next(&flows))).unwrap();
        let before = remains.terms.clone();
        remains.merge_shunted(Some(std::slice::from_ref(wire.table.counted())));
        let (rows, terms) = (rows(&flows), remains.terms.clone());
        let case = format!("kill {kill_after}");
        assert!(!remains.is_bound, "{case}");
        assert!(terms.discarded.is_empty(), "{case}: the ring was full");
        assert_eq!((terms.exported, terms.recovered), (sum(&rows), sum(&remains.records)), "{case}");
        assert_eq!(terms.shunt_merged, wire.table.total(), "{case}");
        assert_eq!(terms.metered + terms.shunt_merged, terms.exported + terms.recovered, "{case}");
        let found = by_flow(&[rows, remains.records.clone()].concat());
        let mut truth = wire.truth.borrow().clone();
        let known = truth.values().map(|counts| counts[0]).sum::<u64>();
        if terms.metered.packets + wire.table.total().packets > known {
            // It was metered, and killed before it could say so.
            let port = wire.under_way.get().unwrap();
            wire.note(port, 100 + u32::from(port % 7) + 14);
            truth.clone_from(&wire.truth.borrow());
        }
        assert_eq!(found, truth, "{case}");
        let counted = wire.table.total();
        let queue =
            QueueTerms { seen: counted, shunted: counted, shunt_counted: counted, ..QueueTerms::default() };
        let message = Message {
            queues: vec![queue],
            workers: vec![terms.clone()],
            cuts: vec![remains.cut],
            lost_in_rings: Some(0),
            closed: true,
            ..closing()
        };
        let left: Vec<_> = of_probe(&message, None)
            .into_iter()
            .filter(|identity| identity.hop != flow_wire::fault::Hop::Receive)
            .collect();
        assert_eq!(residual(&left), Amount::ZERO, "{case}: {message:?}");
        added += u64::from(terms.shunt_merged != before.shunt_merged);
        parted += u64::from(remains.records.iter().any(|record| {
            record.flow_end_reason == flow_wire::record::FlowEndReason::IdleTimeout
                && record.shunted_packet_delta_count.is_some()
        }));
        metered = terms.metered.packets;
        if ended {
            assert!(kill_after > 1_000, "{kill_after} kill points are not all of them");
            break;
        }
    }
    assert!(added > 100 && parted > 10 && metered > 50, "{added} {parted} {metered}");
}

/// A next start that is killed itself, at each of its steps, while it exports what a worker that shunted left.
#[test]
fn a_recovery_of_shunted_flows_that_is_killed_is_continued_and_nothing_comes_twice() {
    let place = super::Place::new();
    let wire = Wire::new();
    let (ended, old) = run(&place, &wire, 700);
    assert!(!ended);
    go_on(&wire);
    let spooled = next(&old);
    let counted = || vec![wire.table.counted().clone()];
    let mut whole = place.read("old", &|_, _| Some(spooled)).unwrap();
    let plain = whole.records.len();
    whole.merge_shunted(Some(&counted()));
    assert!(whole.records.len() > plain, "no shunted flow is left");
    let kept = std::fs::read(place.path("old")).unwrap();
    for kill_after in 0.. {
        std::fs::write(place.path("old"), &kept).unwrap();
        let remains = place.read("old", &|_, _| Some(spooled)).unwrap();
        let lane = place.make("new", owner(NEW, 1), Shape { buckets: 0, ring: 1, places: 0 }).lane;
        let worker = Parts::anonymous(Shape { buckets: 0, ring: RING, places: 0 }).unwrap().lane;
        let (tell, kernel) = std::sync::mpsc::channel();
        let side = KernelSide { queues: None, counted: Some(counted()), remove: Box::new(|| ()) };
        tell.send([(OLD, side)].into()).unwrap();
        let salvaged = Salvaged { remains: vec![remains], lane, generation: 2, kernel };
        let mut exporter = ByHand::new(NEW, vec![worker], Some(salvaged));
        let ended = kill::after(kill_after, || exporter.step(Duration::ZERO));
        let (flows, messages) = exporter.sent();
        let drained = rows(&flows);
        let of_new = next(&flows);
        let know = |epoch: Epoch, _: StreamId| Some(if epoch == OLD { spooled } else { of_new });
        let left = place.path("old").exists().then(|| place.read("old", &know)).flatten();
        let rest = left.map_or_else(Vec::new, |mut left| {
            left.merge_shunted(Some(&counted()));
            assert_eq!(left.terms, whole.terms, "kill {kill_after}");
            left.records.clone()
        });
        assert_eq!([drained, rest].concat(), whole.records, "kill {kill_after}");
        if ended {
            assert_eq!(messages[0].workers, std::slice::from_ref(&whole.terms));
            assert_eq!(messages[0].closes.map(|closes| closes.is_bound), Some(false));
            break;
        }
    }
}

/// Without the program's counters nobody knows what they had on top: what was read is exported, and the books are a bound.
#[test]
fn without_what_the_program_counted_the_books_of_shunted_flows_are_a_bound() {
    let place = super::Place::new();
    let wire = Wire::new();
    let (_, old) = run(&place, &wire, 700);
    let mut remains = place.read("old", &|_, _| Some(next(&old))).unwrap();
    assert!(remains.is_shunted() && !remains.is_bound);
    let read = remains.terms.shunt_merged;
    assert_ne!(read, wire.table.total());
    remains.merge_shunted(None);
    assert!(remains.is_bound);
    let terms = &remains.terms;
    assert_eq!((terms.shunt_merged, terms.lost_at_crash), (read, Amount::ZERO));
    assert_eq!(terms.metered + terms.shunt_merged, terms.exported + terms.recovered);
    assert_eq!(terms.recovered, sum(&remains.records));
}
