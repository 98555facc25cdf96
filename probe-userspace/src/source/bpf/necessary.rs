//! What a program's answer cannot be without, as rules that the XDP program can apply.
//!
//! Every way through the program to a selection is followed, and what it has compared on the way is read as a condition: an IP version,
//! a protocol, a port, a prefix. The rules select whatever meets the conditions of one of the ways; so they never leave out
//! what the program would select, and what they let through that it would not, the worker leaves out. A way that does not ask for
//! IP (`arp`, `not port 22`, and `host 10.0.0.1`, which means ARP, too) needs every frame: then there are no rules.
//!
//! Read from the compiled program and not from the words: the grammar stays libpcap's alone.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use xdp_abi::map::PREFIXES_A_FILTER_MAX;
use xdp_abi::protocol::{SCTP, TCP, UDP, ethertype};

use super::Program;
use super::instruction::code::{self, *};
use crate::source::xdp::CaptureFilter;

/// Instructions that are followed, over all ways: some milliseconds. Beyond it the worker judges alone.
const STEPS_MAX: usize = 200_000;
/// Ports and protocols that make a rule of use; more are no rule that spares anything.
const PORTS_MAX: usize = 1024;

const ETHERTYPE_AT: u32 = 12;
const IPV4_PROTOCOL_AT: u32 = 23;
const IPV4_ADDRESSES_AT: [u32; 2] = [26, 30];
const IPV6_NEXT_AT: u32 = 20;
const IPV6_ADDRESSES_AT: [u32; 2] = [22, 38];
/// Behind an IPv6 header: ports of what follows, or the protocol behind a fragment header.
const IPV6_PORTS_AT: [u32; 2] = [54, 56];
const IPV6_FRAGMENT_NEXT_AT: u32 = 54;
/// Behind an IPv4 header, whose length is in the index register.
const IPV4_PORTS_AT: [u32; 2] = [14, 16];
const IPV4_HEADER_AT: u32 = 14;
const FRAGMENT: u8 = 44;
/// Behind these the XDP program looks for another protocol (`xdp_abi::walk`).
const EXTENSIONS: [u8; 6] = [0, 43, FRAGMENT, 51, 60, 135];

/// Octets of the frame that are in the accumulator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Field {
    at: u32,
    octets: u8,
    /// Counted from behind the IPv4 header's options.
    behind_ipv4: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value {
    Unknown,
    Constant(u32),
    Field(Field, u32),
    /// Length of the IPv4 header.
    Ipv4Header,
}

/// One way through the program, as far as it was followed.
#[derive(Clone)]
struct Way {
    at: usize,
    a: Value,
    x: Value,
    memory: [Value; 16],
    /// What of a field has this value: by mask.
    equal: BTreeMap<(Field, u32), u32>,
    /// From and to, both included.
    range: BTreeMap<Field, (u32, u32)>,
}

/// What one way asks of a frame.
#[derive(Debug, PartialEq, Eq)]
struct Needs {
    protocol: Option<u8>,
    ports: Option<(u16, u16)>,
    prefix: (IpAddr, u8),
}

/// The rules in the words of `--capture-filter`, and as it reads them; `None` = every frame is needed.
pub(super) fn rules(program: &Program) -> Option<(String, CaptureFilter)> {
    let ways = ways(program)?;
    let needs = ways.iter().map(Way::needs).collect::<Option<Vec<_>>>()?;
    let words = words(&needs)?;
    let filter = CaptureFilter::parse(&[words.as_str()]).ok()?;
    Some((words, filter))
}

/// All ways that end with a selection.
fn ways(program: &Program) -> Option<Vec<Way>> {
    let nothing = Value::Constant(0);
    let begin = Way {
        at: 0,
        a: nothing,
        x: nothing,
        memory: [nothing; 16],
        equal: BTreeMap::new(),
        range: BTreeMap::new(),
    };
    let (mut open, mut selecting, mut steps) = (vec![begin], Vec::new(), 0);
    while let Some(mut way) = open.pop() {
        loop {
            steps += 1;
            if steps > STEPS_MAX {
                return None;
            }
            let instruction = *program.instructions().get(way.at)?;
            match instruction.code & CLASS_MASK {
                RET => {
                    if instruction.code & code::A != 0 || instruction.k != 0 {
                        selecting.push(way);
                    }
                    break;
                }
                JMP => {
                    let (then, otherwise) = way.branch(instruction);
                    match (then, otherwise) {
                        (Some(then), otherwise) => {
                            open.extend(otherwise);
                            way = then;
                        }
                        (None, Some(otherwise)) => way = otherwise,
                        (None, None) => break,
                    }
                }
                _ => way.follow(instruction),
            }
        }
    }
    Some(selecting)
}

