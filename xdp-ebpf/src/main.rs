//! The XDP program. Each frame: counted as seen, judged, counted under exactly one outcome.
//!
//! ```text
//! frame ─► seen ─► own traffic? ─► capture filter ─► queue's sockets ─► spread ─► redirect ─► outcome
//!                      │                │                  │                         │
//!                      ▼                ▼                  ▼                         ▼
//!                 passed own      passed filter     passed no socket     redirected, or refused
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
mod sockets;

use aya_ebpf::bindings::xdp_action;
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;
use count::Counters;
use frame::Frame;
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
    let outcome = judge(&ctx, queue);
    counters.add(outcome, octets);
    match outcome {
        Outcome::Redirected => xdp_action::XDP_REDIRECT,
        _ => xdp_action::XDP_PASS,
    }
}

#[inline(always)]
fn judge(ctx: &XdpContext, queue: u32) -> Outcome {
    let Some(config) = maps::CONFIG.get(0) else { return Outcome::PassedNoSocket };
    let frame = Frame::new(ctx);
    if own::is_own(&frame, config) {
        return Outcome::PassedOwn;
    }
    let filter = filter::Bank::in_force(config);
    let mut headers = Headers::EMPTY;
    let spread = match walk_into(&frame, Link::Ethernet, &mut headers) {
        Ok(()) if selects_packet(&filter, &headers) => spread::of_headers(&headers),
        Err(reason) if selects_unmetered(&filter, &reason) => {
            spread::of_mac_addresses(&frame, Link::Ethernet)
        }
        _ => return Outcome::PassedFilter,
    };
    sockets::redirect(queue, spread)
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    loop {}
}

/// The kernel asks for it; no helper in use needs a GPL-compatible one.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 18] = *b"Apache-2.0 OR MIT\0";
