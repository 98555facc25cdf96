//! The XDP program. Each frame: counted as seen, judged, counted under exactly one outcome.
//!
//! ```text
//! frame ─► seen ─► own traffic? ─► capture filter ─► shunt ─► queue's sockets ─► spread ─► redirect ─► outcome
//!                      │                │               │             │                         │
//!                      ▼                ▼               ▼             ▼                         ▼
//!                 passed own      passed filter      shunted   passed no socket     redirected, or refused
//! ```
//!
//! The walk, the filter's judgement and the spread are `xdp-abi`'s: the probe runs the same code.
#![no_std]
#![no_main]

mod count;
mod filter;
mod frame;
mod maps;
mod own;
mod shunt;
mod sockets;

use aya_ebpf::bindings::xdp_action;
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;
use count::Counters;
use filter::Bank;
use frame::Frame;
use shunt::Way;
use xdp_abi::filter::{selects_packet, selects_unmetered};
use xdp_abi::headers::Headers;
use xdp_abi::outcome::Outcome;
use xdp_abi::spread;
use xdp_abi::walk::{Link, walk_other, walk_plain};

/// The entry point. `frags`: a frame may lie in several buffers; its headers are in the first one.
#[xdp(frags)]
pub fn gannet(ctx: XdpContext) -> u32 {
    let octets = frame::octets(&ctx);
    let queue = ctx.rx_queue_index();
    let Some(counters) = Counters::of(queue) else { return xdp_action::XDP_PASS };
    counters.add(Outcome::Seen, octets);
    let outcome = judge(&ctx, queue, octets);
    counters.add(outcome, octets);
    match outcome {
        Outcome::Redirected => xdp_action::XDP_REDIRECT,
        Outcome::Shunted => xdp_action::XDP_DROP,
        _ => xdp_action::XDP_PASS,
    }
}

#[inline(always)]
fn judge(ctx: &XdpContext, queue: u32, octets: u64) -> Outcome {
    let Some(config) = maps::CONFIG.get(0) else { return Outcome::PassedNoSocket };
    let frame = Frame::new(ctx);
    if own::is_own(&frame, config) {
        return Outcome::PassedOwn;
    }
    let filter = Bank::in_force(config);
    // A variable of its own, which no function that is not inlined gets to see: it stays in registers.
    let mut plain = Headers::EMPTY;
    if walk_plain(&frame, &mut plain) {
        return packet(&filter, queue, &plain, octets);
    }
    let mut headers = Headers::EMPTY;
    match walk_other(&frame, Link::Ethernet, &mut headers) {
        Ok(()) => packet(&filter, queue, &headers, octets),
        Err(reason) if selects_unmetered(&filter, &reason) => {
            sockets::redirect(queue, spread::of_mac_addresses(&frame, Link::Ethernet))
        }
        Err(_) => Outcome::PassedFilter,
    }
}

/// A packet of a flow: counted here, or handed to the worker. The shunt ends where it finds out that nobody listens any more: it
/// would drop the frames of an interface that the host may need.
#[inline(always)]
fn packet(filter: &Bank, queue: u32, headers: &Headers, octets: u64) -> Outcome {
    if !selects_packet(filter, headers) {
        return Outcome::PassedFilter;
    }
    let hash = headers.key.hash();
    match shunt::way(headers, hash, octets) {
        Way::Counted => Outcome::Shunted,
        Way::Up => sockets::redirect(queue, spread::of_packet(headers, hash)),
        Way::Sample(index) => {
            let outcome = sockets::redirect(queue, spread::of_packet(headers, hash));
            if let Outcome::PassedNoSocket = outcome {
                shunt::stop(index);
            }
            outcome
        }
    }
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    loop {}
}

/// The kernel asks for it; no helper in use needs a GPL-compatible one.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 18] = *b"Apache-2.0 OR MIT\0";
