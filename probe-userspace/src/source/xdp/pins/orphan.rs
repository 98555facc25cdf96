//! What is still attached for a killed probe.

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use aya::programs::links::{FdLink, PinnedLink};
use flow_wire::stamp::ProbeId;
use rustix::fs::FileType;

use super::Namespace;
use super::folder::{Folder, below};
use super::pin::Pin;
use crate::source::xdp::attach::{Mode, Wanted};

/// The link of a killed probe, with its program in it.
#[derive(Debug)]
pub struct Orphan {
    pin: Pin,
    mode: Mode,
    namespace: Namespace,
    link: FdLink,
}

impl Orphan {
    /// What is pinned there; `None` = no link.
    pub(super) fn open(folder: &Arc<Folder>, name: &CString) -> Option<Self> {
        let (mode, namespace) = name.to_str().ok()?.split_once('-')?;
        let mode = [Mode::Native, Mode::Generic].into_iter().find(|known| known.to_string() == mode)?;
        let namespace = Namespace(namespace.parse().ok()?);
        let path = folder.path.join(OsStr::from_bytes(name.to_bytes()));
        let refused = |reason: String| tracing::warn!("{}: {reason}", path.display());
        let link = PinnedLink::from_pin(&path).inspect_err(|error| refused(error.to_string())).ok()?;
        let pin = Pin::open(folder, name).inspect_err(|error| refused(error.to_string())).ok()?;
        Some(Self { pin, mode, namespace, link: FdLink::from(link) })
    }

    /// Whether attaching anew would come to the same: a link keeps its mode.
    pub fn suits(&self, wanted: Wanted) -> bool {
        wanted.would_come_to(self.mode)
    }

    /// Takes the program off.
    pub fn detach(self) {
        self.pin.detach();
    }

    /// A link whose device is gone is on interface 0.
    pub(super) fn is_on(&self, namespace: Namespace, interface_index: u32) -> bool {
        self.namespace == namespace && self.pin.interface() == Some(interface_index)
    }

    pub(in crate::source::xdp) fn apart(self) -> (FdLink, Mode, Pin) {
        (self.link, self.mode, self.pin)
    }
}

/// Links in a folder.
pub(super) fn orphans(folder: &Arc<Folder>) -> Vec<Orphan> {
    let names = folder.names(|kind| kind != FileType::Directory).unwrap_or_default();
    names.iter().filter_map(|name| Orphan::open(folder, name)).collect()
}

/// What a killed probe of another identity left attached to this interface. Its counters are its successor's.
pub fn in_the_way(base: &Path, probe: ProbeId, namespace: Namespace, interface_index: u32) -> Option<Orphan> {
    let own = base.join(probe.0.to_string());
    let epochs = below(base).into_iter().filter(|path| *path != own).flat_map(|path| below(&path));
    epochs.filter_map(|epoch| Some((Folder::open(epoch.clone()).ok()?, below(&epoch)))).find_map(
        |(epoch, interfaces)| {
            let folders = interfaces.into_iter().filter_map(|path| Folder::open(path).ok());
            let mut orphans = folders.flat_map(|folder| orphans(&Arc::new(folder)));
            let found = orphans.find(|orphan| orphan.is_on(namespace, interface_index))?;
            let is_dead = epoch.file.try_lock().is_ok();
            is_dead.then(|| Orphan { pin: found.pin.hold(epoch), ..found })
        },
    )
}
