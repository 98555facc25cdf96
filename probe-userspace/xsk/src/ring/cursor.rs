//! The cursor logic of a ring's two ends. The same code is the user's end of a kernel ring and either end of a ring in plain memory.
//!
//! The other end's cursor is read with Acquire and *checked*: it may only have moved towards ours, by no more than what was open to
//! it. A cursor that says otherwise is counted and not believed, so that a slot is never touched that the other end may be using.
#![expect(unsafe_code, reason = "slots are granted by cursors")]

use super::area::Area;
use crate::sync::Ordering;

/// The end that writes slots.
pub struct Producer<T: Copy> {
    area: Area<T>,
    /// Next slot to write: runs ahead of the published cursor until [`Self::publish`].
    head: u32,
    /// The published cursor.
    published: u32,
    /// The consumer's cursor as last read and believed.
    tail: u32,
    impossible: u64,
}

/// The end that reads slots.
pub struct Consumer<T: Copy> {
    area: Area<T>,
    /// Next slot to read: the published cursor follows it at [`Self::release`].
    tail: u32,
    /// The producer's cursor as last read and believed.
    head: u32,
    impossible: u64,
}

impl<T: Copy> Producer<T> {
    /// This end of `area`, whose cursors may already have run.
    pub(crate) fn new(area: Area<T>) -> Self {
        let published = area.producer().load(Ordering::Relaxed);
        Self { area, head: published, published, tail: published, impossible: 0 }.at_start()
    }

    /// Believes the consumer's cursor where it is within one ring of ours.
    fn at_start(mut self) -> Self {
        let tail = self.area.consumer().load(Ordering::Acquire);
        if self.published.wrapping_sub(tail) <= self.area.size() {
            self.tail = tail;
        }
        self
    }

    /// Slots of the ring.
    #[must_use]
    pub const fn size(&self) -> u32 {
        self.area.size()
    }

    /// How many of `wanted` slots can be written. Looks at the consumer only when what it knows does not do.
    pub fn room(&mut self, wanted: u32) -> u32 {
        if self.free() < wanted {
            self.look();
        }
        self.free().min(wanted)
    }

    const fn free(&self) -> u32 {
        self.area.size() - self.head.wrapping_sub(self.tail)
    }

    /// Acquire: the consumer has done with the slots before it wrote this cursor.
    fn look(&mut self) {
        let tail = self.area.consumer().load(Ordering::Acquire);
        if tail.wrapping_sub(self.tail) <= self.published.wrapping_sub(self.tail) {
            self.tail = tail;
        } else {
            self.impossible += 1;
        }
    }

    /// Writes the next slot; the consumer sees it after [`Self::publish`].
    ///
    /// # Panics
    /// Where [`Self::room`] did not say that there was room: writing on would overwrite what the consumer reads.
    pub fn write(&mut self, value: T) {
        assert!(self.free() > 0, "ring of {} slots written without room", self.area.size());
        // SAFETY: head is in [tail, tail + size): the consumer has released this slot and gets it back only by `publish`.
        unsafe { self.area.write(self.head, value) };
        self.head = self.head.wrapping_add(1);
    }

    /// Shows the consumer what was written. Release: the slots before the cursor.
    pub fn publish(&mut self) {
        if self.head != self.published {
            self.published = self.head;
            self.area.producer().store(self.head, Ordering::Release);
        }
    }

    /// Published and not yet consumed, as last seen.
    pub fn outstanding(&mut self) -> u32 {
        self.look();
        self.published.wrapping_sub(self.tail)
    }

    /// The kernel sleeps until it is called (XDP_RING_NEED_WAKEUP).
    #[must_use]
    pub fn needs_wakeup(&self) -> bool {
        self.area.needs_wakeup()
    }

    /// How often the consumer's cursor was impossible, and not believed.
    #[must_use]
    pub const fn impossible(&self) -> u64 {
        self.impossible
    }
}

impl<T: Copy> Consumer<T> {
    /// This end of `area`, whose cursors may already have run.
    pub(crate) fn new(area: Area<T>) -> Self {
        let tail = area.consumer().load(Ordering::Relaxed);
        Self { area, tail, head: tail, impossible: 0 }
    }

    /// Slots of the ring.
    #[must_use]
    pub const fn size(&self) -> u32 {
        self.area.size()
    }

    /// How many of `wanted` slots can be read. Looks at the producer only when what it knows does not do.
    pub fn available(&mut self, wanted: u32) -> u32 {
        if self.known() < wanted {
            self.look();
        }
        self.known().min(wanted)
    }

    const fn known(&self) -> u32 {
        self.head.wrapping_sub(self.tail)
    }

