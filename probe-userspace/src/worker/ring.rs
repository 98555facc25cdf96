//! What travels from a worker to the exporter: records in a ring that may outlive the process, and cuts.
//!
//! ```text
//!             released          read               tail
//! slots  .....│ in batches that │ not taken yet    │ free
//!             │ are not sealed  │                  │
//! ```
//! The exporter reads a record and releases it only when its batch is in the outbox (the spool): until then the slot is not
//! written again, and a next start finds the record there. `tail` and `released` lie in the ring's memory, `read` does not.
//! A cut takes a slot of the ring, so that it keeps its place between the records, and travels itself beside it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flow_wire::ledger::{QueueTerms, WorkerTerms};
use flow_wire::record::FlowRecord;

use super::stages::Stages;
use crate::survive::record::{self, WORDS};
use crate::survive::{Memory, Words, part_octets, step};

/// An entry of the ring.
#[derive(Debug)]
pub enum Export {
    /// A finished record.
    Record(FlowRecord),
    /// The worker's terms at this place in the ring: exactly the records before it are no longer open.
    Cut(Box<Cut>),
}

/// The worker's books at one place in its ring: once a second, and once more at its end.
///
/// Of the [`WorkerTerms`] a worker knows `received`, `metered`, `undecodable`, `non_flow`, `not_selected`, `handover_full`, `open`,
/// `discarded` (for a full ring), `fragments_without_first` and `evicted_flows`. The exporter adds what it alone knows:
/// `exported`, `in_record_ring`, `records`, and its own discards.
#[derive(Clone, Debug)]
pub struct Cut {
    /// The worker's time, since the UNIX epoch: the clock, or the time of the packets of a file.
    pub time_nanoseconds: u64,
    /// The worker's terms.
    pub worker: WorkerTerms,
    /// The terms of each of its sources; one queue may appear in the cuts of several workers.
    pub sources: Vec<QueueTerms>,
    /// How long its stages took so far; `None` for files. The exporter adds its own.
    pub stages: Option<Arc<Stages>>,
    /// The worker has ended: nothing follows in this ring.
    pub last: bool,
}

/// Words before the slots: a cache line for each of the two indices.
const HEAD_WORDS: usize = 16;
const TAIL: usize = 0;
const RELEASED: usize = 8;

/// In the first word of a slot that stands for a cut.
const CUT: u64 = record::KIND + 1;

/// Cuts on their way: some minutes of them, as many as a stuck exporter lets wait before a worker goes without.
const CUTS: usize = 256;

/// Octets of a mapping that a ring of so many entries takes.
pub(crate) const fn ring_octets(capacity: usize) -> usize {
    part_octets((HEAD_WORDS + capacity * WORDS) * size_of::<u64>())
}

/// Both ends of a ring of so many entries over a part of `memory`, which has [`ring_octets`] left.
pub(crate) fn ring(memory: &mut Memory, capacity: usize) -> (Producer, Consumer) {
    let slots = Slots { words: memory.words(HEAD_WORDS + capacity * WORDS), capacity: capacity as u64 };
    let (cuts, cuts_out) = rtrb::RingBuffer::new(CUTS);
    let abandoned = Arc::new(AtomicBool::new(false));
    let producer =
        Producer { slots: slots.clone(), tail: 0, released: 0, cuts, abandoned: Gone(abandoned.clone()) };
    let consumer = Consumer { slots, read: 0, tail: 0, cuts: cuts_out, abandoned: Gone(abandoned) };
    (producer, consumer)
}

/// A ring in memory of the process's own.
///
/// # Panics
/// There is no memory.
#[cfg(test)]
pub(crate) fn ring_of(capacity: usize) -> (Producer, Consumer) {
    ring(&mut Memory::anonymous(ring_octets(capacity)).unwrap(), capacity)
}

/// The words of a ring.
#[derive(Clone)]
struct Slots {
    words: Words,
    capacity: u64,
}

impl Slots {
    fn start(&self, at: u64) -> usize {
        HEAD_WORDS + (at % self.capacity) as usize * WORDS
    }

