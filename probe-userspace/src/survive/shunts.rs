//! What of a worker's shunts survives, behind the entries of its flow cache; nothing where nothing is shunted.
//!
//! ```text
//! | head | before | places | parted |
//!                    │        └── by place: the entry of a flow that has ended and waits for its last counts
//!                    └── by place: what of its counters is in an entry (`read`), and whether the flow has parted
//! ```
//! # Why there is no window
//! The program's counters only grow, and outlive the process in their pins. So what the program has counted is of the flow that is
//! marked with the place, in its slot or parted, and what of it is in no entry is the difference of the counters to `read`: a next
//! start adds it, once the program counts no more. What is to be seen to:
//! 1. An entry is marked before the program may count it, behind `read`; the mark goes behind the last reading. So at any point a counter
//!    that grows has one entry that is marked with its place.
//! 2. A merge changes entry, `read` and the sum of what was merged. The three as they were are written down before (`before`), then the
//!    journal says that they are under way: a kill inside puts them back, and nothing was read. Flags are taken away from the counters behind it.
//! 3. A flow that ends is copied to `parted`, then one store makes that hold, then its slot is vacated. An entry in a slot whose place has
//!    parted counts for nothing: no other flow can have the place until this one's record is out.
//! 4. A record at an active time-out leaves the flow shunted. If it was taken, the entry counts for nothing, as ever, but what comes
//!    after is of the same flow: it goes on with nothing in its record.
//!
//! A place that another worker had before is no exception: `read` is what its counters stood at when this worker's flow began, and
//! they stood still then.

use flow_wire::ledger::{Amount, Unshunted};
use flow_wire::record::FlowEndReason;

use super::memory::{Memory, Owned, part_octets};
use super::step::{step, torn};
use crate::flow::Entry;
use crate::source::xdp::shunt::Counts;

/// Words of the head.
const OFFSET: usize = 0;
const MERGED: usize = 1;
const BEGUN: usize = 3;
const REFUSED: usize = 4;
const HEAD_WORDS: usize = 8;
const _: () = assert!(REFUSED + Unshunted::ALL.len() <= HEAD_WORDS);

/// Packets, octets and layer-2 octets of each direction.
type Read = [[u64; 3]; 2];

/// Of one place.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(64))]
pub(crate) struct Kept {
    read: Read,
    /// Why the flow ended, as its record will say it; 0 = it has not parted.
    parted: u64,
    _unused: u64,
}

/// As it was before a merge.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Before {
    entry: Entry,
    read: Read,
    merged: [u64; 2],
}

const _: () = assert!(size_of::<Kept>() == 64 && size_of::<Before>() == 256);

/// What is known of the places, beside the entries.
pub(crate) struct Account {
    head: Owned<u64>,
    before: Owned<Before>,
    places: Owned<Kept>,
}

/// All of it.
pub(crate) struct ShuntMemory {
    pub(crate) account: Account,
    /// By place.
    pub(crate) parted: Owned<Entry>,
}

impl ShuntMemory {
    /// Octets of a mapping that so many places take.
    pub(crate) const fn octets(places: usize) -> usize {
        if places == 0 {
            return 0;
        }
        part_octets(HEAD_WORDS * size_of::<u64>())
            + part_octets(size_of::<Before>())
            + part_octets(places * size_of::<Kept>())
            + part_octets(places * size_of::<Entry>())
    }

    /// `None` = for no places.
    pub(crate) fn of(memory: &mut Memory, places: usize) -> Option<Self> {
        (places > 0).then(|| Self {
            account: Account {
                head: memory.owned(HEAD_WORDS),
                before: memory.owned(1),
                places: memory.owned(places),
            },
            parted: memory.owned(places),
        })
    }