    /// Acquire: the slots before the cursor are written. The cursor may have moved on from what was known, to one ring from ours.
    fn look(&mut self) {
        let head = self.area.producer().load(Ordering::Acquire);
        let distance = head.wrapping_sub(self.tail);
        if distance <= self.area.size() && distance >= self.known() {
            self.head = head;
        } else {
            self.impossible += 1;
        }
    }

    /// The `index`-th slot that is not yet released.
    ///
    /// # Panics
    /// Where [`Self::available`] did not say that it is there.
    #[must_use]
    pub fn read(&self, index: u32) -> T {
        assert!(index < self.known(), "slot {index} of {} that are known to be there", self.known());
        // SAFETY: tail + index is before head: the producer has written this slot and gets it back only by `release`.
        unsafe { self.area.read(self.tail.wrapping_add(index)) }
    }

    /// Gives the first `count` slots back to the producer. Release: we have read them.
    ///
    /// # Panics
    /// Where fewer were there.
    pub fn release(&mut self, count: u32) {
        assert!(count <= self.known(), "{count} slots released of {}", self.known());
        if count > 0 {
            self.tail = self.tail.wrapping_add(count);
            self.area.consumer().store(self.tail, Ordering::Release);
        }
    }

    /// How often the producer's cursor was impossible, and not believed.
    #[must_use]
    pub const fn impossible(&self) -> u64 {
        self.impossible
    }

    /// Tells the producer that this end sleeps until it is called, as the kernel's end does.
    pub fn set_needs_wakeup(&self, needed: bool) {
        self.area.set_needs_wakeup(needed);
    }
}

impl<T: Copy> std::fmt::Debug for Producer<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Producer")
            .field("head", &self.head)
            .field("tail", &self.tail)
            .field("size", &self.size())
            .finish_non_exhaustive()
    }
}

impl<T: Copy> std::fmt::Debug for Consumer<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Consumer")
            .field("head", &self.head)
            .field("tail", &self.tail)
            .field("size", &self.size())
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn pair(start: u32) -> (Producer<u64>, Consumer<u64>) {
        let (producer, consumer) = Area::pair(4, start);
        (Producer::new(producer), Consumer::new(consumer))
    }

    #[test]
    fn cursors_wrap_without_loss() {
        let (mut producer, mut consumer) = pair(u32::MAX - 2);
        for round in 0..100_u64 {
            assert_eq!(producer.room(3), 3);
            (0..3).for_each(|index| producer.write(round * 3 + index));
            assert_eq!(consumer.available(3), 0, "not yet published");
            producer.publish();
            assert_eq!(consumer.available(9), 3);
            (0..3).for_each(|index| assert_eq!(consumer.read(index), round * 3 + u64::from(index)));
            consumer.release(3);
        }
    }

    #[test]
    fn a_full_ring_has_no_room_until_its_consumer_releases() {
        let (mut producer, mut consumer) = pair(0);
        (0..4).for_each(|value| producer.write(value));
        producer.publish();
        assert_eq!((producer.room(1), producer.outstanding()), (0, 4));
        assert_eq!(consumer.available(1), 1);
        consumer.release(1);
        assert_eq!((producer.room(2), producer.outstanding()), (1, 3));
    }

    #[test]
    fn a_producers_cursor_beyond_the_ring_or_backwards_is_not_believed() {
        let (mut producer, mut consumer) = pair(10);
        (0..2).for_each(|value| producer.write(value));
        producer.publish();
        assert_eq!(consumer.available(2), 2);
        for impossible in [15, 11, 9, 0x8000_0000] {
            consumer.area.producer().store(impossible, Ordering::Release);
            assert_eq!(consumer.available(4), 2);
        }
        assert_eq!(consumer.impossible(), 4);
        consumer.area.producer().store(14, Ordering::Release);
        assert_eq!((consumer.available(4), consumer.impossible()), (4, 4));
    }

    #[test]
    fn a_consumers_cursor_ahead_of_the_producer_or_backwards_is_not_believed() {
        let (mut producer, _consumer) = pair(10);
        (0..3).for_each(|value| producer.write(value));
        producer.publish();
        for impossible in [14, 9, 0] {
            producer.area.consumer().store(impossible, Ordering::Release);
            assert_eq!(producer.room(4), 1);
        }
        assert_eq!(producer.impossible(), 3);
        producer.area.consumer().store(13, Ordering::Release);
        assert_eq!((producer.room(4), producer.impossible()), (4, 3));
    }

    #[test]
    #[should_panic(expected = "without room")]
    fn writing_without_room_is_refused() {
        let (mut producer, _consumer) = pair(0);
        (0..5).for_each(|value| producer.write(value));
    }

    #[test]
    #[should_panic(expected = "slot 1 of 1")]
    fn reading_what_is_not_there_is_refused() {
        let (mut producer, mut consumer) = pair(0);
        producer.write(1);
        producer.publish();
        assert_eq!(consumer.available(1), 1);
        let _refused = consumer.read(1);
    }
}
