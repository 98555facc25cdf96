//! Traffic onto a device, at a rate, until a bound; and what became of every frame.
//!
//! ```text
//!   Source ─► Pace: how many are due, or when one is ─► Sender ─► device
//!     ▲                                                   ├─► Tally: what arrived
//!     └───────────────────────────────────────────────────┘    of each frame
//! ```
//!
//! What arrived is known exactly, not assumed: of live frames the device's own counters say after each call how many
//! it took; a packet socket says it frame by frame, and the device's `tx_dropped` is held against it at the end.

mod live;
mod pace;
mod packet;
mod tally;

use std::time::{Duration, Instant};

pub use live::{LiveFrames, Refused};
pub use packet::PacketFrames;
pub use tally::{Report, Tally};

use crate::kernel::vary::Vary;
use crate::kernel::{Error as KernelError, bpf, device::Device, packet_socket, signal};
use crate::traffic::{Burst, Source};
use pace::Pace;

/// How frames get onto the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// BPF_PROG_RUN with live frames: the fastest, for a device whose driver can send XDP frames.
    LiveFrames,
    /// An AF_PACKET socket: any device, any frame that it can carry.
    PacketSocket,
}

impl By {
    /// Longest frame that can go this way onto a device with this MTU (with room for two VLAN tags).
    #[must_use]
    pub fn longest(self, mtu: usize) -> usize {
        let device = mtu + 14 + 8;
        match self {
            Self::LiveFrames => device.min(bpf::FRAME_MAX_OCTETS),
            Self::PacketSocket => device,
        }
    }

    /// Copies of a frame in a row unless asked otherwise: live frames cost a call per frame, so many a call.
    #[must_use]
    pub fn usual_burst(self) -> u32 {
        match self {
            Self::LiveFrames => 64,
            Self::PacketSocket => 1,
        }
    }

    /// Between two calls at a rate. Each call of live frames makes a page pool, and what of it is still under way at the end holds its
    /// number for a second (net/core/page_pool.c, `DEFER_TIME`); there are 65,534 of them (net/core/xdp.c, `MEM_ID_MAX`), and then the answer
    /// is ENOSPC, as it was seen at 500,000 frames a second.
    fn interval(self) -> Duration {
        match self {
            Self::LiveFrames => Duration::from_micros(50),
            Self::PacketSocket => Duration::ZERO,
        }
    }

    /// Most copies in one call.
    fn most(self) -> u32 {
        match self {
            Self::LiveFrames => bpf::COPIES_MAX,
            Self::PacketSocket => packet_socket::FRAMES_MAX as u32,
        }
    }
}

/// How to send.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// By which way.
    pub by: By,
    /// Frames a second; `None` = as fast as it goes.
    pub rate: Option<u64>,
    /// Each frame at the time that the source says; then there is no rate.
    pub timed: bool,
    /// Stop after so many frames.
    pub count: Option<u64>,
    /// Stop after so long.
    pub duration: Option<Duration>,
    /// Copies of a frame in a row.
    pub burst: u32,
    /// Live frames: what differs between copies.
    pub vary: Option<Vary>,
}

impl Plan {
    /// Most copies in one call, or of one round of calls: live frames of a burst that was asked for go in one.
    fn most(&self) -> u32 {
        match self.by {
            By::LiveFrames => self.by.most().max(self.burst.min(bpf::CALL_MAX)),
            By::PacketSocket => self.by.most(),
        }
    }
}

/// Why sending ended early, or did not begin.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A system call.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// The device or its peer cannot take live frames.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The device dropped frames of which it had said that it took them.
    #[error(
        "{device} dropped {dropped} frames but refused only {errors}: what arrived of each flow is not known. \
         Send slower (`--rate`), or nothing else through this device meanwhile"
    )]
    Silent {
        /// Which device.
        device: String,
        /// By how much its `tx_dropped` grew.
        dropped: u64,
        /// How many it refused.
        errors: u64,
    },
}

/// One of the ways.
#[derive(Debug)]
enum Sender<'a> {
    Live(LiveFrames<'a>),
    Packet(PacketFrames<'a>),
}

impl<'a> Sender<'a> {
    fn open(plan: &Plan, device: &'a Device) -> Result<Self, Error> {
        Ok(match plan.by {
            By::LiveFrames => Self::Live(LiveFrames::open(device, plan.vary)?),
            By::PacketSocket => Self::Packet(PacketFrames::open(device)?),
        })
    }

    fn send(&mut self, burst: &Burst, source: &mut dyn Source, tally: &mut Tally) -> Result<(), Error> {
        match self {
            Self::Live(live) => burst.shots().iter().try_for_each(|shot| {
                live.send(burst, shot, tally).map(|taken| source.arrived(burst, shot, taken))
            }),
            Self::Packet(packet) => packet.send(burst, source, tally),
        }
    }
}

/// Sends until the source, the count or the time is used up, or SIGINT or SIGTERM comes. The source is told what arrived.
///
/// # Errors
/// When the device refuses, or takes live frames without passing them on.
pub fn run(device: &Device, source: &mut dyn Source, plan: &Plan) -> Result<Tally, Error> {
    let held = signal::hold_termination();
    let mut sender = Sender::open(plan, device)?;
    let mut tally = Tally::new(device)?;
    let mut burst = Burst::default();
    let start = Instant::now();
    let mut pace = Pace::new(start, plan.rate, plan.by.interval());
    let is_over = || held.pending() || plan.duration.is_some_and(|duration| start.elapsed() >= duration);
    loop {
        let bounded = plan.count.map_or(u64::MAX, |count| count - tally.sent());
        if bounded == 0 || is_over() {
            break;
        }
        // The first frame goes alone: it shows whether the peer takes any. One with a time of its own goes alone as well.
        let most = if tally.sent() == 0 || plan.timed { 1 } else { u64::from(plan.most()) };
        let due = pace.wait(tally.sent(), most.min(bounded));
        source.fill(&mut burst, due);
        let Some(next) = burst.shots().first() else { break };
        if plan.timed && !pace::wait_until(start + next.time, is_over) {
            break;
        }
        sender.send(&burst, source, &mut tally)?;
    }
    tally.end(start.elapsed(), plan.by, device)?;
    Ok(tally)
}
