//! What this crate's own part of a packet costs: bursts of 64 received and given back over rings in plain memory, where the kernel's part
//! is played beside the clock. `recycle [BURSTS]` prints the median burst, which other processes on the machine do not touch.
#![expect(unsafe_code, reason = "who plays the kernel promises to give each chunk to one user")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use xsk::burst::PACKETS;
use xsk::refill::Shared;
use xsk::ring::testing::socket;
use xsk::umem::{FrameSize, Options};
use xsk::{Burst, Refill, Umem};

/// Frames of a default UMEM: more than the caches hold.
const FRAMES: u32 = 32768;
const RING: u32 = 32768;
const FRAME: [u8; 60] = [7; 60];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let bursts: u32 = std::env::args().nth(1).map_or(Ok(200_000), |text| text.parse())?;
    let umem = Umem::in_plain_memory(&Options {
        frames: FRAMES,
        frame_size: FrameSize::Four,
        headroom: 0,
        hugepages: false,
    })?;
    // SAFETY: one socket over this UMEM, so every chunk goes to one user.
    let (mut user, mut kernel) = unsafe { socket(&umem, RING, 0) };
    user.fill.give(&mut umem.allocate(FRAMES));
    let mut refill = Refill::new(&umem, &Shared::new(user.fill));
    let mut burst = Burst::new(&umem);
    let mut spent = Vec::with_capacity(bursts as usize);
    let mut octets = 0;
    for _ in 0..bursts {
        (0..PACKETS).for_each(|_| assert!(kernel.receive(&FRAME), "the rings have room"));
        let start = Instant::now();
        assert_eq!(user.rx.receive(&mut burst), PACKETS);
        for packet in burst.iter() {
            octets += u64::from(packet.octets()) + u64::from(black_box(packet.bytes())[13]);
        }
        refill.give_back(&mut burst);
        spent.push(start.elapsed());
    }
    spent.sort_unstable();
    let each = |burst: Duration| burst.as_nanos() as f64 / PACKETS as f64;
    let (median, tenth) = (spent[spent.len() / 2], spent[spent.len() / 10]);
    println!(
        "{bursts} bursts of {PACKETS}: median {:.1} ns a packet, tenth {:.1} ns (sum {octets})",
        each(median),
        each(tenth)
    );
    Ok(())
}
