//! Rings in plain memory with both their ends: what the kernel does at its end, a test does here.
//!
//! The kernel is trusted not to give one frame to two sockets at the same instant (a frame given twice one after the other is found
//! and counted); whoever plays the kernel from two threads is held to the same.

use super::area::Area;
use super::cursor::{Consumer, Producer};
use super::{Completion, Descriptor, Fill, Rx, Tx};
use crate::umem::Umem;

/// The kernel's ends of the four rings of one socket.
#[derive(Debug)]
pub struct Kernel {
    /// Chunks to receive into.
    pub fill: Consumer<u64>,
    /// Chunks that were sent.
    pub completion: Producer<u64>,
    /// What came.
    pub rx: Producer<Descriptor>,
    /// What is to be sent.
    pub tx: Consumer<Descriptor>,
}

/// The user's ends of the four rings of one socket.
#[derive(Debug)]
pub struct User {
    /// Chunks to receive into.
    pub fill: Fill,
    /// Chunks that were sent.
    pub completion: Completion,
    /// What came.
    pub rx: Rx,
    /// What is to be sent.
    pub tx: Tx,
}

/// Both ends of one ring of `size` slots (a power of two), its cursors at `start`.
#[must_use]
pub fn ring<T: Copy + Default + Send + 'static>(size: u32, start: u32) -> (Producer<T>, Consumer<T>) {
    let (producer, consumer) = Area::pair(size, start);
    (Producer::new(producer), Consumer::new(consumer))
}

/// Both ends of four rings of `size` slots over `umem`, their cursors at `start`.
#[must_use]
pub fn socket(umem: &Umem, size: u32, start: u32) -> (User, Kernel) {
    let (fill, kernel_fill) = ring(size, start);
    let (kernel_completion, completion) = ring(size, start);
    let (kernel_rx, rx) = ring(size, start);
    let (tx, kernel_tx) = ring(size, start);
    let user = User {
        fill: Fill::new(umem.clone(), fill),
        completion: Completion::new(umem.clone(), completion),
        rx: Rx::new(umem.clone(), rx),
        tx: Tx::new(umem.clone(), tx),
    };
    (user, Kernel { fill: kernel_fill, completion: kernel_completion, rx: kernel_rx, tx: kernel_tx })
}

/// A further socket of the queue: an RX and a TX ring of its own.
#[must_use]
pub fn further_socket(
    umem: &Umem,
    size: u32,
    start: u32,
) -> (Rx, Tx, Producer<Descriptor>, Consumer<Descriptor>) {
    let (kernel_rx, rx) = ring(size, start);
    let (tx, kernel_tx) = ring(size, start);
    (Rx::new(umem.clone(), rx), Tx::new(umem.clone(), tx), kernel_rx, kernel_tx)
}
