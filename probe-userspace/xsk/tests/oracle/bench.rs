//! User, kernel and model side by side: each step is done to all three, then they are compared.

use std::collections::VecDeque;

use xsk::refill::Shared;
use xsk::ring::testing::{Kernel, socket};
use xsk::ring::{CONTINUED, Completion, Descriptor, Rx, Tx};
use xsk::umem::{Books, FrameSize, Options};
use xsk::{Burst, Refill, Umem};

/// More than a ring takes, so that frames must wait in the stash.
const FRAMES: u32 = 96;
const RING: u32 = 64;
const CHUNK: u64 = 2048;
const HEADROOM: u32 = 64;
/// A packet of more buffers than any may have, and how many are read at once of it.
const TOO_LONG: usize = 50;
const LONGEST: usize = xsk::burst::BUFFERS_PER_PACKET;

#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// User: frames of the pool to the fill ring.
    Fill(u32),
    /// Kernel: a packet of so many bytes.
    Packet(usize),
    /// User: reads a burst.
    Receive,
    /// User: gives the burst back.
    GiveBack,
    /// User: sends a frame of the pool.
    Send(u32),
    /// Kernel: sends all.
    KernelSends,
    /// User: takes back what was sent.
    TakeSent,
    /// Broken kernel: more bytes than the chunk has.
    BeyondChunk,
    /// Broken kernel: an address beyond the UMEM.
    Outside,
    /// Broken kernel: a chunk that it has not got.
    NotLent,
    /// Broken kernel: a packet of too many buffers.
    TooLong,
    /// Kernel: half a packet, which must not be handed over, then the other half.
    Halves,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Pool,
    /// In the burst or in the stash.
    Held,
    Fill,
    Rx,
    Tx,
    Completion,
}

/// What must come of some buffers in the RX ring.
struct Expected {
    /// The chunks that the user gets with it.
    chunks: Vec<u32>,
    /// Slots of the ring.
    slots: usize,
    /// The packet's bytes; none for one that must not be handed over.
    bytes: Option<Vec<u8>>,
    /// False for the rest of a packet that was counted as bad.
    counted: bool,
}

pub(crate) struct Bench {
    umem: Umem,
    rx: Rx,
    tx: Tx,
    completion: Completion,
    fill: Shared,
    refill: Refill,
    burst: Burst,
    kernel: Kernel,
    places: Vec<Place>,
    expected: VecDeque<Expected>,
    serial: u8,
    bad_packets: u64,
    bad_descriptors: u64,
}

impl Bench {
    pub(crate) fn new(start: u32) -> Self {
        let options =
            Options { frames: FRAMES, frame_size: FrameSize::Two, headroom: HEADROOM, hugepages: false };
        let umem = Umem::in_plain_memory(&options).expect("memory");
        // SAFETY: one socket over this UMEM, so every chunk goes to one user.
        let (user, kernel) = unsafe { socket(&umem, RING, start) };
        let fill = Shared::new(user.fill);
        Self {
            refill: Refill::new(&umem, &fill),
            burst: Burst::new(&umem),
            rx: user.rx,
            tx: user.tx,
            completion: user.completion,
            fill,
            kernel,
            places: vec![Place::Pool; FRAMES as usize],
            expected: VecDeque::new(),
            serial: 0,
            bad_packets: 0,
            bad_descriptors: 0,
            umem,
        }
    }

    pub(crate) fn apply(&mut self, step: &Step) {
        match *step {
            Step::Fill(count) => self.fill(count),
            Step::Packet(octets) => self.packet(octets),
            Step::Receive => self.receive(),
            Step::GiveBack => self.give_back(),
            Step::Send(octets) => self.send(octets),
            Step::KernelSends => self.kernel_sends(),
            Step::TakeSent => self.take_sent(),
            Step::BeyondChunk => self.beyond_chunk(),
            Step::Outside => self.bad(u64::from(FRAMES) * CHUNK + 64, 60, vec![]),
            Step::NotLent => self.not_lent(),
            Step::TooLong => self.too_long(),
            Step::Halves => self.halves(),
        }
    }

    /// The books agree, and so do the contents of the fill ring.
    pub(crate) fn check(&mut self, step: &Step) {
        let lent = self.count(Place::Fill)
            + self.count(Place::Rx)
            + self.count(Place::Tx)
            + self.count(Place::Completion);
        let books = Books { free: self.count(Place::Pool), held: self.count(Place::Held), lent };
        assert_eq!(self.umem.books(), books, "after {step:?}");
        assert_eq!(self.burst.frames() + self.refill.waiting(), books.held as usize, "after {step:?}");
        assert_eq!(self.fill_contents().len() as u32, self.count(Place::Fill), "after {step:?}");
        let counters = self.rx.counters();
        assert_eq!(counters.impossible_cursors, 0);
        assert!(counters.bad_packets <= self.bad_packets);
    }

