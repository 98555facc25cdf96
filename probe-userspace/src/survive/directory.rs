//! The directory of a probe's files, and which of them are alive.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flow_wire::stamp::ProbeId;

use super::file::{Owner, Parts, Shape};
use super::memory::{self, Memory};
use super::remains::{Remains, Spooled};

/// What a file is called; while its head is not written it has the other ending.
const ENDING: &str = "flows";
const UNFINISHED: &str = "new";

/// Why nothing will survive a kill.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// On a disk the worker would wait for it, and it would be no safer against a kill.
    #[error("{} is not on tmpfs or hugetlbfs\n  mend: --recovery-dir on one of them, e.g. `mount -t tmpfs -o size=1g,huge=advise tmpfs DIR`", path.display())]
    NotInMemory {
        /// Where.
        path: PathBuf,
    },
    /// The system says no.
    #[error("{}: {error}\n  mend: make it writable for the probe and large enough ({} MB are needed), or name another --recovery-dir", path.display(), octets >> 20)]
    System {
        /// Which file or directory.
        path: PathBuf,
        /// Octets of the file, where one was to be made.
        octets: usize,
        /// What it says.
        error: io::Error,
    },
}

/// The directory of one probe.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
}

/// The files of this process; they are emptied once its books are closed, or if it does not come to begin.
#[derive(Clone, Debug, Default)]
pub struct Own(Arc<Mutex<Vec<(PathBuf, File)>>>);

impl Directory {
    /// Makes it below `base` where it is not there.
    ///
    /// System calls: mkdir(2), statfs(2).
    ///
    /// # Errors
    /// See [`Refusal`].
    pub fn open(base: &Path, probe: ProbeId) -> Result<Self, Refusal> {
        let path = base.join(probe.0.to_string());
        let failed = |error| Refusal::System { path: path.clone(), octets: 0, error };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(failed)?;
        if !memory::is_in_memory(&path).map_err(failed)? {
            let _made_for_nothing = fs::remove_dir(&path);
            return Err(Refusal::NotInMemory { path });
        }
        Ok(Self { path })
    }

    /// A new file for a worker, allocated and locked.
    ///
    /// # Errors
    /// See [`Refusal`]; ENOSPC is the usual one.
    pub fn make(&self, owner: Owner, shape: Shape, own: &Own) -> Result<Parts, Refusal> {
        let name = format!("{}-{:05}", owner.epoch.0, owner.worker);
        let unfinished = self.path.join(format!("{name}.{UNFINISHED}"));
        let path = self.path.join(format!("{name}.{ENDING}"));
        let octets = shape.octets();
        let made = || {
            let file =
                OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&unfinished)?;
            file.try_lock().map_err(io::Error::other)?;
            memory::allocate(&file, octets)?;
            let parts = Parts::of(&mut Memory::of_file(file.try_clone()?, octets)?, shape, Some(owner));
            fs::rename(&unfinished, &path)?;
            Ok((parts, file))
        };
        match made() {
            Ok((parts, file)) => {
                own.lock().push((path, file));
                Ok(parts)
            }
            Err(error) => {
                let _not_there = fs::remove_file(&unfinished);
                Err(Refusal::System { path, octets, error })
            }
        }
    }

    /// What killed epochs left, oldest first, workers in their order. Files that hold nothing are removed; one that cannot be
    /// read is said and left where it is.
    pub fn remains(&self, spooled: Spooled<'_>) -> Vec<Remains> {
        let mut all = Vec::new();
        for path in self.files() {
            match self.of(&path, spooled) {
                Ok(Some(remains)) => all.push(remains),
                Ok(None) => {}
                Err(error) => tracing::error!(
                    "{}: {error}: what the killed probe left there is not exported\n  mend: make it readable, and start \
                     the probe again",
                    path.display()
                ),
            }
        }
        all.sort_by_key(|remains| {
            (remains.owner.epoch_start_nanoseconds, remains.owner.epoch, remains.owner.worker)
        });
        all
    }

    fn files(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(&self.path) else { return Vec::new() };
        let is_ours =
            |path: &PathBuf| path.extension().is_some_and(|ending| ending == ENDING || ending == UNFINISHED);
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_ours).collect()
    }

    fn of(&self, path: &Path, spooled: Spooled<'_>) -> io::Result<Option<Remains>> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            // Its process lives.
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let is_unfinished = path.extension().is_some_and(|ending| ending == UNFINISHED);
        if is_unfinished || has_ended(&file)? {
            fs::remove_file(path)?;
            return Ok(None);
        }
        let remains = Remains::read(path, file, spooled)?;
        if remains.is_none() {
            tracing::error!(
                "{}: not a file of this release, or its head is damaged: what it holds is lost\n  mend: remove it; before an \
                 upgrade stop the probe, which exports everything",
                path.display()
            );
        }
        Ok(remains)
    }
}

/// Empty, or without a head.
fn has_ended(file: &File) -> io::Result<bool> {
    let mut magic = [0; 8];
    match file.read_exact_at(&mut magic, 0) {
        Ok(()) => Ok(magic == [0; 8]),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(true),
        Err(error) => Err(error),
    }
}

impl Own {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(PathBuf, File)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A clean end: the books are closed, and nothing is left in them. `is_in_use` = some thread may still touch its part: the
    /// memory stays, without a name or without a head, until this is said once more.
    pub fn end(&self, is_in_use: bool) {
        let mut files = self.lock();
        for (path, file) in files.iter() {
            // By the descriptor first: rights in the directory may have been given away, and then the next start takes the
            // name of the empty file away.
            let ended = if is_in_use { file.write_all_at(&[0; 8], 0) } else { file.set_len(0) };
            let removed = fs::remove_file(path);
            if let (Err(error), Err(_)) = (ended, removed) {
                tracing::error!(
                    "{}: {error}: the next start will take it for a killed run's",
                    path.display()
                );
            }
        }
        if !is_in_use {
            files.clear();
        }
    }
}
