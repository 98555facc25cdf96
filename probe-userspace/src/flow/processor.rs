//! What the flow cache has of the processor that Rust has no safe form for: cache lines asked for ahead of their use, and sixteen
//! numbers compared at once.

/// Octets of a cache line on the processors that there are.
const LINE_OCTETS: usize = 64;

/// Brings the first lines of `place` towards the first-level cache, as many as it has at most. A hint: it changes nothing but time.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
#[expect(unsafe_code, reason = "the prefetch instruction has no safe form")]
pub(super) fn prefetch<T>(place: &T, lines: usize) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    let first = std::ptr::from_ref(place).cast::<i8>();
    for offset in (0..size_of::<T>()).step_by(LINE_OCTETS).take(lines) {
        // SAFETY: SSE is part of x86_64; the instruction reads nothing and cannot fault, and the address lies within
        // `place`, a valid reference.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(first.add(offset)) };
    }
}

/// No hint on other processors, whose own prefetchers have to do.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub(super) fn prefetch<T>(_place: &T, _lines: usize) {}

/// Which of the numbers are equal to `wanted`, as bits.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
#[expect(unsafe_code, reason = "vectors have no safe form")]
pub(super) fn equal(numbers: &[u32; 16], wanted: u32) -> u16 {
    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi32, _mm_loadu_si128, _mm_movemask_epi8, _mm_packs_epi16, _mm_packs_epi32,
        _mm_set1_epi32,
    };
    let four = numbers.as_ptr().cast::<__m128i>();
    // SAFETY: SSE2 is part of x86_64; the four loads of four numbers each lie within the array and ask for no alignment.
    unsafe {
        let wanted = _mm_set1_epi32(wanted.cast_signed());
        let [a, b, c, d] =
            [0, 1, 2, 3].map(|index| _mm_cmpeq_epi32(_mm_loadu_si128(four.add(index)), wanted));
        let octets = _mm_packs_epi16(_mm_packs_epi32(a, b), _mm_packs_epi32(c, d));
        _mm_movemask_epi8(octets) as u16
    }
}

/// Which of the numbers are equal to `wanted`, as bits.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub(super) fn equal(numbers: &[u32; 16], wanted: u32) -> u16 {
    numbers.iter().enumerate().fold(0, |mask, (index, &number)| mask | u16::from(number == wanted) << index)
}
