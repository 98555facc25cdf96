//! The spool on a real file system that is really full: a tmpfs of some megabytes, mounted by root for the test alone.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use flow_wire::batch::Sealed;
use flow_wire::bus::Kind;
use flow_wire::header::Header;
use flow_wire::ledger::{Amount, Discard};
use flow_wire::stamp::{Epoch, ProbeId, Sequence, Stamp, StreamId};
use probe::spool::{Appended, CursorId, Note, Options, Spool, Sync};
use uuid::Uuid;

const PROBE: ProbeId = ProbeId(Uuid::from_u128(1));
const SINK: &str = "kafka://test:9092";
const BODY_OCTETS: usize = 100_000;
const NOW: u64 = 1_700_000_000_000_000_000;
const DAY: Duration = Duration::from_secs(86_400);

/// A tmpfs; unmounted with the test.
struct Small {
    folder: tempfile::TempDir,
}

impl Small {
    fn mount(megabytes: u32) -> Self {
        let folder = tempfile::Builder::new().prefix("gannet-spool-").tempdir().unwrap();
        let size = format!("size={megabytes}m");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder.path());
        assert!(mount.status().unwrap().success(), "needs root");
        Self { folder }
    }

    fn spool(&self) -> PathBuf {
        self.folder.path().join("spool")
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // What is still open there keeps the memory until it is closed, and the name is gone at once.
        let _ = Command::new("umount").arg("--lazy").arg(self.folder.path()).status();
    }
}

fn open(path: &Path) -> (Spool, CursorId) {
    let options = Options {
        quota_octets: 1 << 30,
        segment_octets: 1 << 20,
        age: 7 * DAY,
        cursor_ttl: 7 * DAY,
        memory_octets: 0,
        sync: Sync::Batch,
    };
    let (mut spool, _folder) = Spool::open(path, PROBE, options).unwrap();
    let cursor = spool.open_cursor(SINK, NOW / 1_000_000_000).unwrap();
    (spool, cursor)
}

fn append(spool: &mut Spool, epoch: u128, sequence: u64) -> Appended {
    let stamp = Stamp {
        probe: PROBE,
        epoch: Epoch(Uuid::from_u128(epoch)),
        stream: StreamId(0),
        sequence: Sequence(sequence),
    };
    let body = vec![sequence as u8; BODY_OCTETS];
    let header = Header::seal(Kind::Flows, stamp, 1, &body);
    spool.append(&Arc::new(Sealed { header, body, exported: Amount::one(60) }), Note::Flows, 0, NOW)
}

/// Sequences that wait, from the disk, each checked.
fn waiting(spool: &mut Spool, cursor: CursorId) -> Vec<u64> {
    for unsynced in spool.unsynced() {
        let result = unsynced.sync();
        spool.synced(&unsynced, result, NOW);
    }
    let mut all = Vec::new();
    while let Some(source) = spool.look(cursor, 5, usize::MAX) {
        for sealed in spool.hand(cursor, source.fetch()).unwrap_or_default() {
            sealed.header.check(&sealed.body).unwrap();
            all.push(sealed.header.stamp.sequence.0);
        }
    }
    spool.give_back(cursor);
    all
}

#[test]
fn a_disk_that_is_full_costs_the_oldest_batches_and_a_start_is_possible_all_the_same() {
    let small = Small::mount(6);
    let (mut spool, cursor) = open(&small.spool());
    spool.begin_epoch(Epoch(Uuid::from_u128(1)), [StreamId(0)].into_iter());
    for sequence in 0..150 {
        assert!(matches!(append(&mut spool, 1, sequence), Appended::Kept(_)), "batch {sequence}");
    }
    let first = waiting(&mut spool, cursor);
    assert!(first.len() > 20 && first.last() == Some(&149), "{first:?}");
    assert!(
        first.windows(2).all(|pair| pair[0] + 1 == pair[1]),
        "the oldest went, and none between: {first:?}"
    );
    drop(spool);
    // Somebody else takes what is left of the disk.
    let filler = std::fs::File::create(small.folder.path().join("filler")).unwrap();
    std::io::copy(&mut std::io::repeat(1), &mut &filler).unwrap_err();
    let (mut spool, cursor) = open(&small.spool());
    let found = waiting(&mut spool, cursor);
    assert_eq!(found, first, "what was there is there");
    spool.begin_epoch(Epoch(Uuid::from_u128(2)), [StreamId(0)].into_iter());
    for sequence in 0..60 {
        append(&mut spool, 2, sequence);
    }
    let (mut out, mut waits, mut discarded) = (0, 0, 0);
    for epoch in [1, 2] {
        for (stream, terms) in spool.terms(cursor, Epoch(Uuid::from_u128(epoch))) {
            let terms = terms.to_message(SINK, 1, flow_wire::ledger::Guarantee::ExactlyOnce, stream);
            out += terms.records_out;
            waits += terms.in_spool;
            discarded += terms.discarded.get(&Discard::SpoolQuota).copied().unwrap_or(0);
        }
    }
    assert_eq!((out, waits + discarded), (210, 210));
    assert_eq!(waiting(&mut spool, cursor).len() as u64, waits);
}

#[test]
fn a_spool_has_one_process_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let (spool, _cursor) = open(folder.path());
    let options = *spool.options();
    let error = Spool::open(folder.path(), PROBE, options).unwrap_err().to_string();
    assert!(error.contains(&std::process::id().to_string()) && error.contains("--state-dir"), "{error}");
    drop(spool);
    Spool::open(folder.path(), PROBE, options).unwrap();
}
