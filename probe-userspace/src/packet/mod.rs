//! From a frame to what a flow needs of it, or to the reason why it is in none.
//!
//! ```text
//! Frame ─► link layer ─► xdp_abi::walk ─► Packet         (the digest: small, copied, may go to another worker)
//!                                    └──► Unmetered
//! ```

mod link;

use xdp_abi::headers::{Headers, Unmetered};
use xdp_abi::walk::{walk, walk_into};

use crate::source::Frame;

/// One packet, read: all that is left of a frame when the burst goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Its headers.
    pub headers: Headers,
    /// Octets of the IP packet (IPFIX 1): its total length, else what of it was captured.
    pub octets: u32,
    /// Octets of the frame (IPFIX 352).
    pub layer2_octets: u32,
    /// When it was captured, since the UNIX epoch.
    pub timestamp_nanoseconds: u64,
    /// Interface where it was captured (IPFIX 10).
    pub ingress_interface: u32,
}

impl Packet {
    /// Nothing read yet.
    pub const EMPTY: Self = Self {
        headers: Headers::EMPTY,
        octets: 0,
        layer2_octets: 0,
        timestamp_nanoseconds: 0,
        ingress_interface: 0,
    };
}

/// Reads one frame into the place where its packet is to lie.
///
/// # Errors
/// The frame is in no flow, and why; what lies in the place then means nothing.
#[inline]
pub fn read(frame: &Frame<'_>, ingress_interface: u32, packet: &mut Packet) -> Result<(), Unmetered> {
    let headers = &mut packet.headers;
    walk_into(frame.bytes, link::resolve(frame.bytes, frame.link_layer)?, headers)?;
    if let Some(control) = frame.stripped_vlan {
        headers.key.put_back_tag(control);
    }
    // Total length 0: segmentation offload, or a jumbogram. The walk has seen the header at this offset.
    packet.octets = match headers.ip_octets {
        0 => {
            let first = frame.bytes.len().saturating_sub(usize::from(headers.ip_offset)) as u32;
            first.saturating_add(frame.further_octets)
        }
        octets => octets,
    };
    packet.layer2_octets = frame.original_octets;
    packet.timestamp_nanoseconds = frame.timestamp_nanoseconds;
    packet.ingress_interface = ingress_interface;
    Ok(())
}

/// The headers as they are in the frame: a tag that was taken off is not put back.
///
/// # Errors
/// As [`read`].
#[inline]
pub fn headers(frame: &Frame<'_>) -> Result<Headers, Unmetered> {
    walk(frame.bytes, link::resolve(frame.bytes, frame.link_layer)?)
}

#[cfg(test)]
mod tests;
