//! Asks the kernel to back large memory with huge pages: a packet's entry is anywhere in hundreds of megabytes, and each
//! page of 4 KiB would be a miss of the TLB.

use std::mem::MaybeUninit;

/// A boxed slice of copies of `value`, in huge pages where the kernel gives them (transparent ones: `always` or `madvise` in
/// /sys/kernel/mm/transparent_hugepage/enabled). The memory is touched here, so that no page fault is left for packets.
pub(super) fn filled<T: Copy>(value: T, count: usize) -> Box<[T]> {
    let mut memory = Vec::with_capacity(count);
    advise(memory.spare_capacity_mut());
    memory.resize(count, value);
    memory.into_boxed_slice()
}

/// Before the first touch, for a page that is there already stays small until `khugepaged` comes by.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "madvise has no safe form in libc")]
fn advise<T>(room: &mut [MaybeUninit<T>]) {
    /// Of every page size that Linux runs with on the machines that this is for, or smaller: madvise wants an aligned start.
    const PAGE_OCTETS: usize = 65_536;
    let octets = size_of_val(room);
    let start = room.as_mut_ptr().cast::<u8>();
    let skip = start.align_offset(PAGE_OCTETS);
    if skip >= octets {
        return;
    }
    // SAFETY: the range lies within `room`, whose memory this function borrows mutably; MADV_HUGEPAGE changes how pages are
    // backed and never what they hold. A refusal (no such support) leaves small pages: nothing to report.
    unsafe { libc::madvise(start.add(skip).cast(), octets - skip, libc::MADV_HUGEPAGE) };
}

/// No such advice elsewhere.
#[cfg(not(target_os = "linux"))]
fn advise<T>(_room: &mut [MaybeUninit<T>]) {}
