//! The probe on a capture file: its flows and its ledger, as its users get them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use perf::process::Program;
use serde_json::Value;

use super::model::{Record, Side};
use super::nfdump::Flow;

/// No capture, however broken, may stall the probe. The longest of the tests' takes a second.
const BOUND: Duration = Duration::from_secs(60);

/// What the probe said of a file.
#[derive(Debug, Default)]
pub(crate) struct Offline {
    /// Its records.
    pub(crate) records: Vec<Record>,
    /// Packets and octets of frames, per direction, VLANs and records together.
    pub(crate) flows: BTreeMap<Flow, (u64, u64)>,
    /// Packets, octets of frames and octets of IP, likewise.
    pub(crate) directions: BTreeMap<Flow, (u64, u64, u64)>,
    /// By the ledger: packets and octets read.
    pub(crate) seen: (u64, u64),
    /// By the ledger: in records.
    pub(crate) in_records: (u64, u64),
    /// By the ledger: in no flow, by reason.
    pub(crate) excepted: BTreeMap<String, (u64, u64)>,
    /// By the ledger: later fragments whose first was not seen.
    pub(crate) fragments_without_first: u64,
    /// By the ledger.
    pub(crate) residual: u64,
}

impl Offline {
    /// Runs the probe.
    pub(crate) fn run(path: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [flows, ledger] = ["flows", "ledger"].map(|name| folder.path().join(name));
        let finished = Program::ours("gannet-probe")
            .unwrap()
            .args([Path::new("-i"), path, Path::new("--flows"), &flows, Path::new("--ledger"), &ledger])
            .args(["-t", "120", "-d", "30"])
            .run(BOUND)
            .unwrap();
        assert_eq!(finished.code(), 0, "{}: {}", path.display(), finished.stderr);
        let mut offline = Self::default();
        let lines = std::fs::read_to_string(flows).unwrap();
        lines.lines().for_each(|line| offline.add(&serde_json::from_str(line).unwrap()));
        offline.books(&serde_json::from_str(&std::fs::read_to_string(ledger).unwrap()).unwrap());
        offline
    }

    fn add(&mut self, line: &Value) {
        let record = record(line);
        let directions = [
            (record.source, record.destination, record.forward),
            (record.destination, record.source, record.reverse),
        ];
        for (source, destination, side) in directions.into_iter().filter(|(_, _, side)| side.packets > 0) {
            let flow = (source, destination, record.protocol);
            let sum = self.flows.entry(flow).or_default();
            *sum = (sum.0 + side.packets, sum.1 + side.layer2_octets);
            let sum = self.directions.entry(flow).or_default();
            *sum = (sum.0 + side.packets, sum.1 + side.layer2_octets, sum.2 + side.octets);
        }
        self.records.push(record);
    }

    fn books(&mut self, ledger: &Value) {
        let total = &ledger["total"];
        self.seen = amount(&total["seen"]);
        self.in_records = amount(&total["in_records"]);
        self.residual = total["residual"].as_u64().unwrap();
        self.fragments_without_first = total["fragments_without_first"].as_u64().unwrap();
        for kind in ["passed", "refused", "undecodable", "non_flow"] {
            for (reason, value) in total["excepted"][kind].as_object().unwrap() {
                self.excepted.insert(reason.clone(), amount(value));
            }
        }
    }
}

fn amount(value: &Value) -> (u64, u64) {
    let number = |name: &str| value[name].as_u64().unwrap_or_else(|| panic!("no {name} in {value}"));
    (number("packets"), number("octets"))
}

fn record(line: &Value) -> Record {
    let number = |name: &str| line[name].as_u64().unwrap_or_else(|| panic!("no {name} in {line}"));
    let address = |name: &str| -> IpAddr { line[name].as_str().unwrap().parse().unwrap() };
    let end = |side: &str| {
        (address(&format!("{side}_ip_address")), number(&format!("{side}_transport_port")) as u16)
    };
    let side = |prefix: &str| Side {
        packets: number(&format!("{prefix}packet_delta_count")),
        octets: number(&format!("{prefix}octet_delta_count")),
        layer2_octets: number(&format!("{prefix}layer2_octet_delta_count")),
        flags: line[format!("{prefix}tcp_control_bits")].as_u64().map(|flags| flags as u8),
    };
    let reasons = ["idle_timeout", "active_timeout", "end_of_flow", "forced_end", "lack_of_resources"];
    let reason = line["flow_end_reason"].as_str().unwrap();
    Record {
        source: end("source"),
        destination: end("destination"),
        protocol: number("protocol_identifier") as u8,
        vlan: line["vlan_id"].as_u64().map(|vlan| vlan as u16),
        customer_vlan: line["customer_vlan_id"].as_u64().map(|vlan| vlan as u16),
        forward: side(""),
        reverse: side("reverse_"),
        start: number("flow_start_nanoseconds"),
        end: number("flow_end_nanoseconds"),
        reason: reasons.into_iter().find(|known| *known == reason).unwrap_or_else(|| panic!("{reason}?")),
    }
}
