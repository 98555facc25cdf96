//! One capture, four opinions: the probe, the model, tshark's conversations, nfdump. They must agree, or differ for a
//! cause on the closed list, in exactly the flows that the packets predict.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;

use super::conversations::{self, Line, Table};
use super::judge::{self, Packet, Part, Verdict};
use super::model::{self, Expected, Timeouts};
use super::nfdump::{self, Amount, Flow};
use super::offline::Offline;
use super::shark::{self, Row};

const SECOND: u64 = 1_000_000_000;
/// What the probe is started with: its own defaults, said aloud.
pub(crate) const TIMEOUTS: Timeouts = Timeouts { active: 120 * SECOND, idle: 30 * SECOND };

/// Why another tool's count of a conversation differs from the probe's. There is no "other".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cause {
    /// The probe gives a later fragment the ports of its first; tshark counts it nowhere or without ports, nfdump puts
    /// the packet together and counts it once.
    Fragment,
    /// The packet carries another one (GRE, GTP, VXLAN, IP in IP): the probe counts the outer, others both or the inner.
    Tunnel,
    /// An exception of the probe in which another tool looks further: PPPoE, MPLS, a link type that is not read.
    NonIp,
    /// Broken or cut off: the probe has a reason for it, the other tool reads what it can, or the reverse.
    Broken,
    /// IPv6 extension headers: nfdump reports the first one as the protocol.
    Extension,
    /// A service tag (802.1ad), which nfpcapd does not read.
    ServiceTag,
    /// A loopback header whose family is not in this host's byte order: nfpcapd does not turn it.
    Loopback,
    /// An IP packet longer than nfdump's snap length, or without a length (segmentation offload): octets differ.
    Octets,
}

/// What came of one file, for the journal.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) packets: u64,
    pub(crate) octets: u64,
    pub(crate) records: usize,
    /// Records by the reason of their end: what timeouts and ends of TCP make of the conversations.
    pub(crate) reasons: BTreeMap<&'static str, usize>,
    pub(crate) excepted: BTreeMap<String, (u64, u64)>,
    /// tshark's conversation lines, and those that differ from the probe's, by cause.
    pub(crate) conversations: usize,
    pub(crate) conversations_differing: BTreeMap<Cause, usize>,
    /// nfdump's flows; `Err`: it does not read such a file.
    pub(crate) nfdump: Option<Result<usize, String>>,
    pub(crate) nfdump_differing: BTreeMap<Cause, usize>,
    /// Everything that nothing predicted. Must be empty.
    pub(crate) unpredicted: Vec<String>,
}

/// One packet with all that is known of it.
struct Seen {
    row: Row,
    verdict: Verdict,
    /// As it is counted: fragments with the ports of their first.
    counted: Option<Packet>,
}

/// Runs the probe on a file and holds everybody's word against it.
pub(crate) fn agree(path: &Path) -> Report {
    let (packets, octets) = shark::count(path);
    let rows = shark::rows(path);
    let judged = |row: &Row| (row.nanoseconds(), row.octets(), judge::judge(row));
    let verdicts: Vec<(u64, u64, Verdict)> = rows.iter().map(judged).collect();
    let expected = model::expect(&verdicts, TIMEOUTS);
    let counted = expected.packets.iter().copied();
    let seen: Vec<Seen> = rows
        .into_iter()
        .zip(verdicts)
        .zip(counted)
        .map(|((row, (_, _, verdict)), counted)| Seen { row, verdict, counted })
        .collect();
    let mut report = Report { packets, octets, records: expected.records.len(), ..Report::default() };
    report.excepted = expected.excepted.clone();
    expected.records.iter().for_each(|record| *report.reasons.entry(record.reason).or_default() += 1);

    let probe = Offline::run(path);
    books_close(&probe, &mut report);
    records_agree(&probe, &expected, &mut report);
    conversations_agree(path, &probe, &seen, &mut report);
    nfdump_agrees(path, &probe, &seen, &mut report);
    report
}

impl Report {
    fn expect<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, found: &T, expected: &T) {
        if found != expected {
            self.unpredicted.push(format!("{what}: {found:?}, expected {expected:?}"));
        }
    }
}

/// Packets and octets in flows + exceptions = those in the file, and the exceptions are the predicted ones.
fn books_close(probe: &Offline, report: &mut Report) {
    let in_file = (report.packets, report.octets);
    let in_flows = probe.flows.values().fold((0, 0), |sum, amount| (sum.0 + amount.0, sum.1 + amount.1));
    let excepted = probe.excepted.values().fold((0, 0), |sum, amount| (sum.0 + amount.0, sum.1 + amount.1));
    report.expect("seen by the ledger", &probe.seen, &in_file);
    report.expect("in records by the ledger", &probe.in_records, &in_flows);
    report.expect("in flows and exceptions", &(in_flows.0 + excepted.0, in_flows.1 + excepted.1), &in_file);
    let predicted = report.excepted.clone();
    report.expect("exceptions by reason", &probe.excepted, &predicted);
    report.expect("residual", &probe.residual, &0);
}

