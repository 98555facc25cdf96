//! tshark as a reader of packets: one row of fields per packet.

use std::cell::OnceCell;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;

use serde_json::Value;

/// Asked for in this order. Every occurrence of a field is given, outermost first.
const FIELDS: [&str; 44] = [
    "frame.number",
    "frame.time_epoch",
    "frame.len",
    "frame.cap_len",
    "frame.encap_type",
    "frame.protocols",
    "eth.type",
    "vlan.etype",
    "vlan.id",
    "ieee8021ad.id",
    "vlan.len",
    "sll.etype",
    "sll.hatype",
    "null.family",
    "ip.version",
    "ip.hdr_len",
    "ip.len",
    "ip.id",
    "ip.flags.mf",
    "ip.frag_offset",
    "ip.proto",
    "ip.src",
    "ip.dst",
    "ipv6.plen",
    "ipv6.nxt",
    "ipv6.src",
    "ipv6.dst",
    "ipv6.hopopts.nxt",
    "ipv6.hopopts.len_oct",
    "ipv6.routing.nxt",
    "ipv6.routing.len_oct",
    "ipv6.dstopts.nxt",
    "ipv6.dstopts.len_oct",
    "ipv6.fraghdr.nxt",
    "ipv6.fraghdr.offset",
    "ipv6.fraghdr.more",
    "ipv6.fraghdr.ident",
    "ah.next_header",
    "ah.length",
    "tcp.srcport",
    "tcp.dstport",
    "tcp.hdr_len",
    "tcp.flags",
    "udp.srcport",
];
/// The rest, apart so that both arrays stay readable.
const MORE_FIELDS: [&str; 12] = [
    "ieee8021ad.svid",
    "ieee8021ad.cvid",
    "ieee8021ah.etype",
    "udp.dstport",
    "sctp.srcport",
    "sctp.dstport",
    "mip6.proto",
    "mip6.hlen",
    "tcp.stream",
    "udp.stream",
    "_ws.malformed",
    "_ws.short",
];

/// The file that rows come from.
#[derive(Debug)]
struct File {
    path: PathBuf,
    dump: OnceCell<Vec<Vec<u8>>>,
}

impl File {
    /// The octets of all its packets.
    fn dump(&self) -> &[Vec<u8>] {
        self.dump.get_or_init(|| {
            let text = output(tshark(&self.path).args(["-T", "jsonraw", "-j", "frame"]));
            let packets: Vec<Value> = serde_json::from_str(&text).unwrap();
            packets.iter().map(|packet| octets(&packet["_source"]["layers"]["frame_raw"][0])).collect()
        })
    }
}

fn octets(hexadecimal: &Value) -> Vec<u8> {
    let digits = hexadecimal.as_str().unwrap_or_default().as_bytes();
    let octet = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(octet).collect()
}

/// One packet, as tshark shows it.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    file: Rc<File>,
    values: Vec<Vec<String>>,
}

impl Row {
    fn parse(file: &Rc<File>, line: &str) -> Self {
        let values =
            |column: &str| column.split(',').filter(|value| !value.is_empty()).map(str::to_owned).collect();
        Self { file: Rc::clone(file), values: line.split('\t').map(values).collect() }
    }

    /// All occurrences of a field.
    pub(crate) fn all(&self, field: &str) -> &[String] {
        let index = FIELDS.iter().chain(&MORE_FIELDS).position(|name| *name == field);
        let index = index.unwrap_or_else(|| panic!("{field} is not among the fields asked for"));
        self.values.get(index).map_or(&[], Vec::as_slice)
    }

    /// The outermost occurrence.
    pub(crate) fn text(&self, field: &str) -> Option<&str> {
        self.all(field).first().map(String::as_str)
    }

    /// A number, decimal or hexadecimal, or one of tshark's words for a bit.
    pub(crate) fn number(&self, field: &str) -> Option<u64> {
        self.text(field).map(number)
    }

