//! Opening the spool for a run, and looking at it instead of running.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use flow_wire::stamp::ProbeId;

use super::Error;
use super::host::User;
use super::stranded::Stranded;
use crate::config::{Config, Input, SpoolAction, SpoolSyncWord};
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

/// Opens it where a sink has a use for it and the disk has room for a first segment (a disk that fills up later is lived with), for the
/// user that the process is about to become.
pub(super) fn open(
    config: &Config,
    probe: ProbeId,
    sinks: &[Box<dyn Sink>],
    user: Option<User>,
) -> Result<Option<Opened>, Error> {
    let path = config.state_dir.join(FOLDER);
    let is_of_use = sinks.iter().any(|sink| sink.is_durable() || sink.opens_cursors());
    let Some(wanted) = config.output.spool.filter(|_| is_of_use) else {
        // A capture file is often read by a run of its own, beside the service whose spool that is.
        if config.inputs.iter().any(|input| matches!(input, Input::Interface(_))) {
            say_unopened(&path);
        }
        return Ok(None);
    };
    let (free, taken) = spool::room(&path)?;
    let quota_octets = wanted.size_octets.unwrap_or_else(|| size(free, taken));
    let segment_octets = (quota_octets / SEGMENTS).clamp(SMALLEST_SEGMENT_OCTETS, LARGEST_SEGMENT_OCTETS);
    if taken == 0 && free < segment_octets {
        return Err(Error::NoRoom { path, free, needed: segment_octets });
    }
    let options = Options {
        quota_octets,
        segment_octets,
        age: wanted.age,
        cursor_ttl: wanted.cursor_ttl,
        memory_octets: MEMORY_OCTETS,
        sync: match wanted.sync {
            SpoolSyncWord::None => Sync::None,
            SpoolSyncWord::Interval => Sync::Interval,
            SpoolSyncWord::Batch => Sync::Batch,
        },
    };
    let (spool, folder) = Spool::open(&path, probe, options, user.map(User::ids))?;
    say(&spool, &path, sinks);
    Ok(Some(Opened { spool, folder }))
}

/// Never more than half of what is free, counting what the spool has already; all of that where a disk has filled up since: else a start
/// would discard what waits.
fn size(free: u64, taken: u64) -> u64 {
    SIZE_OCTETS.min(((free + taken) / 2).max(taken)).max(LEAST_OCTETS)
}

fn say(spool: &Spool, path: &Path, sinks: &[Box<dyn Sink>]) {
    tracing::info!("spool {}: up to {} MB", path.display(), spool.options().quota_octets >> 20);
    let cursors = spool.cursors();
    for cursor in cursors.iter().filter(|cursor| cursor.waiting.batches > 0) {
        let (name, records) = (&cursor.name, cursor.waiting.records);
        tracing::info!("spool: {records} records of earlier starts wait for {name}");
    }
    for stranded in Stranded::among(&cursors, sinks, spool.options().cursor_ttl, now_seconds()) {
        tracing::warn!("{}", stranded.describe());
    }
}

/// The same of a spool that this run does not open. One that cannot be read is no reason not to start.
fn say_unopened(path: &Path) {
    let Ok(listed) = spool::list(path) else { return };
    for (name, _, _, waiting) in listed.cursors.iter().filter(|_| !listed.is_held) {
        if waiting.batches > 0 {
            let stranded = Stranded { name, waiting: *waiting, expires_in: None };
            tracing::warn!("{}", stranded.describe());
        }
    }
}

fn now_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

impl Opened {
    pub(super) fn spool(&self) -> &Spool {
        &self.spool
    }

    /// The spool for the exporter, and its folder for who holds the lock.
    pub(super) fn apart(self) -> (Spool, Directory) {
        (self.spool, self.folder)
    }
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
    println!(
        "on disk     {} MB in {} segments, and {} MB in reserve",
        listed.octets >> 20,
        listed.segments,
        listed.spare_octets >> 20
    );
    let now = now_seconds();
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
            let when = if listed.is_held {
                "within a second"
            } else {
                "by the next start of the probe, unless that has it as an output"
            };
            println!(
                "{name} is dropped {when}: {} records that wait for it are counted as cursor_dropped",
                waiting.records
            );
            Ok(())
        }
    }
}
