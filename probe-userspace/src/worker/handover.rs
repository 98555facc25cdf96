//! Packets that one worker received and another one meters: a lock-free ring for each ordered pair of workers.
//!
//! ```text
//!   worker 0 ──ring──► worker 1        a fragment is spread by its addresses (all that every fragment has), its flow lives
//!            ◄──ring──                 where its whole key spreads to: once its ports are known, its digest goes there
//! ```
//!
//! Where each queue belongs to one worker ([`Handover::apart`]) every flow is metered where it comes, until it is seen that flows come by
//! several workers: from then on each goes to the worker of its key there as well.
//!
//! A full ring is said (and counted by the shard), never waited for. A worker that is about to sleep says so, looks at its rings once more, and
//! sleeps; who hands it something afterwards sees the flag and wakes it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};

use flow_wire::ledger::HANDOVER_PACKETS_MAX;
use rtrb::{Consumer, Producer, RingBuffer};
use xdp_abi::headers::Fragment;
use xdp_abi::key::FlowKey;
use xdp_abi::spread;
use xsk::wait::Wake;

use super::sightings::{Lookout, Sightings};
use super::steering::Steering;
use crate::meter::Given;
use crate::packet::Packet;

/// What all rings between workers have together: 256 MiB hold as much as [`HANDOVER_PACKETS_MAX`] for a dozen workers. Pairs
/// grow with the square of the workers, packets that cross do not: many workers have shallower rings.
const MESH_OCTETS: usize = 256 << 20;

/// Packets in the ring of each pair, a power of two.
const fn ring_packets(workers: usize) -> usize {
    let pairs = workers.saturating_mul(workers.saturating_sub(1));
    let most = HANDOVER_PACKETS_MAX as usize;
    if pairs == 0 {
        return most;
    }
    let part = MESH_OCTETS / size_of::<Packet>() / pairs;
    if part >= most { most } else { (part + 1).next_power_of_two() / 2 }
}

// The most workers that a configuration may ask for still hand whole bursts over.
const _: () = assert!(ring_packets(crate::config::MOST_WORKERS) >= 2 * crate::source::BURST_CAPACITY);

/// Where a worker's sleep is known to the others.
#[derive(Clone, Debug)]
struct Bed {
    asleep: Arc<AtomicBool>,
    wake: Wake,
}

/// One worker's ends of the rings from and to all the others.
#[derive(Debug)]
pub struct Handover {
    own: usize,
    /// By worker; `None` for itself.
    to: Vec<Option<To>>,
    from: Vec<Consumer<Packet>>,
    /// Of them, the one that the last call began with.
    first: usize,
    bed: Bed,
    /// All flows live where they come: there is no other worker, or none needs to give anything.
    owns_all: bool,
    /// Whether that holds for queues that are split.
    lookout: Option<Lookout>,
    /// Where the device sends whole packets: fragments may come by another queue.
    steering: Option<Arc<Steering>>,
}

#[derive(Debug)]
struct To {
    ring: Producer<Packet>,
    bed: Bed,
    /// Something was put in since the last call of [`Handover::call`].
    given: bool,
}

impl Handover {
    /// The ends of so many workers, in their order.
    ///
    /// # Errors
    /// The kernel has no descriptor left for a wake-up.
    pub fn mesh(workers: usize) -> io::Result<Vec<Self>> {
        let mut ends = Vec::with_capacity(workers);
        for own in 0..workers {
            let bed = Bed { asleep: Arc::new(AtomicBool::new(false)), wake: Wake::new()? };
            let (to, from, first, owns_all) = (Vec::new(), Vec::new(), 0, workers == 1);
            ends.push(Self { own, to, from, first, bed, owns_all, lookout: None, steering: None });
        }
        let capacity = ring_packets(workers);
        for giver in 0..workers {
            for taker in 0..workers {
                let to = (giver != taker).then(|| {
                    let (ring, from) = RingBuffer::new(capacity);
                    ends[taker].from.push(from);
                    To { ring, bed: ends[taker].bed.clone(), given: false }
                });
                ends[giver].to.push(to);
            }
        }
        Ok(ends)
    }

