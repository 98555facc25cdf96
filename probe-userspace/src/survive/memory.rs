//! Memory that may outlive the process: a mapping, carved once into parts that each have one owner. The only `unsafe` of the
//! room.
//!
//! A mapping of a file on tmpfs or hugetlbfs keeps what was stored in it when the process is killed, to the last store
//! that was executed: the pages belong to the file, not to the process. A mapping of nothing (`anonymous`) is the same
//! memory for those who do not want that; the code that runs over it is the same.
#![expect(unsafe_code, reason = "mmap has no safe form, and typed memory comes of it")]

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::ops::{Deref, DerefMut};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::flow::{Entry, Tags};

/// Each part begins at a multiple of this: a cache line, and more than any type in it asks for.
const PART_ALIGNMENT: usize = 64;

/// Of hugetlbfs as it is usually mounted, and a multiple of what tmpfs and anonymous memory want.
const PAGE_OCTETS: usize = 2 << 20;

/// Types that are whole whatever octets they consist of, and that hold no pointer.
///
/// # Safety
/// Any bit pattern is a value (so no `bool`, `char`, enum or reference inside), alignment is at most [`PART_ALIGNMENT`].
pub(crate) unsafe trait Plain: Copy {}

// SAFETY: integers.
unsafe impl Plain for u64 {}
// SAFETY: `#[repr(C)]` structs of integers and arrays of integers; `align(64)` at most.
unsafe impl Plain for Entry {}
// SAFETY: as above.
unsafe impl Plain for Tags {}
// SAFETY: as above.
unsafe impl Plain for super::journal::Journal {}
// SAFETY: as above.
unsafe impl Plain for super::shunts::Kept {}
// SAFETY: as above.
unsafe impl Plain for super::shunts::Before {}

/// One mapping; unmapped with its last part.
struct Mapping {
    start: NonNull<u8>,
    octets: usize,
    /// Keeps the lock of the file as long as the memory is used.
    _file: Option<File>,
}

// SAFETY: the mapping is plain memory; who may touch which part of it is the affair of `Owned` and `Words`.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: this range was mapped by `map`, and no part refers to it any more: each part holds the mapping's `Arc`.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.octets) };
    }
}

/// A mapping that is not carved yet. Parts are taken one behind the other, so that no two of them overlap.
pub(crate) struct Memory {
    mapping: Arc<Mapping>,
    taken: usize,
}

impl Memory {
    /// Zeroed memory of the process's own.
    ///
    /// # Errors
    /// ENOMEM.
    pub(crate) fn anonymous(octets: usize) -> io::Result<Self> {
        map(octets, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, None)
    }

