//! A record as words of the ring: plain, without pointers, and not believed when it is read.
//!
//! ```text
//!  0  kind 1 | reason 1 | protocol 1 | IPv6 1 | which optional values are there 4
//!  1  observation domain 4 | ingress interface 4
//!  2  start    3  end    4-5  source address    6-7  destination address
//!  8  ports 2 2 | VLANs 2 2         9-14  packets, octets, layer-2 octets, each with its reverse
//! 15  TCP flags 2 2 | classes of service 1 1 | TTLs 1 1        16  ICMP type 1 | code 1 | shunted packets 6        17  check word
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use flow_wire::record::{FlowEndReason, FlowRecord};

/// Words of a record.
pub(crate) const WORDS: usize = 18;

/// In the first octet; a slot that holds something else has another number there.
pub(crate) const KIND: u64 = 1;

/// No record has counted so much (2^56 octets are twenty years of 1 Tbit/s): sums of what was read back stay below 2^64.
const COUNT_MAX: u64 = 1 << 56;

const VLAN: u32 = 0;
const CUSTOMER_VLAN: u32 = 1;
const TCP: u32 = 2;
const REVERSE_TCP: u32 = 3;
const REVERSE_TOS: u32 = 4;
const ICMP_TYPE: u32 = 5;
const ICMP_CODE: u32 = 6;
const SHUNTED: u32 = 7;

/// Shunted packets have six octets: at a billion a second three days, where a record has one at most.
const SHUNTED_MAX: u64 = (1 << 48) - 1;

/// The words of a record of this epoch's own packets.
pub(crate) fn to_words(record: &FlowRecord) -> [u64; WORDS] {
    let mut present = 0_u64;
    let mut optional = |bit: u32, value: Option<u16>| {
        present |= u64::from(value.is_some()) << bit;
        u64::from(value.unwrap_or(0))
    };
    let vlans = optional(VLAN, record.vlan_id) << 32 | optional(CUSTOMER_VLAN, record.customer_vlan_id) << 48;
    let flags = optional(TCP, record.tcp_control_bits)
        | optional(REVERSE_TCP, record.reverse_tcp_control_bits) << 16
        | u64::from(record.ip_class_of_service) << 32
        | optional(REVERSE_TOS, record.reverse_ip_class_of_service.map(u16::from)) << 40
        | u64::from(record.minimum_ttl) << 48
        | u64::from(record.maximum_ttl) << 56;
    let icmp = optional(ICMP_TYPE, record.icmp_type.map(u16::from))
        | optional(ICMP_CODE, record.icmp_code.map(u16::from)) << 8;
    let icmp = icmp | record.shunted_packet_delta_count.unwrap_or(0).min(SHUNTED_MAX) << 16;
    present |= u64::from(record.shunted_packet_delta_count.is_some()) << SHUNTED;
    let source = halves(record.source_ip_address);
    let destination = halves(record.destination_ip_address);
    let mut words = [
        KIND | (record.flow_end_reason as u64) << 8
            | u64::from(record.protocol_identifier) << 16
            | u64::from(record.source_ip_address.is_ipv6()) << 24
            | present << 32,
        u64::from(record.observation_domain_id) | u64::from(record.ingress_interface) << 32,
        record.flow_start_nanoseconds,
        record.flow_end_nanoseconds,
        source[0],
        source[1],
        destination[0],
        destination[1],
        u64::from(record.source_transport_port) | u64::from(record.destination_transport_port) << 16 | vlans,
        record.packet_delta_count,
        record.reverse_packet_delta_count,
        record.octet_delta_count,
        record.reverse_octet_delta_count,
        record.layer2_octet_delta_count,
        record.reverse_layer2_octet_delta_count,
        flags,
        icmp,
        0,
    ];
    words[WORDS - 1] = check_word(&words);
    words
}

