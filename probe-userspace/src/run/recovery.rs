//! Memory for the workers: such as outlives a kill, where that is possible and wanted, and what an earlier kill left in it.

use std::collections::BTreeMap;
use std::io;
use std::sync::mpsc;

use flow_wire::ledger::Amount;
use flow_wire::stamp::{Epoch, Sequence};

use super::Error;
use super::pins::Pins;
use crate::config::Config;
use crate::export::{Identity, KernelSide, KernelSides, Salvaged};
use crate::spool::Spool;
use crate::survive::directory::Own;
use crate::survive::file::Owner;
use crate::survive::{Directory, Parts, Refusal, Remains, Shape};

/// The stream of what is salvaged is none of the workers' and has no ring of its own.
const SALVAGE: Shape = Shape { buckets: 0, ring: 1, places: 0 };

/// What the workers live in, and what is to be exported of killed runs.
pub(super) struct Memory {
    pub parts: Vec<Parts>,
    pub salvage: Option<Salvaged>,
    pub killed: Killed,
    pub own: Own,
}

/// What a run needs memory for.
#[derive(Clone, Copy)]
pub(super) struct Needs {
    pub workers: usize,
    /// Of each worker's.
    pub shape: Shape,
    /// Of all sockets' receive rings together: what can lie in them when the run is killed.
    pub ring_slots: u32,
}

/// The epochs that left something, and who waits for what the kernel counted for them.
pub(super) struct Killed {
    epochs: Vec<Epoch>,
    tell: mpsc::Sender<BTreeMap<Epoch, KernelSide>>,
}

impl Killed {
    /// The doors are open: what the kernel counted for them will not change any more.
    pub(super) fn settle(&self, pins: &mut Pins) {
        // Where nothing is salvaged nobody waits.
        let _nobody = self.tell.send(pins.settle(&self.epochs));
    }
}

impl Memory {
    /// Whether the workers' memory outlives a kill.
    pub(super) fn is_lasting(&self) -> bool {
        !self.own.is_empty()
    }
}

/// The directory, if this run is to survive a kill; where not, it is said why.
///
/// A capture file can be read again. And without a bus and without `--probe-id` every start is a probe of its own, which no
/// next one succeeds.
pub(super) fn directory(config: &Config, is_live: bool, identity: &Identity) -> Option<Directory> {
    let base = config.recovery_dir.as_deref().filter(|_| is_live)?;
    if !config.output.has_bus() && config.probe_id.is_none() {
        tracing::info!(
            "open flows would not survive a kill: without a bus or --probe-id no next start knows this one"
        );
        return None;
    }
    match Directory::open(base, identity.probe) {
        Ok(directory) => Some(directory),
        Err(refusal) => {
            say(&refusal);
            None
        }
    }
}

/// Memory for so many workers: in files, else of the process's own.
pub(super) fn memory(
    directory: Option<&Directory>,
    identity: &Identity,
    needs: Needs,
    spool: Option<&Spool>,
) -> Result<Memory, Error> {
    // Before new files take the room that the old ones still have.
    // An epoch that the spool knows nothing of has put nothing into it.
    let spooled = |epoch, stream| spool.map(|spool| spool.sealed(epoch, stream).unwrap_or(Sequence(0)));
    let remains = directory.map(|directory| directory.remains(&spooled)).unwrap_or_default();
    let remains = open(remains, spool);
    describe(&remains);
    let (tell, kernel) = mpsc::channel();
    let killed = Killed { epochs: remains.iter().map(|remains| remains.owner.epoch).collect(), tell };
    let own = Own::default();
    let made = make(directory, identity, needs, (remains, kernel), &own);
    let (parts, salvage) = made.inspect_err(|_| own.end(true))?;
    Ok(Memory { parts, salvage, killed, own })
}

/// Those whose books are not closed: one that was killed behind that has nothing left but its files.
fn open(remains: Vec<Remains>, spool: Option<&Spool>) -> Vec<Remains> {
    let is_closed = |one: &Remains| {
        one.records.is_empty() && spool.is_some_and(|spool| spool.has_closed(one.owner.epoch))
    };
    let (closed, open): (Vec<_>, Vec<_>) = remains.into_iter().partition(is_closed);
    closed.into_iter().for_each(Remains::remove);
    open
}

fn make(
    directory: Option<&Directory>,
    identity: &Identity,
    needs: Needs,
    (remains, kernel): (Vec<Remains>, KernelSides),
    own: &Own,
) -> Result<(Vec<Parts>, Option<Salvaged>), Error> {
    let files = needs.workers + usize::from(!remains.is_empty());
    let owner = |worker| Owner {
        probe: identity.probe,
        epoch: identity.epoch,
        epoch_start_nanoseconds: identity.epoch_start_nanoseconds,
        worker: worker as u16,
        files: files as u16,
        ring_slots: needs.ring_slots,
        observation_domain_id: super::OBSERVATION_DOMAIN_ID,
    };
    let in_files = |directory: &Directory| -> Result<Vec<Parts>, Refusal> {
        (0..needs.workers).map(|worker| directory.make(owner(worker), needs.shape, own)).collect()
    };
    let parts = match directory.map(in_files).transpose() {
        Ok(Some(parts)) => parts,
        Ok(None) => anonymous(needs.workers, needs.shape)?,
        Err(refusal) => {
            say(&refusal);
            // The first ones may have found room: nobody lives in them, and a next start would take them for a killed run.
            own.end(false);
            anonymous(needs.workers, needs.shape)?
        }
    };
    if remains.is_empty() {
        return Ok((parts, None));
    }
    let made = directory.and_then(|directory| directory.make(owner(needs.workers), SALVAGE, own).ok());
    let salvage = made.map_or_else(|| Parts::anonymous(SALVAGE).map_err(Error::FlowMemory), Ok)?;
    // Starts are counted by the spool: without one, any closing that has a spool behind it knows more.
    Ok((parts, Some(Salvaged { remains, lane: salvage.lane, generation: 0, kernel })))
}

