//! User and kernel in threads of their own over plain memory, with the bytes of the packets: run by Miri this shows that no access to a
//! frame races with another, which loom does not look at; run natively it shows the same at speed.
#![cfg(not(loom))]
#![expect(unsafe_code, reason = "a test that plays the kernel promises to give each chunk to one user")]

use std::thread;

use xsk::refill::Shared;
use xsk::ring::cursor::{Consumer, Producer};
use xsk::ring::testing::{Kernel, further_socket, ring, socket};
use xsk::ring::{Descriptor, Rx};
use xsk::umem::{Books, FrameSize, Options};
use xsk::{Burst, Refill, Umem};

/// Packets per test.
const PACKETS: u32 = if cfg!(miri) { 60 } else { 20_000 };
const FRAMES: u32 = 8;
const RING: u32 = 8;

fn umem() -> Umem {
    Umem::in_plain_memory(&Options {
        frames: FRAMES,
        frame_size: FrameSize::Two,
        headroom: 0,
        hugepages: false,
    })
    .expect("memory")
}

/// A packet that says its number in every byte pair; every third one takes two buffers.
fn packet(number: u32) -> Vec<u8> {
    let octets = if number.is_multiple_of(3) { 2_000 } else { 64 };
    let mut packet = vec![number as u8; octets];
    packet[..4].copy_from_slice(&number.to_be_bytes());
    packet
}

/// Receives until `last` came, checking each packet, and gives the frames back.
fn work(umem: &Umem, fill: &Shared, rx: &mut Rx, expected: impl Iterator<Item = u32>) {
    let mut refill = Refill::new(umem, fill);
    let mut burst = Burst::new(umem);
    let mut expected = expected.peekable();
    while expected.peek().is_some() {
        rx.receive(&mut burst);
        for (received, number) in burst.iter().zip(expected.by_ref()) {
            assert!(received.buffers().flatten().eq(&packet(number)), "packet {number} changed on the way");
        }
        refill.give_back(&mut burst);
        refill.settle();
        thread::yield_now();
    }
}

#[test]
fn packets_cross_from_thread_to_thread_unchanged() {
    let umem = umem();
    // SAFETY: one socket over this UMEM, so every chunk goes to one user.
    let (mut user, mut kernel) = unsafe { socket(&umem, RING, u32::MAX - 3) };
    user.fill.give(&mut umem.allocate(FRAMES));
    let fill = Shared::new(user.fill);
    thread::scope(|scope| {
        scope.spawn(|| (0..PACKETS).for_each(|number| receive(&mut kernel, &packet(number))));
        work(&umem, &fill, &mut user.rx, 0..PACKETS);
    });
    assert_eq!(umem.books(), Books { free: 0, held: 0, lent: FRAMES });
    assert_eq!(user.rx.counters().bad_packets, 0);
}

/// Kernel: the descriptors of one packet to the socket that it is for.
fn pass_on(staged: &mut Consumer<Descriptor>, target: &mut Producer<Descriptor>) {
    let count = staged.available(RING);
    while target.room(count) < count {
        thread::yield_now();
    }
    (0..count).for_each(|index| target.write(staged.read(index)));
    target.publish();
    staged.release(count);
}

fn receive(kernel: &mut Kernel, packet: &[u8]) {
    while !kernel.receive(packet) {
        thread::yield_now();
    }
}

#[test]
fn two_workers_of_a_queue_each_get_their_packets_unchanged() {
    let umem = umem();
    // SAFETY: two users, and the kernel played below writes each chunk that it took from the fill ring into one of their RX rings.
    let (mut user, mut kernel) = unsafe { socket(&umem, RING, 0) };
    // SAFETY: as above.
    let (mut other_rx, _tx, mut kernel_other_rx, _kernel_tx) = unsafe { further_socket(&umem, RING, 0) };
    // The kernel receives all into a ring of its own and hands the descriptors on.
    let (staging, mut staged) = ring::<Descriptor>(RING, 0);
    let mut kernel_rx = std::mem::replace(&mut kernel.rx, staging);
    user.fill.give(&mut umem.allocate(FRAMES));
    let fill = Shared::new(user.fill);
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..PACKETS {
                receive(&mut kernel, &packet(number));
                let target = if number % 2 == 0 { &mut kernel_rx } else { &mut kernel_other_rx };
                pass_on(&mut staged, target);
            }
        });
        scope.spawn(|| work(&umem, &fill, &mut user.rx, (0..PACKETS).step_by(2)));
        work(&umem, &fill, &mut other_rx, (1..PACKETS).step_by(2));
    });
    assert_eq!(umem.books(), Books { free: 0, held: 0, lent: FRAMES });
}
