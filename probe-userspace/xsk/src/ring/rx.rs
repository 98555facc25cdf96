//! RX ring: descriptors of what came, read into a [`Burst`] packet by packet, each checked before it is believed.

use super::Descriptor;
use super::cursor::Consumer;
use crate::burst::{BUFFERS, BUFFERS_PER_PACKET, Burst};
use crate::umem::{BadDescriptors, BadReason, Umem};

/// The user's end of an RX ring.
#[derive(Debug)]
pub struct Rx {
    umem: Umem,
    ring: Consumer<Descriptor>,
    /// In the middle of a packet that has too many buffers: the rest of it is skipped.
    skipping: bool,
    counters: Counters,
}

/// What an RX ring has brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Packets handed over in bursts.
    pub packets: u64,
    /// Their octets, without FCS.
    pub octets: u64,
    /// Packets that were not handed over for a descriptor of theirs could not be believed, or for they had too many buffers. Their
    /// frames go back like those of others.
    pub bad_packets: u64,
    /// The descriptors that were not believed, by reason.
    pub bad_descriptors: BadDescriptors,
    /// How often the kernel's cursor was impossible, and not believed.
    pub impossible_cursors: u64,
}

impl Rx {
    pub(crate) fn new(umem: Umem, ring: Consumer<Descriptor>) -> Self {
        Self { umem, ring, skipping: false, counters: Counters::default() }
    }

    /// Slots of the ring.
    #[must_use]
    pub const fn size(&self) -> u32 {
        self.ring.size()
    }

    /// Reads whole packets into `burst` until it is full or no whole packet is left; returns how many it has now. Descriptors of a
    /// packet whose end is not there yet stay in the ring.
    ///
    /// # Panics
    /// Where `burst` is for another UMEM, or its frames were not given back.
    pub fn receive(&mut self, burst: &mut Burst) -> usize {
        assert!(burst.umem().is_same_as(&self.umem), "burst and socket are of different UMEMs");
        assert!(burst.is_given_back(), "the frames of the last burst were not given back");
        let available = self.ring.available(BUFFERS as u32);
        let mut read = 0;
        while burst.has_room() {
            let Some(count) = self.whole_packet(read, available) else { break };
            self.read_packet(read, count, burst);
            read += count;
        }
        self.ring.release(read);
        burst.len()
    }

    /// How many descriptors from `first` on make a packet; where it has more than any packet can have, as many as that.
    fn whole_packet(&self, first: u32, available: u32) -> Option<u32> {
        let left = available - first;
        let longest = left.min(BUFFERS_PER_PACKET as u32);
        let end = (0..longest).find(|index| !self.ring.read(first + index).is_continued());
        end.map(|last| last + 1).or((left >= BUFFERS_PER_PACKET as u32).then_some(longest))
    }

    /// Takes the frames of `count` descriptors, and where all are sound makes a packet of them.
    fn read_packet(&mut self, first: u32, count: u32, burst: &mut Burst) {
        let start = burst.buffers();
        let mut sound = !self.skipping;
        let mut ended = false;
        for index in first..first + count {
            let descriptor = self.ring.read(index);
            sound &= self.read_buffer(descriptor, burst);
            ended = !descriptor.is_continued();
        }
        if sound && ended {
            burst.end_packet(start);
            self.counters.packets += 1;
            self.counters.octets += u64::from(burst.last_octets());
        } else {
            burst.spoil_packet(start);
            self.counters.bad_packets += u64::from(!self.skipping);
        }
        self.skipping = !ended;
    }

    /// Takes one buffer's frame. False where the descriptor could not be believed: counted; its frame, where it is known, is spent.
    fn read_buffer(&mut self, descriptor: Descriptor, burst: &mut Burst) -> bool {
        let frame = match self.umem.take_back(descriptor.address) {
            Ok(frame) => frame,
            Err(reason) => {
                self.counters.bad_descriptors.count(reason);
                return false;
            }
        };
        let offset = self.umem.offset_in_chunk(descriptor.address);
        if descriptor.octets > self.umem.frame_size() - offset {
            self.counters.bad_descriptors.count(BadReason::BeyondChunk);
            burst.add_spent(frame);
            return false;
        }
        burst.add_buffer(frame, offset, descriptor.octets);
        true
    }

    /// What came so far.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        let mut counters = self.counters;
        counters.impossible_cursors = self.ring.impossible();
        counters
    }
}
