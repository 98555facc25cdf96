//! Which worker a frame goes to. The XDP program and the probe ask here, so that both give one answer.
//!
//! | frame | spread by | why |
//! |---|---|---|
//! | whole packet | the flow key | both directions of a flow reach one worker |
//! | any fragment | the addresses | only they are in every fragment: RFC 8200, 4.5 lets even the protocol differ |
//! | anything else | its MAC addresses | they are all that is known; both directions alike |

use crate::bytes::Bytes;
use crate::hash;
use crate::headers::{Fragment, Headers, Unmetered};
use crate::key::FlowKey;
use crate::walk::Link;

const MAC_ADDRESSES_OCTETS: usize = 12;

/// A number, evenly spread over 32 bits, that is the same for all frames that have to meet at one worker.
#[inline(always)]
pub fn spread<B: Bytes + ?Sized>(frame: &B, link: Link, walked: &Result<Headers, Unmetered>) -> u32 {
    match walked {
        Ok(headers) => of_headers(headers),
        Err(_) => of_mac_addresses(frame, link),
    }
}

/// Where a decoded packet arrives. For a fragment this may be another worker than its flow's, which [`of_key`] names.
#[inline(always)]
pub fn of_headers(headers: &Headers) -> u32 {
    of_packet(headers, headers.key.hash())
}

/// The same by who knows the hash of the key already.
#[inline(always)]
pub fn of_packet(headers: &Headers, hash: u64) -> u32 {
    match headers.fragment {
        Fragment::Whole => upper_half(hash),
        Fragment::First(_) | Fragment::Later(_) => upper_half(headers.key.address_hash()),
    }
}

/// Where the flow itself lives.
#[inline(always)]
pub fn of_key(key: &FlowKey) -> u32 {
    upper_half(key.hash())
}

/// The worker, from 0, among `workers`; 0 where there are none. A multiplication instead of a division: cheaper, and
/// as even.
#[inline(always)]
pub fn worker(spread: u32, workers: u32) -> u32 {
    upper_half(u64::from(spread) * u64::from(workers))
}

/// Where a frame arrives that is in no flow. Frames without MAC addresses (another link layer, cut off) all go one way.
#[inline(always)]
pub fn of_mac_addresses<B: Bytes + ?Sized>(frame: &B, link: Link) -> u32 {
    if link != Link::Ethernet {
        return 0;
    }
    let Some(octets) = frame.octets::<MAC_ADDRESSES_OCTETS>(0) else { return 0 };
    let [a, b, c, d, e, f, g, h, i, j, k, l] = octets;
    let destination = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
    let source = u64::from_be_bytes([0, 0, g, h, i, j, k, l]);
    upper_half(hash::of(hash::of(destination) ^ hash::of(source)))
}

#[inline(always)]
fn upper_half(hash: u64) -> u32 {
    (hash >> 32) as u32
}
