//! What is measured against: receivers that do nothing with a packet, and a look-up that does the least.
//!
//! ```text
//!   XdpDrop   XDP_DROP in the driver          the bound of everything          kernel::discard
//!   Xsk       AF_XDP, receive and recycle     what AF_XDP alone can do         the probe's XDP program and ring sizes
//!   Tpacket   TPACKET_V3, block by block      what libpcap's path can do
//!                │
//!                ▼
//!             run: first packet ─► warm-up ─► a window of so many seconds ─► Report (a JSON line)
//!
//!   naive     packets in memory ─► 5-tuple ─► hash map, nanoseconds a packet
//! ```

pub mod naive;
mod report;
mod tpacket;
mod window;
mod xdp_drop;
mod xsk;

/// Threads of the kernel and of processes: their CPU time.
pub mod threads;

pub use report::{Placement, Report};
pub use tpacket::Tpacket;
pub use window::{Error, Receiver, Wait, Window, run};
pub use xdp_drop::XdpDrop;
pub use xsk::Xsk;
