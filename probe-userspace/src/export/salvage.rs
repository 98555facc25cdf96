//! What killed epochs left, on its way into batches of this one: bit by bit, between the rings' turns.
//!
//! ```text
//! remains of epoch A, worker 0 ─┐
//! remains of epoch A, worker 1 ─┼─► stream behind those of the workers ─► outbox ─► closing message of A ─► files removed
//! remains of epoch B, worker 0 ─┘                                                   closing message of B
//! ```
//! It waits for room in the outbox: unlike packets it has time, and what this run does not come to the next one finds. Flows that the killed
//! run's program counted by itself come last of a worker, once it is known how many packets they have.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use flow_wire::bus::BODY_OCTETS_MAX;
use flow_wire::ledger::{Amount, Closes, Message, Pass, QueueTerms, StreamCut, WorkerTerms};
use flow_wire::stamp::{Epoch, StreamId};

use super::outbox::Outbox;
use super::stream::{SEAL_ROWS, Stream};
use super::{Identity, KernelSide, KernelSides, Salvaged};
use crate::survive::Remains;
use crate::survive::bank::Bank;
use crate::survive::file::SEALED;
use crate::survive::remains::amount;
use crate::survive::sealed::Sealed;
use crate::survive::step;

/// The stream of what is salvaged.
pub(super) struct Salvage {
    left: VecDeque<Remains>,
    /// Whole, but their epoch is not yet.
    done: Vec<Remains>,
    stream: Stream,
    sealed: Bank<SEALED>,
    inherited: Amount,
    epoch: Epoch,
    generation: u64,
    /// Where it comes from, and once it came.
    comes: KernelSides,
    kernel: Option<BTreeMap<Epoch, KernelSide>>,
}

impl Salvage {
    pub(super) fn new(identity: &Identity, stream: StreamId, salvaged: Salvaged) -> Self {
        Self {
            left: salvaged.remains.into(),
            done: Vec::new(),
            stream: Stream::new(identity.clone(), stream),
            sealed: salvaged.lane.sealed,
            inherited: Amount::ZERO,
            epoch: identity.epoch,
            generation: salvaged.generation,
            comes: salvaged.kernel,
            kernel: None,
        }
    }

    /// A batch, if there is room for it. `false` = there was nothing to do.
    pub(super) fn turn(&mut self, now: Duration, outbox: &Outbox) -> bool {
        let Some(front) = self.left.front_mut().filter(|_| outbox.has_room(BODY_OCTETS_MAX)) else {
            return false;
        };
        if front.records.is_empty() && front.is_shunted() {
            let kernel = match self.kernel.take().or_else(|| self.comes.try_recv().ok()) {
                Some(kernel) => self.kernel.insert(kernel),
                None => return false,
            };
            let side = kernel.get(&front.owner.epoch);
            let counted = side.and_then(|side| side.counted.as_deref());
            if counted.is_none() {
                tracing::error!(
                    "what the program of the run {} had counted of flows by itself since the last reading, for a second at most, is not there: \
                     its books are a bound",
                    front.owner.epoch.0
                );
            }
            front.merge_shunted(counted);
        }
        let rows = front.records.len().min(SEAL_ROWS);
        let mut sealed = None;
        for record in front.records.drain(..rows) {
            let counted = amount(&record);
            self.inherited.packets = self.inherited.packets.saturating_add(counted.packets);
            self.inherited.octets = self.inherited.octets.saturating_add(counted.octets);
            sealed = self.stream.push(record, now);
        }
        let sealed = sealed.or_else(|| self.stream.seal(now));
        let totals = Sealed { inherited: self.inherited, ..self.stream.sealed(0) };
        self.sealed.prepare(&totals.numbers());
        front.prepare(rows, self.epoch, totals.cut.stream, totals.cut.next);
        if let Some(sealed) = sealed {
            super::exporter::deliver(sealed, outbox);
        }
        front.commit();
        self.sealed.commit();
        if front.records.is_empty() && !front.is_shunted() {
            self.done.extend(self.left.pop_front());
        }
        true
    }

