//! The interleavings of the threads that share a ring, with at most three preemptions, by loom: `RUSTFLAGS="--cfg loom" cargo test -p xsk --test loom`.
#![cfg(loom)]
#![expect(unsafe_code, reason = "a test that plays the kernel promises to give each chunk to one user")]

use loom::thread;
use xsk::refill::Shared;
use xsk::ring::cursor::Producer;
use xsk::ring::testing::{Kernel, further_socket, ring, socket};
use xsk::ring::{Descriptor, Rx};
use xsk::umem::{FrameSize, Options};
use xsk::{Burst, Refill, Umem};

/// A cursor that wraps within a few steps.
const BEFORE_WRAP: u32 = u32::MAX;

fn umem(frames: u32) -> Umem {
    Umem::in_plain_memory(&Options { frames, frame_size: FrameSize::Two, headroom: 0, hugepages: false })
        .expect("memory")
}

#[test]
fn a_ring_hands_over_every_value_once_and_in_order() {
    check(|| {
        let (mut producer, mut consumer) = ring::<u64>(2, BEFORE_WRAP);
        let writer = thread::spawn(move || {
            let mut next = 0;
            while next < 3 {
                for _ in 0..producer.room(2).min(3 - next as u32) {
                    producer.write(next);
                    next += 1;
                }
                producer.publish();
                thread::yield_now();
            }
            assert_eq!(producer.impossible(), 0);
        });
        let mut next = 0;
        while next < 3 {
            let available = consumer.available(2);
            for index in 0..available {
                assert_eq!(consumer.read(index), next);
                next += 1;
            }
            consumer.release(available);
            thread::yield_now();
        }
        assert_eq!(consumer.impossible(), 0);
        writer.join().expect("writer");
    });
}

/// Fill ring and RX ring: the kernel receives into what the user gave, the user gives back what it received.
#[test]
fn a_frame_goes_round_between_user_and_kernel() {
    check(|| {
        let umem = umem(1);
        // SAFETY: one socket over this UMEM, so every chunk goes to one user.
        let (mut user, mut kernel) = unsafe { socket(&umem, 2, BEFORE_WRAP) };
        user.fill.give(&mut umem.allocate(1));
        let kernel = thread::spawn(move || {
            for number in [7_u8, 8] {
                while !kernel.receive(&[number; 60]) {
                    thread::yield_now();
                }
            }
        });
        let mut refill = Refill::new(&umem, &Shared::new(user.fill));
        let mut burst = Burst::new(&umem);
        for number in [7_u8, 8] {
            while user.rx.receive(&mut burst) == 0 {
                thread::yield_now();
            }
            assert_eq!(burst.get(0).expect("one packet").bytes(), [number; 60]);
            refill.give_back(&mut burst);
        }
        kernel.join().expect("kernel");
        assert_eq!(umem.books().lent, 1);
        assert_eq!(user.rx.counters().bad_packets, 0);
    });
}

/// TX ring and completion ring, the other way round.
#[test]
fn a_sent_frame_comes_back_once() {
    check(|| {
        let umem = umem(1);
        // SAFETY: one socket over this UMEM, so every chunk goes to one user.
        let (mut user, mut kernel) = unsafe { socket(&umem, 2, BEFORE_WRAP) };
        let kernel = thread::spawn(move || {
            let mut sent = 0;
            while sent < 2 {
                sent += kernel.send();
                thread::yield_now();
            }
        });
        let mut frames = Vec::with_capacity(1);
        frames.extend(umem.allocate_one());
        for _ in 0..2 {
            let mut frame = frames.pop().expect("the frame is back");
            umem.bytes_mut(&mut frame).fill(1);
            user.tx.send(frame, 60, false).expect("room");
            user.tx.publish();
            while user.completion.take(&mut frames) == 0 {
                thread::yield_now();
            }
        }
        umem.free(frames);
        kernel.join().expect("kernel");
        assert_eq!((umem.books().free, user.completion.bad_descriptors().total()), (1, 0));
    });
}

/// Two workers of one queue give back at the same time, and the kernel takes at the same time: nothing is lost, nothing doubled.
#[test]
fn two_workers_refill_one_fill_ring() {
    check(|| {
        let umem = umem(2);
        // SAFETY: two users, and the kernel played below writes each chunk that it took from the fill ring into one of their RX rings.
        let (mut user, mut kernel) = unsafe { socket(&umem, 2, BEFORE_WRAP) };
        // SAFETY: as above.
        let (other_rx, _, mut other_kernel_rx, _) = unsafe { further_socket(&umem, 2, BEFORE_WRAP) };
        user.fill.give(&mut umem.allocate(2));
        assert!(kernel.receive(&[1; 60]));
        receive_into(&mut kernel, &mut other_kernel_rx);
        let fill = Shared::new(user.fill);
        let workers = [user.rx, other_rx].map(|rx| {
            let (umem, fill) = (umem.clone(), fill.clone());
            thread::spawn(move || work(&umem, &fill, rx))
        });
        let mut back = Vec::new();
        while back.len() < 2 {
            let count = kernel.fill.available(2);
            back.extend((0..count).map(|index| kernel.fill.read(index)));
            kernel.fill.release(count);
            thread::yield_now();
        }
        workers.into_iter().for_each(|worker| worker.join().expect("worker"));
        back.sort_unstable();
        assert_eq!(back, [0, 2048], "both frames came back, once each");
        assert_eq!(umem.books().lent, 2);
    });
}

/// Kernel: a packet for the other socket of the queue.
fn receive_into(kernel: &mut Kernel, rx: &mut Producer<Descriptor>) {
    assert_eq!((kernel.fill.available(1), rx.room(1)), (1, 1));
    rx.write(Descriptor { address: kernel.fill.read(0) + 256, octets: 60, options: 0 });
    kernel.fill.release(1);
    rx.publish();
}

/// One worker: a burst, back under the try-lock, and what was not given settled before it sleeps.
fn work(umem: &Umem, fill: &Shared, mut rx: Rx) {
    let mut refill = Refill::new(umem, fill);
    let mut burst = Burst::new(umem);
    assert_eq!(rx.receive(&mut burst), 1);
    refill.give_back(&mut burst);
    assert_eq!(
        refill.waiting() as u64,
        refill.contended(),
        "a frame waits only while the other worker refills"
    );
    refill.settle();
    assert_eq!(refill.waiting(), 0);
}

/// All interleavings with at most three preemptions: what loom's authors found to catch nearly all faults, in seconds.
fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}