fn anonymous(workers: usize, shape: Shape) -> Result<Vec<Parts>, Error> {
    let all: io::Result<Vec<_>> = (0..workers).map(|_| Parts::anonymous(shape)).collect();
    all.map_err(Error::FlowMemory)
}

fn say(refusal: &Refusal) {
    tracing::warn!("open flows will not survive a kill of the probe: {refusal}");
}

fn describe(remains: &[Remains]) {
    let mut epochs: Vec<(Epoch, Amount, bool)> = Vec::new();
    for one in remains {
        match epochs.last_mut() {
            Some((epoch, amount, is_bound)) if *epoch == one.owner.epoch => {
                *amount += one.terms.recovered;
                *is_bound |= one.is_bound;
            }
            _ => epochs.push((one.owner.epoch, one.terms.recovered, one.is_bound)),
        }
    }
    for (epoch, recovered, is_bound) in epochs {
        tracing::warn!(
            "the run {} was killed: {} packets in its open flows and finished records are exported now, marked \
             recovered_from",
            epoch.0,
            recovered.packets
        );
        if is_bound {
            tracing::error!(
                "what the run {} left is damaged: the rest of what it had metered is counted as lost_at_crash; that is a \
                 bound",
                epoch.0
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use flow_wire::batch::Sealed;
    use flow_wire::ledger::Message;
    use flow_wire::stamp::{ProbeId, Stamp, StreamId};
    use uuid::Uuid;

    use super::*;
    use crate::spool::testing::MemoryDisk;
    use crate::spool::{Note, Options, Sync};

    const PROBE: ProbeId = ProbeId(Uuid::from_u128(1));
    const SMALL: Shape = Shape { buckets: 1, ring: 1, places: 0 };

    fn needs(workers: usize) -> Needs {
        Needs { workers, shape: SMALL, ring_slots: 0 }
    }

    fn identity(epoch: u128) -> Identity {
        Identity {
            probe: PROBE,
            epoch: Epoch(Uuid::from_u128(epoch)),
            epoch_start_nanoseconds: 0,
            exporter: "host".to_owned(),
            active_timeout: Duration::ZERO,
        }
    }

    fn spool(disk: &MemoryDisk) -> Spool {
        let day = Duration::from_secs(86_400);
        let options = Options {
            quota_octets: 64 << 20,
            segment_octets: 4 << 20,
            age: day,
            cursor_ttl: day,
            memory_octets: 0,
            sync: Sync::None,
        };
        Spool::over(Box::new(disk.clone()), PROBE, options).unwrap()
    }

    fn in_memory() -> tempfile::TempDir {
        tempfile::tempdir_in("/dev/shm").expect("a tmpfs")
    }

    #[test]
    fn a_start_that_was_killed_behind_its_closed_books_was_none() {
        let (base, disk) = (in_memory(), MemoryDisk::default());
        let directory = Directory::open(base.path(), PROBE).unwrap();
        let closed = identity(1);
        let mut spool_of_first = spool(&disk);
        spool_of_first.open_cursor("kafka://a", 0);
        spool_of_first.begin_epoch(closed.epoch, [StreamId(0)].into_iter());
        let stamp =
            Stamp { probe: PROBE, epoch: closed.epoch, stream: StreamId::CONTROL, sequence: Sequence(0) };
        let books = Sealed::ledger(&Message { closed: true, ..Message::default() }, stamp).unwrap();
        spool_of_first.append(&Arc::new(books), Note::ClosedBooks, 0, 1);
        for epoch in [1, 2] {
            drop(memory(Some(&directory), &identity(epoch), needs(1), Some(&spool_of_first)).unwrap());
        }
        let second = spool(&disk.copy());
        let memory = memory(Some(&directory), &identity(3), needs(1), Some(&second)).unwrap();
        let epochs: Vec<_> =
            memory.salvage.iter().flat_map(|all| &all.remains).map(|one| one.owner.epoch).collect();
        assert_eq!(epochs, [Epoch(Uuid::from_u128(2))]);
    }

    #[test]
    fn files_of_which_not_all_find_room_are_none() {
        let base = in_memory();
        let directory = Directory::open(base.path(), PROBE).unwrap();
        let folder = base.path().join(PROBE.0.to_string());
        std::fs::write(folder.join(format!("{}-00001.new", Uuid::from_u128(1))), "in its way").unwrap();
        let own = Own::default();
        let nothing = (Vec::new(), mpsc::channel().1);
        let (parts, _) = make(Some(&directory), &identity(1), needs(2), nothing, &own).unwrap();
        assert_eq!((parts.len(), std::fs::read_dir(&folder).unwrap().count()), (2, 0));
    }
}
