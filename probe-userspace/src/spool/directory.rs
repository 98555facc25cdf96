//! A real folder. Files are opened relative to it: a probe that gave its rights up need not be able to walk there.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, CWD, FallocateFlags, Gid, Mode, OFlags, Uid};

use super::checked::OCTETS_MAX;
use super::disk::{Blob, Disk};

/// Folder of the cursors' files.
pub(super) const CURSORS: &str = "cursors";

/// A start waits so long for those who only look at the spool: each of them holds it for less than a millisecond.
const LOOK_MOST: Duration = Duration::from_secs(1);
/// So often it tries.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Mode of files and folders: flows are nobody else's business.
const FILE_MODE: Mode = Mode::from_bits_truncate(0o600);

/// A folder of the file system.
#[derive(Debug)]
pub struct Directory {
    folder: File,
    /// Whom files are made for, where that is not who makes them.
    owner: Option<Owner>,
}

/// A user and its group.
type Owner = (Uid, Gid);

impl Directory {
    /// Opens it, and makes it where it is missing.
    ///
    /// # Errors
    /// It cannot be made or opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        let is_new = !path.exists();
        fs::create_dir_all(path.join(CURSORS))?;
        if is_new {
            // The state directory may be as new.
            for above in path.ancestors().skip(1).take(2) {
                // Above a relative name of one word is the working directory, whose name is not written.
                let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
                sync_folder(&File::open(above)?)?;
            }
        }
        Self::open_existing(path)
    }

    /// Opens it as it is.
    ///
    /// # Errors
    /// It is not there, or may not be read.
    pub fn open_existing(path: &Path) -> io::Result<Self> {
        Ok(Self { folder: File::open(path)?, owner: None })
    }

    /// A second handle, which shares the lock of this one.
    pub(super) fn share(&self) -> io::Result<Self> {
        Ok(Self { folder: self.folder.try_clone()?, owner: self.owner })
    }

    /// Takes the folder for this process alone, until it ends, however it ends (flock(2)). `false` = another has it, and not
    /// only for the moment that looking at it takes ([`is_held`]).
    pub fn lock(&self) -> io::Result<bool> {
        let until = Instant::now() + LOOK_MOST;
        loop {
            match self.folder.try_lock() {
                Ok(()) => return Ok(true),
                Err(fs::TryLockError::WouldBlock) if Instant::now() < until => {
                    std::thread::sleep(LOOK_AGAIN);
                }
                Err(fs::TryLockError::WouldBlock) => return Ok(false),
                Err(fs::TryLockError::Error(error)) => return Err(error),
            }
        }
    }

    /// Gives folder and files to another user, whom the process is about to become, and from now on makes each file for that one: threads
    /// make and rename them before the process has become it.
    ///
    /// Needs CAP_CHOWN.
    pub(super) fn give_to(&mut self, (uid, gid): (u32, u32)) -> io::Result<()> {
        let owner = (Uid::from_raw(uid), Gid::from_raw(gid));
        let give = |name: &str| {
            rustix::fs::chownat(&self.folder, name, Some(owner.0), Some(owner.1), AtFlags::SYMLINK_NOFOLLOW)
        };
        for folder in ["", CURSORS] {
            for name in self.names(folder)? {
                give(&within(folder, &name))?;
            }
        }
        give(CURSORS)?;
        rustix::fs::fchown(&self.folder, Some(owner.0), Some(owner.1))?;
        self.owner = Some(owner);
        Ok(())
    }

    /// A file that this process makes. Once it has become the owner, this changes nothing.
    fn made(&self, file: File) -> io::Result<File> {
        if let Some((uid, gid)) = self.owner {
            rustix::fs::fchown(&file, Some(uid), Some(gid))?;
        }
        Ok(file)
    }

    fn folder(&self, folder: &str) -> io::Result<File> {
        let at = if folder.is_empty() { "." } else { folder };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(File::from(rustix::fs::openat(&self.folder, at, flags, Mode::empty())?))
    }

    fn file(&self, name: &str, flags: OFlags) -> io::Result<File> {
        let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        Ok(File::from(rustix::fs::openat(&self.folder, name, flags, FILE_MODE)?))
    }

    fn write_beside(&self, name: &str, content: &[u8], durable: bool) -> io::Result<()> {
        let file = self.made(self.file(name, OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC)?)?;
        file.write_all_at(content, 0)?;
        if durable { file.sync_all() } else { Ok(()) }
    }
}

/// Below a folder, or in the spool's own.
pub(super) fn within(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

impl Disk for Directory {
    fn create(&self, name: &str, octets: u64) -> io::Result<Arc<dyn Blob>> {
        let file = self.made(self.file(name, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL)?)?;
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
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::new(self.folder(folder)?)? {
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
        self.write_beside(&beside, content, durable).inspect_err(|_| {
            // What a full disk took of it is room that it has not got.
            let _it_is_written_over_next_time = self.remove(&beside);
        })?;
        rustix::fs::renameat(&self.folder, &beside, &self.folder, name)?;
        if durable {
            self.sync_names("")?;
        }
        Ok(())
    }

    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        match self.file(name, OFlags::RDONLY) {
            Ok(file) => {
                let mut content = Vec::new();
                // More than it can have is damage, and not for the memory.
                (&file).take(OCTETS_MAX).read_to_end(&mut content)?;
                Ok(Some(content))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn sync_names(&self, folder: &str) -> io::Result<()> {
        sync_folder(&self.folder(folder)?)
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

/// Some file systems have no such call for folders, and say EINVAL: there names last as the files do.
fn sync_folder(folder: &File) -> io::Result<()> {
    match rustix::fs::fsync(folder) {
        Err(rustix::io::Errno::INVAL) => Ok(()),
        synced => Ok(synced?),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_only_looks_at_a_spool_makes_no_start_fail() {
        let folder = tempfile::tempdir().unwrap();
        let looking = File::open(folder.path()).unwrap();
        looking.lock_shared().unwrap();
        let starting = Directory::open(folder.path()).unwrap();
        let start = std::thread::spawn(move || starting.lock().map(|locked| (locked, starting)));
        std::thread::park_timeout(10 * LOOK_AGAIN);
        drop(looking);
        let (locked, _starting) = start.join().unwrap().unwrap();
        assert!(locked && is_held(folder.path()).unwrap());
    }

    /// The process may be one that owns nothing: then it can give to itself alone, and that is what it sees.
    #[test]
    fn what_is_made_behind_the_gift_belongs_to_whom_the_folder_was_given() {
        use std::os::unix::fs::MetadataExt;
        let folder = tempfile::tempdir().unwrap();
        let mut disk = Directory::open(&folder.path().join("spool")).unwrap();
        disk.create("before", 8).unwrap();
        let own = folder.path().metadata().unwrap();
        let owner = if own.uid() == 0 { (65_534, 65_534) } else { (own.uid(), own.gid()) };
        disk.give_to(owner).unwrap();
        let writer = disk.share().unwrap();
        writer.create("after", 8).unwrap();
        writer.replace(&within(CURSORS, "one"), b"cursor", false).unwrap();
        for name in ["", "before", "after", CURSORS, "cursors/one"] {
            let found = folder.path().join("spool").join(name).metadata().unwrap();
            assert_eq!((found.uid(), found.gid()), owner, "{name}");
        }
    }

    #[test]
    fn a_small_file_is_not_read_beyond_its_bound() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Directory::open(folder.path()).unwrap();
        disk.create("identity", 8).unwrap().cut(4 * OCTETS_MAX).unwrap();
        assert_eq!(disk.read("identity").unwrap().unwrap().len() as u64, OCTETS_MAX);
    }
}
