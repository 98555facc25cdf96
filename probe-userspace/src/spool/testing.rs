//! A disk in memory that forgets, tears and refuses on demand.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::disk::{Blob, Disk};

/// Shared with the test, which may look into it and break it.
#[derive(Clone, Debug, Default)]
pub(crate) struct MemoryDisk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) files: BTreeMap<String, MemoryFile>,
    /// Octets that all files together may have.
    pub(crate) room: Option<u64>,
    pub(crate) is_sync_failing: bool,
    /// Every name fails to be forced onto the medium.
    pub(crate) is_naming_failing: bool,
    pub(crate) is_write_failing: bool,
    pub(crate) is_read_failing: bool,
    /// Files are made empty, and take room with what is written.
    pub(crate) allocates_nothing: bool,
    /// Calls that should have brought something onto the medium.
    pub(crate) syncs: u32,
    /// Nothing comes onto the medium, and no call says so.
    pub(crate) is_sync_hanging: bool,
    /// A file that is written anew is not made before this ends.
    pub(crate) is_anew_hanging: bool,
    /// Somebody waits for that.
    pub(crate) is_waited_for: bool,
    /// Names that a power cut leaves.
    lasting: BTreeSet<String>,
    /// Small files cannot be replaced.
    pub(crate) is_replace_failing: bool,
}

type Content = Arc<Mutex<Vec<u8>>>;

/// A file: its handle goes on when its name is gone.
#[derive(Clone, Debug)]
pub(crate) struct MemoryFile {
    pub(crate) content: Content,
    disk: MemoryDisk,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MemoryDisk {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }

    /// The files as a crash leaves them, of nobody's handle.
    pub(crate) fn copy(&self) -> Self {
        let copy = Self::default();
        for (name, file) in &self.state().files {
            let content = Arc::new(Mutex::new(lock(&file.content).clone()));
            copy.state().files.insert(name.clone(), MemoryFile { content, disk: copy.clone() });
        }
        copy
    }

    /// The files as a power cut leaves them, if everything in them had come onto the medium.
    pub(crate) fn after_power_cut(&self) -> Self {
        let copy = self.copy();
        let lasting = &self.state().lasting;
        copy.state().files.retain(|name, _| lasting.contains(name));
        copy
    }

    fn hang(&self, hangs: impl Fn(&State) -> bool) {
        while hangs(&self.state()) {
            self.state().is_waited_for = true;
            std::thread::park_timeout(Duration::from_millis(1));
        }
    }

    pub(crate) fn read_all(&self, name: &str) -> Vec<u8> {
        lock(&self.state().files[name].content).clone()
    }

    pub(crate) fn write_all(&self, name: &str, content: Vec<u8>) {
        let file = MemoryFile { content: Arc::new(Mutex::new(content)), disk: self.clone() };
        self.state().files.insert(name.to_owned(), file);
    }

    /// The newest segment and its content.
    pub(crate) fn last_segment(&self) -> (String, Content) {
        let state = self.state();
        let mut segments = state.files.iter().filter(|(name, _)| name.ends_with(".segment"));
        let (name, file) = segments.next_back().unwrap();
        (name.clone(), Arc::clone(&file.content))
    }

    fn used(&self) -> u64 {
        self.state().files.values().map(|file| lock(&file.content).len() as u64).sum()
    }
}

impl Disk for MemoryDisk {
    fn create(&self, name: &str, octets: u64) -> io::Result<Arc<dyn Blob>> {
        self.hang(|state| state.is_anew_hanging && name.ends_with("anew"));
        let octets = if self.state().allocates_nothing { 0 } else { octets };
        if self.free_octets()? < octets {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let content = Arc::new(Mutex::new(vec![0; octets as usize]));
        let file = MemoryFile { content, disk: self.clone() };
        self.state().files.insert(name.to_owned(), file.clone());
        Ok(Arc::new(file))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn Blob>> {
        match self.state().files.get(name) {
            Some(file) => Ok(Arc::new(file.clone())),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn names(&self, folder: &str) -> io::Result<Vec<String>> {
        let state = self.state();
        let below = |name: &String| match name.rsplit_once('/') {
            Some((of, name)) if of == folder => Some(name.to_owned()),
            None if folder.is_empty() => Some(name.clone()),
            _ => None,
        };
        Ok(state.files.keys().filter_map(below).collect())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let file = self.state().files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        self.state().files.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.state().files.remove(name).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn replace(&self, name: &str, content: &[u8], durable: bool) -> io::Result<()> {
        if self.state().is_replace_failing {
            return Err(io::Error::other("EIO, as the test wants it"));
        }
        if self.free_octets()? < content.len() as u64 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let content = Arc::new(Mutex::new(content.to_vec()));
        self.state().files.insert(name.to_owned(), MemoryFile { content, disk: self.clone() });
        if durable {
            self.state().lasting.insert(name.to_owned());
        }
        Ok(())
    }

    fn sync_names(&self, folder: &str) -> io::Result<()> {
        if self.state().is_naming_failing {
            return Err(io::Error::from_raw_os_error(5));
        }
        let names = self.names(folder)?;
        let mut state = self.state();
        state.lasting.retain(|name| name.rsplit_once('/').map_or("", |(of, _)| of) != folder);
        state.lasting.extend(names.iter().map(|name| super::directory::within(folder, name)));
        Ok(())
    }

    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(self.state().files.get(name).map(|file| lock(&file.content).clone()))
    }

    fn free_octets(&self) -> io::Result<u64> {
        let room = self.state().room;
        Ok(room.map_or(u64::MAX, |room| room.saturating_sub(self.used())))
    }
}

impl Blob for MemoryFile {
    fn write_at(&self, octets: &[u8], at: u64) -> io::Result<()> {
        if self.disk.state().is_write_failing {
            return Err(io::Error::other("EIO, as the test wants it"));
        }
        let free = usize::try_from(self.disk.free_octets()?).unwrap_or(usize::MAX);
        let (mut content, at) = (lock(&self.content), at as usize);
        // As much as there is room for, as write(2) does.
        let end = (at + octets.len()).min(content.len().saturating_add(free)).max(at);
        if content.len() < end {
            content.resize(end, 0);
        }
        content[at..end].copy_from_slice(&octets[..end - at]);
        if end < at + octets.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        if self.disk.state().is_read_failing {
            return Err(io::Error::other("EIO, as the test wants it"));
        }
        let content = lock(&self.content);
        let rest = content.get(at as usize..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.state().syncs += 1;
        self.disk.hang(|state| state.is_sync_hanging);
        if self.disk.state().is_sync_failing {
            Err(io::Error::other("EIO, as the test wants it"))
        } else {
            Ok(())
        }
    }

    fn cut(&self, octets: u64) -> io::Result<()> {
        lock(&self.content).resize(octets as usize, 0);
        Ok(())
    }

    fn octets(&self) -> io::Result<u64> {
        Ok(lock(&self.content).len() as u64)
    }
}
