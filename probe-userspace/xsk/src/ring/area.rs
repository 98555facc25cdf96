//! The memory of one ring: two cursors, a flags word and the slots, wherever they lie.
#![expect(unsafe_code, reason = "slots and cursors lie in memory that the kernel shares")]

use std::any::Any;
use std::ptr::NonNull;
use std::sync::Arc;

use crate::sync::{AtomicU32, Ordering, Slot};

/// The ring's end in the other process (or thread) has a pointer to the same memory; `keep` holds it alive.
pub(crate) struct Area<T> {
    producer: NonNull<AtomicU32>,
    consumer: NonNull<AtomicU32>,
    flags: NonNull<AtomicU32>,
    slots: NonNull<Slot<T>>,
    size: u32,
    _keep: Arc<dyn Any + Send + Sync>,
}

// SAFETY: the pointers are to memory that `_keep` owns and that no thread owns; cursors and flags are atomics, a slot is touched only
// by the end that the cursors grant it to. `T: Copy + Send` descriptors cross threads by value.
unsafe impl<T: Copy + Send> Send for Area<T> {}

/// A ring in plain memory.
pub(crate) struct Heap<T> {
    producer: AtomicU32,
    consumer: AtomicU32,
    flags: AtomicU32,
    slots: Box<[Slot<T>]>,
}

// SAFETY: shared by the two ends only through `Area`, see there.
unsafe impl<T: Copy + Send> Sync for Heap<T> {}

impl<T: Copy + Default + Send + 'static> Area<T> {
    /// Both ends of a ring of `size` slots in plain memory, the cursors at `start` (so that wrapping can be tested).
    pub(crate) fn pair(size: u32, start: u32) -> (Self, Self) {
        assert!(size.is_power_of_two(), "ring of {size} slots: not a power of two");
        let heap = Arc::new(Heap {
            producer: AtomicU32::new(start),
            consumer: AtomicU32::new(start),
            flags: AtomicU32::new(0),
            slots: (0..size).map(|_| Slot::new(T::default())).collect(),
        });
        (Self::of_heap(&heap, size), Self::of_heap(&heap, size))
    }

    fn of_heap(heap: &Arc<Heap<T>>, size: u32) -> Self {
        Self {
            producer: NonNull::from(&heap.producer),
            consumer: NonNull::from(&heap.consumer),
            flags: NonNull::from(&heap.flags),
            slots: NonNull::from(&*heap.slots).cast(),
            size,
            _keep: Arc::clone(heap) as _,
        }
    }
}

#[cfg(not(loom))]
impl<T: Copy + Send + 'static> Area<T> {
    /// Bytes to map for a ring of `size` slots.
    pub(crate) fn mapped_length(offsets: &libc::xdp_ring_offset, size: u32) -> usize {
        offsets.desc as usize + size as usize * size_of::<T>()
    }

    /// The ring of `size` slots in a mapping of a socket, laid out as XDP_MMAP_OFFSETS said. None where the offsets do not fit in
    /// the mapping or are not aligned.
    pub(crate) fn mapped(
        memory: crate::memory::Memory,
        offsets: &libc::xdp_ring_offset,
        size: u32,
    ) -> Option<Self> {
        let fits = |offset: u64, bytes: usize, alignment: usize| {
            let offset = usize::try_from(offset).ok()?;
            let end = offset.checked_add(bytes)?;
            (end <= memory.length() && offset.is_multiple_of(alignment)).then_some(offset)
        };
        let word = |offset: u64| fits(offset, size_of::<AtomicU32>(), align_of::<AtomicU32>());
        let (producer, consumer, flags) =
            (word(offsets.producer)?, word(offsets.consumer)?, word(offsets.flags)?);
        let slots = fits(offsets.desc, size as usize * size_of::<T>(), align_of::<Slot<T>>())?;
        let start = memory.start();
        // SAFETY: the four offsets lie within the mapping with room for what is read there and are aligned for it (checked above);
        // mappings start at a page. An AtomicU32 has the layout of the kernel's u32, a `Slot<T>` that of `T`.
        unsafe {
            Some(Self {
                producer: start.add(producer).cast(),
                consumer: start.add(consumer).cast(),
                flags: start.add(flags).cast(),
                slots: start.add(slots).cast(),
                size,
                _keep: Arc::new(memory),
            })
        }
    }
}

impl<T: Copy> Area<T> {
    /// Slots.
    pub(crate) const fn size(&self) -> u32 {
        self.size
    }

    /// The producer's cursor.
    pub(crate) fn producer(&self) -> &AtomicU32 {
        // SAFETY: points into memory that `_keep` owns.
        unsafe { self.producer.as_ref() }
    }

    /// The consumer's cursor.
    pub(crate) fn consumer(&self) -> &AtomicU32 {
        // SAFETY: points into memory that `_keep` owns.
        unsafe { self.consumer.as_ref() }
    }

    /// XDP_RING_NEED_WAKEUP: the kernel sleeps until it is called.
    pub(crate) fn needs_wakeup(&self) -> bool {
        // SAFETY: points into memory that `_keep` owns.
        unsafe { self.flags.as_ref() }.load(Ordering::Relaxed) & libc::XDP_RING_NEED_WAKEUP != 0
    }

    /// Sets the flags word, as the kernel does.
    pub(crate) fn set_needs_wakeup(&self, needed: bool) {
        let flags = if needed { libc::XDP_RING_NEED_WAKEUP } else { 0 };
        // SAFETY: points into memory that `_keep` owns.
        unsafe { self.flags.as_ref() }.store(flags, Ordering::Relaxed);
    }

    /// The value at a cursor.
    ///
    /// # Safety
    /// The caller is the end that the slot at `cursor` is granted to, and does not write it meanwhile.
    pub(crate) unsafe fn read(&self, cursor: u32) -> T {
        // SAFETY: the pointer is that of a slot (see `slot`), initialised since the ring was made (zeroes or `T::default()`), and
        // the caller says that the other end does not write it.
        self.slot(cursor).with(|slot| unsafe { slot.read() })
    }

    /// Writes the value at a cursor.
    ///
    /// # Safety
    /// The caller is the end that the slot at `cursor` is granted to, and nobody reads it meanwhile.
    pub(crate) unsafe fn write(&self, cursor: u32, value: T) {
        // SAFETY: the pointer is that of a slot, and the caller says that the other end does not touch it.
        self.slot(cursor).with_mut(|slot| unsafe { slot.write(value) });
    }

    fn slot(&self, cursor: u32) -> &Slot<T> {
        // SAFETY: masked, so below `size`; `_keep` owns `size` slots.
        unsafe { self.slots.add((cursor & (self.size - 1)) as usize).as_ref() }
    }
}
