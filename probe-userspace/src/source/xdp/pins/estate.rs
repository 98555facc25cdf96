//! What a killed epoch of this probe left.

use std::ffi::OsStr;
use std::fs::TryLockError;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use aya::maps::{Map, MapData, PerCpuArray};
use flow_wire::ledger::QueueTerms;
use flow_wire::stamp::{Epoch, ProbeId};
use rustix::fs::FileType;
use uuid::Uuid;
use xdp_abi::map::QUEUES_MAX;
use xdp_abi::outcome::Outcome;

use super::folder::{Folder, below};
use super::orphan::{Orphan, orphans};
use super::{COUNTERS_NAME, Namespace, SHUNT_COUNTS_NAME, SHUNT_KEYS_NAME};
use crate::source::xdp::counters::{Counters, Stored};
use crate::source::xdp::error::{Error, chain};
use crate::source::xdp::shunt::Counted;

/// Another probe's start looks at what is attached to its interfaces, and lets go of what is not.
const LOOK_MOST: Duration = Duration::from_secs(1);
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// One epoch's, held as long as this lives.
pub struct Estate {
    /// Which start it was.
    pub epoch: Epoch,
    folder: Folder,
    interfaces: Vec<Interface>,
}

struct Interface {
    name: String,
    folder: Arc<Folder>,
    /// `Err` = why they cannot be read.
    counters: Result<Counters, String>,
    /// `None` = its program shunted nothing.
    shunt: Option<Result<Counted, String>>,
    orphans: Vec<Orphan>,
}

/// Those of this probe whose process is gone.
pub fn estates(base: &Path, probe: ProbeId) -> Vec<Estate> {
    let mut all = Vec::new();
    for path in below(&base.join(probe.0.to_string())) {
        let epoch = path.file_name().and_then(|name| Uuid::parse_str(name.to_str()?).ok());
        let Some(epoch) = epoch.map(Epoch) else { continue };
        match Estate::read(path.clone(), epoch) {
            Ok(estate) => all.extend(estate),
            Err(error) => tracing::error!("{}: {error}: what is pinned there stays", path.display()),
        }
    }
    all
}

impl Estate {
    /// `None` = its process lives.
    fn read(path: PathBuf, epoch: Epoch) -> io::Result<Option<Self>> {
        let folder = Folder::open(path)?;
        if !lock(&folder)? {
            return Ok(None);
        }
        let mut interfaces = Vec::new();
        for name in folder.names(|kind| kind == FileType::Directory)? {
            let path = folder.path.join(OsStr::from_bytes(name.to_bytes()));
            let name = name.to_string_lossy().replace(':', ".");
            interfaces.push(Interface::read(name, Arc::new(Folder::open(path)?)));
        }
        Ok(Some(Self { epoch, folder, interfaces }))
    }

    /// What a stop left that could not take its own name away.
    pub fn is_empty(&self) -> bool {
        self.interfaces.is_empty()
    }

    /// The user that the process is about to become removes it later.
    ///
    /// # Errors
    /// What fchown(2) says.
    pub fn give_to(&self, user: Option<(u32, u32)>) -> io::Result<()> {
        let folders = self.interfaces.iter().map(|interface| &*interface.folder);
        folders.chain([&self.folder]).try_for_each(|folder| folder.give_to(user))
    }

    /// What is still attached to this interface.
    pub fn take_orphan(&mut self, namespace: Namespace, interface_index: u32) -> Option<Orphan> {
        let is_it = |orphan: &mut Orphan| orphan.is_on(namespace, interface_index);
        self.interfaces.iter_mut().find_map(|interface| interface.orphans.extract_if(.., is_it).next())
    }

    /// Takes all programs off that nobody has taken.
    pub fn detach(&mut self) {
        self.interfaces.iter_mut().flat_map(|interface| interface.orphans.drain(..)).for_each(Orphan::detach);
    }

    /// The kernel's terms of this epoch, by interface and queue, such as saw anything. No CPU may run its programs any more.
    ///
    /// # Errors
    /// [`Error::NotPinned`]: counters are missing, or of another release. [`Error::Map`].
    pub fn terms(&mut self) -> Result<Vec<QueueTerms>, Error> {
        let mut all = Vec::new();
        for Interface { name, folder, counters, shunt, .. } in &mut self.interfaces {
            let not_readable =
                |reason: &String| Error::NotPinned { path: folder.path.clone(), reason: reason.clone() };
            // Downstream first.
            let shunted = shunt.as_ref().map(|shunt| shunt.as_ref().map(Counted::total)).transpose();
            let shunted = shunted.map_err(not_readable)?.unwrap_or_default();
            let counters = counters.as_mut().map_err(|reason| not_readable(reason))?.read()?;
            let first = all.len();
            for counters in counters.iter().filter(|counters| counters.of(Outcome::Seen).packets > 0) {
                let mut terms =
                    QueueTerms { interface: name.clone(), queue: counters.queue, ..QueueTerms::default() };
                counters.write_to(&mut terms);
                all.push(terms);
            }
            if let Some(terms) = all.get_mut(first) {
                terms.shunt_counted = shunted;
            }
        }
        Ok(all)
    }

    /// What its programs counted of flows, by interface; `None` = of one of them that is not there.
    pub fn counted(&self) -> Option<Vec<Counted>> {
        self.interfaces.iter().map(|interface| interface.shunt.as_ref()?.as_ref().ok().cloned()).collect()
    }

    /// Nothing of it is needed any more.
    pub fn remove(mut self) {
        self.detach();
        self.interfaces.iter().for_each(|interface| interface.folder.remove(&self.folder));
        self.folder.remove_name();
    }
}

impl Interface {
    fn read(name: String, folder: Arc<Folder>) -> Self {
        let counters = counters(&folder.path.join(COUNTERS_NAME));
        let shunt = shunt(&folder.path.join(SHUNT_KEYS_NAME), &folder.path.join(SHUNT_COUNTS_NAME));
        Self { name, counters, shunt, orphans: orphans(&folder), folder }
    }
}

fn counters(path: &Path) -> Result<Counters, String> {
    let map = MapData::from_pin(path).map_err(|error| chain(&error))?;
    let map = PerCpuArray::<MapData, Stored>::try_from(Map::PerCpuArray(map));
    Ok(Counters::new(map.map_err(|error| chain(&error))?, QUEUES_MAX))
}

fn shunt(keys: &Path, counts: &Path) -> Option<Result<Counted, String>> {
    (keys.exists() || counts.exists()).then(|| Counted::pinned(keys, counts))
}

fn lock(folder: &Folder) -> io::Result<bool> {
    let until = Instant::now() + LOOK_MOST;
    loop {
        match folder.file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) if Instant::now() < until => std::thread::sleep(LOOK_AGAIN),
            Err(TryLockError::WouldBlock) => return Ok(false),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}
