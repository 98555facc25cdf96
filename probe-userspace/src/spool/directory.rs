//! A real folder. Files are opened relative to it: a probe that gave its rights up need not be able to walk there.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{AtFlags, CWD, FallocateFlags, Mode, OFlags};

use super::disk::{Blob, Disk};

/// Folder of the cursors' files.
pub(super) const CURSORS: &str = "cursors";

/// Mode of files and folders: flows are nobody else's business.
const FILE_MODE: Mode = Mode::from_bits_truncate(0o600);

/// A folder of the file system.
#[derive(Debug)]
pub struct Directory {
    folder: File,
}

impl Directory {
    /// Opens it, and makes it where it is missing.
    ///
    /// # Errors
    /// It cannot be made or opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        fs::create_dir_all(path.join(CURSORS))?;
        Self::open_existing(path)
    }

    /// Opens it as it is.
    ///
    /// # Errors
    /// It is not there, or may not be read.
    pub fn open_existing(path: &Path) -> io::Result<Self> {
        Ok(Self { folder: File::open(path)? })
    }

    /// A second handle, which shares the lock of this one.
    pub(super) fn share(&self) -> io::Result<Self> {
        Ok(Self { folder: self.folder.try_clone()? })
    }

    /// Takes the folder for this process alone, until it ends, however it ends (flock(2)). `false` = another has it.
    pub fn lock(&self) -> io::Result<bool> {
        match self.folder.try_lock() {
            Ok(()) => Ok(true),
            Err(fs::TryLockError::WouldBlock) => Ok(false),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }

    /// Gives folder and files to another user, whom the process is about to become.
    ///
    /// Needs CAP_CHOWN.
    pub fn give_to(&self, uid: u32, gid: u32) -> io::Result<()> {
        let (uid, gid) = (rustix::fs::Uid::from_raw(uid), rustix::fs::Gid::from_raw(gid));
        let give = |name: &str| {
            rustix::fs::chownat(&self.folder, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
        };
        for folder in ["", CURSORS] {
            for name in self.names(folder)? {
                give(&within(folder, &name))?;
            }
        }
        give(CURSORS)?;
        Ok(rustix::fs::fchown(&self.folder, Some(uid), Some(gid))?)
    }

    fn file(&self, name: &str, flags: OFlags) -> io::Result<File> {
        let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        Ok(File::from(rustix::fs::openat(&self.folder, name, flags, FILE_MODE)?))
    }
}

/// Below a folder, or in the spool's own.
pub(super) fn within(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

impl Disk for Directory {
    fn create(&self, name: &str, octets: u64) -> io::Result<Arc<dyn Blob>> {
        let file = self.file(name, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL)?;
        match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, octets) {
            Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => Ok(Arc::new(file)),
            Err(error) => {
                // What the kernel allocated before it ran out would be lost to everybody.
                let _it_says_what_creating_did = self.remove(name);
                Err(error.into())
            }
        }
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn Blob>> {
        Ok(Arc::new(self.file(name, OFlags::RDWR)?))
    }

    fn names(&self, folder: &str) -> io::Result<Vec<String>> {
        let at = if folder.is_empty() { "." } else { folder };
        let opened = rustix::fs::openat(
            &self.folder,
            at,
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::new(opened)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type() == rustix::fs::FileType::RegularFile {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.folder, from, &self.folder, to)?)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.folder, name, AtFlags::empty())?)
    }

    fn replace(&self, name: &str, content: &[u8], durable: bool) -> io::Result<()> {
        let beside = format!("{name}.new");
        let file = self.file(&beside, OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC)?;
        file.write_all_at(content, 0)?;
        if durable {
            file.sync_all()?;
        }
        rustix::fs::renameat(&self.folder, &beside, &self.folder, name)?;
        if durable {
            self.folder.sync_all()?;
        }
        Ok(())
    }

    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        match self.file(name, OFlags::RDONLY) {
            Ok(file) => {
                let mut content = Vec::new();
                io::Read::read_to_end(&mut &file, &mut content)?;
                Ok(Some(content))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn free_octets(&self) -> io::Result<u64> {
        let statistics = rustix::fs::fstatvfs(&self.folder)?;
        Ok(statistics.f_bavail.saturating_mul(statistics.f_frsize))
    }
}

impl Blob for File {
    fn write_at(&self, octets: &[u8], at: u64) -> io::Result<()> {
        self.write_all_at(octets, at)
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match FileExt::read_at(self, &mut buffer[filled..], at + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn cut(&self, octets: u64) -> io::Result<()> {
        self.set_len(octets)
    }

    fn octets(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}

/// Whether a process holds the spool in this folder now.
pub(super) fn is_held(path: &Path) -> io::Result<bool> {
    let opened =
        rustix::fs::openat(CWD, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    match File::from(opened).try_lock_shared() {
        Ok(()) => Ok(false),
        Err(fs::TryLockError::WouldBlock) => Ok(true),
        Err(fs::TryLockError::Error(error)) => Err(error),
    }
}
