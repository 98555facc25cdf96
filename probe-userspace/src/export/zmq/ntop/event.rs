//! What the probe says of itself, with the keys that ntopng reads.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flow_wire::batch::Sealed;
use flow_wire::ledger::{Amount, Discard, Message};
use serde_json::json;

/// What does not change while the probe runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// Interfaces or capture files.
    pub inputs: String,
    /// Megabits a second of the fastest of them; 0 = not known.
    pub speed_megabits: u64,
    /// An address of the captured interface, as text; may be empty.
    pub interface_address: String,
    /// Where the probe can be reached; may be empty.
    pub probe_address: String,
    /// UUID of the probe, without dashes: ntopng has room for 35 characters.
    pub probe: String,
    /// See `-t`.
    pub active_timeout: Duration,
    /// See `-d`.
    pub idle_timeout: Duration,
}

/// Books and their change, as an nProbe tells them.
#[derive(Debug)]
pub(super) struct Events {
    about: About,
    sink: String,
    source: u32,
    system: String,
    newest: Option<Message>,
    before: Option<Message>,
}

impl Events {
    /// `sink` = the cursor whose losses are told.
    pub(super) fn new(about: About, sink: String, source: u32) -> Self {
        Self { about, sink, source, system: system(), newest: None, before: None }
    }

    /// Takes newer books. Those of other epochs, which this one closes, are not what goes on now.
    pub(super) fn take(&mut self, sealed: &Sealed) {
        match Message::decode(&sealed.body) {
            Ok(message) if message.closes.is_none() => self.before = self.newest.replace(message),
            _ => {}
        }
    }

    /// As JSON, for now.
    pub(super) fn compose(&self, sent_flows: u64) -> Vec<u8> {
        let about = &self.about;
        let (packets_a_second, bits_a_second) = self.rates();
        let seen = self.newest.as_ref().map_or(Amount::ZERO, seen);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let event = json!({
            "time": now.as_secs(),
            "bytes": seen.octets,
            "packets": seen.packets,
            "packet_drops": self.newest.as_ref().map_or(0, lost_packets),
            // Any other word is a collector of flows, whose interface and losses ntopng does not show.
            "mode": "packet_collection",
            "iface": {"name": about.inputs, "speed": about.speed_megabits, "ip": about.interface_address},
            "probe": {
                "ip": about.probe_address,
                "public_ip": "",
                "uuid": about.probe,
                "unique_source_id": self.source,
                "version": concat!("gannet-probe ", env!("CARGO_PKG_VERSION")),
                "osname": self.system,
                "edition": "Gannet",
                "license": env!("CARGO_PKG_LICENSE"),
                "maintenance": "",
            },
            "avg": {"bps": bits_a_second, "pps": packets_a_second},
            "timeout": {
                "lifetime": about.active_timeout.as_secs(),
                "idle": about.idle_timeout.as_secs(),
                // ntopng keeps flows for the lesser of both and 10 s.
                "collected_lifetime": about.active_timeout.as_secs(),
            },
            "drops": {
                "export_queue_full": self.newest.as_ref().map_or(0, |message| self.lost_flows(message)),
                "too_many_flows": 0,
                "elk_flow_drops": 0,
                "sflow_pkt_sample_drops": 0,
                "flow_collection_drops": 0,
                "flow_collection_udp_socket_drops": 0,
            },
            "flow_collection": {"nf_ipfix_flows": 0, "collection_port": 0, "sflow_samples": 0, "exporters": {}},
            "zmq": {"num_flow_exports": sent_flows, "num_zmq_exporters": 1},
        });
        event.to_string().into_bytes()
    }

    /// Packets and bits a second between the last two books.
    fn rates(&self) -> (u64, u64) {
        let (Some(before), Some(newest)) = (&self.before, &self.newest) else { return (0, 0) };
        let nanoseconds = u128::from(newest.time_nanoseconds.saturating_sub(before.time_nanoseconds));
        let since = |of: fn(Amount) -> u64| {
            let count = u128::from(of(seen(newest)).saturating_sub(of(seen(before))));
            u64::try_from((count * 1_000_000_000).checked_div(nanoseconds).unwrap_or(0)).unwrap_or(u64::MAX)
        };
        (since(|amount| amount.packets), since(|amount| amount.octets).saturating_mul(8))
    }

    /// Flows that this output lost, but for those that were there before anybody listened.
    fn lost_flows(&self, message: &Message) -> u64 {
        let own = message.cursors.iter().filter(|cursor| cursor.sink == self.sink);
        let lost = own.flat_map(|cursor| &cursor.discarded);
        lost.filter(|(reason, _)| **reason != Discard::NoSubscriber).map(|(_, records)| records).sum()
    }
}

fn seen(message: &Message) -> Amount {
    message.queues.iter().fold(Amount::ZERO, |sum, queue| sum + queue.seen)
}

/// Packets that were offered and are in no record that left the workers.
fn lost_packets(message: &Message) -> u64 {
    let queues = message.queues.iter().map(|queue| {
        let missed: u64 = queue.device_missed.values().sum();
        missed + queue.rx_ring_full + queue.rx_dropped + queue.not_delivered.unwrap_or(0)
    });
    let workers = message.workers.iter().map(|worker| {
        let lost = worker.discarded.iter().filter(|(reason, _)| **reason != Discard::NoSink);
        worker.handover_full.packets + lost.map(|(_, amount)| amount.packets).sum::<u64>()
    });
    queues.chain(workers).sum()
}

/// What the host calls itself.
fn system() -> String {
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.map_or_else(|| "Linux".to_owned(), |name| name.trim_matches('"').to_owned())
}
