//! One worker's file, or the same layout in memory of the process's own.

use flow_wire::stamp::{Epoch, ProbeId};
use uuid::Uuid;
use xdp_abi::shunt::PLACES;

use super::bank::Bank;
use super::journal::Journal;
use super::shunts::ShuntMemory;
use super::{Memory, Owned, part_octets};
use crate::flow::{Entry, Tags, WAYS};
use crate::meter::TERMS;
use crate::worker::{Consumer, Producer, ring, ring_octets};

/// `GANNETFC`
const MAGIC: u64 = u64::from_be_bytes(*b"GANNETFC");
/// Grows with every change of the layout, of an entry or of a term: another version's remains are not read.
const VERSION: u64 = 5;

const HEAD_WORDS: usize = 32;
/// The words of the head that its check word covers, which follows them.
const HEAD_CHECKED: usize = 15;

/// Numbers of [`Sealed`].
pub(crate) const SEALED: usize = 9;
/// Numbers of the discards of an outlet.
pub(crate) const DISCARDS: usize = 4;
/// Numbers of what a next start has drained.
pub(crate) const DRAINED: usize = 5;

/// More than any machine has memory for, so that sizes do not overflow.
const BUCKETS_MAX: u64 = 1 << 32;
const RING_MAX: u64 = 1 << 32;

/// How large the parts are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Buckets of the flow cache; 0 = none.
    pub buckets: usize,
    /// Entries of the record ring.
    pub ring: usize,
    /// Places of the shunt; 0 = nothing is shunted.
    pub places: usize,
}

impl Shape {
    /// Octets of the whole.
    pub fn octets(self) -> usize {
        part_octets(HEAD_WORDS * size_of::<u64>())
            + part_octets(size_of::<Journal>())
            + Bank::<TERMS>::OCTETS
            + Bank::<DISCARDS>::OCTETS
            + Bank::<SEALED>::OCTETS
            + Bank::<DRAINED>::OCTETS
            + ring_octets(self.ring)
            + part_octets(self.buckets * size_of::<Tags>())
            + part_octets(self.buckets * WAYS * size_of::<Entry>())
            + ShuntMemory::octets(self.places)
    }
}

/// Whose file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Which probe.
    pub probe: ProbeId,
    /// Which start of it.
    pub epoch: Epoch,
    /// When that was, since the UNIX epoch.
    pub epoch_start_nanoseconds: u64,
    /// Which worker, which is its stream.
    pub worker: u16,
    /// Files that this start has made, this one among them: where one is missing, so are its terms.
    pub files: u16,
    /// Of the receive rings of all its sockets together.
    pub ring_slots: u32,
    /// IPFIX 149.
    pub observation_domain_id: u32,
}

/// What a flow cache lives in.
pub struct FlowMemory {
    pub(crate) journal: Owned<Journal>,
    pub(crate) tags: Owned<Tags>,
    pub(crate) entries: Owned<Entry>,
}

/// What a shard lives in.
pub struct ShardMemory {
    pub(crate) flows: FlowMemory,
    pub(crate) terms: Bank<TERMS>,
    /// Where flows are shunted; for who makes [`Shunts`](crate::flow::Shunts) of it.
    pub(crate) shunts: Option<ShuntMemory>,
}

/// A worker's way out.
pub struct OutMemory {
    pub(crate) ring: Producer,
    pub(crate) discards: Bank<DISCARDS>,
}

/// The exporter's end of a worker.
pub struct LaneMemory {
    pub(crate) ring: Consumer,
    pub(crate) sealed: Bank<SEALED>,
}

/// All parts, each for its owner.
pub struct Parts {
    /// For the shard.
    pub shard: ShardMemory,
    /// For the outlet.
    pub out: OutMemory,
    /// For the exporter.
    pub lane: LaneMemory,
}

impl Parts {
    /// Memory that ends with the process.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn anonymous(shape: Shape) -> std::io::Result<Self> {
        Ok(Self::of(&mut Memory::anonymous(shape.octets())?, shape, None))
    }

    /// Carves a mapping of [`Shape::octets`]. With an owner the head is written: from then on the file can be read.
    pub(crate) fn of(memory: &mut Memory, shape: Shape, owner: Option<Owner>) -> Self {
        let mut head = memory.owned::<u64>(HEAD_WORDS);
        let journal = memory.owned(1);
        let terms = Bank::of(memory);
        let discards = Bank::of(memory);
        let sealed = Bank::of(memory);
        let _drained = Bank::<DRAINED>::of(memory);
        let (producer, consumer) = ring(memory, shape.ring);
        let flows = FlowMemory {
            journal,
            tags: memory.owned(shape.buckets),
            entries: memory.owned(shape.buckets * WAYS),
        };
        let shunts = ShuntMemory::of(memory, shape.places);
        if let Some(owner) = owner {
            write_head(&mut head, owner, shape);
        }
        Self {
            shard: ShardMemory { flows, terms, shunts },
            out: OutMemory { ring: producer, discards },
            lane: LaneMemory { ring: consumer, sealed },
        }
    }
}

