//! XDP_DROP: no socket at all. The loop only looks at the program's counters.

use std::collections::BTreeMap;
use std::time::Duration;

use flow_wire::ledger::Amount;

use super::window::{Error, Receiver};
use crate::kernel::device::Device;
use crate::kernel::discard::Discard;

/// Between two looks: the window ends with one, so this is not in the figure.
const LOOK: Duration = Duration::from_millis(10);

/// The program on a device.
#[derive(Debug)]
pub struct XdpDrop {
    program: Discard,
    seen: Amount,
}

impl XdpDrop {
    /// Attaches it.
    ///
    /// # Errors
    /// As [`Discard::attach`].
    pub fn attach(interface: &str) -> Result<Self, Error> {
        let device = Device::open(interface)?;
        Ok(Self { program: Discard::attach(device.index)?, seen: Amount::ZERO })
    }
}

impl Receiver for XdpDrop {
    const WAY: &'static str = "drop";

    fn take(&mut self) -> Result<Amount, Error> {
        std::thread::sleep(LOOK);
        let seen = self.program.dropped()?;
        let before = std::mem::replace(&mut self.seen, seen);
        Ok(Amount { packets: seen.packets - before.packets, octets: seen.octets - before.octets })
    }

    fn wait(&mut self, _: Duration) -> Result<(), Error> {
        Ok(())
    }

    fn drops(&mut self) -> Result<BTreeMap<String, u64>, Error> {
        Ok(BTreeMap::new())
    }
}