    /// Whether there may be books to close.
    pub(super) fn has_finished_any(&self) -> bool {
        !self.done.is_empty()
    }

    /// The books of an epoch of which everything has gone out, once the kernel's side of them is known. They go into the outbox before
    /// [`Salvage::forget`]. `newest`: the last that an epoch said of itself, with its cursors of now.
    pub(super) fn closing(
        &mut self,
        identity: &Identity,
        wall_nanoseconds: u64,
        newest: impl FnOnce(Epoch) -> Option<Message>,
    ) -> Option<Message> {
        let first = self.done.first()?;
        let epoch = first.owner.epoch;
        if self.left.front().is_some_and(|next| next.owner.epoch == epoch) {
            return None;
        }
        // While the kernel's side was waited for, other epochs may have gone out as well.
        let own = || self.done.iter().filter(|remains| remains.owner.epoch == epoch);
        if self.kernel.is_none() {
            self.kernel = self.comes.try_recv().ok();
        }
        let queues = self.kernel.as_ref()?.get(&epoch).and_then(|side| side.queues.clone());
        // Of a file that is not there nobody knows the terms.
        let is_whole = own().count() == usize::from(first.owner.files);
        let is_bound = !is_whole || own().any(|remains| remains.is_bound);
        let ring_slots = first.owner.ring_slots;
        let mut message = Message {
            version: Message::VERSION,
            exporter: identity.exporter.clone(),
            epoch_start_nanoseconds: first.owner.epoch_start_nanoseconds,
            time_nanoseconds: wall_nanoseconds,
            active_timeout_seconds: u32::try_from(identity.active_timeout.as_secs()).unwrap_or(u32::MAX),
            workers: own().map(|remains| remains.terms.clone()).collect(),
            cuts: own().map(|remains| remains.cut).collect(),
            closed: true,
            closes: Some(Closes { epoch, generation: self.generation, is_bound }),
            ..Message::default()
        };
        // A kill behind this message must not leave it the last word without them.
        let newest = newest(epoch);
        message.cursors = newest.as_ref().map(|newest| newest.cursors.clone()).unwrap_or_default();
        if let Some(queues) = queues.filter(|_| !is_bound) {
            add_kernel_side(&mut message, (queues, ring_slots), newest);
        }
        Some(message)
    }

    /// Whether the books of that epoch are not closed yet.
    pub(super) fn is_pending(&self, epoch: Epoch) -> bool {
        self.left.iter().chain(&self.done).any(|remains| remains.owner.epoch == epoch)
    }

    /// The closing message is in the outbox: the files are not needed any more.
    pub(super) fn forget(&mut self, closing: &Message) {
        let Some(Closes { epoch, .. }) = closing.closes else { return };
        let packets: u64 = closing.workers.iter().map(|worker| worker.recovered.packets).sum();
        for remains in self.done.extract_if(.., |remains| remains.owner.epoch == epoch) {
            remains.remove();
            step();
        }
        if let Some(side) = self.kernel.as_mut().and_then(|kernel| kernel.remove(&epoch)) {
            (side.remove)();
        }
        tracing::info!(
            "what a killed run had left is exported: {packets} packets in its open flows and finished records{}",
            kernel_side(closing)
        );
    }

    /// This epoch's part of it.
    pub(super) fn terms(&self) -> WorkerTerms {
        let totals = Sealed { inherited: self.inherited, ..self.stream.sealed(0) };
        let mut terms = WorkerTerms { worker: totals.cut.stream.0, ..WorkerTerms::default() };
        totals.complete(&mut terms);
        terms
    }

    pub(super) fn cut(&self) -> StreamCut {
        self.stream.cut()
    }
}

