//! One packet, judged by its fields: which conversation it belongs to, or why it belongs to none.
//!
//! The reasons are those of the guide. Whether a header is whole is arithmetic here: how many octets of the IP packet
//! were captured, less the headers before it.

use std::net::IpAddr;

use super::shark::Row;

/// The rest of what a flow needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Packet {
    /// Sender, with its port.
    pub(crate) source: (IpAddr, u16),
    /// Receiver, with its port.
    pub(crate) destination: (IpAddr, u16),
    /// IANA number.
    pub(crate) protocol: u8,
    /// Outer tag.
    pub(crate) vlan: Option<u16>,
    /// Inner tag.
    pub(crate) customer_vlan: Option<u16>,
    /// Octets of IP.
    pub(crate) octets: u64,
    /// Octets of the frame.
    pub(crate) layer2_octets: u64,
    /// TCP flags.
    pub(crate) flags: u8,
    /// When.
    pub(crate) nanoseconds: u64,
    /// Which part of a packet it is.
    pub(crate) part: Part,
    /// Octets that were captured from the transport header on.
    pub(crate) available: u64,
}

/// Whole, or a fragment with its identification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// All of it.
    Whole,
    /// With the transport header.
    First(u32),
    /// Without.
    Later(u32),
}

/// In a flow, or the name of the reason.
pub(crate) type Verdict = Result<Packet, &'static str>;

/// `frame.encap_type` of the link types that are read (wiretap/wtap.h).
mod encapsulation {
    pub(crate) const ETHERNET: u64 = 1;
    pub(crate) const RAW: u64 = 7;
    pub(crate) const NULL: u64 = 15;
    pub(crate) const COOKED: u64 = 25;
    pub(crate) const RAW_4: u64 = 129;
    pub(crate) const RAW_6: u64 = 130;
    pub(crate) const COOKED_2: u64 = 210;
    pub(crate) const LOOP: u64 = 174;
}

const ETHERTYPE_4: u64 = 0x0800;
const ETHERTYPE_6: u64 = 0x86dd;
/// No ethertype, but IP that says its version itself.
const BY_VERSION: u64 = u64::MAX;

/// Where IP begins, and what the link layer announced.
struct Link {
    offset: u64,
    ethertype: u64,
    tags: Vec<u16>,
}

/// Judges one packet.
pub(crate) fn judge(row: &Row) -> Verdict {
    let link = link(row)?;
    let version = row.number("ip.version").unwrap_or(0);
    match link.ethertype {
        ETHERTYPE_4 => four(row, &link, version),
        ETHERTYPE_6 => six(row, &link, version),
        BY_VERSION if version == 4 => four(row, &link, version),
        BY_VERSION if version == 6 => six(row, &link, version),
        BY_VERSION => Err("ip_version"),
        other => Err(non_ip(other)),
    }
}

fn captured(row: &Row) -> u64 {
    row.number("frame.cap_len").unwrap()
}

/// The link layer with its tags; `Err` where the packet ends in it.
fn link(row: &Row) -> Result<Link, &'static str> {
    let bare = |offset, ethertype| Ok(Link { offset, ethertype, tags: Vec::new() });
    let whole = |octets| if captured(row) < octets { Err("link_truncated") } else { Ok(()) };
    match row.number("frame.encap_type").unwrap() {
        encapsulation::ETHERNET => {
            whole(14)?;
            tagged(row, 14, row.number("eth.type").unwrap_or(0x05dc))
        }
        encapsulation::COOKED => {
            whole(16)?;
            typed(row)?;
            tagged(row, 16, row.number("sll.etype").unwrap_or(0x05dc))
        }
        encapsulation::COOKED_2 => {
            whole(20)?;
            typed(row)?;
            tagged(row, 20, row.number("sll.etype").unwrap_or(0x05dc))
        }
        encapsulation::RAW => whole(1).and_then(|()| bare(0, BY_VERSION)),
        encapsulation::RAW_4 => bare(0, ETHERTYPE_4),
        encapsulation::RAW_6 => bare(0, ETHERTYPE_6),
        encapsulation::NULL | encapsulation::LOOP => {
            whole(4)?;
            match row.number("null.family") {
                Some(2) => bare(4, ETHERTYPE_4),
                Some(10 | 24 | 28 | 30) => bare(4, ETHERTYPE_6),
                _ => Err("other_family"),
            }
        }
        _ => Err("link_type"),
    }
}

/// Hardware types (frame relay, 802.11 with radiotap, netlink) whose protocol field is no ethertype.
fn typed(row: &Row) -> Result<(), &'static str> {
    match row.number("sll.hatype") {
        Some(770 | 803 | 824) => Err("other_ethertype"),
        _ => Ok(()),
    }
}