    /// The memory of a file of at least so many octets, allocated ones: a hole without room behind it would be a SIGBUS.
    ///
    /// # Errors
    /// The file is shorter (EINVAL), ENOMEM, or what mmap(2) says.
    pub(crate) fn of_file(file: File, octets: usize) -> io::Result<Self> {
        if file.metadata()?.len() < octets as u64 {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        map(octets, libc::MAP_SHARED, Some(file))
    }

    /// The memory of a BPF map that may be mapped, of so many octets: what other programs write as well is to be taken as
    /// [`Words`] alone.
    ///
    /// # Errors
    /// What mmap(2) says: EINVAL where the map is shorter, or not made to be mapped.
    pub(crate) fn of_map(map: BorrowedFd<'_>, octets: usize) -> io::Result<Self> {
        let file = File::from(map.try_clone_to_owned()?);
        map_exactly(octets.max(1), libc::MAP_SHARED, Some(file))
    }

    /// The next so many `T`.
    ///
    /// # Panics
    /// The mapping is too short: its size is computed from the same numbers.
    pub(crate) fn owned<T: Plain>(&mut self, count: usize) -> Owned<T> {
        let start = self.take(count * size_of::<T>()).cast();
        Owned { start, count, _mapping: Arc::clone(&self.mapping) }
    }

    /// The next so many words, for several threads.
    ///
    /// # Panics
    /// As [`Memory::owned`].
    pub(crate) fn words(&mut self, count: usize) -> Words {
        let start = self.take(count * size_of::<u64>()).cast();
        Words { start, count, _mapping: Arc::clone(&self.mapping) }
    }

    fn take(&mut self, octets: usize) -> NonNull<u8> {
        let end = self.taken + part_octets(octets);
        assert!(end <= self.mapping.octets, "a part up to octet {end} of {}", self.mapping.octets);
        // SAFETY: `taken` is within the mapping, as was just asserted of what lies behind it.
        let start = unsafe { self.mapping.start.add(self.taken) };
        self.taken = end;
        start
    }
}

/// What a part of so many octets takes of a mapping.
pub(crate) const fn part_octets(octets: usize) -> usize {
    octets.next_multiple_of(PART_ALIGNMENT)
}

fn map(octets: usize, flags: libc::c_int, file: Option<File>) -> io::Result<Memory> {
    let memory = map_exactly(octets.max(1).next_multiple_of(PAGE_OCTETS), flags, file)?;
    let Mapping { start, octets, .. } = &*memory.mapping;
    // Before the first touch, for a page that is there already stays small until `khugepaged` comes by. tmpfs takes the
    // advice where it is mounted with `huge=advise`.
    // SAFETY: the range is the mapping that was just made; the advice changes how pages are backed and never what they
    // hold. A refusal (no such support) leaves small pages: nothing to report.
    unsafe { libc::madvise(start.as_ptr().cast(), *octets, libc::MADV_HUGEPAGE) };
    Ok(memory)
}

fn map_exactly(octets: usize, flags: libc::c_int, file: Option<File>) -> io::Result<Memory> {
    let descriptor = file.as_ref().map_or(-1, AsRawFd::as_raw_fd);
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping at an address of the kernel's choice touches no memory that anything refers to. Where the file
    // ends before the last page, only octets that no part reaches lie behind its end.
    let start = unsafe { libc::mmap(std::ptr::null_mut(), octets, protection, flags, descriptor, 0) };
    if start == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    let Some(pointer) = NonNull::new(start.cast()) else { return Err(io::ErrorKind::OutOfMemory.into()) };
    Ok(Memory { mapping: Arc::new(Mapping { start: pointer, octets, _file: file }), taken: 0 })
}

/// Whether a path lies on a file system that has no disk: tmpfs, ramfs or hugetlbfs.
///
/// # Errors
/// What statfs(2) says.
pub(crate) fn is_in_memory(path: &Path) -> io::Result<bool> {
    const RAMFS_MAGIC: u32 = 0x8584_58f6;
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: all zeros is a `statfs`, a struct of integers.
    let mut found: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: `path` ends with a zero octet, and `found` is there to be written.
    if unsafe { libc::statfs(path.as_ptr(), &raw mut found) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let magics = [libc::TMPFS_MAGIC as u32, libc::HUGETLBFS_MAGIC as u32, RAMFS_MAGIC];
    Ok(magics.contains(&(found.f_type as u32)))
}

/// Gives a file so many octets, with memory behind each of them, so that a store into its mapping cannot fail later.
///
/// # Errors
/// ENOSPC, or what else fallocate(2) says.
pub(crate) fn allocate(file: &File, octets: usize) -> io::Result<()> {
    let length = libc::off_t::try_from(octets.next_multiple_of(PAGE_OCTETS)).map_err(io::Error::other)?;
    // SAFETY: the descriptor is open; the call touches no memory of the process.
    if unsafe { libc::fallocate(file.as_raw_fd(), 0, 0, length) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// A part that one owner reads and writes.
pub(crate) struct Owned<T> {
    start: NonNull<T>,
    count: usize,
    _mapping: Arc<Mapping>,
}

// SAFETY: it is the only reference to its part, like a box's to its own memory.
unsafe impl<T: Plain + Send> Send for Owned<T> {}

impl<T: Plain> Deref for Owned<T> {
    type Target = [T];
    #[inline(always)]
    fn deref(&self) -> &[T] {
        // SAFETY: the part lies in the mapping, which lives as long as this; it is aligned (PART_ALIGNMENT), its octets are
        // initialized (zero, or the file's), any octets are a `T` (`Plain`), and nobody else refers to it: parts do not
        // overlap, and another process that maps the file would have to hold its lock (`Directory`).
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.count) }
    }
}

impl<T: Plain> DerefMut for Owned<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`, and `self` is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.count) }
    }
}

/// A part that several threads read and write, word by word.
#[derive(Clone)]
pub(crate) struct Words {
    start: NonNull<AtomicU64>,
    count: usize,
    _mapping: Arc<Mapping>,
}

// SAFETY: atomics may be touched by any thread.
unsafe impl Send for Words {}
// SAFETY: as above.
unsafe impl Sync for Words {}

impl Deref for Words {
    type Target = [AtomicU64];
    #[inline(always)]
    fn deref(&self) -> &[AtomicU64] {
        // SAFETY: as in `Owned::deref`; all references to this part are to atomics.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.count) }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    #[test]
    fn what_was_stored_in_a_files_memory_is_in_the_file() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(PAGE_OCTETS as u64).unwrap();
        let mut memory = Memory::of_file(file.try_clone().unwrap(), PAGE_OCTETS).unwrap();
        memory.owned::<u64>(3)[2] = 7;
        memory.words(1)[0].store(9, Ordering::Relaxed);
        drop(memory);
        let mut again = Memory::of_file(file, PAGE_OCTETS).unwrap();
        assert_eq!(*again.owned::<u64>(3), [0, 0, 7]);
        assert_eq!(again.words(1)[0].load(Ordering::Relaxed), 9);
    }

    #[test]
    fn a_file_that_is_too_short_is_refused() {
        assert!(Memory::of_file(tempfile::tempfile().unwrap(), 8).is_err());
    }

    #[test]
    #[should_panic(expected = "a part up to octet")]
    fn no_part_reaches_beyond_the_mapping() {
        let mut memory = Memory::anonymous(PAGE_OCTETS).unwrap();
        memory.owned::<u64>(PAGE_OCTETS / 8 + 1);
    }
}
