//! The packets of the burst under way, read into their places: nothing of them is moved.

use crate::flow::Place;
use crate::packet::Packet;
use crate::source::BURST_CAPACITY;

/// One more than a source lends: a fault-injection build doubles a packet.
const CAPACITY: usize = BURST_CAPACITY + 1;

/// Packets, and where each belongs in the flow cache.
pub(super) struct Burst {
    packets: Box<[Packet; CAPACITY]>,
    places: Box<[Place; CAPACITY]>,
    count: usize,
}

impl Burst {
    pub(super) fn new() -> Self {
        let packets = Box::new([Packet::EMPTY; CAPACITY]);
        Self { packets, places: Box::new([Place::default(); CAPACITY]), count: 0 }
    }

    pub(super) fn clear(&mut self) {
        self.count = 0;
    }

    /// What the next packet is read into; it counts once it is [`Burst::keep`]t.
    #[inline(always)]
    pub(super) fn next(&mut self) -> &mut Packet {
        &mut self.packets[self.count]
    }

    #[inline(always)]
    pub(super) fn keep(&mut self) {
        self.count += 1;
    }

    /// The last one is not there.
    pub(super) fn lose(&mut self) {
        self.count = self.count.saturating_sub(1);
    }

    /// The last one is there twice.
    pub(super) fn double(&mut self) {
        if let Some(last) = self.packets().last().copied() {
            *self.next() = last;
            self.keep();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn packets(&self) -> &[Packet] {
        &self.packets[..self.count]
    }

    /// Each packet with its place.
    #[inline(always)]
    pub(super) fn placed(&self) -> impl Iterator<Item = (&Packet, Place)> {
        self.packets().iter().zip(self.places.iter().copied())
    }

    /// The same, for the places to be found.
    #[inline(always)]
    pub(super) fn places(&mut self) -> impl Iterator<Item = (&Packet, &mut Place)> {
        self.packets[..self.count].iter().zip(self.places.iter_mut())
    }
}
