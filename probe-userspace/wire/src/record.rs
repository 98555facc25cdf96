//! One finished (or, at an active timeout, continued) biflow, in IPFIX terms (RFC 7012, RFC 5103).

use std::net::IpAddr;

use crate::stamp::Epoch;

/// A flow record. "Forward" is from `source` to `destination`; source = sender of the SYN without ACK, else of the
/// first packet seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowRecord {
    /// One probe process (149).
    pub observation_domain_id: u32,
    /// Index of the interface where it was seen (10); 0 for a capture file.
    pub ingress_interface: u32,
    /// First packet of either direction, since the UNIX epoch (156).
    pub flow_start_nanoseconds: u64,
    /// Last packet of either direction (157).
    pub flow_end_nanoseconds: u64,
    /// (8 / 27)
    pub source_ip_address: IpAddr,
    /// (12 / 28)
    pub destination_ip_address: IpAddr,
    /// (7) 0 where the protocol has none.
    pub source_transport_port: u16,
    /// (11)
    pub destination_transport_port: u16,
    /// (4)
    pub protocol_identifier: u8,
    /// (58) outer tag; `None` = untagged.
    pub vlan_id: Option<u16>,
    /// (245, dot1qCustomerVlanId) inner tag of QinQ.
    pub customer_vlan_id: Option<u16>,
    /// (2)
    pub packet_delta_count: u64,
    /// Packets from destination to source.
    pub reverse_packet_delta_count: u64,
    /// (1) IP octets, without link layer and padding.
    pub octet_delta_count: u64,
    /// IP octets from destination to source.
    pub reverse_octet_delta_count: u64,
    /// (352) frame octets without FCS: the ledger's octets.
    pub layer2_octet_delta_count: u64,
    /// Frame octets from destination to source.
    pub reverse_layer2_octet_delta_count: u64,
    /// (6) OR of the TCP flags; `None` for other protocols.
    pub tcp_control_bits: Option<u16>,
    /// OR of the TCP flags from destination to source; `None` for other protocols.
    pub reverse_tcp_control_bits: Option<u16>,
    /// (5) of the first forward packet.
    pub ip_class_of_service: u8,
    /// Of the first reverse packet; `None` while there is none.
    pub reverse_ip_class_of_service: Option<u8>,
    /// (52) smallest TTL or hop limit of the forward packets.
    pub minimum_ttl: u8,
    /// (53) largest.
    pub maximum_ttl: u8,
    /// (176 / 178) of the first packet; `None` unless ICMP or ICMPv6.
    pub icmp_type: Option<u8>,
    /// (177 / 179)
    pub icmp_code: Option<u8>,
    /// (136)
    pub flow_end_reason: FlowEndReason,
    /// An earlier epoch of the same probe metered these packets and was killed; this one found them and writes the record.
    /// `None` = the epoch of the batch's stamp metered them itself.
    pub recovered_from: Option<Epoch>,
    /// Packets, of both directions together, that the XDP program counted itself and dropped. They are among the counts above; TTLs
    /// and classes of service are of the other packets alone. `None` = there were none.
    pub shunted_packet_delta_count: Option<u64>,
}

/// Why a record was made (IPFIX 136).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum FlowEndReason {
    /// A publisher that is none of ours does not tell it. No probe of ours writes it, and it is not among [`ALL`](Self::ALL).
    NotTold = 0,
    /// No packet for the idle timeout.
    IdleTimeout = 1,
    /// Older than the active timeout: the flow goes on in a next record.
    ActiveTimeout = 2,
    /// FIN of both sides, or RST.
    EndOfFlow = 3,
    /// The probe stopped, or the file ended.
    ForcedEnd = 4,
    /// Its bucket in the flow cache was full.
    LackOfResources = 5,
}

impl FlowEndReason {
    /// All that IPFIX has.
    pub const ALL: [Self; 5] =
        [Self::IdleTimeout, Self::ActiveTimeout, Self::EndOfFlow, Self::ForcedEnd, Self::LackOfResources];

    /// By its number in IPFIX.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| *reason as u8 == number)
    }

    /// As in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotTold => "not_told",
            Self::IdleTimeout => "idle_timeout",
            Self::ActiveTimeout => "active_timeout",
            Self::EndOfFlow => "end_of_flow",
            Self::ForcedEnd => "forced_end",
            Self::LackOfResources => "lack_of_resources",
        }
    }
}
