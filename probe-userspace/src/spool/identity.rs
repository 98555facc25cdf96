//! Which spool this is, and which start of it: durable before anything is appended.

use std::io;

use flow_wire::stamp::ProbeId;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::checked;
use super::disk::{Disk, is_full};
use super::error::Error;
use super::position::GENERATIONS;

/// Name of the file.
const FILE: &str = "identity";

/// First word of the file, and its version.
const MAGIC: &str = "gannet-spool 1";

/// What a disk writes as one.
const SECTOR_OCTETS: usize = 512;

/// The content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Made with the spool.
    pub spool: Uuid,
    /// Whose batches are in it.
    pub probe: ProbeId,
    /// Counts the starts, from 1.
    pub generation: u64,
    /// The process that holds it, or held it last: for people.
    pub process: u32,
}

impl Identity {
    /// As it stands; `None` = the spool is new.
    pub(super) fn read(disk: &dyn Disk) -> Result<Option<Self>, Error> {
        let failed = |error| Error::Disk { operation: "reading its identity", error };
        let Some(content) = disk.read(FILE).map_err(failed)? else { return Ok(None) };
        let damaged = |reason: String| Error::Identity { reason };
        let identity: Self = checked::from_octets(MAGIC, &content).ok_or_else(|| {
            damaged(format!("{} octets without the sum that they should have", content.len()))
        })?;
        if identity.generation >= GENERATIONS - 1 {
            return Err(damaged(format!("{} starts, and a spool has {GENERATIONS}", identity.generation)));
        }
        Ok(Some(identity))
    }

    /// Begins the next start.
    pub(super) fn begin(disk: &dyn Disk, probe: ProbeId) -> Result<Self, Error> {
        let process = std::process::id();
        let identity = match Self::read(disk)? {
            Some(before) if before.probe != probe => {
                return Err(Error::OtherProbe { found: before.probe, asked: probe });
            }
            Some(before) => Self { generation: before.generation + 1, process, ..before },
            None => Self { spool: Uuid::new_v4(), probe, generation: 1, process },
        };
        let content = serde_json::to_vec(&identity).map_err(|error| Error::Disk {
            operation: "writing its identity",
            error: io::Error::other(error),
        })?;
        let failed = |error| Error::Disk { operation: "writing its identity", error };
        write(disk, &checked::to_octets(MAGIC, content, SECTOR_OCTETS)).map_err(failed)?;
        Ok(identity)
    }
}

/// Whole; where the disk has no room for a second one, over the first: it is one sector, and always has the same length.
fn write(disk: &dyn Disk, content: &[u8]) -> io::Result<()> {
    match disk.replace(FILE, content, true) {
        Err(error) if is_full(&error) => {
            let file = disk.open(FILE)?;
            file.write_at(content, 0)?;
            file.sync()
        }
        written => written,
    }
}