    /// The same, of workers that have queues of their own, and tell each other what they saw. `steering`: what is known of the device.
    ///
    /// # Errors
    /// As [`Handover::mesh`].
    pub fn apart(
        workers: usize,
        sightings: &Arc<Sightings>,
        steering: Option<&Arc<Steering>>,
    ) -> io::Result<Vec<Self>> {
        let mut ends = Self::mesh(workers)?;
        for end in &mut ends {
            end.owns_all = true;
            end.lookout = (workers > 1).then(|| Lookout::new(sightings, end.own));
            end.steering = steering.cloned();
        }
        Ok(ends)
    }

    /// The worker that a flow belongs to: the same arithmetic as the XDP program's.
    #[inline]
    pub fn owner(&self, key: &FlowKey) -> usize {
        spread::worker(spread::of_key(key), self.to.len() as u32) as usize
    }

    /// Whether the flow of a packet lives here. Its key must be whole: ports resolved.
    #[inline]
    pub fn owns(&self, packet: &Packet) -> bool {
        self.owns_all || self.owner(&packet.headers.key) == self.own
    }

    /// The same of a fragment.
    pub fn owns_fragment(&self, packet: &Packet) -> bool {
        self.home(packet) == self.own
    }

    /// Where the flow of a packet lives.
    fn home(&self, packet: &Packet) -> usize {
        let key = &packet.headers.key;
        if !self.owns_all {
            return self.owner(key);
        }
        let is_whole = packet.headers.fragment == Fragment::Whole;
        let steering = self.steering.as_ref().filter(|_| !is_whole);
        steering.and_then(|steering| steering.worker(key)).unwrap_or(self.own)
    }

    /// Hands a packet to the worker of its flow, unless that is this one. Its key must be whole: ports resolved.
    #[inline]
    pub fn give(&mut self, packet: &Packet) -> Given {
        let owner = self.home(packet);
        if owner == self.own {
            return Given::Own;
        }
        // The mesh has an end for every worker but this one, and the owner is one of them. At the end there are none.
        let Some(Some(to)) = self.to.get_mut(owner) else { return Given::Own };
        match to.ring.push(*packet) {
            Ok(()) => {
                to.given = true;
                Given::Away
            }
            Err(rtrb::PushError::Full(_)) => Given::Full,
        }
    }

    /// Looks at a burst of the worker's own sources, now and then, whether its flows come by other workers too. Once they do, it holds
    /// from the next burst on that each has one owner.
    #[inline]
    pub fn look(&mut self, packets: &[Packet], now_nanoseconds: u64) {
        if let Some(lookout) = &mut self.lookout
            && self.owns_all
        {
            self.owns_all = !lookout.look(packets, now_nanoseconds);
        }
    }

    /// Flows that this worker found to come by another one as well, as long as it looked.
    pub fn split_flows(&self) -> u64 {
        self.lookout.as_ref().map_or(0, |lookout| lookout.split_flows)
    }

    /// Wakes who was given something and sleeps: once a burst.
    pub fn call(&mut self) {
        for to in self.to.iter_mut().flatten().filter(|to| to.given) {
            to.given = false;
            // Pairs with the fence in `lie_down`: either the sleeper sees the packet, or this sees the sleeper.
            fence(Ordering::SeqCst);
            if to.bed.asleep.load(Ordering::Relaxed) {
                to.bed.wake.wake();
            }
        }
    }

    /// Takes what others gave, `budget` packets at most; returns how many. Each call begins with another ring: one that is never
    /// empty must not keep the others waiting.
    pub fn take(&mut self, budget: usize, mut take: impl FnMut(&Packet)) -> usize {
        let (mut taken, rings) = (0, self.from.len());
        self.first = if self.first + 1 < rings { self.first + 1 } else { 0 };
        for at in (self.first..rings).chain(0..self.first) {
            while taken < budget {
                let Ok(packet) = self.from[at].pop() else { break };
                take(&packet);
                taken += 1;
            }
        }
        taken
    }

