//! Traffic onto a device, at a rate, until a bound; and what became of every frame.
//!
//! ```text
//!   Schedule ─► Pace: how many are due ─► Sender ─► device
//!                                            └─► Tally: per frame, what arrived
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

use crate::kernel::{Error as KernelError, bpf, device::Device, packet_socket, signal};
use crate::traffic::{Schedule, Step, Traffic};
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
    /// How often all of the traffic is sent.
    pub loops: u64,
    /// Stop after so many frames.
    pub count: Option<u64>,
    /// Stop after so long.
    pub duration: Option<Duration>,
    /// Copies of a frame in a row.
    pub burst: u32,
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
    fn open(by: By, device: &'a Device) -> Result<Self, Error> {
        Ok(match by {
            By::LiveFrames => Self::Live(LiveFrames::open(device)?),
            By::PacketSocket => Self::Packet(PacketFrames::open(device)?),
        })
    }

    fn send(&mut self, traffic: &Traffic, steps: &[Step], tally: &mut Tally) -> Result<(), Error> {
        match self {
            Self::Live(live) => steps.iter().try_for_each(|step| live.send(traffic, *step, tally)),
            Self::Packet(packet) => packet.send(traffic, steps, tally),
        }
    }
}

/// Sends until the traffic, the count or the time is used up, or SIGINT or SIGTERM comes.
///
/// # Errors
/// When the device refuses, or takes live frames without passing them on.
pub fn run(device: &Device, traffic: &Traffic, plan: &Plan) -> Result<Tally, Error> {
    let held = signal::hold_termination();
    let mut sender = Sender::open(plan.by, device)?;
    let mut tally = Tally::new(traffic.count(), device)?;
    let mut schedule = Schedule::new(traffic, plan.burst, plan.loops);
    let mut steps = Vec::new();
    let start = Instant::now();
    let mut pace = Pace::new(start, plan.rate);
    loop {
        let bounded = plan.count.map_or(u64::MAX, |count| count - tally.sent());
        let over = plan.duration.is_some_and(|duration| start.elapsed() >= duration);
        if bounded == 0 || over || held.pending() {
            break;
        }
        // The first frame goes alone: it shows whether the peer takes any.
        let most = if tally.sent() == 0 { 1 } else { u64::from(plan.by.most()) };
        let due = pace.wait(tally.sent(), most.min(bounded));
        take(&mut schedule, due, &mut steps);
        if steps.is_empty() {
            break;
        }
        sender.send(traffic, &steps, &mut tally)?;
    }
    tally.end(start.elapsed(), plan.by, device)?;
    Ok(tally)
}

/// The next steps of the schedule, `due` frames in all.
fn take(schedule: &mut Schedule<'_>, due: u32, steps: &mut Vec<Step>) {
    steps.clear();
    let mut left = due;
    while let Some(step) = schedule.next(left) {
        left -= step.copies;
        steps.push(step);
    }
}