/// For people, where it is known.
fn kernel_side(closing: &Message) -> String {
    let Some(lost) = closing.lost_in_rings else { return String::new() };
    let sum = |of: &dyn Fn(&QueueTerms) -> u64| closing.queues.iter().map(of).sum::<u64>();
    let seen = sum(&|queue| queue.seen.packets);
    let passed = sum(&|queue| queue.passed.get(&Pass::NoSocket).map_or(0, |amount| amount.packets));
    format!(
        "; its program saw {seen} packets, {passed} of them passed while no probe ran, {lost} were lost in rings"
    )
}

/// What the program counted up to the end; what the rings dropped and the device missed, as far as the epoch came to say it; and as
/// lost what went into the rings and was neither dropped nor received. More than the rings hold, and than came behind its last word
/// (and may have been dropped since), no kill explains: that stays a residual.
fn add_kernel_side(
    message: &mut Message,
    (queues, ring_slots): (Vec<QueueTerms>, u32),
    newest: Option<Message>,
) {
    let said = newest.map(|newest| newest.queues);
    message.queues = queues;
    for said in said.iter().flatten() {
        let is_same =
            |queue: &&mut QueueTerms| queue.interface == said.interface && queue.queue == said.queue;
        let queue = match message.queues.iter_mut().find(is_same) {
            Some(queue) => queue,
            None => message.queues.push_mut(QueueTerms {
                interface: said.interface.clone(),
                queue: said.queue,
                ..QueueTerms::default()
            }),
        };
        queue.device_missed.clone_from(&said.device_missed);
        queue.rx_ring_full = said.rx_ring_full;
        queue.rx_dropped = said.rx_dropped;
        queue.not_delivered = said.not_delivered;
        queue.rx_fill_ring_empty_descs = said.rx_fill_ring_empty_descs;
    }
    let sum = |queues: &[QueueTerms], of: fn(&QueueTerms) -> u64| queues.iter().map(of).sum::<u64>();
    let redirected = |queue: &QueueTerms| queue.redirected.packets;
    let now = sum(&message.queues, redirected);
    let dropped = sum(&message.queues, |queue| {
        queue.rx_ring_full + queue.rx_dropped + queue.not_delivered.unwrap_or(0)
    });
    let received: u64 = message.workers.iter().map(|worker| worker.received.packets).sum();
    let since = now.saturating_sub(said.map_or(0, |said| sum(&said, redirected)));
    let most = u64::from(ring_slots).saturating_add(since);
    message.lost_in_rings = Some(now.saturating_sub(dropped).saturating_sub(received).min(most));
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use flow_wire::ledger::{Guarantee, of_probe, residual};
    use flow_wire::stamp::ProbeId;
    use uuid::Uuid;

    use super::*;
    use crate::survive::directory::Own;
    use crate::survive::{Directory, Owner, Shape};

    const RING_SLOTS: u32 = 4;

    fn queue(queue: u32, redirected: u64) -> QueueTerms {
        let amount = Amount { packets: redirected, octets: 60 * redirected };
        QueueTerms {
            interface: "eth0".to_owned(),
            queue,
            seen: amount,
            redirected: amount,
            ..QueueTerms::default()
        }
    }

    /// Two queues of a killed epoch, of which workers received so many packets, and what the rings had dropped by the last message.
    fn killed(received: u64, dropped: u64) -> Message {
        let amount = Amount { packets: received, octets: 60 * received };
        let worker =
            WorkerTerms { received: amount, metered: amount, recovered: amount, ..WorkerTerms::default() };
        let mut message = Message { workers: vec![worker], closed: true, ..Message::default() };
        let dropped = QueueTerms { rx_ring_full: dropped, ..queue(1, 45) };
        let missed = QueueTerms { device_missed: [("rx_missed".to_owned(), 9)].into(), ..queue(2, 0) };
        let newest = Message { queues: vec![queue(0, 95), dropped, missed], ..Message::default() };
        add_kernel_side(&mut message, (vec![queue(0, 100), queue(1, 50)], RING_SLOTS), Some(newest));
        message
    }

    #[test]
    fn what_was_neither_received_nor_dropped_lay_in_the_rings() {
        for (received, dropped, lost) in [(150, 0, 0), (143, 0, 7), (140, 3, 7)] {
            let message = killed(received, dropped);
            assert_eq!(message.lost_in_rings, Some(lost), "{received} {dropped}");
            assert_eq!(residual(&of_probe(&message, None)), Amount::ZERO, "{received} {dropped}");
            assert_eq!(
                message.queues[2].device_missed["rx_missed"], 9,
                "a queue that saw nothing may have missed"
            );
        }
    }

    #[test]
    fn what_no_ring_can_hold_is_a_residual_and_so_is_what_was_received_twice() {
        // 10 came since its last word, 4 had room in the rings.
        let message = killed(130, 0);
        assert_eq!((message.lost_in_rings, residual(&of_probe(&message, None)).packets), (Some(14), 6));
        let message = killed(152, 0);
        assert_eq!((message.lost_in_rings, residual(&of_probe(&message, None)).packets), (Some(0), 2));
    }

    /// Two starts that were killed, of one worker each, over which nobody has begun to export.
    fn killed_twice(directory: &Directory, probe: ProbeId) -> Vec<Remains> {
        for start in [1, 2] {
            let owner = Owner {
                probe,
                epoch: Epoch(Uuid::from_u128(start)),
                epoch_start_nanoseconds: start as u64,
                worker: 0,
                files: 1,
                ring_slots: RING_SLOTS,
                observation_domain_id: 1,
            };
            // Its locks go with it, as a killed process's do.
            let own = Own::default();
            drop(directory.make(owner, Shape { buckets: 1, ring: 1, places: 0 }, &own).unwrap());
        }
        directory.remains(&|_, _| None)
    }

    /// Both have gone out before the kernel's side of them is known.
    #[test]
    fn two_killed_epochs_are_closed_one_by_one_each_with_its_own() {
        let base = tempfile::tempdir_in("/dev/shm").expect("a tmpfs");
        let probe = ProbeId(Uuid::nil());
        let directory = Directory::open(base.path(), probe).unwrap();
        let (tell, kernel) = mpsc::channel();
        let (_, lane) = crate::export::tests::lane(1);
        let remains = killed_twice(&directory, probe);
        assert_eq!(remains.len(), 2);
        let identity = Identity {
            probe,
            epoch: Epoch(Uuid::from_u128(3)),
            epoch_start_nanoseconds: 3,
            exporter: "host".to_owned(),
            active_timeout: Duration::from_secs(120),
        };
        let salvaged = Salvaged { remains, lane, generation: 3, kernel };
        let mut salvage = Salvage::new(&identity, StreamId(1), salvaged);
        let outbox = Outbox::new(&[("sink".to_owned(), Guarantee::ExactlyOnce)], usize::MAX);
        while salvage.turn(Duration::ZERO, &outbox) {}
        assert!(salvage.closing(&identity, 0, |_| None).is_none(), "nobody knows the kernel's side yet");

        let side =
            |seen| KernelSide { queues: Some(vec![queue(0, seen)]), counted: None, remove: Box::new(|| ()) };
        let epochs = [1, 2].map(|start| Epoch(Uuid::from_u128(start)));
        tell.send(epochs.into_iter().zip([7, 9].map(side)).collect()).unwrap();
        for (epoch, seen) in epochs.into_iter().zip([7, 9]) {
            let closing = salvage.closing(&identity, 0, |_| None).unwrap();
            let closes = closing.closes.as_ref().unwrap();
            assert_eq!((closes.epoch, closes.is_bound, closing.workers.len()), (epoch, false, 1));
            assert_eq!(closing.queues[0].seen.packets, seen);
            assert!(salvage.is_pending(epoch));
            salvage.forget(&closing);
            assert!(!salvage.is_pending(epoch));
        }
        assert!(!salvage.has_finished_any());
    }
}
