//! tshark's conversations, and which of its lines each packet must be in.
//!
//! tshark counts a packet once for each IP, TCP and UDP header it finds, at any depth; the probe counts it once, for the
//! outermost. So: conversation = flows of the probe + what is predicted here, packet by packet, by cause.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use super::shark::{self, Row};

/// Which of tshark's tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Table {
    /// By IPv4 or IPv6 addresses.
    Ip,
    /// By TCP ports too.
    Tcp,
    /// By UDP ports too.
    Udp,
}

/// A directed line of a table; ports are 0 in [`Table::Ip`].
pub(crate) type Line = (Table, (IpAddr, u16), (IpAddr, u16));

/// Packets, and octets between two bounds: tshark rounds to kB from 10,000 on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shown {
    /// Packets.
    pub(crate) packets: u64,
    /// At least so many octets.
    pub(crate) least: u64,
    /// At most so many octets.
    pub(crate) most: u64,
}

/// tshark's own tables.
pub(crate) fn tables(path: &Path) -> BTreeMap<Line, Shown> {
    let mut command = shark::tshark(path);
    command.args(["-q", "-z", "conv,ip", "-z", "conv,ipv6", "-z", "conv,tcp", "-z", "conv,udp"]);
    let mut lines = BTreeMap::new();
    let mut table = Table::Ip;
    for text in shark::output(&mut command).lines() {
        match text {
            "IPv4 Conversations" | "IPv6 Conversations" => table = Table::Ip,
            "TCP Conversations" => table = Table::Tcp,
            "UDP Conversations" => table = Table::Udp,
            _ => read(table, text, &mut lines),
        }
    }
    lines
}

/// `A <-> B  packets octets unit (B to A)  packets octets unit (A to B)  ...`
fn read(table: Table, text: &str, lines: &mut BTreeMap<Line, Shown>) {
    let words: Vec<&str> = text.split_whitespace().collect();
    let Some(arrow) = words.iter().position(|word| *word == "<->") else { return };
    let end = |word: &str| match table {
        Table::Ip => (word.parse().unwrap(), 0),
        Table::Tcp | Table::Udp => {
            let (address, port) = word.rsplit_once(':').unwrap();
            (address.parse().unwrap(), port.parse().unwrap())
        }
    };
    let (a, b) = (end(words[arrow - 1]), end(words[arrow + 1]));
    add(lines, (table, b, a), &words[arrow + 2..arrow + 5]);
    add(lines, (table, a, b), &words[arrow + 5..arrow + 8]);
}

fn add(lines: &mut BTreeMap<Line, Shown>, line: Line, words: &[&str]) {
    let packets: u64 = words[0].parse().unwrap();
    if packets == 0 {
        return;
    }
    let value: u64 = words[1].parse().unwrap();
    let (scale, slack) = match words[2] {
        "bytes" => (1, 0),
        "kB" => (1000, 999),
        "MB" => (1_000_000, 999_999),
        unit => panic!("a unit of octets that is not known: {unit}"),
    };
    let shown = lines.entry(line).or_default();
    shown.packets += packets;
    shown.least += value * scale;
    shown.most += value * scale + slack;
}

/// The lines that a packet must be in by its dissectors, outermost first. tshark does not count
/// - a header that is quoted in an ICMP error or sampled by sFlow, and all that follows it;
/// - an IPv6 packet that it does not follow to its end: a later fragment, a mobility header;
/// - a header in which the packet broke off.
///
/// `available` is what was captured of the outermost transport header and its payload, where that is known.
pub(crate) fn lines(row: &Row, available: Option<u64>) -> Vec<Line> {
    let mut found = Vec::new();
    let mut reader = Reader { row, ip4: 0, ip6: 0, tcp: 0, udp: 0, ends: None };
    let protocols = row.protocols();
    let mut quoted = false;
    for (index, protocol) in protocols.iter().enumerate() {
        let after_icmp = index > 0 && matches!(protocols[index - 1], "icmp" | "icmpv6");
        quoted |= after_icmp && matches!(*protocol, "ip" | "ipv6") || *protocol == "sflow";
        let Some(line) = reader.read(protocol) else { continue };
        let is_outermost =
            (reader.tcp, reader.udp) == (usize::from(*protocol == "tcp"), usize::from(*protocol == "udp"));
        let broke_off = match (*protocol, available) {
            ("tcp", Some(octets)) if is_outermost => {
                row.number("tcp.hdr_len").is_none_or(|header| octets < header)
            }
            ("udp", Some(octets)) if is_outermost => octets < UDP_OCTETS,
            _ => row.broke_off() && is_last(protocol, &protocols[index + 1..]),
        };
        let ends_within = *protocol == "ipv6" && ends_within_ipv6(row);
        if !(quoted || broke_off || ends_within) {
            found.push(line);
        }
    }
    found
}

const UDP_OCTETS: u64 = 8;

fn ends_within_ipv6(row: &Row) -> bool {
    row.text("mip6.proto").is_some() || row.number("ipv6.fraghdr.offset").is_some_and(|offset| offset > 0)
}

/// Whether nothing but its own extensions follows a header.
fn is_last(protocol: &str, following: &[&str]) -> bool {
    match protocol {
        "ipv6" => following.iter().all(|next| next.starts_with("ipv6.") || *next == "ah"),
        "tcp" | "udp" => following.is_empty(),
        _ => false,
    }
}

/// Takes the fields of one header after the other.
struct Reader<'a> {
    row: &'a Row,
    ip4: usize,
    ip6: usize,
    tcp: usize,
    udp: usize,
    ends: Option<(IpAddr, IpAddr)>,
}

impl Reader<'_> {
    fn read(&mut self, protocol: &str) -> Option<Line> {
        match protocol {
            "ip" => {
                self.ends = self.addresses(["ip.src", "ip.dst"], self.ip4);
                self.ip4 += 1;
                self.ends.map(|(source, destination)| (Table::Ip, (source, 0), (destination, 0)))
            }
            "ipv6" => {
                self.ends = self.addresses(["ipv6.src", "ipv6.dst"], self.ip6);
                self.ip6 += 1;
                self.ends.map(|(source, destination)| (Table::Ip, (source, 0), (destination, 0)))
            }
            "tcp" => {
                self.tcp += 1;
                self.ports(Table::Tcp, ["tcp.srcport", "tcp.dstport", "tcp.stream"], self.tcp - 1)
            }
            "udp" => {
                self.udp += 1;
                self.ports(Table::Udp, ["udp.srcport", "udp.dstport", "udp.stream"], self.udp - 1)
            }
            _ => None,
        }
    }

    fn addresses(&self, fields: [&str; 2], index: usize) -> Option<(IpAddr, IpAddr)> {
        let [source, destination] = fields.map(|field| self.row.all(field).get(index)?.parse().ok());
        Some((source?, destination?))
    }

    fn ports(&self, table: Table, fields: [&str; 3], index: usize) -> Option<Line> {
        let [source, destination, stream] = fields.map(|field| self.row.nth(field, index));
        stream?;
        // A header that says that it is shorter than it can be is not looked at any further.
        if table == Table::Tcp && self.row.nth("tcp.hdr_len", index).is_some_and(|octets| octets < 20) {
            return None;
        }
        let ends = self.ends?;
        Some((table, (ends.0, source? as u16), (ends.1, destination? as u16)))
    }
}