    fn store(&self, at: u64, words: &[u64]) {
        let start = self.start(at);
        for (slot, word) in self.words[start..start + words.len()].iter().zip(words) {
            slot.store(*word, Ordering::Relaxed);
        }
    }

    fn load(&self, at: u64) -> [u64; WORDS] {
        let start = self.start(at);
        std::array::from_fn(|word| self.words[start + word].load(Ordering::Relaxed))
    }
}

/// Says that one end is gone when it is dropped.
struct Gone(Arc<AtomicBool>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// The worker's end.
pub(crate) struct Producer {
    slots: Slots,
    tail: u64,
    /// As last read.
    released: u64,
    cuts: rtrb::Producer<Box<Cut>>,
    abandoned: Gone,
}

impl Producer {
    /// Touches all of it, so that no page fault is left for records. Nobody has put anything in yet.
    pub(crate) fn touch(&mut self) {
        /// Of the smallest pages that there are.
        const PAGE_WORDS: usize = 4096 / size_of::<u64>();
        let slots = &self.slots.words[HEAD_WORDS..];
        slots
            .iter()
            .step_by(PAGE_WORDS)
            .chain(slots.last())
            .for_each(|word| word.store(0, Ordering::Relaxed));
    }

    /// Puts a record in. `false` = it is full.
    #[inline]
    pub(crate) fn push(&mut self, record: &FlowRecord) -> bool {
        if self.slots() == 0 {
            return false;
        }
        self.slots.store(self.tail, &record::to_words(record));
        self.publish();
        true
    }

    /// Puts a cut in. It comes back where there is no room.
    pub(crate) fn push_cut(&mut self, cut: Box<Cut>) -> Result<(), Box<Cut>> {
        if self.slots() == 0 {
            return Err(cut);
        }
        self.cuts.push(cut).map_err(|rtrb::PushError::Full(cut)| cut)?;
        self.slots.store(self.tail, &[CUT]);
        self.publish();
        Ok(())
    }

    /// Whether a cut has room.
    pub(crate) fn has_room_for_cut(&self) -> bool {
        self.room() > 0 && self.cuts.slots() > 0
    }

    /// Entries that it has room for.
    fn slots(&mut self) -> usize {
        if self.tail - self.released == self.slots.capacity {
            self.released = self.slots.words[RELEASED].load(Ordering::Acquire);
        }
        (self.slots.capacity - (self.tail - self.released)) as usize
    }

    /// Like [`Producer::slots`], of this moment.
    pub(crate) fn room(&self) -> usize {
        let released = self.slots.words[RELEASED].load(Ordering::Acquire);
        (self.slots.capacity - (self.tail - released)) as usize
    }

    pub(crate) fn capacity(&self) -> usize {
        self.slots.capacity as usize
    }

    /// Entries that were ever put in.
    #[inline]
    pub(crate) fn tail(&self) -> u64 {
        self.tail
    }

    /// Nobody reads it any more.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.abandoned.0.load(Ordering::Acquire)
    }

    /// The entry is there: this one store makes it so, for the exporter and for who comes after a kill.
    fn publish(&mut self) {
        step();
        self.tail += 1;
        self.slots.words[TAIL].store(self.tail, Ordering::Release);
        step();
    }
}

/// The exporter's end.
pub(crate) struct Consumer {
    slots: Slots,
    read: u64,
    /// As last read.
    tail: u64,
    cuts: rtrb::Consumer<Box<Cut>>,
    abandoned: Gone,
}

impl Consumer {
    /// The next entry. It stays in the ring until it is released.
    pub(crate) fn pop(&mut self) -> Option<Export> {
        loop {
            if self.is_empty() {
                return None;
            }
            let words = self.slots.load(self.read);
            self.read += 1;
            if words[0] == CUT {
                // It was put there before its slot was published.
                if let Ok(cut) = self.cuts.pop() {
                    return Some(Export::Cut(cut));
                }
            } else if let Some(record) = record::from_words(&words) {
                return Some(Export::Record(record));
            }
            tracing::error!(
                "an entry of a record ring is not as it was written: the books will not balance\n  mend: look for what \
                 else writes below --recovery-dir; if nothing does, test the memory"
            );
        }
    }

