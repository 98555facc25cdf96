//! Memory that is unmapped or freed when its last user goes: a kernel ring, the pages of a UMEM, or plain memory for tests.
#![expect(unsafe_code, reason = "mmap and raw memory that the kernel shares")]

use std::alloc::Layout;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;

/// Page size that plain memory is aligned to, as a mapping would be.
const PLAIN_ALIGNMENT: usize = 4096;
/// Size of the hugepages that are asked for, 2 MiB: the default size on x86-64 and arm64 with 4 kB pages.
pub(crate) const HUGEPAGE_BYTES: usize = 2 << 20;

/// A stretch of memory, released on drop.
#[derive(Debug)]
pub(crate) struct Memory {
    start: NonNull<u8>,
    length: usize,
    origin: Origin,
}

#[derive(Debug)]
enum Origin {
    Mapped,
    Allocated(Layout),
}

// SAFETY: the memory belongs to nobody's thread; who may touch which part of it is the business of rings and frames.
unsafe impl Send for Memory {}
// SAFETY: as above; `Memory` itself hands out nothing but its address.
unsafe impl Sync for Memory {}

impl Memory {
    /// mmap(2) of a ring that the socket `fd` offers at `offset`, populated.
    pub(crate) fn of_socket(fd: BorrowedFd<'_>, length: usize, offset: i64) -> io::Result<Self> {
        Self::map(length, libc::MAP_SHARED | libc::MAP_POPULATE, fd.as_raw_fd(), offset)
    }

    /// Anonymous pages, populated: the page faults are paid at start-up.
    pub(crate) fn pages(length: usize) -> io::Result<Self> {
        Self::map(length, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE, -1, 0)
    }

    /// Anonymous hugepages of [`HUGEPAGE_BYTES`], which the administrator must have reserved. `length` is a multiple of them.
    pub(crate) fn hugepages(length: usize) -> io::Result<Self> {
        let flags = libc::MAP_PRIVATE
            | libc::MAP_ANONYMOUS
            | libc::MAP_POPULATE
            | libc::MAP_HUGETLB
            | libc::MAP_HUGE_2MB;
        Self::map(length, flags, -1, 0)
    }

    /// Zeroed memory from the allocator: no system call of ours, so that Miri and loom can watch.
    pub(crate) fn allocated(length: usize) -> io::Result<Self> {
        let layout = Layout::from_size_align(length, PLAIN_ALIGNMENT)
            .ok()
            .filter(|layout| layout.size() > 0)
            .ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))?;
        // SAFETY: the layout's size is not zero.
        let start = unsafe { std::alloc::alloc_zeroed(layout) };
        let start = NonNull::new(start).ok_or_else(|| io::Error::from_raw_os_error(libc::ENOMEM))?;
        Ok(Self { start, length, origin: Origin::Allocated(layout) })
    }

    fn map(length: usize, flags: i32, fd: i32, offset: i64) -> io::Result<Self> {
        // SAFETY: no address is asked for, so no existing mapping is replaced.
        let start = unsafe {
            libc::mmap(std::ptr::null_mut(), length, libc::PROT_READ | libc::PROT_WRITE, flags, fd, offset)
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or_else(|| io::Error::from_raw_os_error(libc::ENOMEM))?;
        Ok(Self { start, length, origin: Origin::Mapped })
    }

    /// First byte.
    pub(crate) const fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// Bytes.
    pub(crate) const fn length(&self) -> usize {
        self.length
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        match self.origin {
            // SAFETY: exactly what mmap gave; whoever holds a pointer into it holds this value too, and it is being dropped.
            Origin::Mapped => unsafe {
                let _cannot_fail = libc::munmap(self.start.as_ptr().cast(), self.length);
            },
            // SAFETY: exactly what the allocator gave, with its layout.
            Origin::Allocated(layout) => unsafe { std::alloc::dealloc(self.start.as_ptr(), layout) },
        }
    }
}