/// The parts of a file whose process is gone, up to the ring, and the mapping from there on.
pub(crate) struct Left {
    pub(crate) owner: Owner,
    pub(crate) shape: Shape,
    pub(crate) journal: Owned<Journal>,
    pub(crate) terms: Bank<TERMS>,
    pub(crate) discards: Bank<DISCARDS>,
    pub(crate) sealed: Bank<SEALED>,
    pub(crate) drained: Bank<DRAINED>,
    /// Ring, tags, entries and shunts are still to be taken, in this order.
    pub(crate) rest: Memory,
}

impl Left {
    /// `None` = not a file of this version, or its head is damaged, or it is shorter than its head says.
    pub(crate) fn of(file: std::fs::File) -> std::io::Result<Option<Self>> {
        let length = file.metadata()?.len();
        if length < part_octets(HEAD_WORDS * size_of::<u64>()) as u64 {
            return Ok(None);
        }
        let octets = usize::try_from(length).map_err(std::io::Error::other)?;
        let mut memory = Memory::of_file(file, octets)?;
        let head = memory.owned::<u64>(HEAD_WORDS);
        let Some((owner, shape)) = read_head(&head).filter(|(_, shape)| shape.octets() <= octets) else {
            return Ok(None);
        };
        Ok(Some(Self {
            owner,
            shape,
            journal: memory.owned(1),
            terms: Bank::of(&mut memory),
            discards: Bank::of(&mut memory),
            sealed: Bank::of(&mut memory),
            drained: Bank::of(&mut memory),
            rest: memory,
        }))
    }
}

fn write_head(head: &mut [u64], owner: Owner, shape: Shape) {
    let (probe, epoch) = (owner.probe.0.as_u64_pair(), owner.epoch.0.as_u64_pair());
    let words = [
        MAGIC,
        VERSION,
        probe.0,
        probe.1,
        epoch.0,
        epoch.1,
        owner.epoch_start_nanoseconds,
        u64::from(owner.worker),
        u64::from(owner.observation_domain_id),
        shape.buckets as u64,
        shape.ring as u64,
        size_of::<Entry>() as u64,
        u64::from(owner.files),
        u64::from(owner.ring_slots),
        shape.places as u64,
    ];
    head[..HEAD_CHECKED].copy_from_slice(&words);
    head[HEAD_CHECKED] = check_word(&words);
}

fn read_head(head: &[u64]) -> Option<(Owner, Shape)> {
    let words: [u64; HEAD_CHECKED] = head[..HEAD_CHECKED].try_into().ok()?;
    let sound = head[HEAD_CHECKED] == check_word(&words)
        && (words[0], words[1]) == (MAGIC, VERSION)
        && words[9] <= BUCKETS_MAX
        && (1..=RING_MAX).contains(&words[10])
        && words[11] == size_of::<Entry>() as u64
        && [0, u64::from(PLACES)].contains(&words[14]);
    if !sound {
        return None;
    }
    let owner = Owner {
        probe: ProbeId(Uuid::from_u64_pair(words[2], words[3])),
        epoch: Epoch(Uuid::from_u64_pair(words[4], words[5])),
        epoch_start_nanoseconds: words[6],
        worker: u16::try_from(words[7]).ok()?,
        files: u16::try_from(words[12]).ok()?,
        ring_slots: u32::try_from(words[13]).ok()?,
        observation_domain_id: u32::try_from(words[8]).ok()?,
    };
    Some((owner, Shape { buckets: words[9] as usize, ring: words[10] as usize, places: words[14] as usize }))
}

fn check_word(words: &[u64; HEAD_CHECKED]) -> u64 {
    words
        .iter()
        .fold(MAGIC, |sum: u64, word| (sum.rotate_left(23) ^ word).wrapping_mul(0xd6e8_feb8_6659_fd93))
}
