//! Memory for the workers: such as outlives a kill, where that is possible and wanted, and what an earlier kill left in it.

use std::io;

use flow_wire::ledger::Amount;
use flow_wire::stamp::{Epoch, Sequence};

use super::Error;
use crate::config::Config;
use crate::export::{Identity, Salvaged};
use crate::spool::Spool;
use crate::survive::directory::Own;
use crate::survive::file::Owner;
use crate::survive::{Directory, Parts, Refusal, Remains, Shape};

/// The stream of what is salvaged is none of the workers' and has no ring of its own.
const SALVAGE: Shape = Shape { buckets: 0, ring: 1 };

/// What the workers live in, and what is to be exported of killed runs.
pub(super) struct Memory {
    pub parts: Vec<Parts>,
    pub salvage: Option<Salvaged>,
    pub own: Own,
}

/// The directory, if this run is to survive a kill; where not, it is said why.
///
/// A capture file can be read again. And without a bus and without `--probe-id` every start is a probe of its own, which no
/// next one succeeds.
pub(super) fn directory(config: &Config, is_live: bool, identity: &Identity) -> Option<Directory> {
    let base = config.recovery_dir.as_deref().filter(|_| is_live)?;
    if config.output.sinks.is_empty() && config.probe_id.is_none() {
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
    (workers, shape): (usize, Shape),
    spool: Option<&Spool>,
) -> Result<Memory, Error> {
    // Before new files take the room that the old ones still have.
    // An epoch that the spool knows nothing of has put nothing into it.
    let spooled = |epoch, stream| spool.map(|spool| spool.sealed(epoch, stream).unwrap_or(Sequence(0)));
    let remains = directory.map(|directory| directory.remains(&spooled)).unwrap_or_default();
    describe(&remains);
    let mut own = Own::default();
    let survivable = directory.map(|directory| in_files(directory, identity, (workers, shape), &mut own));
    let parts = match survivable.transpose() {
        Ok(Some(parts)) => parts,
        Ok(None) => anonymous(workers, shape)?,
        Err(refusal) => {
            say(&refusal);
            anonymous(workers, shape)?
        }
    };
    let salvage = match remains.is_empty() {
        true => None,
        false => Some(salvaged(directory, identity, (workers, remains), &mut own)?),
    };
    Ok(Memory { parts, salvage, own })
}

fn salvaged(
    directory: Option<&Directory>,
    identity: &Identity,
    (workers, remains): (usize, Vec<Remains>),
    own: &mut Own,
) -> Result<Salvaged, Error> {
    let made = directory.and_then(|directory| directory.make(owner(identity, workers), SALVAGE, own).ok());
    let parts = made.map_or_else(|| Parts::anonymous(SALVAGE).map_err(Error::FlowMemory), Ok)?;
    // Starts are counted by the spool: without one, any closing that has a spool behind it knows more.
    Ok(Salvaged { remains, lane: parts.lane, generation: 0 })
}

fn in_files(
    directory: &Directory,
    identity: &Identity,
    (workers, shape): (usize, Shape),
    own: &mut Own,
) -> Result<Vec<Parts>, Refusal> {
    (0..workers).map(|worker| directory.make(owner(identity, worker), shape, own)).collect()
}

fn anonymous(workers: usize, shape: Shape) -> Result<Vec<Parts>, Error> {
    let all: io::Result<Vec<_>> = (0..workers).map(|_| Parts::anonymous(shape)).collect();
    all.map_err(Error::FlowMemory)
}

fn owner(identity: &Identity, worker: usize) -> Owner {
    Owner {
        probe: identity.probe,
        epoch: identity.epoch,
        epoch_start_nanoseconds: identity.epoch_start_nanoseconds,
        worker: worker as u16,
        observation_domain_id: super::OBSERVATION_DOMAIN_ID,
    }
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