/// Follows the tags: each moves what comes next by four octets.
fn tagged(row: &Row, start: u64, first: u64) -> Result<Link, &'static str> {
    let (mut offset, mut ethertype, mut tags) = (start, first, Vec::new());
    let (mut plain, mut service) = (plain_tags(row).into_iter(), service_tags(row).into_iter());
    while matches!(ethertype, 0x8100 | 0x88a8 | 0x9100) {
        if tags.len() == 4 {
            return Err("vlan_too_many");
        }
        if captured(row) < offset + 4 {
            return Err("vlan_truncated");
        }
        let next = if ethertype == 0x88a8 { service.next() } else { plain.next() };
        let (id, following) = next.unwrap_or_else(|| panic!("tshark shows no tag: {row:?}"));
        tags.push(id as u16);
        offset += 4;
        ethertype = following;
    }
    Ok(Link { offset, ethertype, tags })
}

/// 802.1Q tags: id, and what comes next. A length instead of a type has a field of its own.
fn plain_tags(row: &Row) -> Vec<(u64, u64)> {
    let next = |index| row.nth("vlan.etype", index).or(row.number("vlan.len")).unwrap_or(0);
    (0..row.all("vlan.id").len()).map(|index| (row.nth("vlan.id", index).unwrap(), next(index))).collect()
}

/// 802.1ad tags: id, and what comes next. Two in a row tshark shows as a pair.
fn service_tags(row: &Row) -> Vec<(u64, u64)> {
    let next = row.number("ieee8021ah.etype").unwrap_or(0);
    match (row.number("ieee8021ad.svid"), row.number("ieee8021ad.cvid")) {
        (Some(outer), Some(inner)) => vec![(outer, 0x88a8), (inner, next)],
        _ => row.number("ieee8021ad.id").map(|id| (id, next)).into_iter().collect(),
    }
}

fn non_ip(ethertype: u64) -> &'static str {
    match ethertype {
        0x0806 | 0x8035 => "arp",
        0x88cc => "lldp",
        0x8847 | 0x8848 => "mpls",
        0x8863 | 0x8864 => "pppoe",
        0..=0x05ff => "llc",
        _ => "other_ethertype",
    }
}

/// What follows the IP header (or the chain of headers).
struct Transport {
    protocol: u8,
    /// Where its header begins in the frame.
    at: u64,
    /// Octets of the packet that were captured, from the transport header on.
    available: u64,
    part: Part,
}

fn four(row: &Row, link: &Link, version: u64) -> Verdict {
    let captured = captured(row).saturating_sub(link.offset);
    if captured < 20 {
        return Err("ipv4_truncated");
    }
    if version != 4 {
        return Err("ip_version");
    }
    let header = row.number("ip.hdr_len").unwrap();
    let total = row.number("ip.len").unwrap_or(0);
    if header < 20 {
        return Err("ipv4_header_length");
    }
    if total != 0 && total < header {
        return Err("ipv4_total_length");
    }
    if captured < header {
        return Err("ipv4_truncated");
    }
    let identification = row.number("ip.id").unwrap() as u32;
    let part = match (row.number("ip.frag_offset").unwrap(), row.number("ip.flags.mf").unwrap()) {
        (0, 0) => Part::Whole,
        (0, _) => Part::First(identification),
        _ => Part::Later(identification),
    };
    let end = if total == 0 { captured } else { captured.min(total) };
    let protocol = row.number("ip.proto").unwrap() as u8;
    let octets = if total == 0 { captured } else { total };
    let transport = Transport { protocol, at: link.offset + header, available: end - header, part };
    packet(row, link, 4, octets, &transport)
}

fn six(row: &Row, link: &Link, version: u64) -> Verdict {
    let captured = captured(row).saturating_sub(link.offset);
    if captured < 8 {
        return Err("ipv6_truncated");
    }
    if version != 6 {
        return Err("ip_version");
    }
    if captured < 40 {
        return Err("ipv6_truncated");
    }
    let payload = row.number("ipv6.plen").unwrap();
    let end = if payload == 0 { captured } else { captured.min(payload + 40) };
    let octets = if payload == 0 { captured } else { payload + 40 };
    let transport = chain(row, link.offset + 40, end - 40)?;
    packet(row, link, 6, octets, &transport)
}

/// An extension header: the field that says what comes next, the one that says its length, and how to read that.
struct Extension {
    next: &'static str,
    length: &'static str,
    octets: fn(u64) -> u64,
    /// Its length octet in the unit of the field, for where tshark shows no fields.
    unit: fn(u64) -> u64,
}

/// The extension header of this number, if it is one.
fn extension(number: u64) -> Option<Extension> {
    let of = |next, length, octets, unit| Some(Extension { next, length, octets, unit });
    match number {
        0 => of("ipv6.hopopts.nxt", "ipv6.hopopts.len_oct", |octets| octets, |units| (units + 1) * 8),
        43 => of("ipv6.routing.nxt", "ipv6.routing.len_oct", |octets| octets, |units| (units + 1) * 8),
        60 => of("ipv6.dstopts.nxt", "ipv6.dstopts.len_oct", |octets| octets, |units| (units + 1) * 8),
        44 => of("ipv6.fraghdr.nxt", "ipv6.fraghdr.nxt", |_| 8, |_| 8),
        51 => of("ah.next_header", "ah.length", |units| (units + 2) * 4, |units| units),
        135 => of("mip6.proto", "mip6.hlen", |units| (units + 1) * 8, |units| units),
        _ => None,
    }
}