    /// Says that this worker is going to sleep. `false` = it must not: something is there.
    pub fn lie_down(&self) -> bool {
        self.bed.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if self.from.iter().all(Consumer::is_empty) {
            return true;
        }
        self.get_up();
        false
    }

    /// Says that this worker is awake.
    pub fn get_up(&self) {
        self.bed.asleep.store(false, Ordering::Relaxed);
        let _woken_or_timed_out = self.bed.wake.take();
    }

    /// What wakes this worker, for its poll and for whoever wants it to look around.
    pub fn wake(&self) -> &Wake {
        &self.bed.wake
    }

    /// Gives nothing any more; the others see it.
    pub fn close(&mut self) {
        self.to.clear();
        self.owns_all = true;
    }

    /// Whether no other worker gives anything any more. What they gave before is then there to be taken.
    pub fn is_alone(&self) -> bool {
        let alone = self.from.iter().all(Consumer::is_abandoned);
        // `is_abandoned` reads a reference count, relaxed, which the other side has lowered with release.
        fence(Ordering::Acquire);
        alone
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::time::{Duration, Instant};

    use xdp_abi::headers::Headers;
    use xdp_abi::key::Direction;

    use super::*;

    fn packet(port: u16) -> Packet {
        let key = FlowKey {
            low_address: [1; 16],
            high_address: [2; 16],
            low_port: port,
            high_port: 443,
            vlan: 0,
            customer_vlan: 0,
            protocol: 17,
            ip_version: 6,
            zero: [0; 2],
        };
        let headers = Headers {
            key,
            direction: Direction::LowToHigh,
            fragment: Fragment::Later(7),
            tcp_flags: 0,
            tos: 0,
            ttl: 64,
            icmp_type: 0,
            icmp_code: 0,
            ip_octets: 100,
            ip_offset: 14,
        };
        Packet { headers, octets: 100, layer2_octets: 114, timestamp_nanoseconds: 1, ingress_interface: 2 }
    }

    fn pair() -> (Handover, Handover) {
        let mut ends = Handover::mesh(2).unwrap();
        let second = ends.pop().unwrap();
        (ends.pop().unwrap(), second)
    }

    #[test]
    fn the_rings_of_a_mesh_have_a_bound_together() {
        assert_eq!(ring_packets(2), HANDOVER_PACKETS_MAX as usize);
        for workers in 2..=crate::config::MOST_WORKERS {
            let capacity = ring_packets(workers);
            assert!(capacity.is_power_of_two());
            assert!(capacity * workers * (workers - 1) * size_of::<Packet>() <= MESH_OCTETS, "{workers}");
        }
        let mesh = Handover::mesh(crate::config::MOST_WORKERS).unwrap();
        assert_eq!(mesh.len(), crate::config::MOST_WORKERS);
    }

    #[test]
    fn every_packet_is_kept_or_given_and_reaches_the_owner_of_its_flow() {
        let (mut first, mut second) = pair();
        let packets: Vec<_> = (0..1000).map(packet).collect();
        let kept = packets.iter().filter(|packet| first.give(packet) == Given::Own).count();
        let mut arrived = 0;
        second.take(usize::MAX, |packet| {
            assert_eq!(first.owner(&packet.headers.key), 1);
            arrived += 1;
        });
        assert!(kept > 0 && arrived > 0);
        assert_eq!(kept + arrived, 1000);
    }

    #[test]
    fn a_full_ring_is_said_and_not_waited_for() {
        let (mut first, mut second) = pair();
        let away = (0..).map(packet).find(|packet| first.owner(&packet.headers.key) == 1).unwrap();
        for _ in 0..HANDOVER_PACKETS_MAX {
            assert_eq!(first.give(&away), Given::Away);
        }
        assert_eq!(first.give(&away), Given::Full);
        assert_eq!(second.take(usize::MAX, |_| {}), HANDOVER_PACKETS_MAX as usize);
    }

    #[test]
    fn a_ring_that_is_never_empty_keeps_no_other_waiting() {
        let mut ends = Handover::mesh(3).unwrap();
        let away = (0..).map(packet).find(|packet| ends[0].owner(&packet.headers.key) == 2).unwrap();
        let later = Packet { timestamp_nanoseconds: 2, ..away };
        for _ in 0..100 {
            ends[0].give(&away);
        }
        ends[1].give(&later);
        let mut seen = Vec::new();
        for _ in 0..2 {
            ends[2].take(10, |packet| seen.push(packet.timestamp_nanoseconds));
        }
        assert!(seen.contains(&2), "{seen:?}");
    }

    #[test]
    fn workers_apart_own_everything_until_both_directions_of_flows_come_by_two_of_them() {
        let sightings = Arc::new(Sightings::default());
        let mut ends = Handover::apart(2, &sightings, None).unwrap();
        let mut whole: Vec<_> = (0..64).map(packet).collect();
        // Later fragments may come by another queue than the rest of their flow.
        for _ in 0..100 {
            ends.iter_mut().for_each(|end| end.look(&whole, 0));
        }
        assert!(whole.iter().all(|packet| ends[0].owns(packet) && ends[1].owns(packet)));
        whole.iter_mut().for_each(|packet| packet.headers.fragment = Fragment::Whole);
        for _ in 0..100 {
            ends.iter_mut().for_each(|end| end.look(&whole, 0));
        }
        assert!(sightings.are_split() && ends[0].split_flows() + ends[1].split_flows() >= 3);
        let owners = |packet: &Packet| ends.iter().filter(|end| end.owns(packet)).count();
        assert!(whole.iter().all(|packet| owners(packet) == 1));
        ends[0].close();
        assert!(whole.iter().all(|packet| ends[0].owns(packet)));
    }

    #[test]
    fn workers_apart_give_a_fragment_to_the_worker_that_gets_the_whole_packets() {
        let mut rss = xsk::ethtool::Rss::default();
        rss.table = vec![3];
        let steering = Arc::new(Steering::new(rss, vec![Some(0), None, None, Some(1)]));
        let mut ends = Handover::apart(2, &Arc::default(), Some(&steering)).unwrap();
        let mut fragment = packet(7);
        assert!(!ends[0].owns_fragment(&fragment) && ends[1].owns_fragment(&fragment));
        assert_eq!((ends[0].give(&fragment), ends[1].give(&fragment)), (Given::Away, Given::Own));
        (fragment.headers.key.low_port, fragment.headers.key.high_port) = (0, 0);
        assert!(ends[0].owns_fragment(&fragment), "its first was not seen");
        fragment = packet(7);
        fragment.headers.fragment = Fragment::Whole;
        assert!(ends[0].owns(&fragment));
    }

    #[test]
    fn a_worker_alone_owns_everything() {
        let mut alone = Handover::mesh(1).unwrap().pop().unwrap();
        assert!((0..100).all(|port| alone.give(&packet(port)) == Given::Own));
    }

    #[test]
    fn who_sleeps_is_woken_and_who_has_something_does_not_sleep() {
        let (mut first, second) = pair();
        let away = (0..).map(packet).find(|packet| first.owner(&packet.headers.key) == 1).unwrap();
        assert!(second.lie_down());
        let sleeper = std::thread::spawn(move || {
            let before = Instant::now();
            xsk::wait::until_readable(&[second.wake().as_fd()], Some(Duration::from_secs(60))).unwrap();
            second.get_up();
            (second, before.elapsed())
        });
        first.give(&away);
        first.call();
        let (mut second, slept) = sleeper.join().unwrap();
        assert!(slept < Duration::from_secs(60));
        assert!(!second.lie_down(), "a packet is waiting");
        assert_eq!(second.take(8, |_| {}), 1);
        assert!(second.lie_down(), "nothing is left");
    }
}
