//! Asks the processor for cache lines ahead of their use: the one thing of the cache that needs `unsafe`.

/// Octets of a cache line on the processors that there are.
const LINE_OCTETS: usize = 64;

/// Brings all lines of `place` towards the first-level cache. A hint: it changes nothing but time.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
#[expect(unsafe_code, reason = "the prefetch instruction has no safe form")]
pub(super) fn prefetch<T>(place: &T) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    let first = std::ptr::from_ref(place).cast::<i8>();
    for offset in (0..size_of::<T>()).step_by(LINE_OCTETS) {
        // SAFETY: SSE is part of x86_64; the instruction reads nothing and cannot fault, and the address lies within
        // `place`, a valid reference.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(first.add(offset)) };
    }
}

/// No hint on other processors, whose own prefetchers have to do.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub(super) fn prefetch<T>(_place: &T) {}
