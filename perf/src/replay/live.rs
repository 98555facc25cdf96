//! Live frames, and the device's word for what became of them.

use xsk::ethtool::DriverCounters;

use super::Error;
use super::tally::Tally;
use crate::kernel::bpf::Redirect;
use crate::kernel::device::Device;
use crate::kernel::vary::Vary;
use crate::traffic::{Burst, Shot};

/// Why live frames cannot be used here.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Its driver does not count what it sends for XDP.
    #[error(
        "{device} has no counter tx_queue_N_xdp_xmit, so nobody could say what arrived; \
         use `--by packet-socket`"
    )]
    NoCounter {
        /// Which device.
        device: String,
    },
    /// Somebody has reset its counters.
    #[error("the transmit counters of {device} ran backwards, so nobody can say what arrived: send again")]
    CountsBackwards {
        /// Which device.
        device: String,
    },
    /// The first frame went nowhere, and no counter moved.
    #[error(
        "{device} takes live frames and drops them without a counter: its peer has no NAPI. Attach an XDP program to \
         the peer (start the probe first), or `ethtool -K PEER gro on`, or use `--by packet-socket`"
    )]
    NoNapi {
        /// Which device.
        device: String,
    },
}

/// What the device has counted since it exists.
#[derive(Clone, Copy, Debug, Default)]
struct Transmitted {
    taken: u64,
    errors: u64,
}

/// A way to send: live frames onto one device.
#[derive(Debug)]
pub struct LiveFrames<'a> {
    device: &'a Device,
    program: Redirect,
    counters: Counters,
    last: Transmitted,
}

/// Where in the driver's list the counters are.
#[derive(Debug)]
struct Counters {
    driver: DriverCounters,
    taken: Vec<usize>,
    errors: Vec<usize>,
}

impl Counters {
    fn find(device: &Device) -> Result<Self, Error> {
        let refused = || Refused::NoCounter { device: device.name() };
        let driver = device.counters()?.ok_or_else(refused)?;
        let of = |suffix: &str| -> Vec<usize> {
            let ours = |name: &String| name.starts_with("tx_queue_") && name.ends_with(suffix);
            driver.names().iter().enumerate().filter(|(_, name)| ours(name)).map(|(index, _)| index).collect()
        };
        let (taken, errors) = (of("_xdp_xmit"), of("_xdp_xmit_errors"));
        if taken.is_empty() || errors.is_empty() {
            return Err(refused().into());
        }
        Ok(Self { driver, taken, errors })
    }

    fn read(&mut self, device: &Device) -> Result<Transmitted, Error> {
        let values = device.read(&mut self.driver)?;
        let sum = |indexes: &[usize]| indexes.iter().filter_map(|index| values.get(*index)).sum();
        Ok(Transmitted { taken: sum(&self.taken), errors: sum(&self.errors) })
    }
}

impl<'a> LiveFrames<'a> {
    /// Makes the program, with what differs between copies; needs the rights of [`Redirect::new`].
    ///
    /// # Errors
    /// When the driver does not count what it sends for XDP.
    pub fn open(device: &'a Device, vary: Option<Vary>) -> Result<Self, Error> {
        let mut counters = Counters::find(device)?;
        let program = Redirect::new(device.index, vary)?;
        let last = counters.read(device)?;
        Ok(Self { device, program, counters, last })
    }

    /// Sends copies of a frame, and asks the device what became of them; answers how many it took.
    ///
    /// # Errors
    /// When the very first frame vanishes: all would.
    pub(super) fn send(&mut self, burst: &Burst, shot: &Shot, tally: &mut Tally) -> Result<u64, Error> {
        let frame = burst.frame(shot);
        let first = tally.sent() == 0;
        self.program.send(frame, shot.copies)?;
        let now = self.counters.read(self.device)?;
        // A driver that counts backwards has been reset: what arrived since nobody can say.
        let grown = now.taken.checked_sub(self.last.taken).zip(now.errors.checked_sub(self.last.errors));
        let (taken, errors) = grown.ok_or_else(|| Refused::CountsBackwards { device: self.device.name() })?;
        self.last = now;
        if first && taken + errors == 0 {
            return Err(Refused::NoNapi { device: self.device.name() }.into());
        }
        tally.add(shot.copies, frame.len(), taken, errors);
        Ok(taken)
    }
}
