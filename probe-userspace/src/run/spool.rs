//! Opening the spool for a run, and looking at it instead of running.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use flow_wire::stamp::ProbeId;

use super::Error;
use super::host::User;
use crate::config::{Config, SpoolAction, SpoolSyncWord};
use crate::export::Sink;
use crate::spool::{self, Directory, Options, Spool, Sync};

/// Folder within the state directory.
const FOLDER: &str = "spool";

/// What a spool may take where nobody said: half an hour of 10,000 flows a second.
const SIZE_OCTETS: u64 = 4 << 30;
/// Smallest that is worth it; a disk with less acts as a full one.
const LEAST_OCTETS: u64 = 16 << 20;

/// A segment is a part of the whole, so that what goes at the quota is not much; and not so small that making files is what a
/// probe does, nor so large that one is scanned for long.
const SEGMENTS: u64 = 16;
const SMALLEST_SEGMENT_OCTETS: u64 = 4 << 20;
const LARGEST_SEGMENT_OCTETS: u64 = 64 << 20;

/// Newest batches that stay in memory: what some minutes of 10,000 flows a second seal is read back from the disk, or rather from
/// the page cache.
const MEMORY_OCTETS: usize = 64 << 20;

/// A spool that is open, and its folder.
pub(super) struct Opened {
    spool: Spool,
    folder: Directory,
}

/// Opens it where a sink has a use for it.
pub(super) fn open(
    config: &Config,
    probe: ProbeId,
    sinks: &[Box<dyn Sink>],
) -> Result<Option<Opened>, Error> {
    let Some(wanted) = config.output.spool else { return Ok(None) };
    if !sinks.iter().any(|sink| sink.is_durable() || sink.opens_cursors()) {
        return Ok(None);
    }
    let path = config.state_dir.join(FOLDER);
    let quota_octets = match wanted.size_octets {
        Some(octets) => octets,
        None => size(&path)?,
    };
    let options = Options {
        quota_octets,
        segment_octets: (quota_octets / SEGMENTS).clamp(SMALLEST_SEGMENT_OCTETS, LARGEST_SEGMENT_OCTETS),
        age: wanted.age,
        cursor_ttl: wanted.cursor_ttl,
        memory_octets: MEMORY_OCTETS,
        sync: match wanted.sync {
            SpoolSyncWord::None => Sync::None,
            SpoolSyncWord::Interval => Sync::Interval,
            SpoolSyncWord::Batch => Sync::Batch,
        },
    };
    let (spool, folder) = Spool::open(&path, probe, options)?;
    say(&spool, &path);
    Ok(Some(Opened { spool, folder }))
}

/// Never more than half of what is free, counting what the spool has already.
fn size(path: &Path) -> Result<u64, Error> {
    let (free, taken) = spool::room(path)?;
    Ok(SIZE_OCTETS.min((free + taken) / 2).max(LEAST_OCTETS))
}

fn say(spool: &Spool, path: &Path) {
    tracing::info!("spool {}: up to {} MB", path.display(), spool.options().quota_octets >> 20);
    for cursor in spool.cursors().iter().filter(|cursor| cursor.waiting.batches > 0) {
        let (name, records) = (&cursor.name, cursor.waiting.records);
        tracing::info!("spool: {records} records of earlier starts wait for {name}");
    }
}

impl Opened {
    /// The spool for the exporter, and its folder for who gives it away and holds the lock.
    pub(super) fn apart(self) -> (Spool, Directory) {
        (self.spool, self.folder)
    }
}

/// The user that the process is about to become writes it from now on.
pub(super) fn give_to(folder: &Directory, user: User) -> Result<(), Error> {
    let (uid, gid) = user.ids();
    folder.give_to(uid, gid).map_err(|error| Error::SpoolOwner { uid, error })
}

/// `gannet-probe spool list|drop`.
pub(super) fn command(action: &SpoolAction) -> Result<(), Error> {
    match action {
        SpoolAction::List { state_dir } => list(&state_dir.join(FOLDER)),
        SpoolAction::Drop { name, state_dir } => drop_cursor(&state_dir.join(FOLDER), name),
    }
}

fn list(path: &Path) -> Result<(), Error> {
    let listed = spool::list(path)?;
    let held = if listed.is_held { "a probe runs on it" } else { "no probe runs on it" };
    println!("spool       {} ({held})", path.display());
    println!("on disk     {} MB in {} segments", listed.octets >> 20, listed.segments);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    for (name, is_attached, used_seconds, waiting) in &listed.cursors {
        let used = match (is_attached, used_seconds) {
            (true, _) => "in use".to_owned(),
            (false, 0) => "never used".to_owned(),
            (false, used) => format!("last used {} s ago", now.saturating_sub(*used)),
        };
        println!(
            "cursor      {name}: {} records in {} batches wait, {used}",
            waiting.records, waiting.batches
        );
    }
    Ok(())
}

fn drop_cursor(path: &Path, name: &str) -> Result<(), Error> {
    let listed = spool::list(path)?;
    match listed.cursors.iter().find(|(known, ..)| known == name) {
        None => {
            let known: Vec<_> = listed.cursors.iter().map(|(known, ..)| known.as_str()).collect();
            Err(Error::NoCursor { name: name.to_owned(), known: known.join(", ") })
        }
        Some((_, true, ..)) => Err(Error::CursorInUse { name: name.to_owned() }),
        Some((.., waiting)) => {
            spool::request_drop(path, name)?;
            let when = if listed.is_held { "within a second" } else { "by the next start of the probe" };
            println!(
                "{name} is dropped {when}: {} records that wait for it are counted as cursor_dropped",
                waiting.records
            );
            Ok(())
        }
    }
}