/// Every record, with its times, flags and reason.
fn records_agree(probe: &Offline, expected: &Expected, report: &mut Report) {
    let mut missing = expected.records.clone();
    missing.sort();
    let mut surplus = Vec::new();
    for record in &probe.records {
        match missing.binary_search(record) {
            Ok(index) => drop(missing.remove(index)),
            Err(_) => surplus.push(record),
        }
    }
    report.unpredicted.extend(surplus.iter().map(|record| format!("record not predicted: {record:?}")));
    report
        .unpredicted
        .extend(missing.iter().map(|record| format!("record predicted, not written: {record:?}")));
    let without_first = expected.fragments_without_first;
    report.expect("fragments without their first", &probe.fragments_without_first, &without_first);
}

/// conversation = flows of the probe + what is predicted packet by packet, for every line of tshark's tables.
fn conversations_agree(path: &Path, probe: &Offline, seen: &[Seen], report: &mut Report) {
    let shown = conversations::tables(path);
    let mut predicted: BTreeMap<Line, (i64, i64)> = BTreeMap::new();
    let mut causes: BTreeMap<Line, Cause> = BTreeMap::new();
    for (flow, amount) in &probe.flows {
        for line in lines_of_flow(flow) {
            add(&mut predicted, line, (amount.0 as i64, amount.1 as i64));
        }
    }
    for packet in seen {
        let octets = packet.row.octets() as i64;
        let own = packet.counted.map_or_else(Vec::new, |counted| {
            lines_of_flow(&(counted.source, counted.destination, counted.protocol))
        });
        let mut theirs = conversations::lines(&packet.row, packet.counted.map(|counted| counted.available));
        for line in own {
            match theirs.iter().position(|their| *their == line) {
                Some(index) => drop(theirs.remove(index)),
                None => {
                    add(&mut predicted, line, (-1, -octets));
                    causes.insert(line, cause(packet));
                }
            }
        }
        for line in theirs {
            add(&mut predicted, line, (1, octets));
            causes.insert(line, cause(packet));
        }
    }
    predicted.retain(|_, amount| *amount != (0, 0));
    report.conversations = shown.len();
    causes.values().for_each(|cause| *report.conversations_differing.entry(*cause).or_default() += 1);
    for (line, (packets, octets)) in &predicted {
        let agrees = shown.get(line).is_some_and(|shown| {
            shown.packets as i64 == *packets && (shown.least as i64..=shown.most as i64).contains(octets)
        });
        if !agrees {
            let cause = causes.get(line);
            report.unpredicted.push(format!(
                "tshark {line:?}: {:?}, expected {packets} packets of {octets} octets ({cause:?})",
                shown.get(line)
            ));
        }
    }
    for line in shown.keys().filter(|line| !predicted.contains_key(line)) {
        report.unpredicted.push(format!("tshark {line:?}: {:?}, expected nothing", shown[line]));
    }
}

fn add(predicted: &mut BTreeMap<Line, (i64, i64)>, line: Line, amount: (i64, i64)) {
    let sum = predicted.entry(line).or_default();
    sum.0 += amount.0;
    sum.1 += amount.1;
}

/// Where tshark shows a packet of this flow.
fn lines_of_flow((source, destination, protocol): &Flow) -> Vec<Line> {
    let mut lines = vec![(Table::Ip, (source.0, 0), (destination.0, 0))];
    match protocol {
        6 => lines.push((Table::Tcp, *source, *destination)),
        17 => lines.push((Table::Udp, *source, *destination)),
        _ => {}
    }
    lines
}

/// Why a packet may be counted otherwise. A packet without a cause must be counted alike by all.
fn cause(packet: &Seen) -> Cause {
    causes_of(packet).into_iter().next().unwrap_or_else(|| panic!("no cause on the list: {:?}", packet.row))
}

/// nfdump's default snap length (nfpcapd -s).
const SNAP_OCTETS: u64 = 1522;