    /// Entries that were ever taken.
    pub(crate) fn position(&self) -> u64 {
        self.read
    }

    /// What was taken so far may be overwritten.
    pub(crate) fn release(&mut self) {
        step();
        self.slots.words[RELEASED].store(self.read, Ordering::Release);
        step();
    }

    pub(crate) fn is_empty(&mut self) -> bool {
        if self.tail == self.read {
            self.tail = self.slots.words[TAIL].load(Ordering::Acquire);
        }
        self.tail == self.read
    }

    /// Nobody writes it any more.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.abandoned.0.load(Ordering::Acquire)
    }
}

/// What a ring that nobody writes any more holds from entry `from` on; `None` for one that is not as it was written. Cuts are
/// passed over.
pub(crate) fn remains(memory: &mut Memory, capacity: usize, from: u64) -> Remains {
    let slots = Slots { words: memory.words(HEAD_WORDS + capacity * WORDS), capacity: capacity as u64 };
    let tail = slots.words[TAIL].load(Ordering::Relaxed);
    let mut records = Vec::new();
    // More than it can hold was never in it.
    let is_sound = from <= tail && tail - from <= slots.capacity;
    for at in if is_sound { from..tail } else { 0..0 } {
        let words = slots.load(at);
        if words[0] != CUT {
            records.push(record::from_words(&words));
        }
    }
    Remains { tail, is_sound, records }
}

/// What [`remains`] found.
pub(crate) struct Remains {
    pub(crate) tail: u64,
    /// The indices are such as a ring can have.
    pub(crate) is_sound: bool,
    pub(crate) records: Vec<Option<FlowRecord>>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::tests::record;

    #[test]
    fn a_record_stays_until_it_is_released() {
        let (mut worker, mut exporter) = ring_of(2);
        assert!(worker.push(&record()) && worker.push(&record()) && !worker.push(&record()));
        assert!(matches!(exporter.pop(), Some(Export::Record(read)) if read == record()));
        assert!(!worker.push(&record()), "taken, not released");
        exporter.release();
        assert!(worker.push(&record()) && !worker.push(&record()));
        assert_eq!((worker.room(), worker.tail(), exporter.position()), (0, 3, 1));
    }

    #[test]
    fn a_cut_keeps_its_place() {
        let cut = Cut {
            time_nanoseconds: 7,
            worker: WorkerTerms::default(),
            sources: Vec::new(),
            stages: None,
            last: true,
        };
        let (mut worker, mut exporter) = ring_of(3);
        worker.push(&record());
        worker.push_cut(Box::new(cut)).unwrap();
        worker.push(&record());
        assert!(matches!(exporter.pop(), Some(Export::Record(_))));
        assert!(matches!(exporter.pop(), Some(Export::Cut(cut)) if cut.time_nanoseconds == 7));
        assert!(matches!(exporter.pop(), Some(Export::Record(_))));
        assert!(exporter.pop().is_none() && !exporter.is_abandoned());
        drop(worker);
        assert!(exporter.is_abandoned());
    }

    #[test]
    fn both_ends_run_at_once_and_every_record_arrives_once_in_order() {
        const RECORDS: u64 = 20_000;
        let (mut worker, mut exporter) = ring_of(64);
        let writer = std::thread::spawn(move || {
            for number in 0..RECORDS {
                let record = FlowRecord { packet_delta_count: number, ..record() };
                while !worker.push(&record) {
                    std::thread::yield_now();
                }
            }
        });
        let mut expected = 0;
        while expected < RECORDS {
            match exporter.pop() {
                Some(Export::Record(record)) => {
                    assert_eq!(record.packet_delta_count, expected);
                    expected += 1;
                }
                Some(Export::Cut(_)) => panic!("there was no cut"),
                None => std::thread::yield_now(),
            }
            exporter.release();
        }
        writer.join().unwrap();
        assert!(exporter.pop().is_none());
    }
}
