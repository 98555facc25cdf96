//! Records from packets, by the rules of the guide, in the plainest form.
//!
//! Time is that of the packets in flows and never runs backwards. A flow ends at its idle timeout, or a linger after both FIN or
//! an RST, or when a SYN opens the same key again after that; at the active timeout its record is written and the flow
//! goes on. What is open at the end of the file is written then.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use super::judge::{Packet, Part, Verdict};

const SECOND: u64 = 1_000_000_000;
/// After the close of a TCP connection, its last packets still belong to it.
const LINGER: u64 = SECOND;
/// How long ports of a first fragment serve the others.
const FRAGMENTS: u64 = 30 * SECOND;
const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

/// Timeouts of the probe under test.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeouts {
    /// Longest time of one record.
    pub(crate) active: u64,
    /// Silence that ends a flow.
    pub(crate) idle: u64,
}

type End = (IpAddr, u16);

/// A conversation, whatever the direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    /// The lower end.
    pub(crate) low: End,
    /// The higher end.
    pub(crate) high: End,
    /// IANA number.
    pub(crate) protocol: u8,
    /// Outer tag.
    pub(crate) vlan: Option<u16>,
    /// Inner tag.
    pub(crate) customer_vlan: Option<u16>,
}

impl Key {
    fn of(packet: &Packet) -> Self {
        let (a, b) = (packet.source, packet.destination);
        let Packet { protocol, vlan, customer_vlan, .. } = *packet;
        Self { low: a.min(b), high: a.max(b), protocol, vlan, customer_vlan }
    }
}

/// One direction of a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Side {
    /// Packets.
    pub(crate) packets: u64,
    /// Octets of IP.
    pub(crate) octets: u64,
    /// Octets of frames.
    pub(crate) layer2_octets: u64,
    /// OR of TCP flags; `None` for other protocols.
    pub(crate) flags: Option<u8>,
}

/// A record that the probe must write.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Record {
    /// Who began, by the SYN or else by the first packet.
    pub(crate) source: End,
    /// The other.
    pub(crate) destination: End,
    /// IANA number.
    pub(crate) protocol: u8,
    /// Outer tag.
    pub(crate) vlan: Option<u16>,
    /// Inner tag.
    pub(crate) customer_vlan: Option<u16>,
    /// From source to destination.
    pub(crate) forward: Side,
    /// From destination to source.
    pub(crate) reverse: Side,
    /// Time of the first packet.
    pub(crate) start: u64,
    /// Time of the last packet.
    pub(crate) end: u64,
    /// Why it was written.
    pub(crate) reason: &'static str,
}

/// All that the probe must say of a file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Expected {
    /// Its records, in no order.
    pub(crate) records: Vec<Record>,
    /// Packets and octets in no flow, by reason.
    pub(crate) excepted: BTreeMap<String, (u64, u64)>,
    /// Later fragments of a protocol with ports whose first was not known.
    pub(crate) fragments_without_first: u64,
    /// Each packet with the ports that it is counted under; `None` where it is in no flow.
    pub(crate) packets: Vec<Option<Packet>>,
}

/// A flow that is open.
struct Open {
    source: End,
    by_syn: bool,
    fins: [bool; 2],
    closed_at: Option<u64>,
    last_at: u64,
    record: Option<Building>,
}

/// A record that is being filled. Sides: from the lower end, from the higher.
#[derive(Clone)]
struct Building {
    sides: [Side; 2],
    since: u64,
    start: u64,
    end: u64,
}

/// Runs the model over judged packets.
pub(crate) fn expect(verdicts: &[(u64, u64, Verdict)], timeouts: Timeouts) -> Expected {
    let mut run = Run {
        timeouts,
        clock: 0,
        open: BTreeMap::new(),
        fragments: HashMap::new(),
        expected: Expected::default(),
    };
    for (nanoseconds, octets, verdict) in verdicts {
        match verdict {
            Ok(packet) => {
                run.clock = run.clock.max(*nanoseconds);
                run.meter(*packet);
            }
            Err(reason) => {
                let amount = run.expected.excepted.entry((*reason).to_owned()).or_default();
                amount.0 += 1;
                amount.1 += octets;
                run.expected.packets.push(None);
            }
        }
    }
    run.end()
}

/// What the fragments of one packet share.
type Identity = (IpAddr, IpAddr, Option<u8>, u32, Option<u16>, Option<u16>);

/// The ports and the protocol of a first fragment, and when it was seen.
type First = (u16, u16, u8, u64);

struct Run {
    timeouts: Timeouts,
    clock: u64,
    open: BTreeMap<Key, Open>,
    fragments: HashMap<Identity, First>,
    expected: Expected,
}

