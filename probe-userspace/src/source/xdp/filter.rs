//! The capture filter as people write it.
//!
//! ```text
//! net 10.0.0.0/8 port 443,8000-8080 proto tcp not net 10.9.0.0/16
//! ```
//!
//! Words, in any order, each with or without `not` before it: `net PREFIX[,PREFIX...]` (or `host ADDRESS`, a prefix of
//! full length), `port NUMBER[-NUMBER][,...]`, `proto NAME|NUMBER[,...]`. Several rules are one filter of all their words.
//! What a filter selects is said in [`xdp_abi::filter`], which judges in the XDP program and, by [`CaptureFilter`]'s
//! [`Rules`], in user space alike.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::str::FromStr;

use xdp_abi::filter::{Kinds, Rules, Verdict};
use xdp_abi::map::{FilterBits, PORT_WORDS, PREFIXES_A_FILTER_MAX, PROTOCOL_WORDS, Prefix};
use xdp_abi::protocol::{ICMP, ICMPV6, SCTP, TCP, UDP};

/// Names of protocols; any other is written as its number.
const PROTOCOLS: [(&str, u8); 12] = [
    ("icmp", ICMP),
    ("igmp", 2),
    ("tcp", TCP),
    ("udp", UDP),
    ("gre", 47),
    ("esp", 50),
    ("ah", 51),
    ("icmpv6", ICMPV6),
    ("ospf", 89),
    ("pim", 103),
    ("vrrp", 112),
    ("sctp", SCTP),
];

/// A rule that is not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "--capture-filter '{rule}': {reason}\n  mend: e.g. --capture-filter 'net 10.0.0.0/8 port 443 proto tcp not host 10.0.0.7'"
)]
pub struct Error {
    rule: String,
    reason: String,
}

/// Prefixes, ports and protocols, each selected or not. The empty filter selects everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaptureFilter {
    /// By prefix and its length in bits, head included.
    prefixes: BTreeMap<(Prefix, u32), Verdict>,
    ports: Vec<FilterBits>,
    protocols: [FilterBits; PROTOCOL_WORDS as usize],
    kinds: Kinds,
}

impl Default for CaptureFilter {
    fn default() -> Self {
        Self {
            prefixes: BTreeMap::new(),
            ports: vec![FilterBits::default(); PORT_WORDS as usize],
            protocols: [FilterBits::default(); PROTOCOL_WORDS as usize],
            kinds: Kinds(0),
        }
    }
}

impl CaptureFilter {
    /// Reads the rules of a command line or a file.
    ///
    /// # Errors
    /// The first rule that is not understood, with its reason.
    pub fn parse<S: AsRef<str>>(rules: &[S]) -> Result<Self, Error> {
        let mut filter = Self::default();
        for rule in rules {
            let rule = rule.as_ref();
            filter.rule(rule).map_err(|reason| Error { rule: rule.to_owned(), reason })?;
        }
        Ok(filter)
    }

    /// Whether it selects everything.
    pub fn is_empty(&self) -> bool {
        self.kinds.0 == 0
    }

    /// The prefixes with their lengths in bits (the bank's and version's octets included) and verdicts.
    pub(super) fn prefixes(&self) -> impl Iterator<Item = (Prefix, u32, Verdict)> {
        self.prefixes.iter().map(|(&(prefix, bits), &verdict)| (prefix, bits, verdict))
    }

    pub(super) fn ports(&self) -> &[FilterBits] {
        &self.ports
    }

    pub(super) fn protocols(&self) -> &[FilterBits] {
        &self.protocols
    }

    fn rule(&mut self, rule: &str) -> Result<(), String> {
        let mut words = rule.split_whitespace();
        while let Some(word) = words.next() {
            let (word, verdict) = match word {
                "not" => (words.next().ok_or("nothing follows 'not'")?, Verdict::Exclude),
                word => (word, Verdict::Include),
            };
            let add = match word {
                "net" => Self::net,
                "host" => Self::host,
                "port" => Self::port_range,
                "proto" => Self::proto,
                other => return Err(format!("'{other}' is none of net, host, port, proto, not")),
            };
            let values = words.next().ok_or_else(|| format!("nothing follows '{word}'"))?;
            for value in values.split(',') {
                add(self, value, verdict)?;
            }
        }
        Ok(())
    }

    fn net(&mut self, value: &str, verdict: Verdict) -> Result<(), String> {
        let (address, length) = value.split_once('/').ok_or_else(|| {
            format!("'{value}' is no prefix such as 10.0.0.0/8 or 2001:db8::/32 (one address: host {value})")
        })?;
        let address = self::address(address)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let length = length
            .parse()
            .ok()
            .filter(|length| *length <= most)
            .ok_or_else(|| format!("'{length}' is no prefix length: 0 to {most} are"))?;
        self.prefix(value, address, length, verdict)
    }

