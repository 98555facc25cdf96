//! Stores that came in an earlier run, and what was kept for a first one, over kills of the probe.

use flow_wire::ledger::CursorTerms;
use flow_wire::upstream::{Ack, CREDIT_MAX, private_topic};

use super::store::named;
use super::*;
use crate::export::outbox::Wanted;
use crate::export::zmq::stores::{GivenUp, Peer, Stores};
use crate::spool::testing::MemoryDisk;
use crate::spool::{self, Spool};

const SINK: &str = "zmq://test";
const FIRST: &str = "zmq://test/first-store";
const STORE: u128 = 7;
const HERE: Peer = Peer { is_local: true, is_encrypted: false };

/// What the books say of a cursor: of which epoch, its name, records out, acknowledged, waiting, discarded.
type Line = (u128, String, u64, u64, u64, u64);

/// A run of a probe, an epoch of its own, over a disk that a kill leaves as it is.
struct Run {
    stores: Stores,
    outbox: Arc<Outbox>,
    cursor: Cursor,
    disk: MemoryDisk,
    epoch: u128,
    sequence: u64,
}

impl Run {
    fn begin(disk: MemoryDisk, acknowledge: Acknowledge) -> Self {
        let probe = ProbeId(Uuid::from_u128(1));
        let day = Duration::from_secs(86_400);
        let options = spool::Options {
            quota_octets: 64 << 20,
            segment_octets: 4 << 20,
            age: day,
            cursor_ttl: day,
            memory_octets: 1 << 20,
            sync: spool::Sync::None,
        };
        let spool = Spool::over(Box::new(disk.clone()), probe, options).unwrap();
        let epoch = u128::from(spool.identity().generation);
        let wanted = Wanted {
            name: SINK.to_owned(),
            guarantee: Guarantee::AtMostOnce,
            is_durable: false,
            opens_cursors: true,
        };
        let outbox = Outbox::over(&[wanted], usize::MAX, Some(spool));
        let stores = Stores::new(SINK.to_owned(), "gannet", probe, acknowledge);
        Self { stores, cursor: outbox.cursor(0), outbox, disk, epoch, sequence: 0 }
    }

    /// One that nobody waits for, as of an interface.
    fn start(disk: MemoryDisk, acknowledge: Acknowledge) -> Self {
        let mut run = Self::begin(disk, acknowledge);
        run.stores.expect(&run.cursor, acknowledge == Acknowledge::Require, false);
        run.begin_epoch();
        run
    }

    fn begin_epoch(&self) {
        self.outbox.begin_epoch(Epoch(Uuid::from_u128(self.epoch)), &[StreamId(0)]);
    }

    /// A batch of one record.
    fn append(&mut self) {
        let stamp = Stamp { epoch: Epoch(Uuid::from_u128(self.epoch)), ..stamp(self.sequence) };
        self.outbox.append(&Arc::new(encode(&[record()], stamp).unwrap()));
        self.sequence += 1;
    }

    /// A HELLO of the store; its session.
    fn greet(&mut self) -> Uuid {
        let answer = self.stores.hear(&named(STORE).to_octets(), HERE, &self.cursor, Instant::now());
        answer.unwrap().1.session.unwrap()
    }

    /// The first batches of a session are sent, and so many of them stored.
    fn acknowledge(&mut self, session: Uuid, committed: u64) {
        self.pump();
        let ack = Ack {
            store: Uuid::from_u128(STORE),
            session,
            credit: CREDIT_MAX,
            received: committed,
            committed,
        };
        assert!(self.stores.hear(&ack.to_octets(), HERE, &self.cursor, Instant::now()).is_none());
    }

    /// The books of all epochs, but for plain subscribers; they balance.
    fn books(&self) -> Vec<Line> {
        let of = |epoch: u128, terms: CursorTerms| {
            let discarded = terms.discarded.values().sum();
            assert_eq!(terms.records_out, terms.acknowledged + terms.in_spool + discarded, "{terms:?}");
            (epoch, terms.sink, terms.records_out, terms.acknowledged, terms.in_spool, discarded)
        };
        let earlier = self.outbox.earlier().into_iter();
        let earlier = earlier.flat_map(|one| {
            let epoch = one.epoch.epoch.0.as_u128();
            one.cursors.into_iter().map(move |terms| of(epoch, terms))
        });
        let current = self.outbox.terms().into_iter().map(|terms| of(self.epoch, terms));
        earlier.chain(current).filter(|line| line.1 != SINK).collect()
    }