impl Way {
    /// Goes past an instruction that neither jumps nor answers.
    fn follow(&mut self, instruction: super::Instruction) {
        let super::Instruction { code, k, .. } = instruction;
        self.at += 1;
        let mode = code & 0xe0;
        let octets = match code & 0x18 {
            W => 4,
            H => 2,
            _ => 1,
        };
        let field = |at, behind_ipv4| Value::Field(Field { at, octets, behind_ipv4 }, mask(octets));
        match (code & CLASS_MASK, mode) {
            (LD, ABS) => self.a = field(k, false),
            (LD, IND) if self.x == Value::Ipv4Header => self.a = field(k, true),
            (LD, IMM) => self.a = Value::Constant(k),
            (LD, MEM) => self.a = self.memory[k as usize % 16],
            (LD, _) => self.a = Value::Unknown,
            (LDX, MSH) if k == IPV4_HEADER_AT => self.x = Value::Ipv4Header,
            (LDX, IMM) => self.x = Value::Constant(k),
            (LDX, MEM) => self.x = self.memory[k as usize % 16],
            (LDX, _) => self.x = Value::Unknown,
            (ST, _) => self.memory[k as usize % 16] = self.a,
            (STX, _) => self.memory[k as usize % 16] = self.x,
            (MISC, _) if code & TXA != 0 => self.a = self.x,
            (MISC, _) => self.x = self.a,
            (_, _) => self.a = masked(self.a, code, k),
        }
    }

    /// The way where a comparison holds, and the one where it does not; `None` = what was compared before says that it cannot be.
    fn branch(&self, instruction: super::Instruction) -> (Option<Self>, Option<Self>) {
        let super::Instruction { code, jt, jf, k } = instruction;
        let to = |distance: usize| Self { at: self.at + 1 + distance, ..self.clone() };
        let operation = code & OPERATION_MASK;
        if operation == JA {
            return (Some(to(k as usize)), None);
        }
        let (mut then, mut otherwise) = (to(jt.into()), to(jf.into()));
        if code & code::X != 0 {
            return (Some(then), Some(otherwise));
        }
        if let Some(a) = self.known(self.a) {
            let holds = match operation {
                JEQ => a == k,
                JGT => a > k,
                JGE => a >= k,
                _ => a & k != 0,
            };
            return if holds { (Some(then), None) } else { (None, Some(otherwise)) };
        }
        if let Value::Field(field, bits) = self.a {
            match operation {
                JEQ => drop(then.equal.insert((field, bits), k)),
                JSET => drop(otherwise.equal.insert((field, bits & k), 0)),
                JGT if bits == mask(field.octets) => {
                    then.at_least(field, k.saturating_add(1));
                    otherwise.at_most(field, k);
                }
                JGE if bits == mask(field.octets) => {
                    then.at_least(field, k);
                    otherwise.at_most(field, k.saturating_sub(1));
                }
                _ => {}
            }
        }
        (Some(then), Some(otherwise))
    }

    /// What a value is, by what was compared before.
    fn known(&self, value: Value) -> Option<u32> {
        match value {
            Value::Constant(constant) => Some(constant),
            Value::Field(field, bits) => {
                let covers = |(&(known, of), &value): (&(Field, u32), &u32)| {
                    (known == field && of & bits == bits).then_some(value & bits)
                };
                self.equal.iter().find_map(covers)
            }
            Value::Unknown | Value::Ipv4Header => None,
        }
    }

    fn at_least(&mut self, field: Field, low: u32) {
        let range = self.range.entry(field).or_insert((0, mask(field.octets)));
        range.0 = range.0.max(low);
    }

    fn at_most(&mut self, field: Field, high: u32) {
        let range = self.range.entry(field).or_insert((0, mask(field.octets)));
        range.1 = range.1.min(high);
    }

    /// What it asks for; `None` = it does not ask for IP.
    fn needs(&self) -> Option<Needs> {
        let version = u16::try_from(self.whole(ETHERTYPE_AT, 2)?).ok()?;
        let (protocol, ports_at, behind_ipv4, addresses) = match version {
            ethertype::IPV4 => (self.octet(IPV4_PROTOCOL_AT), Some(IPV4_PORTS_AT), true, self.prefixes4()),
            ethertype::IPV6 => {
                let next = self.octet(IPV6_NEXT_AT);
                let behind = if next == Some(FRAGMENT) { self.octet(IPV6_FRAGMENT_NEXT_AT) } else { next };
                let known = behind.filter(|protocol| !EXTENSIONS.contains(protocol));
                (known, (next != Some(FRAGMENT)).then_some(IPV6_PORTS_AT), false, self.prefixes6())
            }
            _ => return None,
        };
        let has_ports = protocol.is_some_and(|protocol| [TCP, UDP, SCTP].contains(&protocol));
        let ports = ports_at.filter(|_| has_ports).and_then(|at| {
            let both = at.into_iter().filter_map(|at| self.ports(Field { at, octets: 2, behind_ipv4 }));
            both.min_by_key(|(low, high)| high.saturating_sub(*low))
        });
        Some(Needs { protocol, ports, prefix: addresses })
    }

