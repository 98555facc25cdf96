//! Atomics, locks and cells by one name, so that loom can put its own in their place.
//!
//! Only what two threads of this process share goes through here: the rings over plain memory, the owners of frames, the fill ring
//! that several sockets of a queue refill. Rings mapped from the kernel exist in ordinary builds only.

#[cfg(not(loom))]
pub(crate) use std::sync::Mutex;
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

#[cfg(loom)]
pub(crate) use loom::cell::UnsafeCell as Slot;
#[cfg(loom)]
pub(crate) use loom::sync::Mutex;
#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU8, AtomicU32, Ordering};

/// One descriptor of a ring: a cell whose exclusive use the ring's cursors grant. Loom checks that they do.
#[cfg(not(loom))]
#[repr(transparent)]
pub(crate) struct Slot<T>(core::cell::UnsafeCell<T>);

#[cfg(not(loom))]
impl<T> Slot<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(core::cell::UnsafeCell::new(value))
    }

    pub(crate) fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
        read(self.0.get())
    }

    pub(crate) fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R {
        write(self.0.get())
    }
}
