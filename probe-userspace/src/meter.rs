//! The shard: what one worker owns and nobody else sees. Frames in, records out, and the terms of the books.
//!
//! A burst goes through in stages, so that the cache misses of its packets overlap:
//!
//! ```text
//! read all headers ─► find all buckets, ask for them ─► ask for all entries ─► update all
//! ```
//! No clock, no lock, no allocation, no log line inside.

use flow_wire::fault::{Fault, Hop, take};
use flow_wire::ledger::{Amount, Unshunted, WorkerTerms};
use xdp_abi::headers::{Fragment, NonFlow, Undecodable, Unmetered};

use crate::flow::{Budget, Cache, Fragments, Hand, Records, Settings, Shunts};
use crate::packet::{self, Packet};
use crate::source::{BURST_CAPACITY, Frame};
use crate::survive::bank::Bank;
use crate::survive::file::ShardMemory;
use burst::Burst;
use tally::Tally;

mod burst;
mod numbers;
mod tally;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub(crate) use numbers::{TERMS, terms_of};

/// Knows which worker has a packet's flow (fragments, and split queues without symmetric RSS, cross from one to another).
pub trait Owners {
    /// Whether the flow of a packet lives here. Its key is whole: ports resolved.
    fn owns(&self, packet: &Packet) -> bool;

    /// The same of a fragment, which may come by another queue than the whole packets of its flow.
    fn owns_fragment(&self, packet: &Packet) -> bool {
        self.owns(packet)
    }

    /// Hands a packet to the worker of its flow, unless that is this one. Never waits.
    fn give(&mut self, packet: &Packet) -> Given;
}

/// What became of a packet that may belong elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// Its flow lives here.
    Own,
    /// Another worker has it.
    Away,
    /// Another worker should have it, and the ring there was full.
    Full,
}

/// The state of one worker.
pub struct Shard {
    worker: u16,
    cache: Cache,
    fragments: Fragments,
    burst: Burst,
    /// Packets of the burst that other workers will get.
    away: Vec<Packet>,
    received: Amount,
    undecodable: Tally<Undecodable>,
    non_flow: Tally<NonFlow>,
    not_selected: Amount,
    handed_over: Amount,
    taken_over: Amount,
    handover_full: Amount,
    fragments_without_first: u64,
    /// What of it all survives: switched once a burst.
    survivors: Bank<TERMS>,
}

impl Shard {
    /// The shard of worker number `worker`, in this memory; `settings` are those of one shard.
    pub fn new(worker: u16, settings: &Settings, memory: ShardMemory) -> Self {
        Self {
            worker,
            cache: Cache::new(settings, memory.flows),
            fragments: Fragments::new(),
            burst: Burst::new(),
            away: Vec::with_capacity(BURST_CAPACITY),
            received: Amount::ZERO,
            undecodable: Tally::new(),
            non_flow: Tally::new(),
            not_selected: Amount::ZERO,
            handed_over: Amount::ZERO,
            taken_over: Amount::ZERO,
            handover_full: Amount::ZERO,
            fragments_without_first: 0,
            survivors: memory.terms,
        }
    }

