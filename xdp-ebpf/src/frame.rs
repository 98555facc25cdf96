//! A frame as the program sees it: the first buffer to read, all of them to count.

use core::mem::MaybeUninit;

use aya_ebpf::helpers::generated::bpf_xdp_get_buff_len;
use aya_ebpf::programs::XdpContext;
use xdp_abi::bytes::Bytes;
use xdp_abi::walk::HEADERS_OCTETS_MAX;

/// Behind the last header that the walk begins to read lies at most one more, the longest extension header.
const OFFSET_MAX: usize = HEADERS_OCTETS_MAX + 2048;

/// The first buffer of a frame.
pub(crate) struct Frame {
    start: *const u8,
    end: *const u8,
}

impl Frame {
    #[inline(always)]
    pub(crate) fn new(ctx: &XdpContext) -> Self {
        Self { start: ctx.data() as *const u8, end: ctx.data_end() as *const u8 }
    }
}

impl Bytes for Frame {
    #[inline(always)]
    fn octets<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        if offset > OFFSET_MAX {
            return None;
        }
        let at = self.start.wrapping_add(offset);
        if at.wrapping_add(N) > self.end {
            return None;
        }
        // SAFETY: `at .. at + N` lies within the frame's first buffer, by the two comparisons above, which the
        // verifier proves again; octets have no alignment.
        Some(unsafe { *at.cast::<[u8; N]>() })
    }

    #[inline(always)]
    fn opaque(&self, offset: usize) -> usize {
        let mut hidden = MaybeUninit::<Hidden>::uninit();
        // SAFETY: `number` lies within `hidden`, is aligned, and is written before it is read.
        unsafe {
            let number = &raw mut (*hidden.as_mut_ptr()).number;
            number.write_volatile(offset as u32);
            number.read_volatile() as usize
        }
    }
}

/// The verifier remembers what is stored on the stack in a place that is aligned to eight octets, and only there
/// (kernel/bpf/verifier.c, check_stack_write_fixed_off): `number` comes back as any number.
#[repr(C, align(8))]
struct Hidden {
    aligned: u32,
    number: u32,
}

/// Octets of the whole frame, those of its further buffers included.
#[inline(always)]
pub(crate) fn octets(ctx: &XdpContext) -> u64 {
    // SAFETY: the context is the one that the kernel called the program with.
    unsafe { bpf_xdp_get_buff_len(ctx.ctx) }
}
