//! Packets built by hand, from the inside out, with right lengths and checksums unless told otherwise.
//!
//! ```text
//!   Segment (udp, tcp, sctp, icmp, icmp6)  ─►  Ip4 / Ip6 .packet(segment)  ─►  Ethernet .frame(packet)
//!        transport.rs                              ip.rs, fragments.rs            link.rs
//!                                                                                   └─► capture.rs: a file
//! ```
//!
//! A broken packet is a sound one that is cut ([`Vec::truncate`]) or overwritten at an offset afterwards.

mod capture;
pub(crate) mod checksum;
mod fragments;
mod ip;
mod link;
mod transport;

pub use capture::{Pcap, PcapNg, Record, Resolution};
pub use fragments::{ip4_fragments, ip6_fragments};
pub use ip::{Extension, Ip4, Ip6, packet};
pub use link::{Ethernet, LinkType, Tag, cooked, cooked2, loopback};
pub use transport::{Segment, flag, icmp, icmp6, sctp, tcp, udp};