impl Run {
    fn meter(&mut self, mut packet: Packet) {
        self.resolve(&mut packet);
        self.expected.packets.push(Some(packet));
        let key = Key::of(&packet);
        if let Some(flow) = self.open.remove(&key)
            && let Some(flow) = self.settle(&key, flow)
        {
            let opens = packet.flags & (SYN | ACK) == SYN && packet.protocol == 6;
            if flow.closed_at.is_some() && opens {
                self.write(&key, &flow, "end_of_flow");
            } else {
                self.open.insert(key, flow);
            }
        }
        let clock = self.clock;
        let begin = || Open {
            source: packet.source,
            by_syn: false,
            fins: [false; 2],
            closed_at: None,
            last_at: clock,
            record: None,
        };
        let flow = self.open.entry(key).or_insert_with(begin);
        flow.add(&key, &packet, clock);
    }

    /// Ports of the first fragment for the others.
    fn resolve(&mut self, packet: &mut Packet) {
        let (Part::First(id) | Part::Later(id)) = packet.part else { return };
        let protocol = packet.source.0.is_ipv4().then_some(packet.protocol);
        let identity =
            (packet.source.0, packet.destination.0, protocol, id, packet.vlan, packet.customer_vlan);
        if let Part::First(_) = packet.part {
            let first = (packet.source.1, packet.destination.1, packet.protocol, self.clock);
            self.fragments.insert(identity, first);
            return;
        }
        match self.fragments.get(&identity) {
            Some((source, destination, protocol, at)) if self.clock - at < FRAGMENTS => {
                packet.source.1 = *source;
                packet.destination.1 = *destination;
                packet.protocol = *protocol;
            }
            _ if matches!(packet.protocol, 6 | 17 | 132) => self.expected.fragments_without_first += 1,
            _ => {}
        }
    }

    /// Writes what is due of a flow by now; gives it back if it goes on.
    fn settle(&mut self, key: &Key, mut flow: Open) -> Option<Open> {
        loop {
            if let Some(closed_at) = flow.closed_at {
                if self.clock < closed_at + LINGER.min(self.timeouts.idle) {
                    return Some(flow);
                }
                self.write(key, &flow, "end_of_flow");
                return None;
            }
            let idle = flow.last_at + self.timeouts.idle;
            let active = flow.record.as_ref().map(|record| record.since + self.timeouts.active);
            if active.is_some_and(|active| active < idle && active <= self.clock) {
                self.write(key, &flow, "active_timeout");
                flow.record = None;
            } else if idle <= self.clock {
                self.write(key, &flow, "idle_timeout");
                return None;
            } else {
                return Some(flow);
            }
        }
    }

    fn write(&mut self, key: &Key, flow: &Open, reason: &'static str) {
        let Some(record) = &flow.record else { return };
        let from_low = flow.source == key.low;
        let (destination, forward, reverse) = match from_low {
            true => (key.high, record.sides[0], record.sides[1]),
            false => (key.low, record.sides[1], record.sides[0]),
        };
        self.expected.records.push(Record {
            source: flow.source,
            destination,
            protocol: key.protocol,
            vlan: key.vlan,
            customer_vlan: key.customer_vlan,
            forward,
            reverse,
            start: record.start,
            end: record.end,
            reason,
        });
    }

    fn end(mut self) -> Expected {
        for (key, flow) in std::mem::take(&mut self.open) {
            if let Some(flow) = self.settle(&key, flow) {
                let reason = if flow.closed_at.is_some() { "end_of_flow" } else { "forced_end" };
                self.write(&key, &flow, reason);
            }
        }
        self.expected
    }
}

impl Open {
    fn add(&mut self, key: &Key, packet: &Packet, clock: u64) {
        let tcp = packet.protocol == 6;
        let from = usize::from(packet.source != key.low);
        let empty = Side { flags: tcp.then_some(0), ..Side::default() };
        let fresh = || Building { sides: [empty; 2], since: clock, start: u64::MAX, end: 0 };
        let record = self.record.get_or_insert_with(fresh);
        let side = &mut record.sides[from];
        side.packets += 1;
        side.octets += packet.octets;
        side.layer2_octets += packet.layer2_octets;
        side.flags = side.flags.map(|flags| flags | packet.flags);
        record.start = record.start.min(packet.nanoseconds);
        record.end = record.end.max(packet.nanoseconds);
        self.last_at = clock;
        if tcp {
            self.add_tcp(packet, from, clock);
        }
    }

    fn add_tcp(&mut self, packet: &Packet, from: usize, clock: u64) {
        if packet.flags & (SYN | ACK) == SYN && !self.by_syn {
            self.source = packet.source;
            self.by_syn = true;
        }
        self.fins[from] |= packet.flags & FIN != 0;
        if self.closed_at.is_none() && (packet.flags & RST != 0 || self.fins == [true; 2]) {
            self.closed_at = Some(clock);
        }
    }
}
