//! The writer with a store that does what the test says.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use prometheus_client::registry::Registry;

use super::message::{Arrived, Content};
use super::{Counters, Failure, Feed, InputStatus, Stop, StoreStatus, Writer};
use crate::store::{Books, Committed, Error, Intake, Offset, Reader};
use crate::testing::{arrival, batch, books, message, record, stamp};

/// Refuses as often as there are errors, and remembers what it took: batches, and whether all was drained.
#[derive(Clone, Default)]
struct Fake {
    errors: Arc<Mutex<VecDeque<Error>>>,
    taken: Arc<Mutex<Vec<(usize, bool)>>>,
}

impl crate::store::Writer for Fake {
    fn commit(&mut self, intake: &Intake) -> Result<Committed, Error> {
        if let Some(error) = self.errors.lock().unwrap().pop_front() {
            return Err(error);
        }
        self.taken.lock().unwrap().push((intake.batches.len(), intake.drained));
        Ok(Committed::default())
    }

    fn all_offsets(&self) -> Result<Vec<Offset>, Error> {
        Ok(Vec::new())
    }

    fn id(&self) -> uuid::Uuid {
        uuid::Uuid::nil()
    }

    fn reader(&self) -> Result<Box<dyn Reader>, Error> {
        Err(Error::Overflow)
    }
}

struct Running {
    fake: Fake,
    status: Arc<StoreStatus>,
    stop: Stop,
    thread: JoinHandle<Result<(), Failure>>,
}

/// A writer with these inputs (whose buses keep what is not read, or not) over a store that first says these errors.
fn start(keeps: &[bool], errors: Vec<Error>) -> (Running, Vec<Feed>) {
    let (fake, status, stop) = (Fake::default(), Arc::new(StoreStatus::default()), Stop::default());
    fake.errors.lock().unwrap().extend(errors);
    let counters = Counters::register(&mut Registry::default());
    let mut writer = Writer::new(Box::new(fake.clone()), counters, Arc::clone(&status));
    let input = |keeps: &bool| writer.feed(Arc::new(InputStatus::new("test".into())), *keeps).unwrap();
    let feeds = keeps.iter().map(input).collect();
    let thread = std::thread::spawn({
        let stop = stop.clone();
        move || writer.run(&stop)
    });
    (Running { fake, status, stop, thread }, feeds)
}

fn arrived(sequence: u64) -> Arrived {
    let content = Content::Flows(batch(stamp(0, sequence), &[record(sequence)]));
    Arrived { arrival: Some(arrival(stamp(0, sequence), 1)), content, offset: None }
}

#[test]
fn what_came_before_the_end_is_committed() {
    let (running, feeds) = start(&[false], vec![]);
    for sequence in 0..5 {
        feeds[0].message(arrived(sequence)).unwrap();
    }
    drop(feeds);
    running.thread.join().unwrap().unwrap();
    let taken = running.fake.taken.lock().unwrap();
    assert_eq!(taken.iter().map(|(batches, _)| batches).sum::<usize>(), 5);
    // Nothing of ZMQ can be read later: it is always read to its end.
    assert!(taken.iter().all(|(_, drained)| *drained));
}

#[test]
fn a_stop_stores_what_is_nowhere_else_and_leaves_the_rest_to_its_bus() {
    let (running, feeds) = start(&[true, false], vec![]);
    running.stop.set();
    for sequence in 0..5 {
        feeds[0].message(arrived(sequence)).unwrap();
        feeds[1].message(arrived(100 + sequence)).unwrap();
    }
    drop(feeds);
    running.thread.join().unwrap().unwrap();
    assert_eq!(running.fake.taken.lock().unwrap().iter().map(|(batches, _)| batches).sum::<usize>(), 5);
}

#[test]
fn ledger_messages_fill_a_transaction_by_their_octets() {
    let (running, feeds) = start(&[false], vec![]);
    for sequence in 0..4 {
        let books = Books { body_octets: 100 << 20, ..books(sequence, message(&[], false)) };
        let arrival = Some(arrival(books.stamp, 0));
        feeds[0].message(Arrived { arrival, content: Content::Books(books), offset: None }).unwrap();
    }
    drop(feeds);
    running.thread.join().unwrap().unwrap();
    assert_eq!(running.fake.taken.lock().unwrap().len(), 2);
}

#[test]
fn a_store_that_recovers_gets_the_same_again() {
    let (running, feeds) = start(&[false], vec![Error::Overflow]);
    feeds[0].message(arrived(0)).unwrap();
    drop(feeds);
    running.thread.join().unwrap().unwrap();
    assert_eq!(*running.fake.taken.lock().unwrap(), [(1, true)]);
    assert!(!running.stop.is_set() && running.status.error().is_none() && !running.status.gave_up());
}

#[test]
fn a_store_that_cannot_recover_stops_everything() {
    let hopeless = Error::Malformed { table: "test", found: "nonsense".into() };
    let (running, feeds) = start(&[false], vec![hopeless]);
    feeds[0].message(arrived(0)).unwrap();
    let failure = running.thread.join().unwrap().unwrap_err();
    assert_eq!(failure.attempts, 1);
    assert!(running.stop.is_set() && running.status.gave_up() && running.status.error().is_some());
    assert!(feeds[0].message(arrived(1)).is_err(), "nobody takes it any more");
}

#[test]
fn all_inputs_must_be_read_to_their_ends() {
    let (running, feeds) = start(&[true, true, false], vec![]);
    feeds[0].message(arrived(0)).unwrap();
    feeds[0].drained(1).unwrap();
    feeds[2].message(arrived(1)).unwrap();
    drop(feeds);
    running.thread.join().unwrap().unwrap();
    assert!(running.fake.taken.lock().unwrap().iter().all(|(_, drained)| !drained));
    assert!(!running.status.caught_up(), "the second input never said that it is at its end");

    let (running, feeds) = start(&[true, false], vec![]);
    feeds[0].message(arrived(0)).unwrap();
    feeds[0].drained(1).unwrap();
    drop(feeds);
    running.thread.join().unwrap().unwrap();
    assert_eq!(running.fake.taken.lock().unwrap().last().map(|(_, drained)| *drained), Some(true));
    assert!(running.status.caught_up());
}

#[test]
fn what_comes_after_the_end_was_reached_does_not_unsay_it() {
    let (running, feeds) = start(&[true], vec![]);
    feeds[0].message(arrived(0)).unwrap();
    feeds[0].drained(1).unwrap();
    feeds[0].message(arrived(1)).unwrap();
    drop(feeds);
    running.thread.join().unwrap().unwrap();
    assert!(running.fake.taken.lock().unwrap().iter().any(|(_, drained)| *drained));
    assert!(!running.status.caught_up(), "there may be more behind what came since");
}
