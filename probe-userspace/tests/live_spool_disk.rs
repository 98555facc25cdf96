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

    /// An ext2, which knows no fallocate(2), in a file that is gone with the mount.
    fn mount_without_fallocate(megabytes: u64) -> Self {
        let folder = tempfile::Builder::new().prefix("gannet-spool-").tempdir().unwrap();
        let image = tempfile::NamedTempFile::new().unwrap();
        image.as_file().set_len(megabytes << 20).unwrap();
        let made =
            Command::new("mke2fs").args(["-q", "-F", "-t", "ext2", "-m", "0"]).arg(image.path()).status();
        assert!(made.unwrap().success(), "needs mke2fs");
        let mut mount = Command::new("mount");
        mount.args(["-o", "loop"]).arg(image.path()).arg(folder.path());
        assert!(mount.status().unwrap().success(), "needs root and a loop device");
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
    let (mut spool, _folder) = Spool::open(path, PROBE, options, None).unwrap();
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
        assert!(spool.synced(&unsynced, result).is_none());
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

/// Appends, and takes each batch as a bus would that is up: acknowledged, discarded.
fn deliver(spool: &mut Spool, cursor: CursorId, epoch: u128, sequences: u64) -> (u64, u64) {
    spool.begin_epoch(Epoch(Uuid::from_u128(epoch)), [StreamId(0)].into_iter());
    spool.write_epoch(NOW);
    for sequence in 0..sequences {
        append(spool, epoch, sequence);
        for unsynced in spool.unsynced() {
            let result = unsynced.sync();
            assert!(spool.synced(&unsynced, result).is_none());
        }
        while let Some(source) = spool.look(cursor, 5, usize::MAX) {
            let handed = spool.hand(cursor, source.fetch()).unwrap_or_default();
            handed.iter().for_each(|sealed| sealed.header.check(&sealed.body).unwrap());
            spool.acknowledge(cursor, handed.len());
        }
    }
    let terms = spool.terms(cursor, Epoch(Uuid::from_u128(epoch))).next().unwrap();
    let terms = terms.1.to_message(SINK, 1, flow_wire::ledger::Guarantee::ExactlyOnce, terms.0);
    assert_eq!(terms.in_spool, 0);
    (terms.acknowledged, terms.discarded.values().sum())
}

/// Takes whatever is free, as often as it is called.
fn fill(filler: &std::fs::File) {
    std::io::copy(&mut std::io::repeat(1), &mut &*filler).unwrap_err();
}

#[test]
fn a_start_on_a_full_disk_delivers_everything_with_the_spare_of_an_earlier_run() {
    let small = Small::mount(6);
    let (mut spool, cursor) = open(&small.spool());
    assert_eq!(deliver(&mut spool, cursor, 1, 3), (3, 0));
    spool.tend(NOW);
    let filler = std::fs::File::create(small.folder.path().join("filler")).unwrap();
    // Killed, killed again and stopped, while somebody takes what is given back.
    for (epoch, is_stopped) in [(2, false), (3, false), (4, true), (5, false)] {
        fill(&filler);
        drop(spool);
        let opened = open(&small.spool());
        spool = opened.0;
        assert_eq!(deliver(&mut spool, opened.1, epoch, 60), (60, 0), "epoch {epoch}");
        spool.write_cursors();
        let listed = probe::spool::list(&small.spool()).unwrap();
        assert_eq!((listed.segments, listed.spare_octets, listed.cursors[0].3.batches), (1, 1 << 20, 0));
        if is_stopped {
            spool.close(NOW);
        }
    }
}

/// Records that went out, wait, and are discarded as at the quota: all of an epoch.
fn books(spool: &Spool, cursor: CursorId, epoch: u128) -> (u64, u64, u64) {
    let all = spool.terms(cursor, Epoch(Uuid::from_u128(epoch))).map(|(stream, terms)| {
        let terms = terms.to_message(SINK, 1, flow_wire::ledger::Guarantee::ExactlyOnce, stream);
        let discarded = terms.discarded.get(&Discard::SpoolQuota).copied().unwrap_or(0);
        assert_eq!(terms.records_out, terms.acknowledged + terms.in_spool + discarded, "{terms:?}");
        (terms.records_out, terms.in_spool, discarded)
    });
    all.fold((0, 0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1, sum.2 + one.2))
}

#[test]
fn where_nothing_can_be_allocated_ahead_a_full_disk_costs_the_oldest_batches_too() {
    let small = Small::mount_without_fallocate(6);
    let (mut spool, cursor) = open(&small.spool());
    spool.begin_epoch(Epoch(Uuid::from_u128(1)), [StreamId(0)].into_iter());
    for sequence in 0..150 {
        assert!(matches!(append(&mut spool, 1, sequence), Appended::Kept(_)), "batch {sequence}");
        if sequence % 10 == 0 {
            spool.tend(NOW);
        }
    }
    let found = waiting(&mut spool, cursor);
    assert!(found.len() > 20 && found.last() == Some(&149), "{found:?}");
    assert!(found.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{found:?}");
    assert_eq!(books(&spool, cursor, 1), (150, found.len() as u64, 150 - found.len() as u64));
    drop(spool);
    let (mut spool, cursor) = open(&small.spool());
    assert_eq!((waiting(&mut spool, cursor), spool.statistics().damages), (found, 0));
}

#[test]
fn who_is_killed_again_and_again_on_a_full_disk_while_the_bus_is_away_leaves_books_that_say_all_of_it() {
    const STARTS: u128 = 6;
    for first in [3, 30] {
        let small = Small::mount(6);
        let filler = std::fs::File::create(small.folder.path().join("filler")).unwrap();
        let mut appended = Vec::new();
        for epoch in 1..=STARTS {
            let (mut spool, cursor) = open(&small.spool());
            for (before, count) in (1..).zip(&appended) {
                let (out, waits, discarded) = books(&spool, cursor, before);
                assert_eq!((out, waits + discarded), (*count, *count), "of {before} at the start {epoch}");
            }
            spool.begin_epoch(Epoch(Uuid::from_u128(epoch)), [StreamId(0)].into_iter());
            spool.write_epoch(NOW);
            // The second start of such a disk makes no segment; a kill may come before, or behind its second.
            let count = if epoch == 1 { first } else { 2 + 12 * (epoch as u64 % 3) };
            for sequence in 0..count {
                append(&mut spool, epoch, sequence);
                fill(&filler);
            }
            if epoch % 2 == 1 {
                spool.tend(NOW);
                fill(&filler);
            }
            appended.push(count);
        }
        let (mut spool, cursor) = open(&small.spool());
        let all: Vec<_> = (1..=STARTS).map(|epoch| books(&spool, cursor, epoch)).collect();
        let (waits, discarded) = all.iter().fold((0, 0), |sum, one| (sum.0 + one.1, sum.1 + one.2));
        assert_eq!(waits + discarded, appended.iter().sum::<u64>(), "{all:?}");
        let told = spool.take_tombstones(cursor, usize::MAX);
        assert_eq!(told.iter().map(|one| one.records).sum::<u64>(), discarded, "{told:?}");
        assert_eq!(waiting(&mut spool, cursor).len() as u64, waits);
    }
}

#[test]
fn a_spool_has_one_process_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let (spool, _cursor) = open(folder.path());
    let options = *spool.options();
    let error = Spool::open(folder.path(), PROBE, options, None).unwrap_err().to_string();
    assert!(error.contains(&std::process::id().to_string()) && error.contains("--state-dir"), "{error}");
    drop(spool);
    Spool::open(folder.path(), PROBE, options, None).unwrap();
}

#[test]
fn a_first_start_on_a_disk_without_room_says_so_and_ends() {
    let small = Small::mount(4);
    // A capture file without packets.
    let empty = small.folder.path().join("empty.pcap");
    let head = [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1];
    std::fs::write(&empty, head.map(u32::to_le_bytes).concat()).unwrap();
    let mut probe = Command::new(env!("CARGO_BIN_EXE_gannet-probe"));
    probe
        .arg("-i")
        .arg(&empty)
        .args(["--ntopng", "kafka://127.0.0.1:1", "--state-dir"])
        .arg(small.folder.path());
    let ended = probe.output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(said.contains("3 MB are free") && said.contains("--no-spool"), "{said}");
}