/// All causes of a packet.
fn causes_of(packet: &Seen) -> Vec<Cause> {
    let row = &packet.row;
    let of_probe = |verdict: &Verdict| match verdict {
        Ok(_) => None,
        Err("arp" | "lldp" | "mpls" | "pppoe" | "llc" | "other_ethertype" | "other_family" | "link_type") => {
            Some(Cause::NonIp)
        }
        Err(_) => Some(Cause::Broken),
    };
    let headers = row.all("ip.src").len() + row.all("ipv6.src").len();
    let protocols = row.protocols();
    let checks = [
        (packet.verdict.as_ref().is_ok_and(|packet| packet.part != Part::Whole), Cause::Fragment),
        (headers > 1 || protocols.contains(&"gre") || protocols.contains(&"l2tp"), Cause::Tunnel),
        (packet.verdict.as_ref().is_ok_and(short), Cause::Broken),
        (row.broke_off(), Cause::Broken),
        (
            protocols.iter().any(|name| name.starts_with("ipv6.") || matches!(*name, "mipv6" | "ah")),
            Cause::Extension,
        ),
        (protocols.first() == Some(&"null"), Cause::Loopback),
        (protocols.contains(&"ieee8021ad"), Cause::ServiceTag),
        (row.octets() > SNAP_OCTETS || row.number("ip.len") == Some(0), Cause::Octets),
    ];
    let mut causes: Vec<Cause> = of_probe(&packet.verdict).into_iter().collect();
    causes.extend(checks.into_iter().filter(|(holds, _)| *holds).map(|(_, cause)| cause));
    causes
}

/// The transport header is there as far as a flow needs it, but not whole.
fn short(packet: &Packet) -> bool {
    let whole = match packet.protocol {
        6 => 20,
        17 => 8,
        132 => 12,
        1 | 58 => 4,
        _ => 0,
    };
    packet.available < whole
}

/// nfdump agrees on every flow of which no packet has a cause; no other differs, and none is there that no packet
/// with a cause explains.
fn nfdump_agrees(path: &Path, probe: &Offline, seen: &[Seen], report: &mut Report) {
    let theirs = match nfdump::flows(path) {
        Ok(flows) => flows,
        Err(message) => {
            report.nfdump = Some(Err(message));
            return;
        }
    };
    report.nfdump = Some(Ok(theirs.len()));
    let mut touched: BTreeMap<Flow, Cause> = BTreeMap::new();
    let mut pairs: BTreeMap<(IpAddr, IpAddr), Cause> = BTreeMap::new();
    for packet in seen {
        for cause in causes_of(packet) {
            if let Some(counted) = packet.counted {
                touched
                    .insert(nfdump::portless((counted.source, counted.destination, counted.protocol)), cause);
            }
            pairs.extend(pairs_of(packet).into_iter().map(|pair| (pair, cause)));
        }
    }
    let mut ours: BTreeMap<Flow, Amount> = BTreeMap::new();
    for (flow, (packets, _, octets)) in &probe.directions {
        let sum = ours.entry(nfdump::portless(*flow)).or_default();
        sum.0 += packets;
        sum.1 += octets;
    }
    let all: BTreeSet<Flow> = ours.keys().chain(theirs.keys()).copied().collect();
    for flow in all.into_iter().filter(|flow| ours.get(flow) != theirs.get(flow)) {
        let known = touched.get(&flow).or_else(|| pairs.get(&(flow.0.0, flow.1.0)));
        match known {
            Some(cause) => *report.nfdump_differing.entry(*cause).or_default() += 1,
            None => report.unpredicted.push(format!(
                "nfdump {flow:?}: {:?}, the probe {:?}, and no packet has a cause",
                theirs.get(&flow),
                ours.get(&flow)
            )),
        }
    }
}

/// Addresses of every IP header in a packet. In a broken one tshark shows none, but nfpcapd takes what stands where an
/// IPv4 header has them: so does this.
fn pairs_of(packet: &Seen) -> Vec<(IpAddr, IpAddr)> {
    let row = &packet.row;
    let pairs = |fields: [&str; 2]| {
        let [sources, destinations] = fields.map(|field| row.all(field).to_vec());
        let parsed =
            |(source, destination): (String, String)| Some((source.parse().ok()?, destination.parse().ok()?));
        sources.into_iter().zip(destinations).filter_map(parsed).collect::<Vec<_>>()
    };
    let shown = [pairs(["ip.src", "ip.dst"]), pairs(["ipv6.src", "ipv6.dst"])].concat();
    if shown.is_empty() && packet.verdict.is_err() {
        return stray(row.dump()).into_iter().collect();
    }
    shown
}

/// What an IPv4 header right behind an Ethernet header would have as its addresses.
fn stray(frame: &[u8]) -> Option<(IpAddr, IpAddr)> {
    let address = |at: usize| Some(IpAddr::from(<[u8; 4]>::try_from(frame.get(at..at + 4)?).ok()?));
    Some((address(26)?, address(30)?))
}