    /// The `index`th occurrence.
    pub(crate) fn nth(&self, field: &str, index: usize) -> Option<u64> {
        self.all(field).get(index).map(|text| number(text))
    }

    /// Addresses, of the outermost IP header.
    pub(crate) fn addresses(&self, version: u8) -> Option<(IpAddr, IpAddr)> {
        let [source, destination] =
            if version == 4 { ["ip.src", "ip.dst"] } else { ["ipv6.src", "ipv6.dst"] };
        Some((self.text(source)?.parse().unwrap(), self.text(destination)?.parse().unwrap()))
    }

    /// The dissectors that took part, outermost first.
    pub(crate) fn protocols(&self) -> Vec<&str> {
        self.text("frame.protocols").unwrap_or_default().split(':').collect()
    }

    /// Whether tshark came upon the end of the packet, as captured or by its own lengths, before it was through.
    pub(crate) fn broke_off(&self) -> bool {
        self.text("_ws.malformed").or(self.text("_ws.short")).is_some()
    }

    /// The octets of the packet, for the few headers of which tshark shows no fields.
    pub(crate) fn dump(&self) -> &[u8] {
        let index = self.number("frame.number").unwrap() - 1;
        &self.file.dump()[index as usize]
    }

    /// Its length on the wire.
    pub(crate) fn octets(&self) -> u64 {
        self.number("frame.len").unwrap()
    }

    /// When, since the UNIX epoch. A broken file may have more nanoseconds than a second: tshark prints them as they are.
    pub(crate) fn nanoseconds(&self) -> u64 {
        let (seconds, fraction) = self.text("frame.time_epoch").unwrap().split_once('.').unwrap();
        seconds.parse::<u64>().unwrap() * 1_000_000_000 + fraction.parse::<u64>().unwrap()
    }
}

fn number(text: &str) -> u64 {
    match (text, text.strip_prefix("0x")) {
        ("True", _) => 1,
        ("False", _) => 0,
        (_, Some(hexadecimal)) => u64::from_str_radix(hexadecimal, 16).unwrap(),
        _ => text.parse().unwrap_or_else(|_| panic!("{text:?} is no number")),
    }
}

/// A tshark command on a file: no names, nothing put together again.
pub(crate) fn tshark(path: &Path) -> Command {
    let mut command = Command::new("tshark");
    command.arg("-r").arg(path).args(["-n", "-o", "ip.defragment:FALSE", "-o", "ipv6.defragment:FALSE"]);
    command
}

/// Runs it; a file that ends early makes tshark fail after its last packet, which is no failure here.
pub(crate) fn output(command: &mut Command) -> String {
    let output = command.output().expect("tshark runs (`make setup` installs it)");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() || complaint.contains("cut short"), "{command:?}: {complaint}");
    String::from_utf8(output.stdout).unwrap()
}

/// All packets of a file.
pub(crate) fn rows(path: &Path) -> Vec<Row> {
    let mut command = tshark(path);
    command.args(["-T", "fields", "-E", "occurrence=a", "-E", "aggregator=,"]);
    for field in FIELDS.iter().chain(&MORE_FIELDS) {
        command.args(["-e", field]);
    }
    let file = Rc::new(File { path: path.to_owned(), dump: OnceCell::new() });
    output(&mut command).lines().map(|line| Row::parse(&file, line)).collect()
}

/// Packets and octets of a file, by capinfos: the tool that counts and does not look.
pub(crate) fn count(path: &Path) -> (u64, u64) {
    let output = Command::new("capinfos").args(["-T", "-r", "-M", "-c", "-d"]).arg(path).output();
    let output = output.expect("capinfos runs (`make setup` installs it)");
    let text = String::from_utf8(output.stdout).unwrap();
    let mut columns = text.trim_end().rsplit('\t').map(|number| number.parse::<u64>().unwrap());
    let octets = columns.next().unwrap();
    (columns.next().unwrap(), octets)
}