impl Extension {
    /// What comes next, and the octets of this header. tshark stops at an option that is broken; the header around it
    /// has its length all the same, and is read from the dump then.
    fn read(&self, row: &Row, index: usize, at: u64, available: u64) -> Result<(u64, u64), &'static str> {
        let (next, length) = match (row.nth(self.next, index), row.nth(self.length, index)) {
            (Some(next), Some(length)) => (next, length),
            _ if available < 2 => return Err("ipv6_extension_truncated"),
            _ => {
                let octets = &row.dump()[at as usize..];
                (u64::from(octets[0]), (self.unit)(u64::from(octets[1])))
            }
        };
        let octets = (self.octets)(length);
        if octets > available { Err("ipv6_extension_truncated") } else { Ok((next, octets)) }
    }
}

/// Steps over the extension headers.
fn chain(row: &Row, start: u64, whole: u64) -> Result<Transport, &'static str> {
    let (mut available, mut count, mut part) = (whole, 0, Part::Whole);
    let mut number = row.number("ipv6.nxt").unwrap();
    let mut passed = std::collections::BTreeMap::<u64, usize>::new();
    while let Some(extension) = extension(number) {
        if count == 8 {
            return Err("ipv6_extension_too_many");
        }
        let index = passed.entry(number).or_default();
        let (next, octets) = extension.read(row, *index, start + whole - available, available)?;
        if number == 44 {
            part = fragment(row, *index, part);
        }
        *index += 1;
        count += 1;
        available -= octets;
        number = next;
        if let Part::Later(_) = part {
            break;
        }
    }
    Ok(Transport { protocol: number as u8, at: start + whole - available, available, part })
}

fn fragment(row: &Row, index: usize, known: Part) -> Part {
    let field = |name| row.nth(name, index).unwrap();
    let identification = field("ipv6.fraghdr.ident") as u32;
    match (field("ipv6.fraghdr.offset"), field("ipv6.fraghdr.more")) {
        (0, 0) => known,
        (0, _) => Part::First(identification),
        _ => Part::Later(identification),
    }
}

fn packet(row: &Row, link: &Link, version: u8, octets: u64, transport: &Transport) -> Verdict {
    let (source, destination) =
        row.addresses(version).unwrap_or_else(|| panic!("tshark shows no addresses: {row:?}"));
    let (ports, flags) = match transport.part {
        Part::Later(_) => ((0, 0), 0),
        _ => ports(row, transport)?,
    };
    Ok(Packet {
        source: (source, ports.0),
        destination: (destination, ports.1),
        protocol: transport.protocol,
        vlan: link.tags.first().copied(),
        customer_vlan: link.tags.get(1).copied(),
        octets,
        layer2_octets: row.octets(),
        flags,
        nanoseconds: row.nanoseconds(),
        part: transport.part,
        available: transport.available,
    })
}

type Ports = (u16, u16);

/// Ports and TCP flags, of a header that must be whole as far as those reach.
fn ports(row: &Row, transport: &Transport) -> Result<(Ports, u8), &'static str> {
    let whole = |octets, reason| if transport.available < octets { Err(reason) } else { Ok(()) };
    match transport.protocol {
        6 => {
            whole(14, "tcp_truncated")?;
            let octets = transport.header(row, "tcp.hdr_len", 14);
            let length = row.number("tcp.hdr_len").unwrap_or_else(|| u64::from(octets[12] >> 4) * 4);
            if length < 20 {
                return Err("tcp_data_offset");
            }
            let flags = row.number("tcp.flags").map_or_else(|| octets[13], |flags| flags as u8);
            Ok((transport.ports(row, "tcp"), flags))
        }
        17 => whole(4, "udp_truncated").map(|()| (transport.ports(row, "udp"), 0)),
        132 => whole(4, "sctp_truncated").map(|()| (transport.ports(row, "sctp"), 0)),
        1 | 58 => whole(2, "icmp_truncated").map(|()| ((0, 0), 0)),
        _ => Ok(((0, 0), 0)),
    }
}

impl Transport {
    /// The ports as tshark shows them; of a header that is cut off behind them it shows none, but has them in its dump.
    fn ports(&self, row: &Row, protocol: &str) -> Ports {
        let [source, destination] =
            ["srcport", "dstport"].map(|name| row.number(&format!("{protocol}.{name}")));
        if let (Some(source), Some(destination)) = (source, destination) {
            return (source as u16, destination as u16);
        }
        let octets = self.header(row, "", 4);
        let port = |at: usize| u16::from_be_bytes([octets[at], octets[at + 1]]);
        (port(0), port(2))
    }

    /// The first octets of the header, where tshark does not show `field`; else nothing.
    fn header(&self, row: &Row, field: &str, octets: usize) -> Vec<u8> {
        if !field.is_empty() && row.text(field).is_some() {
            return Vec::new();
        }
        row.dump()[self.at as usize..][..octets].to_vec()
    }
}
