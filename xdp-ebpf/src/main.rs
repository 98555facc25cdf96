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
use frame::Frame;
use shunt::Way;
use xdp_abi::filter::{selects_packet, selects_unmetered};
use xdp_abi::headers::Headers;
use xdp_abi::outcome::Outcome;
use xdp_abi::spread;
use xdp_abi::walk::{Link, walk_into};

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
    let filter = filter::Bank::in_force(config);
    let mut headers = Headers::EMPTY;
    let spread = match walk_into(&frame, Link::Ethernet, &mut headers) {
        Ok(()) if selects_packet(&filter, &headers) => return metered(queue, &headers, octets),
        Err(reason) if selects_unmetered(&filter, &reason) => {
            spread::of_mac_addresses(&frame, Link::Ethernet)
        }
        _ => return Outcome::PassedFilter,
    };
    sockets::redirect(queue, spread)
}

/// A packet of a flow: counted here, or handed to the worker. The shunt ends where it finds out that nobody listens any more: it
/// would drop the frames of an interface that the host may need.
#[inline(always)]
fn metered(queue: u32, headers: &Headers, octets: u64) -> Outcome {
    let spread = spread::of_headers(headers);
    match shunt::way(headers, octets) {
        Way::Counted => Outcome::Shunted,
        Way::Up => sockets::redirect(queue, spread),
        Way::Sample(index) => {
            let outcome = sockets::redirect(queue, spread);
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