/// The record, if these are words that [`to_words`] made of one.
pub(crate) fn from_words(words: &[u64; WORDS]) -> Option<FlowRecord> {
    let counts: [u64; 6] = words[9..15].try_into().ok()?;
    let sound = words[0] & 0xff == KIND
        && words[WORDS - 1] == check_word(words)
        && words[2] <= words[3]
        && counts.iter().all(|count| *count < COUNT_MAX);
    if !sound {
        return None;
    }
    let present = words[0] >> 32;
    let optional = |bit: u32, value: u64| (present >> bit & 1 != 0).then_some(value as u16);
    let is_ipv6 = words[0] >> 24 & 1 != 0;
    let flags = words[15];
    Some(FlowRecord {
        observation_domain_id: words[1] as u32,
        ingress_interface: (words[1] >> 32) as u32,
        flow_start_nanoseconds: words[2],
        flow_end_nanoseconds: words[3],
        source_ip_address: address(is_ipv6, [words[4], words[5]]),
        destination_ip_address: address(is_ipv6, [words[6], words[7]]),
        source_transport_port: words[8] as u16,
        destination_transport_port: (words[8] >> 16) as u16,
        protocol_identifier: (words[0] >> 16) as u8,
        vlan_id: optional(VLAN, words[8] >> 32),
        customer_vlan_id: optional(CUSTOMER_VLAN, words[8] >> 48),
        packet_delta_count: counts[0],
        reverse_packet_delta_count: counts[1],
        octet_delta_count: counts[2],
        reverse_octet_delta_count: counts[3],
        layer2_octet_delta_count: counts[4],
        reverse_layer2_octet_delta_count: counts[5],
        tcp_control_bits: optional(TCP, flags),
        reverse_tcp_control_bits: optional(REVERSE_TCP, flags >> 16),
        ip_class_of_service: (flags >> 32) as u8,
        reverse_ip_class_of_service: optional(REVERSE_TOS, flags >> 40).map(|tos| tos as u8),
        minimum_ttl: (flags >> 48) as u8,
        maximum_ttl: (flags >> 56) as u8,
        icmp_type: optional(ICMP_TYPE, words[16]).map(|kind| kind as u8),
        icmp_code: optional(ICMP_CODE, words[16] >> 8).map(|code| code as u8),
        flow_end_reason: FlowEndReason::from_number((words[0] >> 8) as u8)?,
        recovered_from: None,
        shunted_packet_delta_count: (present >> SHUNTED & 1 != 0).then_some(words[16] >> 16),
    })
}

/// Of all words but the last. Not against an attacker, who could write any word: against whatever else may befall a file.
fn check_word(words: &[u64; WORDS]) -> u64 {
    words[..WORDS - 1].iter().fold(0x9e37_79b9_7f4a_7c15, |sum: u64, word| {
        (sum.rotate_left(23) ^ word).wrapping_mul(0xd6e8_feb8_6659_fd93)
    })
}

fn halves(address: IpAddr) -> [u64; 2] {
    let bits = match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    };
    [bits as u64, (bits >> 64) as u64]
}

fn address(is_ipv6: bool, halves: [u64; 2]) -> IpAddr {
    match is_ipv6 {
        true => Ipv6Addr::from_bits(u128::from(halves[1]) << 64 | u128::from(halves[0])).into(),
        false => Ipv4Addr::from_bits(halves[0] as u32).into(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(seed: [u64; 12]) -> FlowRecord {
        let octet = |at: usize| (seed[at] & 1 == 0).then_some(seed[at] as u8);
        let word = |at: usize| (seed[at] & 1 == 0).then_some(seed[at] as u16);
        let ip = |at: usize| address(seed[10] & 1 == 0, [seed[at], seed[at + 1]]);
        FlowRecord {
            observation_domain_id: seed[0] as u32,
            ingress_interface: seed[1] as u32,
            flow_start_nanoseconds: seed[2].min(seed[3]),
            flow_end_nanoseconds: seed[2].max(seed[3]),
            source_ip_address: ip(4),
            destination_ip_address: ip(6),
            source_transport_port: seed[0] as u16,
            destination_transport_port: seed[8] as u16,
            protocol_identifier: seed[9] as u8,
            vlan_id: word(0),
            customer_vlan_id: word(1),
            packet_delta_count: seed[2] >> 8,
            reverse_packet_delta_count: seed[3] >> 8,
            octet_delta_count: seed[4] >> 8,
            reverse_octet_delta_count: seed[5] >> 8,
            layer2_octet_delta_count: seed[6] >> 8,
            reverse_layer2_octet_delta_count: seed[7] >> 8,
            tcp_control_bits: word(2),
            reverse_tcp_control_bits: word(3),
            ip_class_of_service: seed[4] as u8,
            reverse_ip_class_of_service: octet(5),
            minimum_ttl: seed[6] as u8,
            maximum_ttl: seed[7] as u8,
            icmp_type: octet(8),
            icmp_code: octet(9),
            flow_end_reason: FlowEndReason::ALL[(seed[11] % 5) as usize],
            recovered_from: None,
            shunted_packet_delta_count: (seed[5] & 2 == 0).then_some(seed[2] & SHUNTED_MAX),
        }
    }

    proptest! {
        #[test]
        fn words_are_the_record(seed: [u64; 12]) {
            prop_assert_eq!(from_words(&to_words(&record(seed))), Some(record(seed)));
        }

        #[test]
        fn no_changed_octet_is_believed(seed: [u64; 12], at in 0..WORDS * 8, other in 1..=u8::MAX) {
            let mut words = to_words(&record(seed));
            words[at / 8] ^= u64::from(other) << (at % 8 * 8);
            prop_assert_eq!(from_words(&words), None);
        }

        #[test]
        fn no_words_panic(words: [u64; WORDS]) {
            let _ = from_words(&words);
        }
    }
}
