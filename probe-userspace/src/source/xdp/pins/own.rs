//! Where this process keeps its own.

use std::ffi::CString;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aya::maps::Map;
use aya::programs::links::FdLink;
use flow_wire::stamp::{Epoch, ProbeId};
use xdp_abi::map::{COUNTERS, SHUNT_COUNTS, SHUNT_KEYS};

use super::folder::Folder;
use super::pin::Pin;
use super::{COUNTERS_NAME, Namespace, SHUNT_COUNTS_NAME, SHUNT_KEYS_NAME};
use crate::source::xdp::attach::Mode;
use crate::source::xdp::error::{Error, chain};

/// `f_type` of a BPF file system (linux/magic.h).
const BPF_FS_MAGIC: u64 = 0xcafe_4a11;

/// Why nothing of the program outlives a kill.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Only there the kernel keeps such things.
    #[error("{} is not on a BPF file system\n  mend: mount -t bpf bpf /sys/fs/bpf, or name another --bpf-dir", .0.display())]
    NotBpf(PathBuf),
    /// The system says no.
    #[error("{}: {error}\n  mend: make it writable for root, or name another --bpf-dir", path.display())]
    System {
        /// Which directory.
        path: PathBuf,
        /// What it says.
        error: io::Error,
    },
}

/// Where link and counters of one interface are pinned.
#[derive(Clone, Debug)]
pub struct Place {
    folder: Arc<Folder>,
    namespace: Namespace,
}

impl Place {
    /// Counters, and where flows are shunted whose the places are and what was counted there.
    pub(in crate::source::xdp) fn pin_maps<'a>(
        &self,
        map: impl Fn(&'static str) -> Option<&'a Map>,
        shunts: bool,
    ) -> Result<(), Error> {
        let of_shunt = [(SHUNT_KEYS_NAME, SHUNT_KEYS), (SHUNT_COUNTS_NAME, SHUNT_COUNTS)];
        let of_shunt = of_shunt.into_iter().filter(|_| shunts);
        for (name, of) in [(COUNTERS_NAME, COUNTERS)].into_iter().chain(of_shunt) {
            let map = map(of).ok_or(Error::Object { name: of })?;
            map.pin(self.folder.path.join(name)).map_err(|error| self.error(chain(&error)))?;
        }
        Ok(())
    }

    /// Where it fails the link is gone.
    pub(in crate::source::xdp) fn pin_link(&self, link: FdLink, mode: Mode) -> Result<(FdLink, Pin), Error> {
        let name = self.namespace.link_name(mode);
        let pinned = link.pin(self.folder.path.join(&name)).map_err(|error| self.error(chain(&error)))?;
        let name = CString::new(name).map_err(|error| self.error(chain(&error)))?;
        let pin = Pin::open(&self.folder, &name).map_err(|error| self.error(error.to_string()))?;
        Ok((FdLink::from(pinned), pin))
    }

    fn error(&self, reason: String) -> Error {
        Error::NotPinned { path: self.folder.path.clone(), reason }
    }
}

/// What this process pins. Dropped before [`Pinned::begin`] it leaves nothing.
#[derive(Debug)]
pub struct Pinned {
    folder: Folder,
    places: Vec<Place>,
    user: Option<(u32, u32)>,
    has_begun: bool,
}

impl Pinned {
    /// Makes the epoch's directory below `base`, and holds it.
    ///
    /// System calls: mkdir(2), statfs(2), flock(2).
    ///
    /// # Errors
    /// See [`Refusal`].
    pub fn make(
        base: &Path,
        probe: ProbeId,
        epoch: Epoch,
        user: Option<(u32, u32)>,
    ) -> Result<Self, Refusal> {
        let of_probe = base.join(probe.0.to_string());
        let failed = |error| Refusal::System { path: of_probe.clone(), error };
        if !is_bpf(base).map_err(failed)? {
            return Err(Refusal::NotBpf(base.to_owned()));
        }
        DirBuilder::new().recursive(true).mode(0o700).create(&of_probe).map_err(failed)?;
        let folder = Folder::make(of_probe.join(epoch.0.to_string()), user).map_err(failed)?;
        folder.file.try_lock().map_err(|error| failed(error.into()))?;
        Ok(Self { folder, places: Vec::new(), user, has_begun: false })
    }

    /// Where an interface's are pinned.
    ///
    /// # Errors
    /// What mkdir(2) says.
    pub fn place(&mut self, interface: &str, namespace: Namespace) -> Result<Place, Refusal> {
        let path = self.folder.path.join(interface.replace('.', ":"));
        let made = Folder::make(path.clone(), self.user);
        let folder = Arc::new(made.map_err(|error| Refusal::System { path, error })?);
        let place = Place { folder, namespace };
        self.places.push(place.clone());
        Ok(place)
    }

    /// From now on somebody may miss it: it outlives whatever ends this process, but [`Pinned::end`].
    pub fn begin(&mut self) {
        self.has_begun = true;
    }

    /// The books are closed: nothing of it is needed any more.
    pub fn end(mut self) {
        self.has_begun = false;
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        if !self.has_begun {
            self.places.iter().for_each(|place| place.folder.remove(&self.folder));
            self.folder.remove_name();
        }
    }
}

/// What is to be made there will be: asked of the nearest directory that is there, since others (sysfs) refuse new ones first.
fn is_bpf(path: &Path) -> io::Result<bool> {
    let there = path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    Ok(rustix::fs::statfs(there)?.f_type as u64 == BPF_FS_MAGIC)
}
