//! Two witnesses that know nothing of the books: the generator, and a log of what the probe sealed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use perf::flows::{Amount, Flows};

use super::store::{Content, Stamp, Stored};

/// The generator against the rows, key by key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Packets {
    /// That were sent, and of which no row tells.
    pub(crate) lost: u64,
    /// That rows tell of, and nobody sent.
    pub(crate) doubled: u64,
    /// Keys whose packets agree, and whose octets do not.
    pub(crate) uneven: u64,
}

/// Each direction of each key by itself: what one lacks does not make up for what another has too much.
pub(crate) fn packets(sent: &Flows, stored: &Flows) -> Packets {
    let mut packets = Packets::default();
    let keys: BTreeSet<_> = sent.keys().chain(stored.keys()).collect();
    for key in keys {
        let (sent, stored) = (sent.get(key).copied(), stored.get(key).copied());
        let (sent, stored) = (sent.unwrap_or_default(), stored.unwrap_or_default());
        for (sent, stored) in [(sent.upward, stored.upward), (sent.downward, stored.downward)] {
            packets.lost += sent.packets.saturating_sub(stored.packets);
            packets.doubled += stored.packets.saturating_sub(sent.packets);
            packets.uneven += u64::from(sent.packets == stored.packets && !same_octets(sent, stored));
        }
    }
    packets
}

/// Of these flows alone: packets that were sent, and of which no row tells.
pub(crate) fn lost(sent: &Flows, stored: &Flows) -> u64 {
    let of = |key| stored.get(key).copied().unwrap_or_default();
    let lacks = |sent: Amount, stored: Amount| sent.packets.saturating_sub(stored.packets);
    sent.iter()
        .map(|(key, sent)| (sent, of(key)))
        .map(|(sent, stored)| lacks(sent.upward, stored.upward) + lacks(sent.downward, stored.downward))
        .sum()
}

fn same_octets(sent: Amount, stored: Amount) -> bool {
    (sent.octets, sent.layer2_octets) == (stored.octets, stored.layer2_octets)
}

/// The log of sealed batches against those in the store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Batches {
    pub(crate) sealed: usize,
    pub(crate) stored: usize,
    /// Sealed, and not stored; but for the last one of a stream when its probe was killed.
    pub(crate) missing: Vec<Stamp>,
    /// Those: killed between seal and spool. Their records have to come in another epoch, which the generator sees.
    pub(crate) cut_off: usize,
    /// Stored, and never sealed, or with another content, or twice.
    pub(crate) wrong: Vec<Stamp>,
}

/// Lines of the log.
pub(crate) type Log = BTreeMap<Stamp, Content>;

/// `cut_off` are those that a kill may have left unspooled.
pub(crate) fn batches(sealed: &Log, stored: &Stored, cut_off: &BTreeSet<Stamp>) -> Batches {
    let mut batches = Batches { sealed: sealed.len(), stored: stored.batches.len(), ..Batches::default() };
    for stamp in sealed.keys().filter(|stamp| !stored.batches.contains_key(*stamp)) {
        match cut_off.contains(stamp) {
            true => batches.cut_off += 1,
            false => batches.missing.push(stamp.clone()),
        }
    }
    batches.wrong = stored.doubled.clone();
    let differs = |(stamp, content): &(&Stamp, &Content)| sealed.get(*stamp) != Some(*content);
    batches.wrong.extend(stored.batches.iter().filter(differs).map(|(stamp, _)| stamp.clone()));
    batches
}

/// Lines of `epoch stream sequence crc32c rows`.
pub(crate) fn read(log: &Path) -> Log {
    let text = std::fs::read_to_string(log).unwrap();
    text.lines().filter_map(entry).collect()
}

fn entry(line: &str) -> Option<(Stamp, Content)> {
    let mut words = line.split(' ');
    let epoch = words.next()?.to_owned();
    let mut number = || words.next()?.parse::<u64>().ok();
    let (stream, sequence, crc32c, rows) = (number()?, number()?, number()?, number()?);
    Some(((epoch, stream as u16, sequence), (crc32c as u32, rows as u32)))
}