    /// What `gannet-probe spool drop` does, and the spool's thread within a second.
    fn request_drop(&self) {
        let is_cursor = |file: &&String| file.contains(&Uuid::from_u128(STORE).to_string());
        let file = self.disk.state().files.keys().find(is_cursor).unwrap().clone() + ".drop";
        self.disk.write_all(&file, Vec::new());
        self.outbox.keep(|| !self.disk.state().files.contains_key(&file));
    }

    /// Once plain subscribers have had their turn.
    fn waits_for_no_store(&self) -> bool {
        while let Next::Batches(batches) = self.cursor.next(64, usize::MAX, Duration::ZERO) {
            self.cursor.acknowledge(batches.len());
        }
        self.outbox.wait_empty(Duration::ZERO)
    }

    fn pump(&mut self) {
        let socket = socket::socket(&::zmq::Context::new(), 8, false).unwrap();
        self.stores.pump(&socket, Instant::now());
    }

    /// Whether there is a cursor on the disk that is kept for a first store.
    fn keeps_for_first(&self) -> bool {
        self.disk.state().files.keys().any(|file| file.contains("first-store"))
    }

    fn kill(self) -> MemoryDisk {
        self.disk.copy()
    }
}

fn store() -> String {
    format!("{SINK}/{}", Uuid::from_u128(STORE))
}

/// A run in which the store came, and a batch waits for it.
fn killed_with_a_store() -> MemoryDisk {
    let mut run = Run::start(MemoryDisk::default(), Acknowledge::Require);
    run.greet();
    run.append();
    run.kill()
}

#[test]
fn no_first_store_is_awaited_where_one_is_known() {
    let mut disk = killed_with_a_store();
    for killed in 1..=2 {
        let mut run = Run::start(disk, Acknowledge::Require);
        assert!(!run.keeps_for_first());
        run.append();
        let waits = |epoch| (epoch, store(), 1, 0, 1, 0);
        assert_eq!(run.books(), (1..=killed + 1).map(waits).collect::<Vec<_>>());
        disk = run.kill();
    }
    let mut run = Run::start(disk, Acknowledge::Require);
    run.greet();
    assert_eq!(run.books().iter().map(|line| line.4).collect::<Vec<_>>(), [1, 1, 1, 0]);
}

#[test]
fn for_a_store_that_is_known_and_away_batches_are_kept() {
    for acknowledge in [Acknowledge::Require, Acknowledge::Auto] {
        let mut run = Run::start(killed_with_a_store(), acknowledge);
        assert!(run.stores.are_kept(&run.cursor) && !run.stores.have_come());
        run.greet();
        assert!(run.stores.are_kept(&run.cursor));
    }
    // Who is not let in gets nothing of it.
    let run = Run::start(killed_with_a_store(), Acknowledge::Off);
    assert!(!run.stores.are_kept(&run.cursor));
    let run = Run::start(MemoryDisk::default(), Acknowledge::Auto);
    assert!(!run.stores.are_kept(&run.cursor));
}

#[test]
fn what_a_known_store_has_before_it_is_not_lost_with_the_first_stores_cursor() {
    let mut run = Run::begin(killed_with_a_store(), Acknowledge::Require);
    let first = run.outbox.open_cursor(FIRST, Guarantee::AtLeastOnce);
    run.begin_epoch();
    run.append();
    assert_eq!(run.books().len(), 3);
    let disk = run.kill();
    drop(first);
    let run = Run::start(disk, Acknowledge::Require);
    assert!(!run.keeps_for_first());
    assert_eq!(run.outbox.take_tombstones(), []);
    assert_eq!(run.books(), [(1, store(), 1, 0, 1, 0), (2, store(), 1, 0, 1, 0), (3, store(), 0, 0, 0, 0)]);
}