    /// Undoes a merge that a kill interrupted: the entry was the one with this number, slots first, then places. `false` = it holds what
    /// nobody ever wrote down.
    pub(crate) fn undo(&mut self, entries: &mut [Entry], target: usize) -> bool {
        let before = self.account.before[0];
        let place = before.entry.shunt().filter(|place| *place < self.parted.len());
        let slots = entries.len();
        let entry = match target.checked_sub(slots) {
            None => entries.get_mut(target),
            Some(place) => self.parted.get_mut(place),
        };
        let (Some(entry), Some(place)) = (entry, place) else { return false };
        *entry = before.entry;
        self.account.places[place].read = before.read;
        self.account.head[MERGED..][..2].copy_from_slice(&before.merged);
        true
    }
}

impl Account {
    /// Nothing is known yet. `offset`: real time less the monotonic clock's.
    pub(crate) fn begin_at(&mut self, offset: u64) {
        self.head[OFFSET] = offset;
    }

    /// Real time less the monotonic clock's, nanoseconds.
    pub(crate) fn offset(&self) -> u64 {
        self.head[OFFSET]
    }

    /// A flow is about to have the place, whose counters stand still.
    pub(crate) fn begin(&mut self, place: usize, counts: &[Counts; 2]) {
        self.places[place] = Kept { read: read(counts), ..Kept::default() };
        self.head[BEGUN] += 1;
        step();
    }

    /// What was counted on top of what is in an entry; flags are those that nobody has taken away. `None` = the counters stand below that.
    pub(crate) fn since(&self, place: usize, counts: &[Counts; 2]) -> Option<[Counts; 2]> {
        let mut more = *counts;
        for (more, [packets, octets, layer2_octets]) in more.iter_mut().zip(self.places[place].read) {
            more.packets = more.packets.checked_sub(packets)?;
            more.octets = more.octets.checked_sub(octets)?;
            more.layer2_octets = more.layer2_octets.checked_sub(layer2_octets)?;
        }
        Some(more)
    }

    /// The entry of a place is about to change, and with it what [`Account::merged`] changes.
    pub(crate) fn merging(&mut self, place: usize, entry: &Entry) {
        let merged = [self.head[MERGED], self.head[MERGED + 1]];
        self.before[0] = Before { entry: *entry, read: self.places[place].read, merged };
    }

    /// So much more is in the entry, of what stands at these counts.
    pub(crate) fn merged(&mut self, place: usize, counts: &[Counts; 2], more: Amount) {
        torn();
        self.places[place].read = read(counts);
        torn();
        self.head[MERGED] = self.head[MERGED].wrapping_add(more.packets);
        torn();
        self.head[MERGED + 1] = self.head[MERGED + 1].wrapping_add(more.octets);
    }

    /// The flow of this place has ended, and stands beside the slots.
    pub(crate) fn part(&mut self, place: usize, reason: FlowEndReason) {
        step();
        self.places[place].parted = reason as u64;
        step();
    }

    /// Its record is out.
    pub(crate) fn end(&mut self, place: usize) {
        step();
        self.places[place].parted = 0;
        step();
    }

    /// `None` = no flow of this place has parted, or the reason is none.
    pub(crate) fn parted(&self, place: usize) -> Option<FlowEndReason> {
        FlowEndReason::from_number(u8::try_from(self.places[place].parted).ok()?)
    }

    /// Whether something stands there, sound or not.
    pub(crate) fn has_parted(&self, place: usize) -> bool {
        self.places[place].parted != 0
    }

    /// An elephant was not shunted.
    pub(crate) fn refuse(&mut self, reason: Unshunted) {
        self.head[REFUSED + reason as usize] += 1;
    }

    /// What was ever merged.
    pub(crate) fn amount(&self) -> Amount {
        Amount { packets: self.head[MERGED], octets: self.head[MERGED + 1] }
    }

    /// Flows that ever had a place.
    pub(crate) fn begun(&self) -> u64 {
        self.head[BEGUN]
    }

    /// By [`Unshunted`].
    pub(crate) fn refused(&self) -> [u64; Unshunted::ALL.len()] {
        std::array::from_fn(|reason| self.head[REFUSED + reason])
    }
}

fn read(counts: &[Counts; 2]) -> Read {
    counts.map(|counts| [counts.packets, counts.octets, counts.layer2_octets])
}
