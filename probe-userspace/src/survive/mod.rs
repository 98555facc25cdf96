//! What survives a kill of the process: flow cache, record ring and terms of each worker, in one file of a tmpfs or hugetlbfs
//! directory (never of a disk, whose page cache is no safer and whose writes would cost the worker).
//!
//! ```text
//! <recovery-dir>/<probe>/<epoch>-<worker>.flows        one per worker, locked while its process lives
//! ┌──────┬─────────┬───────┬──────────┬────────┬─────────┬─────────────┬──────┬─────────┬────────┐
//! │ head │ journal │ terms │ discards │ sealed │ drained │ record ring │ tags │ entries │ shunts │
//! └──────┴─────────┴───────┴──────────┴────────┴─────────┴─────────────┴──────┴─────────┴────────┘
//!  once    worker    worker  worker     exporter  next start  both        worker  worker    worker    (who writes it)
//! ```
//!
//! # Why there is no window
//! A kill leaves in memory what the program stored before it ([`step`]). So it is enough that every packet and every record is
//! at each point in exactly one place, and that each move from one place to the next is one store:
//!
//! ```text
//! packet ──(1)──► entry ──(2)──► record ring ──(3)──► batch in the spool
//!                   └─────(2)──► discarded
//! ```
//! 1. A packet is *metered* when the worker's [`journal`] is cleared behind the change of its entry; until then the journal
//!    holds what it takes to undo the change. Before, it is one of those that the kernel handed over and nobody metered.
//! 2. A record is *taken* when the ring's tail moves over it, or when a bank of discards is switched: one store each, and
//!    the sum of both counts them. The journal holds the sum from before, with the entry's place: what is found afterwards
//!    tells on which side of the store the kill was. The entry is vacated behind it, and counts for nothing meanwhile.
//! 3. The ring's entries are covered by a batch when the batch is in the spool, which is atomic by the spool's own CRC. Before
//!    it is put there, its sequence and the ring position that it covers are written down (`sealed`, prepared); afterwards
//!    they are made to hold. A next start that finds them prepared asks the spool whether it has that sequence. Where there
//!    is no spool the batch counts as sent, for a sink may have been faster than the kill: at most once.
//! 4. What a next start exports leaves the old file by the same rule as in 3: `drained`, in the old file, says which batch
//!    of which epoch covers how many of the remains. A start that is killed in the middle is continued by the next.
//!
//! What the XDP program counts by itself comes into an entry by a move of its own: see [`shunts`].
//!
//! The counters are at each point those of the same side: `metered` changes in (1), undone with it; `discarded` is what (2)
//! switches; `exported` and `records` are what (3) makes hold. The other terms of a worker are switched once a burst: what a
//! burst had received and not metered when it was killed was not received, as far as the books go. None is computed from
//! the others, so `metered = exported + discarded + recovered` can fail, and says so.
//!
//! Memory is trusted as far as its owner alone may write it. What is read back from a file is not: the head has a check word,
//! records have one, entries are held against what an entry can be. What does not stand the check is counted as
//! `lost_at_crash`, and the books of that epoch then say that they are a bound.

pub(crate) mod bank;
pub mod directory;
pub(crate) mod file;
pub(crate) mod journal;
mod memory;
pub(crate) mod record;
pub mod remains;
pub(crate) mod sealed;
mod shunted;
pub(crate) mod shunts;
mod step;
#[cfg(test)]
mod tests;

pub use directory::{Directory, Refusal};
pub use file::{LaneMemory, Owner, Parts, Shape};
pub use remains::{Remains, Spooled};

pub(crate) use memory::{Memory, Owned, Words, part_octets};
#[cfg(test)]
pub(crate) use step::kill;
pub(crate) use step::{step, torn};
