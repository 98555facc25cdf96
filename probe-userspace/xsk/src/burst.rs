//! A burst: up to 64 received packets with the frames they lie in, read in place and given back together.

use std::ops::Range;

use crate::umem::{Frame, Umem};

/// Packets of a burst: enough that what is paid once a burst (clock, lock, cursors) does not count, few enough to stay in L1.
pub const PACKETS: usize = 64;
/// Buffers of one packet: the kernel's MAX_SKB_FRAGS is 17, and configurable up to 45.
pub const BUFFERS_PER_PACKET: usize = 46;
/// Buffers of a burst: whatever is read, one more packet of the largest kind always fits an empty burst.
pub const BUFFERS: usize = 128;

/// Frames of packets that could not be believed, in a burst.
const SPENT: usize = BUFFERS;

/// One buffer of a packet.
#[derive(Debug)]
struct Buffer {
    frame: Frame,
    offset: u32,
    octets: u32,
}

/// The buffers of one packet in [`Burst::buffers`].
#[derive(Debug, Clone, Copy)]
struct Span {
    first: u8,
    end: u8,
    octets: u32,
}

const _: () = assert!(BUFFERS <= u8::MAX as usize && BUFFERS >= 2 * BUFFERS_PER_PACKET);

/// Received packets. Made once, filled by `receive`, emptied by giving its frames back; never allocates in between.
#[derive(Debug)]
pub struct Burst {
    umem: Umem,
    packets: Vec<Span>,
    buffers: Vec<Buffer>,
    /// Frames of packets that could not be believed: not to be seen, only to be given back.
    spent: Vec<Frame>,
}

impl Burst {
    /// An empty burst for packets in `umem`.
    #[must_use]
    pub fn new(umem: &Umem) -> Self {
        Self {
            umem: umem.clone(),
            packets: Vec::with_capacity(PACKETS),
            buffers: Vec::with_capacity(BUFFERS),
            spent: Vec::with_capacity(SPENT),
        }
    }

    /// Packets in it.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.packets.len()
    }

    /// True where no packet is in it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// The packets in the order they came.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Packet<'_>> {
        self.packets.iter().map(|span| self.packet(*span))
    }

    /// The packet at `index`.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Packet<'_>> {
        self.packets.get(index).map(|span| self.packet(*span))
    }

    fn packet(&self, span: Span) -> Packet<'_> {
        let buffers = &self.buffers[Range { start: span.first.into(), end: span.end.into() }];
        Packet { umem: &self.umem, buffers, octets: span.octets }
    }

    /// Frames to be given back.
    #[must_use]
    pub const fn frames(&self) -> usize {
        self.buffers.len() + self.spent.len()
    }

    /// The UMEM that its packets lie in.
    #[must_use]
    pub const fn umem(&self) -> &Umem {
        &self.umem
    }

    /// True where one more packet of any size fits, sound or not.
    pub(crate) const fn has_room(&self) -> bool {
        self.packets.len() < PACKETS
            && self.buffers.len() + BUFFERS_PER_PACKET <= BUFFERS
            && self.spent.len() + BUFFERS_PER_PACKET <= SPENT
    }

    /// Adds a buffer of the packet that [`Self::end_packet`] will end. `offset` and `octets` are within the frame.
    pub(crate) fn add_buffer(&mut self, frame: Frame, offset: u32, octets: u32) {
        self.buffers.push(Buffer { frame, offset, octets });
    }

    /// The buffers from `first` on are one packet.
    pub(crate) fn end_packet(&mut self, first: usize) {
        let octets = self.buffers[first..].iter().map(|buffer| buffer.octets).sum();
        self.packets.push(Span { first: first as u8, end: self.buffers.len() as u8, octets });
        prefetch(self.packet(Span { first: first as u8, end: first as u8 + 1, octets }).bytes());
    }

    /// The buffers from `first` on are no packet: their frames are to be given back unseen.
    pub(crate) fn spoil_packet(&mut self, first: usize) {
        self.spent.extend(self.buffers.drain(first..).map(|buffer| buffer.frame));
    }

    /// A frame to be given back unseen.
    pub(crate) fn add_spent(&mut self, frame: Frame) {
        self.spent.push(frame);
    }

    /// Octets of the packet that was added last.
    pub(crate) fn last_octets(&self) -> u32 {
        self.packets.last().map_or(0, |span| span.octets)
    }

    /// Buffers so far.
    pub(crate) const fn buffers(&self) -> usize {
        self.buffers.len()
    }

    /// True where its packets were given back, and it can take more. Frames that nobody saw may still be in it: who received no packet
    /// need not give anything back, until they fill it.
    pub(crate) const fn is_given_back(&self) -> bool {
        self.packets.is_empty() && self.has_room()
    }

    /// Takes all frames out; the burst is empty and can be filled again.
    pub(crate) fn take_frames(&mut self) -> impl Iterator<Item = Frame> + '_ {
        self.packets.clear();
        self.spent.drain(..).chain(self.buffers.drain(..).map(|buffer| buffer.frame))
    }
}

impl Drop for Burst {
    /// What was not given back to the fill ring is not lost: the UMEM's pool has it.
    fn drop(&mut self) {
        let umem = self.umem.clone();
        umem.free(self.take_frames());
    }
}

/// One packet of a burst, read in place.
#[derive(Debug, Clone, Copy)]
pub struct Packet<'a> {
    umem: &'a Umem,
    buffers: &'a [Buffer],
    octets: u32,
}

impl<'a> Packet<'a> {
    /// The first buffer: all of a packet that fits in one, and else its first [`Umem::packet_room`] bytes, so that the headers
    /// are here in one piece.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.buffers.first().map_or(&[], |buffer| self.view(buffer))
    }

    /// Every buffer, in order.
    pub fn buffers(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        let packet = *self;
        self.buffers.iter().map(move |buffer| packet.view(buffer))
    }

    /// Bytes of the whole packet, over all its buffers.
    #[must_use]
    pub const fn octets(&self) -> u32 {
        self.octets
    }

    /// The last `count` bytes before the packet in its frame: what the XDP program put there by `bpf_xdp_adjust_meta`. None where
    /// the frame has not so many before it.
    #[must_use]
    pub fn metadata(&self, count: u32) -> Option<&'a [u8]> {
        let buffer = self.buffers.first()?;
        let start = buffer.offset.checked_sub(count)?;
        self.umem.bytes(&buffer.frame).get(start as usize..buffer.offset as usize)
    }

    fn view(&self, buffer: &'a Buffer) -> &'a [u8] {
        let start = buffer.offset as usize;
        &self.umem.bytes(&buffer.frame)[start..start + buffer.octets as usize]
    }
}

/// Asks for the cache line that the headers start in; the packets of a burst come in while the others are looked at.
#[cfg(all(target_arch = "x86_64", not(miri)))]
fn prefetch(bytes: &[u8]) {
    #![expect(unsafe_code, reason = "a prefetch intrinsic")]
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: a prefetch reads nothing and cannot fault; SSE is part of x86-64.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(bytes.as_ptr().cast()) };
}

#[cfg(not(all(target_arch = "x86_64", not(miri))))]
fn prefetch(_bytes: &[u8]) {}