#[test]
fn what_only_the_first_stores_cursor_had_is_counted_as_dropped() {
    let mut run = Run::start(MemoryDisk::default(), Acknowledge::Require);
    run.append();
    let run = Run::begin(run.kill(), Acknowledge::Auto);
    let late = run.outbox.open_cursor(&store(), Guarantee::AtLeastOnce);
    run.begin_epoch();
    let disk = run.kill();
    drop(late);
    let run = Run::start(disk, Acknowledge::Auto);
    assert!(!run.keeps_for_first());
    let told = run.outbox.take_tombstones();
    assert_eq!(
        told.iter().map(|one| (one.reason, one.records)).collect::<Vec<_>>(),
        [(Discard::CursorDropped, 1)]
    );
    assert_eq!(run.books().first(), Some(&(1, FIRST.to_owned(), 1, 0, 0, 1)));
    assert_eq!(run.books().last(), Some(&(3, store(), 0, 0, 0, 0)));
}

#[test]
fn what_an_earlier_run_kept_for_a_first_store_goes_to_the_first_that_comes() {
    let mut run = Run::start(MemoryDisk::default(), Acknowledge::Require);
    run.append();
    let mut run = Run::start(run.kill(), Acknowledge::Auto);
    run.append();
    run.greet();
    assert!(!run.keeps_for_first());
    assert_eq!(run.books(), [(1, store(), 1, 0, 1, 0), (2, store(), 1, 0, 1, 0)]);
}

#[test]
fn nobody_misses_what_this_run_kept_for_a_store_that_did_not_come() {
    let mut run = Run::start(MemoryDisk::default(), Acknowledge::Require);
    run.append();
    run.stores.await_no_longer();
    assert_eq!((run.keeps_for_first(), run.books(), run.outbox.take_tombstones()), (false, vec![], vec![]));
}

#[test]
fn a_capture_file_waits_for_a_known_store_and_then_leaves_the_rest_to_the_next_run() {
    let mut run = Run::begin(killed_with_a_store(), Acknowledge::Require);
    let begin = Instant::now();
    run.stores.expect(&run.cursor, true, true);
    run.begin_epoch();
    run.append();
    while let Next::Batches(batches) = run.cursor.next(9, usize::MAX, Duration::ZERO) {
        run.cursor.acknowledge(batches.len());
    }
    assert!(!run.keeps_for_first() && run.stores.are_kept(&run.cursor));
    assert!(!run.outbox.wait_empty(Duration::ZERO));
    let patience = PATIENCE_FOR_STORES;
    assert_eq!(run.stores.lose_patience(patience, begin, begin + patience / 2), GivenUp::default());
    assert!(!run.outbox.wait_empty(Duration::ZERO));
    assert_eq!(run.stores.lose_patience(patience, begin, begin + patience), GivenUp::default());
    assert!(run.outbox.wait_empty(Duration::ZERO) && run.stores.are_kept(&run.cursor));
    run.greet();
    assert!(!run.outbox.wait_empty(Duration::ZERO));
    assert_eq!(run.books(), [(1, store(), 1, 0, 1, 0), (2, store(), 1, 0, 1, 0)]);
}

#[test]
fn a_store_that_is_away_can_be_dropped_while_the_probe_runs_and_one_that_is_here_cannot() {
    let mut run = Run::start(MemoryDisk::default(), Acknowledge::Auto);
    run.greet();
    run.append();
    run.pump();
    run.request_drop();
    run.pump();
    assert_eq!(run.books(), [(1, store(), 1, 0, 1, 0)]);
    run.stores.unsubscribed(private_topic("gannet", Uuid::from_u128(STORE)).as_bytes());
    run.pump();
    run.request_drop();
    run.pump();
    let told = run.outbox.take_tombstones();
    let told: Vec<_> = told.iter().map(|one| (one.first.0, one.last.0, one.reason)).collect();
    assert_eq!((run.stores.have_come(), told), (false, vec![(0, 0, Discard::CursorDropped)]));
    run.append();
    assert_eq!(run.books(), []);
    // It came all the same.
    run.greet();
    run.append();
    assert_eq!(run.books(), [(1, store(), 3, 0, 1, 2)]);
}