    /// Everything that is under way arrives; then no frame is missing and every bad packet was counted.
    pub(crate) fn drain(&mut self) {
        while !self.expected.is_empty() {
            self.give_back();
            self.receive();
        }
        self.give_back();
        self.kernel_sends();
        self.take_sent();
        self.kernel_sends();
        self.take_sent();
        self.check(&Step::GiveBack);
        let counters = self.rx.counters();
        assert_eq!(counters.bad_packets, self.bad_packets);
        assert_eq!(counters.bad_descriptors.total(), self.bad_descriptors);
        assert_eq!((self.count(Place::Rx), self.count(Place::Tx)), (0, 0));
    }

    fn count(&self, wanted: Place) -> u32 {
        self.places.iter().filter(|place| **place == wanted).count() as u32
    }

    fn slots_used(&self) -> usize {
        self.expected.iter().map(|packet| packet.slots).sum()
    }

    /// The chunk moves; it must be where the model has it.
    fn shift(&mut self, chunk: u32, from: Place, to: Place) {
        let place = &mut self.places[chunk as usize];
        assert_eq!(*place, from, "chunk {chunk} on its way to {to:?}");
        *place = to;
    }

    /// What lies in the fill ring, as the kernel sees it.
    fn fill_contents(&mut self) -> Vec<u32> {
        let count = self.kernel.fill.available(RING);
        (0..count).map(|index| (self.kernel.fill.read(index) / CHUNK) as u32).collect()
    }

    /// After frames were given: what is new in the fill ring came from `from`.
    fn note_filled(&mut self, before: &[u32], from: Place) {
        let after = self.fill_contents();
        assert_eq!(&after[..before.len()], before, "the fill ring is a queue");
        after[before.len()..].iter().for_each(|chunk| self.shift(*chunk, from, Place::Fill));
    }

    fn fill(&mut self, count: u32) {
        let before = self.fill_contents();
        let mut frames = self.umem.allocate(count);
        assert_eq!(frames.len() as u32, count.min(self.count(Place::Pool)));
        let given = self.fill.give(&mut frames);
        assert_eq!(given, count.min(self.count(Place::Pool)).min(RING - before.len() as u32));
        self.umem.free(frames);
        self.note_filled(&before, Place::Pool);
    }

    fn give_back(&mut self) {
        let before = self.fill_contents();
        let waiting = self.burst.frames() + self.refill.waiting();
        self.refill.give_back(&mut self.burst);
        let room = RING as usize - before.len();
        assert_eq!(self.refill.waiting(), waiting.saturating_sub(room));
        self.note_filled(&before, Place::Held);
    }

    fn packet(&mut self, octets: usize) {
        self.serial = self.serial.wrapping_add(1);
        let bytes: Vec<u8> = (0..octets).map(|index| self.serial.wrapping_add(index as u8)).collect();
        let room = CHUNK as usize - 256 - HEADROOM as usize;
        let slots = octets.div_ceil(room).max(1);
        let chunks: Vec<u32> = self.fill_contents().into_iter().take(slots).collect();
        let fits = chunks.len() == slots && self.slots_used() + slots <= RING as usize;
        assert_eq!(self.kernel.receive(&bytes), fits);
        if fits {
            chunks.iter().for_each(|chunk| self.shift(*chunk, Place::Fill, Place::Rx));
            self.expected.push_back(Expected { chunks, slots, bytes: Some(bytes), counted: true });
        }
    }

    fn receive(&mut self) {
        if self.burst.frames() > 0 {
            return;
        }
        let before = self.rx.counters();
        let received = self.rx.receive(&mut self.burst);
        let after = self.rx.counters();
        assert_eq!(after.packets - before.packets, received as u64);
        let mut read = received as u64 + after.bad_packets - before.bad_packets;
        assert!(read > 0 || self.expected.front().is_none_or(|next| !next.counted), "nothing was read");
        let (mut bytes, mut frames) = (Vec::new(), 0);
        while let Some(next) = self
            .expected
            .pop_front_if(|next| if next.counted { read > 0 } else { frames < self.burst.frames() })
        {
            read -= u64::from(next.counted);
            frames += next.chunks.len();
            next.chunks.iter().for_each(|chunk| self.shift(*chunk, Place::Rx, Place::Held));
            bytes.extend(next.bytes);
        }
        assert_eq!((read, frames, bytes.len()), (0, self.burst.frames(), received));
        for (packet, expected) in self.burst.iter().zip(&bytes) {
            assert_eq!(packet.octets() as usize, expected.len());
            assert!(packet.buffers().flatten().eq(expected), "a packet's bytes changed on the way");
            assert!(expected.starts_with(packet.bytes()));
        }
    }

