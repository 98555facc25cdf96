//! Which AF_XDP socket gets the frame.

use crate::maps::{QUEUES, SOCKETS};
use aya_ebpf::bindings::xdp_action::XDP_PASS;
use xdp_abi::outcome::Outcome;
use xdp_abi::spread::worker;

/// Redirects to the socket of the worker that the frame spreads to. An empty slot passes the frame to the stack: the
/// helper then returns the fallback action it was given. Any other answer is a refusal.
#[inline(always)]
pub(crate) fn redirect(queue: u32, spread: u32) -> Outcome {
    let Some(place) = QUEUES.get(queue) else { return Outcome::PassedNoSocket };
    if place.sockets == 0 {
        return Outcome::PassedNoSocket;
    }
    let slot = place.first_slot + worker(spread, place.sockets);
    match SOCKETS.redirect(slot, u64::from(XDP_PASS)) {
        Ok(_) => Outcome::Redirected,
        Err(XDP_PASS) => Outcome::PassedNoSocket,
        Err(_) => Outcome::RefusedRedirect,
    }
}