    fn whole(&self, at: u32, octets: u8) -> Option<u32> {
        self.known(Value::Field(Field { at, octets, behind_ipv4: false }, mask(octets)))
    }

    fn octet(&self, at: u32) -> Option<u8> {
        u8::try_from(self.whole(at, 1)?).ok()
    }

    fn ports(&self, field: Field) -> Option<(u16, u16)> {
        let (low, high) = match self.known(Value::Field(field, mask(2))) {
            Some(port) => (port, port),
            None => *self.range.get(&field)?,
        };
        // Where nothing can be between them, nothing is left out for it either.
        Some((u16::try_from(low).ok()?, u16::try_from(high).ok()?)).filter(|(low, high)| low <= high)
    }

    /// The longer of both addresses' prefixes; of length 0 where none was asked for.
    fn prefixes4(&self) -> (IpAddr, u8) {
        let (length, address) = self.longest(IPV4_ADDRESSES_AT, 1);
        (IpAddr::V4(Ipv4Addr::from((address >> 96) as u32)), length)
    }

    fn prefixes6(&self) -> (IpAddr, u8) {
        let (length, address) = self.longest(IPV6_ADDRESSES_AT, 4);
        (IpAddr::V6(Ipv6Addr::from(address)), length)
    }

    fn longest(&self, at: [u32; 2], words: u32) -> (u8, u128) {
        let [source, destination] = at.map(|at| self.prefix(at, words));
        source.max(destination)
    }

    /// Leading bits of an address that are asked for, in words of 32 bits.
    fn prefix(&self, at: u32, words: u32) -> (u8, u128) {
        let (mut length, mut address) = (0u8, 0u128);
        for word in 0..words {
            let field = Field { at: at + 4 * word, octets: 4, behind_ipv4: false };
            let of_word = self.equal.iter().filter(|((known, _), _)| *known == field);
            let leading = of_word.map(|((_, bits), value)| {
                let ones = bits.leading_ones();
                (ones, value & u32::MAX.checked_shl(32 - ones).unwrap_or(0))
            });
            let Some((ones, value)) = leading.max() else { break };
            address |= u128::from(value) << (96 - 32 * word);
            length += ones as u8;
            if ones < 32 {
                break;
            }
        }
        (length, address)
    }
}

fn mask(octets: u8) -> u32 {
    match octets {
        1 => 0xff,
        2 => 0xffff,
        _ => u32::MAX,
    }
}

/// Of arithmetic only a mask keeps a field known.
fn masked(value: Value, code: u16, k: u32) -> Value {
    match value {
        Value::Field(field, bits) if code == ALU | AND => Value::Field(field, bits & k),
        _ => Value::Unknown,
    }
}

/// One filter for all of them: each kind of words only where all of them ask for it.
fn words(needs: &[Needs]) -> Option<String> {
    if needs.is_empty() {
        return None;
    }
    let mut words = Vec::new();
    let protocols: Option<BTreeSet<u8>> = needs.iter().map(|need| need.protocol).collect();
    let ports: Option<BTreeSet<(u16, u16)>> = needs.iter().map(|need| need.ports).collect();
    let ports = ports.filter(|ports| ports.len() <= PORTS_MAX);
    if let Some(protocols) = &protocols {
        words.push(format!("proto {}", list(protocols)));
    }
    if let Some(ports) = &ports {
        let one = |(low, high): &(u16, u16)| {
            if low == high { low.to_string() } else { format!("{low}-{high}") }
        };
        words.push(format!("port {}", list(ports.iter().map(one).collect::<Vec<_>>())));
    }
    let mut prefixes: BTreeSet<(IpAddr, u8)> = needs.iter().map(|need| need.prefix).collect();
    if prefixes.len() > PREFIXES_A_FILTER_MAX as usize {
        prefixes = prefixes.iter().map(|(address, _)| any(*address)).collect();
    }
    let are_any = [any(Ipv4Addr::UNSPECIFIED.into()), any(Ipv6Addr::UNSPECIFIED.into())];
    let restrict = are_any.iter().any(|any| !prefixes.contains(any));
    if restrict || words.is_empty() {
        let one = |(address, length): &(IpAddr, u8)| format!("{address}/{length}");
        words.push(format!("net {}", list(prefixes.iter().map(one).collect::<Vec<_>>())));
    }
    Some(words.join(" "))
}

fn any(address: IpAddr) -> (IpAddr, u8) {
    match address {
        IpAddr::V4(_) => (Ipv4Addr::UNSPECIFIED.into(), 0),
        IpAddr::V6(_) => (Ipv6Addr::UNSPECIFIED.into(), 0),
    }
}

fn list<T: ToString>(all: impl IntoIterator<Item = T>) -> String {
    all.into_iter().map(|one| one.to_string()).collect::<Vec<_>>().join(",")
}