    fn host(&mut self, value: &str, verdict: Verdict) -> Result<(), String> {
        let address = address(value)?;
        self.prefix(value, address, if address.is_ipv4() { 32 } else { 128 }, verdict)
    }

    fn prefix(&mut self, value: &str, address: IpAddr, length: u32, verdict: Verdict) -> Result<(), String> {
        let (ip_version, address) = in_key(address);
        if masked(address, length) != address {
            return Err(format!("'{value}' has bits behind its prefix length"));
        }
        let prefix = Prefix { ip_version, address, ..Prefix::default() };
        let known = self.prefixes.insert((prefix, Prefix::HEAD_BITS + length), verdict);
        if known.is_some_and(|known| known != verdict) {
            return Err(format!("'{value}' is there with and without 'not'"));
        }
        if self.prefixes.len() > PREFIXES_A_FILTER_MAX as usize {
            return Err(format!("more than {PREFIXES_A_FILTER_MAX} prefixes"));
        }
        self.has(verdict, Kinds::PREFIX_INCLUDE, Kinds::PREFIX_EXCLUDE);
        Ok(())
    }

    fn port_range(&mut self, value: &str, verdict: Verdict) -> Result<(), String> {
        let (low, high) = value.split_once('-').unwrap_or((value, value));
        let number =
            |text: &str| u16::from_str(text).map_err(|_| format!("'{text}' is no port: 0 to 65535 are"));
        let (low, high) = (number(low)?, number(high)?);
        if low > high {
            return Err(format!("'{value}' runs backwards"));
        }
        for port in low..=high {
            set(&mut self.ports[usize::from(port >> 6)], u32::from(port), verdict);
        }
        self.has(verdict, Kinds::PORT_INCLUDE, Kinds::PORT_EXCLUDE);
        Ok(())
    }

    fn proto(&mut self, value: &str, verdict: Verdict) -> Result<(), String> {
        let named = PROTOCOLS.iter().find(|(name, _)| *name == value).map(|(_, number)| *number);
        let number = named.or_else(|| value.parse().ok()).ok_or_else(|| {
            let names: Vec<_> = PROTOCOLS.iter().map(|(name, _)| *name).collect();
            format!("'{value}' is no protocol: 0 to 255 are, and {}", names.join(", "))
        })?;
        set(&mut self.protocols[usize::from(number >> 6)], u32::from(number), verdict);
        self.has(verdict, Kinds::PROTOCOL_INCLUDE, Kinds::PROTOCOL_EXCLUDE);
        Ok(())
    }

    fn has(&mut self, verdict: Verdict, include: u32, exclude: u32) {
        self.kinds.0 |= if verdict == Verdict::Include { include } else { exclude };
    }
}

/// In user space, for the packet socket and capture files. A prefix is looked up length by length, longest first: at
/// most 129 look-ups, for a source that has no tries and is not the fast path.
impl Rules for CaptureFilter {
    fn kinds(&self) -> Kinds {
        self.kinds
    }

    fn prefix(&self, ip_version: u8, address: &[u8; 16]) -> Verdict {
        let longest = Prefix::host_bits(ip_version) - Prefix::HEAD_BITS;
        (0..=longest)
            .rev()
            .find_map(|length| {
                let prefix = Prefix { ip_version, address: masked(*address, length), ..Prefix::default() };
                self.prefixes.get(&(prefix, Prefix::HEAD_BITS + length)).copied()
            })
            .unwrap_or(Verdict::Unnamed)
    }

    fn port(&self, port: u16) -> Verdict {
        Verdict::of_bit(&self.ports[usize::from(port >> 6)], u32::from(port))
    }

    fn protocol(&self, protocol: u8) -> Verdict {
        Verdict::of_bit(&self.protocols[usize::from(protocol >> 6)], u32::from(protocol))
    }
}

fn set(bits: &mut FilterBits, number: u32, verdict: Verdict) {
    let bit = 1u64 << (number & 63);
    match verdict {
        Verdict::Include => bits.include |= bit,
        Verdict::Exclude => bits.exclude |= bit,
        Verdict::Unnamed => {}
    }
}

fn address(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| format!("'{text}' is no IPv4 or IPv6 address"))
}

fn in_key(address: IpAddr) -> (u8, [u8; 16]) {
    match address {
        IpAddr::V4(v4) => {
            let mut octets = [0; 16];
            octets[..4].copy_from_slice(&v4.octets());
            (4, octets)
        }
        IpAddr::V6(v6) => (6, v6.octets()),
    }
}

/// The first `length` bits; the rest is zero.
fn masked(address: [u8; 16], length: u32) -> [u8; 16] {
    let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
    (u128::from_be_bytes(address) & mask).to_be_bytes()
}

#[cfg(test)]
mod tests;
