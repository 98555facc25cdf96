//! A link under its name. Two calls of bpf(2) that aya does not have: it gives no descriptor of a link away.
#![expect(unsafe_code, reason = "bpf(2) has no safe form")]

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use super::folder::Folder;

/// Commands of bpf(2) (linux/bpf.h).
const BPF_OBJ_GET: libc::c_int = 7;
const BPF_LINK_DETACH: libc::c_int = 34;

/// A pinned link.
#[derive(Debug)]
pub(in crate::source::xdp) struct Pin {
    folder: Arc<Folder>,
    name: CString,
    link: OwnedFd,
    /// The epoch of another probe: held, so that no third one takes the link too.
    held: Option<Folder>,
}

impl Pin {
    /// Opens it, while there is the right to walk there.
    pub(super) fn open(folder: &Arc<Folder>, name: &CString) -> io::Result<Self> {
        let link = object(&folder.path.join(std::ffi::OsStr::from_bytes(name.to_bytes())))?;
        Ok(Self { folder: Arc::clone(folder), name: name.clone(), link, held: None })
    }

    pub(super) fn hold(self, epoch: Folder) -> Self {
        Self { held: Some(epoch), ..self }
    }

    /// Takes the program off, now and whoever else has the link (an unpinned one goes some time after its last descriptor:
    /// kernel/bpf/inode.c), and its name away.
    pub(in crate::source::xdp) fn detach(self) {
        if let Err(error) = detach(&self.link) {
            tracing::error!("{}: {error}: its XDP program goes with its name", self.folder.path.display());
        }
        self.forget();
    }

    /// Takes the name away: the link lasts as long as its descriptors and its other names.
    pub(in crate::source::xdp) fn forget(self) {
        if let Err(error) = self.folder.unpin(&self.name) {
            tracing::error!("{}: {error}: the link stays\n  mend: rm -r it", self.folder.path.display());
        }
        drop(self.held);
    }

    /// Number of the interface; 0 = it is gone. In /proc, since aya does not tell (net/core/dev.c, `bpf_xdp_link_show_fdinfo`).
    pub(super) fn interface(&self) -> Option<u32> {
        let path = format!("/proc/self/fdinfo/{}", self.link.as_raw_fd());
        let text = std::fs::read_to_string(path).ok()?;
        text.lines().find_map(|line| line.strip_prefix("ifindex:")?.trim().parse().ok())
    }
}

/// The descriptor of a pinned object.
fn object(path: &Path) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Attributes {
        pathname: u64,
        bpf_fd: u32,
        file_flags: u32,
    }
    let path = CString::new(path.as_os_str().as_bytes())?;
    let attributes = Attributes { pathname: path.as_ptr() as u64, bpf_fd: 0, file_flags: 0 };
    // SAFETY: the attributes are those of the command, and they and the path live through the call.
    let descriptor =
        unsafe { libc::syscall(libc::SYS_bpf, BPF_OBJ_GET, &raw const attributes, size_of::<Attributes>()) };
    let descriptor = result(descriptor)?;
    // SAFETY: the kernel has just made this descriptor for us, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

fn detach(link: &OwnedFd) -> io::Result<()> {
    let attributes = link.as_raw_fd() as u32;
    // SAFETY: the command's only attribute is a descriptor, which is open; it lives through the call.
    let done = unsafe {
        libc::syscall(libc::SYS_bpf, BPF_LINK_DETACH, &raw const attributes, size_of_val(&attributes))
    };
    result(done).map(drop)
}

fn result(returned: libc::c_long) -> io::Result<libc::c_int> {
    if returned < 0 { Err(io::Error::last_os_error()) } else { Ok(returned as libc::c_int) }
}
