//! AF_XDP and packet sockets: packets from the kernel in bursts, read in place.
//!
//! ```text
//!     device queue ─► XDP program ─► XSKMAP slot
//!                                        │
//!      kernel                            ▼
//!     ┌───────────────┬────────────────────┬──────────────┬──────────────┐
//!     │ fill (queue)  │ RX (socket)        │ TX (socket)  │ completion   │   rings: descriptors only
//!     └──────▲────────┴─────────┬──────────┴──────▲───────┴──────┬───────┘
//!            │ Refill           ▼                 │ send         ▼ take_sent
//!            └──────────────  Burst             Frame ◄──────────┘             user: who has a frame may touch it
//!                               │
//!                         Packet: &[u8]  ─────────────►  umem: the bytes
//! ```
//!
//! A frame (chunk of the UMEM) has one owner at any time: the pool, somebody's [`umem::Frame`] token, or the kernel. Reading a burst
//! turns descriptors into tokens, giving it back turns them into descriptors again.
//!
//! - [`umem`]: the memory, its frames, who has them.
//! - [`ring`]: the four rings over kernel or plain memory; every value of the kernel is checked.
//! - [`burst`]: up to 64 packets with their frames.
//! - [`refill`]: the way back to the fill ring that the sockets of a queue share.
//! - [`socket`]: an AF_XDP socket: binding, modes, statistics.
//! - [`packet`]: packet sockets (TPACKET_V3), the passive way. [`promiscuous`]: a membership for either.
//! - [`wait`]: sleeping for several sockets, and being woken.
//! - [`interface`]: interfaces and queues. [`ethtool`]: what only SIOCETHTOOL tells of them.
//!
//! What needs no kernel (rings, frames, bursts, refill) runs in plain memory by [`ring::testing`], there under loom and Miri too.

pub mod burst;
mod error;
#[cfg_attr(loom, allow(dead_code, reason = "no socket is built for loom"))]
mod memory;
pub mod refill;
pub mod ring;
mod sync;
#[cfg_attr(loom, allow(dead_code, unused, reason = "no socket is built for loom"))]
mod syscall;
pub mod umem;

#[cfg(not(loom))]
pub mod ethtool;
#[cfg(not(loom))]
pub mod interface;
#[cfg(not(loom))]
pub mod packet;
#[cfg(not(loom))]
pub mod promiscuous;
#[cfg(not(loom))]
pub mod socket;
#[cfg(not(loom))]
pub mod wait;

pub use burst::{Burst, Packet};
pub use error::Error;
#[cfg(not(loom))]
pub use ethtool::Ethtool;
#[cfg(not(loom))]
pub use interface::{Interface, QueueId};
#[cfg(not(loom))]
pub use promiscuous::Promiscuous;
pub use refill::Refill;
#[cfg(not(loom))]
pub use socket::Socket;
pub use umem::Umem;