    fn send(&mut self, octets: u32) {
        let Some(mut frame) = self.umem.allocate_one() else { return };
        self.umem.bytes_mut(&mut frame).fill(self.serial);
        let chunk = frame.chunk();
        let fits = u64::from(octets) <= CHUNK && self.count(Place::Tx) < RING;
        match self.tx.send(frame, octets, false) {
            Ok(()) => {
                assert!(fits, "{octets} octets were taken");
                self.tx.publish();
                self.shift(chunk, Place::Pool, Place::Tx);
            }
            Err(frame) => {
                assert!(!fits, "{octets} octets were refused");
                self.umem.free([frame]);
            }
        }
    }

    fn kernel_sends(&mut self) {
        let waiting = self.kernel.tx.available(RING);
        let chunks: Vec<u32> =
            (0..waiting).map(|index| (self.kernel.tx.read(index).address / CHUNK) as u32).collect();
        let sent = self.kernel.send();
        assert_eq!(sent, waiting.min(RING - self.count(Place::Completion)));
        chunks[..sent as usize].iter().for_each(|chunk| self.shift(*chunk, Place::Tx, Place::Completion));
    }

    fn take_sent(&mut self) {
        let mut frames = Vec::with_capacity(10);
        assert_eq!(
            self.completion.take(&mut frames) as u32,
            self.count(Place::Completion).min(frames.capacity() as u32)
        );
        for frame in &frames {
            self.shift(frame.chunk(), Place::Completion, Place::Pool);
        }
        self.umem.free(frames);
    }

    /// Kernel: takes chunks off the fill ring, where there are so many and the RX ring has room for them.
    fn kernel_takes(&mut self, count: usize) -> Option<Vec<u32>> {
        let chunks: Vec<u32> = self.fill_contents().into_iter().take(count).collect();
        if chunks.len() < count || self.slots_used() + count > RING as usize {
            return None;
        }
        self.kernel.fill.release(count as u32);
        chunks.iter().for_each(|chunk| self.shift(*chunk, Place::Fill, Place::Rx));
        Some(chunks)
    }

    fn put(&mut self, address: u64, octets: u32, options: u32) {
        assert_eq!(self.kernel.rx.room(1), 1, "an RX ring that the model thinks has room");
        self.kernel.rx.write(Descriptor { address, octets, options });
        self.kernel.rx.publish();
    }

    /// A single descriptor that is not to be believed.
    fn bad(&mut self, address: u64, octets: u32, chunks: Vec<u32>) {
        if self.slots_used() < RING as usize {
            self.put(address, octets, 0);
            self.expected.push_back(Expected { chunks, slots: 1, bytes: None, counted: true });
            self.bad_packets += 1;
            self.bad_descriptors += 1;
        }
    }

    fn beyond_chunk(&mut self) {
        if let Some(chunks) = self.kernel_takes(1) {
            self.bad(u64::from(chunks[0]) * CHUNK + 100, CHUNK as u32 - 99, chunks);
        }
    }

    /// A chunk that is in the pool now, and could be anywhere when the descriptor is read: then it would be believed, rightly as far as
    /// anyone can tell. So it is read at once.
    fn not_lent(&mut self) {
        let pooled = self.places.iter().position(|place| *place == Place::Pool);
        if let Some(chunk) = pooled
            && self.burst.frames() == 0
            && self.expected.is_empty()
        {
            self.bad(chunk as u64 * CHUNK, 60, vec![]);
            self.receive();
        }
    }

    fn too_long(&mut self) {
        let Some(mut chunks) = self.kernel_takes(TOO_LONG) else { return };
        for (index, chunk) in chunks.iter().enumerate() {
            let options = if index + 1 < TOO_LONG { CONTINUED } else { 0 };
            self.put(u64::from(*chunk) * CHUNK, 10, options);
        }
        let rest = chunks.split_off(LONGEST);
        self.expected.push_back(Expected { chunks, slots: LONGEST, bytes: None, counted: true });
        self.expected.push_back(Expected { slots: rest.len(), chunks: rest, bytes: None, counted: false });
        self.bad_packets += 1;
    }

    fn halves(&mut self) {
        let Some(chunks) = self.kernel_takes(2) else { return };
        self.put(u64::from(chunks[0]) * CHUNK, 0, CONTINUED);
        if self.expected.is_empty() && self.burst.frames() == 0 {
            assert_eq!(self.rx.receive(&mut self.burst), 0, "half a packet was handed over");
            assert_eq!(self.burst.frames(), 0);
        }
        self.put(u64::from(chunks[1]) * CHUNK, 0, 0);
        self.expected.push_back(Expected { chunks, slots: 2, bytes: Some(vec![]), counted: true });
    }
}