    /// Meters a burst of frames (at most [`BURST_CAPACITY`]) that were received at one interface.
    pub fn process<O: Records + Owners>(
        &mut self,
        frames: &[Frame<'_>],
        ingress_interface: u32,
        out: &mut O,
    ) {
        assert!(frames.len() <= BURST_CAPACITY, "a burst of {} frames", frames.len());
        self.burst.clear();
        self.away.clear();
        self.cache.journal().burst(false);
        let mut received = Amount::ZERO;
        for frame in frames {
            received += Amount::one(frame.original_octets.into());
            if frame.left_out {
                self.not_selected += Amount::one(frame.original_octets.into());
                continue;
            }
            match packet::read(frame, ingress_interface, self.burst.next()) {
                Ok(()) => self.sort(out),
                Err(reason) => self.except(reason, frame.original_octets),
            }
        }
        self.received += received;
        self.suffer();
        self.meter_burst(out);
        self.survive();
        self.hand_over(out);
    }

    /// Meters packets (at most [`BURST_CAPACITY`]) that other workers handed over.
    pub fn take_over(&mut self, packets: &[Packet], out: &mut impl Records) {
        assert!(packets.len() <= BURST_CAPACITY, "a burst of {} packets", packets.len());
        self.burst.clear();
        self.cache.journal().burst(true);
        for packet in packets {
            *self.burst.next() = *packet;
            self.burst.keep();
            self.taken_over += Amount::one(packet.layer2_octets.into());
        }
        self.meter_burst(out);
        if !packets.is_empty() {
            self.survive();
        }
    }

    /// Writes flows that have ended by `now`; bounded work.
    pub fn expire(&mut self, now: u64, budget: Budget, out: &mut impl Records) -> Hand {
        self.cache.expire(now, budget, out)
    }

    /// The same, with a shunt.
    #[must_use]
    pub fn with_shunts(mut self, shunts: Option<Shunts>) -> Self {
        self.cache = self.cache.with_shunts(shunts);
        self
    }

    /// Before the end: no flow is shunted any more, and none will be.
    pub fn leave_shunts(&mut self) {
        self.cache.leave_shunts();
    }

    /// Goes on with it. `true` = there is none left.
    pub fn has_left_shunts(&mut self, out: &mut impl Records) -> bool {
        self.cache.has_left_shunts(out)
    }

    /// Does not go on with it.
    pub fn abandon_shunts(&mut self, out: &mut impl Records) {
        self.cache.abandon_shunts(out);
    }

    /// Ends all flows, from bucket `from` on, as far as `out` has room; returns where to go on.
    pub fn flush(&mut self, from: usize, out: &mut impl Records) -> Option<usize> {
        self.cache.flush(from, out)
    }

    /// Before the first packet of a next capture file: where that lies before all that is still open, the old flows end
    /// here and time begins anew. A file that goes on where the last one ended continues its flows.
    pub fn rewind(&mut self, first_nanoseconds: u64, out: &mut impl Records) {
        self.cache.rewind(first_nanoseconds, out);
    }

    /// The packets of the last burst that were metered here.
    pub fn burst(&self) -> &[Packet] {
        self.burst.packets()
    }

    /// What was taken from sources so far.
    pub fn received(&self) -> Amount {
        self.received
    }

    /// The latest time that was seen.
    pub fn clock(&self) -> u64 {
        self.cache.clock()
    }

    /// The cache, for what it says of itself.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// The terms that the shard knows: all but what happens behind it (`exported`, `in_record_ring`, `discarded`).
    pub fn terms(&self) -> WorkerTerms {
        let shunt = self.cache.shunt_terms();
        let refused = |reason: Unshunted| (reason, shunt.refused[reason as usize]);
        WorkerTerms {
            shunt_merged: shunt.merged,
            shunted_flows: shunt.flows,
            shunts: shunt.begun,
            unshunted: Unshunted::ALL.map(refused).into_iter().filter(|(_, flows)| *flows > 0).collect(),
            worker: self.worker,
            received: self.received,
            metered: self.cache.metered(),
            undecodable: self.undecodable.by_reason(),
            non_flow: self.non_flow.by_reason(),
            not_selected: self.not_selected,
            handed_over: self.handed_over,
            taken_over: self.taken_over,
            handover_full: self.handover_full,
            open: self.cache.open(),
            open_flows: self.cache.open_flows() as u64,
            fragments_without_first: self.fragments_without_first,
            evicted_flows: self.cache.evicted_flows(),
            ..WorkerTerms::default()
        }
    }

    /// A packet that was read: into the burst, or to the worker that has its flow.
    #[inline]
    fn sort(&mut self, out: &impl Owners) {
        let packet = self.burst.next();
        let is_here = if packet.headers.fragment == Fragment::Whole {
            out.owns(packet)
        } else {
            let now = self.cache.clock().max(packet.timestamp_nanoseconds);
            self.fragments_without_first += u64::from(!self.fragments.resolve(packet, now));
            out.owns_fragment(packet)
        };
        if is_here {
            self.burst.keep();
        } else {
            self.handed_over += Amount::one(packet.layer2_octets.into());
            self.away.push(*packet);
        }
    }

    /// Packets go to other workers once it is written down that they do: so no worker can have taken over what nobody has
    /// handed over, wherever a kill comes between.
    fn hand_over(&mut self, out: &mut impl Owners) {
        for packet in &self.away {
            if out.give(packet) == Given::Full {
                let amount = Amount::one(packet.layer2_octets.into());
                self.handed_over.packets -= amount.packets;
                self.handed_over.octets -= amount.octets;
                self.handover_full += amount;
            }
        }
    }

    /// The terms of the burst hold.
    fn survive(&mut self) {
        let numbers = numbers::of(self);
        self.survivors.write(&numbers);
    }

    fn except(&mut self, reason: Unmetered, octets: u32) {
        let amount = Amount::one(octets.into());
        match reason {
            Unmetered::NonFlow(kind) => self.non_flow.add(kind as usize, kind, amount),
            Unmetered::Undecodable(reason) => self.undecodable.add(reason as usize, reason, amount),
        }
    }

    fn meter_burst(&mut self, out: &mut impl Records) {
        for (packet, place) in self.burst.places() {
            *place = self.cache.place(&packet.headers.key);
            self.cache.prefetch_tags(*place);
        }
        for (_, place) in self.burst.places() {
            self.cache.prefetch_entry(place);
        }
        for (packet, place) in self.burst.placed() {
            self.cache.meter(place, packet, out);
        }
    }

    /// Between reading and metering: where a fault-injection build loses or doubles a packet.
    fn suffer(&mut self) {
        if self.burst.is_empty() {
            return;
        }
        match take(Hop::Meter) {
            None => {}
            Some(Fault::Lose) => self.burst.lose(),
            Some(Fault::Double) => self.burst.double(),
        }
    }
}
