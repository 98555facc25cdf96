//! Rings in plain memory with both their ends: what the kernel does at its end, a test does here.
//!
//! The kernel is trusted not to give one frame to two sockets at the same instant (a frame given twice one after the other is found
//! and counted). Whoever plays the kernel is held to the same, and promises it by an `unsafe` call.
#![expect(unsafe_code, reason = "two users over one UMEM are as sound as who plays the kernel")]

use super::area::Area;
use super::cursor::{Consumer, Producer};
use super::{CONTINUED, Completion, Descriptor, Fill, Rx, Tx};
use crate::umem::{Umem, XDP_HEADROOM};

/// The kernel's ends of the four rings of one socket.
#[derive(Debug)]
pub struct Kernel {
    umem: Umem,
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
///
/// # Safety
/// Over all RX and completion rings of one UMEM, the address of a chunk is not given to two users while both may look.
#[must_use]
pub unsafe fn socket(umem: &Umem, size: u32, start: u32) -> (User, Kernel) {
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
    let umem = umem.clone();
    (user, Kernel { umem, fill: kernel_fill, completion: kernel_completion, rx: kernel_rx, tx: kernel_tx })
}

impl Kernel {
    /// Receives a packet as the kernel does in copy mode: takes as many chunks from the fill ring as it needs, copies it behind their
    /// headroom, and describes it in the RX ring. False where one of the rings has not got enough, and nothing is done.
    pub fn receive(&mut self, packet: &[u8]) -> bool {
        let room = self.umem.packet_room() as usize;
        let count = packet.len().div_ceil(room).max(1) as u32;
        if self.fill.available(count) < count || self.rx.room(count) < count {
            return false;
        }
        for (index, part) in (0..count).zip(packet.chunks(room).chain(packet.is_empty().then_some(packet))) {
            let address = self.fill.read(index) + u64::from(XDP_HEADROOM + self.umem.headroom());
            self.umem.write_as_kernel(address, part);
            let options = if index + 1 < count { CONTINUED } else { 0 };
            self.rx.write(Descriptor { address, octets: part.len() as u32, options });
        }
        self.fill.release(count);
        self.rx.publish();
        true
    }

    /// Sends what the TX ring describes: completes every buffer that the completion ring has room for. Returns how many.
    pub fn send(&mut self) -> u32 {
        let wanted = self.tx.available(self.tx.size());
        let count = self.completion.room(wanted);
        for index in 0..count {
            self.completion.write(self.tx.read(index).address);
        }
        self.tx.release(count);
        self.completion.publish();
        count
    }
}

/// A further socket of the queue: an RX and a TX ring of its own.
///
/// # Safety
/// As of [`socket`].
#[must_use]
pub unsafe fn further_socket(
    umem: &Umem,
    size: u32,
    start: u32,
) -> (Rx, Tx, Producer<Descriptor>, Consumer<Descriptor>) {
    let (kernel_rx, rx) = ring(size, start);
    let (tx, kernel_tx) = ring(size, start);
    (Rx::new(umem.clone(), rx), Tx::new(umem.clone(), tx), kernel_rx, kernel_tx)
}