/// What it had acknowledged before is not what it missed.
#[test]
fn a_store_that_comes_back_after_it_was_dropped_goes_on_in_its_line_of_the_books() {
    let mut run = Run::start(MemoryDisk::default(), Acknowledge::Auto);
    let session = run.greet();
    run.append();
    run.acknowledge(session, 1);
    run.append();
    assert_eq!(run.books(), [(1, store(), 2, 1, 1, 0)]);
    run.stores.unsubscribed(private_topic("gannet", Uuid::from_u128(STORE)).as_bytes());
    run.pump();
    run.request_drop();
    run.pump();
    // Told while nobody hears it.
    assert_eq!(run.outbox.take_tombstones().len(), 1);
    run.outbox.tombstones_are_told();
    run.append();
    run.greet();
    run.append();
    assert_eq!(run.books(), [(1, store(), 4, 1, 1, 2)]);
    let discarded = run.outbox.terms().into_iter().find(|terms| terms.sink == store()).unwrap().discarded;
    assert_eq!(discarded, [(Discard::CursorDropped, 1), (Discard::NoSubscriber, 1)].into());
    let told = run.outbox.take_tombstones();
    let told: Vec<_> = told.iter().map(|one| (one.first.0, one.last.0, one.reason)).collect();
    assert_eq!(told, [(1, 1, Discard::CursorDropped), (2, 2, Discard::NoSubscriber)]);
}

/// What it lost of the run that goes on is no part of books that would have to speak of all of it.
#[test]
fn a_store_that_did_not_come_back_can_be_dropped_and_the_books_balance() {
    let mut run = Run::start(killed_with_a_store(), Acknowledge::Auto);
    run.append();
    run.request_drop();
    run.append();
    assert!(!run.stores.are_kept(&run.cursor));
    assert_eq!(run.books(), [(1, store(), 1, 0, 0, 1)]);
    assert_eq!(run.outbox.take_tombstones().len(), 2);
}

/// One that comes back behind a file's patience; with a spool and without.
#[test]
fn what_was_given_up_with_a_store_stays_in_the_spool_and_a_late_ack_takes_nothing_else() {
    let mut run = Run::start(MemoryDisk::default(), Acknowledge::Auto);
    let hello = named(STORE).to_octets();
    let greet =
        |run: &mut Run, now| run.stores.hear(&hello, HERE, &run.cursor, now).unwrap().1.session.unwrap();
    let session = greet(&mut run, Instant::now());
    run.append();
    run.pump();
    let later = Instant::now() + PATIENCE_FOR_STORES;
    let give_up = |run: &mut Run| run.stores.lose_patience(PATIENCE_FOR_STORES, later, later);
    assert_eq!(give_up(&mut run), GivenUp { discarded: 0, left: 1 });
    run.append();
    assert_eq!(give_up(&mut run), GivenUp::default(), "it is said once");
    assert!(run.waits_for_no_store());
    // The same instance: what it acknowledges of the old session may be of other batches now.
    let anew = greet(&mut run, later);
    assert_ne!(anew, session);
    assert!(!run.waits_for_no_store());
    run.acknowledge(session, 1);
    assert_eq!(run.books(), [(1, store(), 2, 0, 2, 0)]);
    run.acknowledge(anew, 2);
    assert_eq!(run.books(), [(1, store(), 2, 2, 0, 0)]);
}

#[test]
fn an_awaited_store_that_never_comes_costs_a_file_nothing_that_the_spool_has() {
    let mut run = Run::start(MemoryDisk::default(), Acknowledge::Require);
    run.append();
    let begin = Instant::now();
    let later = begin + PATIENCE_FOR_STORES;
    assert_eq!(
        run.stores.lose_patience(PATIENCE_FOR_STORES, begin, later),
        GivenUp { discarded: 0, left: 1 }
    );
    run.append();
    assert_eq!(run.stores.lose_patience(PATIENCE_FOR_STORES, begin, later), GivenUp::default());
    assert!(run.waits_for_no_store());
    let mut next = Run::start(run.disk.copy(), Acknowledge::Require);
    let session = next.greet();
    next.acknowledge(session, 2);
    assert_eq!(next.books()[0], (1, store(), 2, 2, 0, 0));
}
