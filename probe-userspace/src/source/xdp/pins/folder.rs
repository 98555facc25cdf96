//! A directory of a BPF file system.

use std::ffi::CString;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Gid, Uid};

/// A directory that is open, so that it can be emptied when the rights to come to it by its path are given away.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
    pub(super) file: File,
}

impl Folder {
    /// Makes it, for a user.
    pub(super) fn make(path: PathBuf, user: Option<(u32, u32)>) -> io::Result<Self> {
        DirBuilder::new().mode(0o700).create(&path)?;
        let folder = Self { file: File::open(&path)?, path };
        folder.give_to(user)?;
        Ok(folder)
    }

    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        Ok(Self { file: File::open(&path)?, path })
    }

    pub(super) fn give_to(&self, user: Option<(u32, u32)>) -> io::Result<()> {
        let Some((uid, gid)) = user else { return Ok(()) };
        Ok(rustix::fs::fchown(&self.file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?)
    }

    /// What is in it, directories or others.
    pub(super) fn names(&self, kind: impl Fn(FileType) -> bool) -> io::Result<Vec<CString>> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.file)? {
            let entry = entry?;
            let name = entry.file_name();
            if kind(entry.file_type()) && !matches!(name.to_bytes(), b"." | b"..") {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    pub(super) fn unpin(&self, name: &CString) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.file, name, AtFlags::empty())?)
    }

    /// Empties it, and takes its name out of its parent.
    pub(super) fn remove(&self, parent: &Self) {
        let unpin = || {
            let names = self.names(|kind| kind != FileType::Directory)?;
            names.iter().try_for_each(|name| self.unpin(name))
        };
        let name = self.path.file_name().unwrap_or_default();
        let removed =
            unpin().and_then(|()| Ok(rustix::fs::unlinkat(&parent.file, name, AtFlags::REMOVEDIR)?));
        if let Err(error) = removed {
            tracing::error!("{}: {error}: what is pinned there stays\n  mend: rm -r it", self.path.display());
        }
    }

    /// Takes its name away, where the right to walk there is not given away; else it stays, empty, until the next start.
    pub(super) fn remove_name(&self) {
        let _still_named = fs::remove_dir(&self.path);
    }
}

/// Full paths of what is in it; of nothing, where it cannot be read.
pub(super) fn below(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten();
    entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect()
}
