//! Packet sockets (AF_PACKET, TPACKET_V3): a passive look at an interface, nothing is taken from the host.
//!
//! ```text
//!   block 0            block 1            block 2            block 3
//!  ┌─────────────────┬──────────────────┬──────────────────┬─────────────────┐
//!  │ user: being read│ user: full       │ kernel: being    │ kernel: empty   │
//!  │ ▓▓ ▓▓▓ ▓ ▓▓▓    │ ▓▓▓ ▓ ▓▓ ▓▓▓ ▓▓  │ ▓▓▓ ▓ written    │                 │
//!  └─────────────────┴──────────────────┴──────────────────┴─────────────────┘
//!    returned when all its packets were lent and the next burst is asked for
//! ```
//!
//! The kernel hands over whole blocks, full or after a time-out. The packets of a burst lie in one block, which stays ours while they
//! are lent. What finds no free block is dropped and counted.
//!
//! - [`Options`], [`Fanout`]: what to open.
//! - [`Socket`]: opened inert, [`Socket::start`]ed, read in bursts, [`Socket::stop`]ped and drained.
//! - [`Gate`]: stops it from another thread. [`Filter`]: spares the copy of what is not selected, and has it counted.
//! - [`Statistics`]: the kernel's books: `packets = received + drops`, exactly, once drained.

mod addresses;
mod block;
mod fanout;
mod filter;
mod gate;
mod layout;
mod options;
mod ring;
mod socket;
mod statistics;

pub use block::{Packet, Timestamp, Vlan};
pub use fanout::{Fanout, Spread};
pub use filter::Filter;
pub use gate::Gate;
pub use options::Options;
pub use socket::{Lent, PACKETS, Socket};
pub use statistics::Statistics;
